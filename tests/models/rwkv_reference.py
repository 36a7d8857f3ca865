#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""RWKV in double precision, written from the papers: 4 (Peng et al. 2023), 5 and 6 (Peng et al. 2024), 7 (Peng et al. 2025).

    rwkv_reference.py FOLDER      writes small models with random weights, as rwkv.cpp stores them and some as the authors do, and
                                  their logits
    rwkv_reference.py MODEL.bin   prints the logits of a file of rwkv.cpp after a quotation mark and "in"

Sums run over all tokens before, or over whole matrices of state: nothing is arranged for speed or for small numbers. Tokens are
those of tokens(). What rwkv.cpp's converter prepares (decays, transposed factors) is undone where a file is read.
"""
import json
import pathlib
import struct
import sys

import numpy as np

TOKENS, VOCABULARY, WIDTH, FFN, LAYERS, HEAD, RANK = 256, 29, 32, 40, 2, 16, 4
EPSILON = 1e-5
# rwkv.cpp normalises the heads of version 5 with the default epsilon; later ones take that of x / 8.
HEAD_EPSILON = {"5.0": 1e-5, "5.1": 1e-5, "5.2": 1e-5, "6": 64e-5, "7": 64e-5}
AUTHORS_EPSILON = 64e-5


def tokens(count=TOKENS, vocabulary=VOCABULARY):
    return [(7919 * i + 13) % vocabulary for i in range(count)]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def layer_norm(x, gain, bias, epsilon=EPSILON):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon) * gain + bias


def head_norm(x, heads, gain, bias, epsilon):
    return layer_norm(x.reshape(len(x), heads, -1), 1, 0, epsilon).reshape(x.shape) * gain + bias


def before(x):
    """The token before each; zeros before the first."""
    return np.vstack([np.zeros_like(x[:1]), x[:-1]])


class Layer:
    """Raw parameters of a layer by the names of the authors' checkpoints."""

    def __init__(self, weights, number, version, heads, epsilon):
        prefix = f"blocks.{number}."
        self.w = {name[len(prefix):]: value for name, value in weights.items() if name.startswith(prefix)}
        self.version, self.heads, self.epsilon, self.first = version, heads, epsilon, None

    def __getitem__(self, name):
        return self.w[name]

    def vector(self, name):
        return self.w[name].reshape(-1)

    def split(self, x):
        return x.reshape(len(x), self.heads, -1)

    # ---- version 4

    def tokens_4(self, x):
        past = before(x)
        mix = lambda name: x * self.vector(f"att.time_mix_{name}") + past * (1 - self.vector(f"att.time_mix_{name}"))
        k, v, r = (mix(n) @ self[f"att.{m}.weight"].T for n, m in (("k", "key"), ("v", "value"), ("r", "receptance")))
        decay, bonus = np.exp(self.vector("att.time_decay")), self.vector("att.time_first")
        out = np.empty_like(v)
        for t in range(len(x)):
            age = np.arange(t - 1, -1, -1)[:, None]
            weight = np.exp(-age * decay + k[:t])
            own = np.exp(bonus + k[t])
            out[t] = ((weight * v[:t]).sum(0) + own * v[t]) / (weight.sum(0) + own)
        return (sigmoid(r) * out) @ self["att.output.weight"].T

    # ---- versions 5 and 6: out = r (diag(u) k^T v + S), S = diag(w) S + k^T v, head by head

    def matrix_state(self, r, k, v, w, u):
        r, k, v, w = (self.split(x) for x in (r, k, v, w))
        u = u.reshape(self.heads, -1)
        out = np.empty_like(v)
        for h in range(self.heads):
            state = np.zeros((k.shape[2], v.shape[2]))
            for t in range(len(k)):
                pair = np.outer(k[t, h], v[t, h])
                out[t, h] = r[t, h] @ (u[h][:, None] * pair + state)
                state = w[t, h][:, None] * state + pair
        return out.reshape(len(k), -1)

    def spread(self, name):
        """One value a head or one a channel, as one a channel."""
        values = self.vector(name)
        return np.repeat(values, WIDTH // values.size) if values.size == self.heads else values

    def tokens_5(self, x):
        past = before(x)
        mix = lambda name: x * self.vector(f"att.time_mix_{name}") + past * (1 - self.vector(f"att.time_mix_{name}"))
        k, v, r = (mix(n) @ self[f"att.{m}.weight"].T for n, m in (("k", "key"), ("v", "value"), ("r", "receptance")))
        w = np.exp(-np.exp(self.spread("att.time_decay")))
        u = self.spread("att.time_faaaa") if "att.time_faaaa" in self.w else np.exp(self.spread("att.time_first"))
        out = self.matrix_state(r, k, v, np.tile(w, (len(x), 1)), u)
        out = head_norm(out, self.heads, self["att.ln_x.weight"], self["att.ln_x.bias"], self.epsilon)
        if "att.gate.weight" in self.w:
            out = out * silu(mix("g") @ self["att.gate.weight"].T)
        return out @ self["att.output.weight"].T

    def tokens_6(self, x):
        apart = before(x) - x
        low = np.tanh((x + apart * self.vector("att.time_maa_x")) @ self["att.time_maa_w1"])
        low = low.reshape(len(x), 5, -1)
        mixed = {}
        for i, name in enumerate("wkvrg"):
            share = self.vector(f"att.time_maa_{name}") + low[:, i] @ self["att.time_maa_w2"][i]
            mixed[name] = x + apart * share
        k, v, r, g = (mixed[n] @ self[f"att.{m}.weight"].T
                      for n, m in (("k", "key"), ("v", "value"), ("r", "receptance"), ("g", "gate")))
        w = self.vector("att.time_decay") + np.tanh(mixed["w"] @ self["att.time_decay_w1"]) @ self["att.time_decay_w2"]
        out = self.matrix_state(r, k, v, np.exp(-np.exp(w)), self.vector("att.time_faaaa"))
        out = head_norm(out, self.heads, self["att.ln_x.weight"], self["att.ln_x.bias"], self.epsilon)
        return (out * silu(g)) @ self["att.output.weight"].T

    # ---- version 7: S = S (diag(w) - kappa^T (a kappa)) + v^T k, out = S r, head by head

    def tokens_7(self, x, first_values):
        apart = before(x) - x
        r, w, k, v, a, g = (x + apart * self.vector(f"att.x_{name}") for name in "rwkvag")
        mixed_v = v
        r, k, v = (m @ self[f"att.{n}.weight"].T for m, n in ((r, "receptance"), (k, "key"), (v, "value")))
        w = np.exp(-np.exp(-0.5) * sigmoid(self.vector("att.w0") + np.tanh(w @ self["att.w1"]) @ self["att.w2"]))
        a = sigmoid(self.vector("att.a0") + a @ self["att.a1"] @ self["att.a2"])
        g = sigmoid(g @ self["att.g1"]) @ self["att.g2"]
        if first_values is None:
            first_values = v
        else:
            v = v + (first_values - v) * sigmoid(self.vector("att.v0") + mixed_v @ self["att.v1"] @ self["att.v2"])
        removal = self.split(k * self.vector("att.k_k"))
        removal = removal / np.maximum(np.linalg.norm(removal, axis=2, keepdims=True), 1e-12)
        k = k * (1 + (a - 1) * self.vector("att.k_a"))
        r, w, k, v, a = (self.split(m) for m in (r, w, k, v, a))
        out = np.empty_like(v)
        for h in range(self.heads):
            state = np.zeros((v.shape[2], k.shape[2]))
            for t in range(len(x)):
                turn = np.diag(w[t, h]) - np.outer(removal[t, h], a[t, h] * removal[t, h])
                state = state @ turn + np.outer(v[t, h], k[t, h])
                out[t, h] = state @ r[t, h]
        out = head_norm(out.reshape(len(x), -1), self.heads, self["att.ln_x.weight"], self["att.ln_x.bias"], self.epsilon)
        bonus = (r * k * self["att.r_k"].reshape(self.heads, -1)).sum(2, keepdims=True) * v
        return ((out + bonus.reshape(out.shape)) * g) @ self["att.output.weight"].T, first_values

    # ---- channels

    def channels(self, x):
        past = before(x)
        if self.version == "7":
            key = x + (past - x) * self.vector("ffn.x_k")
            return np.maximum(key @ self["ffn.key.weight"].T, 0) ** 2 @ self["ffn.value.weight"].T
        if self.version == "6":
            mix = lambda name: x + (past - x) * self.vector(f"ffn.time_maa_{name}")
        else:
            mix = lambda name: x * self.vector(f"ffn.time_mix_{name}") + past * (1 - self.vector(f"ffn.time_mix_{name}"))
        k = np.maximum(mix("k") @ self["ffn.key.weight"].T, 0) ** 2
        return sigmoid(mix("r") @ self["ffn.receptance.weight"].T) * (k @ self["ffn.value.weight"].T)


def logits(weights, version, heads, ids, epsilon):
    weights = {name: value.astype(np.float64) for name, value in weights.items()}
    x = layer_norm(weights["emb.weight"][ids], weights["blocks.0.ln0.weight"], weights["blocks.0.ln0.bias"])
    count = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
    first_values = None
    for number in range(count):
        layer = Layer(weights, number, version, heads, epsilon)
        h = layer_norm(x, layer["ln1.weight"], layer["ln1.bias"])
        if version == "7":
            mixed, first_values = layer.tokens_7(h, first_values)
        else:
            mixed = getattr(layer, f"tokens_{version[0]}")(h)
        x = x + mixed
        x = x + layer.channels(layer_norm(x, layer["ln2.weight"], layer["ln2.bias"]))
    return layer_norm(x, weights["ln_out.weight"], weights["ln_out.bias"]) @ weights["head.weight"].T


# ---------------------------------------------------------------- random weights

def make(version, seed):
    """The raw parameters of a model, as floats."""
    rng = np.random.default_rng(seed)
    heads, weights = WIDTH // HEAD, {}
    normal = lambda *shape, scale=1.0: (rng.standard_normal(shape) * scale).astype(np.float32)
    uniform = lambda low, high, *shape: rng.uniform(low, high, shape).astype(np.float32)

    def norm(name):
        weights[f"{name}.weight"], weights[f"{name}.bias"] = uniform(0.5, 1.5, WIDTH), normal(WIDTH, scale=0.1)

    def matrix(name, rows, cols):
        weights[f"{name}.weight"] = normal(rows, cols, scale=cols ** -0.5)

    weights["emb.weight"] = normal(VOCABULARY, WIDTH)
    norm("blocks.0.ln0")
    for number in range(LAYERS):
        p = f"blocks.{number}."
        norm(p + "ln1")
        norm(p + "ln2")
        for name in ("receptance", "key", "value", "output"):
            matrix(f"{p}att.{name}", WIDTH, WIDTH)
        matrix(p + "ffn.key", FFN, WIDTH)
        matrix(p + "ffn.value", WIDTH, FFN)
        if version != "7":
            matrix(p + "ffn.receptance", WIDTH, WIDTH)
        if version != "4":
            norm(p + "att.ln_x")
        if version[0] in "45":
            for name in "kvr" + ("g" if version in ("5.1", "5.2") else ""):
                weights[f"{p}att.time_mix_{name}"] = uniform(0, 1, 1, 1, WIDTH)
            for name in "kr":
                weights[f"{p}ffn.time_mix_{name}"] = uniform(0, 1, 1, 1, WIDTH)
        if version in ("5.1", "5.2", "6"):
            matrix(p + "att.gate", WIDTH, WIDTH)
        if version == "4":
            weights[p + "att.time_decay"], weights[p + "att.time_first"] = uniform(-5, 1, WIDTH), normal(WIDTH)
        if version == "5.0":
            weights[p + "att.time_decay"], weights[p + "att.time_first"] = uniform(-5, 1, heads), normal(heads)
        if version == "5.1":
            weights[p + "att.time_decay"], weights[p + "att.time_faaaa"] = uniform(-5, 1, heads), normal(heads, HEAD)
        if version in ("5.2", "6"):
            weights[p + "att.time_faaaa"] = normal(heads, HEAD)
            weights[p + "att.time_decay"] = uniform(-5, 1, *((heads, HEAD) if version == "5.2" else (1, 1, WIDTH)))
        if version == "6":
            for name in "xwkvrg":
                weights[f"{p}att.time_maa_{name}"] = uniform(0, 1, 1, 1, WIDTH)
            for name in "kr":
                weights[f"{p}ffn.time_maa_{name}"] = uniform(0, 1, 1, 1, WIDTH)
            weights[p + "att.time_maa_w1"] = normal(WIDTH, 5 * RANK, scale=0.2)
            weights[p + "att.time_maa_w2"] = normal(5, RANK, WIDTH, scale=0.3)
            weights[p + "att.time_decay_w1"] = normal(WIDTH, 2 * RANK, scale=0.2)
            weights[p + "att.time_decay_w2"] = normal(2 * RANK, WIDTH, scale=0.5)
        if version == "7":
            make_7(weights, p, number, heads, normal, uniform)
    norm("ln_out")
    matrix("head", VOCABULARY, WIDTH)
    return weights


def make_7(weights, p, number, heads, normal, uniform):
    for name in "rwkvag":
        weights[f"{p}att.x_{name}"] = uniform(0, 1, 1, 1, WIDTH)
    weights[p + "ffn.x_k"] = uniform(0, 1, 1, 1, WIDTH)
    ranks = {"w": 2 * RANK, "a": RANK, "g": 3 * RANK} | ({"v": RANK} if number else {})
    for name, rank in ranks.items():
        weights[f"{p}att.{name}1"] = normal(WIDTH, rank, scale=0.3)
        weights[f"{p}att.{name}2"] = normal(rank, WIDTH, scale=0.5)
        if name != "g":
            weights[f"{p}att.{name}0"] = uniform(-4, 1, 1, 1, WIDTH) if name == "w" else normal(1, 1, WIDTH)
    weights[p + "att.k_k"], weights[p + "att.k_a"] = uniform(0.5, 1.2, 1, 1, WIDTH), uniform(0.5, 1.2, 1, 1, WIDTH)
    weights[p + "att.r_k"] = normal(heads, HEAD, scale=0.3)


# ---------------------------------------------------------------- files of rwkv.cpp

def stored(name, value, version, heads):
    """What rwkv.cpp's converter makes of a parameter."""
    if version == "4":
        return -np.exp(value) if ".time_decay" in name else value.squeeze() if ".time_" in name else value
    if version[0] == "5":
        if ".time_decay" in name:
            return np.exp(-np.exp(value)).reshape(value.shape + (1,) if value.ndim == 2 else (-1, 1, 1))
        if ".time_first" in name:
            return np.exp(value).reshape(-1, 1, 1)
        if ".time_faaaa" in name:
            return value[..., None]
    if version == "6":
        if ".time_maa_w1" in name or ".time_decay_w" in name:
            return value.T
        if ".time_maa_w2" in name:
            return value.transpose(0, 2, 1)
        if ".time_decay" in name:
            return value.reshape(heads, -1, 1)
        if ".time_faaaa" in name:
            return value[..., None]
    if version == "7" and any(name.endswith(f".{kind}{i}") for kind in "wavg" for i in "12"):
        return value.T
    return value.squeeze() if ".time_" in name else value


def write(path, weights, version, half):
    heads, joined = WIDTH // HEAD, {}
    for name, value in weights.items():
        if ".att.x_" in name:
            first = name.rsplit("_", 1)[0] + "_rwkvag"
            joined[first] = np.concatenate([joined[first], value]) if first in joined else value
        else:
            joined[name] = stored(name, value, version, heads)
    with open(path, "wb") as file:
        file.write(struct.pack("<6I", 0x67676D66, 101, VOCABULARY, WIDTH, LAYERS, int(half)))
        for name, value in joined.items():
            value = np.ascontiguousarray(value, np.float16 if half and not kept(name, value) else np.float32)
            file.write(struct.pack("<3I", value.ndim, len(name), int(value.dtype == np.float16)))
            file.write(struct.pack(f"<{value.ndim}I", *reversed(value.shape)) + name.encode() + value.tobytes())


def kept(name, value):
    """What stays in floats in a file of halves."""
    return value.ndim < 2 or any(s in name for s in (".time_", ".k_k", ".k_a", ".r_k", ".x_", ".w0", ".a0", ".v0"))


def write_raw(path, weights, half):
    """The authors' own parameters, in safetensors."""
    header, data = {}, b""
    for name, value in weights.items():
        value = value.astype(np.float32 if not half or kept(name, value) else np.float16)
        header[name] = {"dtype": "F32" if value.dtype == np.float32 else "F16", "shape": value.shape,
                        "data_offsets": [len(data), len(data) + value.nbytes]}
        data += value.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def read(path):
    """Raw parameters and version of a file with plain types; what the converter prepared is undone."""
    data, at, weights = pathlib.Path(path).read_bytes(), 24, {}
    while at < len(data):
        rank, length, kind = struct.unpack_from("<3I", data, at)
        shape = struct.unpack_from(f"<{rank}I", data, at + 12)[::-1]
        name = data[at + 12 + 4 * rank:at + 12 + 4 * rank + length].decode()
        at += 12 + 4 * rank + length
        dtype = np.dtype([np.float32, np.float16][kind])
        weights[name] = np.frombuffer(data, dtype, int(np.prod(shape)), at).reshape(shape).astype(np.float64)
        at += weights[name].size * dtype.itemsize
    version = "7" if "blocks.0.att.r_k" in weights else "4"
    for name in [n for n in weights if n.endswith(".x_rwkvag")]:
        for i, kind in enumerate("rwkvag"):
            weights[name[:-6] + kind] = weights[name][i]
    for name, value in weights.items():
        if version == "4" and ".time_decay" in name:
            weights[name] = np.log(-value)
        if version == "7" and any(name.endswith(f".{kind}{i}") for kind in "wavg" for i in "12"):
            weights[name] = value.T
    return weights, version


def halves(weights):
    """The parameters as a file of halves has them."""
    return {name: value if kept(name, value) else value.astype(np.float16).astype(np.float32) for name, value in weights.items()}


def main(argument):
    if argument.endswith(".bin"):
        weights, version = read(argument)
        heads = weights["blocks.0.att.r_k"].shape[0] if version == "7" else 1
        np.savetxt(sys.stdout, logits(weights, version, heads, list(b'"in'), HEAD_EPSILON.get(version))[-1:], "%.9g")
        return
    folder = pathlib.Path(argument)
    for seed, version in enumerate(("4", "5.0", "5.1", "5.2", "6", "7")):
        half = version in ("5.0", "5.1", "6")
        weights = make(version, seed)
        weights = halves(weights) if half else weights
        write(folder / f"rwkv{version}.bin", weights, version, half)
        expected = logits(weights, version, WIDTH // HEAD, tokens(), HEAD_EPSILON.get(version))
        expected.astype("<f4").tofile(folder / f"rwkv{version}.logits")
        if version in ("5.0", "6", "7"):
            write_raw(folder / f"rwkv{version}.safetensors", weights, half)
        if version == "5.0":
            expected = logits(weights, version, WIDTH // HEAD, tokens(), AUTHORS_EPSILON)
            expected.astype("<f4").tofile(folder / f"rwkv{version}.authors.logits")


if __name__ == "__main__":
    main(sys.argv[1])
