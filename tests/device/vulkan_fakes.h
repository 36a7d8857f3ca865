// SPDX-License-Identifier: Apache-2.0
// Functions between the Vulkan backend's table of symbols and the driver: they count, fail on demand, leave things out,
// or make the driver look like another machine.
#ifndef TESTS_VULKAN_FAKES_H
#define TESTS_VULKAN_FAKES_H

#include "backends/vulkan/vulkan.h"

typedef struct fake_state {
    uint32_t calls;       // that return a VkResult
    uint32_t fail_at;     // the call that fails, 0 none
    VkResult fail_with;
    int64_t alive;        // objects created and not destroyed
    uint32_t barriers;
    uint32_t submits;
    uint32_t subgroup;    // lanes that the last pipeline requires, 0 where it leaves that to the driver
} fake_state;

extern fake_state fake;

void fake_install(void);      // counting and failing; once
void fake_discrete(bool on);  // a discrete GPU with memory of its own and a family for transfers
void fake_no_subgroups(bool on); // whose size a pipeline could say
void fake_no_barriers(void);  // barriers are left out

#endif
