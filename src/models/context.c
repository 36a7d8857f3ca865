// SPDX-License-Identifier: Apache-2.0
#include "models/context.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/params.h"
#include "base/require.h"
#include "base/size.h"

enum { DEFAULT_CAPACITY = 2048, DEFAULT_BATCH = 256 };
// Logits of one slice take at most this many bytes on host and device, but always room for one token's.
enum { LOGITS_SLICE_BYTES = 4 << 20 };

static const hel_context_params defaults = {.struct_size = sizeof(hel_context_params)};

void hel_context_params_init(hel_context_params *params, size_t struct_size) {
    HEL_PARAMS_WRITE(params, struct_size, &defaults);
}

static const hel_hyper *hyper_of(const hel_context *context) { return &context->model->network.hyper; }

static uint32_t slice_of(const hel_hyper *hyper, uint32_t batch) {
    uint64_t fitting = LOGITS_SLICE_BYTES / ((uint64_t)hel_hyper_outputs(hyper) * sizeof(float));
    return (uint32_t)HEL_MIN(HEL_MAX(fitting, 1), batch);
}

static uint32_t slice_tokens(const hel_context *context) { return slice_of(hyper_of(context), context->batch); }

hel_tensor hel_pass_move(hel_pass *pass, hel_tensor x, uint32_t from, uint32_t to) {
    if (from == to) return x;
    hel_exec *source = &pass->stages[from].exec, *target = &pass->stages[to].exec;
    hel_tensor moved = hel_exec_tensor(target, x.rows, x.cols);
    hel_exec_download(source, x, pass->carry);
    hel_exec_fail(target, source->status);
    hel_exec_upload(target, moved, pass->carry);
    return moved;
}

// ---------------------------------------------------------------- sizes

static uint32_t capacity_of(const hel_hyper *hyper, uint32_t wanted) {
    if (wanted) return wanted;
    return hyper->context_length ? HEL_MIN(hyper->context_length, DEFAULT_CAPACITY) : DEFAULT_CAPACITY;
}

// A text that is to be seen whole is one batch.
static uint32_t batch_of(const hel_hyper *hyper, uint32_t capacity, uint32_t wanted) {
    return hyper->labels ? capacity : HEL_MIN(wanted ? wanted : DEFAULT_BATCH, capacity);
}

static uint64_t keys_bytes(const hel_hyper *hyper, uint32_t capacity) {
    return (uint64_t)capacity * hyper->kv_heads * hyper->head_dim * sizeof(float);
}

// The stream and what goes beside it, the widest layer, logits.
static uint64_t scratch_bytes(const hel_hyper *hyper, uint32_t tokens, uint32_t logits_tokens) {
    uint64_t widest = (uint64_t)tokens * hyper->hidden; // the norm behind the last layer
    for (uint32_t l = 0; l < hyper->layers; l++) {
        uint64_t floats = hyper->family->kind_of(hyper, l)->scratch_floats(hyper, tokens);
        widest = HEL_MAX(widest, floats);
    }
    uint64_t stream = (uint64_t)hyper->hidden + hel_family_side_cols(hyper);
    uint64_t logits = (uint64_t)logits_tokens * hel_hyper_outputs(hyper);
    return (tokens * stream + widest + logits) * sizeof(float);
}

hel_context_bytes hel_context_measure(const hel_hyper *hyper, uint32_t capacity, uint32_t batch) {
    capacity = capacity_of(hyper, capacity);
    batch = batch_of(hyper, capacity, batch);
    uint64_t rope = (uint64_t)capacity * hyper->rotary * sizeof(float);
    return (hel_context_bytes){.keys = keys_bytes(hyper, capacity),
                               .device = rope + scratch_bytes(hyper, batch, slice_of(hyper, batch)),
                               .rope = rope};
}

uint64_t hel_context_layer_bytes(const hel_hyper *hyper, uint32_t layer, uint32_t capacity) {
    const hel_layer_kind *kind = hyper->family->kind_of(hyper, layer);
    hel_layer_memory memory = kind->memory(hyper);
    capacity = capacity_of(hyper, capacity);
    uint64_t keys = memory.attends ? keys_bytes(hyper, capacity) : 0;
    uint64_t history = kind->history ? kind->history->bytes(hyper, capacity) : 0;
    return 2 * (keys + memory.state_floats * sizeof(float)) + history;
}

// ---------------------------------------------------------------- creating

static hel_status make_rope(hel_context *context, hel_stage *stage) {
    const hel_hyper *hyper = hyper_of(context);
    if (!hyper->rotary) return HEL_OK;
    size_t size = (size_t)context->capacity * hyper->rotary * sizeof(float);
    float *table = hel_alloc(size);
    if (!table) return hel_fail_memory(size);
    hel_hyper_rope_table(hyper, context->capacity, table);
    hel_status status = hel_buffer_create_from(stage->exec.device, table, size, &stage->rope_table);
    hel_free(table);
    // Half-split is what hel_source_open makes of GGUF and llama2.c files, which store q and k interleaved.
    stage->rope = (hel_rope){.table = {.buffer = stage->rope_table},
                             .head_dim = hyper->head_dim,
                             .rotary = hyper->rotary,
                             .layout = hyper->rope_interleaved ? HEL_ROPE_INTERLEAVED : HEL_ROPE_HALF_SPLIT};
    return status;
}

static hel_status make_stage(hel_context *context, uint32_t place) {
    const hel_hyper *hyper = hyper_of(context);
    const hel_device *device = context->model->placement.devices[place];
    hel_stage *stage = &context->pass.stages[place];
    hel_place_memory memory = hel_network_memory(&context->model->network, place);
    HEL_TRY(hel_exec_init(&stage->exec, device));
    HEL_TRY(hel_buffer_create(device, 16, &stage->step));
    HEL_TRY(hel_buffer_create(device, context->batch * sizeof(uint32_t), &stage->tokens));
    HEL_TRY(make_rope(context, stage));
    HEL_TRY(hel_stage_make_state(stage, memory.state_bytes));
    return hel_kvcache_init(device, memory.kv_layers, hyper->kv_heads, hyper->head_dim, context->capacity, &stage->cache);
}

// The model's own code, dispatching nothing, finds out how much scratch the largest batch takes.
static hel_status plan(hel_context *context) {
    hel_pass *pass = &context->pass;
    for (uint32_t i = 0; i < pass->n_stages; i++) hel_exec_plan_begin(&pass->stages[i].exec);
    pass->count = context->batch;
    hel_tensor hidden = hel_network_forward(&context->model->network, pass);
    hel_network_logits(&context->model->network, pass, hidden, 0, slice_tokens(context));
    hel_context_settle(context);
    hel_status status = HEL_OK;
    for (uint32_t i = 0; i < pass->n_stages; i++) {
        hel_status ended = hel_exec_plan_end(&pass->stages[i].exec);
        if (status == HEL_OK) status = ended;
    }
    return status;
}

static hel_status make_histories(hel_context *context) {
    const hel_network *network = &context->model->network;
    hel_pass *pass = &context->pass;
    pass->histories = hel_alloc_zero(network->hyper.layers, sizeof *pass->histories);
    if (!pass->histories) return hel_fail_memory(network->hyper.layers * sizeof *pass->histories);
    for (uint32_t l = 0; l < network->hyper.layers; l++) {
        const hel_layer *layer = &network->layers[l];
        if (layer->kind->history)
            HEL_TRY(layer->kind->history->make(network, layer, context->capacity, &pass->histories[l]));
    }
    return HEL_OK;
}

static hel_status make(hel_context *context, bool recorded) {
    const hel_hyper *hyper = hyper_of(context);
    hel_pass *pass = &context->pass;
    uint32_t stages = context->model->placement.n_devices;
    pass->stages = hel_alloc_zero(stages, sizeof *pass->stages);
    uint32_t side = hel_family_side_cols(hyper);
    pass->carry = hel_alloc_array((size_t)context->batch * HEL_MAX(hyper->hidden, side), sizeof *pass->carry);
    context->logits = hel_alloc_array((size_t)slice_tokens(context) * hel_hyper_outputs(hyper), sizeof *context->logits);
    if (!pass->stages || !pass->carry || !context->logits) return hel_fail_memory(LOGITS_SLICE_BYTES);
    pass->n_stages = stages;
    for (uint32_t i = 0; i < stages; i++) HEL_TRY(make_stage(context, i));
    HEL_TRY(make_histories(context));
    hel_replay_init(&context->replay, recorded, pass);
    hel_status status = plan(context);
    if (status != HEL_OK) hel_error_prefix("a context of %u positions, %u at a time: ", context->capacity, context->batch);
    return status;
}

hel_status hel_context_create(const hel_model *model, const hel_context_params *params, hel_context **out) {
    HEL_REQUIRE(model && out);
    *out = NULL;
    hel_context_params values = defaults;
    HEL_TRY(HEL_PARAMS_READ(params, &values, "hel_context_params"));
    hel_context *context = hel_alloc_zero(1, sizeof *context);
    if (!context) return hel_fail_memory(sizeof *context);
    context->model = model;
    context->capacity = capacity_of(hyper_of(context), values.capacity);
    if (model->info.context_length && context->capacity > model->info.context_length)
        hel_log(HEL_LOG_WARNING, "a context of %u goes beyond the %u positions that the model was trained for",
                context->capacity, model->info.context_length);
    context->batch = batch_of(hyper_of(context), context->capacity, values.batch);
    hel_status status = hel_context_check_room(context);
    if (status == HEL_OK) status = make(context, !values.no_recording);
    if (status == HEL_OK) *out = context;
    else hel_context_destroy(&context);
    return status;
}

static void finish_stage(hel_stage *stage) {
    if (!stage->exec.device) return;
    hel_kvcache_finish(&stage->cache);
    hel_buffer_destroy(stage->exec.device, &stage->state);
    hel_buffer_destroy(stage->exec.device, &stage->saved);
    hel_buffer_destroy(stage->exec.device, &stage->step);
    hel_buffer_destroy(stage->exec.device, &stage->tokens);
    hel_buffer_destroy(stage->exec.device, &stage->rope_table);
    hel_exec_finish(&stage->exec);
}

void hel_context_destroy(hel_context **handle) {
    if (!handle || !*handle) return;
    hel_context *context = *handle;
    hel_replay_finish(&context->replay, &context->pass);
    for (uint32_t i = 0; i < context->pass.n_stages; i++) finish_stage(&context->pass.stages[i]);
    for (uint32_t l = 0; context->pass.histories && l < hyper_of(context)->layers; l++)
        if (context->pass.histories[l]) context->model->network.layers[l].kind->history->destroy(context->pass.histories[l]);
    hel_free(context->pass.histories);
    hel_free(context->pass.stages);
    hel_free(context->pass.carry);
    hel_free(context->logits);
    hel_free(context);
    *handle = NULL;
}

// ---------------------------------------------------------------- evaluating

static hel_status begin_pass(hel_context *context, const uint32_t *tokens, uint32_t count) {
    hel_pass *pass = &context->pass;
    pass->count = count;
    for (uint32_t i = 0; i < pass->n_stages; i++) {
        hel_stage *stage = &pass->stages[i];
        hel_exec_reset(&stage->exec);
        HEL_TRY(hel_kvcache_resize(&stage->cache, context->position + count));
        HEL_TRY(hel_buffer_write(stage->exec.device, HEL_QUEUE_COMPUTE, stage->step, 0, &context->position, sizeof(uint32_t)));
        HEL_TRY(hel_buffer_write(stage->exec.device, HEL_QUEUE_COMPUTE, stage->tokens, 0, tokens, count * sizeof *tokens));
    }
    return HEL_OK;
}

typedef struct logits_request {
    uint32_t first; // token of the call from which on logits are made
    hel_logits_callback callback;
    void *user;
} logits_request;

// `done` tokens of the call came before this pass.
static hel_status hand_out_logits(hel_context *context, hel_tensor hidden, uint32_t done, const logits_request *wanted) {
    hel_pass *pass = &context->pass;
    const hel_network *network = &context->model->network;
    hel_exec *exec = &pass->stages[network->layers[network->hyper.layers - 1].place].exec;
    uint32_t first = wanted->first > done ? wanted->first - done : 0;
    for (uint32_t at = first; at < pass->count; at += slice_tokens(context)) {
        uint32_t count = HEL_MIN(slice_tokens(context), pass->count - at);
        uint64_t mark = hel_exec_mark(exec);
        hel_tensor logits = hel_network_logits(network, pass, hidden, at, count);
        hel_exec_download(exec, logits, context->logits);
        hel_exec_release(exec, mark);
        HEL_TRY(exec->status);
        if (!wanted->callback(wanted->user, done + at, count, context->logits))
            return hel_fail(HEL_ERROR_CANCELLED, "evaluation was cancelled");
    }
    return HEL_OK;
}

static hel_status evaluate_batch(hel_context *context, const uint32_t *tokens, uint32_t count, uint32_t done,
                                 const logits_request *wanted) {
    HEL_TRY(begin_pass(context, tokens, count));
    hel_tensor hidden = hel_replay_forward(&context->replay, &context->model->network, &context->pass);
    for (uint32_t i = 0; i < context->pass.n_stages; i++) HEL_TRY(context->pass.stages[i].exec.status);
    HEL_TRY(hand_out_logits(context, hidden, done, wanted));
    hel_context_settle(context);
    for (uint32_t i = 0; i < context->pass.n_stages; i++) HEL_TRY(context->pass.stages[i].exec.status);
    for (uint32_t i = 0; i < context->pass.n_stages; i++) HEL_TRY(hel_device_flush(context->pass.stages[i].exec.device));
    context->position += count;
    return HEL_OK;
}

static hel_status check_tokens(const hel_context *context, const uint32_t *tokens, uint32_t count) {
    if (context->lost)
        return hel_fail(HEL_ERROR_DEVICE, "a device failed and has lost what this context keeps: rewind it to 0");
    if (count > context->capacity - context->position)
        return hel_fail(HEL_ERROR_ARGUMENT, "%u tokens after %u do not fit a context of %u", count, context->position,
                        context->capacity);
    if (hyper_of(context)->labels && context->position)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "this model sees a text whole: nothing can follow the first %u tokens",
                        context->position);
    for (uint32_t i = 0; i < count; i++)
        if (tokens[i] >= hyper_of(context)->vocabulary)
            return hel_fail(HEL_ERROR_ARGUMENT, "token %u is not below the vocabulary of %u", tokens[i],
                            hyper_of(context)->vocabulary);
    return HEL_OK;
}

hel_status hel_context_evaluate(hel_context *context, const uint32_t *tokens, uint32_t count, uint32_t first_logits,
                                hel_logits_callback callback, void *user) {
    HEL_REQUIRE(context && (tokens || !count) && (callback || first_logits >= count));
    HEL_TRY(check_tokens(context, tokens, count));
    logits_request wanted = {first_logits, callback, user};
    uint32_t start = context->position;
    HEL_TRY(hel_context_save(context));
    for (uint32_t done = 0; done < count;) {
        uint32_t batch = HEL_MIN(context->batch, count - done);
        hel_status status = evaluate_batch(context, tokens + done, batch, done, &wanted);
        if (status != HEL_OK) {
            hel_context_take_back(context, start);
            return status;
        }
        done += batch;
    }
    return HEL_OK;
}

typedef struct last_logits {
    float *out;
    size_t size;
} last_logits;

static bool take_last(void *user, uint32_t first, uint32_t count, const float *logits) {
    const last_logits *last = user;
    (void)first, (void)count;
    memcpy(last->out, logits, last->size);
    return true;
}

hel_status hel_context_logits(hel_context *context, const uint32_t *tokens, uint32_t count, float *logits) {
    HEL_REQUIRE(context && tokens && count && logits);
    last_logits last = {logits, hel_hyper_outputs(hyper_of(context)) * sizeof(float)};
    return hel_context_evaluate(context, tokens, count, count - 1, take_last, &last);
}

// ---------------------------------------------------------------- asking

const hel_model *hel_context_model(const hel_context *context) {
    HEL_REQUIRE_OR(context, NULL);
    return context->model;
}

uint32_t hel_context_capacity(const hel_context *context) {
    HEL_REQUIRE_OR(context, 0);
    return context->capacity;
}

uint32_t hel_context_position(const hel_context *context) {
    HEL_REQUIRE_OR(context, 0);
    return context->position;
}
