#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""OpenBLAS as numpy brings it: sgemv and sgemm."""
from protocol import Item, Job, Unsupported, error_db, over_copies, serve


def product(job: Job):
    import numpy as np
    import threadpoolctl
    libraries = {info["internal_api"]: info for info in threadpoolctl.threadpool_info()}
    if "openblas" not in libraries:
        raise Unsupported(f"numpy brings {list(libraries) or 'no BLAS'}, not OpenBLAS")
    job.version = f"OpenBLAS {libraries['openblas']['version']}, numpy {np.__version__}"
    threadpoolctl.threadpool_limits(job["threads"])
    w, x, exact = job.array("w"), job.array("x"), job.array("y")
    weights = [w.copy() for _ in range(job.copies(w.nbytes))]
    inputs = x[0] if job["columns"] == 1 else x
    outputs = np.empty(job["rows"] if job["columns"] == 1 else (job["columns"], job["rows"]), np.float32)
    if job["columns"] == 1:
        calls = [lambda m=m: np.dot(m, inputs, out=outputs) for m in weights]
    else:
        calls = [lambda m=m: np.dot(inputs, m.T, out=outputs) for m in weights]
    error = error_db(np.atleast_2d(calls[0]())[:len(exact)], exact)
    values = {"flops": 2 * w.size * job["columns"], "signal_to_error_db": error}
    if job["columns"] == 1:
        values["bytes"] = w.nbytes
    return [Item("f32", lambda: over_copies(calls), values)]


if __name__ == "__main__":
    serve({"matvec": product, "matmul": product})
