// SPDX-License-Identifier: Apache-2.0
// Which backends there are, what devices they offer, and which one is best.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/params.h"
#include "base/require.h"
#include "base/size.h"
#include "device/backend.h"
#include "device/registry.h"

#define HEL_BACKEND(name) &hel_backend_##name,
static const hel_backend *const backends[] = {
#include "backends/table.h"
};
#undef HEL_BACKEND

static const hel_device_params defaults = {.struct_size = sizeof(hel_device_params)};

void hel_device_params_init(hel_device_params *params, size_t struct_size) {
    HEL_PARAMS_WRITE(params, struct_size, &defaults);
}

// Kernels address the words of what is bound in 32 bits, whatever the driver allows.
static void limit_bindings(hel_device_limits *limits) {
    limits->max_binding = HEL_MIN(limits->max_binding, (uint64_t)1 << 34);
}

// ---------------------------------------------------------------- listing

typedef struct entry_list {
    hel_device_entry *entries;
    size_t count;
} entry_list;

static hel_device_entry *append(entry_list *list, const hel_backend *backend, uint32_t index) {
    hel_device_entry *entries = hel_resize(list->entries, (list->count + 1) * sizeof *entries);
    if (!entries) return NULL;
    list->entries = entries;
    hel_device_entry *entry = &entries[list->count++];
    memset(entry, 0, sizeof *entry);
    entry->device.backend = backend->name;
    entry->device.index = index;
    return entry;
}

static void set_status(hel_device_entry *entry, hel_status status) {
    entry->status = status;
    if (status != HEL_OK) snprintf(entry->reason, sizeof entry->reason, "%.255s", hel_error_message());
}

static bool list_backend(entry_list *list, const hel_backend *backend) {
    uint32_t count = 0;
    hel_status status = backend->count(&count);
    if (status != HEL_OK) {
        hel_device_entry *entry = append(list, backend, 0);
        if (entry) set_status(entry, status);
        return entry != NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        hel_device_entry *entry = append(list, backend, i);
        if (!entry) return false;
        set_status(entry, backend->describe(i, &entry->device));
        limit_bindings(&entry->device.limits);
        entry->device.backend = backend->name;
        entry->device.index = i;
        if (entry->status == HEL_OK) entry->tuned = hel_choices_count_remembered(&entry->device);
    }
    return true;
}

hel_status hel_device_list(hel_device_entry **out, size_t *out_count) {
    HEL_REQUIRE(out && out_count);
    *out = NULL;
    *out_count = 0;
    entry_list list = {0};
    for (size_t i = 0; i < HEL_COUNT(backends); i++)
        if (!list_backend(&list, backends[i])) {
            hel_free(list.entries);
            return hel_fail_memory(sizeof(hel_device_entry));
        }
    *out = list.entries;
    *out_count = list.count;
    return HEL_OK;
}

void hel_device_list_free(hel_device_entry **list) {
    if (!list) return;
    hel_free(*list);
    *list = NULL;
}

// ---------------------------------------------------------------- opening

static hel_status open_device(const hel_backend *backend, uint32_t index, const hel_device_params *params, const hel_device **out) {
    hel_device_params values = defaults;
    HEL_TRY(HEL_PARAMS_READ(params, &values, "hel_device_params"));
    uint32_t count = 0;
    HEL_TRY(backend->count(&count));
    if (index >= count)
        return hel_fail(HEL_ERROR_UNAVAILABLE, "%s:%u: no such device; their number is %u", backend->name, index, count);
    hel_device_base *base;
    hel_os_mutex *mutex = hel_os_mutex_create();
    if (!mutex) return hel_fail_memory(sizeof mutex);
    hel_status status = backend->open(index, &values, &base);
    if (status != HEL_OK) {
        hel_os_mutex_destroy(&mutex);
        return status;
    }
    base->lock = mutex;
    base->memory_limit = values.memory_limit;
    base->data.backend = backend->name;
    base->data.index = index;
    base->data.precision = values.precision;
    base->data.threads = values.threads;
    limit_bindings(&base->data.limits);
    *out = &base->data;
    if (hel_device_has_choices(*out)) status = hel_choices_init(&base->choices, values.cache_directory);
    if (status != HEL_OK) hel_device_destroy(out);
    return status;
}

static const hel_backend *find_backend(const char *name, size_t length) {
    for (size_t i = 0; i < HEL_COUNT(backends); i++)
        if (strlen(backends[i]->name) == length && memcmp(backends[i]->name, name, length) == 0) return backends[i];
    return NULL;
}

hel_status hel_device_open(const char *name, const hel_device_params *params, const hel_device **out) {
    HEL_REQUIRE(name && out);
    *out = NULL;
    if (strchr(name, ',')) return hel_fail(HEL_ERROR_ARGUMENT, "\"%s\" names several devices where one is wanted", name);
    size_t length = strcspn(name, ":");
    const hel_backend *backend = find_backend(name, length);
    if (!backend) return hel_fail(HEL_ERROR_ARGUMENT, "no backend of this build is called \"%.*s\"", (int)length, name);
    unsigned long index = 0;
    if (name[length]) {
        char *end;
        index = strtoul(name + length + 1, &end, 10);
        if (end == name + length + 1 || *end || index > 255)
            return hel_fail(HEL_ERROR_ARGUMENT, "\"%s\": expected BACKEND or BACKEND:NUMBER", name);
    }
    return open_device(backend, (uint32_t)index, params, out);
}

hel_status hel_device_open_type(hel_device_type type, const hel_device_params *params, const hel_device **out) {
    hel_status status = HEL_OK;
    *out = NULL;
    for (size_t i = 0; i < HEL_COUNT(backends); i++) {
        uint32_t count = 0;
        if (backends[i]->count(&count) != HEL_OK) continue;
        for (uint32_t index = 0; index < count; index++) {
            hel_device device = {0};
            if (backends[i]->describe(index, &device) != HEL_OK || device.type != type) continue;
            status = open_device(backends[i], index, params, out);
            if (status == HEL_OK) return HEL_OK;
            hel_log(HEL_LOG_WARNING, "%s:%u: %s", backends[i]->name, index, hel_error_message());
        }
    }
    return status == HEL_OK ? hel_fail(HEL_ERROR_UNAVAILABLE, "no device of the wanted type") : status;
}

hel_status hel_device_open_best(const hel_device_params *params, const hel_device **out) {
    static const hel_device_type order[] = {HEL_DEVICE_TYPE_DISCRETE, HEL_DEVICE_TYPE_INTEGRATED, HEL_DEVICE_TYPE_CPU};
    HEL_REQUIRE(out);
    hel_status status = HEL_OK;
    for (size_t i = 0; i < HEL_COUNT(order); i++) {
        status = hel_device_open_type(order[i], params, out);
        if (status == HEL_OK) break;
    }
    return status;
}
