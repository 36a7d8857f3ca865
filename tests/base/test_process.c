// SPDX-License-Identifier: Apache-2.0
// Children with two pipes: what they say, silence, death, and that nothing of them stays.
#include "support/support.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/os.h"
#include "base/os_process.h"

static char errors_path[64];

static hel_os_process *start_script(const char *script) {
    const char *const arguments[] = {"sh", "-c", script, NULL};
    hel_os_process *process = hel_os_process_start(arguments, errors_path);
    assert_non_null(process);
    return process;
}

// Everything up to a newline, which must come.
static void expect_line(hel_os_process *process, const char *expected) {
    char line[256];
    size_t size = 0;
    while (size + 1 < sizeof line) {
        assert_int_equal(hel_os_process_read(process, line + size, 1, 10000), 1);
        if (line[size] == '\n') break;
        size++;
    }
    line[size] = 0;
    assert_string_equal(line, expected);
}

static void test_talk(void **state) {
    (void)state;
    hel_os_process *process = start_script("while read line; do echo \"got $line\"; done; exit 7");
    assert_true(hel_os_process_write(process, "one\ntwo\n", 8));
    expect_line(process, "got one");
    expect_line(process, "got two");
    int code = -1;
    hel_os_process_end(&process, 10000, &code); // its input ends
    assert_null(process);
    assert_int_equal(code, 7);
    hel_os_process_end(&process, 0, NULL);
}

static void test_errors_file(void **state) {
    (void)state;
    hel_os_process *process = start_script("echo complaint >&2; echo done");
    expect_line(process, "done");
    char byte;
    assert_int_equal(hel_os_process_read(process, &byte, 1, 10000), 0); // the end
    hel_os_process_end(&process, 10000, NULL);
    FILE *file = fopen(errors_path, "r");
    assert_non_null(file);
    char text[32] = "";
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    assert_string_equal(text, "complaint\n");
}

static void test_missing(void **state) {
    (void)state;
    const char *const arguments[] = {"/nowhere/helicoid-no-such-program", NULL};
    assert_null(hel_os_process_start(arguments, errors_path));
    assert_int_equal(errno, ENOENT);
    const char *const here[] = {"sh", "-c", "exit 0", NULL};
    assert_null(hel_os_process_start(here, "/nowhere/errors"));
    assert_int_equal(errno, ENOENT);
}

static void test_silence(void **state) {
    (void)state;
    hel_os_process *process = start_script("sleep 600 & echo $!; wait");
    char text[32];
    int64_t size = hel_os_process_read(process, text, sizeof text - 1, 10000);
    assert_true(size > 1);
    text[size] = 0;
    assert_int_equal(hel_os_process_read(process, text + size, 1, 50), -1);
    assert_int_equal(errno, ETIMEDOUT);
    int code = 0;
    hel_os_process_end(&process, 50, &code);
    assert_int_equal(code, 128 + SIGKILL);
    for (int waited = 0; kill(atoi(text), 0) == 0 && waited < 500; waited++) usleep(10000); // its child is gone, too
    assert_int_not_equal(kill(atoi(text), 0), 0);
}

static void test_pause(void **state) {
    (void)state;
    hel_os_process *process = start_script("while read line; do echo $line; done");
    assert_true(hel_os_process_write(process, "one\n", 4));
    expect_line(process, "one");
    hel_os_process_pause(process, true);
    assert_true(hel_os_process_write(process, "two\n", 4));
    char byte;
    assert_int_equal(hel_os_process_read(process, &byte, 1, 100), -1);
    assert_int_equal(errno, ETIMEDOUT);
    hel_os_process_pause(process, false);
    expect_line(process, "two");
    hel_os_process_pause(process, true);
    int code = -1;
    hel_os_process_end(&process, 10000, &code); // goes on, and so can end by itself
    assert_int_equal(code, 0);
}

// Writing to the dead is a failure, not a signal.
static void test_dead(void **state) {
    (void)state;
    hel_os_process *process = start_script("exit 3");
    char byte;
    assert_int_equal(hel_os_process_read(process, &byte, 1, 10000), 0);
    errno = 0;
    while (hel_os_process_write(process, "again\n", 6)) hel_os_yield();
    assert_true(errno == EPIPE || errno == ECONNRESET);
    int code = 0;
    hel_os_process_end(&process, 10000, &code);
    assert_int_equal(code, 3);
}

int main(void) {
    snprintf(errors_path, sizeof errors_path, "/tmp/helicoid_process_%u", hel_os_process_id());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_talk),    cmocka_unit_test(test_errors_file), cmocka_unit_test(test_missing),
        cmocka_unit_test(test_silence), cmocka_unit_test(test_pause), cmocka_unit_test(test_dead),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    hel_os_remove(errors_path);
    return failed;
}
