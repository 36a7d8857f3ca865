// SPDX-License-Identifier: Apache-2.0
// Reads the input as a vocabulary of RWKV; what is accepted must encode, decode and print itself so that it is accepted again.
#include <stdlib.h>

#include "text/tokenizer_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char text[] = "the then there  12 \xc3\xa9t\xc3\xa9 \xff <|endoftext|> \xe4\xb8\xad";
    hel_tokenizer *tokenizer, *again = NULL;
    uint32_t *ids;
    size_t count;
    char *decoded, *printed;
    if (hel_tokenizer_read_rwkv("fuzz", (const char *)data, size, &tokenizer)) return 0;
    if (hel_tokenizer_encode(tokenizer, text, sizeof text - 1, NULL, &ids, &count)) abort();
    if (hel_tokenizer_decode(tokenizer, ids, count, true, &decoded, NULL)) abort();
    hel_tokenizer_json_source source = {.name = "printed"};
    if (hel_tokenizer_print_json(tokenizer, &printed, &source.size)) abort();
    source.text = printed;
    if (hel_tokenizer_read_json(&source, &again)) abort();
    hel_tokenizer_destroy(&again);
    hel_tokenizer_free(printed);
    hel_tokenizer_free(decoded);
    hel_tokenizer_free(ids);
    hel_tokenizer_destroy(&tokenizer);
    return 0;
}
