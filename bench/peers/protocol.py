# SPDX-License-Identifier: Apache-2.0
"""The lines that `helicoid bench` and its peers exchange (docs/benchmarks.md), and what all peers need.

A peer is a script that calls serve({"matvec": prepare, ...}). prepare(job) returns a list of Item; each item's `round`
does the work once and returns seconds, or (seconds, {"signal_to_error_db": ...}). Raise Unsupported for what this
machine or this peer cannot do. Import heavy modules inside prepare: by then the number of threads is in the
environment.
"""
import dataclasses
import os
import pathlib
import sys
import time
import typing

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERSION = "1"
THREAD_VARIABLES = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POCL_MAX_PTHREAD_COUNT"]


class Unsupported(Exception):
    pass


@dataclasses.dataclass
class Item:
    name: str
    round: typing.Callable
    values: dict = dataclasses.field(default_factory=dict)  # bytes, flops, tokens of what is timed; group


class Job:
    """What is asked for: settings (all whole numbers), the folder of the run's data, a folder that stays."""

    def __init__(self):
        self.work, self.settings, self.data, self.cache = "", {}, None, None
        self.version = ""  # prepare says here what is measured

    def __getitem__(self, name):
        return self.settings[name]

    def array(self, name):
        import numpy as np
        return np.load(self.data / f"{name}.npy")

    def copies(self, size):
        """How many copies of a matrix of so many bytes a round walks through, so that no cache holds them."""
        return max(1, -(-self["bytes"] // size))


def use_environment():
    """Starts again in the environment that bench/setup-peers made, where there is one."""
    python = os.environ.get("HELICOID_PEERS_PYTHON") or str(ROOT / "build" / "peers" / "bin" / "python")
    inside = pathlib.Path(sys.prefix) == pathlib.Path(python).parents[1]
    if not inside and os.access(python, os.X_OK):
        os.execv(python, [python, *sys.argv])


def stopwatch(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def fastest(functions, tries=3):
    """The one of several ways to do the same that takes least time."""
    return min(functions, key=lambda function: min(stopwatch(function)[0] for _ in range(tries)))


def over_copies(functions, finish=None):
    """Mean time of one of several calls that do the same on other memory; finish() waits for those that only begin it."""
    start = time.perf_counter()
    for function in functions:
        function()
    if finish:
        finish()
    return (time.perf_counter() - start) / len(functions)


def error_db(result, exact):
    """10 log10(signal / error) against exact values in double precision."""
    import numpy as np
    difference = np.asarray(result, np.float64).reshape(exact.shape) - exact
    return float(10 * np.log10((exact ** 2).sum() / max((difference ** 2).sum(), 1e-300)))


def _format(values):
    return "".join(f" {key}={float(value):.9g}" for key, value in values.items())


def _read_job(lines):
    job = Job()
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        if word == "helicoid-bench" and rest != VERSION:
            raise Unsupported(f"protocol {rest} is not {VERSION}")
        if word == "work":
            job.work = rest
        elif word == "set":
            name, value = rest.split()
            job.settings[name] = int(value)
        elif word == "data":
            job.data = pathlib.Path(rest)
        elif word == "cache":
            job.cache = pathlib.Path(rest)
        elif word == "prepare":
            return job
    sys.exit(0)


def serve(works):
    use_environment()
    say = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    try:
        job = _read_job(sys.stdin)
        for name in THREAD_VARIABLES:
            os.environ[name] = str(job["threads"])
        if job.work not in works:
            raise Unsupported("has no such work")
        items = {item.name: item for item in works[job.work](job)}
    except ModuleNotFoundError as missing:
        print(f"unsupported {missing.name} is not installed; bench/setup-peers installs it", file=say)
        return
    except Unsupported as why:
        print(f"unsupported {why}", file=say)
        return
    if job.version:
        print(f"version {job.version}", file=say)
    for item in items.values():
        print(f"item {item.name}{_format(item.values)}", file=say)
    print("ready", file=say)
    for line in sys.stdin:
        word, _, name = line.strip().partition(" ")
        if word != "round" or name not in items:
            break
        answer = items[name].round()
        seconds, values = answer if isinstance(answer, tuple) else (answer, {})
        print(f"seconds {seconds:.9g}{_format(values)}", file=say)
