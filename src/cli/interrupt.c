// SPDX-License-Identifier: Apache-2.0
#include "cli/interrupt.h"

#include <signal.h>

#include "base/os_console.h"

static volatile sig_atomic_t flag;

static void set_flag(void) { flag = 1; }

void interrupt_start(void) { hel_os_on_interrupt(set_flag); }
bool interrupted(void) { return flag != 0; }
