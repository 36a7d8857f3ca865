#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An independent LLaMA in numpy float64, written from the paper; it made the recorded ids in tests/data.

    llama_reference.py STORIES.bin COUNT      greedy ids after BOS from a llama2.c checkpoint
"""
import struct
import sys

import numpy as np


def load_llama2c(path):
    data = open(path, "rb").read()
    dim, ffn, layers, heads, kv_heads, vocab, seq = struct.unpack_from("<7i", data)
    values = np.frombuffer(data, "<f4", offset=28).astype(np.float64)
    at = 0

    def take(*shape):
        nonlocal at
        size = int(np.prod(shape))
        at += size
        return values[at - size:at].reshape(shape)

    head = dim // heads
    w = {"embedding": take(abs(vocab), dim), "attention_norm": take(layers, dim), "q": take(layers, dim, dim)}
    w["k"], w["v"] = take(layers, kv_heads * head, dim), take(layers, kv_heads * head, dim)
    w["o"], w["ffn_norm"] = take(layers, dim, dim), take(layers, dim)
    w["gate"], w["down"], w["up"] = take(layers, ffn, dim), take(layers, dim, ffn), take(layers, ffn, dim)
    w["norm"] = take(dim)
    return w, heads, kv_heads, head, layers


def norm(x, gain):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * gain


def rotate(x, position, head):
    pairs = x.reshape(-1, head // 2, 2)
    angle = position * 10000.0 ** (-np.arange(0, head, 2) / head)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([pairs[..., 0] * cos - pairs[..., 1] * sin, pairs[..., 0] * sin + pairs[..., 1] * cos], -1).reshape(-1, head)


def step(model, token, position, cache):
    w, heads, kv_heads, head, layers = model
    x = w["embedding"][token]
    for l in range(layers):
        h = norm(x, w["attention_norm"][l])
        q = rotate(w["q"][l] @ h, position, head)
        keys, values = cache[l]
        keys.append(rotate(w["k"][l] @ h, position, head))
        values.append((w["v"][l] @ h).reshape(-1, head))
        k, v = np.stack(keys, 1), np.stack(values, 1)
        out = []
        for i in range(heads):
            scores = k[i * kv_heads // heads] @ q[i] / np.sqrt(head)
            weights = np.exp(scores - scores.max())
            out.append(weights / weights.sum() @ v[i * kv_heads // heads])
        x = x + w["o"][l] @ np.concatenate(out)
        h = norm(x, w["ffn_norm"][l])
        gate = w["gate"][l] @ h
        x = x + w["down"][l] @ (gate / (1 + np.exp(-gate)) * (w["up"][l] @ h))
    return w["embedding"] @ norm(x, w["norm"])


def main():
    model = load_llama2c(sys.argv[1])
    token, cache, ids = 1, [([], []) for _ in range(model[4])], []
    for position in range(int(sys.argv[2])):
        token = int(step(model, token, position, cache).argmax())
        ids.append(token)
    print(" ".join(map(str, ids)))


if __name__ == "__main__":
    main()
