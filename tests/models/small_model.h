// SPDX-License-Identifier: Apache-2.0
// A model of a few kilobytes in a folder, written by the test itself.
#ifndef TESTS_SMALL_MODEL_H
#define TESTS_SMALL_MODEL_H

#include "support/support.h"

#include "base/file.h"
#include "base/half.h"
#include "base/memory.h"
#include "formats/safetensors.h"
#include "../vq/made_values.h"

enum { SMALL_TENSORS = 6 };

static const hel_safetensors_entry small_entries[SMALL_TENSORS] = {
    {.name = "model.layers.0.self_attn.q_proj.weight", .dtype = HEL_F32, .rank = 2, .shape = {24, 40}},
    {.name = "model.layers.0.mlp.up_proj.weight", .dtype = HEL_F32, .rank = 2, .shape = {48, 33}},
    {.name = "model.embed_tokens.weight", .dtype = HEL_F32, .rank = 2, .shape = {50, 24}},
    {.name = "model.norm.weight", .dtype = HEL_F32, .rank = 1, .shape = {24}},
    {.name = "odd.proj.weight", .dtype = HEL_BF16, .rank = 2, .shape = {64, 40}},
    {.name = "odd.proj.bias", .dtype = HEL_BF16, .rank = 1, .shape = {64}},
};

static const char small_config[] = "{\"model_type\": \"unheard_of\", \"eps\": 1e-6}";

// Value i of tensor t, as the model stores it.
static inline float small_value(size_t t, uint64_t i) {
    float value = made_value(i, 100 + t) * 0.05f;
    if (i % 97 == 13) value *= 20; // outliers
    return small_entries[t].dtype == HEL_BF16 ? hel_bf16_to_float(hel_float_to_bf16(value)) : value;
}

// `spoil` puts a NaN into the first tensor.
static inline void small_model_write(const char *folder, bool spoil) {
    hel_safetensors_entry entries[SMALL_TENSORS];
    memcpy(entries, small_entries, sizeof entries);
    char *header, path[TESTS_PATH];
    size_t size;
    assert_int_equal(hel_safetensors_layout(entries, SMALL_TENSORS, NULL, &header, &size), HEL_OK);
    size_t total = size + (size_t)(entries[SMALL_TENSORS - 1].offset + entries[SMALL_TENSORS - 1].bytes);
    char *bytes = malloc(total);
    memcpy(bytes, header, size);
    for (size_t t = 0; t < SMALL_TENSORS; t++) {
        for (uint64_t i = 0; i < entries[t].bytes / hel_dtype_size(entries[t].dtype); i++) {
            float value = spoil && t == 0 && i == 5 ? NAN : small_value(t, i);
            uint16_t half = hel_float_to_bf16(value);
            if (entries[t].dtype == HEL_F32) memcpy(bytes + size + entries[t].offset + i * 4, &value, 4);
            else memcpy(bytes + size + entries[t].offset + i * 2, &half, 2);
        }
    }
    support_join(path, folder, "model.safetensors");
    assert_int_equal(hel_file_write_all(path, true, bytes, total), HEL_OK);
    support_join(path, folder, "config.json");
    assert_int_equal(hel_file_write_all(path, true, small_config, sizeof small_config - 1), HEL_OK);
    free(bytes);
    hel_free(header);
}

#endif
