# SPDX-License-Identifier: Apache-2.0
"""Puts a model into a GGUF file, for tests: metadata, and tensors of floats."""
import struct


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def pair(key, value):
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    if isinstance(value, bool):
        return text(key) + struct.pack("<IB", 7, value)
    return text(key) + (struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<II", 4, value))


def write(path, architecture, numbers, tensors):
    """`numbers` by key below the architecture; `tensors` by name: a shape, innermost side first, and all values."""
    pairs = [pair("general.architecture", architecture)] + [pair(f"{architecture}.{key}", value) for key, value in numbers.items()]
    header, body = bytearray(), bytearray()
    for name, (shape, values) in tensors.items():
        header += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(body))
        body += struct.pack(f"<{len(values)}f", *values)
        body += bytes(-len(body) % 32)
    start = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs) + header
    path.write_bytes(start + bytes(-len(start) % 32) + body)
