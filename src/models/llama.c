// SPDX-License-Identifier: Apache-2.0
#include "models/llama.h"

#include "base/size.h"

// ---------------------------------------------------------------- the model

static hel_binding all_of(hel_buffer *buffer) { return (hel_binding){.buffer = buffer}; }

// x += Wo attention(rope(Wq h), rope(Wk h), Wv h),  h = norm(x)
static void attention_block(const hel_llama *model, const hel_llama_layer *layer, hel_stage *stage, hel_tensor x) {
    hel_exec *exec = &stage->exec;
    hel_kv_view cache = hel_kvcache_view(&stage->cache, layer->slot);
    hel_binding step = all_of(stage->step);

    hel_tensor h = hel_rmsnorm(exec, x, all_of(layer->attention_norm), model->hyper.norm_epsilon);
    hel_tensor q = hel_linear(exec, h, &layer->q);
    hel_tensor k = hel_linear(exec, h, &layer->k);
    hel_tensor v = hel_linear(exec, h, &layer->v);
    hel_rope_apply(exec, q, &stage->rope, step);
    hel_rope_apply(exec, k, &stage->rope, step);
    hel_kv_append(exec, k, v, &cache, step);
    hel_tensor mixed = hel_attention(exec, q, &cache, step);
    hel_linear_add(exec, mixed, &layer->o, x);
}

// x += Wdown (silu(Wgate h) * Wup h),  h = norm(x)
static void ffn_block(const hel_llama *model, const hel_llama_layer *layer, hel_stage *stage, hel_tensor x) {
    hel_exec *exec = &stage->exec;
    hel_tensor h = hel_rmsnorm(exec, x, all_of(layer->ffn_norm), model->hyper.norm_epsilon);
    hel_tensor gate = hel_linear(exec, h, &layer->gate);
    hel_tensor up = hel_linear(exec, h, &layer->up);
    hel_linear_add(exec, hel_swiglu(exec, gate, up), &layer->down, x);
}

hel_tensor hel_llama_forward(const hel_llama *model, hel_pass *pass) {
    uint32_t place = model->layers[0].place;
    hel_stage *stage = &pass->stages[place];
    hel_tensor x = hel_embedding(&stage->exec, all_of(stage->tokens), pass->count, &model->embedding);
    for (uint32_t l = 0; l < model->hyper.layers; l++) {
        const hel_llama_layer *layer = &model->layers[l];
        x = hel_pass_move(pass, x, place, layer->place);
        place = layer->place;
        stage = &pass->stages[place];

        uint64_t mark = hel_exec_mark(&stage->exec);
        attention_block(model, layer, stage, x);
        hel_exec_release(&stage->exec, mark);
        ffn_block(model, layer, stage, x);
        hel_exec_release(&stage->exec, mark);
    }
    return hel_rmsnorm(&stage->exec, x, all_of(model->norm), model->hyper.norm_epsilon);
}

hel_tensor hel_llama_logits(const hel_llama *model, hel_pass *pass, hel_tensor hidden, uint32_t first, uint32_t count) {
    hel_stage *stage = &pass->stages[model->layers[model->hyper.layers - 1].place];
    const hel_weight *head = model->head.rows ? &model->head : &model->embedding;
    return hel_linear_rows(&stage->exec, hidden, first, count, head);
}

// The residual stream and a norm of it, with the attention's q, k, v and mixture or the feed-forward's three products.
uint64_t hel_llama_scratch_bytes(const hel_hyper *hyper, uint32_t tokens, uint32_t logits_tokens) {
    uint64_t attention = 2 * (uint64_t)(hyper->heads + hyper->kv_heads) * hyper->head_dim, ffn = 3 * (uint64_t)hyper->ffn;
    uint64_t logits = (uint64_t)logits_tokens * hyper->vocabulary;
    return (tokens * (2 * (uint64_t)hyper->hidden + HEL_MAX(attention, ffn)) + logits) * sizeof(float);
}
