// SPDX-License-Identifier: Apache-2.0
// What is to be tuned, in which order, and what is kept of it; how one product is tuned is in tune_contest.c.
#include "ops/tune.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/size.h"
#include "ops/matrix_units.h"
#include "ops/operators.h"
#include "ops/tune_contest.h"

const hel_tune_rules hel_tune_standard = {
    .kernels = hel_tune_kernels, .least_step = 1.05, .least_gain = 1.15, .rounds = 5, .seconds = 20};

typedef struct weight_list {
    const hel_weight **items; // factors included
    size_t count;
    bool matrix; // whether matrix units multiply them
} weight_list;

static bool is_wanted(const hel_device *device, hel_tuning tuning) {
    if (tuning == HEL_TUNING_NEVER || !hel_device_has_choices(device)) return false;
    return tuning == HEL_TUNING_ALWAYS || device->type != HEL_DEVICE_TYPE_SOFTWARE;
}

static hel_status list_weights(const hel_tune_request *request, weight_list *out) {
    out->items = hel_alloc_array(3 * request->n_weights, sizeof *out->items);
    if (!out->items) return hel_fail_memory(3 * request->n_weights * sizeof *out->items);
    for (size_t i = 0; i < request->n_weights; i++) {
        const hel_weight *weight = request->weights[i];
        out->items[out->count++] = weight;
        if (weight->svd_us) out->items[out->count++] = weight->svd_us;
        if (weight->svd_vt) out->items[out->count++] = weight->svd_vt;
    }
    return HEL_OK;
}

static bool serves(const hel_tune_kernel *kernel, const hel_device *device, bool matrix, uint32_t tokens) {
    if (kernel->counts_loops && device->limits.loop_iterations) return false;
    return strcmp(kernel->name, hel_linear_kernel(matrix, tokens)) == 0;
}

static bool is_same_use(const hel_choice_use *use, const hel_weight *weight, uint32_t tokens) {
    hel_choice_use other = hel_tuned_use(use->kernel, weight, tokens);
    return memcmp(use, &other, sizeof other) == 0;
}

static bool was_seen(const weight_list *weights, size_t end, const hel_choice_use *use, uint32_t tokens) {
    for (size_t i = 0; i < end; i++)
        if (is_same_use(use, weights->items[i], tokens)) return true;
    return false;
}

static bool is_alike(const hel_weight *a, const hel_weight *b) {
    return a->rows == b->rows && a->cols == b->cols && a->format == b->format && a->bits == b->bits && a->d == b->d &&
           hel_weight_flags(a) == hel_weight_flags(b);
}

// A weight and those like it behind it, as many as take turns.
static void gather(const weight_list *weights, size_t first, hel_tune_contest *contest) {
    for (size_t i = first; i < weights->count && contest->n_turns < HEL_TUNE_TURNS; i++)
        if (is_alike(weights->items[first], weights->items[i])) contest->turns[contest->n_turns++] = weights->items[i];
}

static hel_status tune_tokens(const hel_tune_request *request, const hel_tune_rules *rules, const weight_list *weights,
                              uint32_t tokens, uint64_t deadline, uint32_t *tuned) {
    const hel_tune_kernel *kernel = rules->kernels;
    while (kernel->name && !serves(kernel, request->device, weights->matrix, tokens)) kernel++;
    for (size_t i = 0; kernel->name && i < weights->count; i++) {
        hel_tune_contest contest = {
            .device = request->device, .kernel = kernel, .rules = rules, .tokens = tokens, .deadline = deadline};
        contest.use = hel_tuned_use(kernel->name, weights->items[i], tokens);
        hel_choice choice;
        if (was_seen(weights, i, &contest.use, tokens)) continue;
        if (hel_choice_find(request->device, &contest.use, choice.constants)) continue;
        if (hel_os_time_ns() >= deadline) return HEL_ERROR_TIMEOUT;
        if (request->ask && !request->ask(request->user)) return hel_fail(HEL_ERROR_CANCELLED, "tuning was cancelled");
        gather(weights, i, &contest);
        if (!hel_tune_contest_run(&contest, &choice)) continue;
        hel_status kept = hel_choice_set(request->device, &choice);
        if (kept == HEL_ERROR_UNSUPPORTED) { // the device's table is full, as a file may have filled it
            hel_log(HEL_LOG_INFO, "%s", hel_error_message());
            return HEL_OK;
        }
        HEL_TRY(kept);
        ++*tuned;
    }
    return HEL_OK;
}

// Generation first, then prompts, then what is rarer.
static hel_status tune_all(const hel_tune_request *request, const hel_tune_rules *rules, const weight_list *weights,
                           uint64_t deadline, uint32_t *tuned) {
    static const uint32_t order[HEL_TUNE_TOKENS] = {0, 5, 4, 3, 2, 1};
    uint32_t wanted = request->tokens ? hel_tuned_tokens(request->tokens) : 0;
    for (uint32_t i = 0; i < HEL_TUNE_TOKENS; i++) {
        uint32_t tokens = hel_tune_tokens[order[i]];
        if (!wanted || wanted == tokens)
            HEL_TRY(tune_tokens(request, rules, weights, tokens, deadline, tuned));
    }
    return HEL_OK;
}

hel_status hel_tune_weights(const hel_tune_request *request, const hel_tune_rules *rules) {
    const hel_device *device = request->device;
    weight_list weights = {0};
    uint32_t tuned = 0;
    uint64_t deadline = hel_os_time_ns() + (uint64_t)(rules->seconds * 1e9);
    if (!is_wanted(device, request->tuning)) return HEL_OK;
    HEL_TRY(hel_matrix_units_check(device, &weights.matrix));
    HEL_TRY(list_weights(request, &weights));
    hel_choices_recall(device, hel_tuned_is_valid);
    hel_status status = tune_all(request, rules, &weights, deadline, &tuned);
    hel_free(weights.items);
    if (tuned) hel_choices_remember(device);
    if (status != HEL_ERROR_TIMEOUT) return status;
    hel_log(HEL_LOG_INFO, "%s:%u: %.0f s of tuning are over, the next run goes on", device->backend, device->index,
            rules->seconds);
    return HEL_OK;
}
