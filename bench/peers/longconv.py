# SPDX-License-Identifier: Apache-2.0
"""What the peers of the work fftconv share: shapes, rows, exact values, and how a pipeline is timed."""
import time

from protocol import Item, error_db

PLACES = 64
FEW_TAPS = 256  # up to which direct sums are tried


def lengths(job):
    return [job[f"steps_{i + 1}"] for i in range(job["lengths"])]


def taps(job, steps):
    """Of the filters, zeros in h behind them."""
    return min(job["taps"], steps)


def rows(job, name, steps):
    import numpy as np
    return np.ascontiguousarray(job.array(name)[:, :steps])


def exact(u, h, gate):
    """The first row at a few places, each summed in double precision."""
    import numpy as np
    steps = u.shape[1]
    v, taps = u[0].astype(np.float64) * gate[0], h[0].astype(np.float64)
    places = [(steps - 1) * (i + 1) // PLACES for i in range(PLACES)]
    return places, np.array([np.dot(taps[:t + 1], v[t::-1]) * gate[0, t] for t in places])


def good_size(least):
    """The least size with factors 2, 3, 5, 7 that is even and not below."""
    size = least + least % 2
    while True:
        rest = size
        for factor in (2, 3, 5, 7):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return size
        size += 2


def items(job, make):
    """One item a length: make(u, h, gate) returns a function that gives y, as something numpy can read, or a function that
    fetches it, or its first row, after the time is taken."""
    import numpy as np
    result = []
    for index, steps in enumerate(lengths(job)):
        u, h, gate = (rows(job, name, steps) for name in ("u", "h", "gate"))
        places, want = exact(u, h, gate)
        convolve = make(u, h, gate)

        def once(convolve=convolve, places=places, want=want):
            start = time.perf_counter()
            y = convolve()
            seconds = time.perf_counter() - start
            y = y() if callable(y) else y
            return seconds, {"signal_to_error_db": error_db(np.asarray(y)[0, places], want)}
        result.append(Item(f"L{steps}", once, {"bytes": 16 * u.size, "group": index + 1}))
    return result
