// SPDX-License-Identifier: Apache-2.0
// The C forms with one thread for each lane of a work-group. At once, the threads meet at barriers as lanes of a GPU
// do, and ThreadSanitizer can see what a barrier should have ordered. Ordered, one lane runs at a time, up to its
// next barrier, first to last and then last to first: what a missing barrier breaks is then broken on every run.
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "harness.h"

enum { MOST_LANES = 64, SHARED_BYTES = 65536, MARGIN = 64 };

typedef struct lanes_runner {
    check_runner base;
    void *library;
    uint32_t lanes;
    bool ordered;
    // The meeting of the lanes: how many have come in this phase, to a barrier or to the end of the group.
    atomic_uint arrived, finished, phase;
    atomic_uint turn; // the lane that may run where ordered
    // The dispatch under way.
    const char *kernel;
    hel_c_form form;
    hel_c_group group;
    uint64_t groups;
    unsigned char *shared;
} lanes_runner;

typedef struct lane_state {
    lanes_runner *runner;
    uint32_t lane;
} lane_state;

// Phases run through the lanes upwards and downwards in turn.
static uint32_t first_of(const lanes_runner *runner, uint32_t phase) { return phase % 2 ? runner->lanes - 1 : 0; }
static uint32_t next_of(uint32_t lane, uint32_t phase) { return phase % 2 ? lane - 1 : lane + 1; }

static void wait_for_turn(const lanes_runner *runner, uint32_t lane) {
    while (runner->ordered && atomic_load(&runner->turn) != lane) hel_os_yield();
}

// Some lanes stand at a barrier while others have ended: nothing can go on from here.
static void die_diverged(const lanes_runner *runner) {
    printf("FAILED kernel %s, %s: a barrier is not reached by all lanes\n", runner->kernel, runner->base.name);
    fflush(stdout);
    _Exit(1);
}

// Blocks until every lane has come as far.
static void meet(lanes_runner *runner, uint32_t lane, bool at_end) {
    uint32_t phase = atomic_load(&runner->phase);
    if (at_end) atomic_fetch_add(&runner->finished, 1);
    if (atomic_fetch_add(&runner->arrived, 1) + 1 == runner->lanes) {
        uint32_t finished = atomic_exchange(&runner->finished, 0);
        if (finished && finished != runner->lanes) die_diverged(runner);
        atomic_store(&runner->arrived, 0);
        atomic_store(&runner->turn, first_of(runner, phase + 1));
        atomic_store(&runner->phase, phase + 1);
    } else {
        atomic_store(&runner->turn, next_of(lane, phase));
    }
    while (atomic_load(&runner->phase) == phase) hel_os_yield();
    wait_for_turn(runner, lane);
}

static void barrier(void *user) {
    lane_state *state = user;
    meet(state->runner, state->lane, false);
}

static void run_lane(void *user) {
    lane_state *state = user;
    lanes_runner *runner = state->runner;
    hel_c_group group = runner->group;
    group.lane = state->lane;
    group.user = state;
    wait_for_turn(runner, state->lane);
    for (uint64_t g = 0; g < runner->groups; g++) {
        group.group = (uint32_t)g;
        runner->form(&group);
        meet(runner, state->lane, true);
    }
    atomic_store(&runner->turn, next_of(state->lane, atomic_load(&runner->phase)));
}

// ---------------------------------------------------------------- dispatch

static void run_threads(lanes_runner *runner) {
    lane_state states[MOST_LANES];
    hel_os_thread *threads[MOST_LANES];
    atomic_store(&runner->phase, 0);
    atomic_store(&runner->turn, 0);
    for (uint32_t i = 0; i < runner->lanes; i++) {
        states[i] = (lane_state){runner, i};
        threads[i] = hel_os_thread_create(run_lane, &states[i]);
        if (!threads[i]) {
            fprintf(stderr, "check: no thread\n");
            _Exit(1);
        }
    }
    for (uint32_t i = 0; i < runner->lanes; i++) hel_os_thread_join(&threads[i]);
}

static const char *run(check_runner *base, const check_call *call, uint32_t *const *blocks, uint32_t repeats,
                       uint64_t *out_ns) {
    lanes_runner *runner = (lanes_runner *)base;
    char symbol[64];
    snprintf(symbol, sizeof symbol, "hel_c_%s", call->kernel);
    void *address = hel_os_library_symbol(runner->library, symbol);
    if (!address) return "the library of C forms has no such kernel";
    memcpy(&runner->form, &address, sizeof address);
    void *buffers[HEL_MAX_BINDINGS];
    for (uint32_t b = 0; b < call->n_bindings; b++) buffers[b] = blocks[b] + MARGIN;
    uint32_t constants[HEL_MAX_CONSTANTS];
    memcpy(constants, hel_kernel_source_find(call->kernel)->defaults, sizeof constants);
    memcpy(constants, call->constants, call->n_constants * sizeof *constants);
    _Alignas(8) unsigned char params[HEL_MAX_PARAMS];
    memcpy(params, call->params, call->params_size);
    memcpy(params, &(uint32_t){(uint32_t)call->groups}, sizeof(uint32_t));
    memset(runner->shared, 0xff, SHARED_BYTES); // NaN: reading what no lane has written shows
    runner->kernel = call->kernel;
    runner->groups = call->groups;
    runner->group = (hel_c_group){buffers, params, constants, 0, 0, runner->lanes, runner->shared, barrier, NULL};
    for (uint32_t i = 0; i < repeats; i++) {
        uint64_t start = hel_os_time_ns();
        run_threads(runner);
        if (out_ns) out_ns[i] = hel_os_time_ns() - start;
    }
    return NULL;
}

static void destroy(check_runner *base) {
    lanes_runner *runner = (lanes_runner *)base;
    if (runner->library) hel_os_library_close(runner->library);
    free(runner->shared);
    free(runner);
}

const char *check_runner_lanes(const char *library, uint32_t lanes, bool ordered, check_runner **out) {
    lanes_runner *runner = calloc(1, sizeof *runner);
    if (!runner) return "no memory";
    runner->base = (check_runner){ordered ? "C forms, ordered lanes" : "C forms, lanes", lanes, MARGIN, NULL, run, destroy};
    runner->lanes = lanes;
    runner->ordered = ordered;
    runner->library = hel_os_library_open(library);
    runner->shared = malloc(SHARED_BYTES);
    *out = &runner->base;
    if (runner->library && runner->shared && lanes && lanes <= MOST_LANES) return NULL;
    destroy(&runner->base);
    return "the library of C forms does not open, or the number of lanes is not from 1 to 64";
}
