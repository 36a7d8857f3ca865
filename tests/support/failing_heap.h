// SPDX-License-Identifier: Apache-2.0
// Memory hooks that count allocations and refuse one of them.
#ifndef TESTS_FAILING_HEAP_H
#define TESTS_FAILING_HEAP_H
#include "support/support.h"

#include <helicoid/common.h>

static struct {
    long live, calls, fail_at; // fail_at 0: never
} heap;

static void *heap_resize(void *user, void *pointer, size_t size) {
    (void)user;
    if (__atomic_add_fetch(&heap.calls, 1, __ATOMIC_SEQ_CST) == heap.fail_at) return NULL;
    void *out = realloc(pointer, size);
    if (!pointer && out) __atomic_add_fetch(&heap.live, 1, __ATOMIC_SEQ_CST);
    return out;
}

static void heap_release(void *user, void *pointer) {
    (void)user;
    if (pointer) __atomic_sub_fetch(&heap.live, 1, __ATOMIC_SEQ_CST);
    free(pointer);
}

static inline void heap_install(void) { hel_memory_set_hooks(&(hel_memory_hooks){heap_resize, heap_release, NULL}); }

#endif
