// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "base/os_console.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

bool hel_os_console_start(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    return true;
}

int64_t hel_os_stdin_read(void *bytes, size_t size) {
    ssize_t got;
    do got = read(0, bytes, size);
    while (got < 0 && errno == EINTR);
    return got;
}

bool hel_os_is_terminal(int stream) { return isatty(stream) == 1; }

int hel_os_terminal_width(int stream) {
    struct winsize size;
    return ioctl(stream, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

static void (*interrupt_handler)(void);

static void on_signal(int number) {
    (void)number;
    if (interrupt_handler) interrupt_handler();
}

void hel_os_on_interrupt(void (*handler)(void)) {
    interrupt_handler = handler;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

double hel_os_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

uint64_t hel_os_memory_peak(void) {
    FILE *file = fopen("/proc/self/status", "re"); // ru_maxrss survives exec and so counts the parent's memory
    char line[256];
    unsigned long long kilobytes = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %llu", &kilobytes) == 1) break;
    if (file) fclose(file);
    struct rusage usage;
    if (!kilobytes && getrusage(RUSAGE_SELF, &usage) == 0) kilobytes = (unsigned long long)usage.ru_maxrss;
    return kilobytes * 1024;
}

FILE *hel_os_stream_open(const char *path, const char *mode) { return fopen(path, mode); }
bool hel_os_stream_replace(const char *from, const char *to) { return rename(from, to) == 0; }
bool hel_os_stream_remove(const char *path) { return remove(path) == 0; }

hel_os_kind hel_os_path_kind(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0) return HEL_OS_MISSING;
    return S_ISREG(status.st_mode) ? HEL_OS_REGULAR : HEL_OS_OTHER;
}
