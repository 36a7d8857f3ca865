// SPDX-License-Identifier: Apache-2.0
// The faults of vulkan_fakes.c under the injector's names.
#include "faults.h"
#include "vulkan_fakes.h"

const char injector_device[] = "vulkan";

static VkInstance kept; // keeps the drivers loaded: loading them anew for each device would take most of the time

bool injector_load(void) {
    if (vulkan_instance_create(&kept) != HEL_OK) return false;
    fake_install();
    return true;
}

void injector_fail_at(uint64_t n) {
    fake.fail_at = n ? fake.calls + (uint32_t)n : 0;
    fake.fail_with = VK_ERROR_OUT_OF_HOST_MEMORY;
}

uint64_t injector_calls(void) { return fake.calls; }
uint64_t injector_violations(void) { return 0; }
uint64_t injector_live(void) { return (uint64_t)fake.alive; }
