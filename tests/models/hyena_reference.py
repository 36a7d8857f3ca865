#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Independent Hyena and StripedHyena models in numpy float64, written from the papers and the published layouts. Made
tests/data/hyena once:

    hyena_reference.py FOLDER

Small models of random weights, NAME.safetensors with NAME.json, ids.npy and what the models make of them, NAME.logits.npy
[tokens, vocabulary]; for the operator alone, the first layer's of `hyena`, x.npy and y.npy [batch, tokens, width].
"""
import json
import pathlib
import struct
import sys

import numpy as np

TOKENS, VOCABULARY = 280, 16 # past the first tile of decoding
HYENA = dict(n_layer=2, d_model=12, d_inner=20, vocab_size=13, pad_vocab_size_multiple=8, max_seq_len=300, emb_dim=5, filter_order=8,
             short_filter_order=3, num_inner_mlps=2, layer_norm_epsilon=1e-5)
CASES = {
    "hyenadna": dict(HYENA, model_type="hyenadna", hyena_order=2, activation_freq=2, tie_word_embeddings=True),
    "hyena": dict(HYENA, model_type="hyena", hyena_order=3, activation_freq=1, tie_word_embeddings=False),
}
STRIPED = dict(model_type="stripedhyena", vocab_size=16, hidden_size=16, num_filters=16, inner_mlp_size=24, num_layers=3,
               attn_layer_idxs=[1], hyena_layer_idxs=[0, 2], num_attention_heads=4, proj_groups=2, short_filter_length=3,
               short_filter_bias=True, state_size=3, eps=1e-5, rotary_emb_base=5000, hyena_filter_groups=1, column_split_hyena=True,
               column_split=False, tie_embeddings=False, mha_out_proj_bias=False, qkv_proj_bias=False, max_seqlen=512)

random = np.random.default_rng(11)


def normal(*shape, scale=1.0, mean=0.0):
    return (mean + scale * random.standard_normal(shape)).astype(np.float32)


# ---------------------------------------------------------------- Hyena

def hyena_weights(config, prefix):
    d, n, order, hidden = config["d_model"], config["d_inner"], config["hyena_order"], config["filter_order"]
    features, length = config["emb_dim"], config["max_seq_len"]
    w = {prefix + "embeddings.word_embeddings.weight": normal(VOCABULARY, d),
         prefix + "ln_f.weight": normal(d, scale=0.2, mean=1.0), prefix + "ln_f.bias": normal(d, scale=0.2)}
    if not config["tie_word_embeddings"]:
        w["lm_head.weight"] = normal(VOCABULARY, d, scale=0.5)
    for l in range(config["n_layer"]):
        at = f"{prefix}layers.{l}."
        for norm in ("norm1", "norm2"):
            w[f"{at}{norm}.weight"], w[f"{at}{norm}.bias"] = normal(d, scale=0.2, mean=1.0), normal(d, scale=0.2)
        for name, rows, cols in (("mixer.in_proj", (order + 1) * d, d), ("mixer.out_proj", d, d), ("mlp.fc1", n, d), ("mlp.fc2", d, n)):
            w[f"{at}{name}.weight"], w[f"{at}{name}.bias"] = normal(rows, cols, scale=cols ** -0.5), normal(rows, scale=0.2)
        w[at + "mixer.short_filter.weight"] = normal((order + 1) * d, 1, 3, scale=0.4)
        w[at + "mixer.short_filter.bias"] = normal((order + 1) * d, scale=0.2)
        f = at + "mixer.filter_fn."
        w[f + "bias"] = normal((order - 1) * d, scale=0.5)
        for i, cols in ((0, features), (2, hidden), (4, hidden)):
            w[f"{f}implicit_filter.{i}.weight"] = normal(hidden, cols, scale=1.5 * cols ** -0.5)
            w[f"{f}implicit_filter.{i}.bias"] = normal(hidden, scale=0.5)
        w[f + "implicit_filter.6.weight"] = normal((order - 1) * d, hidden, scale=0.08)
        if config["model_type"] == "hyena": # all that a checkpoint may keep, trained
            z, _ = positions(features, length)
            w[f + "implicit_filter.3.freq"] = normal(1, hidden, scale=0.3, mean=2.0)
            w[f + "pos_emb.z"] = (z + normal(length, features, scale=0.1))[None].astype(np.float32)
            w[f + "pos_emb.t"] = np.linspace(0, 1, length, dtype=np.float32)[None, :, None]
            w[f + "modulation.deltas"] = normal(1, 1, (order - 1) * d, scale=3.0, mean=-6.0)
    return w


def positions(features, length):
    t, waves = np.linspace(0, 1, length), (features - 1) // 2
    angle = np.linspace(1e-4, waves - 1, waves)[None] * (2 * np.pi * np.arange(length) / length)[:, None]
    return np.concatenate([t[:, None], np.cos(angle), -np.sin(angle)], 1), t


def implicit_filters(config, w, f):
    channels = w[f + "bias"].size
    z, t = positions(config["emb_dim"], config["max_seq_len"])
    z = w.get(f + "pos_emb.z", z[None])[0]
    frequency = w.get(f + "implicit_filter.3.freq", config["activation_freq"])
    target = np.log(0.01)
    deltas = w.get(f + "modulation.deltas", np.linspace(target / 1.5, target / 0.3, channels))
    for i in (0, 2, 4):
        z = np.sin(frequency * (z @ w[f"{f}implicit_filter.{i}.weight"].T + w[f"{f}implicit_filter.{i}.bias"]))
    h = z @ w[f + "implicit_filter.6.weight"].T
    return h * (np.exp(-t[:, None] * np.abs(deltas.reshape(1, -1))) + 0.05)


def causal(x, taps):
    """Column c of x convolved with column c of taps."""
    return np.stack([np.convolve(x[:, c], taps[:, c])[:len(x)] for c in range(x.shape[1])], 1)


def short_filter(x, taps, bias):
    return causal(x, taps[:, 0, ::-1].T) + bias


def operator(config, w, at, u):
    d, order = config["d_model"], config["hyena_order"]
    p = u @ w[at + "in_proj.weight"].T + w[at + "in_proj.bias"]
    parts = np.split(short_filter(p, w[at + "short_filter.weight"], w[at + "short_filter.bias"]), order + 1, axis=1)
    h, bias, v = implicit_filters(config, w, at + "filter_fn."), w[at + "filter_fn.bias"], parts[-1]
    for o, x in enumerate(parts[-2:0:-1]):
        v = v * x
        v = causal(v, h[:, o * d:(o + 1) * d]) + bias[o * d:(o + 1) * d] * v
    return (v * parts[0]) @ w[at + "out_proj.weight"].T + w[at + "out_proj.bias"]


def layer_norm(x, w, name):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred ** 2).mean(-1, keepdims=True) + 1e-5) * w[name + ".weight"] + w[name + ".bias"]


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3)))


def hyena(config, w, prefix, ids):
    x = w[prefix + "embeddings.word_embeddings.weight"][ids]
    for l in range(config["n_layer"]):
        at = f"{prefix}layers.{l}."
        x = x + operator(config, w, at + "mixer.", layer_norm(x, w, at + "norm1"))
        h = gelu(layer_norm(x, w, at + "norm2") @ w[at + "mlp.fc1.weight"].T + w[at + "mlp.fc1.bias"])
        x = x + h @ w[at + "mlp.fc2.weight"].T + w[at + "mlp.fc2.bias"]
    head = w.get("lm_head.weight", w[prefix + "embeddings.word_embeddings.weight"])
    return layer_norm(x, w, prefix + "ln_f") @ head.T


# ---------------------------------------------------------------- StripedHyena

def striped_weights(config):
    d, n, head, modes = config["hidden_size"], config["inner_mlp_size"], 4, config["state_size"]
    keys = config["num_attention_heads"] // config["proj_groups"] * head
    w = {"backbone.embedding_layer.weight": normal(VOCABULARY, d), "backbone.unembed.weight": normal(VOCABULARY, d, scale=0.5),
         "backbone.norm.scale": normal(d, scale=0.2, mean=1.0)}
    for l in range(config["num_layers"]):
        at = f"backbone.blocks.{l}."
        for norm in ("pre_norm", "post_norm"):
            w[f"{at}{norm}.scale"] = normal(d, scale=0.2, mean=1.0)
        for name, rows, cols in (("l1", n, d), ("l2", n, d), ("l3", d, n)):
            w[f"{at}mlp.{name}.weight"] = normal(rows, cols, scale=cols ** -0.5)
        if l in config["attn_layer_idxs"]:
            w[at + "inner_mha_cls.Wqkv.weight"] = normal(d + 2 * keys, d, scale=0.5)
            w[at + "inner_mha_cls.out_proj.weight"] = normal(d, d, scale=0.25)
            continue
        w[at + "projections.weight"], w[at + "projections.bias"] = normal(3 * d, d, scale=0.25), normal(3 * d, scale=0.2)
        w[at + "out_filter_dense.weight"], w[at + "out_filter_dense.bias"] = normal(d, d, scale=0.25), normal(d, scale=0.2)
        f = at + "filter."
        w[f + "short_filter_weight"], w[f + "short_filter_bias"] = normal(3 * d, 1, 3, scale=0.6), normal(3 * d, scale=0.2)
        w[f + "D"] = normal(d, scale=0.5)
        radius, angle = random.uniform(0.6, 0.995, (d, modes, 1)), random.uniform(-np.pi, np.pi, (d, modes, 1))
        w[f + "poles"] = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1).astype(np.float32)
        w[f + "residues"] = normal(d, modes, 1, 2, scale=0.3)
    return w


def rms_norm(x, gain):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * gain


def as_complex(pairs):
    return (pairs[..., 0] + 1j * pairs[..., 1])[:, :, 0]


def modal_mixer(config, w, at, u):
    heads, head = config["num_attention_heads"], config["hidden_size"] // config["num_attention_heads"]
    f = at + "filter."
    z = u @ w[at + "projections.weight"].T + w[at + "projections.bias"]
    z = short_filter(z, w[f + "short_filter_weight"], w[f + "short_filter_bias"]).reshape(len(u), heads, 3, head)
    x2, x1, v = (z[:, :, i].reshape(len(u), -1) for i in range(3)) # each head's columns together
    t = np.arange(len(u))
    h = (as_complex(w[f + "residues"])[None] * np.exp(np.log(as_complex(w[f + "poles"]))[None] * t[:, None, None])).real.sum(-1)
    y = (causal(x1 * v, h) + w[f + "D"] * x1 * v) * x2
    return y @ w[at + "out_filter_dense.weight"].T + w[at + "out_filter_dense.bias"]


def rotate(x, base):
    """x [tokens, heads, head]; pairs (i, i + head / 2)."""
    half = x.shape[-1] // 2
    angle = (np.arange(len(x))[:, None] * base ** (-np.arange(half) / half))[:, None]
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)], -1)


def attention(config, w, at, u):
    heads, head = config["num_attention_heads"], config["hidden_size"] // config["num_attention_heads"]
    kv_heads = heads // config["proj_groups"]
    qkv = (u @ w[at + "inner_mha_cls.Wqkv.weight"].T).reshape(len(u), heads + 2 * kv_heads, head)
    q, k, v = qkv[:, :heads], qkv[:, heads:heads + kv_heads], qkv[:, heads + kv_heads:]
    q, k = rotate(q, config["rotary_emb_base"]), rotate(k, config["rotary_emb_base"])
    out = np.empty_like(q)
    for i in range(heads):
        scores = q[:, i] @ k[:, i * kv_heads // heads].T / np.sqrt(head)
        scores[np.triu_indices(len(u), 1)] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        out[:, i] = weights / weights.sum(-1, keepdims=True) @ v[:, i * kv_heads // heads]
    return out.reshape(len(u), -1) @ w[at + "inner_mha_cls.out_proj.weight"].T


def striped(config, w, ids):
    x = w["backbone.embedding_layer.weight"][ids]
    for l in range(config["num_layers"]):
        at = f"backbone.blocks.{l}."
        mixer = attention if l in config["attn_layer_idxs"] else modal_mixer
        x = x + mixer(config, w, at, rms_norm(x, w[at + "pre_norm.scale"]))
        h = rms_norm(x, w[at + "post_norm.scale"])
        gate = h @ w[at + "mlp.l1.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w[at + "mlp.l2.weight"].T)) @ w[at + "mlp.l3.weight"].T
    return rms_norm(x, w["backbone.norm.scale"]) @ w["backbone.unembed.weight"].T


# ---------------------------------------------------------------- files

def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(values.tobytes() for values in tensors.values()))


def write(folder, name, config, weights, logits):
    print(f"{name}: {sum(v.size for v in weights.values())} weights, logits up to {np.abs(logits).max():.2f}")
    write_safetensors(folder / f"{name}.safetensors", weights)
    (folder / f"{name}.json").write_text(json.dumps(config, indent=1) + "\n")
    np.save(folder / f"{name}.logits.npy", logits.astype(np.float32))


def exact(weights):
    return {name: values.astype(np.float64) for name, values in weights.items()}


def main():
    folder = pathlib.Path(sys.argv[1])
    ids = random.integers(0, 13, TOKENS)
    np.save(folder / "ids.npy", ids.astype(np.float32))
    for name, config in CASES.items():
        prefix = "hyena.backbone." if name == "hyenadna" else "backbone."
        weights = hyena_weights(config, prefix)
        write(folder, name, config, weights, hyena(config, exact(weights), prefix, ids))
    x = normal(2, 150, config["d_model"])
    y = np.stack([operator(config, exact(weights), "backbone.layers.0.mixer.", item.astype(np.float64)) for item in x])
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y.astype(np.float32))
    weights = striped_weights(STRIPED)
    write(folder, "striped", STRIPED, weights, striped(STRIPED, exact(weights), ids))


if __name__ == "__main__":
    main()
