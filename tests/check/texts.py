#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows every kernel's text to the languages' own judges.

    texts.py --root DIR --glslc PATH --spirv-val PATH     what glslc makes is valid SPIR-V for Vulkan 1.1
    texts.py --root DIR --clang PATH                      the OpenCL text is OpenCL C 1.2, without a warning
    texts.py --root DIR --docs                            docs/kernels.md has the kernel's line as it should be
    texts.py --root DIR --preludes                        what a prelude or an included text defines is used

Exit 77 where a program is not there.
"""
import argparse
import pathlib
import re
import subprocess
import sys


def judge(name, command, text):
    done = subprocess.run(command, input=text, capture_output=True)
    if done.returncode == 0:
        return 0
    print(f"FAILED kernel {name}: {' '.join(command)}\n{done.stderr.decode()}{done.stdout.decode()}")
    return 1


def judge_spirv(arguments, kernel, shaders):
    prelude, command = (shaders / "prelude.glsl").read_text(), [arguments.spirv_val, "--target-env", "vulkan1.1", "-"]
    forms = kernel.spirv_forms().values()
    return sum(judge(kernel.name, command, kernel.spirv([arguments.glslc, "-O"], prelude, *flags)) for flags in forms)


def judge_opencl(arguments, kernel, shaders):
    constants = [f"-DCONSTANT_{i}={value}" for i, value in enumerate(kernel.defaults)]
    command = [arguments.clang, "-x", "cl", "-cl-std=CL1.2", "-Xclang", "-finclude-default-header", "-fsyntax-only", "-Wall",
               "-Werror", "-Wno-unused-function", f"-DWORKGROUP={kernel.workgroup}", *constants, "-"]
    return judge(kernel.name, command, ((shaders / "prelude.cl").read_text() + kernel.in_language("opencl")).encode())


def judge_docs(arguments, kernel, shaders):
    """The line of the table, made from the text itself."""
    bindings = re.findall(r"^(IN|OUT|INOUT)\(\d+, (\w+), (\w+)\)$", kernel.text, re.M)
    fields = re.findall(r"(\w+) (\w+);", kernel.fields)[1:]
    constants = re.findall(r"^(?:MODE|TUNE)\(\d+, (\w+), (\d+)\)$", kernel.text, re.M)
    cells = [f"`{kernel.name}`",
             ", ".join(f"{name} {element}{'' if access == 'IN' else ' ' + access.lower()}" for access, element, name in bindings),
             ", ".join(name + (" (float)" if kind == "float" else "") for kind, name in fields),
             ", ".join(f"{name} {value}" for name, value in constants), str(kernel.workgroup)]
    line = "| " + " | ".join(cells) + " |"
    if line in (arguments.root / "docs/kernels.md").read_text().splitlines():
        return 0
    print(f"FAILED kernel {kernel.name}: docs/kernels.md should have the line\n{line}")
    return 1


def judge_preludes(shaders):
    """Nothing is defined for all kernels that none uses; numbers are the host's too."""
    texts = "".join(path.read_text() for pattern in ("*.k", "*.kh") for path in shaders.glob(pattern))
    unused = []
    for path in sorted([*shaders.glob("prelude.*"), *shaders.glob("*.kh")]):
        text = path.read_text()
        for macro, kind in re.findall(r"^#define (\w+)(?! \d+u?$)\b|^typedef .*?(\w+);$", text, re.M):
            name = macro or kind
            if len(re.findall(rf"\b{name}\b", texts if path.suffix == ".kh" else text + texts)) < 2:
                unused.append(f"{path.name}: {name}")
    print("\n".join(unused) or "texts: all that the preludes define is used")
    return 1 if unused else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, required=True)
    for program in ("glslc", "spirv-val", "clang"):
        parser.add_argument(f"--{program}", default="")
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--preludes", action="store_true")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    if arguments.preludes:
        return judge_preludes(arguments.root / "shaders")
    if not (arguments.docs or arguments.clang or (arguments.glslc and arguments.spirv_val)):
        print("skipped: the program is not on this machine")
        return 77
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(arguments.root / "tools"))
    from kernels import Kernel
    shaders = arguments.root / "shaders"
    one = judge_docs if arguments.docs else judge_opencl if arguments.clang else judge_spirv
    failures = sum(one(arguments, Kernel(shaders, name), shaders) for name in arguments.names)
    print(f"texts: {len(arguments.names)} kernels, {failures} refused")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
