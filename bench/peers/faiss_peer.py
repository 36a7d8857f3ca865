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


def assign_shape(job: Job, shape):
    """points_SHAPE.npy [count, d] and codes_SHAPE.npy [k, d], f32."""
    import faiss
    import numpy as np
    points, codes = job.array(f"points_{shape}"), job.array(f"codes_{shape}")
    k, d = codes.shape
    index = faiss.IndexFlatL2(d)
    index.add(codes)

    def one_round():
        seconds, (_, labels) = stopwatch(index.search, points, 1)
        error = ((points.astype(np.float64) - codes[labels[:, 0]]) ** 2).sum()
        return seconds, {"squared_error": float(error)}
    return Item(f"IndexFlatL2_d{d}_k{k}", one_round, {"flops": 2 * len(points) * codes.size, "group": shape})


def assign(job: Job):
    import faiss
    job.version = f"faiss {faiss.__version__}"
    faiss.omp_set_num_threads(job["threads"])
    return [assign_shape(job, shape) for shape in range(1, job["shapes"] + 1)]


if __name__ == "__main__":
    serve({"fit": fit, "assign": assign})
