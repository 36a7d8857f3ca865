// SPDX-License-Identifier: Apache-2.0
// Peers: other programs as children that do the same work and say how long it took. docs/benchmarks.md has the lines.
#ifndef HEL_BENCH_PEER_H
#define HEL_BENCH_PEER_H

#include "bench/run.h"

typedef struct hel_bench_peers hel_bench_peers;

// NOT_FOUND where a name of the settings is no program; asked before anything is measured.
hel_status hel_bench_peers_check(const hel_bench_run *run);

// Starts the peers for the current work and adds what they offer to time. What one cannot do is a note.
hel_status hel_bench_peers_open(hel_bench_run *run, hel_bench_peers **out);
void hel_bench_peers_close(hel_bench_peers **peers);

#endif
