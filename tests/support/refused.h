// SPDX-License-Identifier: Apache-2.0
// A call that breaks a documented rule: refused with a status, or, where the build asks for it, the process aborts.
#ifndef TESTS_REFUSED_H
#define TESTS_REFUSED_H
#include "support/support.h"

#ifdef HEL_DEBUG_ABORT
#include <signal.h>
#include <sys/wait.h>

#define EXPECT_REFUSED(call)                                                  \
    do {                                                                      \
        pid_t child = fork();                                                 \
        if (child == 0) _exit(call);                                          \
        int how = 0;                                                          \
        assert_int_equal(waitpid(child, &how, 0), child);                     \
        assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT);            \
    } while (0)
#else
#define EXPECT_REFUSED(call) assert_int_equal(call, HEL_ERROR_ARGUMENT)
#endif
#endif
