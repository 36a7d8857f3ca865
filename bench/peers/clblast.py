#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CLBlast's sgemv and sgemm on PoCL, OpenCL in software: beside `--device opencl`, not beside the CPU's own kernels."""
import ctypes

from protocol import Item, Job, Unsupported, error_db, serve, stopwatch

ROW_MAJOR, PLAIN, TRANSPOSED, READ_WRITE_COPY = 101, 111, 112, 1 | 32
POINTER, SIZE = ctypes.c_void_p, ctypes.c_size_t


def library(name):
    try:
        return ctypes.CDLL(name)
    except OSError:
        raise Unsupported(f"{name} is not installed; bench/setup-peers clblast installs it") from None


class Device:
    """A queue on PoCL's first device, and buffers there."""

    def __init__(self):
        self.lib = library("libOpenCL.so.1")
        for name in "clCreateContext", "clCreateCommandQueue", "clCreateBuffer":
            getattr(self.lib, name).restype = POINTER
        platform = self.pocl()
        self.id, status = POINTER(), ctypes.c_int32()
        self.check(self.lib.clGetDeviceIDs(platform, ctypes.c_uint64(0xFFFFFFFF), 1, ctypes.byref(self.id), None))
        told = ctypes.byref(status)
        self.context = POINTER(self.lib.clCreateContext(None, 1, ctypes.byref(self.id), None, None, told))
        self.check(status.value)
        self.queue = POINTER(self.lib.clCreateCommandQueue(self.context, self.id, ctypes.c_uint64(0), told))
        self.check(status.value)

    def pocl(self):
        count, ids = ctypes.c_uint32(), (POINTER * 16)()
        self.lib.clGetPlatformIDs(16, ids, ctypes.byref(count))
        for platform in ids[:count.value]:
            name = ctypes.create_string_buffer(256)
            self.lib.clGetPlatformInfo(POINTER(platform), 0x0902, SIZE(256), name, None)
            if name.value == b"Portable Computing Language":
                return POINTER(platform)
        raise Unsupported("there is no PoCL")

    @staticmethod
    def check(status):
        if status != 0:
            raise Unsupported(f"OpenCL or CLBlast failed with {status}")

    def buffer(self, array):
        status = ctypes.c_int32()
        made = POINTER(self.lib.clCreateBuffer(self.context, ctypes.c_uint64(READ_WRITE_COPY), SIZE(array.nbytes),
                                               POINTER(array.ctypes.data), ctypes.byref(status)))
        self.check(status.value)
        return made

    def read(self, buffer, array):
        self.check(self.lib.clEnqueueReadBuffer(self.queue, buffer, 1, SIZE(0), SIZE(array.nbytes),
                                                POINTER(array.ctypes.data), 0, None, None))

    def finish(self):
        self.check(self.lib.clFinish(self.queue))


def product(job: Job):
    import numpy as np
    device, blas = Device(), library("libclblast.so.1")
    w, x, exact = job.array("w"), job.array("x"), job.array("y")
    job.version = "CLBlast, libclblast.so.1"
    (rows, cols), columns = w.shape, len(x)
    weights = [device.buffer(w) for _ in range(job.copies(w.nbytes))]
    result = np.zeros((columns, rows), np.float32)
    inputs, outputs = device.buffer(x), device.buffer(result)
    one, none = ctypes.c_float(1), ctypes.c_float(0)

    def multiply(matrix):
        queue, start = ctypes.byref(device.queue), SIZE(0)
        if columns == 1:
            return blas.CLBlastSgemv(ROW_MAJOR, PLAIN, SIZE(rows), SIZE(cols), one, matrix, start, SIZE(cols), inputs,
                                     start, SIZE(1), none, outputs, start, SIZE(1), queue, None)
        return blas.CLBlastSgemm(ROW_MAJOR, PLAIN, TRANSPOSED, SIZE(columns), SIZE(rows), SIZE(cols), one, inputs,
                                 start, SIZE(cols), matrix, start, SIZE(cols), none, outputs, start, SIZE(rows), queue,
                                 None)

    def walk():
        for matrix in weights:
            device.check(multiply(matrix))
        device.finish()
    walk()
    device.read(outputs, result)
    values = {"flops": 2 * w.size * columns, "signal_to_error_db": error_db(result[:len(exact)], exact)}
    if columns == 1:
        values["bytes"] = w.nbytes
    return [Item("f32", lambda: stopwatch(walk)[0] / len(weights), values)]


if __name__ == "__main__":
    serve({"matvec": product, "matmul": product})
