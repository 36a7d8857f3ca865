// SPDX-License-Identifier: Apache-2.0
// The shares of a dispatch: every group is taken once, however slow a thread is, and a thread's own come in order.
#include "support/support.h"

#include "backends/cpu/shares.h"
#include "base/threads.h"

enum { MOST_THREADS = 5, MOST_GROUPS = 3000 };

typedef struct deal {
    cpu_share shares[MOST_THREADS];
    uint32_t count;
    atomic_uint taken[MOST_GROUPS];
    atomic_uint work; // so that groups take a while, and those of the first share longer
} deal;

static void work_through(void *user, uint64_t item, uint32_t thread) {
    deal *d = user;
    (void)thread;
    for (uint32_t first, count; cpu_shares_take(d->shares, d->count, (uint32_t)item, &first, &count);)
        for (uint32_t g = first; g < first + count; g++) {
            atomic_fetch_add(&d->taken[g], 1);
            for (uint32_t i = 0; i < (item ? 1 : 40); i++) atomic_fetch_add(&d->work, 1);
        }
}

static void test_once(void **state) {
    (void)state;
    static deal d;
    for (uint32_t count = 1; count <= MOST_THREADS; count++) {
        hel_threads *threads;
        assert_int_equal(hel_threads_create(count, &threads), HEL_OK);
        for (uint32_t groups = 1; groups <= MOST_GROUPS; groups = groups * 3 / 2 + 1) {
            memset(d.taken, 0, sizeof d.taken);
            d.count = groups < count ? groups : count;
            cpu_shares_deal(d.shares, d.count, groups);
            hel_threads_run(threads, d.count, work_through, &d);
            for (uint32_t g = 0; g < MOST_GROUPS; g++) assert_int_equal(atomic_load(&d.taken[g]), g < groups);
        }
        hel_threads_destroy(&threads);
    }
}

// A thread that is alone with its share goes through it from its first group to its last, then takes the others' far halves.
static void test_order(void **state) {
    (void)state;
    cpu_share shares[2];
    uint32_t first, count, next = 0;
    cpu_shares_deal(shares, 2, 200);
    while (next < 100) {
        assert_true(cpu_shares_take(shares, 2, 0, &first, &count));
        assert_int_equal(first, next);
        next = first + count;
    }
    assert_int_equal(next, 100);
    assert_true(cpu_shares_take(shares, 2, 0, &first, &count));
    assert_int_equal(first, 150);
    assert_true(cpu_shares_take(shares, 2, 1, &first, &count));
    assert_int_equal(first, 100);
}

static void test_end(void **state) {
    (void)state;
    cpu_share shares[3];
    uint32_t first, count, taken = 0;
    cpu_shares_deal(shares, 3, 1);
    for (uint32_t i = 0; i < 3; i++)
        while (cpu_shares_take(shares, 3, i, &first, &count)) taken += count;
    assert_int_equal(taken, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_once), cmocka_unit_test(test_order), cmocka_unit_test(test_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
