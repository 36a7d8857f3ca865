// SPDX-License-Identifier: Apache-2.0
// Tests that a slow driver or a sanitizer would draw out run a part of their cases: HELICOID_PART, a number, says which, so
// that runs one after the other have them all, as one run has where it is "all".
#ifndef TESTS_PART_H
#define TESTS_PART_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// One of `parts`, `offset` after the one whose turn it is.
typedef struct test_part {
    uint32_t number, parts;
} test_part;

static inline test_part part_of(uint32_t offset, uint32_t parts) {
    const char *turn = getenv("HELICOID_PART");
    if (turn && !strcmp(turn, "all")) return (test_part){0, 1};
    return (test_part){(uint32_t)((offset + strtoull(turn ? turn : "0", NULL, 10)) % parts), parts};
}

static inline bool part_has(test_part part, uint64_t number) { return number % part.parts == part.number; }
#endif
