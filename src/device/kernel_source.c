// SPDX-License-Identifier: Apache-2.0
#include "device/kernel_source.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

hel_status hel_kernel_text_find(const hel_kernel_source *source, const char *language, hel_kernel_text *out) {
    for (const hel_kernel_text *text = source->texts; text->language; text++)
        if (strcmp(text->language, language) == 0) return *out = *text, HEL_OK;
    return hel_fail(HEL_ERROR_UNSUPPORTED, "this build has no %s of kernel \"%s\"", language, source->name);
}

uint32_t hel_kernel_workgroup(const hel_kernel_source *source, const hel_device *device) {
    uint32_t size = source->workgroup;
    while (size > device->limits.max_workgroup) size /= 2;
    return size;
}

hel_kernel_definitions hel_kernel_define(const hel_kernel_source *source, uint32_t workgroup, const uint32_t *constants) {
    hel_kernel_definitions definitions = {.count = 1 + source->n_constants};
    snprintf(definitions.text[0], sizeof definitions.text[0], "-DWORKGROUP=%u", workgroup);
    for (uint32_t i = 0; i < source->n_constants; i++)
        snprintf(definitions.text[1 + i], sizeof definitions.text[0], "-DCONSTANT_%u=%u", i, constants[i]);
    return definitions;
}
