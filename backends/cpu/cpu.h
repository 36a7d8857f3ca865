// SPDX-License-Identifier: Apache-2.0
// The CPU device: buffers are host memory, a dispatch runs at once on a pool of threads. Every kernel has its C form;
// entries of the table in kernels/ replace it where vector code for the running processor is there.
#ifndef BACKENDS_CPU_CPU_H
#define BACKENDS_CPU_CPU_H

#include "base/threads.h"
#include "device/backend.h"
#include "shares.h"

typedef struct cpu_launch {
    void *const *buffers;
    const void *params;
    const uint32_t *constants;
    uint32_t groups; // in the whole dispatch
    void *scratch;   // what cpu_kernel_entry.prepare made, for all threads to read
    hel_precision precision;
} cpu_launch;

// Memory that all work-groups of a dispatch read, and into how many items its preparation is cut.
typedef struct cpu_scratch {
    size_t size; // 0: none is wanted
    uint32_t items;
} cpu_scratch;

// A vector version of a kernel. `run` does work-groups first .. first + count of a dispatch on one thread. Where it wants
// scratch memory, on cache lines, `prepare` is called for every item, on any thread, before the first group runs.
typedef struct cpu_kernel_entry {
    const char *name;
    void (*run)(const cpu_launch *launch, uint32_t first, uint32_t count);
    cpu_scratch (*scratch)(const cpu_launch *launch); // may be NULL, then so is `prepare`
    void (*prepare)(const cpu_launch *launch, uint32_t item);
} cpu_kernel_entry;

typedef struct cpu_device {
    hel_device_base base;
    hel_threads *threads;
    unsigned char **shared; // one block a thread for the C forms
    cpu_share *shares;      // by thread, of the dispatch at hand
    void *scratch;          // of the dispatch at hand
    size_t scratch_size;
    bool scalar;
    hel_precision precision;
    uint64_t ticket;
    uint64_t timers[HEL_TIMER_SLOTS];
} cpu_device;

typedef struct cpu_buffer {
    hel_buffer base;
    unsigned char *bytes;
} cpu_buffer;

typedef struct cpu_kernel {
    hel_kernel base;
    const cpu_kernel_entry *vector; // NULL: the C form
} cpu_kernel;

enum { CPU_SHARED_SIZE = 65536 };

static inline cpu_device *cpu_device_of(const hel_device *device) { return (cpu_device *)hel_device_base_of(device); }
static inline unsigned char *cpu_bytes(hel_buffer *buffer) { return ((cpu_buffer *)buffer)->bytes; }

// buffer.c
hel_status cpu_buffer_create(const hel_device *device, uint64_t size, hel_buffer **out);
void cpu_buffer_destroy(const hel_device *device, hel_buffer *buffer);
hel_status cpu_buffer_map(const hel_device *device, hel_buffer *buffer, void **out);
hel_status cpu_buffer_write(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset,
                            const void *bytes, uint64_t size);
hel_status cpu_buffer_read(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset, void *bytes,
                           uint64_t size);
hel_status cpu_buffer_copy(const hel_device *device, hel_queue queue, hel_buffer *to, uint64_t to_offset, hel_buffer *from,
                           uint64_t from_offset, uint64_t size);
hel_status cpu_buffer_fill(const hel_device *device, hel_buffer *buffer, uint64_t offset, uint64_t size, uint32_t word);

// kernel.c
hel_status cpu_kernel_create(const hel_device *device, const hel_kernel_source *source, const uint32_t *constants,
                             hel_kernel **out);
void cpu_kernel_destroy(const hel_device *device, hel_kernel *kernel);

// queue.c
hel_status cpu_dispatch(const hel_device *device, hel_kernel *kernel, const hel_binding *bindings, const void *params,
                        uint32_t groups_x, uint32_t groups_y, uint32_t timer);
hel_status cpu_mark(const hel_device *device, hel_queue queue, uint64_t *out_ticket);
hel_status cpu_wait(const hel_device *device, uint64_t ticket, uint64_t timeout_ns);
hel_status cpu_timer_query(const hel_device *device, uint32_t slot, uint64_t *out_ns);

// Room for a run at hand, on cache lines, in device->scratch: grows and stays, as one device does one thing at a time.
hel_status cpu_scratch_reserve(cpu_device *device, size_t size);

// kernels/table.c: the best version for this processor, NULL where the C form is all there is.
const cpu_kernel_entry *cpu_kernel_best(const hel_kernel_source *source, hel_precision precision);
// Names the instruction sets in use, for hel_device.driver ("AVX-512 VBMI VNNI BF16").
const char *cpu_instruction_sets(void);
bool cpu_has_vectors(void);

#endif
