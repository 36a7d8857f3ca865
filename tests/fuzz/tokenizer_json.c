// SPDX-License-Identifier: Apache-2.0
// Reads the input as tokenizer.json; what is accepted must encode, decode and print itself so that it is accepted again.
#include <stdlib.h>

#include "text/tokenizer_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char text[] = "Once upon a time, 12 \xc3\xa9t\xc3\xa9s  \xff <|endoftext|> \xe4\xb8\xad";
    hel_tokenizer_json_source source = {.name = "fuzz", .text = (const char *)data, .size = size};
    hel_tokenizer *tokenizer, *again = NULL;
    uint32_t *ids;
    size_t count, printed_size;
    char *decoded, *printed;
    if (hel_tokenizer_read_json(&source, &tokenizer)) return 0;
    hel_encode_options options = hel_encode_options_default();
    options.parse_special = true;
    if (hel_tokenizer_encode(tokenizer, text, sizeof text - 1, &options, &ids, &count)) abort();
    if (hel_tokenizer_decode(tokenizer, ids, count, true, &decoded, NULL)) abort();
    if (hel_tokenizer_print_json(tokenizer, &printed, &printed_size)) abort();
    source = (hel_tokenizer_json_source){.name = "printed", .text = printed, .size = printed_size};
    if (hel_tokenizer_read_json(&source, &again)) abort();
    hel_tokenizer_destroy(&again);
    hel_tokenizer_free(printed);
    hel_tokenizer_free(decoded);
    hel_tokenizer_free(ids);
    hel_tokenizer_destroy(&tokenizer);
    return 0;
}
