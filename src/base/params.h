// SPDX-License-Identifier: Apache-2.0
// Parameter structs of callers compiled against another version of the headers (the rule is in <helicoid/common.h>).
// It holds while new members go behind all others, not into the padding at a struct's end, where old callers have
// whatever lay there; zero in a new member means what the library did before it.
#ifndef HEL_BASE_PARAMS_H
#define HEL_BASE_PARAMS_H

#include <helicoid/common.h>

// `*out`, a struct of `size` bytes, holds the defaults; takes over what `given` has of it. `given` may be NULL. Both
// begin with struct_size; afterwards out's is `size`. ARGUMENT, and *out is undefined, where the sizes do not go together;
// `name` is the struct's in the message.
hel_status hel_params_read(const void *given, void *out, size_t size, const char *name);

// Fills a caller's struct of `given_size` bytes with defaults: what the caller does not have is left out, what the
// library does not know is zero.
void hel_params_write(void *given, size_t given_size, const void *defaults, size_t size);

// For `values`, a variable that holds the defaults, and a pointer to the same type.
#define HEL_PARAMS_READ(given, values, name) hel_params_read(given, values, sizeof *(values), name)
#define HEL_PARAMS_WRITE(given, given_size, defaults) hel_params_write(given, given_size, defaults, sizeof *(defaults))

#endif
