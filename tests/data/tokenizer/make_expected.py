# SPDX-License-Identifier: Apache-2.0
"""Made the files of this folder once, with the Python package tokenizers 0.23.3:

    python3 make_expected.py SHARED tok512.json

SHARED holds data/text/alice29.txt (training text), data/lm_wiki and data/tokenizer; tok512.json is what
hel_tokenizer_print_json writes for ../stories260K/tok512.bin.
"""
import json
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

shared, tok512 = sys.argv[1:]
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def cases():
    wiki = open(shared + "/data/text/wikitext2.wiki.test.raw", newline="").read()
    texts = open(shared + "/data/tokenizer/ggml-vocab-gpt-2.gguf.inp", newline="").read().split("\n__ggml_vocab_test__\n")
    texts += [
        "", "a" * 300, " " * 50, "  \n \n\n  x", "\t\t  tab", "x\u180ey \u180e z", "a\u0085b\u00a0c\u3000d\u2028e",
        "'\u017f 's 'S 'RE 're it'Ll", "I'm you're", "\x01\x02\x7f\x1b[0m", "日本語のテキスト、漢字かな交じり文。", "한국어 ㄱㄴㄷ 각",
        "한글", "é e\u0301 e\u0301\u0323 \u0344 \u212b \u2126", "a\u0323\u0307 q\u0307\u0323", "👩‍👩‍👧‍👦🏳️‍🌈 x👍🏽",
        "१२३ ٤٥٦ ½ ⅷ 一二三 123456789 3.14159", "a1b22c333 d4444", "▁ ▁▁ a▁b ▁x", "<s> </s> <unk> <|endoftext|>x",
        "<|im_start|>user\nhi<|im_end|>\n", "a <|endoftext|>  b\n<|endoftext|>", "<|endoftext", "foo   bar    baz     q",
        "    def f(x):\n        return x\n\n\n    y = 1\r\n\r\n\tz", "x  <tool>  y <tool>z", "ſ K å ﬁ ǆ",
        "\U0010ffff \ue000 \ufffd \ufeff", "ÀÉÎõü ß Σσς ЖЩ", "- -- --- ---- =====", "()[]{}<>!@#$%^&*`~|\\/;:'\",.?", "ab" * 100,
    ]
    texts += [wiki[at:at + 500] for at in range(1000, 1000000, 125000)]
    alphabet = [chr(c) for c in range(32, 127)] + [" "] * 20 + ["\n", "\r", "\t", "é", "e\u0301", "中", "😀", "\u0301",
                                                               "1", "٣", "\u2028", "'s", "'ll", "<|endoftext|>", "</s>", "▁"]
    chance = random.Random(5)
    return texts + ["".join(chance.choice(alphabet) for _ in range(chance.randint(1, 60))) for _ in range(80)]


def escaped(text):
    return "".join(chr(b) if 32 <= b < 127 and b != 92 else "\\x%02x" % b for b in text.encode())


def trained(name, normalizer, splitters, alphabet, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splitters)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIAL, initial_alphabet=alphabet)
    tokenizer.train([shared + "/data/text/alice29.txt"], trainer)
    if name == "qwen2":
        tokenizer.add_tokens([AddedToken("   ", normalized=True), AddedToken("e\u0301", normalized=True)])
        tokenizer.add_tokens([AddedToken("<tool>", normalized=False, lstrip=True, rstrip=True)])
    if name == "llama3":
        template = processors.TemplateProcessing(single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)])
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return tokenizer


def split(pattern):
    return pre_tokenizers.Split(Regex(CONTRACTIONS + pattern + REST), "isolated")


def metaspace(scheme, with_split):
    data = json.load(open(tok512))
    data["normalizer"] = None
    data["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": with_split}
    return Tokenizer.from_str(json.dumps(data))


full, bytes_only = pre_tokenizers.ByteLevel.alphabet(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
made = {
    "smollm": trained("smollm", None, [pre_tokenizers.Digits(True), gpt2], []),
    "qwen2": trained("qwen2", normalizers.NFC(), [split(r"\p{N}"), bytes_only], full),
    "llama3": trained("llama3", None, [split(r"\p{N}{1,3}"), bytes_only], full, True),
    "metaspace_first": metaspace("first", False),
    "metaspace_split": metaspace("always", True),
    "tok512": Tokenizer.from_file(tok512),
}
elsewhere = {
    "lm_wiki": Tokenizer.from_file(shared + "/data/lm_wiki/tokenizer.json"),
    "gpt_neox": Tokenizer.from_file(shared + "/data/tokenizer/gpt_neox_20B_tokenizer.json"),
}
texts = cases()
open("texts.txt", "w").write("".join(escaped(text) + "\n" for text in texts))
for name, tokenizer in {**made, **elsewhere}.items():
    if name in made and name != "tok512":
        tokenizer.save(name + ".json", pretty=False)
    lines = (" ".join(map(str, tokenizer.encode(text).ids)) for text in texts)
    open(name + ".ids", "w").write("\n".join(lines) + "\n")
