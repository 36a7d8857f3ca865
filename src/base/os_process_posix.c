// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "base/os_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

extern char **environ;

struct hel_os_process {
    pid_t id;
    int to, from; // our ends of the pipes
};

static void close_pair(int pair[2]) {
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0) close(pair[i]);
}

// Above the standard streams, so that setting up one does not close another; where the caller has closed its own they
// would be among them. Takes the descriptor over; -1 with errno.
static int above_streams(int fd) {
    if (fd < 0 || fd > 2) return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3), code = errno;
    close(fd);
    errno = code;
    return moved;
}

// The pipe to the child is a socket, since only sockets can be written without the danger of SIGPIPE.
static bool open_pipes(int input[2], int output[2]) {
    input[0] = input[1] = output[0] = output[1] = -1;
    bool ok = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, input) == 0 && pipe2(output, O_CLOEXEC) == 0;
    if (ok) input[1] = above_streams(input[1]), output[1] = above_streams(output[1]);
    if (ok && input[1] >= 0 && output[1] >= 0) return true;
    int code = errno;
    close_pair(input);
    errno = code;
    return false;
}

static int set_up_files(posix_spawn_file_actions_t *files, const int streams[3]) {
    int code = 0;
    for (int i = 0; !code && i < 3; i++) code = posix_spawn_file_actions_adddup2(files, streams[i], i);
    return code;
}

static int set_up_signals(posix_spawnattr_t *attributes) {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    short flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    int code = posix_spawnattr_setflags(attributes, flags);
    if (!code) code = posix_spawnattr_setpgroup(attributes, 0);
    if (!code) code = posix_spawnattr_setsigmask(attributes, &none);
    if (!code) code = posix_spawnattr_setsigdefault(attributes, &all);
    return code;
}

static int spawn(const char *const *arguments, const int streams[3], pid_t *out) {
    char *const *words = (char *const *)(uintptr_t)arguments;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int code = posix_spawn_file_actions_init(&files);
    if (code) return code;
    code = posix_spawnattr_init(&attributes);
    if (!code) {
        code = set_up_files(&files, streams);
        if (!code) code = set_up_signals(&attributes);
        if (!code) code = posix_spawnp(out, words[0], &files, &attributes, words, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&files);
    return code;
}

// Says why it will not start, where that can be known: under some emulators posix_spawn does not notice.
static int check_program(const char *name) {
    return strchr(name, '/') && access(name, X_OK) != 0 ? errno : 0;
}

static int open_and_spawn(const char *const *arguments, int input, int output, const char *errors, pid_t *out) {
    int code = check_program(arguments[0]);
    if (code) return code;
    int streams[] = {input, output, above_streams(open(errors, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666))};
    if (streams[2] < 0) return errno;
    code = spawn(arguments, streams, out);
    close(streams[2]);
    return code;
}

hel_os_process *hel_os_process_start(const char *const *arguments, const char *errors) {
    int input[2], output[2];
    hel_os_process *process = hel_alloc(sizeof *process);
    if (!process) {
        errno = ENOMEM;
        return NULL;
    }
    if (!open_pipes(input, output)) {
        hel_free(process);
        return NULL;
    }
    int code = open_and_spawn(arguments, input[1], output[1], errors, &process->id);
    if (code) {
        close_pair(input);
        close_pair(output);
        hel_free(process);
        errno = code;
        return NULL;
    }
    close(input[1]);
    close(output[1]);
    process->to = input[0];
    process->from = output[0];
    return process;
}

bool hel_os_process_write(hel_os_process *process, const void *bytes, size_t size) {
    const char *at = bytes;
    while (size) {
        ssize_t put = send(process->to, at, size, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return false;
        at += put;
        size -= (size_t)put;
    }
    return true;
}

int64_t hel_os_process_read(hel_os_process *process, void *bytes, size_t size, uint32_t milliseconds) {
    struct pollfd wait = {.fd = process->from, .events = POLLIN};
    int ready = poll(&wait, 1, milliseconds > INT32_MAX ? INT32_MAX : (int)milliseconds);
    if (ready == 0 || (ready < 0 && errno == EINTR)) { // a signal is as good as a short wait: callers ask again
        errno = ETIMEDOUT;
        return -1;
    }
    if (ready < 0) return -1;
    ssize_t got;
    do got = read(process->from, bytes, size);
    while (got < 0 && errno == EINTR);
    return got;
}

void hel_os_process_pause(hel_os_process *process, bool pause) { kill(-process->id, pause ? SIGSTOP : SIGCONT); }

// True once the child has ended. It is not reaped, so that its number, which is its group's, stays its own.
static bool has_ended(pid_t id) {
    siginfo_t info = {0};
    int code;
    do code = waitid(P_PID, (id_t)id, &info, WEXITED | WNOHANG | WNOWAIT);
    while (code < 0 && errno == EINTR);
    return code < 0 || info.si_pid != 0;
}

void hel_os_process_end(hel_os_process **handle, uint32_t milliseconds, int *out_code) {
    hel_os_process *process = *handle;
    if (!process) return;
    close(process->to);
    close(process->from);
    hel_os_process_pause(process, false);
    int status = 0;
    for (uint32_t waited = 0; !has_ended(process->id) && waited < milliseconds; waited += 10)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    kill(-process->id, SIGKILL); // what the child started itself goes with it
    while (waitpid(process->id, &status, 0) < 0 && errno == EINTR) continue;
    if (out_code) *out_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    hel_free(process);
    *handle = NULL;
}
