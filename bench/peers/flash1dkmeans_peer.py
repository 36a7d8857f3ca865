#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""flash1dkmeans: k-means++ and Lloyd over sorted values; sorting counts, labels for each value are not asked for."""
import importlib.metadata

from protocol import Item, Job, serve, stopwatch
from scalar_codes import BF16, squared_error, values_f32


def fit(job: Job):
    import flash1dkmeans
    job.version = f"flash1dkmeans {importlib.metadata.version('flash1dkmeans')}"
    values, found = values_f32(job), {}

    def one_round():
        seconds, (codes, _) = stopwatch(lambda: flash1dkmeans.kmeans_1d(values, job["k"], return_cluster_borders=True,
                                                                        random_state=1))
        if not found:
            found["squared_error"] = squared_error(values, codes)
        return seconds, found
    return [Item("kmeans_1d", one_round, {"bytes": 2 * len(values), "group": BF16})]


if __name__ == "__main__":
    serve({"fit": fit})
