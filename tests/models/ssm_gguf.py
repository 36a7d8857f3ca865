#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mamba and Mamba-2 in GGUF, as llama.cpp writes them: the models of tests/data/ssm put into that format give the same logits.

    ssm_gguf.py PROGRAM FOLDER

A stands there as itself, not as a logarithm; Mamba-2's D and A are columns, and its norm has a row for each group.
"""
import json
import math
import pathlib
import subprocess
import sys
import tempfile

import gguf_write
import ssm_reference

LIMIT = 1e-3
ENDS = {"backbone.embeddings.weight": "token_embd.weight", "backbone.norm_f.weight": "output_norm.weight", "lm_head.weight": "output.weight"}
LAYER = {"norm.weight": "attn_norm.weight", "mixer.in_proj": "ssm_in", "mixer.conv1d": "ssm_conv1d", "mixer.x_proj": "ssm_x",
         "mixer.dt_proj": "ssm_dt", "mixer.dt_bias": "ssm_dt.bias", "mixer.A_log": "ssm_a", "mixer.D": "ssm_d",
         "mixer.norm": "ssm_norm", "mixer.out_proj": "ssm_out"}


def rename(name):
    if name in ENDS:
        return ENDS[name]
    _, _, layer, rest = name.split(".", 3)
    for ours, theirs in LAYER.items():
        if rest == ours or rest.startswith(ours + "."):
            return f"blk.{layer}.{theirs}{rest[len(ours):]}"
    raise KeyError(name)


def write_gguf(path, kind, config, weights):
    second = kind == "mamba2"
    inner = 2 * config["hidden_size"]
    numbers = {"embedding_length": config["hidden_size"], "block_count": config["num_hidden_layers"], "context_length": 1 << 20,
               "feed_forward_length": 0, "attention.head_count": 0, "attention.layer_norm_rms_epsilon": config["layer_norm_epsilon"],
               "ssm.conv_kernel": config["conv_kernel"], "ssm.inner_size": inner, "ssm.state_size": config["state_size"],
               "ssm.time_step_rank": config["num_heads"] if second else config["time_step_rank"]}
    if second:
        numbers["ssm.group_count"] = config["n_groups"]
    if kind == "falcon_mamba":
        kind, numbers["ssm.dt_b_c_rms"], numbers["attention.layer_norm_rms_epsilon"] = "mamba", True, config["mixer_rms_eps"]
    tensors = {}
    for name, rows in weights.items():
        values = [v for row in rows for v in row] if isinstance(rows[0], list) else list(rows)
        shape = [len(rows[0]), len(rows)] if isinstance(rows[0], list) else [len(rows)]
        if name.endswith("A_log"):
            values = [-math.exp(v) for v in values]
        if second and name.endswith(("A_log", ".D")):
            shape = [1, len(values)]
        tensors[rename(name)] = shape, values
    gguf_write.write(path, kind, numbers, tensors)


def main():
    program, root = sys.argv[1], pathlib.Path(sys.argv[2])
    ids = ",".join(map(str, ssm_reference.read_npy(root / "ids.npy")[1]))
    failed = False
    for name in ("mamba", "mamba_untied", "falcon_mamba", "mamba2"):
        source = root / name
        config, weights = json.loads((source / "config.json").read_text()), ssm_reference.read_weights(source / "model.safetensors")
        want = ssm_reference.read_npy(source / "logits.npy")[1]
        if name == "mamba2":  # groups of the norm are what transformers leave out: hold those to the reference
            want = ssm_reference.logits_of(source, ssm_reference.read_npy(root / "ids.npy")[1], config["n_groups"])
        with tempfile.TemporaryDirectory() as folder:
            model, out = pathlib.Path(folder) / "model.gguf", pathlib.Path(folder) / "logits.npy"
            write_gguf(model, config["model_type"], config, weights)
            subprocess.run([program, "logits", model, "-q", "-d", "cpu", "--tokens", ids, "-o", out], check=True)
            worst = max(abs(a - b) for a, b in zip(ssm_reference.read_npy(out)[1], want, strict=True))
        print(f"{name}: off by {worst:.1e}")
        failed |= not worst <= LIMIT
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
