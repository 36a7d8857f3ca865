#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mamba, Mamba-2 and Zamba2 in double precision, from their papers and nothing but Python: the logits of each folder of
tests/data/ssm, held to its logits.npy.

    ssm_reference.py FOLDER
"""
import ast
import json
import math
import pathlib
import struct
import sys

LIMIT = 1e-4  # what float32 made of the same weights


# ---------------------------------------------------------------- files

def read_npy(path):
    data = path.read_bytes()
    size = struct.unpack("<H", data[8:10])[0]
    header = ast.literal_eval(data[10:10 + size].decode())
    count = math.prod(header["shape"])
    return header["shape"], struct.unpack(f"<{count}{'f' if header['descr'] == '<f4' else 'I'}", data[10 + size:])


def read_weights(path):
    """Tensors of bfloat16 by name: rows of floats, whatever the rank."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    weights = {}
    for name, info in json.loads(data[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = info["data_offsets"]
        halves = struct.unpack(f"<{(end - begin) // 2}H", data[8 + size + begin:8 + size + end])
        values = [struct.unpack("<f", struct.pack("<I", half << 16))[0] for half in halves]
        cols = values and len(values) // info["shape"][0]
        weights[name] = [values[i:i + cols] for i in range(0, len(values), cols)] if len(info["shape"]) > 1 else values
    return weights


# ---------------------------------------------------------------- parts

def product(weights, name, x):
    bias = weights.get(f"{name}.bias")
    y = [sum(w * v for w, v in zip(row, x)) for row in weights[f"{name}.weight"]]
    return [a + b for a, b in zip(y, bias)] if bias else y


def rms_norm(x, gain, epsilon):
    scale = 1 / math.sqrt(sum(v * v for v in x) / len(x) + epsilon)
    return [v * scale * g for v, g in zip(x, gain)]


def silu(x):
    return x / (1 + math.exp(-x)) if x > -700 else 0.0


def softplus(x):
    return max(x, 0) + math.log1p(math.exp(-abs(x)))


def gelu(x):
    return 0.5 * x * math.erfc(-x / math.sqrt(2))


def convolve(weights, name, rows):
    taps, bias = weights[f"{name}.weight"], weights.get(f"{name}.bias")
    width = len(taps[0])
    return [[silu((bias[c] if bias else 0) + sum(taps[c][j] * rows[t + j - width + 1][c] for j in range(width)
                                                 if t + j >= width - 1)) for c in range(len(taps))] for t in range(len(rows))]


def scan(x, dt, a, b, c, d):
    """One channel: x, dt [steps], a [state], b, c [steps][state]."""
    h, out = [0.0] * len(a), []
    for t in range(len(x)):
        h = [math.exp(dt[t] * a[n]) * h[n] + dt[t] * b[t][n] * x[t] for n in range(len(a))]
        out.append(sum(c[t][n] * h[n] for n in range(len(a))) + d * x[t])
    return out


def transposed(rows):
    return [list(row) for row in zip(*rows)]


# ---------------------------------------------------------------- mixers

def mamba(weights, path, config, rows):
    inner, state = config["intermediate_size"], config["state_size"]
    both = [product(weights, path + "in_proj", row) for row in rows]
    u = convolve(weights, path + "conv1d", [row[:inner] for row in both])
    chosen = [product(weights, path + "x_proj", row) for row in u]
    rank = len(chosen[0]) - 2 * state
    if config["model_type"] == "falcon_mamba":
        parts = (slice(0, rank), slice(rank, rank + state), slice(rank + state, None))
        chosen = [[v for part in parts for v in rms_norm(row[part], [1] * len(row[part]), config["mixer_rms_eps"])] for row in chosen]
    dt = [[softplus(v) for v in product(weights, path + "dt_proj", row[:rank])] for row in chosen]
    b, c = [row[rank:rank + state] for row in chosen], [row[rank + state:] for row in chosen]
    rates = [[-math.exp(v) for v in row] for row in weights[path + "A_log"]]
    y = transposed([scan([row[i] for row in u], [row[i] for row in dt], rates[i], b, c, weights[path + "D"][i])
                    for i in range(inner)])
    gated = [[v * silu(z) for v, z in zip(row, other[inner:])] for row, other in zip(y, both)]
    return [product(weights, path + "out_proj", row) for row in gated]


def mamba2(weights, path, sizes, rows):
    heads, groups, state, low, high, epsilon, norm_groups = sizes
    inner = len(weights[path + "norm.weight"])
    shared, head_dim = groups * state, inner // heads
    everything = [product(weights, path + "in_proj", row) for row in rows]
    u = convolve(weights, path + "conv1d", [row[inner:2 * inner + 2 * shared] for row in everything])
    columns = []
    for head in range(heads):
        group = head // (heads // groups) * state
        dt = [min(max(softplus(row[2 * inner + 2 * shared + head] + weights[path + "dt_bias"][head]), low), high)
              for row in everything]
        b = [row[inner + group:inner + group + state] for row in u]
        c = [row[inner + shared + group:inner + shared + group + state] for row in u]
        rate = [-math.exp(weights[path + "A_log"][head])] * state
        columns += [scan([row[i] for row in u], dt, rate, b, c, weights[path + "D"][head])
                    for i in range(head * head_dim, (head + 1) * head_dim)]
    out, size, gain = [], inner // norm_groups, weights[path + "norm.weight"]
    for row, other in zip(transposed(columns), everything):
        gated = [v * silu(z) for v, z in zip(row, other)]
        normed = [v for i in range(0, inner, size) for v in rms_norm(gated[i:i + size], gain[i:i + size], epsilon)]
        out.append(product(weights, path + "out_proj", normed))
    return out


# ---------------------------------------------------------------- Zamba2's blocks

def adapted(weights, path, x, adapter=None):
    y = product(weights, path, x)
    if adapter and f"{adapter}.0.weight" in weights:
        y = [a + b for a, b in zip(y, product(weights, adapter + ".1", product(weights, adapter + ".0", x)))]
    return y


def rotate(x, position, theta):
    half = len(x) // 2
    angles = [position * theta ** (-i / half) for i in range(half)]
    return ([x[i] * math.cos(angles[i]) - x[half + i] * math.sin(angles[i]) for i in range(half)] +
            [x[i] * math.sin(angles[i]) + x[half + i] * math.cos(angles[i]) for i in range(half)])


def attend(weights, path, use, config, rows):
    heads, dim, mixed = config["num_attention_heads"], config["attention_head_dim"], [[] for _ in rows]
    q, k, v = ([adapted(weights, f"{path}{part}_proj", row, f"{path}linear_{part}_adapter_list.{use}") for row in rows] for part in "qkv")
    for head in range(heads):
        at = slice(head * dim, (head + 1) * dim)
        turn = (lambda x, t: rotate(x, t, config["rope_theta"])) if config["use_mem_rope"] else (lambda x, t: x)
        keys = [turn(row[at], t) for t, row in enumerate(k)]
        for t, row in enumerate(q):
            query = turn(row[at], t)
            scores = [sum(a * b for a, b in zip(query, key)) / math.sqrt(dim / 2) for key in keys[:t + 1]]
            weight = [math.exp(score - max(scores)) for score in scores]
            mixed[t] += [sum(w * v[s][head * dim + i] for s, w in enumerate(weight)) / sum(weight) for i in range(dim)]
    return [product(weights, path + "o_proj", row) for row in mixed]


def block(weights, path, use, config, rows):
    epsilon = config["rms_norm_eps"]
    h = [rms_norm(row, weights[path + "input_layernorm.weight"], epsilon) for row in rows]
    h = attend(weights, path + "self_attn.", use, config, h)
    h = [rms_norm(row, weights[path + "pre_ff_layernorm.weight"], epsilon) for row in h]
    path += "feed_forward."
    out = []
    for row in h:
        both = adapted(weights, path + "gate_up_proj", row, f"{path}gate_up_proj_adapter_list.{use}")
        half = len(both) // 2
        out.append(product(weights, path + "down_proj", [gelu(g) * u for g, u in zip(both[:half], both[half:])]))
    return out


# ---------------------------------------------------------------- models

def added(a, b):
    return [[x + y for x, y in zip(one, other)] for one, other in zip(a, b)]


def run_mambas(weights, config, ids, norm_groups):
    epsilon, x = config["layer_norm_epsilon"], [weights["backbone.embeddings.weight"][i] for i in ids]
    for layer in range(config["num_hidden_layers"]):
        path = f"backbone.layers.{layer}."
        h = [rms_norm(row, weights[path + "norm.weight"], epsilon) for row in x]
        if config["model_type"] != "mamba2":
            h = mamba(weights, path + "mixer.", config, h)
        else:
            sizes = (config["num_heads"], config["n_groups"], config["state_size"], *config["time_step_limit"], epsilon, norm_groups)
            h = mamba2(weights, path + "mixer.", sizes, h)
        x = added(x, h)
    return [rms_norm(row, weights["backbone.norm_f.weight"], epsilon) for row in x]


def run_zamba2(weights, config, ids):
    epsilon, x = config["rms_norm_eps"], [weights["model.embed_tokens.weight"][i] for i in ids]
    embedded, first, use = x, [], 0
    groups = config["mamba_ngroups"]
    sizes = (config["n_mamba_heads"], groups, config["mamba_d_state"], config["time_step_min"], math.inf, 1e-5, groups)
    for layer, kind in enumerate(config["layers_block_type"]):
        path, seen = f"model.layers.{layer}.", x
        if kind == "hybrid":
            first.append(layer)
            owner = f"model.layers.{first[use % config['num_mem_blocks']]}.shared_transformer."
            asked = block(weights, owner, use, config, [a + b for a, b in zip(x, embedded)])
            seen = added(x, [product(weights, path + "linear", row) for row in asked])
            path += "mamba_decoder."
            use += 1
        h = [rms_norm(row, weights[path + "input_layernorm.weight"], epsilon) for row in seen]
        x = added(x, mamba2(weights, path + "mamba.", sizes, h))
    return [rms_norm(row, weights["model.final_layernorm.weight"], epsilon) for row in x]


def logits_of(folder, ids, norm_groups=1):
    config, weights = json.loads((folder / "config.json").read_text()), read_weights(folder / "model.safetensors")
    hidden = run_zamba2(weights, config, ids) if config["model_type"] == "zamba2" else run_mambas(weights, config, ids, norm_groups)
    if "lm_head.weight" not in weights:
        weights["lm_head.weight"] = weights[next(name for name in weights if "embed" in name)]
    return [v for row in hidden for v in product(weights, "lm_head", row)]


def main():
    root = pathlib.Path(sys.argv[1])
    ids = read_npy(root / "ids.npy")[1]
    failed = False
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        worst = max(abs(a - b) for a, b in zip(logits_of(folder, ids), read_npy(folder / "logits.npy")[1], strict=True))
        print(f"{folder.name}: transformers are off by {worst:.1e}")
        failed |= not worst <= LIMIT
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
