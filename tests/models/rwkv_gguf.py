#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""RWKV-6 and 7 in GGUF, as llama.cpp writes them: the models of tests/data/rwkv put into that format give the same logits.

    rwkv_gguf.py PROGRAM FOLDER [KEPT]

Low-rank factors stand there transposed, mixes of tokens in one tensor (in older files of version 6 each in its own), and what
version 6 halves every few layers is halved; the first layer of version 7 has parts that nothing reads. With KEPT the files stay
in that folder.
"""
import json
import math
import pathlib
import struct
import subprocess
import sys
import tempfile

import gguf_write
import ssm_reference

LIMIT = 1e-5
TOKENS, VOCABULARY, HEAD = 64, 29, 16
ENDS = {"emb.weight": "token_embd.weight", "blocks.0.ln0.weight": "token_embd_norm.weight",
        "blocks.0.ln0.bias": "token_embd_norm.bias", "ln_out.weight": "output_norm.weight", "ln_out.bias": "output_norm.bias", "head.weight": "output.weight"}
SHARED = {"ln1": "attn_norm", "ln2": "attn_norm_2", "att.ln_x": "time_mix_ln", "att.receptance": "time_mix_receptance",
          "att.key": "time_mix_key", "att.value": "time_mix_value", "att.output": "time_mix_output", "att.gate": "time_mix_gate",
          "ffn.key": "channel_mix_key", "ffn.value": "channel_mix_value", "ffn.receptance": "channel_mix_receptance"}
SIXTH = {"att.time_maa_x": "time_mix_lerp_x", "att.time_maa_w1": "time_mix_w1", "att.time_maa_w2": "time_mix_w2",
         "att.time_decay": "time_mix_decay", "att.time_faaaa": "time_mix_first", "att.time_decay_w1": "time_mix_decay_w1",
         "att.time_decay_w2": "time_mix_decay_w2", "ffn.time_maa_k": "channel_mix_lerp_k", "ffn.time_maa_r": "channel_mix_lerp_r"}
SEVENTH = {"ffn.x_k": "channel_mix_lerp_k", **{f"att.{part}": f"time_mix_{part}" for part in (
    "w0", "w1", "w2", "a0", "a1", "a2", "v0", "v1", "v2", "g1", "g2", "k_k", "k_a", "r_k")}}
TURNED = ("time_maa_w1", "time_maa_w2", "time_decay_w1", "time_decay_w2", "att.w1", "att.w2", "att.a1", "att.a2", "att.v1",
          "att.v2", "att.g1", "att.g2")


def read_tensors(path):
    """Shapes and values of F16 and F32 tensors by name."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, info in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            begin = 8 + size + info["data_offsets"][0]
            letter = {"F16": "e", "F32": "f"}[info["dtype"]]
            tensors[name] = info["shape"], list(struct.unpack_from(f"<{math.prod(info['shape'])}{letter}", data, begin))
    return tensors


def turn(shape, values):
    """The last two sides exchanged."""
    *outer, rows, cols = shape
    blocks = [values[i:i + rows * cols] for i in range(0, len(values), rows * cols)]
    return [*outer, cols, rows], [block[r * cols + c] for block in blocks for c in range(cols) for r in range(rows)]


def in_layer(name, shape, values, rescale, names):
    """GGUF's name, shape and values of a tensor of a layer."""
    _, layer, rest = name.split(".", 2)
    module, _, ending = rest.rpartition(".")
    known = {**SHARED, **names}
    if rest.endswith(TURNED):
        shape, values = turn(shape, values)
    if module in ("att.output", "ffn.value") and rescale:
        values = [v / 2 ** (int(layer) // rescale) for v in values]
    if ending in ("weight", "bias"):
        return f"blk.{layer}.{known[module]}.{ending}", shape, values
    shape = [len(values)] if rest == "att.r_k" else [side for side in shape if side > 1]
    return f"blk.{layer}.{known[rest]}.weight", shape, values


def convert(tensors, version, rescale, fused):
    order, prefix, names = ("wkvrg", "att.time_maa_", SIXTH) if version == 6 else ("rwkvag", "att.x_", SEVENTH)
    mixes = {f"{prefix}{letter}": f"time_mix_lerp_{letter}" for letter in order}
    out = {}
    for name, (shape, values) in tensors.items():
        if name in ENDS:
            out[ENDS[name]] = shape[::-1], values
            continue
        rest = name.split(".", 2)[2]
        if version == 7 and name.startswith("blocks.0.att.v") and "value" not in name or (fused and rest in mixes):
            continue
        ours, shape, values = in_layer(name, shape, values, rescale, {**names, **mixes})
        out[ours] = shape[::-1], values
    layers = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("blocks."))
    for layer in range(layers):
        rows = [tensors[f"blocks.{layer}.{mix}"][1] for mix in mixes]
        if fused:
            out[f"blk.{layer}.time_mix_lerp_fused.weight"] = [len(rows[0]), 1, 1, len(rows)], [v for row in rows for v in row]
    if version == 7:
        for part in "012":
            out[f"blk.0.time_mix_v{part}.weight"] = out[f"blk.0.time_mix_a{part}.weight"]
    return layers, out


def numbers_of(tensors, version, layers, rescale):
    def side(name, index):
        return tensors[f"blocks.1.{name}"][0][index]
    numbers = {"context_length": 1 << 20, "embedding_length": tensors["emb.weight"][0][1], "block_count": layers,
               "feed_forward_length": side("ffn.key.weight", 0), "attention.head_count": 0, "attention.layer_norm_epsilon": 1e-5,
               "wkv.head_size": HEAD}
    if version == 6:
        return {**numbers, "rescale_every_n_layers": rescale, "time_mix_extra_dim": side("att.time_maa_w1", 1) // 5,
                "time_decay_extra_dim": side("att.time_decay_w1", 1)}
    return {**numbers, "attention.decay_lora_rank": side("att.w1", 1), "attention.iclr_lora_rank": side("att.a1", 1),
            "attention.value_residual_mix_lora_rank": side("att.v1", 1), "attention.gate_lora_rank": side("att.g1", 1)}


def logits_of(program, model, folder):
    out = pathlib.Path(folder) / "logits.npy"
    ids = ",".join(str((7919 * i + 13) % VOCABULARY) for i in range(TOKENS))
    subprocess.run([program, "logits", model, "-q", "-f", "-d", "cpu", "--tokens", ids, "-o", out], check=True)
    return ssm_reference.read_npy(out)[1]


def main():
    program, root = sys.argv[1], pathlib.Path(sys.argv[2])
    failed = False
    for version, rescale, fused in ((6, 0, True), (6, 1, True), (6, 2, False), (7, 0, True)):
        tensors = read_tensors(root / f"rwkv{version}.safetensors")
        layers, converted = convert(tensors, version, rescale, fused)
        with tempfile.TemporaryDirectory() as folder:
            kept = pathlib.Path(sys.argv[3] if len(sys.argv) > 3 else folder)
            model = kept / f"rwkv{version}-{rescale}{'' if fused else '-apart'}.gguf"
            gguf_write.write(model, f"rwkv{version}", numbers_of(tensors, version, layers, rescale), converted)
            want = logits_of(program, root / f"rwkv{version}.safetensors", folder)
            worst = max(abs(a - b) for a, b in zip(logits_of(program, model, folder), want, strict=True))
        how = "in one tensor" if fused else "apart"
        print(f"version {version}, halved every {rescale} layers, mixes {how}: off by {worst:.1e}")
        failed |= not worst <= LIMIT
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
