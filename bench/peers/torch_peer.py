#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PyTorch on the CPU: dense f32 and bf16 products, by whichever of its entries is fastest; convolutions by torch.fft or,
with few taps, by conv1d where that is faster; the scans of Mamba, step by step, and of Mamba-2, by chunks."""
import longconv
import scans
from protocol import Item, Job, error_db, fastest, over_copies, serve


def product(job: Job):
    import numpy as np
    import torch
    job.version = f"torch {torch.__version__}"
    torch.set_num_threads(job["threads"])
    torch.set_grad_enabled(False)
    w, x, exact = job.array("w"), job.array("x"), job.array("y")
    rows, cols, columns = job["rows"], job["cols"], job["columns"]
    items = []
    for name, dtype in ("f32", torch.float32), ("bf16", torch.bfloat16):
        weights = [torch.from_numpy(w).to(dtype, copy=True) for _ in range(job.copies(rows * cols * dtype.itemsize))]
        inputs = torch.from_numpy(x).to(dtype)
        ways = [lambda m, v=inputs: torch.nn.functional.linear(v, m), lambda m, v=inputs: (m @ v.T).T]
        if columns == 1:
            ways.append(lambda m, v=inputs[0]: torch.mv(m, v))
        way = fastest([lambda w=w: [w(m) for m in weights] and w for w in ways])()  # each returns its way
        error = error_db(np.atleast_2d(way(weights[0]).to(torch.float64).numpy())[:len(exact)], exact)
        calls = [lambda m=m, way=way: way(m) for m in weights]
        values = {"flops": 2 * rows * cols * columns, "signal_to_error_db": error}
        if columns == 1:
            values["bytes"] = rows * cols * dtype.itemsize
        items.append(Item(name, lambda calls=calls: over_copies(calls), values))
    return items


def fftconv(job: Job):
    import torch
    job.version = f"torch {torch.__version__}"
    torch.set_num_threads(job["threads"])
    torch.set_grad_enabled(False)

    def make(u, h, gate):
        channels, steps = u.shape
        taps = longconv.taps(job, steps)
        size = longconv.good_size(steps + taps)
        u, gate, filters = torch.from_numpy(u), torch.from_numpy(gate), torch.fft.rfft(torch.from_numpy(h), n=size)
        turned = torch.from_numpy(h[:, :taps].copy()).flip(-1)[:, None]
        ways = [lambda: torch.fft.irfft(torch.fft.rfft(u * gate, n=size) * filters, n=size)[:, :steps] * gate,
                lambda: torch.nn.functional.conv1d((u * gate)[None], turned, padding=taps - 1, groups=channels)[0, :, :steps] * gate]
        return ways[0] if taps > longconv.FEW_TAPS else fastest(ways)
    return longconv.items(job, make)


if __name__ == "__main__":
    serve({"matvec": product, "matmul": product, "fftconv": fftconv, "scan": scans.scan})
