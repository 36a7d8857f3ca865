// SPDX-License-Identifier: Apache-2.0
// What the Hyena operator takes in memory: the arrays that its header names, and little besides. The operating system's peak is a
// process's for ever, so each run is a child. Arguments: a device, a number of steps.
#include "support/folder.h"
#include "support/support.h"

#include <sys/wait.h>

#include <helicoid/helicoid.h>

#include "base/os_console.h"
#include "bench/random_operator.h"
#include "vq/made_values.h"

enum { WIDTH = 64, BESIDE = 300 << 20 };

static const char *device_name = "cpu";
static uint32_t length = 1 << 15;
static char checkpoint[TESTS_PATH];

typedef struct phases {
    const char *last;
    double since;
} phases;

static bool tell(void *user, const char *what, uint64_t done, uint64_t total) {
    phases *p = user;
    (void)done, (void)total;
    if (p->last && strcmp(p->last, what) == 0) return true;
    double now = hel_os_seconds();
    if (p->last) fprintf(stderr, "%s: %.1f s, ", p->last, now - p->since);
    p->last = what;
    p->since = now;
    return true;
}

// Opening the device and running the operator over one step is what the driver takes for itself.
static void run(uint32_t steps, bool measured) {
    const hel_device *device;
    hel_hyena *hyena;
    phases at = {NULL, hel_os_seconds()};
    hel_hyena_params params = hel_hyena_params_default();
    params.max_length = length;
    params.progress = tell;
    params.user = &at;
    if (hel_device_open(device_name, NULL, &device) != HEL_OK) _exit(2);
    if (hel_hyena_create(device, checkpoint, &params, &hyena) != HEL_OK) _exit(3);
    float few[2 * WIDTH] = {1};
    if (hel_hyena_forward(hyena, 1, 1, few, few + WIDTH) != HEL_OK) _exit(4);
    uint64_t idle = hel_os_memory_peak(), one = (uint64_t)steps * WIDTH * sizeof(float);
    float *x = malloc(one), *y = malloc(one);
    for (uint64_t i = 0; i < one / sizeof *x; i++) x[i] = made_value(i, 3) * 0.1f;
    if (hel_hyena_forward(hyena, 1, steps, x, y) != HEL_OK) _exit(5);
    // x, y, a gate and filters; of long sequences three times x and y.
    uint64_t taken = hel_os_memory_peak() - idle, allowed = steps < 1 << 20 ? 4 * one + BESIDE : 6 * one;
    fprintf(stderr, "%s: %.1f s\n%s, %u steps: %.2f times (x and y), %llu bytes above %llu, %llu allowed\n", at.last,
            hel_os_seconds() - at.since, device_name, steps, (double)taken / (2 * (double)one), (unsigned long long)taken,
            (unsigned long long)idle, (unsigned long long)allowed);
    if (measured && taken > allowed) _exit(6);
    _exit(0);
}

static void test_steps(void **state) {
    (void)state;
    support_join(checkpoint, folder, "operator.safetensors");
    assert_int_equal(hel_bench_write_operator(checkpoint, WIDTH), HEL_OK);
    // The first run lets a driver compile and cache the kernels of the length, which is its own business.
    for (int measured = strcmp(device_name, "cpu") == 0; measured < 2; measured++) {
        pid_t child = fork();
        if (child == 0) run(length, measured > 0);
        int how = 0;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFEXITED(how));
        assert_int_equal(WEXITSTATUS(how), 0);
    }
}

int main(int argc, char **argv) {
    if (argc > 1) device_name = argv[1];
    if (argc > 2) length = (uint32_t)strtoul(argv[2], NULL, 10);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps)};
    return cmocka_run_group_tests_name(device_name, tests, folder_make, folder_remove);
}
