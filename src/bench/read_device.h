// SPDX-License-Identifier: Apache-2.0
// Reading a device's own memory, by shaders/read_words.k.
#ifndef HEL_BENCH_READ_DEVICE_H
#define HEL_BENCH_READ_DEVICE_H

#include <helicoid/device.h>

typedef struct hel_bench_device_reader {
    const hel_device *device;
    hel_buffer *words, *sums;
    hel_kernel *kernel;
    uint64_t size;            // bytes that a pass reads
    uint32_t passes;          // of one measurement, so that submitting and waiting hardly count
    hel_recording *recording; // of them, where the device records
} hel_bench_device_reader;

// At most `bytes`, a binding and a sixteenth of the device's memory, which models are to have; how many words a pass reads is
// checked. `out` may be given to hel_bench_device_reader_close after failures too; it must have been zeroed.
hel_status hel_bench_device_reader_open(const hel_device *device, uint64_t bytes, hel_bench_device_reader *out);
// Seconds of one pass.
hel_status hel_bench_device_read(const hel_bench_device_reader *reader, double *out_seconds);
void hel_bench_device_reader_close(hel_bench_device_reader *reader);

#endif
