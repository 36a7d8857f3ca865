// SPDX-License-Identifier: Apache-2.0
// Without libFuzzer: runs a target over each seed, over its truncations and over copies with one byte changed, a fixed
// number of them, so that the target itself is tested in every build.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROUNDS = 300 };

static void replay(uint8_t *bytes, size_t size) {
    uint32_t seed = 1;
    LLVMFuzzerTestOneInput(bytes, size);
    for (int i = 0; i < ROUNDS && size; i++) {
        seed = seed * 1664525 + 1013904223;
        size_t at = (seed >> 8) % size;
        uint8_t kept = bytes[at];
        LLVMFuzzerTestOneInput(bytes, at);
        bytes[at] = (uint8_t)(seed >> 5);
        LLVMFuzzerTestOneInput(bytes, size);
        bytes[at] = kept;
    }
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file) return fprintf(stderr, "cannot open %s\n", argv[i]), 1;
        fseek(file, 0, SEEK_END);
        size_t size = (size_t)ftell(file);
        rewind(file);
        uint8_t *bytes = malloc(size + 1);
        if (!bytes || fread(bytes, 1, size, file) != size) return 1;
        fclose(file);
        replay(bytes, size);
        free(bytes);
    }
    return argc < 2;
}
