// SPDX-License-Identifier: Apache-2.0
// Attention with a state (shaders/wkv4.k, wkv5.k, wkv7.k), WIDTH channels or columns at once.
#include "../cpu.h"
#include "base/size.h"
#include "functions.h"

// ---------------------------------------------------------------- wkv4

// `count` channels from `c` on.
static inline __attribute__((always_inline)) void wkv4_channels(const cpu_launch *launch, uint32_t c, uint32_t count) {
    const hel_wkv4_params *p = launch->params;
    const float *r = launch->buffers[0], *k = launch->buffers[1], *v = launch->buffers[2];
    float *kept = (float *)launch->buffers[5] + p->state_first + c, *y = launch->buffers[6];
    vec decay = load_some((const float *)launch->buffers[3] + c, count);
    vec bonus = load_some((const float *)launch->buffers[4] + c, count);
    vec above = load_some(kept, count), below = load_some(kept + p->cols, count);
    vec most = vec_select(vec_less(vec_zero(), below), load_some(kept + 2 * (size_t)p->cols, count), vec_set(-1e30f));
    for (uint32_t t = p->first; t < p->first + p->tokens; t++) {
        size_t i = (size_t)t * p->cols + c;
        vec key = load_some(k + i, count), value = load_some(v + i, count);
        vec raised = vec_add(bonus, key), now = vec_max(most, raised);
        vec old = vec_exp(vec_sub(most, now)), fresh = vec_exp(vec_sub(raised, now));
        vec wkv = vec_div(vec_fma(old, above, vec_mul(fresh, value)), vec_fma(old, below, fresh));
        store_some(y + i, count, vec_mul(wkv, vec_sigmoid(load_some(r + i, count))));

        vec decayed = vec_add(most, decay);
        most = vec_max(decayed, key);
        old = vec_exp(vec_sub(decayed, most));
        fresh = vec_exp(vec_sub(key, most));
        above = vec_fma(old, above, vec_mul(fresh, value));
        below = vec_fma(old, below, fresh);
    }
    store_some(kept, count, above);
    store_some(kept + p->cols, count, below);
    store_some(kept + 2 * (size_t)p->cols, count, most);
}

void SIMD(cpu_wkv4)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_wkv4_params *p = launch->params;
    uint32_t c = first * HEL_WKV4_CHUNK, end = HEL_MIN(p->cols, (first + count) * HEL_WKV4_CHUNK);
    for (; c + WIDTH <= end; c += WIDTH) wkv4_channels(launch, c, WIDTH);
    if (c < end) wkv4_channels(launch, c, end - c);
}

// ---------------------------------------------------------------- matrices of state

enum { WKV_VECTORS = 2 };

// A work-group's columns begin .. end of a head whose channels begin at `channel`.
typedef struct wkv_columns {
    uint32_t head, channel, begin, end;
} wkv_columns;

static inline wkv_columns wkv_columns_of(uint32_t group, uint32_t head, uint32_t columns) {
    uint32_t blocks = (uint32_t)hel_ceil_div(head, columns), begin = group % blocks * columns;
    return (wkv_columns){head, group / blocks * head, begin, HEL_MIN(head, begin + columns)};
}

// Calls `run(arguments, column, vectors, count)` for all columns, WKV_VECTORS times WIDTH or `count` of up to WIDTH at once.
#define WKV_EACH(columns, run, ...)                                                                                        \
    for (uint32_t column = (columns)->begin, left; (left = (columns)->end - column) > 0;) {                                \
        if (left >= WKV_VECTORS * WIDTH) run(__VA_ARGS__, column, WKV_VECTORS, WIDTH), column += WKV_VECTORS * WIDTH;      \
        else if (left >= WIDTH) run(__VA_ARGS__, column, 1, WIDTH), column += WIDTH;                                       \
        else run(__VA_ARGS__, column, 1, left), column += left;                                                            \
    }

// ---------------------------------------------------------------- wkv5

typedef struct wkv5_token {
    const float *r, *k, *v, *factor, *bonus; // of the head's channels
    float *state, *y;                        // of the head
    uint32_t head;
} wkv5_token;

static inline __attribute__((always_inline)) void wkv5_run(const wkv5_token *at, uint32_t column, const uint32_t vectors,
                                                           uint32_t count) {
    vec value[WKV_VECTORS], sum[WKV_VECTORS];
    for (uint32_t i = 0; i < vectors; i++) value[i] = load_some(at->v + column + i * WIDTH, count), sum[i] = vec_zero();
    float *row = at->state + column;
    for (uint32_t j = 0; j < at->head; j++, row += at->head) {
        vec r = vec_set(at->r[j]), k = vec_set(at->k[j]), factor = vec_set(at->factor[j]), bonus = vec_set(at->bonus[j]);
        for (uint32_t i = 0; i < vectors; i++) {
            vec pair = vec_mul(k, value[i]), before = load_some(row + i * WIDTH, count);
            sum[i] = vec_fma(r, vec_fma(bonus, pair, before), sum[i]);
            store_some(row + i * WIDTH, count, vec_fma(factor, before, pair));
        }
    }
    for (uint32_t i = 0; i < vectors; i++) store_some(at->y + column + i * WIDTH, count, sum[i]);
}

// e^-e^(decay + change)
static inline __attribute__((always_inline)) void wkv5_factor(const float *decay, const float *change, float *factor,
                                                              uint32_t count) {
    vec raised = vec_exp(vec_add(load_some(decay, count), load_some(change, count)));
    store_some(factor, count, vec_exp(vec_negative(raised)));
}

static void wkv5_factors(const float *decay, const float *change, float *factor, uint32_t head) {
    uint32_t j = 0;
    for (; j + WIDTH <= head; j += WIDTH) wkv5_factor(decay + j, change + j, factor + j, WIDTH);
    if (j < head) wkv5_factor(decay + j, change + j, factor + j, head - j);
}

static void wkv5_block(const cpu_launch *launch, const wkv_columns *columns) {
    const hel_wkv5_params *p = launch->params;
    const float *decay = launch->buffers[4], *bonus = launch->buffers[5];
    bool dynamic = launch->constants[HEL_WKV5_AT_DYNAMIC];
    float decays[HEL_WKV5_MAX_HEAD], factors[HEL_WKV5_MAX_HEAD], bonuses[HEL_WKV5_MAX_HEAD];
    for (uint32_t j = 0; j < p->head; j++) {
        decays[j] = decay[(columns->channel + j) / p->decay_share];
        bonuses[j] = bonus[(columns->channel + j) / p->bonus_share];
    }
    wkv5_token at = {.factor = dynamic ? factors : decays, .bonus = bonuses, .head = p->head};
    at.state = (float *)launch->buffers[6] + p->state_first + (size_t)columns->channel * p->head;
    for (uint32_t t = p->first; t < p->first + p->tokens; t++) {
        size_t token = (size_t)t * p->heads * p->head + columns->channel;
        if (dynamic) wkv5_factors(decays, (const float *)launch->buffers[3] + token, factors, p->head);
        at.r = (const float *)launch->buffers[0] + token;
        at.k = (const float *)launch->buffers[1] + token;
        at.v = (const float *)launch->buffers[2] + token;
        at.y = (float *)launch->buffers[7] + token;
        WKV_EACH(columns, wkv5_run, &at)
    }
}

void SIMD(cpu_wkv5)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_wkv5_params *p = launch->params;
    for (uint32_t group = first; group < first + count; group++) {
        wkv_columns columns = wkv_columns_of(group, p->head, HEL_WKV5_COLUMNS);
        wkv5_block(launch, &columns);
    }
}

// ---------------------------------------------------------------- wkv7

typedef struct wkv7_token {
    const float *r, *w, *k, *v, *kappa, *a; // of the head's channels
    float *state, *y;                       // of the head
    uint32_t head;
} wkv7_token;

static inline __attribute__((always_inline)) void wkv7_run(const wkv7_token *at, uint32_t column, const uint32_t vectors,
                                                           uint32_t count) {
    vec value[WKV_VECTORS], known[WKV_VECTORS], sum[WKV_VECTORS];
    for (uint32_t i = 0; i < vectors; i++)
        value[i] = load_some(at->v + column + i * WIDTH, count), known[i] = sum[i] = vec_zero();
    float *row = at->state + column;
    for (uint32_t j = 0; j < at->head; j++, row += at->head)
        for (uint32_t i = 0; i < vectors; i++)
            known[i] = vec_fma(vec_set(at->kappa[j]), load_some(row + i * WIDTH, count), known[i]);
    row = at->state + column;
    for (uint32_t j = 0; j < at->head; j++, row += at->head) {
        vec r = vec_set(at->r[j]), w = vec_set(at->w[j]), k = vec_set(at->k[j]), a = vec_set(at->a[j]);
        for (uint32_t i = 0; i < vectors; i++) {
            vec change = vec_fnma(a, known[i], vec_mul(k, value[i]));
            vec now = vec_fma(w, load_some(row + i * WIDTH, count), change);
            sum[i] = vec_fma(r, now, sum[i]);
            store_some(row + i * WIDTH, count, now);
        }
    }
    for (uint32_t i = 0; i < vectors; i++) store_some(at->y + column + i * WIDTH, count, sum[i]);
}

static void wkv7_block(const cpu_launch *launch, const wkv_columns *columns) {
    const hel_wkv7_params *p = launch->params;
    wkv7_token at = {.head = p->head};
    at.state = (float *)launch->buffers[6] + p->state_first + (size_t)columns->channel * p->head;
    const float **in[] = {&at.r, &at.w, &at.k, &at.v, &at.kappa, &at.a};
    for (uint32_t t = p->first; t < p->first + p->tokens; t++) {
        size_t token = (size_t)t * p->heads * p->head + columns->channel;
        for (uint32_t i = 0; i < HEL_COUNT(in); i++) *in[i] = (const float *)launch->buffers[i] + token;
        at.y = (float *)launch->buffers[7] + token;
        WKV_EACH(columns, wkv7_run, &at)
    }
}

void SIMD(cpu_wkv7)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_wkv7_params *p = launch->params;
    for (uint32_t group = first; group < first + count; group++) {
        wkv_columns columns = wkv_columns_of(group, p->head, HEL_WKV7_COLUMNS);
        wkv7_block(launch, &columns);
    }
}
