#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of the house that a compiler does not know.

    house.py layers ROOT           includes point down only, OS calls and driver calls stay in their rooms
    house.py style ROOT            file length, line length, blanks, licence line, words of unfinished work
    house.py headers ROOT CC CXX   each public header compiles alone as C17 and as C++17
    house.py symbols ROOT LIBRARY  the library exports what the public headers declare, and nothing else
"""
import pathlib
import re
import subprocess
import sys
import tempfile

# Rooms of src from the bottom up; rooms on one line do not include each other.
LAYERS = [["base"], ["device", "formats"], ["ops"], ["vq", "text"], ["kvcache"], ["models"], ["bench"], ["cli"]]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
OS_HEADERS = re.compile(r"<(unistd|pthread|dlfcn|fcntl|dirent|sched|windows|sys/\w+)\.h>")
DRIVER_CALLS = re.compile(r"\b(vkCmd\w+|vkQueue\w+|clEnqueue\w+|cuLaunch\w+|cuMem\w+)")
BACKEND_NAMES = re.compile(r'"(cpu|vulkan|opencl|cuda)(:\d+)?"')
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|placeholder|for now|not implemented)\b")
TEXT = {".c", ".h", ".k", ".kh", ".py", ".glsl", ".cl", ".cu", ".build", ".ini"}
MAX_LINES, MAX_COLUMNS = 1000, 132


def sources(root, *folders):
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and (path.suffix in TEXT or folder == "tools" and not path.suffix):
                yield path, path.relative_to(root).as_posix()


def includes(text):
    return re.findall(r'^\s*#include "([^"]+)"', text, re.M)


def check_layers(root):
    for path, name in sources(root, "src", "backends"):
        text = path.read_text()
        parts = name.split("/")
        if parts[0] == "src" and len(parts) > 2:
            room = parts[1]
            for include in includes(text):
                other = include.split("/")[0]
                if other in LEVEL and other != room and LEVEL[other] >= LEVEL[room] and not include.startswith("base/os_console"):
                    yield f"{name}: includes {include}, which is not below {room}"
            if room == "cli" and any(i.split("/")[0] in LEVEL and i.split("/")[0] not in ("cli", "base") for i in includes(text)):
                yield f"{name}: the program uses public headers only"
            if DRIVER_CALLS.search(text):
                yield f"{name}: a driver call outside backends/"
            if room != "cli" and path.suffix == ".c" and BACKEND_NAMES.search(text):
                yield f"{name}: knows a backend by name"
        if parts[0] == "backends":
            for include in includes(text):
                if include.split("/")[0] in LEVEL and include.split("/")[0] not in ("base", "device"):
                    yield f"{name}: a backend includes {include}"
        if OS_HEADERS.search(text) and not re.match(r"src/base/os_\w+\.c", name):
            yield f"{name}: an OS header outside src/base/os_*.c"


def check_style(root):
    for path, name in sources(root, "src", "backends", "shaders", "include", "tests", "tools", "examples", "bench"):
        lines = path.read_text(errors="replace").split("\n")
        if lines and lines[-1]:
            yield f"{name}: no newline at the end"
        if len(lines) > MAX_LINES:
            yield f"{name}: {len(lines)} lines"
        if path.suffix in (".c", ".h", ".py") and not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:2]) \
                and not name.startswith("shaders/"):
            yield f"{name}: no licence line"
        for number, line in enumerate(lines, 1):
            if line != line.rstrip():
                yield f"{name}:{number}: blanks at the end"
            if "\t" in line:
                yield f"{name}:{number}: a tab"
            if len(line) > MAX_COLUMNS and name.split("/")[0] in ("src", "backends", "include", "shaders"):
                yield f"{name}:{number}: {len(line)} columns"
            if UNFINISHED.search(line) and path.name != "house.py":
                yield f"{name}:{number}: {UNFINISHED.search(line).group(0)}"


def check_headers(root, cc, cxx):
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", f"-I{root / 'include'}"]
    with tempfile.TemporaryDirectory() as folder:
        for header in sorted((root / "include/helicoid").glob("*.h")):
            for compiler, standard, suffix in ((cc, "-std=c17", "c"), (cxx, "-std=c++17", "cc")):
                alone = pathlib.Path(folder) / f"alone.{suffix}"
                alone.write_text(f"#include <helicoid/{header.name}>\nint main() {{ return 0; }}\n" if suffix == "cc" else
                                 f"#include <helicoid/{header.name}>\nint main(void) {{ return 0; }}\n")
                done = subprocess.run([*compiler.split(), standard, *strict, str(alone)], capture_output=True, text=True)
                if done.returncode:
                    yield f"{header.name} as {standard}:\n{done.stderr}"


def check_symbols(root, library):
    declared = set()
    for header in (root / "include/helicoid").glob("*.h"):
        text = re.sub(r"//.*", "", header.read_text())
        declared |= set(re.findall(r"HEL_API[^;{]*?\b(hel_\w+)\s*\(", text))
    done = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True)
    exported = {line.split()[-1].split("@")[0] for line in done.stdout.splitlines() if line.split()[-2] in "TBDR"}
    yield from (f"{name} is declared and not exported" for name in sorted(declared - exported))
    yield from (f"{name} is exported and not declared" for name in sorted(exported - declared))


def main():
    what, root, *rest = sys.argv[1:]
    checks = {"layers": check_layers, "style": check_style, "headers": check_headers, "symbols": check_symbols}
    problems = list(checks[what](pathlib.Path(root), *rest))
    print("\n".join(problems))
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
