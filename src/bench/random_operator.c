// SPDX-License-Identifier: Apache-2.0
#include "bench/random_operator.h"

#include <math.h>

#include "base/size.h"
#include "bench/data.h"

enum { ORDER = 2, FEATURES = 5, HIDDEN = 64, TAPS = 3 };

#define MIXER "backbone.layers.0.mixer."
#define FILTER MIXER "filter_fn."

// Products keep the size of what goes through them.
static hel_status fill(void *user, size_t entry, uint64_t offset, void *bytes, size_t size) {
    const hel_safetensors_entry *tensor = (const hel_safetensors_entry *)user + entry;
    uint64_t inputs = tensor->rank > 1 ? tensor->shape[tensor->rank - 1] : 4;
    hel_bench_gaussian(entry + offset, 1.0f / sqrtf((float)inputs), bytes, size / sizeof(float));
    return HEL_OK;
}

hel_status hel_bench_write_operator(const char *path, uint32_t width) {
    uint64_t in = (ORDER + 1) * (uint64_t)width, filters = (ORDER - 1) * (uint64_t)width;
    hel_safetensors_entry entries[] = {
        {.name = MIXER "in_proj.weight", .rank = 2, .shape = {in, width}},
        {.name = MIXER "in_proj.bias", .rank = 1, .shape = {in}},
        {.name = MIXER "out_proj.weight", .rank = 2, .shape = {width, width}},
        {.name = MIXER "out_proj.bias", .rank = 1, .shape = {width}},
        {.name = MIXER "short_filter.weight", .rank = 3, .shape = {in, 1, TAPS}},
        {.name = MIXER "short_filter.bias", .rank = 1, .shape = {in}},
        {.name = FILTER "bias", .rank = 1, .shape = {filters}},
        {.name = FILTER "implicit_filter.0.weight", .rank = 2, .shape = {HIDDEN, FEATURES}},
        {.name = FILTER "implicit_filter.0.bias", .rank = 1, .shape = {HIDDEN}},
        {.name = FILTER "implicit_filter.2.weight", .rank = 2, .shape = {HIDDEN, HIDDEN}},
        {.name = FILTER "implicit_filter.2.bias", .rank = 1, .shape = {HIDDEN}},
        {.name = FILTER "implicit_filter.4.weight", .rank = 2, .shape = {HIDDEN, HIDDEN}},
        {.name = FILTER "implicit_filter.4.bias", .rank = 1, .shape = {HIDDEN}},
        {.name = FILTER "implicit_filter.6.weight", .rank = 2, .shape = {filters, HIDDEN}},
    };
    for (size_t i = 0; i < HEL_COUNT(entries); i++) entries[i].dtype = HEL_F32;
    return hel_bench_write_tensors(path, entries, HEL_COUNT(entries), NULL, fill, entries);
}
