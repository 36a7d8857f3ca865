// SPDX-License-Identifier: Apache-2.0
#include "cli/sizes.h"

#include <helicoid/compress.h>

#include <stdio.h>

#include "cli/report.h"

bool sizes_of(const char *path, uint64_t output_bytes, model_sizes *out) {
    char *text;
    if (hel_info_json(path, &text) != HEL_OK) return false;
    json_t *root = json_loads(text, 0, NULL), *totals = json_object_get(root, "totals");
    *out = (model_sizes){
        .source_bytes = (uint64_t)json_integer_value(json_object_get(totals, "file_bytes")),
        .f16_bytes = 2 * (uint64_t)json_integer_value(json_object_get(totals, "parameters")),
        .output_bytes = output_bytes,
    };
    json_decref(root);
    hel_info_free(text);
    return true;
}

static double ratio_of(uint64_t before, uint64_t after) { return after ? (double)before / (double)after : 0; }

json_t *sizes_json(const model_sizes *sizes) {
    return json_pack("{s:I, s:I, s:I, s:f, s:f, s:b}", "source_bytes", (json_int_t)sizes->source_bytes, "f16_bytes",
                     (json_int_t)sizes->f16_bytes, "output_bytes", (json_int_t)sizes->output_bytes, "ratio",
                     ratio_of(sizes->source_bytes, sizes->output_bytes), "ratio_f16",
                     ratio_of(sizes->f16_bytes, sizes->output_bytes), "grew",
                     sizes->output_bytes > sizes->source_bytes);
}

// "2.35 times smaller than the source", or larger.
static void print_ratio(uint64_t before, uint64_t after, const char *what) {
    bool grew = after > before;
    printf(" %.2f times %s than %s", grew ? ratio_of(after, before) : ratio_of(before, after), grew ? "larger" : "smaller", what);
}

void sizes_print(const model_sizes *sizes) {
    char before[32], after[32], f16[32];
    printf("%s -> %s:", hel_bytes_text(before, sizes->source_bytes), hel_bytes_text(after, sizes->output_bytes));
    print_ratio(sizes->source_bytes, sizes->output_bytes, "the source,");
    print_ratio(sizes->f16_bytes, sizes->output_bytes, "f16");
    printf(" (%s)\n", hel_bytes_text(f16, sizes->f16_bytes));
    if (sizes->output_bytes > sizes->source_bytes)
        printf("the file grew by %s\n", hel_bytes_text(after, sizes->output_bytes - sizes->source_bytes));
}
