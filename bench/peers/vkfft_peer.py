#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""VkFFT on PoCL: gate and pad, transform, multiply, back, crop and gate; vkfft_peer.c, compiled for this processor, does it."""
import ctypes
import pathlib
import subprocess

import longconv
from protocol import Job, Unsupported, serve

SOURCE = pathlib.Path(__file__).with_suffix(".c")


def library(folder):
    target = folder / "libvkfft_peer.so"
    command = ["cc", "-O2", "-march=native", "-w", "-shared", "-fPIC", "-DVKFFT_BACKEND=3", "-DCL_TARGET_OPENCL_VERSION=120",
               str(SOURCE), "-lOpenCL", "-lm", "-o", str(target)]
    try:
        if not target.exists() or target.stat().st_mtime < SOURCE.stat().st_mtime:
            subprocess.run(command, check=True, capture_output=True)
        made = ctypes.CDLL(str(target))
    except (OSError, subprocess.CalledProcessError):
        raise Unsupported("vkfft_peer.c does not compile; bench/setup-peers vkfft installs what it needs") from None
    made.peer_create.restype = ctypes.c_void_p
    return made


def fftconv(job: Job):
    import numpy as np
    vkfft = library(job.cache)
    version = vkfft.peer_version()
    job.version = f"VkFFT {version // 10000}.{version // 100 % 100}.{version % 100} on PoCL"

    def make(u, h, gate):
        channels, steps = u.shape
        arrays = [ctypes.c_void_p(array.ctypes.data) for array in (u, h, gate)]
        peer = vkfft.peer_create(*arrays, *map(ctypes.c_uint64, (channels, steps, longconv.good_size(2 * steps))))
        if not peer:
            raise Unsupported(f"VkFFT has no transform of {channels} rows of {steps} steps on PoCL")
        peer, first = ctypes.c_void_p(peer), np.empty((1, steps), np.float32)

        def convolve():
            if not vkfft.peer_convolve(peer):
                raise Unsupported("VkFFT failed")
            return lambda: first if vkfft.peer_read(peer, ctypes.c_void_p(first.ctypes.data)) else None
        return convolve
    return longconv.items(job, make)


if __name__ == "__main__":
    serve({"fftconv": fftconv})
