#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Made tests/data/recorded once, with transformers 4.57.6 and torch in float32:

    make_recorded.py FOLDER

Two tiny models of random weights (llama.safetensors, qwen2.safetensors), one config a case, ids.npy, and what transformers
gives: NAME.logits.npy [tokens, vocabulary], NAME.inv_freq.npy [head_dim / 2].
"""
import pathlib
import shutil
import sys
import tempfile

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

TOKENS, ORIGINAL = 80, 32 # so 48 beyond the original context
SIZES = dict(vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
             num_key_value_heads=1, max_position_embeddings=128, rope_theta=500.0, tie_word_embeddings=True,
             attn_implementation="eager")
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=ORIGINAL)
CASES = { # name: family, scaling
    "llama_linear": ("llama", dict(rope_type="linear", factor=4.0)),
    "llama_llama3": ("llama", LLAMA3),
    "qwen2_bias": ("qwen2", None),
}
FAMILIES = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM)}


def make(family, scaling, seed=7):
    """Weights large enough that attention is sharp and positions matter; biases and gains that are not zero or one."""
    config_class, model_class = FAMILIES[family]
    model = model_class(config_class(**SIZES, rope_scaling=scaling)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            scale = 1.0 if name.endswith("bias") else 0.2 if weight.dim() == 1 else 0.25
            weight.copy_(torch.randn(weight.shape, generator=generator) * scale + name.endswith("norm.weight"))
    return model


def record(name, family, scaling, ids, folder):
    model = make(family, scaling)
    with torch.no_grad():
        logits = model(ids[None]).logits[0]
        plain = make(family, None)(ids[None]).logits[0]
    print(f"{name}: logits up to {logits.abs().max():.2f}, without scaling off by {(logits - plain).abs().max():.2f}")
    assert not scaling or (logits - plain)[ORIGINAL:].abs().max() > 0.1
    np.save(folder / f"{name}.logits.npy", logits.numpy())
    np.save(folder / f"{name}.inv_freq.npy", model.model.rotary_emb.inv_freq.numpy())
    with tempfile.TemporaryDirectory() as saved:
        model.save_pretrained(saved)
        shutil.copy(pathlib.Path(saved) / "config.json", folder / f"{name}.json")
        shutil.copy(pathlib.Path(saved) / "model.safetensors", folder / f"{family}.safetensors")


def main():
    folder = pathlib.Path(sys.argv[1])
    ids = torch.tensor([(i * 31 + i * i // 7 + 5) % SIZES["vocab_size"] for i in range(TOKENS)])
    np.save(folder / "ids.npy", ids.numpy())
    for name, (family, scaling) in CASES.items():
        record(name, family, scaling, ids, folder)


if __name__ == "__main__":
    main()
