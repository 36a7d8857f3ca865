// SPDX-License-Identifier: Apache-2.0
// A file is a mark, the number of choices, and the choices as they lie in memory: words only, without gaps.
#include "device/choices.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "device/backend.h"

static const uint32_t file_mark = 0x314e5548; // "HUN1"

typedef struct file_head {
    uint32_t mark, count;
} file_head;

_Static_assert(sizeof(hel_choice) == HEL_CHOICE_KERNEL + 4 * (HEL_CHOICE_WORDS + HEL_MAX_CONSTANTS),
               "files hold no gaps");

hel_status hel_choices_init(hel_choices *choices, const char *directory) {
    *choices = (hel_choices){0};
    return hel_binary_cache_init(directory, &choices->cache);
}

void hel_choices_finish(hel_choices *choices) {
    hel_free(choices->items);
    hel_binary_cache_finish(&choices->cache);
    *choices = (hel_choices){0};
}

// ---------------------------------------------------------------- in memory

hel_choice hel_choice_of_nothing(const hel_choice_use *use) {
    hel_choice choice = {.use = *use};
    for (uint32_t i = 0; i < HEL_MAX_CONSTANTS; i++) choice.constants[i] = HEL_CHOICE_NONE;
    return choice;
}

static hel_choice *find(const hel_choices *choices, const hel_choice_use *use) {
    for (size_t i = 0; i < choices->count; i++)
        if (memcmp(&choices->items[i].use, use, sizeof *use) == 0) return &choices->items[i];
    return NULL;
}

bool hel_choice_find(const hel_device *device, const hel_choice_use *use, uint32_t constants[HEL_MAX_CONSTANTS]) {
    hel_device_base *base = hel_device_base_of(device);
    hel_os_mutex_lock(base->lock);
    const hel_choice *found = find(&base->choices, use);
    if (found) memcpy(constants, found->constants, sizeof found->constants);
    hel_os_mutex_unlock(base->lock);
    return found != NULL;
}

static hel_status set(hel_choices *choices, const hel_choice *choice) {
    hel_choice *found = find(choices, &choice->use);
    if (found) return *found = *choice, HEL_OK;
    if (choices->count == HEL_CHOICES_MAX)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "more than %d choices for one device", HEL_CHOICES_MAX);
    hel_choice *grown = hel_resize(choices->items, (choices->count + 1) * sizeof *grown);
    if (!grown) return hel_fail_memory((choices->count + 1) * sizeof *grown);
    choices->items = grown;
    grown[choices->count++] = *choice;
    return HEL_OK;
}

hel_status hel_choice_set(const hel_device *device, const hel_choice *choice) {
    hel_device_base *base = hel_device_base_of(device);
    hel_os_mutex_lock(base->lock);
    hel_status status = set(&base->choices, choice);
    hel_os_mutex_unlock(base->lock);
    return status;
}

// ---------------------------------------------------------------- on disk

static size_t count_texts(void) {
    size_t count = 0;
    for (size_t i = 0; i < hel_kernel_source_count; i++)
        for (const hel_kernel_text *text = hel_kernel_sources[i]->texts; text->language; text++) count++;
    return count;
}

static hel_binary_part part_of(const char *text) { return (hel_binary_part){text, strlen(text)}; }

static hel_status make_key(const hel_device *device, hel_binary_key *out) {
    enum { OTHERS = 5 };
    size_t count = OTHERS, all = OTHERS + count_texts();
    hel_binary_part *parts = hel_alloc_array(all, sizeof *parts);
    if (!parts) return hel_fail_memory(all * sizeof *parts);
    parts[0] = part_of("helicoid choices");
    parts[1] = part_of(hel_version());
    parts[2] = part_of(device->backend);
    parts[3] = part_of(device->name);
    parts[4] = part_of(device->driver);
    for (size_t i = 0; i < hel_kernel_source_count; i++)
        for (const hel_kernel_text *text = hel_kernel_sources[i]->texts; text->language; text++)
            parts[count++] = (hel_binary_part){text->bytes, text->size};
    hel_status status = hel_binary_cache_key(parts, count, out);
    hel_free(parts);
    return status;
}

// Whether `bytes` are a whole file of choices that are all valid; they begin at *out.
static bool parse(const unsigned char *bytes, size_t size, hel_choice_check *is_valid, const hel_choice **out,
                  size_t *out_count) {
    file_head head;
    if (size < sizeof head) return false;
    memcpy(&head, bytes, sizeof head);
    if (head.mark != file_mark || head.count > HEL_CHOICES_MAX) return false;
    if (size - sizeof head != head.count * sizeof **out) return false;
    *out = (const hel_choice *)(const void *)(bytes + sizeof head); // a fresh allocation, and a head of eight bytes
    *out_count = head.count;
    for (size_t i = 0; i < head.count; i++)
        if ((*out)[i].use.kernel[HEL_CHOICE_KERNEL - 1] || !is_valid(&(*out)[i])) return false;
    return true;
}

static void recall(hel_device_base *base, const unsigned char *bytes, size_t size, hel_choice_check *is_valid) {
    const hel_choice *choices;
    size_t count;
    if (!parse(bytes, size, is_valid, &choices, &count)) {
        hel_log(HEL_LOG_WARNING, "%s:%u: what was remembered of its kernels is not valid, and is left alone",
                base->data.backend, base->data.index);
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (!find(&base->choices, &choices[i].use) && set(&base->choices, &choices[i]) != HEL_OK) return;
}

void hel_choices_recall(const hel_device *device, hel_choice_check *is_valid) {
    hel_device_base *base = hel_device_base_of(device);
    hel_binary_key key;
    unsigned char *bytes;
    size_t size;
    if (make_key(device, &key) != HEL_OK) return;
    hel_os_mutex_lock(base->lock);
    if (hel_binary_cache_load(&base->choices.cache, &key, &bytes, &size)) {
        recall(base, bytes, size, is_valid);
        hel_free(bytes);
    }
    hel_os_mutex_unlock(base->lock);
}

static void remember(hel_choices *choices, const hel_binary_key *key) {
    file_head head = {file_mark, (uint32_t)choices->count};
    size_t size = sizeof head + choices->count * sizeof *choices->items;
    unsigned char *bytes = hel_alloc(size);
    if (!bytes) return;
    memcpy(bytes, &head, sizeof head);
    if (choices->count) memcpy(bytes + sizeof head, choices->items, choices->count * sizeof *choices->items);
    hel_binary_cache_store(&choices->cache, key, bytes, size);
    hel_free(bytes);
}

void hel_choices_remember(const hel_device *device) {
    hel_device_base *base = hel_device_base_of(device);
    hel_binary_key key;
    if (make_key(device, &key) != HEL_OK) return;
    hel_os_mutex_lock(base->lock);
    remember(&base->choices, &key);
    hel_os_mutex_unlock(base->lock);
}

static bool accept(const hel_choice *choice) {
    (void)choice;
    return true;
}

uint32_t hel_choices_count_remembered(const hel_device *description) {
    hel_binary_cache cache;
    hel_binary_key key;
    const hel_choice *choices;
    unsigned char *bytes;
    size_t size, count = 0;
    if (!hel_device_has_choices(description) || hel_binary_cache_find(NULL, &cache) != HEL_OK) return 0;
    if (make_key(description, &key) == HEL_OK && hel_binary_cache_load(&cache, &key, &bytes, &size)) {
        if (!parse(bytes, size, accept, &choices, &count)) count = 0;
        hel_free(bytes);
    }
    hel_binary_cache_finish(&cache);
    return (uint32_t)count;
}
