#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""FFTW in single precision, measured plans, through pyFFTW: gate, pad, transform, multiply, back, crop, gate."""
import longconv
from protocol import Job, serve


def fftconv(job: Job):
    import numpy as np
    import pyfftw
    job.version = f"FFTW {pyfftw.fftw_version.split('-')[-1]} pyFFTW {pyfftw.__version__}" if hasattr(pyfftw, "fftw_version") \
        else f"pyFFTW {pyfftw.__version__}"

    def make(u, h, gate):
        channels, steps = u.shape
        size = longconv.good_size(steps + longconv.taps(job, steps))
        plain = pyfftw.zeros_aligned((channels, size), "float32")
        spectrum = pyfftw.zeros_aligned((channels, size // 2 + 1), "complex64")
        options = {"axes": (1,), "threads": job["threads"], "flags": ("FFTW_MEASURE",)}
        there = pyfftw.FFTW(plain, spectrum, **options)
        back = pyfftw.FFTW(spectrum, plain, direction="FFTW_BACKWARD", flags=("FFTW_MEASURE", "FFTW_DESTROY_INPUT"),
                           axes=(1,), threads=job["threads"])
        plain[:] = 0
        plain[:, :steps] = h
        there.execute()
        filters = spectrum / np.float32(size)
        y = np.empty_like(u)

        def convolve():
            np.multiply(u, gate, out=plain[:, :steps])
            plain[:, steps:] = 0
            there.execute()
            np.multiply(spectrum, filters, out=spectrum)
            back.execute()
            np.multiply(plain[:, :steps], gate, out=y)
            return y
        return convolve
    return longconv.items(job, make)


if __name__ == "__main__":
    serve({"fftconv": fftconv})
