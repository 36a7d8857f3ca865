// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"
#include "base/memory.h"
#include "cpu.h"

hel_status cpu_kernel_create(const hel_device *device, const hel_kernel_source *source, const uint32_t *constants,
                             hel_kernel **out) {
    (void)constants; // they come with each dispatch
    cpu_kernel *kernel = hel_alloc_zero(1, sizeof *kernel);
    if (!kernel) return hel_fail_memory(sizeof *kernel);
    const cpu_device *cpu = cpu_device_of(device);
    if (!cpu->scalar) kernel->vector = cpu_kernel_best(source, cpu->precision);
    *out = &kernel->base;
    return HEL_OK;
}

void cpu_kernel_destroy(const hel_device *device, hel_kernel *kernel) {
    (void)device;
    hel_free(kernel);
}
