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
    fake_nvrtc_compiles_function *compiles;
} hooks;

static bool find_hook(void *library, const char *name, void *place) {
    void *symbol = library ? hel_os_library_symbol(library, name) : NULL;
    memcpy(place, &symbol, sizeof symbol);
    return symbol != NULL;
}

bool injector_load(void) {
    void *driver = hel_os_library_open("libcuda.so.1"), *nvrtc_library = hel_os_library_open("libnvrtc.so.13");
    return find_hook(driver, "fake_cuda_fail_at", &hooks.fail_at) && find_hook(driver, "fake_cuda_calls", &hooks.calls) &&
           find_hook(driver, "fake_cuda_live", &hooks.live) && find_hook(driver, "fake_cuda_violations", &hooks.violations) &&
           find_hook(nvrtc_library, "fake_nvrtc_compiles", &hooks.compiles);
}

void injector_fail_at(uint64_t n) { hooks.fail_at(n); }
uint64_t injector_calls(void) { return hooks.calls(); }
uint64_t injector_live(void) { return hooks.live(); }
uint64_t injector_violations(void) { return hooks.violations(); }
uint64_t injector_compiles(void) { return hooks.compiles(); }
