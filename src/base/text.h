// SPDX-License-Identifier: Apache-2.0
// Growable byte string. Failure is sticky: append freely, then ask hel_text_ok() once.
#ifndef HEL_BASE_TEXT_H
#define HEL_BASE_TEXT_H

#include <helicoid/common.h>

typedef struct hel_text {
    char *bytes; // zero-terminated where not NULL
    size_t size; // without the terminator
    size_t capacity;
    bool failed;
} hel_text; // {0} is an empty string

void hel_text_append(hel_text *text, const void *bytes, size_t size);
void hel_text_print(hel_text *text, const char *format, ...) HEL_PRINTF(2, 3);
void hel_text_clear(hel_text *text); // keeps the memory
void hel_text_finish(hel_text *text); // frees; leaves {0}
hel_status hel_text_ok(const hel_text *text);

#endif
