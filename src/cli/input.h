// SPDX-License-Identifier: Apache-2.0
// What verbs read: texts from files or standard input, and token ids from either.
#ifndef HEL_CLI_INPUT_H
#define HEL_CLI_INPUT_H

#include <helicoid/helicoid.h>

#include "cli/options.h"

// All of a file, or of standard input for "-"; zero-terminated, freed with free.
int input_read(const cli_options *options, const char *path, char **out, size_t *out_size);

// Ids of --tokens or of the text of -p, with begin token and control tokens as the options say; freed with free.
// `tokenizer` may be NULL where --tokens is given.
int input_tokens(const cli_options *options, const hel_tokenizer *tokenizer, uint32_t **out, uint32_t *out_count);

// Ids of a text, likewise.
int input_encode(const cli_options *options, const hel_tokenizer *tokenizer, const char *text, size_t size, uint32_t **out,
                 uint32_t *out_count);

#endif
