#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/tokenizer/rwkv_world.txt, a small vocabulary in the form of RWKV's, and rwkv_world.expected: pairs of lines,
a text in hexadecimal and the ids of the longest token at each place, which are looked for here by trying every length.

    make_rwkv.py FOLDER
"""
import pathlib
import random
import sys

WORDS = ["the", " the", "there", " there", "then", "  ", "    ", "\n\n", "\r\n", "\t\t", "12", " 12", "99", "don't", "\"'", "\\n", "é", "été",
         " été", "ß", "中", "中文", "\u3000", "\u200b", "🙂", "🙂🙂", "=" * 8, "=" * 80, "\x7f\x00", "</s>", "<|endoftext"]
PARTS = [b"\xe4\xb8", b"\xf0\x9f", b"\xf0\x9f\x99", b"\xc3\xa9\xc3", b"\xff\xfe"]
SHORT = [bytes([i]) for i in range(256)]


def literal(piece):
    try:
        text = piece.decode()
    except UnicodeDecodeError:
        return repr(piece)
    return repr(text)


def ids_of(text, ids):
    out, at = [], 0
    while at < len(text):
        size = max(n for n in range(1, len(text) - at + 1) if text[at:at + n] in ids)
        out.append(ids[text[at:at + size]])
        at += size
    return out


def main():
    folder = pathlib.Path(sys.argv[1])
    pieces = SHORT + sorted({w.encode() for w in WORDS} | set(PARTS), key=lambda p: (len(p), p))
    numbered = {piece: i + 1 + (i >= 270) for i, piece in enumerate(pieces)}  # an id is left out
    lines = [f"{i} {literal(piece)} {len(piece)}\n" for piece, i in numbered.items()]
    (folder / "rwkv_world.txt").write_text("".join(lines), encoding="utf-8", newline="\n")
    random.seed(7)
    texts = [b"", b"the then there  there", "Il a été là.\r\n\n 129912 \\n\"'".encode(), "中文中🙂🙂🙂\u3000\u200b".encode(),
             b"=" * 171, bytes(range(256)), b"\xf0\x9f\x99\xe4\xb8\xff\xfe\xc3\xa9\xc3\xa9<|endoftext|>"]
    everything = b"".join(pieces)
    for _ in range(20):
        texts.append(b"".join(random.choice(pieces)[:random.randrange(1, 9)] for _ in range(30)))
        first = random.randrange(len(everything) - 40)
        texts.append(everything[first:first + 40])
    expected = "".join(f"{text.hex()}\n{' '.join(map(str, ids_of(text, numbered)))}\n" for text in texts)
    (folder / "rwkv_world.expected").write_text(expected)


main()
