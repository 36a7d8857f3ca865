// SPDX-License-Identifier: Apache-2.0
// Sub-allocation and hazard tracking, each against the slowest thing that is obviously right: a byte map.
#include "support/support.h"

#include "base/size.h"
#include "device/hazard.h"
#include "device/suballoc.h"

static uint32_t seed = 1;
static uint32_t random_below(uint32_t limit) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % limit;
}

// ---------------------------------------------------------------- places

enum { BLOCK = 4096, PLACES = 64 };

typedef struct place {
    uint64_t offset, size;
} place;

static bool room_for(const unsigned char *map, uint64_t size, uint64_t alignment) {
    for (uint64_t at = 0; at + size <= BLOCK; at += alignment) {
        uint64_t length = 0;
        while (length < size && !map[at + length]) length++;
        if (length == size) return true;
    }
    return false;
}

static void set_map(unsigned char *map, place where, unsigned char from, unsigned char to) {
    for (uint64_t i = where.offset; i < where.offset + where.size; i++) {
        assert_int_equal(map[i], from);
        map[i] = to;
    }
}

static void try_take(hel_suballoc *block, unsigned char *map, place *where) {
    uint64_t alignment = (uint64_t)1 << random_below(8);
    where->size = 1 + random_below(200);
    hel_status status = hel_suballoc_take(block, where->size, alignment, &where->offset);
    assert_int_equal(status, room_for(map, where->size, alignment) ? HEL_OK : HEL_ERROR_DEVICE_MEMORY);
    if (status != HEL_OK) {
        where->size = 0;
        return;
    }
    assert_int_equal(where->offset % alignment, 0);
    assert_true(where->offset + where->size <= BLOCK);
    set_map(map, *where, 0, 1);
}

static void test_suballoc_random(void **state) {
    (void)state;
    static unsigned char map[BLOCK];
    place places[PLACES] = {{0, 0}};
    hel_suballoc *block;
    assert_int_equal(hel_suballoc_create(BLOCK, &block), HEL_OK);
    for (int round = 0; round < 20000; round++) {
        place *where = &places[random_below(PLACES)];
        if (where->size) {
            hel_suballoc_give(block, where->offset, where->size);
            set_map(map, *where, 1, 0);
            where->size = 0;
        } else {
            try_take(block, map, where);
        }
    }
    for (int i = 0; i < PLACES; i++)
        if (places[i].size) hel_suballoc_give(block, places[i].offset, places[i].size);
    assert_int_equal(hel_suballoc_used(block), 0);
    uint64_t offset;
    assert_int_equal(hel_suballoc_take(block, BLOCK, 1, &offset), HEL_OK); // all neighbours were joined again
    assert_int_equal(hel_suballoc_take(block, 1, 1, &offset), HEL_ERROR_DEVICE_MEMORY);
    hel_suballoc_destroy(&block);
    assert_null(block);
}

// ---------------------------------------------------------------- hazards

enum { BUFFERS = 3, BYTES = 64 };

typedef struct touched {
    bool read[BUFFERS][BYTES], written[BUFFERS][BYTES];
} touched;

static const char buffers[BUFFERS];

static bool conflicts(const touched *map, const hel_hazard_range *range) {
    size_t buffer = (size_t)((const char *)range->buffer - buffers);
    for (uint64_t i = range->begin; i < range->end; i++)
        if (map->written[buffer][i] || (range->write && map->read[buffer][i])) return true;
    return false;
}

static void touch(touched *map, const hel_hazard_range *range) {
    size_t buffer = (size_t)((const char *)range->buffer - buffers);
    for (uint64_t i = range->begin; i < range->end; i++) (range->write ? map->written : map->read)[buffer][i] = true;
}

static void test_hazards_random(void **state) {
    (void)state;
    hel_hazards hazards = {.count = 0};
    touched map = {{{false}}, {{false}}};
    int barriers = 0;
    for (int round = 0; round < 20000; round++) {
        hel_hazard_range ranges[4];
        uint32_t count = 1 + random_below(4);
        bool expected = false;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t begin = random_below(BYTES - 8);
            ranges[i] = (hel_hazard_range){buffers + random_below(BUFFERS), begin, begin + 1 + random_below(8),
                                           random_below(8) == 0};
            expected |= conflicts(&map, &ranges[i]);
        }
        expected |= hazards.count + count > HEL_HAZARD_RANGES;
        assert_int_equal(hel_hazards_enter(&hazards, ranges, count), expected);
        if (expected) memset(&map, 0, sizeof map);
        for (uint32_t i = 0; i < count; i++) touch(&map, &ranges[i]);
        barriers += expected;
    }
    assert_true(barriers > 100 && barriers < 19000);
}

static void test_hazards_full(void **state) {
    (void)state;
    hel_hazards hazards = {.count = 0};
    hel_hazard_range read = {buffers, 0, 4, false};
    for (int i = 0; i < HEL_HAZARD_RANGES; i++) assert_false(hel_hazards_enter(&hazards, &read, 1));
    assert_true(hel_hazards_enter(&hazards, &read, 1));
    assert_int_equal(hazards.count, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_suballoc_random), cmocka_unit_test(test_hazards_random),
                                       cmocka_unit_test(test_hazards_full)};
    return cmocka_run_group_tests_name("places", tests, NULL, NULL);
}
