#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The example against what is installed, and Helicoid as a Meson subproject.

    test_install.py installed ROOT BUILD CC    installs BUILD, compiles examples/generate.c with pkg-config, runs it
    test_install.py subproject ROOT            configures and builds tests/install/consumer
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

EXPECTED = "Once upon a time" + ", there was a little girl named Lily. She loved to play outside"


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def check_text(program, root, environment=None):
    text = run([program, root / "tests/data/stories260K/stories260K.bin", "Once upon a time", "20"],
               env={**os.environ, **(environment or {})})
    if not EXPECTED.startswith("Once upon a time" + text.strip("\n")[:40]):
        sys.exit(f"generated {text!r}")


def installed(root, build, compiler):
    with tempfile.TemporaryDirectory() as folder:
        run(["meson", "install", "-C", build, "--no-rebuild", "--destdir", folder])
        config = next(pathlib.Path(folder).rglob("helicoid.pc"))
        environment = {**os.environ, "PKG_CONFIG_PATH": str(config.parent), "PKG_CONFIG_SYSROOT_DIR": folder}
        flags = run(["pkg-config", "--cflags", "--libs", "helicoid"], env=environment).split()
        program = pathlib.Path(folder) / "generate"
        run([*compiler.split(), "-std=c17", "-Wall", "-Wextra", "-Werror", root / "examples/generate.c", *flags, "-o", program])
        check_text(program, root, {"LD_LIBRARY_PATH": str(config.parent.parent)})
        for page in ("man1/helicoid.1", "completions/helicoid.bash"):
            if not list(pathlib.Path(folder).rglob(page)):
                sys.exit(f"{page} is not installed")


def subproject(root):
    with tempfile.TemporaryDirectory() as folder:
        consumer = pathlib.Path(folder) / "consumer"
        shutil.copytree(root / "tests/install/consumer", consumer)
        (consumer / "subprojects").mkdir()
        (consumer / "subprojects/helicoid").symlink_to(root)
        shutil.copy(root / "examples/generate.c", consumer)
        options = [f"-Dhelicoid:{name}=disabled" for name in ("vulkan", "opencl", "cuda")]
        run(["meson", "setup", consumer / "build", consumer, "--buildtype=plain", "-Dhelicoid:cli=false", *options])
        run(["ninja", "-C", consumer / "build"])
        check_text(consumer / "build/generate", root)


if __name__ == "__main__":
    what, place = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    installed(place, *sys.argv[3:]) if what == "installed" else subproject(place)
