# SPDX-License-Identifier: Apache-2.0
"""What peers that fit codebooks share."""

BF16 = 1  # the group of the work "fit" whose values peers get


def values_f32(job):
    """The values of the work "fit": bf16 on disk, as f32."""
    import numpy as np
    return (job.array("values").astype(np.uint32) << 16).view(np.float32)


def squared_error(values, codes, piece=1 << 22):
    """Sum over all values of the squared distance to the nearest code, in double precision."""
    import numpy as np
    codes = np.sort(np.asarray(codes, np.float64))
    bounds, total = (codes[1:] + codes[:-1]) / 2, 0.0
    for first in range(0, len(values), piece):
        part = values[first:first + piece].astype(np.float64)
        total += float(((part - codes[np.searchsorted(bounds, part)]) ** 2).sum())
    return total
