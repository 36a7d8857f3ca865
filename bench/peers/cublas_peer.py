#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cuBLAS through PyTorch: dense f16 and bf16 products on the first NVIDIA GPU, for `--device cuda` and `--device vulkan`."""
from protocol import Job, Unsupported, serve
from torch_products import products


def product(job: Job):
    import torch
    if not torch.version.cuda or not torch.cuda.is_available():
        raise Unsupported(f"torch {torch.__version__} finds no NVIDIA GPU")
    job.version = f"torch {torch.__version__}, CUDA {torch.version.cuda}, {torch.cuda.get_device_name()}"
    return products(job, {"f16": torch.float16, "bf16": torch.bfloat16}, "cuda")


if __name__ == "__main__":
    serve({"matvec": product, "matmul": product})
