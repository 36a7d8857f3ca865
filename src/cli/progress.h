// SPDX-License-Identifier: Apache-2.0
// Progress of long work on standard error: one line that is rewritten on a terminal, a line every ten seconds elsewhere.
#ifndef HEL_CLI_PROGRESS_H
#define HEL_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/options.h"

typedef enum progress_unit {
    PROGRESS_BYTES,
    PROGRESS_TOKENS,
    PROGRESS_POINTS,
    PROGRESS_ROWS,
    PROGRESS_STEPS,
    PROGRESS_TURNS,
} progress_unit;

void progress_start(const cli_options *options, progress_unit unit);
// A hel_progress_callback; `user` is not used. False once the user pressed Ctrl-C.
bool progress_report(void *user, const char *stage, uint64_t done, uint64_t total);
// Wipes the line, so that other text can be printed.
void progress_clear(void);

#endif
