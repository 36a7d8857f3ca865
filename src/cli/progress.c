// SPDX-License-Identifier: Apache-2.0
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>

#include "base/os_console.h"
#include "cli/interrupt.h"
#include "cli/report.h"

enum { LINE_SIZE = 256 };

// One piece of work at a time is reported; callbacks come from one thread at a time.
static struct {
    bool shown, rewrite, line_open;
    progress_unit unit;
    double start, last;
    uint64_t first; // what was done when the stage was first seen, so that resumed work does not count as speed
    char stage[64];
} state;

void progress_start(const cli_options *options, progress_unit unit) {
    bool terminal = hel_os_is_terminal(2);
    memset(&state, 0, sizeof state);
    state.shown = strcmp(options->progress, "auto") == 0 ? !options->quiet : strcmp(options->progress, "always") == 0;
    state.rewrite = terminal;
    state.unit = unit;
    state.start = state.last = hel_os_seconds();
}

void progress_clear(void) {
    if (!state.line_open) return;
    fprintf(stderr, "\r%*s\r", hel_os_terminal_width(2) - 1, "");
    fflush(stderr);
    state.line_open = false;
}

static void format_eta(char text[32], double seconds) {
    if (seconds < 0 || seconds > 360000) snprintf(text, 32, "--:--");
    else snprintf(text, 32, "%02d:%02d", (int)seconds / 60, (int)seconds % 60);
}

static void format_line(char line[LINE_SIZE], double time, uint64_t done, uint64_t total) {
    double spent = time - state.start, made = (double)(done - state.first);
    double speed = spent > 0 ? made / spent : 0;
    static const char *const units[] = {[PROGRESS_TOKENS] = "tokens", [PROGRESS_POINTS] = "points", [PROGRESS_ROWS] = "rows",
                                        [PROGRESS_STEPS] = "steps"}; // others are told otherwise
    char eta[32], have[32], all[32];
    format_eta(eta, speed > 0 && total >= done ? (double)(total - done) / speed : -1);
    double percent = total ? 100.0 * (double)done / (double)total : 0;
    if (state.unit == PROGRESS_BYTES)
        snprintf(line, LINE_SIZE, "%s  %3.0f%%  %s of %s  %.1f MB/s  ETA %s", state.stage, percent,
                 hel_bytes_text(have, done), hel_bytes_text(all, total), speed / 1e6, eta);
    else if (state.unit == PROGRESS_TURNS)
        snprintf(line, LINE_SIZE, "%s  %3.0f%%  turn %llu of %llu", state.stage, percent, (unsigned long long)done,
                 (unsigned long long)total);
    else
        snprintf(line, LINE_SIZE, "%s  %3.0f%%  %llu of %llu %s  %.1f %s/s  ETA %s", state.stage, percent,
                 (unsigned long long)done, (unsigned long long)total, units[state.unit], speed, units[state.unit], eta);
}

bool progress_report(void *user, const char *stage, uint64_t done, uint64_t total) {
    (void)user;
    double time = hel_os_seconds(), pause = state.rewrite ? 0.1 : 10;
    if (done < state.first || !state.stage[0]) {
        state.first = done;
        state.start = time;
    }
    snprintf(state.stage, sizeof state.stage, "%s", stage);
    if (state.shown && (time - state.last >= pause || (state.rewrite && done == total))) {
        state.last = time;
        char line[LINE_SIZE];
        format_line(line, time, done, total);
        if (state.rewrite) {
            int width = hel_os_terminal_width(2) - 1;
            fprintf(stderr, "\r%-*.*s", width, width, line);
            state.line_open = true;
        } else fprintf(stderr, "%s\n", line);
        fflush(stderr);
    }
    return !interrupted();
}
