#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns shaders/*.k into what the library embeds.

    kernels.py --out DIR [--glslc PATH [--glslc-flag=-O]...] --shaders DIR NAME...

writes kernels.h (parameter structs and constants for the host), kernels.c (the table with SPIR-V, OpenCL and CUDA text) and
kernels_c.inc (all C forms in one text, to be included after choosing HEL_C_LANES or not).
"""
import argparse
import pathlib
import re
import subprocess
import sys

ACCESS = {"IN": "HEL_ACCESS_IN", "OUT": "HEL_ACCESS_OUT", "INOUT": "HEL_ACCESS_INOUT"}
TEXT_LANGUAGES = {"opencl": "prelude.cl", "cuda": "prelude.cu"}  # compiled by the driver; a new one is an entry here
SPIRV_FORMS = {"spirv": [], "spirv_subgroups": ["-DSUBGROUP_SHUFFLES"]}  # the second of kernels that add across subgroups
HOST_TYPES = {"u32": "uint32_t", "f32": "float"}


def fail(message):
    sys.exit(f"kernels.py: {message}")


def expand(shaders, text, seen, language=""):
    """Puts the text of each #include "x.kh" in its place, once: the language's own where its folder has one, which reaches
    the common one as "../x.kh"."""
    def include(match):
        own = shaders / language / match.group(1)
        path = (own if own.exists() else shaders / match.group(1)).resolve()
        if path in seen:
            return ""
        seen.add(path)
        return expand(shaders, path.read_text(), seen, language)
    return re.sub(r'^#include "((?:\.\./)?[\w.]+)"\n', include, text, flags=re.M)


def define_limits(text):
    """LIMIT(name, number) tells the host what it must refuse, and the text how large its arrays must be."""
    text = re.sub(r"^LIMIT\((\w+), (\d+)\)$", lambda m: f"#define MAX_{m.group(1).upper()} {m.group(2)}", text, flags=re.M)
    return re.sub(r"^LIMIT\(.*\)$", "", text, flags=re.M)


class Kernel:
    def __init__(self, shaders, name):
        self.name, self.shaders = name, shaders
        self.text = self.expand(set())
        header = re.search(r"^KERNEL\((\w+), (\d+)\)$", self.text, re.M)
        if not header or header.group(1) != name:
            fail(f"{name}.k: needs KERNEL({name}, work-group size)")
        self.workgroup = int(header.group(2))
        bindings = re.findall(r"^(IN|OUT|INOUT)\((\d+), (\w+), \w+\)$", self.text, re.M)
        if [int(b[1]) for b in bindings] != list(range(len(bindings))) or not 1 <= len(bindings) <= 8:
            fail(f"{name}.k: bindings must be numbered 0.. and be at most 8")
        self.access = [ACCESS[b[0]] for b in bindings]
        constants = re.findall(r"^(MODE|TUNE)\((\d+), (\w+), (\d+)\)$", self.text, re.M)
        if [int(c[1]) for c in constants] != list(range(len(constants))) or len(constants) > 12:
            fail(f"{name}.k: MODE and TUNE must be numbered 0.. and be at most 12")
        self.constants = [c[2] for c in constants]
        self.defaults = [c[3] for c in constants]
        self.tunes = {c[2]: c[3] for c in constants if c[0] == "TUNE"}
        self.lanes_at = self.constants.index("LANES") if "LANES" in self.constants else len(constants)
        if self.tunes.get("LANES", header.group(2)) != header.group(2):
            fail(f"{name}.k: LANES and the work-group size differ")
        struct = re.search(r"^PARAMS\((\w+)\)$", self.text, re.M)
        if not struct:
            fail(f"{name}.k: needs PARAMS")
        self.struct = struct.group(1)
        body = re.search(r"struct " + self.struct + r" \{(.*?)\};", self.text, re.S)
        if not body or not re.match(r"\s*u32 groups;", body.group(1)):
            fail(f"{name}.k: struct {self.struct} must begin with u32 groups")
        self.fields = re.sub(r"\b(u32|f32)\b", lambda m: HOST_TYPES[m.group(1)], body.group(1))
        limits = re.findall(r"^LIMIT\((\w+), (.+)\)$", self.text, re.M)
        self.limits = [self.limit(*found) for found in limits]
        self.most = {f"MAX_{what.upper()}": most for what, most in limits if most.isdigit()}
        self.text = define_limits(self.text)

    def expand(self, seen, language=""):
        return expand(self.shaders, '#include "common.kh"\n' + (self.shaders / f"{self.name}.k").read_text(), seen, language)

    def in_language(self, language):
        return define_limits(self.expand(set(), language))

    def limit(self, what, most):
        """{constant, place of the value, most} or {constant, place, 0, constant that bounds it, its divisor}."""
        if what in self.constants:
            place = f"true, {self.constants.index(what)}"
        elif re.search(rf"\buint32_t {what};", self.fields):
            place = f"false, offsetof(hel_{self.struct}, {what})"
        else:
            fail(f"{self.name}.k: LIMIT({what}) is neither a constant nor a u32 parameter")
        bound = re.fullmatch(r"(\w+?)(?: / (\d+))?", most)
        if most.isdigit():
            return f"{{{place}, {most}, 0, 0}}"
        if not bound or bound.group(1) not in self.constants:
            fail(f"{self.name}.k: LIMIT({what}, {most}) is neither a number nor a constant")
        return f"{{{place}, 0, {self.constants.index(bound.group(1))}, {bound.group(2) or 1}}}"

    def shared(self):
        """Floats in the SHARED arrays, in C; in double precision nothing wraps, whatever the constants."""
        macros = dict(re.findall(r"^#define (\w+) (.+)$", self.text, re.M))
        macros |= {name: f"((double)constants[{i}])" for i, name in enumerate(self.constants)}
        macros["WORKGROUP"] = macros["SUBGROUPS"] = "((double)workgroup)"  # at most as many sums as lanes
        count = " + ".join(f"({words})" for words in re.findall(r"^SHARED\(\w+, \w+, (.+)\)$", self.text, re.M)) or "0"
        while names := [name for name in re.findall(r"\b[A-Z]\w*", count) if name in macros]:
            count = re.sub(rf"\b{names[0]}\b", macros[names[0]], count)
        return count

    def spirv_forms(self):
        return {form: flags for form, flags in SPIRV_FORMS.items() if not flags or "SUBGROUP_SUM" in self.text}

    def spirv(self, glslc, prelude, *flags):
        command = [*glslc, *flags, "-fshader-stage=compute", "--target-env=vulkan1.1", "-Werror", "-o", "-", "-"]
        done = subprocess.run(command, input=(prelude + self.in_language("spirv")).encode(), capture_output=True)
        if done.returncode:
            fail(f"{self.name}.k as GLSL:\n{done.stderr.decode()}")
        return done.stdout


def c_bytes(data):
    return ",".join(map(str, data))


def host_constants(kernels, shaders):
    """Numbers of the included texts, and each kernel's tile sizes, limits and places of constants, as the host calls them."""
    for path in sorted(shaders.glob("*.kh")):
        for name, number in re.findall(r"^#define (\w+) (\d+)u?$", path.read_text(), re.M):
            yield f"HEL_{name}", number
    for kernel in kernels:
        ids = [(f"AT_{name}", i) for i, name in enumerate(kernel.constants)] + [("CONSTANTS", len(kernel.constants))]
        for name, number in [("WORKGROUP", kernel.workgroup), *kernel.tunes.items(), *kernel.most.items(), *ids]:
            yield f"HEL_{kernel.name.upper()}_{name}", number


def write_header(kernels, shaders):
    lines = ["// Made by tools/kernels.py from shaders/*.k: the kernels' parameters and constants, as the host needs them.",
             "#ifndef HEL_KERNELS_H", "#define HEL_KERNELS_H", "#include <stdint.h>",
             *(f"#define {name} {number}u" for name, number in host_constants(kernels, shaders))]
    structs = {}
    for kernel in kernels:
        if structs.setdefault(kernel.struct, kernel.fields) != kernel.fields:
            fail(f"struct {kernel.struct} differs between kernels")
    lines += [f"typedef struct hel_{name} {{{fields}}} hel_{name};" for name, fields in structs.items()]
    return "\n".join(lines + ["#endif", ""])


def write_table(kernels, shaders, glslc):
    lines = ["#include <stddef.h>", '#include "device/kernel_source.h"', '#include "kernels.h"']
    glsl = (shaders / "prelude.glsl").read_text()
    preludes = {language: (shaders / name).read_text() for language, name in TEXT_LANGUAGES.items()}
    for k in kernels:
        lines.append(f"void hel_c_{k.name}(const hel_c_group *group);")
        lines.append(f"static double {k.name}_shared(const uint32_t *constants, uint32_t workgroup) {{")
        lines.append(f"    (void)constants, (void)workgroup;\n    return 4.0 * ({k.shared()});\n}}")
        lines.append(f"static const hel_kernel_limit {k.name}_limits[] = {{{', '.join([*k.limits, '{0}'])}}};")
        forms = k.spirv_forms() if glslc else {}
        for form, flags in forms.items():
            words = memoryview(k.spirv(glslc, glsl, *flags)).cast("I")
            lines.append(f"static const uint32_t {k.name}_{form}[] = {{" + c_bytes(words) + "};")
        for language, prelude in preludes.items():
            lines.append(f"static const unsigned char {k.name}_{language}[] = {{" + c_bytes((prelude + k.in_language(language)).encode()) + "};")
        texts = [f'{{"{x}", {k.name}_{x}, sizeof {k.name}_{x}}}' for x in [*forms, *preludes]]
        lines.append(f"static const hel_kernel_text {k.name}_texts[] = {{{', '.join(texts)}, {{0}}}};")
        lines.append(f"static const hel_kernel_source {k.name} = {{")
        lines.append(f'    .name = "{k.name}", .workgroup = {k.workgroup}, .lanes_at = {k.lanes_at}, .n_bindings = {len(k.access)},')
        lines.append(f"    .access = {{{', '.join(k.access)}}}, .params_size = sizeof(hel_{k.struct}),")
        lines.append(f"    .n_constants = {len(k.defaults)}, .defaults = {{{', '.join(k.defaults or ['0'])}}},")
        lines.append(f"    .n_limits = {len(k.limits)}, .limits = {k.name}_limits, .shared = {k.name}_shared,")
        lines.append(f"    .texts = {k.name}_texts, .c_form = hel_c_{k.name},")
        lines.append("};")
    lines.append("const hel_kernel_source *const hel_kernel_sources[] = {")
    lines += [f"    &{name}," for name in sorted(k.name for k in kernels)]
    lines += ["};", f"const size_t hel_kernel_source_count = {len(kernels)};", ""]
    return "\n".join(lines)


def write_c_forms(kernels, shaders):
    """One text for one translation unit: shared pieces once, structs once."""
    parts, seen, structs = [(shaders / "prelude.c.h").read_text()], set(), set()
    for k in kernels:
        text = define_limits(k.expand(seen))
        if k.struct in structs:
            text = re.sub(r"struct " + k.struct + r" \{.*?\};", "", text, flags=re.S)
        structs.add(k.struct)
        parts.append(f"void hel_c_{k.name}(const hel_c_group *hel_group);\n" + text)
    return "\n".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--shaders", type=pathlib.Path, required=True)
    parser.add_argument("--glslc")
    parser.add_argument("--glslc-flag", action="append", default=[])
    parser.add_argument("names", nargs="+")
    arguments = parser.parse_args()
    glslc = [arguments.glslc, *arguments.glslc_flag] if arguments.glslc else None
    kernels = [Kernel(arguments.shaders, name) for name in arguments.names]
    (arguments.out / "kernels.h").write_text(write_header(kernels, arguments.shaders))
    (arguments.out / "kernels.c").write_text(write_table(kernels, arguments.shaders, glslc))
    (arguments.out / "kernels_c.inc").write_text(write_c_forms(kernels, arguments.shaders))


if __name__ == "__main__":
    main()
