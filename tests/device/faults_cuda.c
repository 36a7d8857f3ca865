// SPDX-License-Identifier: Apache-2.0
// The fake CUDA driver counts and fails by itself.
#include <string.h>

#include "base/os.h"
#include "fake_cuda/fake.h"
#include "faults.h"

const char injector_device[] = "cuda";

static struct {
    fake_cuda_fail_at_function *fail_at;
    fake_cuda_calls_function *calls;
    fake_cuda_live_function *live;
    fake_cuda_violations_function *violations;
} hooks;

bool injector_load(void) {
    void *library = hel_os_library_open("libcuda.so.1"), *symbol;
    if (!library) return false;
#define HOOK(name)                                                                    \
    if (!(symbol = hel_os_library_symbol(library, "fake_cuda_" #name))) return false; \
    memcpy(&hooks.name, &symbol, sizeof symbol);
    HOOK(fail_at)
    HOOK(calls)
    HOOK(live)
    HOOK(violations)
    return true;
}

void injector_fail_at(uint64_t n) { hooks.fail_at(n); }
uint64_t injector_calls(void) { return hooks.calls(); }
uint64_t injector_live(void) { return hooks.live(); }
uint64_t injector_violations(void) { return hooks.violations(); }
