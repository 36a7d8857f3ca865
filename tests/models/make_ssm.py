#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Made tests/data/ssm once, with transformers 4.57.6 and torch in float32:

    make_ssm.py FOLDER

A folder for each case below, with a tiny model of random weights in bfloat16, and logits.npy [tokens, vocabulary] for the tokens
of ids.npy. Zamba2's chunk holds the whole text, since that release of transformers joins the states of chunks wrongly for it.
"""
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import (FalconMambaConfig, FalconMambaForCausalLM, Mamba2Config, Mamba2ForCausalLM, MambaConfig, MambaForCausalLM, Zamba2Config, Zamba2ForCausalLM)

TOKENS, VOCABULARY = 45, 53
MAMBA = dict(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, use_cache=False)
ZAMBA = dict(vocab_size=VOCABULARY, hidden_size=16, intermediate_size=20, num_attention_heads=2, n_mamba_heads=4, mamba_d_state=6,
             adapter_rank=3, chunk_size=64, max_position_embeddings=128, use_cache=False, attn_implementation="eager")
CASES = {
    "mamba": (MambaForCausalLM, MambaConfig(**MAMBA, state_size=10, time_step_rank=5, conv_kernel=4)),
    "mamba_untied": (MambaForCausalLM, MambaConfig(**MAMBA, state_size=4, conv_kernel=3, use_bias=True, use_conv_bias=False,
                                                   tie_word_embeddings=False)),
    "falcon_mamba": (FalconMambaForCausalLM, FalconMambaConfig(**{**MAMBA, "num_hidden_layers": 1}, state_size=6, time_step_rank=3,
                                                               layer_norm_epsilon=1e-4, mixer_rms_eps=1e-4)),
    "mamba2": (Mamba2ForCausalLM, Mamba2Config(**MAMBA, state_size=20, num_heads=4, head_dim=8, n_groups=2, chunk_size=16)),
    "mamba2_tied": (Mamba2ForCausalLM, Mamba2Config(**MAMBA, state_size=7, num_heads=8, head_dim=4, n_groups=1, chunk_size=64,
                                                    use_bias=True, time_step_limit=(0.3, 1.5), tie_word_embeddings=True)),
    "zamba2": (Zamba2ForCausalLM, Zamba2Config(**ZAMBA, num_hidden_layers=5, num_mem_blocks=2, use_mem_rope=True, mamba_ngroups=2,
                                               layers_block_type=["mamba", "hybrid", "hybrid", "mamba", "hybrid"],
                                               use_shared_attention_adapter=True)),
    "zamba2_untied": (Zamba2ForCausalLM, Zamba2Config(**ZAMBA, num_hidden_layers=3, num_mem_blocks=1, use_mem_rope=False,
                                                      layers_block_type=["mamba", "hybrid", "hybrid"], add_bias_linear=True,
                                                      tie_word_embeddings=False)),
}


def make(model_class, config, seed=11):
    """Weights large enough that states, gates and attention matter, rounded to bfloat16."""
    model = model_class(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            if name.endswith("A_log"):
                value = 0.7 * noise
            elif name.endswith(("norm.weight", "norm_f.weight", ".D")):
                value = 1 + 0.2 * noise
            else:
                value = noise * (0.5 if weight.dim() != 2 else weight.shape[1] ** -0.5)
            if "adapter_list" in name or "self_attn" in name:
                value = 0.6 * value  # sharper attention would let float32 lose too many digits
            weight.copy_(value.bfloat16().float())
    return model


def main():
    folder = pathlib.Path(sys.argv[1])
    ids = torch.randint(0, VOCABULARY, (TOKENS,), generator=torch.Generator().manual_seed(3))
    np.save(folder / "ids.npy", ids.numpy().astype(np.uint32))
    for name, (model_class, config) in CASES.items():
        model = make(model_class, config)
        with torch.no_grad():
            logits = model(ids[None], **(dict(num_logits_to_keep=0) if "zamba" in name else {})).logits[0]
        assert logits.shape == (TOKENS, VOCABULARY)
        print(f"{name}: logits up to {logits.abs().max():.2f}")
        model.config.save_pretrained(folder / name)
        weights = {name: weight.detach().bfloat16() for name, weight in model.named_parameters()}  # each shared one once
        save_file(weights, folder / name / "model.safetensors", metadata={"format": "pt"})
        np.save(folder / name / "logits.npy", logits.numpy())


main()
