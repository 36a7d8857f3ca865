# SPDX-License-Identifier: Apache-2.0
"""The work scan in PyTorch: Mamba's recurrence step by step, as its reference implementations have it without kernels of their own,
and Mamba-2's by chunks of products (Dao and Gu 2024)."""
import time

from protocol import Item, Job, error_db

HEAD_DIM, CHUNK, PLACES = 64, 64, 64


def scan(job: Job):
    import numpy as np
    import torch
    job.version = f"torch {torch.__version__}"
    torch.set_num_threads(job["threads"])
    torch.set_grad_enabled(False)
    x, dt, bc, z, a, d = (torch.from_numpy(job.array(name)) for name in ("x", "dt", "bc", "z", "a", "d"))
    steps, channels = x.shape
    half, heads = job["heads_state"], channels // HEAD_DIM
    few = (bc[:, :job["state"]], bc[:, half:half + job["state"]])
    forms = {"mamba": lambda: recurrence(torch, x, dt, *few, z, a, d[0])}
    if channels % HEAD_DIM == 0:
        forms["mamba2"] = lambda: chunks(torch, x, dt[:, :heads], bc[:, :half], bc[:, half:], a[0, :heads], d[0, :heads])
    places = [(steps - 1) * (i + 1) // PLACES for i in range(PLACES)]
    arrays = [np.asarray(v, np.float64) for v in (x, dt, bc, z, a, d[0])]
    items = []
    for group, (name, run) in enumerate(forms.items(), 1):
        want = exact(np, arrays, half if name == "mamba2" else job["state"], half, name == "mamba2")[places]

        def once(run=run, want=want):
            start = time.perf_counter()
            y = run()
            seconds = time.perf_counter() - start
            return seconds, {"signal_to_error_db": error_db(y[places, 0].numpy(), want)}
        items.append(Item(name, once, {"tokens": steps, "group": group}))
    return items


def exact(np, arrays, state, half, heads):
    """The first channel in double precision."""
    x, dt, bc, z, a, d = arrays
    h, out = np.zeros(state), np.empty(len(x))
    rate = a[0, 0] if heads else a[:, 0]
    for t in range(len(x)):
        step = np.log1p(np.exp(dt[t, 0] + (d[0] if heads else 0)))
        h = np.exp(step * rate) * h + step * bc[t, :state] * x[t, 0]
        out[t] = bc[t, half:half + state] @ h + d[0] * x[t, 0]
    return out if heads else out * z[:, 0] / (1 + np.exp(-z[:, 0]))


def recurrence(torch, x, dt, b, c, z, a, d):
    dt = torch.nn.functional.softplus(dt)
    shrink = torch.exp(dt[:, :, None] * a.T)
    driven = (dt * x)[:, :, None] * b[:, None, :]
    h, y = torch.zeros_like(driven[0]), torch.empty_like(x)
    for t in range(len(x)):
        h = torch.addcmul(driven[t], shrink[t], h)
        torch.mv(h, c[t], out=y[t])
    return (y + d * x) * torch.nn.functional.silu(z)


def chunks(torch, x, dt, b, c, a, d):
    steps, heads = dt.shape
    size = next(size for size in range(CHUNK, 0, -1) if steps % size == 0)
    dt = torch.nn.functional.softplus(dt + d)
    x = x.view(steps // size, size, heads, -1)
    driven = dt.view(-1, size, heads, 1) * x
    b, c = b.view(-1, size, b.shape[1]), c.view(-1, size, c.shape[1])
    sums = (dt * a).view(-1, size, heads).cumsum(1)
    below = torch.ones(size, size, dtype=torch.bool).tril()
    between = (sums[:, :, None] - sums[:, None]).masked_fill(~below[:, :, None], -torch.inf).exp()
    mixed = (c @ b.transpose(1, 2))[..., None] * between
    y = torch.einsum("kqsh,kshp->kqhp", mixed, driven)
    made = torch.einsum("kqn,kqhp->khpn", b, driven * (sums[:, -1:] - sums).exp()[..., None])
    before, h = torch.empty_like(made), torch.zeros_like(made[0])
    for k, whole in enumerate(sums[:, -1].exp()):
        before[k] = h
        h = whole[:, None, None] * h + made[k]
    y += torch.einsum("kqn,khpn->kqhp", c, before) * sums.exp()[..., None]
    return (y + d[:, None] * x).reshape(steps, -1)
