// SPDX-License-Identifier: Apache-2.0
// Each constant in turn, from the defaults on: every value that gives the right product is timed in rounds beside the
// best so far. Products run through the operator itself, with the values on trial in its exec, so that nobody else on
// the device ever runs what is not checked yet.
#include "ops/tune_contest.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/size.h"
#include "ops/operators.h"

enum { ACTIVATION_BYTES = 8 << 20, MAX_ROUNDS = 15, MAX_VARIANTS = 1 + HEL_TUNE_VALUES };
static const double turns_ns = 20e6, product_ns = 50e6; // of all turns together, and of one, where it can be shortened
enum { FEWEST_TOKENS = 32 };
static const uint32_t poison = 0x7fc0beef; // a NaN that no product gives

typedef struct trial {
    const hel_tune_contest *contest;
    hel_weight weights[HEL_TUNE_TURNS]; // without channel scales and factors, which are products of their own
    uint32_t n_weights; // that take turns
    uint32_t tokens;
    hel_exec exec;
    hel_tensor x;
    float *want, *got; // of the defaults, and of what is on trial
    size_t count;      // of each
} trial;

static void say(const hel_tune_contest *contest, const char *words) {
    const hel_weight *weight = contest->turns[0];
    uint32_t bits = weight->format == HEL_FORMAT_CODEBOOK ? weight->bits : weight->format == HEL_FORMAT_F32 ? 32 : 16;
    hel_log(HEL_LOG_INFO, "%s:%u: %s for %u x %u, %u bits, %u tokens: %s", contest->device->backend,
            contest->device->index, contest->kernel->name, weight->rows, weight->cols, bits, contest->tokens, words);
}

// ---------------------------------------------------------------- running

// As many tokens as there are in the class, while activations stay small.
static uint32_t fitting_tokens(uint32_t tokens, const hel_weight *weight) {
    uint64_t most = ACTIVATION_BYTES / ((uint64_t)HEL_MAX(weight->rows, weight->cols) * sizeof(float));
    if (tokens <= HEL_LINEAR_MATVEC_MAX_TOKENS) return tokens;
    return (uint32_t)HEL_MIN(tokens, HEL_MAX(most, HEL_LINEAR_MATVEC_MAX_TOKENS + 1));
}

static void begin(trial *run, const hel_choice *variant) {
    hel_exec_reset(&run->exec);
    run->exec.trial = variant;
    run->exec.timer = 0;
    run->x = hel_exec_tensor(&run->exec, run->tokens, run->weights[0].cols);
}

// The same numbers between -1 and 1 every time.
static hel_status fill_tokens(trial *run) {
    size_t count = (size_t)run->tokens * run->weights[0].cols;
    float *values = hel_alloc_array(count, sizeof *values);
    if (!values) return hel_fail_memory(count * sizeof *values);
    uint64_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        values[i] = (float)(int32_t)(state >> 32) * 0x1p-31f;
    }
    hel_exec_upload(&run->exec, run->x, values);
    hel_free(values);
    return run->exec.status;
}

static hel_status open_trial(const hel_tune_contest *contest, trial *run) {
    *run = (trial){.contest = contest, .n_weights = 1, .tokens = fitting_tokens(contest->tokens, contest->turns[0])};
    for (uint32_t i = 0; i < contest->n_turns; i++) {
        run->weights[i] = *contest->turns[i];
        run->weights[i].channel_scales.size = 0;
        run->weights[i].svd_us = run->weights[i].svd_vt = NULL;
    }
    run->count = (size_t)run->tokens * run->weights[0].rows;
    run->want = hel_alloc_array(run->count, sizeof *run->want);
    run->got = hel_alloc_array(run->count, sizeof *run->got);
    if (!run->want || !run->got) return hel_fail_memory(run->count * sizeof *run->got);
    HEL_TRY(hel_exec_init(&run->exec, contest->device));
    hel_exec_plan_begin(&run->exec);
    hel_linear(&run->exec, hel_exec_tensor(&run->exec, run->tokens, run->weights[0].cols), &run->weights[0]);
    HEL_TRY(hel_exec_plan_end(&run->exec));
    begin(run, NULL);
    return fill_tokens(run);
}

static void close_trial(trial *run) {
    hel_exec_finish(&run->exec);
    hel_free(run->want);
    hel_free(run->got);
}

// The product of the first weight, on memory in which nothing of an earlier one is left.
static hel_status multiply_once(trial *run, const hel_choice *variant, float *out) {
    hel_exec *exec = &run->exec;
    begin(run, variant);
    HEL_TRY(hel_buffer_fill(exec->device, exec->arena, exec->used, exec->peak - exec->used, poison));
    hel_exec_download(exec, hel_linear(exec, run->x, &run->weights[0]), out);
    return exec->status;
}

// Nanoseconds of the dispatches with timers 1 .. end - 1.
static hel_status add_timers(const hel_device *device, uint32_t end, double *out) {
    for (uint32_t i = 1; i < end; i++) {
        uint64_t ns;
        HEL_TRY(hel_timer_query(device, i - 1, &ns));
        *out += (double)ns;
    }
    return HEL_OK;
}

// Nanoseconds of all weights in turn: of the device, or, without its timers, from the first to the end.
static hel_status time_turns(trial *run, const hel_choice *variant, double *out_ns) {
    hel_exec *exec = &run->exec;
    bool timers = exec->device->features.timers;
    begin(run, variant);
    exec->timer = timers;
    uint64_t mark = hel_exec_mark(exec), start = hel_os_time_ns();
    for (uint32_t i = 0; i < run->n_weights; i++) {
        hel_exec_release(exec, mark);
        hel_linear(exec, run->x, &run->weights[i]);
    }
    *out_ns = 0;
    HEL_TRY(exec->status);
    if (timers) return add_timers(exec->device, exec->timer ? exec->timer : HEL_TIMER_SLOTS + 1, out_ns);
    HEL_TRY(hel_exec_wait(exec));
    *out_ns = (double)(hel_os_time_ns() - start);
    return HEL_OK;
}

// Makes the right product. As many weights take turns as fit the time; slow devices have one, and fewer tokens.
static hel_status warm_up(trial *run, const hel_choice *defaults) {
    double ns;
    HEL_TRY(multiply_once(run, defaults, run->want));
    HEL_TRY(time_turns(run, defaults, &ns));
    run->n_weights = (uint32_t)HEL_MIN(HEL_MAX(turns_ns / HEL_MAX(ns, 1), 1), run->contest->n_turns);
    if (ns <= product_ns || run->tokens <= FEWEST_TOKENS) return HEL_OK;
    run->tokens = (uint32_t)HEL_MAX(run->tokens * (product_ns / ns), FEWEST_TOKENS);
    run->count = (size_t)run->tokens * run->weights[0].rows;
    return multiply_once(run, defaults, run->want);
}

// ---------------------------------------------------------------- comparing

static bool agrees(const trial *run) { return memcmp(run->got, run->want, run->count * sizeof *run->got) == 0; }

static double median(const double *times, uint32_t count) {
    double sorted[MAX_ROUNDS];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i;
        for (; at > 0 && sorted[at - 1] > times[i]; at--) sorted[at] = sorted[at - 1];
        sorted[at] = times[i];
    }
    return sorted[count / 2];
}

// Variants that take turns in rounds; the first is the best so far.
typedef struct heat {
    hel_choice variants[MAX_VARIANTS];
    double times[MAX_VARIANTS][MAX_ROUNDS];
    uint32_t count;
} heat;

// Takes a variant in where it runs and gives the right product, which also compiles it before it is timed.
static void enter(trial *run, heat *entrants, const hel_tune_constant *constant, uint32_t value) {
    hel_choice variant = entrants->variants[0];
    char words[256];
    variant.constants[constant->id] = value;
    if (multiply_once(run, &variant, run->got) != HEL_OK)
        snprintf(words, sizeof words, "%s %u does not run: %.180s", constant->name, value, hel_error_message());
    else if (!agrees(run)) snprintf(words, sizeof words, "%s %u gives another product", constant->name, value);
    else {
        entrants->variants[entrants->count++] = variant;
        return;
    }
    say(run->contest, words);
}

// Medians of interleaved rounds.
static hel_status time_rounds(trial *run, heat *entrants, double medians[MAX_VARIANTS]) {
    uint32_t rounds = run->contest->rules->rounds;
    for (uint32_t round = 0; round < rounds; round++)
        for (uint32_t i = 0; i < entrants->count; i++) {
            if (hel_os_time_ns() >= run->contest->deadline)
                return hel_fail(HEL_ERROR_TIMEOUT, "there was no time to finish");
            HEL_TRY(time_turns(run, &entrants->variants[i], &entrants->times[i][round]));
        }
    for (uint32_t i = 0; i < entrants->count; i++) medians[i] = median(entrants->times[i], rounds);
    return HEL_OK;
}

// Tries the values of one constant beside the best so far.
static hel_status try_constant(trial *run, const hel_tune_constant *constant, hel_choice *best) {
    heat entrants = {.variants = {*best}, .count = 1};
    double times[MAX_VARIANTS];
    uint32_t winner = 1;
    for (uint32_t i = 0; i < constant->n_values; i++) {
        if (hel_os_time_ns() >= run->contest->deadline) return hel_fail(HEL_ERROR_TIMEOUT, "there was no time to finish");
        enter(run, &entrants, constant, constant->values[i]);
    }
    if (entrants.count == 1) return HEL_OK;
    HEL_TRY(time_rounds(run, &entrants, times));
    for (uint32_t i = 2; i < entrants.count; i++)
        if (times[i] < times[winner]) winner = i;
    if (times[0] > run->contest->rules->least_step * times[winner]) *best = entrants.variants[winner];
    return HEL_OK;
}

// How many times as fast the winner is: timed anew, since the fastest of many is faster by chance too.
static hel_status measure_gain(trial *run, const hel_choice *defaults, const hel_choice *best, double *out) {
    heat entrants = {.variants = {*defaults, *best}, .count = 2};
    double times[MAX_VARIANTS];
    *out = 1;
    if (memcmp(defaults, best, sizeof *best) == 0) return HEL_OK;
    HEL_TRY(time_rounds(run, &entrants, times));
    *out = times[0] / HEL_MAX(times[1], 1);
    return HEL_OK;
}

// ---------------------------------------------------------------- the contest

static void say_winner(const hel_tune_contest *contest, const hel_choice *best, double gain) {
    char words[256] = "the defaults stay";
    size_t size = 0;
    for (const hel_tune_constant *constant = contest->kernel->constants; constant->name; constant++) {
        uint32_t value = best->constants[constant->id];
        if (value != HEL_CHOICE_NONE)
            size += (size_t)snprintf(words + size, sizeof words - size, "%.40s %u, ", constant->name, value);
    }
    if (size) snprintf(words + size, sizeof words - size, "%.2f x as fast as the defaults", gain);
    say(contest, words);
}

static hel_status find_best(trial *run, const hel_choice *defaults, hel_choice *best, double *gain) {
    HEL_TRY(warm_up(run, defaults));
    for (const hel_tune_constant *constant = run->contest->kernel->constants; constant->name; constant++)
        HEL_TRY(try_constant(run, constant, best));
    return measure_gain(run, defaults, best, gain);
}

static hel_status compete(trial *run, hel_choice *best) {
    const hel_tune_contest *contest = run->contest;
    const hel_choice defaults = *best;
    bool had_all_time = hel_os_time_ns() + 0.9e9 * contest->rules->seconds <= contest->deadline;
    double gain = -1;
    hel_status status = find_best(run, &defaults, best, &gain);
    bool is_over = status == HEL_ERROR_TIMEOUT && had_all_time; // another run would not come farther
    if (status != HEL_OK && !is_over) return status;
    if (gain < contest->rules->least_gain) *best = defaults;
    say_winner(contest, best, gain);
    return HEL_OK;
}

bool hel_tune_contest_run(const hel_tune_contest *contest, hel_choice *out) {
    trial run;
    *out = hel_choice_of_nothing(&contest->use);
    hel_status status = open_trial(contest, &run);
    if (status == HEL_OK) status = compete(&run, out);
    close_trial(&run);
    if (status == HEL_OK) return true;
    char words[256];
    snprintf(words, sizeof words, "not tuned: %.200s", hel_error_message());
    say(contest, words);
    return false;
}
