// SPDX-License-Identifier: Apache-2.0
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

static void *default_resize(void *user, void *pointer, size_t size) {
    (void)user;
    return realloc(pointer, size);
}

static void default_release(void *user, void *pointer) {
    (void)user;
    free(pointer);
}

static hel_memory_hooks hooks = {default_resize, default_release, NULL};

void hel_memory_set_hooks(const hel_memory_hooks *replacement) {
    hooks = replacement ? *replacement : (hel_memory_hooks){default_resize, default_release, NULL};
}

void *hel_resize(void *pointer, size_t size) { return hooks.resize(hooks.user, pointer, size ? size : 1); }

void *hel_alloc(size_t size) { return hel_resize(NULL, size); }

void hel_free(void *pointer) { hooks.release(hooks.user, pointer); }

void *hel_alloc_array(size_t count, size_t size) {
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : hel_alloc(bytes);
}

void *hel_alloc_zero(size_t count, size_t size) {
    void *pointer = hel_alloc_array(count, size);
    if (pointer) memset(pointer, 0, count * size);
    return pointer;
}

char *hel_string_copy_n(const char *text, size_t length) {
    if (length == SIZE_MAX) return NULL;
    char *copy = hel_alloc(length + 1);
    if (!copy) return NULL;
    memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

char *hel_string_copy(const char *text) { return hel_string_copy_n(text, strlen(text)); }

char *hel_string_join(const char *left, const char *right) {
    size_t length = strlen(left), extra = strlen(right);
    char *joined = hel_alloc(length + extra + 1);
    if (!joined) return NULL;
    memcpy(joined, left, length);
    memcpy(joined + length, right, extra + 1);
    return joined;
}

// The block's own address is stored just below the aligned address.
void *hel_alloc_aligned(size_t size) {
    size_t total;
    if (__builtin_add_overflow(size, ALIGNMENT + sizeof(void *), &total)) return NULL;
    char *block = hel_alloc(total);
    if (!block) return NULL;
    uintptr_t first = (uintptr_t)block + sizeof(void *);
    char *aligned = block + sizeof(void *) + (ALIGNMENT - first % ALIGNMENT) % ALIGNMENT;
    memcpy(aligned - sizeof(void *), &block, sizeof block);
    return aligned;
}

void hel_free_aligned(void *pointer) {
    if (!pointer) return;
    void *block;
    memcpy(&block, (char *)pointer - sizeof(void *), sizeof block);
    hel_free(block);
}
