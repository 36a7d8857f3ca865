// SPDX-License-Identifier: Apache-2.0
// Reading memory as fast as the host or the device can: what products with vectors are compared with.
#ifndef HEL_BENCH_READ_H
#define HEL_BENCH_READ_H

#include "bench/run.h"

// Makes the buffer, in the device's memory, and finds the fastest loop where that is the host's. A device that cannot is noted.
hel_status hel_bench_reader_open(hel_bench_run *run);
void hel_bench_reader_close(hel_bench_run *run);

// The baseline "read" of the current work; nothing where reading is not measured.
hel_status hel_bench_add_read(hel_bench_run *run);

#endif
