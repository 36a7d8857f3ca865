// SPDX-License-Identifier: Apache-2.0
// Steps through UTF-8 that may be broken; NFC; characters in pieces.
#ifndef HEL_TEXT_UTF8_H
#define HEL_TEXT_UTF8_H

#include <helicoid/common.h>

#include "base/text.h"

// The code point at `text` (size > 0) and its length; -1 and length 1 where no valid character begins.
int32_t hel_utf8_next(const char *text, size_t size, size_t *out_length);

// Bytes from `text` on that are valid UTF-8 (`valid`) or begin no valid character (otherwise); the longest such span.
size_t hel_utf8_span(const char *text, size_t size, bool valid);

// Unicode's White_Space property.
bool hel_utf8_is_space(int32_t codepoint);

// Appends `text` in Normalization Form C (Unicode Standard Annex 15); broken bytes stay as they are.
hel_status hel_utf8_append_nfc(const char *text, size_t size, hel_text *out);

#endif
