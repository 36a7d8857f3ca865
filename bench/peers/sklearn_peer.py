#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scikit-learn's KMeans (Lloyd, k-means++, one start, at most 25 iterations)."""
from protocol import Item, Job, serve, stopwatch
from scalar_codes import BF16, squared_error, values_f32


def fit(job: Job):
    import sklearn
    import threadpoolctl
    from sklearn.cluster import KMeans
    job.version = f"scikit-learn {sklearn.__version__}"
    threadpoolctl.threadpool_limits(job["threads"])
    values, found = values_f32(job), {}

    def one_round():
        kmeans = KMeans(job["k"], n_init=1, max_iter=25, random_state=1)
        seconds, _ = stopwatch(kmeans.fit, values[:, None])
        if not found:
            found["squared_error"] = squared_error(values, kmeans.cluster_centers_[:, 0])
        return seconds, found
    return [Item("KMeans", one_round, {"bytes": 2 * len(values), "group": BF16})]


if __name__ == "__main__":
    serve({"fit": fit})
