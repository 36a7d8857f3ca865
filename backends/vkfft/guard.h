// SPDX-License-Identifier: Apache-2.0
// Between VkFFT, which calls drivers and the heap by name, and the rest. VkFFT looks for few failures, and forgets what it holds
// when it finds one. So none reaches it: where memory is refused, or a driver's call in the place of which a backend's fft.c puts
// its own, the call into VkFFT is left at once (vkfft_leave), and whatever it has made so far is given back, from a list.
// Read once, before vkFFT.h, by each backend's fft.c.
#ifndef BACKENDS_VKFFT_GUARD_H
#define BACKENDS_VKFFT_GUARD_H

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "device/backend.h"
#include "device/binary_cache.h"

// Handles are pointers or numbers, as wide as the wider.
typedef void vkfft_give_back(const hel_device *device, uint64_t object);

// A driver's object, or, where nothing gives it back, memory that follows.
typedef struct vkfft_kept {
    _Alignas(max_align_t) struct vkfft_kept *next;
    struct vkfft_kept **link; // what points to it
    vkfft_give_back *give_back;
    uint64_t object;
} vkfft_kept;

typedef struct vkfft_guard {
    const hel_device *device;
    struct vkfft_transform *transform; // whose it is
    vkfft_kept *memory, *objects; // newest first
    jmp_buf way_out;
    hel_status status;
} vkfft_guard;

// That of this thread's call into VkFFT.
static _Thread_local vkfft_guard *vkfft_now;

static _Noreturn void vkfft_leave(hel_status status) {
    vkfft_now->status = status;
    longjmp(vkfft_now->way_out, 1);
}

static hel_status vkfft_within(vkfft_guard *guard, void (*call)(void *user), void *user) {
    vkfft_now = guard;
    guard->status = HEL_OK;
    if (!setjmp(guard->way_out)) call(user);
    vkfft_now = NULL;
    return guard->status;
}

// ---------------------------------------------------------------- what VkFFT holds

static void vkfft_link(vkfft_kept **list, vkfft_kept *kept) {
    kept->next = *list;
    kept->link = list;
    if (*list) (*list)->link = &kept->next;
    *list = kept;
}

static void vkfft_drop(const hel_device *device, vkfft_kept *kept) {
    *kept->link = kept->next;
    if (kept->next) kept->next->link = kept->link;
    if (kept->give_back) kept->give_back(device, kept->object);
    hel_free(kept);
}

// A new object of the driver's.
static void vkfft_keep(vkfft_give_back *give_back, uint64_t object) {
    vkfft_kept *kept = hel_alloc_zero(1, sizeof *kept);
    if (!kept) {
        give_back(vkfft_now->device, object);
        vkfft_leave(hel_fail_memory(sizeof *kept));
    }
    kept->give_back = give_back;
    kept->object = object;
    vkfft_link(&vkfft_now->objects, kept);
}

// VkFFT has no use for it any more.
static void vkfft_forget(vkfft_give_back *give_back, uint64_t object) {
    for (vkfft_kept *kept = vkfft_now->objects; kept; kept = kept->next)
        if (kept->give_back == give_back && kept->object == object) {
            vkfft_drop(vkfft_now->device, kept);
            return;
        }
}

static void vkfft_give_all_back(vkfft_guard *guard) {
    while (guard->objects) vkfft_drop(guard->device, guard->objects);
    while (guard->memory) vkfft_drop(guard->device, guard->memory);
}

// ---------------------------------------------------------------- the heap and the console

static void *vkfft_alloc(size_t size, bool zero) {
    size_t whole = sizeof(vkfft_kept) + size;
    vkfft_kept *kept = whole < size ? NULL : zero ? hel_alloc_zero(1, whole) : hel_alloc(whole);
    if (!kept) vkfft_leave(hel_fail_memory(size));
    kept->give_back = NULL;
    vkfft_link(&vkfft_now->memory, kept);
    return kept + 1;
}

static void *vkfft_alloc_array(size_t count, size_t size) {
    uint64_t whole;
    if (!hel_size_mul(count, size, &whole) || whole > SIZE_MAX) vkfft_leave(hel_fail_memory(SIZE_MAX));
    return vkfft_alloc((size_t)whole, true);
}

static void vkfft_free(void *memory) {
    if (memory) vkfft_drop(vkfft_now->device, (vkfft_kept *)memory - 1);
}

#define malloc(size) vkfft_alloc(size, false)
#define calloc(count, size) vkfft_alloc_array(count, size)
#define free(memory) vkfft_free(memory)
#define printf(...) ((void)0)

#endif
