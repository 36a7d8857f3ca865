#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs tests of the Vulkan backend under the validation layer: any message fails.

    vulkan_validation.py [--instrument] DEFECTS -- COMMAND... [-- COMMAND...]

DEFECTS is the program whose argument names a defect on purpose; the layer must find it, or its silence proves nothing.
--instrument has the layer check each access of the shaders too, which it cannot for shaders that were optimised.
Exit status 77 where the layer is missing.
"""
import ctypes
import os
import re
import subprocess
import sys

LAYER = "VK_LAYER_KHRONOS_validation"
# Joined by colons: with any other separator all but the first silently stay off.
CHECKS = ["VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT",
          "VALIDATION_CHECK_ENABLE_SYNCHRONIZATION_VALIDATION_QUEUE_SUBMIT"]
INSTRUMENT = "VK_VALIDATION_FEATURE_ENABLE_GPU_ASSISTED_EXT"
MESSAGE = re.compile(r".*(?:Validation (?:Error|Warning|Performance)|VUID-|UNASSIGNED-|SYNC-HAZARD).*")
DEFECTS = {"missing-barrier": "SYNC-HAZARD-READ-AFTER-WRITE",
           "missing-recorded-barrier": "SYNC-HAZARD-READ-AFTER-WRITE",
           "write-past-end": "VUID-vkCmdDispatch-None-02706"}


class LayerProperties(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char * 256), ("versions", ctypes.c_uint32 * 2), ("description", ctypes.c_char * 256)]


def has_layer():
    try:
        loader = ctypes.CDLL("libvulkan.so.1")
    except OSError:
        return False
    count = ctypes.c_uint32(0)
    loader.vkEnumerateInstanceLayerProperties(ctypes.byref(count), None)
    layers = (LayerProperties * count.value)()
    loader.vkEnumerateInstanceLayerProperties(ctypes.byref(count), layers)
    return any(layer.name.decode() == LAYER for layer in layers)


def run(command, checks):
    environment = dict(os.environ, VK_INSTANCE_LAYERS=LAYER, VK_LAYER_ENABLES=":".join(checks))
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, MESSAGE.findall(done.stdout), done.stdout


def split(arguments):
    commands = [[]]
    for argument in arguments:
        if argument == "--":
            commands.append([])
        else:
            commands[-1].append(argument)
    return commands


def main():
    (*options, defects), *commands = split(sys.argv[1:])
    checks = [*CHECKS, INSTRUMENT] if "--instrument" in options else CHECKS
    if not has_layer():
        print(f"skipped: {LAYER} is not installed")
        return 77
    failures = 0
    for name, expected in DEFECTS.items():
        _, messages, _ = run([defects, name], [*CHECKS, INSTRUMENT])
        found = any(expected in message for message in messages)
        print(f"{name}: {'found' if found else 'NOT FOUND: the layer is blind'}")
        failures += not found
    for command in commands:
        code, messages, output = run(command, checks)
        if code == 77:
            print(output)
            return 77
        print(f"{' '.join(command)}: exit status {code}, {len(messages)} messages")
        print("\n".join(messages[:10]) if not code else output[-4000:])
        failures += code != 0 or bool(messages)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
