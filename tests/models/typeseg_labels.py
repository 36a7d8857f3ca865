#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The bidirectional Mamba of the Python package typeseg: the labels of texts are those of its numpy reference, which
make_typeseg.py recorded; compressed, its logits keep their direction.

    typeseg_labels.py PROGRAM LABELS.json DEVICE TEXTS

HELICOID_TYPESEG names the model, as tools/typeseg makes it. Exit 77 where there is none.
"""
import array
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

ALLOWED = {9, 10, 13, *range(0x20, 0x7F)}
PLACEHOLDER = 128  # the token of bytes beyond ASCII, and of others that the model does not know
LEAST_COSINE = 0.999


def tokens_of(text):
    return [byte if byte in ALLOWED else PLACEHOLDER for byte in text.encode()]


def logits_of(program, model, device, text, folder):
    out = folder / "logits.npy"
    tokens = ",".join(map(str, tokens_of(text)))
    subprocess.run([program, "logits", model, "-f", "-q", "-d", device, "--tokens", tokens, "-o", out], check=True)
    data = out.read_bytes()
    return array.array("f", data[10 + int.from_bytes(data[8:10], "little"):])


def labels_of(logits, count):
    columns = len(logits) // count
    rows = (logits[i * columns:(i + 1) * columns] for i in range(count))
    return [max(range(columns), key=row.__getitem__) for row in rows]


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def main():
    program, recorded, device, most = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    model = os.environ.get("HELICOID_TYPESEG")
    if not model:
        print("skipped: HELICOID_TYPESEG names no model")
        return 77
    wrong, count, cosines = 0, 0, []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        small = folder / "small"
        subprocess.run([program, "compress", model, "-q", "-k", "256", "-o", small], check=True)
        for case in json.loads(recorded.read_text())[:most]:
            logits = logits_of(program, model, device, case["text"], folder)
            want = [label for label, length in case["runs"] for _ in range(length)]
            wrong += sum(a != b for a, b in zip(labels_of(logits, len(want)), want, strict=True))
            count += len(want)
            cosines.append(cosine(logits, logits_of(program, small, device, case["text"], folder)))
    print(f"{device}: {count} bytes of {len(cosines)} texts, {wrong} labels differ; compressed cosine at least {min(cosines):.6f}, "
          f"mean {sum(cosines) / len(cosines):.6f}")
    return 1 if wrong or min(cosines) < LEAST_COSINE else 0


if __name__ == "__main__":
    sys.exit(main())
