#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Made tests/data/typeseg/labels.json once, with numpy and typeseg 0.2.7's own numpy reference:

    make_typeseg.py REPOSITORY TYPESEG LABELS.json

Fifty texts, snippets written for this and pieces of this repository's files, and the label that the bidirectional Mamba gives to
each byte, as runs [label, bytes].
"""
import itertools
import json
import pathlib
import sys

import numpy as np

SNIPPETS = [
    "def area(radius):\n    \"\"\"Of a circle.\"\"\"\n    return 3.14159 * radius ** 2\n\nprint([area(r) for r in range(5)])\n",
    "package main\n\nimport \"fmt\"\n\nfunc main() {\n\tfor i := 0; i < 3; i++ {\n\t\tfmt.Println(\"row\", i)\n\t}\n}\n",
    "SELECT name, COUNT(*) AS uses FROM kernels\nJOIN devices ON devices.id = kernels.device\nWHERE uses > 10 GROUP BY name;\n",
    "fn main() {\n    let rows: Vec<u32> = (0..8).map(|x| x * x).collect();\n    println!(\"{:?}\", rows);\n}\n",
    "services:\n  web:\n    image: nginx:1.25\n    ports:\n      - \"8080:80\"\n    restart: always\n",
    "class Stack\n  def initialize\n    @items = []\n  end\n\n  def push(x)\n    @items << x\n  end\nend\n",
    "public class Main {\n    public static void main(String[] args) {\n        System.out.println(\"Helicoid\");\n    }\n}\n",
    "{\"name\": \"helicoid\", \"sizes\": [1, 2, 3], \"nested\": {\"ok\": true, \"none\": null}}\n",
    "body { margin: 0; font-family: serif; }\n.note > p:first-child { color: #334455; padding: 4px 8px; }\n",
    "<!DOCTYPE html>\n<html><head><title>Scan</title></head>\n<body><p class=\"x\">Hello <b>there</b></p></body></html>\n",
    "device,tokens,seconds\ncpu,128,0.52\nvulkan,128,0.31\nopencl,128,0.44\n",
    "#!/bin/sh\nset -eu\nfor f in *.c; do\n    cc -O2 -c \"$f\" || exit 1\ndone\necho \"built $(ls *.o | wc -l)\"\n",
    "Get-ChildItem -Path C:\\Logs -Filter *.log | Where-Object { $_.Length -gt 1MB } | Remove-Item -WhatIf\n",
    "FROM debian:bookworm\nRUN apt-get update && apt-get install -y gcc\nCOPY . /src\nWORKDIR /src\nCMD [\"make\", \"test\"]\n",
    "fun main() {\n    val words = listOf(\"a\", \"bb\", \"ccc\")\n    println(words.sumOf { it.length })\n}\n",
    "# Notes\n\nA *state space model* keeps `h` between steps:\n\n- read `x`\n- update `h`\n- write `y`\n",
    "\\section{Scans}\nLet $h_t = e^{\\Delta A} h_{t-1} + \\Delta B x_t$ with\n\\begin{equation} y_t = C h_t \\end{equation}\n",
    "<?xml version=\"1.0\"?>\n<model><layer id=\"1\" kind=\"scan\"/><layer id=\"2\" kind=\"norm\"/></model>\n",
    "<?php\nfunction greet($who) {\n    return \"Hello, \" . htmlspecialchars($who);\n}\necho greet($_GET['who'] ?? 'world');\n",
    "const sum = (xs) => xs.reduce((a, b) => a + b, 0);\nexport async function load(url) {\n  const r = await fetch(url);\n  return r.json();\n}\n",
    "SGVsaWNvaWQgcnVucyBjb21wcmVzc2VkIG1vZGVscyBvbiBhbnkgZGV2aWNlLCBmcm9tIGEgcGhvbmUgdG8gYSBzZXJ2ZXIu\n",
    "The committee met on Tuesday. It was decided, after some debate, to postpone the matter until spring.\n",
    "48656c69636f69642072756e7320636f6d70726573736564206d6f64656c73206f6e20616e7920646576696365\n",
    "Gr\u00fc\u00dfe aus Z\u00fcrich \u2014 na\u00efve caf\u00e9, \u65e5\u672c\u8a9e and {\"key\": \"v\u00e4lue\"} mixed together.\n",
    "x",
]
FILES = ["src/models/mamba.c", "shaders/ssm_scan.k", "tools/test", "docs/architecture.md", "meson.build", "tests/models/ssm_reference.py",
         "tests/data/ssm/zamba2/config.json", "tests/data/text/alice.txt", "src/ops/ssm.h", "tools/kernels.py"]


def texts(root):
    for snippet in SNIPPETS:
        yield snippet
    for i, (file, begin) in enumerate(itertools.product(FILES, (0, 400))):
        yield (root / file).read_text()[begin:begin + 150 + 17 * i]
    for first, second in zip(SNIPPETS[0:10:2], SNIPPETS[1:10:2]):  # one kind within another
        yield first + second


def main():
    root = pathlib.Path(sys.argv[1])
    sys.path.insert(0, sys.argv[2])
    from typeseg import _numpy_backend, _runtime, _tokenize
    config, weights = _runtime._manifest()["mamba"], _runtime._weights("mamba_al.npz")
    cases = []
    for text in texts(root):
        logits = _numpy_backend.mamba_forward(weights, _tokenize.text_to_bytes(text), config["n_layers"], config["d_state"],
                                              config["dt_rank"], config["d_conv"])
        best = np.sort(logits, axis=1)
        print(f"{len(logits)} bytes, the closest call by {np.min(best[:, -1] - best[:, -2]):.1e}")
        cases.append({"text": text, "runs": [[int(label), len(list(run))] for label, run in itertools.groupby(logits.argmax(axis=1))]})
    assert len(cases) == 50
    pathlib.Path(sys.argv[3]).write_text(json.dumps(cases, indent=0) + "\n")


main()
