#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks the kernels on purpose, one line at a time, and wants the check to notice each time.

    mutants.py --check PROGRAM --compiler CC... --root DIR

Each mutant is one replacement in one file of shaders/. Its C form is built with a thread for each lane, which run one
after the other between barriers, and checked; so is the kernel as it stands, which must pass.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

# What is broken, kernel, file, text that occurs once in it, what stands there instead.
MUTANTS = [
    ("tail of a row of indices", "linear_matvec", "weight.kh",
     "UMIN(FIELD_FIRST((w) + 1u), FIELDS)", "FIELD_FIRST((w) + 1u)"),
    ("index across two words", "linear_matvec", "weight.kh", "if (shift + bits > 32u)", "if (shift + bits > 33u)"),
    ("column of a group scale", "linear_matmul", "weight.kh", "(p.cols + p.group - 1u) / p.group", "p.cols / p.group"),
    ("row of a sidecar in a slice", "linear_matvec", "weight.kh", "sidecar_blocks[(p.first_row + (row)) / SIDECAR_ROWS]\n", "sidecar_blocks[(row) / SIDECAR_ROWS]\n"),
    ("last entry of the sidecar", "linear_matmul", "weight.kh", "/ SIDECAR_ROWS + 1u]", "/ SIDECAR_ROWS + 1u] - 1u"),
    ("sidecar replaces instead of adding", "embedding", "embedding.k", "value += SIDECAR", "value = SIDECAR"),
    ("bias of a row in a slice", "linear_matvec", "linear_matvec.k", "result += bias[row]", "result += bias[row - p.first_row]"),
    ("bias left out", "linear_matmul", "linear.kh", "result += bias[p.first_row + (row)]", "result += 0.0f"),
    ("accumulation left out", "linear_matvec", "linear_matvec.k", "result += y[at]", "result += 0.0f"),
    ("barrier of the fold over rows", "linear_matvec", "linear_matvec.k", "                BARRIER;\n", ""),
    ("stride of the copies of a codebook", "linear_matvec", "linear_matvec.k", "* (REPLICAS * 4u)", "* (REPLICAS * 2u)"),
    ("barrier after the codebook is copied", "linear_matvec", "linear_matvec.k", "        BARRIER;\n    }\n    f32x4",
     "    }\n    f32x4"),
    ("slice of the columns", "linear_matvec", "linear_matvec.k", "first = item % SPLITS * WORKGROUP + LANE", "first = LANE"),
    ("x of another step", "linear_matvec", "linear_matvec.k", "KEEPS_X && s == kept_step", "KEEPS_X"),
    ("last slice of the columns", "linear_slices", "linear_slices.k", "s < p.slices", "s + 1u < p.slices"),
    ("barrier after staging", "linear_matmul", "linear_matmul.k", "        BARRIER;\n        for (u32 item", "        for (u32 item"),
    ("barrier before staging anew", "linear_matmul", "linear_matmul.k", "            }\n        }\n        BARRIER;\n",
     "            }\n        }\n"),
    ("rows after the last", "linear_matmul", "linear.kh", "(row) < p.rows && (t)", "(t)"),
    ("tail of the columns", "linear_matmul_matrix", "linear_matmul_matrix.k", "(p.cols + STEP_COLS - 1u) / STEP_COLS", "p.cols / STEP_COLS"),
    ("columns after the last of x", "linear_matmul_matrix", "linear_matmul_matrix.k", "c + 1u < p.cols ?", "c < p.cols ?"),
    ("words between rows of a tile", "linear_matmul_matrix", "linear_matmul_matrix.k", "w_first + i * 16u * MATRIX_STRIDE", "w_first + i * 16u * PAIRS"),
    ("quarter of a tile", "linear_matmul_matrix", "linear_matmul_matrix.k", "quarter / 2u * QUARTER_TOKENS * MATRIX_STRIDE", "quarter % 2u * QUARTER_TOKENS * MATRIX_STRIDE"),
    ("first bit of a unit", "linear_matmul_matrix", "linear_matmul_matrix.k", "word[at + 1u], shift, 32u)", "word[at + 1u], 0u, 32u)"),
    ("next group of scales", "linear_matmul_matrix", "linear_matmul_matrix.k", "place == p.group &&", "place > p.group &&"),
    ("barrier after the table", "linear_matmul_matrix", "linear_matmul_matrix.k", "table[i] = codebook[i];\n    BARRIER;\n", "table[i] = codebook[i];\n"),
    ("barrier of a step", "linear_matmul_matrix", "linear_matmul_matrix.k", "        BARRIER;\n    }\n\n    for (u32 i", "    }\n\n    for (u32 i"),
    ("barrier after storing sums", "linear_matmul_matrix", "linear_matmul_matrix.k", "        BARRIER;\n        for (u32 n", "        for (u32 n"),
    ("barrier before storing sums anew", "linear_matmul_matrix", "linear_matmul_matrix.k", "        BARRIER;\n    }\nEND", "    }\nEND"),
    ("rounding to bf16", "linear_matmul_matrix", "bf16.kh", "(bits + 0x7fffu + (bits >> 16 & 1u)) >> 16", "bits >> 16"),
    ("rows of another slice", "embedding", "embedding.k", " && token < p.first_row + p.rows", ""),
    ("barrier of the fold", "rmsnorm", "common.kh", "        BARRIER; \\\n", "        ; \\\n"),
    ("epsilon", "rmsnorm", "rmsnorm.k", " + p.epsilon", ""),
    ("mean over lanes, not columns", "rmsnorm", "rmsnorm.k", "TO_F32(p.cols)", "TO_F32(WORKGROUP)"),
    ("lags of a block", "fftconv_step", "fftconv_step.k", "near = t % p.block", "near = t % p.block / 2u"),
    ("input kept for later", "fftconv_step", "fftconv_step.k", "state[at] = v;", "state[at] = u[row];"),
    ("barrier between rows and columns", "transpose", "transpose.k", "    BARRIER;\n", ""),
    ("rows that are not there", "transpose", "transpose.k", "UMIN(p.rows, p.valid)", "p.rows"),
    ("causal limit", "attention", "attention.k", "+ GROUP / p.heads + 1u", "+ GROUP / p.heads"),
    ("scale of the scores", "attention", "attention.k", " * p.scale", ""),
    ("shared key and value heads", "attention", "attention.k", "% p.heads * p.kv_heads / p.heads", "% p.heads % p.kv_heads"),
    ("rescaling of what was summed", "attention", "attention.k", "mixed[d] * shrink", "mixed[d]"),
    ("barrier between chunks", "attention", "attention.k", "            mixed[d] = sum;\n        }\n        BARRIER;\n",
     "            mixed[d] = sum;\n        }\n"),
    ("block table", "kv_append", "kv_append.k", "block_table[position / p.page_size]", "position / p.page_size"),
    ("position of the first token", "rope", "rope.k", "(step[0] + t)", "t"),
    ("sense of rotation", "rope", "rope.k", "a * cosine - b * sine", "a * cosine + b * sine"),
    ("first of equals", "argmax", "argmax.k", "place[LANE + fold] < place[LANE]", "place[LANE + fold] > place[LANE]"),
    ("largest subtracted", "softmax", "softmax.k", "x[first + c] - largest) / partial[0]", "x[first + c]) / partial[0]"),
    ("sign of the exponent", "activate", "functions.kh", "EXP(-x)", "EXP(x)"),
    ("columns apart", "activate", "activate.k", "row * p.x_stride", "row * p.cols"),
    ("sign of the tail", "activate", "functions.kh", "? part : x - part", "? part : x + part"),
    ("threshold of tanh", "activate", "functions.kh", "if (size < 0.5f)", "if (size < 5.0f)"),
    ("columns apart", "conv1d", "conv1d.k", "(row - kept) * p.x_stride + c];\n                else", "(row - kept) * p.channels + c];\n                else"),
    ("rows before the first", "conv1d", "conv1d.k", "&& p.keeps != 0u", "&& p.keeps > 1u"),
    ("state of a short text", "conv1d", "conv1d.k", "row < kept ? state[row", "row < kept ? state[j"),
    ("step behind softplus", "ssm_scan", "ssm.kh", " + extra;", ";"),
    ("most of a time step", "ssm_scan", "ssm.kh", "-FMAX(-high, -softplus(raw))", "softplus(raw)"),
    ("bias of a head", "ssm_scan", "ssm_scan.k", "dt + more[head]", "dt + more[0]"),
    ("group of B and C", "ssm_scan", "ssm_scan.k", "c / p.group_channels * p.state", "0u"),
    ("states behind a block", "ssm_scan", "ssm_scan.k", "if (n > 0u || p.add != 0u)", "if (p.add != 0u)"),
    ("gate before the last block", "ssm_scan", "ssm_scan.k", "n + BLOCK >= p.state && ", ""),
    ("steps backwards", "ssm_scan", "ssm_scan.k", "p.steps - 1u - s", "end - 1u - s"),
    ("steps of the last chunk", "ssd_scan", "ssd_scan.k", "dt[s] = s < steps ? ", "dt[s] = s <= steps ? "),
    ("group of B and C", "ssd_scan", "ssd_scan.k", "channel / p.group_channels * p.state", "0u"),
    ("what is left of h", "ssd_scan", "ssd_scan.k", "t <= s; t++) before", "t < s; t++) before"),
    ("decay behind a step", "ssd_scan", "ssd_scan.k", "for (u32 t = s + 1u; t < STEPS; t++)", "for (u32 t = s; t < STEPS; t++)"),
    ("decay between steps", "ssd_scan", "ssd_scan.k", "j = s + PAIR_STEPS; j <= t", "j = s + PAIR_STEPS; j < t"),
    ("steps behind", "ssd_scan", "ssd_scan.k", "mix[(s + k) * STEPS + t] = s + k <= t ?", "mix[(s + k) * STEPS + t] = s + k < t ?"),
    ("piece from zero", "ssd_scan", "ssd_scan.k", "ALONE == 1u && step == first", "ALONE == 1u && step > first"),
    ("barrier behind the time steps", "ssd_scan", "ssd_scan.k", "        }\n        BARRIER;\n        for (u32 s = LANE", "        }\n        for (u32 s = LANE"),
    ("barrier behind the tiles", "ssd_scan", "ssd_scan.k", "            }\n            BARRIER;\n            for (u32 item", "            }\n            for (u32 item"),
    ("barrier before the next tiles", "ssd_scan", "ssd_scan.k", "            BARRIER;\n        }\n", "        }\n"),
    ("barrier behind the mix", "ssd_scan", "ssd_scan.k", "        }\n        BARRIER;\n        for (u32 item", "        }\n        for (u32 item"),
    ("order of the carry", "ssm_carry", "ssm_carry.k", "states[piece * p.n + i] = h;\n            h = ", "h = "),
    ("gate before the norm", "rmsnorm_gated", "rmsnorm_gated.k", "if (BEHIND == 0u) value", "value"),
    ("gain of a group", "rmsnorm_gated", "rmsnorm_gated.k", "GROUP % p.gains * p.cols", "GROUP / p.gains * p.cols"),
    ("second of two", "join_columns", "join_columns.k", "+ c - p.a_cols", "+ c"),
    ("mean left in the variance", "layernorm", "layernorm.k", "(x[first + c] - mean) * (x[first + c] - mean)",
     "x[first + c] * x[first + c]"),
    ("gain of another group", "layernorm", "layernorm.k", "GROUP % p.gains * p.cols", "0u"),
    ("barrier between the two sums", "layernorm", "layernorm.k", "TO_F32(p.cols);\n    BARRIER;\n", "TO_F32(p.cols);\n"),
    ("row that is kept", "token_shift", "token_shift.k", "state[p.state_first + c] = before;", "state[p.state_first + c] = x[c];"),
    ("share of x", "token_mix", "token_mix.k", "share = 1.0f - share", "share = share"),
    ("slice of a factor", "token_mix", "token_mix.k", "(p.first * p.cols + c) * p.rank", "c * p.rank"),
    ("what the gate lets through", "gate_add", "gate_add.k", "sigmoid(gate[i]) * x[i]", "gate[i] * x[i]"),
    ("state without a token", "wkv4", "wkv4.k", "below > 0.0f ? state[at + 2u * p.cols] : NO_EXPONENT", "state[at + 2u * p.cols]"),
    ("bonus in the state", "wkv4", "wkv4.k", "most = FMAX(decayed, k[i])", "most = FMAX(decayed, with_bonus)"),
    ("first token of a part", "wkv4", "wkv4.k", "u32 t = p.first;", "u32 t = 0u;"),
    ("bonus of a head", "wkv5", "wkv5.k", "bonus[(channel + j) / p.bonus_share]", "bonus[channel + j]"),
    ("state decayed too early", "wkv5", "wkv5.k", "* pair + before);", "* pair + factor[j] * before);"),
    ("decay twice an exponential", "wkv5", "wkv5.k", "EXP(-EXP(factor[j] + change[token + j]))", "EXP(factor[j] + change[token + j])"),
    ("barrier after a head is staged", "wkv5", "wkv5.k", "        }\n        BARRIER;\n        for (u32 i", "        }\n        for (u32 i"),
    ("barrier before the next token", "wkv5", "wkv5.k", "            y[token + i] = sum;\n        }\n        BARRIER;\n", "            y[token + i] = sum;\n        }\n"),
    ("what is removed", "wkv7", "wkv7.k", "- added[j] * known", "+ added[j] * known"),
    ("output before the update", "wkv7", "wkv7.k", "sum += receptance[j] * now", "sum += receptance[j] * (now - key[j] * value)"),
    ("barrier before the next token", "wkv7", "wkv7.k", "            y[token + i] = sum;\n        }\n        BARRIER;\n", "            y[token + i] = sum;\n        }\n"),
    ("norm within the head", "wkv7_keys", "wkv7_keys.k", "removal[c] * scale", "removal[c]"),
    ("key that replaces", "wkv7_keys", "wkv7_keys.k", "(rate - 1.0f)", "rate"),
    ("bonus of the head", "wkv7_gate", "wkv7_gate.k", "bonus[channel + j]", "bonus[j]"),
    ("sense of rotation", "modal_scan", "modal_scan.k", "pole_re[i] * im[i] + pole_im[i] * re[i]", "pole_re[i] * im[i] - pole_im[i] * re[i]"),
    ("columns of a head", "modal_scan", "modal_scan.k", "c / p.split * 3u * p.split", "c / p.split * p.split"),
    ("modes behind a block", "modal_scan", "modal_scan.k", "first == 0u ? direct[c] * w", "first < 99u ? direct[c] * w"),
    ("first token of a part", "modal_scan", "modal_scan.k", "u32 t = p.first; t < p.first + p.tokens", "u32 t = 0u; t < p.tokens"),
    ("gate before the last block", "modal_scan", "modal_scan.k", "first + BLOCK < p.modes ? sum", "first > 99u ? sum"),
    ("last element", "add", "add.k", "UMIN(p.n, (GROUP + 1u) * CHUNK)", "UMIN(p.n - 1u, (GROUP + 1u) * CHUNK)"),
    ("column", "divide_columns", "divide_columns.k", "scales[i % p.cols]", "scales[i / p.cols]"),
    ("order of negative values", "histogram", "histogram.k", "? ~bits", "? bits"),
    ("zero with a sign", "histogram", "histogram.k", "values[i] == 0x80000000u ? 0u : values[i]", "values[i]"),
    ("first of the nearest", "kmeans_assign", "kmeans_assign.k", "if (distance < least)", "if (distance <= least)"),
    ("barrier before the next tile", "kmeans_assign", "kmeans_assign.k", "            item++;\n        }\n        BARRIER;\n",
     "            item++;\n        }\n"),
    ("points of the next block", "kmeans_partial", "kmeans_partial.k", "UMIN(p.n, (GROUP + 1u) * p.block)", "p.n"),
    ("cluster without points", "kmeans_update", "kmeans_update.k", "if (count > 0u) ", ""),
    ("first cluster of a wide point", "kmeans_update", "kmeans_update.k", "+ place / p.d]", "+ place]"),
    ("transform back", "fftconv_block", "fftconv.kh", "x_im[high] = MUL_ADD(s_re, d_im, -(s_im) * d_re)", "x_im[high] = MUL_ADD(s_re, d_im, (s_im) * d_re)"),
    ("barrier between passes", "fftconv_block", "fftconv_block.k", "span /= 8u) {\n        BARRIER;\n", "span /= 8u) {\n"),
    ("direct path", "fftconv_block", "fftconv.kh", "(HAS(FLAG_DIRECT) ? bias[", "(HAS(FLAG_DIRECT) ? -bias["),
    ("halves of a word", "fftconv_join", "fftconv.kh", "bf16_pair(low_result, high_result)", "bf16_pair(high_result, low_result)"),
    ("odd rows turned round", "fftconv_split", "fftconv.kh", "WIDTH - 1u - (step)", "p.steps - 1u - (step)"),
    ("last place of a part", "fftconv_split", "fftconv_split.k", "UMIN(first + CHUNK, p.part)", "UMIN(first + CHUNK, p.part - 1u)"),
    ("weights", "fftconv_weigh", "fftconv_weigh.k", "work[at + 1u] = value * turn_im", "work[at + 1u] = -value * turn_im"),
    ("coarse turns", "fftconv_weigh", "fftconv.kh", "2u * (FINE_TURNS + (t) / FINE_TURNS)", "2u * FINE_TURNS"),
    ("filter of a row", "fftconv_multiply", "fftconv_multiply.k", "(p.first_row + row) % p.filters", "row % p.filters"),
    ("weights of the way back", "fftconv_unweigh", "fftconv_unweigh.k", "+ work[at + 1u] * turn_im", "- work[at + 1u] * turn_im"),
    ("order of the bands", "fftconv_toeplitz", "fftconv_toeplitz.k", "x[k + TOEPLITZ_BANDS - 1u - b]", "x[k + b]"),
    ("zeros behind the taps", "fftconv_toeplitz", "fftconv_toeplitz.k", "n < p.taps ? taps[", "n < p.taps + 1u ? taps["),
    ("steps before the tile", "fftconv_toeplitz_taps", "fftconv_toeplitz_taps.k", "reach = WHOLE_BANDS(bands) * TOEPLITZ_SPAN", "reach = TOEPLITZ_SPAN"),
    ("barrier before the next tile of a slice", "fftconv_toeplitz_taps", "fftconv_toeplitz_taps.k", "        BARRIER;\n        LOAD_TILE", "        LOAD_TILE"),
    ("end of a slice", "fftconv_toeplitz_taps", "fftconv_toeplitz_taps.k", "UMIN(p.steps, begin + p.slice)", "p.steps"),
    ("roots of the way back", "fftconv_join", "fftconv_join.k", "p.blocks * RADIX + j * t % RADIX", "p.blocks * RADIX + (j + t) % RADIX"),
]


def run(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def must(command):
    done = run(command)
    if done.returncode:
        sys.exit(f"mutants.py: {' '.join(map(str, command))}\n{done.stdout}")


def build(arguments, shaders, kernel, folder):
    """The C form of one kernel as a shared library."""
    must([sys.executable, arguments.root / "tools/kernels.py", "--out", folder, "--shaders", shaders, kernel])
    source, library = folder / "form.c", folder / "form.so"
    source.write_text('#include "kernels_c.inc"\n')
    must([*arguments.compiler, "-std=c17", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-DHEL_C_LANES", "-w",
          f"-I{arguments.root}/src", f"-I{arguments.root}/include", f"-I{folder}", source, "-o", library, "-lm"])
    return library


def check(arguments, library, kernel):
    return run([arguments.check, "--lanes", "4", "--ordered", "--rounds", "2", "--library", library, "--kernel", kernel])


def check_mutant(arguments, mutant, folder):
    what, kernel, name, old, new = mutant
    shaders = folder / "shaders"
    shutil.copytree(arguments.root / "shaders", shaders)
    text = (shaders / name).read_text()
    if text.count(old) != 1:
        return f"{name} has {text.count(old)} times: {old}"
    (shaders / name).write_text(text.replace(old, new))
    done = check(arguments, build(arguments, shaders, kernel, folder), kernel)
    if done.returncode == 0:
        return "not noticed"
    failure = next((line for line in done.stdout.splitlines() if line.startswith("FAILED")), f"ended by {done.returncode}")
    print(f"caught: {kernel}: {what}: {failure[:150]}")
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", required=True)
    parser.add_argument("--root", type=pathlib.Path, required=True)
    parser.add_argument("--compiler", nargs="+", required=True)
    arguments = parser.parse_args()
    failures = 0
    for kernel in sorted({mutant[1] for mutant in MUTANTS}):
        with tempfile.TemporaryDirectory() as folder:
            done = check(arguments, build(arguments, arguments.root / "shaders", kernel, pathlib.Path(folder)), kernel)
            if done.returncode:
                failures += 1
                print(f"FAILED: {kernel} as it stands:\n{done.stdout}")
    for mutant in MUTANTS:
        with tempfile.TemporaryDirectory() as folder:
            problem = check_mutant(arguments, mutant, pathlib.Path(folder))
        if problem:
            failures += 1
            print(f"FAILED: {mutant[1]}: {mutant[0]}: {problem}")
    print(f"mutants: {len(MUTANTS)}, of which {failures} not caught")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
