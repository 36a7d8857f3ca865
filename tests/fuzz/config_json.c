// SPDX-License-Identifier: Apache-2.0
// config.json: JSON, then hyper-parameters; what is accepted prints and parses again.
#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"
#include "models/hyper.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *config, *again;
    char *text;
    size_t length;
    hel_hyper hyper;
    if (hel_json_parse((const char *)data, size, "fuzz", 0, &config)) return 0;
    if (json_is_object(config) && hel_hyper_parse(config, "fuzz", &hyper) == HEL_OK && (!hyper.heads || !hyper.kv_heads || !hyper.head_dim)) abort();
    if (hel_json_print(config, 0, &text, &length)) abort();
    if (hel_json_parse(text, length, "printed", 0, &again)) abort();
    json_decref(again);
    hel_free(text);
    json_decref(config);
    return 0;
}
