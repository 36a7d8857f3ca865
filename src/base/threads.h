// SPDX-License-Identifier: Apache-2.0
// One pool of worker threads with fixed work splitting: item i is always run as item i, whatever thread takes it,
// so results never depend on the number of threads.
#ifndef HEL_BASE_THREADS_H
#define HEL_BASE_THREADS_H

#include <helicoid/common.h>

typedef struct hel_threads hel_threads;

// `count` threads in all, the caller's included; 0 means one per processor. Thread-safety: one run at a time per pool.
hel_status hel_threads_create(uint32_t count, hel_threads **out);
void hel_threads_destroy(hel_threads **threads);
uint32_t hel_threads_count(const hel_threads *threads);

// Calls run(user, item, thread) for every item in 0..items-1 and returns when all are done. `thread` is below
// hel_threads_count() and is held by one item at a time, so it may pick scratch memory.
void hel_threads_run(hel_threads *threads, uint64_t items, void (*run)(void *user, uint64_t item, uint32_t thread), void *user);

#endif
