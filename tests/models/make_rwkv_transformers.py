#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Made tests/data/rwkv/transformers once, with transformers 4.57.6 and torch in float32:

    make_rwkv_transformers.py FOLDER

A tiny RwkvForCausalLM of random weights in bfloat16, and the logits of its 64 tokens, those of rwkv_reference.py.
"""
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import RwkvConfig, RwkvForCausalLM

TOKENS, VOCABULARY = 64, 29
CONFIG = RwkvConfig(vocab_size=VOCABULARY, hidden_size=24, num_hidden_layers=3, intermediate_size=40, context_length=256, use_cache=False)


def make():
    """Weights large enough that states and gates matter."""
    model = RwkvForCausalLM(CONFIG).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            if name.endswith("time_decay"):
                value = 1.5 * noise - 2
            elif "time_mix" in name:
                value = torch.sigmoid(noise)
            elif "ln" in name and name.endswith("weight"):
                value = 1 + 0.2 * noise
            else:
                value = noise * (0.5 if weight.dim() != 2 else weight.shape[1] ** -0.5)
            weight.copy_(value.bfloat16().float())
    return model


def main():
    folder = pathlib.Path(sys.argv[1])
    model = make()
    ids = torch.tensor([(7919 * i + 13) % VOCABULARY for i in range(TOKENS)])
    with torch.no_grad():
        logits = model(ids[None]).logits[0]
    print(f"logits up to {logits.abs().max():.2f}")
    model.config.save_pretrained(folder)
    save_file({name: weight.detach().bfloat16() for name, weight in model.named_parameters()}, folder / "model.safetensors",
              metadata={"format": "pt"})
    logits.numpy().astype("<f4").tofile(folder / "logits")


main()
