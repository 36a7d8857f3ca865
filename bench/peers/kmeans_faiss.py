#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nearest centroids on the CPU, helicoid's kernel and FAISS's IndexFlatL2 (k = 1) in turns, and whole fits.

    kmeans_faiss.py CHECK HELICOID [ROUNDS]

CHECK is the program tests/check/check. Needs: pip install faiss-cpu==1.15.1 numpy. Both use all processors. Each round runs
one after the other; the figures are medians over the rounds, and the least and greatest ratio of a round.
"""
import csv
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import faiss
import numpy

POINTS = 1 << 18
SHAPES = [(k, d) for d in (4, 8, 16) for k in (256, 1024, 4096)]


def run_check(check):
    """Seconds by (k, d)."""
    made = subprocess.run([check, "--device", "cpu", "--kernel", "kmeans_assign", "--bench"], check=True, text=True,
                          capture_output=True)
    seconds = {}
    for row in csv.DictReader(made.stdout.splitlines()):
        words = row["shape"].split()
        seconds[int(words[3]), int(words[5])] = float(row["median_us"]) / 1e6
    return seconds


def run_faiss(points, centroids):
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(centroids)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        index.search(points, 1)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def compare_assignments(check, rounds):
    random = numpy.random.default_rng(1)
    inputs = {(k, d): (random.uniform(-1, 1, (POINTS, d)).astype("f4"), random.uniform(-1, 1, (k, d)).astype("f4"))
              for k, d in SHAPES}
    ours, theirs = {s: [] for s in SHAPES}, {s: [] for s in SHAPES}
    for _ in range(rounds):
        seconds = run_check(check)
        for shape in SHAPES:
            ours[shape].append(seconds[shape])
            theirs[shape].append(run_faiss(*inputs[shape]))
    print(f"nearest centroid, {POINTS} points: Mpoints/s, ratio (least, greatest)")
    for k, d in SHAPES:
        ratios = [t / o for o, t in zip(ours[k, d], theirs[k, d])]
        speeds = [POINTS / statistics.median(times[k, d]) / 1e6 for times in (ours, theirs)]
        print(f"  d {d:2} k {k:4}: helicoid {speeds[0]:6.2f}, FAISS {speeds[1]:6.2f}, "
              f"{statistics.median(ratios):.2f} ({min(ratios):.2f}, {max(ratios):.2f})")


def compare_fits(helicoid, folder):
    points = numpy.random.default_rng(2).standard_normal((1 << 20, 8)).astype("f4")
    numpy.save(folder / "points.npy", points)
    for k in (256, 4096):
        made = subprocess.run([helicoid, "kmeans", folder / "points.npy", "-k", str(k), "-o", folder / "book.npy", "-f", "--init",
                               "sample", "--iterations", "10", "--tolerance", "0", "-d", "cpu", "--json"], check=True,
                              capture_output=True)
        report = json.loads(made.stdout)
        start = time.perf_counter()
        fit = faiss.Kmeans(8, k, niter=10, seed=1, max_points_per_centroid=1 << 20)
        fit.train(points)
        seconds = time.perf_counter() - start
        error = float(fit.index.search(points, 1)[0].sum(dtype="f8"))
        print(f"2^20 points of 8, 10 iterations, k {k}: helicoid {report['seconds']:.2f} s, error {report['squared_error']:.0f}; "
              f"FAISS {seconds:.2f} s, error {error:.0f}")


def main():
    check, helicoid = sys.argv[1:3]
    compare_assignments(check, int(sys.argv[3]) if len(sys.argv) > 3 else 5)
    with tempfile.TemporaryDirectory() as folder:
        compare_fits(helicoid, pathlib.Path(folder))


if __name__ == "__main__":
    main()
