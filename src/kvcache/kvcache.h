// SPDX-License-Identifier: Apache-2.0
// The KV cache of one sequence on one device: fixed-size pages from a pool, found through a block table, so that it
// grows without moving anything (vLLM's paged attention, Kwon et al. 2023).
#ifndef HEL_KVCACHE_KVCACHE_H
#define HEL_KVCACHE_KVCACHE_H

#include "ops/operators.h"

typedef struct hel_kv_layer {
    hel_buffer *keys, *values; // [pages][kv_heads][page_size][head_dim] f32
} hel_kv_layer;

typedef struct hel_kvcache {
    const hel_device *device;
    uint32_t kv_heads, head_dim, page_size;
    uint32_t n_layers, n_pages;
    hel_kv_layer *layers;
    hel_buffer *block_table; // u32 [n_pages]
    uint32_t *table;         // host copy; entries below `used` are pages in use
    uint32_t used;
    uint32_t *free_pages;    // stack of the others
} hel_kvcache;

// Room for `capacity` positions of `layers` layers; without layers no pages either. Statuses: DEVICE_MEMORY, MEMORY, DEVICE.
hel_status hel_kvcache_init(const hel_device *device, uint32_t layers, uint32_t kv_heads, uint32_t head_dim,
                            uint32_t capacity, hel_kvcache *out);
void hel_kvcache_finish(hel_kvcache *cache); // accepts a zeroed cache
// Makes positions 0 .. count - 1 have pages, taking some or giving some back.
hel_status hel_kvcache_resize(hel_kvcache *cache, uint32_t count);
hel_kv_view hel_kvcache_view(const hel_kvcache *cache, uint32_t layer);
uint64_t hel_kvcache_bytes(const hel_kvcache *cache);

#endif
