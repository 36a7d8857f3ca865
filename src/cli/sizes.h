// SPDX-License-Identifier: Apache-2.0
// How large a model file was and became.
#ifndef HEL_CLI_SIZES_H
#define HEL_CLI_SIZES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct model_sizes {
    uint64_t source_bytes, f16_bytes, output_bytes;
} model_sizes;

// Source and f16 sizes of the model at `path` as hel_info_json tells them, with `output_bytes` beside them.
// False where they cannot be had; hel_error_message says why.
bool sizes_of(const char *path, uint64_t output_bytes, model_sizes *out);

// source_bytes, f16_bytes, output_bytes, ratio, ratio_f16, grew.
json_t *sizes_json(const model_sizes *sizes);
void sizes_print(const model_sizes *sizes); // one line, two where the file grew

#endif
