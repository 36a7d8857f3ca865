// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "expected.h"

// As a float a quiet NaN, as an index far outside: reading one shows in the result.
#define CANARY 0x7fc5a5a5u

struct check_memory {
    struct check_memory *next;
    _Alignas(16) unsigned char bytes[];
};

// ---------------------------------------------------------------- a case

const char *check_fill_name(check_fill fill) {
    static const char *const names[] = {"uniform", "zero", "extreme", "denormal", "level"};
    return names[fill];
}

static void free_memory(check *c) {
    while (c->memory) {
        struct check_memory *next = c->memory->next;
        free(c->memory);
        c->memory = next;
    }
}

// Each case draws from its own stream, so that it does not depend on the cases before it.
static void seed_case(check *c) {
    c->random = c->seed * 0x9e3779b97f4a7c15u + c->number;
    for (const char *at = c->kernel; *at; at++) c->random = (c->random ^ (unsigned char)*at) * 0x100000001b3u;
}

void check_begin(check *c, check_fill fill) {
    free_memory(c);
    c->shape[0] = 0;
    c->fill = fill;
    c->number++;
    c->case_failed = c->case_left = false;
    seed_case(c);
}

void check_shape(check *c, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(c->shape, sizeof c->shape, format, arguments);
    va_end(arguments);
}

void check_end(check *c) {
    if (c->case_left) {
        c->left++;
        return;
    }
    const char *reason = expected_failure(c->device, c->kernel, c->shape);
    c->cases++;
    if (reason && !c->case_failed) check_fail(c, "passes although it is listed as failing (%s)", reason);
    if (!c->case_failed) return;
    if (reason) c->expected++;
    else c->failures++;
}

void check_finish(check *c) { free_memory(c); }

void check_fail(check *c, const char *format, ...) {
    if (c->case_failed) return; // the first wrong thing is enough
    c->case_failed = true;
    printf("FAILED kernel %s, device %s, seed %llu, case %u, %s fill, %s: ", c->kernel, c->device,
           (unsigned long long)c->seed, c->number, check_fill_name(c->fill), c->shape);
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
}

void check_each_fill(check *c, uint32_t times, void (*one)(check *c, check_fill fill)) {
    for (uint32_t fill = 0; fill < CHECK_FILLS; fill++)
        for (uint32_t round = 0; round < times * c->rounds; round++) one(c, (check_fill)fill);
}

void *check_memory(check *c, size_t count, size_t size) {
    struct check_memory *block = calloc(1, sizeof *block + count * size);
    if (!block) {
        fprintf(stderr, "check: no memory\n");
        exit(1);
    }
    block->next = c->memory;
    c->memory = block;
    return block->bytes;
}

float *check_floats(check *c, size_t count) { return check_memory(c, count, sizeof(float)); }
double *check_doubles(check *c, size_t count) { return check_memory(c, count, sizeof(double)); }
uint32_t *check_words(check *c, size_t count) { return check_memory(c, count, sizeof(uint32_t)); }

// ---------------------------------------------------------------- values

// SplitMix64 (Steele, Lea and Flood 2014).
static uint64_t next_random(check *c) {
    uint64_t z = c->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint32_t check_random(check *c, uint32_t below) { return (uint32_t)((next_random(c) >> 32) * below >> 32); }
double check_uniform(check *c) { return (double)(next_random(c) >> 11) * 0x1p-53; }

uint32_t check_size(check *c, uint32_t most) {
    static const uint32_t primes[] = {2, 3, 5, 7, 13, 31, 61, 127, 251, 509, 1021};
    uint32_t w = c->workgroup > 1 ? c->workgroup : 64;
    const uint32_t edges[] = {1, w - 1, w, w + 1, 2 * w + 1};
    uint32_t size;
    switch (check_random(c, 3)) {
    case 0: size = edges[check_random(c, sizeof edges / sizeof *edges)]; break;
    case 1: size = primes[check_random(c, sizeof primes / sizeof *primes)]; break;
    default: size = 1 + check_random(c, most);
    }
    return size <= most ? size : 1 + check_random(c, most);
}

static float value_of(check *c, check_fill fill, int range) {
    double u = check_uniform(c), sign = check_random(c, 2) ? 1.0 : -1.0;
    switch (fill) {
    case CHECK_ZERO: return 0.0f;
    case CHECK_EXTREME: return (float)(sign * ldexp(1.0 + u, (int)check_random(c, 2u * (uint32_t)range) - range));
    case CHECK_DENORMAL: return check_random(c, 2) ? (float)(sign * u * CHECK_TINY) : (float)(sign * u);
    case CHECK_LEVEL: return 1.0f;
    default: return (float)(sign * u);
    }
}

float *check_values(check *c, size_t count, check_fill fill, int range) {
    float *values = check_floats(c, count);
    for (size_t i = 0; i < count; i++) values[i] = value_of(c, fill, range);
    return values;
}

// ---------------------------------------------------------------- calling and comparing

static uint32_t *make_block(check *c, const check_binding *binding) {
    uint32_t margin = c->runner->margin, words = check_bound_words(binding),
             *block = check_words(c, (size_t)words + 2 * margin);
    for (size_t i = 0; i < (size_t)words + 2 * margin; i++) block[i] = CANARY;
    if (binding->data) memcpy(block + margin, binding->data, (size_t)binding->words * sizeof *block);
    return block;
}

// The first word of a block that should have stayed as it was and did not; -1 where there is none.
static int64_t first_damage(const check *c, const check_binding *binding, const uint32_t *block) {
    uint32_t margin = c->runner->margin, words = check_bound_words(binding);
    for (uint32_t i = 0; i < margin; i++)
        if (block[i] != CANARY) return i;
    for (uint32_t i = 0; i < margin; i++)
        if (block[margin + words + i] != CANARY) return (int64_t)margin + words + i;
    if (binding->result) return -1;
    for (uint32_t i = 0; i < words; i++)
        if (block[margin + i] != (binding->data && i < binding->words ? ((const uint32_t *)binding->data)[i] : CANARY))
            return (int64_t)margin + i;
    return -1;
}

// Whether this part has the form that the call's constants make of the kernel. Every part has the first; a hash deals out
// the others, in no step with what cases count by.
static bool takes_form(check *c, const check_call *call) {
    uint32_t form = 0x811c9dc5u;
    for (uint32_t i = 0; i < call->n_constants; i++) form = (form ^ call->constants[i]) * 0x01000193u;
    if (!c->has_form) c->first_form = form;
    c->has_form = true;
    return form == c->first_form || part_has(c->part, form * 0x9e3779b1u >> 16);
}

bool check_run(check *c, const check_call *call) {
    uint32_t *blocks[HEL_MAX_BINDINGS];
    if (!takes_form(c, call)) {
        c->case_left = true;
        return false;
    }
    for (uint32_t b = 0; b < call->n_bindings; b++) blocks[b] = make_block(c, &call->bindings[b]);
    const char *reason = c->runner->run(c->runner, call, blocks, c->compile ? 0 : 1, NULL);
    if (reason) check_fail(c, "%s", reason);
    if (reason || c->compile) return false;
    for (uint32_t b = 0; b < call->n_bindings; b++) {
        const check_binding *binding = &call->bindings[b];
        int64_t damage = first_damage(c, binding, blocks[b]);
        if (damage >= 0)
            check_fail(c, "binding %u: word %lld of %u was overwritten", b, (long long)damage - c->runner->margin,
                       binding->words);
        if (binding->result) memcpy(binding->result, blocks[b] + c->runner->margin, binding->words * sizeof(uint32_t));
    }
    return !c->case_failed;
}

void check_compare(check *c, const char *what, const float *got, const double *want, const double *limit, size_t count,
                   const float *before) {
    for (size_t i = 0; i < count; i++) {
        if (limit[i] < 0.0) {
            uint32_t expected = before ? hel_float_bits(before[i]) : CANARY;
            if (hel_float_bits(got[i]) != expected)
                check_fail(c, "%s[%zu] should stay as it was and is %.9g", what, i, got[i]);
        } else if (!(fabs((double)got[i] - want[i]) <= limit[i])) {
            check_fail(c, "%s[%zu] is %.9g, should be %.9g within %.3g", what, i, got[i], want[i], limit[i]);
        }
    }
}

void check_compare_words(check *c, const char *what, const uint32_t *got, const uint32_t *want, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (got[i] != want[i]) check_fail(c, "%s[%zu] is %u, should be %u", what, i, got[i], want[i]);
}

double check_sum_limit(double n, double magnitude) { return (4.0 + 4.0 * sqrt(n)) * CHECK_U * magnitude; }

// ---------------------------------------------------------------- timing

static int compare_times(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void check_bench(check *c, const check_call *call, const char *shape, double bytes) {
    enum { REPEATS = 21 };
    uint64_t times[REPEATS];
    uint32_t *blocks[HEL_MAX_BINDINGS];
    for (uint32_t b = 0; b < call->n_bindings; b++) blocks[b] = make_block(c, &call->bindings[b]);
    const char *reason = c->runner->run(c->runner, call, blocks, REPEATS, times);
    if (reason) {
        check_fail(c, "%s", reason);
        return;
    }
    qsort(times, REPEATS, sizeof *times, compare_times);
    double median = (double)times[REPEATS / 2];
    printf("%s,%s,%s,%.1f,%.2f\n", call->kernel, c->device, shape, median / 1e3, bytes / median);
    fflush(stdout);
}
