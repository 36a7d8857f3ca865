#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Made tests/data/chat/expected.json once, with transformers 4.57.6:

    make_chat.py TESTS_DATA

What apply_chat_template(add_generation_prompt=True) gives for the official templates below, as text and as ids of a small
tokenizer of TESTS_DATA/tokenizer that has the family's control tokens.
"""
import json
import pathlib
import sys
import tempfile

from transformers import PreTrainedTokenizerFast

# Of OpenHermes-2.5 and others, meta-llama/Llama-2-7b-chat-hf, meta-llama/Meta-Llama-3-8B-Instruct and
# HuggingFaceH4/zephyr-7b-beta; compared with copies in public repositories, as the models' own files were out of reach.
CHATML = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
          "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
    "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}")
LLAMA3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}")
ZEPHYR = (
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}")

FAMILIES = { # template, tokenizer, begin and end token, control tokens that it gets
    "chatml": (CHATML, "smollm", "<|endoftext|>", "<|im_end|>", []),
    "llama2": (LLAMA2, "metaspace_first", "<s>", "</s>", []),
    "llama3": (LLAMA3, "llama3", "<|endoftext|>", "<|eot_id|>", ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]),
    "zephyr": (ZEPHYR, "metaspace_first", "<s>", "</s>", []),
}

SPACES = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000"
TALKS = {
    "user": [("user", "How are you?")],
    "system, user": [("system", "Be brief."), ("user", "How are you?")],
    "system, user, assistant, user": [("system", "Be brief."), ("user", "Hi!"), ("assistant", "Hello."), ("user", "Bye")],
    "user, assistant, user": [("user", "Hi!"), ("assistant", "Hello."), ("user", "Bye")],
    "blanks at both ends": [("system", " Be brief.\n"), ("user", "\n\n Hi! \t"), ("assistant", " Hello.\n"), ("user", " Bye ")],
    "blanks of Unicode": [("system", "\u3000Be brief.\xa0"), ("user", SPACES + "Hi" + SPACES), ("assistant", SPACES + "a" + SPACES),
                          ("user", "\u2003Caf\xe9\u3000")],
    "not blanks": [("user", "\u200b\ufeff\u180e\u2060Hi\u2060\u180e\ufeff\u200b"), ("assistant", "\x01a\x7f"),
                   ("user", "\x08Bye\x0e")],
    "empty": [("system", ""), ("user", "")],
    "only blanks": [("system", "Be brief."), ("user", " \u3000\n"), ("assistant", " "), ("user", "\t")],
    "lines": [("system", "One.\n\nTwo."), ("user", "Line 1\nLine 2\n\n- a\n- b\r\n"), ("assistant", "\n"), ("user", "2 + 2 = 4?")],
    "markup that is none": [("user", "<|x|> [INST] {{ eos_token }} {% if %} <<SYS>>")],
}


def added_tokens(tokenizer, controls):
    """Entries for `controls` behind the vocabulary."""
    first = 1 + max([*tokenizer["model"]["vocab"].values(), *(token["id"] for token in tokenizer["added_tokens"])])
    return [dict(id=first + i, content=control, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
            for i, control in enumerate(controls)]


def open_tokenizer(text, **config):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(text, file)
        file.flush()
        return PreTrainedTokenizerFast(tokenizer_file=file.name, **config)


def record(tokenizer, name, talk):
    messages = [dict(role=role, content=content) for role, content in talk]
    return dict(name=name, messages=messages,
                text=tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False),
                ids=" ".join(map(str, tokenizer.apply_chat_template(messages, add_generation_prompt=True))))


def main():
    data, out = pathlib.Path(sys.argv[1]), []
    for family, (template, name, bos, eos, controls) in FAMILIES.items():
        text = json.loads((data / "tokenizer" / f"{name}.json").read_text())
        added = added_tokens(text, controls)
        text["added_tokens"] += added
        config = dict(bos_token=bos, eos_token=eos, chat_template=template)
        tokenizer = open_tokenizer(text, **config)
        out.append(dict(family=family, tokenizer=f"tokenizer/{name}.json", added_tokens=added, config=config,
                        talks=[record(tokenizer, *talk) for talk in TALKS.items()]))
    (data / "chat" / "expected.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
