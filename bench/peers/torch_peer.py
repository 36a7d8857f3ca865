#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PyTorch on the CPU: dense f32 and bf16 products, by whichever of its entries is fastest; convolutions by torch.fft or,
with few taps, by conv1d where that is faster; the scans of Mamba, step by step, and of Mamba-2, by chunks."""
import longconv
import scans
from protocol import Job, fastest, serve
from torch_products import products


def product(job: Job):
    import torch
    job.version = f"torch {torch.__version__}"
    return products(job, {"f32": torch.float32, "bf16": torch.bfloat16})


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
