// SPDX-License-Identifier: Apache-2.0
// What a compressed model takes in memory while it runs. The operating system's peak is a process's for ever, so each
// model runs in a child. Argument: a device.
#include "support/folder.h"

#include <sys/wait.h>

#include <helicoid/helicoid.h>

#include "base/os_console.h"

static const char *device_name = "cpu";

enum { ALLOWED = 64 << 20 };

static void expect(bool holds, const char *what, uint64_t have, uint64_t limit) {
    if (holds) return;
    fprintf(stderr, "%s: %s: %llu, at most %llu\n", device_name, what, (unsigned long long)have, (unsigned long long)limit);
    _exit(1);
}

// Opening the device and running one kernel is what the driver takes for itself.
static uint64_t driver_peak(const hel_device *device) {
    hel_kernel *kernel;
    hel_buffer *buffer;
    if (hel_buffer_create(device, 4096, &buffer) != HEL_OK || hel_kernel_get(device, "add", NULL, 0, &kernel) != HEL_OK) _exit(2);
    uint32_t word = 1;
    if (hel_buffer_write(device, HEL_QUEUE_COMPUTE, buffer, 0, &word, 4) != HEL_OK) _exit(2);
    if (hel_buffer_read(device, HEL_QUEUE_COMPUTE, buffer, 0, &word, 4) != HEL_OK) _exit(2);
    hel_buffer_destroy(device, &buffer);
    return hel_os_memory_peak();
}

static void run(const char *path, bool measured) {
    const hel_device *device;
    if (hel_device_open(device_name, NULL, &device) != HEL_OK) _exit(2);
    uint64_t before = driver_peak(device);
    hel_device_destroy(&device);
    hel_model_params params = hel_model_params_default();
    params.devices = device_name;
    hel_model *model;
    hel_context *context;
    hel_context_params context_params = hel_context_params_default();
    context_params.capacity = 256;
    if (hel_model_load(path, &params, &model) != HEL_OK || hel_context_create(model, &context_params, &context) != HEL_OK) _exit(3);
    hel_generate_params generate = hel_generate_params_default();
    generate.max_tokens = 64;
    generate.ignore_eos = true;
    hel_generation generation;
    uint32_t prompt[150];
    for (uint32_t i = 0; i < 150; i++) prompt[i] = 1 + i;
    if (hel_generate(context, prompt, 150, &generate, &generation) != HEL_OK) _exit(4);
    hel_model_info info;
    hel_model_describe(model, &info);
    uint64_t used, peak, host = hel_os_memory_peak();
    hel_device_memory(hel_model_device(model, 0), &used, &peak);
    fprintf(stderr, "%s: file %llu, prepared %llu, KV cache %llu, buffers at most %llu, host before %llu and at most %llu bytes\n",
            device_name, (unsigned long long)info.file_bytes, (unsigned long long)info.prepared_bytes,
            (unsigned long long)hel_context_cache_bytes(context), (unsigned long long)peak, (unsigned long long)before, (unsigned long long)host);
    if (!measured) _exit(0);
    expect(info.compressed > 0, "compressed matrices", info.compressed, 0);
    expect(info.prepared_bytes <= info.file_bytes, "prepared weights", info.prepared_bytes, info.file_bytes);
    // Software devices keep their buffers in this process, so buffers count as the driver's own.
    bool cpu = strcmp(device_name, "cpu") == 0;
    uint64_t limit = cpu ? info.prepared_bytes + hel_context_cache_bytes(context) + ALLOWED : before + peak + ALLOWED;
    expect(host <= limit, "peak of the host", host, limit);
    // Nothing but weights, KV cache and a batch's activations lies on the device.
    uint64_t most = info.prepared_bytes + hel_context_cache_bytes(context) + (16 << 20);
    expect(peak <= most, "peak of the device", peak, most);
    _exit(0);
}

static void run_in_child(const char *source) {
    char path[TESTS_PATH];
    support_join(path, folder, "model.safetensors");
    hel_compress_params params = hel_compress_params_default();
    params.overwrite = true;
    assert_int_equal(hel_compress(source, path, &params, NULL), HEL_OK);
    // The first run lets the driver compile and cache the kernels, which is its own business.
    for (int measured = 0; measured < 2; measured++) {
        pid_t child = fork();
        if (child == 0) run(path, measured);
        int how = 0;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFEXITED(how));
        assert_int_equal(WEXITSTATUS(how), 0);
    }
}

static void test_stories(void **state) {
    (void)state;
    char source[TESTS_PATH];
    support_data(source, "stories260K/stories260K.bin");
    run_in_child(source);
}

static void test_lm_wiki(void **state) {
    (void)state;
    char source[TESTS_PATH];
    SUPPORT_NEED_SHARED(source, "data/lm_wiki");
    run_in_child(source);
}

static void test_smollm2(void **state) {
    (void)state;
    const char *source = getenv("HELICOID_SMOLLM2");
    if (strcmp(device_name, "cpu") != 0) return; // software GPUs take minutes
    if (!source || !source[0]) {
        print_message("skipped: HELICOID_SMOLLM2 names no model\n");
        skip();
    }
    run_in_child(source);
}

int main(int argc, char **argv) {
    if (argc > 1) device_name = argv[1];
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stories), cmocka_unit_test(test_lm_wiki), cmocka_unit_test(test_smollm2)};
    return cmocka_run_group_tests_name(device_name, tests, folder_make, folder_remove);
}
