// SPDX-License-Identifier: Apache-2.0
#include "ops/ssm.h"

#include "base/size.h"
#include "kernels.h"

// Channels times pieces that keep a GPU busy, and the fewest steps for which a piece is worth being gone through twice.
enum { BUSY_LANES = 1 << 16, SHORTEST_PIECE = 32, FEWEST_PIECES = 4 };

// The fewest steps of which products of matrices (ssd_scan) come out ahead of the recurrence (ssm_scan).
enum { FEWEST_STEPS = 16 };
// Steps whose B and C stay in a processor's cache while one head after the other goes through them.
enum { CACHED_STEPS = 512 };

typedef struct scan {
    const hel_ssm *ssm;
    bool by_products;
    const hel_ssm_inputs *in;
    hel_binding state;
    hel_tensor y;
    hel_ssm_scan_params params;
} scan;

// ---------------------------------------------------------------- pieces

static bool is_gpu(const hel_device *device) {
    return device->type == HEL_DEVICE_TYPE_INTEGRATED || device->type == HEL_DEVICE_TYPE_DISCRETE;
}

static uint64_t most_pieces(const hel_ssm *ssm, uint32_t steps) {
    if (ssm->piece) return hel_ceil_div(steps, ssm->piece);
    return HEL_MIN(hel_ceil_div(steps, SHORTEST_PIECE), BUSY_LANES / ssm->channels + 1);
}

// Rasterisers in software, which end a lane's loops, were slower by products.
static bool is_by_products(const hel_device *device, const hel_ssm *ssm, uint32_t steps, bool back) {
    return ssm->heads && !back && steps >= FEWEST_STEPS && ssm->state <= HEL_SSD_SCAN_MAX_STATE && !device->limits.loop_iterations;
}

// `steps` where they are one piece.
static uint32_t piece_of(const hel_device *device, const hel_ssm *ssm, uint32_t steps, bool by_products) {
    if (ssm->piece) return HEL_MIN(ssm->piece, steps);
    uint64_t piece = HEL_MAX(SHORTEST_PIECE, hel_ceil_div((uint64_t)steps * ssm->channels, BUSY_LANES));
    if (by_products) piece = hel_round_up(piece, HEL_SSD_SCAN_STEPS);
    return is_gpu(device) && steps >= FEWEST_PIECES * piece ? (uint32_t)piece : steps;
}

// ---------------------------------------------------------------- dispatches

// Blocks of channels, each a work-group's of a piece.
static uint64_t blocks_of(const scan *s) {
    if (s->by_products) return s->ssm->heads * hel_ceil_div(s->params.head_dim, HEL_SSD_SCAN_CHANNELS);
    return hel_ceil_div(s->params.channels, HEL_SSM_SCAN_CHUNK);
}

static void dispatch_scan(hel_exec *exec, scan *s, bool alone, hel_binding states) {
    const hel_ssm_inputs *in = s->in;
    uint32_t heads = s->ssm->heads > 0, form = s->by_products ? alone : heads;
    // What is not read must not be what is bound where the kernel may write.
    hel_binding more = heads ? s->ssm->dt_bias : in->gate.count ? in->gate.of.where : s->ssm->d;
    hel_binding y = alone ? hel_bind(exec->nothing) : s->y.where;
    hel_binding bindings[] = {in->x.of.where, in->dt.of.where, in->b.of.where, more, s->ssm->a, s->ssm->d, states, y};
    s->params.alone = alone;
    uint64_t groups = blocks_of(s) * hel_ceil_div(s->params.count, s->params.piece);
    hel_exec_dispatch(exec, &(hel_call){s->by_products ? "ssd_scan" : "ssm_scan", &form, 1, bindings, HEL_COUNT(bindings),
                                        &s->params, sizeof s->params, groups});
}

// Steps of one dispatch; few where a driver ends a lane's loops.
static uint32_t steps_at_once(const hel_exec *exec, const scan *s) {
    uint32_t steps = s->params.steps;
    if (s->by_products) return is_gpu(exec->device) ? steps : HEL_MIN(steps, CACHED_STEPS);
    uint64_t blocks = hel_ceil_div(s->params.state, HEL_SSM_SCAN_BLOCK);
    return hel_exec_steps_at_once(exec, steps, blocks * (2 * HEL_SSM_SCAN_BLOCK + 6) + 8, blocks * (HEL_SSM_SCAN_BLOCK + 2));
}

static void scan_in_turn(hel_exec *exec, scan *s) {
    uint32_t steps = s->params.steps, most = steps_at_once(exec, s);
    for (s->params.first = 0; s->params.first < steps; s->params.first += s->params.count) {
        s->params.count = s->params.piece = HEL_MIN(most, steps - s->params.first);
        dispatch_scan(exec, s, false, s->state);
    }
}

static hel_tensor states_of_pieces(hel_exec *exec, const hel_ssm *ssm, uint32_t steps) {
    return hel_exec_tensor(exec, (uint32_t)most_pieces(ssm, steps) * (ssm->state + 1), ssm->channels);
}

static void scan_in_pieces(hel_exec *exec, scan *s, uint32_t piece) {
    const hel_ssm *ssm = s->ssm;
    uint32_t steps = s->params.steps, heads = ssm->heads > 0, pieces = (uint32_t)hel_ceil_div(steps, piece);
    hel_tensor states = states_of_pieces(exec, ssm, steps);
    s->params.count = steps;
    s->params.piece = piece;
    dispatch_scan(exec, s, true, states.where);
    hel_ssm_carry_params params = {
        .pieces = pieces, .channels = ssm->channels, .head_dim = s->params.head_dim, .n = ssm->channels * ssm->state};
    hel_binding bindings[] = {ssm->a, s->state, states.where};
    hel_exec_dispatch(exec, &(hel_call){"ssm_carry", &heads, 1, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                        hel_ceil_div(params.n, HEL_SSM_CARRY_CHUNK)});
    dispatch_scan(exec, s, false, states.where);
}

// ---------------------------------------------------------------- the operator

static void scan_into(hel_exec *exec, const hel_ssm *ssm, const hel_ssm_inputs *in, hel_binding state, bool back, hel_tensor y) {
    uint64_t mark = hel_exec_mark(exec);
    scan s = {.ssm = ssm, .in = in, .state = state, .y = y};
    s.params = (hel_ssm_scan_params){.steps = in->x.of.rows,
                                     .reverse = back,
                                     .channels = ssm->channels,
                                     .head_dim = ssm->heads ? ssm->channels / ssm->heads : 1,
                                     .group_channels = ssm->channels / ssm->groups,
                                     .state = ssm->state,
                                     .x_first = in->x.first,
                                     .x_stride = in->x.of.cols,
                                     .dt_first = in->dt.first,
                                     .dt_stride = in->dt.of.cols,
                                     .b_first = in->b.first,
                                     .c_first = in->c.first,
                                     .bc_stride = in->b.of.cols,
                                     .gated = in->gate.count > 0,
                                     .z_first = in->gate.first,
                                     .z_stride = in->gate.of.cols,
                                     .add = back,
                                     .low = ssm->dt_low,
                                     .high = ssm->dt_high,
                                     .extra = ssm->dt_extra};
    s.by_products = is_by_products(exec->device, ssm, s.params.steps, back);
    uint32_t piece = piece_of(exec->device, ssm, s.params.steps, s.by_products);
    if (piece < s.params.steps) scan_in_pieces(exec, &s, piece);
    else scan_in_turn(exec, &s);
    hel_exec_release(exec, mark);
    if (exec->planning && is_gpu(exec->device)) states_of_pieces(exec, ssm, s.params.steps); // a shorter batch may be cut
    hel_exec_release(exec, mark);
}

hel_tensor hel_ssm_scan(hel_exec *exec, const hel_ssm *ssm, const hel_ssm_inputs *in, hel_binding state) {
    hel_tensor y = hel_exec_tensor(exec, in->x.of.rows, ssm->channels);
    scan_into(exec, ssm, in, state, false, y);
    return y;
}

void hel_ssm_scan_back(hel_exec *exec, const hel_ssm *ssm, const hel_ssm_inputs *in, hel_binding state, hel_tensor y) {
    scan_into(exec, ssm, in, state, true, y);
}
