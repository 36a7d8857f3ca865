#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Mamba in a wheel of typeseg as a checkpoint that Helicoid runs: config.json and model.safetensors.

    typeseg.py WHEEL FOLDER

Matrices lie there as Flax has them, inputs by outputs; here they are outputs by inputs.
"""
import array
import ast
import io
import json
import math
import pathlib
import struct
import sys
import zipfile

LAYER = {
    "LayerNorm_0__scale": "norm.weight", "LayerNorm_0__bias": "norm.bias",
    "Dense_0__kernel": "mixer.in_proj.weight", "Dense_0__bias": "mixer.in_proj.bias",
    "Conv_0__kernel": "mixer.conv1d.weight", "Conv_0__bias": "mixer.conv1d.bias",
    "Dense_1__kernel": "mixer.x_proj.weight", "Dense_1__bias": "mixer.x_proj.bias",
    "Dense_2__kernel": "mixer.dt_proj.weight", "Dense_2__bias": "mixer.dt_proj.bias",
    "A_log": "mixer.A_log", "D": "mixer.D",
    "Dense_3__kernel": "mixer.out_proj.weight", "Dense_3__bias": "mixer.out_proj.bias",
}
ENDS = {
    "Embed_0__embedding": "backbone.embeddings.weight", "LayerNorm_0__scale": "backbone.norm_f.weight",
    "LayerNorm_0__bias": "backbone.norm_f.bias", "Dense_0__kernel": "classifier.weight", "Dense_0__bias": "classifier.bias",
}


def read_npy(data):
    size = struct.unpack("<H", data[8:10])[0]
    header = ast.literal_eval(data[10:10 + size].decode())
    assert header["descr"] == "<f4" and not header["fortran_order"]
    values = array.array("f", data[10 + size:])
    assert len(values) == math.prod(header["shape"])
    return list(header["shape"]), values


def turned(shape, values):
    """[inputs, 1,] outputs -> outputs, [1,] inputs."""
    outputs = shape[-1]
    return shape[::-1], array.array("f", (value for o in range(outputs) for value in values[o::outputs]))


def rename(name):
    prefix, _, rest = name.partition("__")
    if prefix.startswith("CheckpointMambaBlock1D_"):
        return f"backbone.layers.{prefix.rpartition('_')[2]}.{LAYER[rest]}"
    return ENDS[name]


def main():
    wheel, folder = zipfile.ZipFile(sys.argv[1]), pathlib.Path(sys.argv[2])
    manifest = json.loads(wheel.read("typeseg/data/manifest.json"))
    weights = zipfile.ZipFile(io.BytesIO(wheel.read(f"typeseg/data/{manifest['mamba']['file']}")))
    header, body = {}, bytearray()
    for file in sorted(weights.namelist()):
        name = file.removesuffix(".npy")
        shape, values = read_npy(weights.read(file))
        if name.endswith("__kernel"):
            shape, values = turned(shape, values)
        header[rename(name)] = {"dtype": "F32", "shape": shape, "data_offsets": [len(body), len(body) + 4 * len(values)]}
        body += values.tobytes()
    shape_of = {name: info["shape"] for name, info in header.items()}
    config = {
        "architectures": ["BidirectionalMambaForTokenClassification"], "model_type": "bidirectional_mamba",
        "vocab_size": shape_of["backbone.embeddings.weight"][0], "hidden_size": shape_of["backbone.embeddings.weight"][1],
        "num_hidden_layers": manifest["mamba"]["n_layers"], "intermediate_size": shape_of["backbone.layers.0.mixer.D"][0],
        "state_size": manifest["mamba"]["d_state"], "conv_kernel": manifest["mamba"]["d_conv"],
        "time_step_rank": manifest["mamba"]["dt_rank"], "time_step_offset": 1e-4, "layer_norm_epsilon": 1e-6,
        "hidden_act": "silu", "num_labels": manifest["num_classes"],
        "id2label": {str(i): label for i, label in enumerate(manifest["labels"])},
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)


if __name__ == "__main__":
    sys.exit(main())
