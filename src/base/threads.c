// SPDX-License-Identifier: Apache-2.0
#include "base/threads.h"

#include <stdatomic.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/os.h"

// Workers look for work this often before they sleep: a token is hundreds of short runs.
enum { SPINS = 2000 };

// Of `gate`. A worker enters a round while it is open. The caller closes it when nothing is left to take and waits only for
// those inside: one that is still asleep, or has lost its processor, is not missed.
enum { GATE_ROUND = 33 };
static const uint64_t gate_open = 1ull << 32, gate_inside = 0xffffffff;

typedef struct worker {
    hel_threads *threads;
    hel_os_thread *thread;
    uint32_t index;
} worker;

struct hel_threads {
    uint32_t count;
    worker *workers; // count - 1, index 1...
    hel_os_mutex *mutex;
    hel_os_condition *wake;
    atomic_uint sleepers;
    atomic_bool stop;
    atomic_uint_fast64_t gate; // the round, which grows with each run, whether it is open, and the workers that are in it
    atomic_uint_fast64_t next; // next item to take
    uint64_t items;
    void (*run)(void *user, uint64_t item, uint32_t thread);
    void *user;
};

static void take_items(hel_threads *threads, uint32_t index) {
    for (;;) {
        uint64_t item = atomic_fetch_add_explicit(&threads->next, 1, memory_order_relaxed);
        if (item >= threads->items) return;
        threads->run(threads->user, item, index);
    }
}

static uint64_t round_now(hel_threads *threads) { return atomic_load(&threads->gate) >> GATE_ROUND; }

static uint64_t wait_for_round(hel_threads *threads, uint64_t seen) {
    for (int spin = 0; spin < SPINS; spin++) {
        uint64_t round = round_now(threads);
        if (round != seen) return round;
        if (spin % 64 == 63) hel_os_yield();
    }
    hel_os_mutex_lock(threads->mutex);
    atomic_fetch_add(&threads->sleepers, 1);
    uint64_t round;
    while ((round = round_now(threads)) == seen) hel_os_condition_wait(threads->wake, threads->mutex);
    atomic_fetch_sub(&threads->sleepers, 1);
    hel_os_mutex_unlock(threads->mutex);
    return round;
}

// False where the round is over already.
static bool enter_round(hel_threads *threads, uint64_t round) {
    uint_fast64_t gate = atomic_load(&threads->gate);
    while ((gate & gate_open) && gate >> GATE_ROUND == round)
        if (atomic_compare_exchange_weak(&threads->gate, &gate, gate + 1)) return true;
    return false;
}

static void worker_main(void *user) {
    worker *self = user;
    hel_threads *threads = self->threads;
    uint64_t seen = 0;
    for (;;) {
        seen = wait_for_round(threads, seen);
        if (atomic_load(&threads->stop)) return;
        if (!enter_round(threads, seen)) continue;
        take_items(threads, self->index);
        atomic_fetch_sub_explicit(&threads->gate, 1, memory_order_release);
    }
}

// Nobody is in the last one.
static void start_round(hel_threads *threads, uint64_t open) {
    atomic_store(&threads->gate, ((round_now(threads) + 1) << GATE_ROUND) | open);
    if (!atomic_load(&threads->sleepers)) return;
    hel_os_mutex_lock(threads->mutex);
    hel_os_condition_wake_all(threads->wake);
    hel_os_mutex_unlock(threads->mutex);
}

void hel_threads_run(hel_threads *threads, uint64_t items, void (*run)(void *user, uint64_t item, uint32_t thread), void *user) {
    if (threads->count == 1 || items <= 1) {
        for (uint64_t item = 0; item < items; item++) run(user, item, 0);
        return;
    }
    threads->items = items;
    threads->run = run;
    threads->user = user;
    atomic_store_explicit(&threads->next, 0, memory_order_relaxed);
    start_round(threads, gate_open);
    take_items(threads, 0);
    atomic_fetch_and(&threads->gate, ~gate_open);
    for (int spin = 1; atomic_load_explicit(&threads->gate, memory_order_acquire) & gate_inside; spin++)
        if (spin % 64 == 0) hel_os_yield();
}

uint32_t hel_threads_count(const hel_threads *threads) { return threads->count; }

hel_status hel_threads_create(uint32_t count, hel_threads **out) {
    hel_threads *threads = hel_alloc_zero(1, sizeof *threads);
    if (!threads) return hel_fail_memory(sizeof *threads);
    threads->count = 1;
    uint32_t wanted = count ? count : hel_os_cpu_count();
    threads->mutex = hel_os_mutex_create();
    threads->wake = hel_os_condition_create();
    threads->workers = hel_alloc_zero(wanted, sizeof *threads->workers);
    if (!threads->mutex || !threads->wake || !threads->workers) {
        hel_threads_destroy(&threads);
        return hel_fail_memory(wanted * sizeof(worker));
    }
    for (; threads->count < wanted; threads->count++) {
        worker *next = &threads->workers[threads->count - 1];
        *next = (worker){.threads = threads, .index = threads->count};
        next->thread = hel_os_thread_create(worker_main, next);
        if (!next->thread) {
            uint32_t number = threads->count + 1;
            hel_threads_destroy(&threads);
            return hel_fail(HEL_ERROR_MEMORY, "cannot start thread %u of %u", number, wanted);
        }
    }
    *out = threads;
    return HEL_OK;
}

void hel_threads_destroy(hel_threads **handle) {
    hel_threads *threads = *handle;
    if (!threads) return;
    if (threads->mutex && threads->wake) {
        atomic_store(&threads->stop, true);
        start_round(threads, 0);
    }
    for (uint32_t i = 0; i + 1 < threads->count; i++) hel_os_thread_join(&threads->workers[i].thread);
    hel_free(threads->workers);
    hel_os_condition_destroy(&threads->wake);
    hel_os_mutex_destroy(&threads->mutex);
    hel_free(threads);
    *handle = NULL;
}
