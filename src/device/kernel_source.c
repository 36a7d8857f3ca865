// SPDX-License-Identifier: Apache-2.0
#include "device/kernel_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static int compare_names(const void *name, const void *source) {
    return strcmp(name, (*(const hel_kernel_source *const *)source)->name);
}

// Each dispatch comes by, when weights have driven the names out of the caches: halving meets few of them.
const hel_kernel_source *hel_kernel_source_find(const char *name) {
    const hel_kernel_source *const *found =
        bsearch(name, hel_kernel_sources, hel_kernel_source_count, sizeof *hel_kernel_sources, compare_names);
    return found ? *found : NULL;
}

static const hel_kernel_text *text_in(const hel_kernel_source *source, const char *language) {
    const hel_kernel_text *text = source->texts;
    while (text->language && strcmp(text->language, language) != 0) text++;
    return text->language ? text : NULL;
}

bool hel_kernel_text_has(const hel_kernel_source *source, const char *language) { return text_in(source, language) != NULL; }

hel_status hel_kernel_text_find(const hel_kernel_source *source, const char *language, hel_kernel_text *out) {
    const hel_kernel_text *text = text_in(source, language);
    if (text) return *out = *text, HEL_OK;
    return hel_fail(HEL_ERROR_UNSUPPORTED, "this build has no %s of kernel \"%s\"", language, source->name);
}

uint32_t hel_kernel_workgroup(const hel_kernel_source *source, const hel_device *device, const uint32_t *constants) {
    uint32_t size = source->lanes_at < source->n_constants ? constants[source->lanes_at] : source->workgroup;
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

static hel_status check_limit(const hel_kernel_source *source, const hel_kernel_limit *limit, const uint32_t *constants,
                              uint32_t value) {
    uint32_t most = limit->most ? limit->most : constants[limit->by] / limit->divisor;
    if (value <= most) return HEL_OK;
    return hel_fail(HEL_ERROR_UNSUPPORTED, "kernel \"%s\" takes at most %u where it was given %u", source->name, most, value);
}

hel_status hel_kernel_check_constants(const hel_kernel_source *source, const hel_device *device, const uint32_t *constants) {
    for (uint32_t i = 0; i < source->n_limits; i++) {
        const hel_kernel_limit *limit = &source->limits[i];
        if (limit->constant) HEL_TRY(check_limit(source, limit, constants, constants[limit->at]));
    }
    uint32_t lanes = source->lanes_at < source->n_constants ? constants[source->lanes_at] : 1;
    if (!lanes || lanes & (lanes - 1))
        return hel_fail(HEL_ERROR_UNSUPPORTED, "kernel \"%s\" takes powers of two as LANES, not %u", source->name, lanes);
    double shared = source->shared(constants, hel_kernel_workgroup(source, device, constants));
    if (shared <= device->limits.shared_memory) return HEL_OK;
    return hel_fail(HEL_ERROR_UNSUPPORTED, "kernel \"%s\" would share %.0f bytes in a work-group, %s:%u has %u", source->name,
                    shared, device->backend, device->index, device->limits.shared_memory);
}

hel_status hel_kernel_check_params(const hel_kernel_source *source, const uint32_t *constants, const void *params) {
    for (uint32_t i = 0; i < source->n_limits; i++) {
        const hel_kernel_limit *limit = &source->limits[i];
        uint32_t value;
        if (limit->constant) continue;
        memcpy(&value, (const unsigned char *)params + limit->at, sizeof value);
        HEL_TRY(check_limit(source, limit, constants, value));
    }
    return HEL_OK;
}
