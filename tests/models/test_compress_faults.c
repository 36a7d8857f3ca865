// SPDX-License-Identifier: Apache-2.0
// hel_compress when things go wrong: killed at every change it makes to the disk, every such change failing once, every
// allocation failing once. The linker puts the functions below in front of the OS layer's (--wrap).
#include "small_model.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include <helicoid/compress.h>

#include "base/os.h"
#include "support/failing_heap.h"

// ---------------------------------------------------------------- faults

typedef enum fault_kind { FAULT_NONE, FAULT_KILL, FAULT_ERROR } fault_kind;

static struct {
    fault_kind kind;
    long at, step; // the fault comes at step `at`
} fault;

// True where this step has to fail.
static bool fault_now(void) {
    if (fault.kind == FAULT_NONE || ++fault.step != fault.at) return false;
    if (fault.kind == FAULT_KILL) raise(SIGKILL);
    errno = EIO;
    return true;
}

int64_t __real_hel_os_file_write(hel_os_file file, uint64_t offset, const void *bytes, size_t size);
int64_t __wrap_hel_os_file_write(hel_os_file file, uint64_t offset, const void *bytes, size_t size);
int64_t __wrap_hel_os_file_write(hel_os_file file, uint64_t offset, const void *bytes, size_t size) {
    if (fault.kind != FAULT_NONE && fault.step + 1 == fault.at)
        __real_hel_os_file_write(file, offset, bytes, size / 2); // torn
    return fault_now() ? -1 : __real_hel_os_file_write(file, offset, bytes, size);
}

#define WRAP(name, parameters, arguments)         \
    bool __real_##name parameters;                \
    bool __wrap_##name parameters;                \
    bool __wrap_##name parameters { return !fault_now() && __real_##name arguments; }

WRAP(hel_os_file_truncate, (hel_os_file file, uint64_t size), (file, size))
WRAP(hel_os_file_sync, (hel_os_file file), (file))
WRAP(hel_os_rename, (const char *from, const char *to), (from, to))
WRAP(hel_os_remove, (const char *path), (path))
WRAP(hel_os_directory_create, (const char *path), (path))
WRAP(hel_os_directory_sync, (const char *path), (path))

// ---------------------------------------------------------------- fixture

static struct {
    char folder[TESTS_PATH], model[TESTS_PATH], folder_out[TESTS_PATH], file_out[TESTS_PATH];
    char *expected_folder, *expected_config, *expected_file;
    size_t folder_size, config_size, file_size;
} f;

static hel_compress_params small_params(void) {
    hel_compress_params params = hel_compress_params_default();
    params.k = 16;
    params.threads = 1;
    return params;
}

static void read_folder(char **tensors, size_t *size, char **config, size_t *config_size) {
    char path[TESTS_PATH];
    support_join(path, f.folder_out, "model.safetensors");
    assert_int_equal(hel_file_read_all(path, 1 << 24, tensors, size), HEL_OK);
    support_join(path, f.folder_out, "config.json");
    assert_int_equal(hel_file_read_all(path, 1 << 24, config, config_size), HEL_OK);
}

static int set_up(void **state) {
    (void)state;
    setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
    support_folder(f.folder);
    support_join(f.model, f.folder, "model");
    support_join(f.folder_out, f.folder, "out");
    support_join(f.file_out, f.folder, "out.safetensors");
    assert_true(hel_os_directory_create(f.model));
    small_model_write(f.model, false);
    hel_compress_params params = small_params();
    assert_int_equal(hel_compress(f.model, f.folder_out, &params, NULL), HEL_OK);
    assert_int_equal(hel_compress(f.model, f.file_out, &params, NULL), HEL_OK);
    read_folder(&f.expected_folder, &f.folder_size, &f.expected_config, &f.config_size);
    assert_int_equal(hel_file_read_all(f.file_out, 1 << 24, &f.expected_file, &f.file_size), HEL_OK);
    support_remove(f.folder_out);
    support_remove(f.file_out);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    hel_free(f.expected_folder);
    hel_free(f.expected_config);
    hel_free(f.expected_file);
    support_remove(f.folder);
    return 0;
}

static void assert_complete(const char *out) {
    char *bytes, *config;
    size_t size, config_size;
    if (strcmp(out, f.file_out) == 0) {
        assert_int_equal(hel_file_read_all(out, 1 << 24, &bytes, &size), HEL_OK);
        assert_int_equal(size, f.file_size);
        assert_memory_equal(bytes, f.expected_file, size);
        hel_free(bytes);
        return;
    }
    read_folder(&bytes, &size, &config, &config_size);
    assert_true(size == f.folder_size && config_size == f.config_size);
    assert_memory_equal(bytes, f.expected_folder, size);
    assert_memory_equal(config, f.expected_config, config_size);
    hel_free(bytes);
    hel_free(config);
}

// Nothing but the source model, and `out` where it is whole.
static bool count_entry(void *user, const char *name) {
    (void)name;
    ++*(int *)user;
    return true;
}

static int entries(const char *folder) {
    int count = 0;
    assert_true(hel_os_directory_list(folder, count_entry, &count));
    return count;
}

// ---------------------------------------------------------------- tests

// Runs with SIGKILL at one step; true where the run ended before it.
static bool run_killed(const char *out, long at, bool resume, bool overwrite, uint32_t threads) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        hel_compress_params params = small_params();
        params.resume = resume;
        params.overwrite = overwrite;
        params.threads = threads;
        fault.kind = FAULT_KILL;
        fault.at = at;
        _exit(hel_compress(f.model, out, &params, NULL) == HEL_OK ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return false;
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    return true;
}

static void kill_everywhere(const char *out, bool overwrite, uint32_t threads) {
    long at = 1;
    for (;; at++) {
        if (overwrite) {
            hel_compress_params other = small_params();
            other.k = 32;
            other.overwrite = true;
            assert_int_equal(hel_compress(f.model, out, &other, NULL), HEL_OK);
        }
        if (run_killed(out, at, false, overwrite, threads)) break;
        hel_compress_params params = small_params();
        params.resume = true;
        params.overwrite = overwrite;
        hel_status status = hel_compress(f.model, out, &params, NULL);
        if (status != HEL_OK) fail_msg("killed at step %ld, resuming: %s", at, hel_error_message());
        assert_complete(out);
        support_remove(out);
        if (entries(f.folder) != 1) fail_msg("killed at step %ld: something was left behind", at);
    }
    print_message("%ld places to be killed at\n", at - 1);
    assert_true(at > 10);
    support_remove(out);
}

static void test_kill_file(void **state) {
    (void)state;
    kill_everywhere(f.file_out, false, 1);
    kill_everywhere(f.file_out, true, 1);
    kill_everywhere(f.file_out, false, 3);
}

static void test_kill_folder(void **state) {
    (void)state;
    kill_everywhere(f.folder_out, false, 1);
    kill_everywhere(f.folder_out, true, 1);
}

// Killed again while resuming.
static void test_kill_twice(void **state) {
    (void)state;
    for (long first = 3; !run_killed(f.folder_out, first, false, false, 1); first += 4) {
        for (long at = 1; !run_killed(f.folder_out, at, true, false, 1); at += 2) {}
        assert_complete(f.folder_out);
        support_remove(f.folder_out);
        assert_int_equal(entries(f.folder), 1);
    }
    support_remove(f.folder_out);
}

static void fail_everywhere(const char *out) {
    long at = 1;
    for (;; at++) {
        hel_compress_params params = small_params();
        hel_compress_report report;
        fault.kind = FAULT_ERROR;
        fault.step = 0;
        fault.at = at;
        hel_status status = hel_compress(f.model, out, &params, &report);
        bool reached = fault.step >= at;
        fault.kind = FAULT_NONE;
        if (status == HEL_OK) {
            assert_complete(out);
            hel_compress_report_finish(&report);
            support_remove(out);
            if (!reached) break;
            continue;
        }
        assert_int_equal(status, HEL_ERROR_IO);
        assert_true(*hel_error_message());
        if (hel_path_exists(out)) { // only the last sync failed
            assert_complete(out);
            support_remove(out);
        }
        if (entries(f.folder) != 1) fail_msg("step %ld failed: something was left behind", at);
    }
    assert_true(at > 10);
}

static void test_failing_writes(void **state) {
    (void)state;
    fail_everywhere(f.file_out);
    fail_everywhere(f.folder_out);
}

static hel_status run_all(const char *out) {
    hel_compress_params params = small_params();
    params.threads = 2;
    hel_compress_report report = {0};
    hel_status status = hel_compress(f.model, out, &params, &report);
    hel_compress_report_finish(&report);
    char exported[TESTS_PATH], *info = NULL;
    support_join(exported, f.folder, "dense.safetensors");
    if (status == HEL_OK) status = hel_verify(out, NULL, NULL, NULL);
    if (status == HEL_OK) status = hel_info_json(out, &info);
    if (status == HEL_OK) status = hel_export(out, exported, NULL, NULL);
    hel_info_free(info);
    return status;
}

static void test_failing_allocations(void **state) {
    (void)state;
    for (int variant = 0; variant < 2; variant++) {
        const char *out = variant ? f.folder_out : f.file_out;
        char exported[TESTS_PATH];
        support_join(exported, f.folder, "dense.safetensors");
        for (long at = 1;; at++) {
            heap_install();
            heap.live = heap.calls = 0;
            heap.fail_at = at;
            hel_status status = run_all(out);
            bool reached = heap.calls >= at;
            long live = heap.live;
            hel_memory_set_hooks(NULL);
            if (live != 0) fail_msg("allocation %ld failed: %ld blocks were not freed", at, live);
            if (status != HEL_OK && status != HEL_ERROR_MEMORY)
                fail_msg("allocation %ld: %s %s", at, hel_status_name(status), hel_error_message());
            if (hel_path_exists(out)) {
                assert_complete(out);
                support_remove(out);
            }
            if (hel_path_exists(exported)) support_remove(exported);
            if (entries(f.folder) != 1) fail_msg("allocation %ld failed: something was left behind", at);
            if (!reached) {
                assert_int_equal(status, HEL_OK);
                print_message("%ld allocations\n", at - 1);
                break;
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill_file),           cmocka_unit_test(test_kill_folder),
        cmocka_unit_test(test_kill_twice),          cmocka_unit_test(test_failing_writes),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
