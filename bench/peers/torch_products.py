# SPDX-License-Identifier: Apache-2.0
"""Dense products by PyTorch, on the CPU or on a GPU, by whichever of its entries is fastest."""
from protocol import Item, Job, error_db, fastest, over_copies


def replayed(calls):
    """The calls as one CUDA graph, so that launches from Python do not bound them."""
    import torch
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for call in calls:
            call()
    return graph.replay


def products(job: Job, dtypes, device="cpu"):
    """Items for the matrix in each of the types; `job` as matvec and matmul have it."""
    import numpy as np
    import torch
    torch.set_num_threads(job["threads"])
    torch.set_grad_enabled(False)
    finish = torch.cuda.synchronize if device == "cuda" else None
    w, x, exact = job.array("w"), job.array("x"), job.array("y")
    rows, cols, columns = job["rows"], job["cols"], job["columns"]
    items = []
    for name, dtype in dtypes.items():
        weights = [torch.from_numpy(w).to(device, dtype, copy=True) for _ in range(job.copies(rows * cols * dtype.itemsize))]
        inputs = torch.from_numpy(x).to(device, dtype)
        ways = [lambda m, v=inputs: torch.nn.functional.linear(v, m), lambda m, v=inputs: (m @ v.T).T]
        if columns == 1:
            ways.append(lambda m, v=inputs[0]: torch.mv(m, v))
        calls = [[lambda m=m, way=way: way(m) for m in weights] for way in ways]
        best = fastest([lambda some=some: over_copies(some, finish) and some for some in calls])()
        error = error_db(np.atleast_2d(best[0]().to("cpu", torch.float64).numpy())[:len(exact)], exact)
        values = {"flops": 2 * rows * cols * columns, "signal_to_error_db": error}
        if columns == 1:
            values["bytes"] = rows * cols * dtype.itemsize
        if device == "cuda":
            replay, count = replayed(best), len(best)
            items.append(Item(name, lambda replay=replay, count=count: over_copies([replay], finish) / count, values))
        else:
            items.append(Item(name, lambda best=best: over_copies(best), values))
    return items
