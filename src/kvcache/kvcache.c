// SPDX-License-Identifier: Apache-2.0
#include "kvcache/kvcache.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

enum { PAGE_SIZE = 32 };

static uint64_t layer_bytes(const hel_kvcache *cache) {
    return (uint64_t)cache->n_pages * cache->kv_heads * cache->page_size * cache->head_dim * sizeof(float);
}

static hel_status allocate(hel_kvcache *cache, uint32_t layers) {
    cache->layers = hel_alloc_zero(layers, sizeof *cache->layers);
    cache->table = hel_alloc_zero(cache->n_pages, sizeof *cache->table);
    cache->free_pages = hel_alloc_zero(cache->n_pages, sizeof *cache->free_pages);
    if (!cache->layers || !cache->table || !cache->free_pages) return hel_fail_memory(layers * sizeof *cache->layers);
    for (uint32_t i = 0; i < cache->n_pages; i++) cache->free_pages[i] = cache->n_pages - 1 - i;
    HEL_TRY(hel_buffer_create(cache->device, cache->n_pages * sizeof(uint32_t), &cache->block_table));
    for (; cache->n_layers < layers; cache->n_layers++) {
        hel_kv_layer *layer = &cache->layers[cache->n_layers];
        HEL_TRY(hel_buffer_create(cache->device, layer_bytes(cache), &layer->keys));
        hel_status status = hel_buffer_create(cache->device, layer_bytes(cache), &layer->values);
        if (status == HEL_OK) continue;
        hel_buffer_destroy(cache->device, &layer->keys);
        return status;
    }
    return HEL_OK;
}

hel_status hel_kvcache_init(const hel_device *device, uint32_t layers, uint32_t kv_heads, uint32_t head_dim,
                            uint32_t capacity, hel_kvcache *out) {
    *out = (hel_kvcache){.device = device, .kv_heads = kv_heads, .head_dim = head_dim, .page_size = PAGE_SIZE,
                         .n_pages = layers ? (uint32_t)hel_ceil_div(capacity, PAGE_SIZE) : 0};
    if (!layers) return HEL_OK;
    hel_status status = allocate(out, layers);
    if (status != HEL_OK) hel_kvcache_finish(out);
    return status;
}

void hel_kvcache_finish(hel_kvcache *cache) {
    for (uint32_t i = 0; i < cache->n_layers; i++) {
        hel_buffer_destroy(cache->device, &cache->layers[i].keys);
        hel_buffer_destroy(cache->device, &cache->layers[i].values);
    }
    hel_buffer_destroy(cache->device, &cache->block_table);
    hel_free(cache->layers);
    hel_free(cache->table);
    hel_free(cache->free_pages);
    *cache = (hel_kvcache){0};
}

hel_status hel_kvcache_resize(hel_kvcache *cache, uint32_t count) {
    if (!cache->n_layers) return HEL_OK;
    uint32_t pages = (uint32_t)hel_ceil_div(count, cache->page_size), before = cache->used;
    if (pages > cache->n_pages) return hel_fail(HEL_ERROR_ARGUMENT, "%u positions do not fit the cache", count);
    for (; cache->used > pages; cache->used--) cache->free_pages[cache->n_pages - cache->used] = cache->table[cache->used - 1];
    for (; cache->used < pages; cache->used++) cache->table[cache->used] = cache->free_pages[cache->n_pages - cache->used - 1];
    if (cache->used <= before) return HEL_OK;
    return hel_buffer_write(cache->device, HEL_QUEUE_COMPUTE, cache->block_table, before * sizeof(uint32_t),
                            cache->table + before, (cache->used - before) * sizeof(uint32_t));
}

hel_kv_view hel_kvcache_view(const hel_kvcache *cache, uint32_t layer) {
    return (hel_kv_view){.keys = {.buffer = cache->layers[layer].keys},
                         .values = {.buffer = cache->layers[layer].values},
                         .block_table = {.buffer = cache->block_table},
                         .kv_heads = cache->kv_heads,
                         .head_dim = cache->head_dim,
                         .page_size = cache->page_size};
}

uint64_t hel_kvcache_bytes(const hel_kvcache *cache) { return 2 * cache->n_layers * layer_bytes(cache); }
