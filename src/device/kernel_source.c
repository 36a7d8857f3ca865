// SPDX-License-Identifier: Apache-2.0
#include "device/kernel_source.h"

#include <string.h>

#include "base/error.h"

hel_status hel_kernel_text_find(const hel_kernel_source *source, const char *language, hel_kernel_text *out) {
    for (const hel_kernel_text *text = source->texts; text->language; text++)
        if (strcmp(text->language, language) == 0) return *out = *text, HEL_OK;
    return hel_fail(HEL_ERROR_UNSUPPORTED, "this build has no %s of kernel \"%s\"", language, source->name);
}
