#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Loads an HXQ checkpoint that helicoid wrote with helix-substrate under transformers and compares logits.

    hf_logits.py HELICOID CHECKPOINT [COUNT]

Needs: pip install "transformers==4.57.6" "helix-substrate==0.3.3" accelerate torch. Prints the largest difference
over COUNT tokens (64) and fails above 1e-3.
"""
import subprocess
import sys
import tempfile

import helix_substrate.hf_quantizer  # noqa: F401  registers "hxq"
import numpy as np
import torch
from transformers import AutoModelForCausalLM


def main():
    program, checkpoint, count = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 64
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    ids = [(i * 7919 + 13) % model.config.vocab_size for i in range(count)]
    with torch.no_grad():
        theirs = model(torch.tensor([ids])).logits[0].float().numpy()
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/logits.npy"
        subprocess.run([program, "logits", checkpoint, "--tokens", ",".join(map(str, ids)), "-o", out, "-q"], check=True)
        ours = np.load(out)
    worst = float(np.abs(theirs - ours).max())
    print(f"{checkpoint}: {count} tokens, largest logit {np.abs(theirs).max():.2f}, largest difference {worst:.2e}")
    sys.exit(worst > 1e-3)


if __name__ == "__main__":
    main()
