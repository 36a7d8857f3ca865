#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""FAISS: Kmeans over all values (25 iterations, no sampling), and exact assignment by IndexFlatL2."""
from protocol import Item, Job, serve, stopwatch
from scalar_codes import BF16, squared_error, values_f32


def fit(job: Job):
    import faiss
    job.version = f"faiss {faiss.__version__}"
    faiss.omp_set_num_threads(job["threads"])
    values, k, found = values_f32(job), job["k"], {}

    def one_round():
        kmeans = faiss.Kmeans(1, k, niter=25, seed=1, max_points_per_centroid=-(-len(values) // k) + 1)
        seconds, _ = stopwatch(kmeans.train, values[:, None])
        if not found:
            found["squared_error"] = squared_error(values, kmeans.centroids[:, 0])
        return seconds, found
    return [Item("Kmeans", one_round, {"bytes": 2 * len(values), "group": BF16})]


def assign(job: Job):
    """points.npy [count, dims] and codes.npy [k, dims], f32."""
    import faiss
    faiss.omp_set_num_threads(job["threads"])
    points, codes = job.array("points"), job.array("codes")
    index = faiss.IndexFlatL2(codes.shape[1])
    index.add(codes)
    flops = 2 * len(points) * codes.size
    return [Item("IndexFlatL2", lambda: stopwatch(index.search, points, 1)[0], {"flops": flops})]


if __name__ == "__main__":
    serve({"fit": fit, "assign": assign})
