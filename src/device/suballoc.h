// SPDX-License-Identifier: Apache-2.0
// Places within one block of device memory: a sorted list of free ranges, best fit, neighbours joined on return.
// It keeps numbers only and never touches the memory, so any backend can use it.
#ifndef HEL_DEVICE_SUBALLOC_H
#define HEL_DEVICE_SUBALLOC_H

#include <helicoid/common.h>

// Thread-safety: one user at a time.
typedef struct hel_suballoc hel_suballoc;

hel_status hel_suballoc_create(uint64_t size, hel_suballoc **out);
void hel_suballoc_destroy(hel_suballoc **block);

// `size` bytes, not 0, at a multiple of `alignment` (a power of two). DEVICE_MEMORY, without words, where no free range
// is long enough: the caller goes on to the next block. MEMORY where the list cannot grow.
hel_status hel_suballoc_take(hel_suballoc *block, uint64_t size, uint64_t alignment, uint64_t *out_offset);
// Exactly what one hel_suballoc_take gave. Never fails.
void hel_suballoc_give(hel_suballoc *block, uint64_t offset, uint64_t size);

uint64_t hel_suballoc_used(const hel_suballoc *block); // bytes taken, alignment gaps not counted

#endif
