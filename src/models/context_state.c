// SPDX-License-Identifier: Apache-2.0
// What a context keeps between tokens: the cache of layers that attend, states and histories of the others.
#include "base/error.h"
#include "base/require.h"
#include "models/context.h"

hel_status hel_stage_make_state(hel_stage *stage, uint64_t bytes) {
    if (!bytes) return HEL_OK;
    HEL_TRY(hel_buffer_create(stage->exec.device, bytes, &stage->state));
    HEL_TRY(hel_buffer_create(stage->exec.device, bytes, &stage->saved));
    stage->state_bytes = bytes;
    return hel_buffer_fill(stage->exec.device, stage->state, 0, bytes, 0);
}

// What one device fails to do is done on the others.
static void keep_first(hel_status status, hel_status *first) {
    if (*first == HEL_OK) *first = status;
}

// ---------------------------------------------------------------- histories

static const hel_layer_history *history_of(const hel_context *context, uint32_t layer, hel_exec **out_exec) {
    const hel_layer *at = &context->model->network.layers[layer];
    *out_exec = &context->pass.stages[at->place].exec;
    return at->kind->history;
}

void hel_context_settle(hel_context *context) {
    hel_exec *exec;
    for (uint32_t l = 0; l < context->model->network.hyper.layers; l++) {
        const hel_layer_history *history = history_of(context, l, &exec);
        if (history) history->settle(context->pass.histories[l], exec, context->pass.count);
    }
}

static hel_status rewind_histories(hel_context *context, uint32_t position) {
    hel_exec *exec;
    hel_status first = HEL_OK;
    for (uint32_t l = 0; l < context->model->network.hyper.layers; l++) {
        const hel_layer_history *history = history_of(context, l, &exec);
        if (!history) continue;
        hel_exec_reset(exec); // the call may have failed
        history->rewind(context->pass.histories[l], exec, position);
        keep_first(exec->status, &first);
    }
    return first;
}

// ---------------------------------------------------------------- states

static bool has_states(const hel_context *context) {
    for (uint32_t i = 0; i < context->pass.n_stages; i++)
        if (context->pass.stages[i].state) return true;
    return false;
}

static hel_status clear_states(hel_context *context) {
    hel_status first = HEL_OK;
    for (uint32_t i = 0; i < context->pass.n_stages; i++) {
        hel_stage *stage = &context->pass.stages[i];
        if (stage->state) keep_first(hel_buffer_fill(stage->exec.device, stage->state, 0, stage->state_bytes, 0), &first);
    }
    return first;
}

static hel_status copy_states(hel_context *context, bool back) {
    hel_status first = HEL_OK;
    for (uint32_t i = 0; i < context->pass.n_stages; i++) {
        hel_stage *stage = &context->pass.stages[i];
        if (!stage->state) continue;
        keep_first(hel_buffer_copy(stage->exec.device, HEL_QUEUE_COMPUTE, back ? stage->state : stage->saved, 0,
                                   back ? stage->saved : stage->state, 0, stage->state_bytes), &first);
    }
    return first;
}

static hel_status forget(hel_context *context, uint32_t position) {
    context->position = position;
    for (uint32_t i = 0; i < context->pass.n_stages; i++) HEL_TRY(hel_kvcache_resize(&context->pass.stages[i].cache, position));
    return HEL_OK;
}

hel_status hel_context_save(hel_context *context) { return copy_states(context, false); }

void hel_context_take_back(hel_context *context, uint32_t position) {
    hel_status first = rewind_histories(context, position);
    keep_first(copy_states(context, true), &first); // both may fail where the call did
    keep_first(forget(context, position), &first);
    context->lost = first != HEL_OK;
}

hel_status hel_context_rewind(hel_context *context, uint32_t position) {
    HEL_REQUIRE(context);
    if (position > context->position)
        return hel_fail(HEL_ERROR_ARGUMENT, "cannot rewind from %u to %u", context->position, position);
    if (position == context->position && !context->lost) return HEL_OK;
    if (position && context->lost)
        return hel_fail(HEL_ERROR_DEVICE, "a device failed and has lost what this context keeps: it can only be rewound to 0");
    if (position && has_states(context))
        return hel_fail(HEL_ERROR_UNSUPPORTED, "this model keeps no states of earlier positions: cannot rewind to %u, only to 0",
                        position);
    hel_status first = rewind_histories(context, position);
    keep_first(clear_states(context), &first);
    keep_first(forget(context, position), &first);
    context->lost = first != HEL_OK;
    return first;
}

uint64_t hel_context_cache_bytes(const hel_context *context) {
    HEL_REQUIRE_OR(context, 0);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < context->pass.n_stages; i++)
        bytes += hel_kvcache_bytes(&context->pass.stages[i].cache) + 2 * context->pass.stages[i].state_bytes;
    const hel_hyper *hyper = &context->model->network.hyper;
    for (uint32_t l = 0; l < hyper->layers; l++) {
        const hel_layer_history *history = context->model->network.layers[l].kind->history;
        if (history) bytes += history->bytes(hyper, context->capacity);
    }
    return bytes;
}
