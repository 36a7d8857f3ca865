// SPDX-License-Identifier: Apache-2.0
// The Hyena operator (Poli et al. 2023), of order N: projections x_0 .. x_(N-1), v of an input, each filtered by a few taps; then
//   v <- h_o * (x_i v) + bias_o x_i v   for i = N - 1 .. 1, o = N - 1 - i,   y = W_out (x_0 v)
// with filters h_o as long as the sequence, which a small network makes (models/hyena_filter.h).
#ifndef HEL_MODELS_HYENA_H
#define HEL_MODELS_HYENA_H

#include "models/network.h"

enum { HEL_HYENA_MAX_ORDER = 8, HEL_HYENA_INNER = 2 };

// The first member of a layer's struct. Those behind `last` may be missing.
typedef struct hel_hyena_mixer {
    hel_weight in;                       // [(N + 1) hidden, hidden]: rows of x_0, .., x_(N-1), v
    hel_weight out;                      // [hidden, hidden]
    hel_buffer *short_taps, *short_bias; // [(N + 1) hidden, short width], [(N + 1) hidden]
    hel_buffer *bias;                    // [(N - 1) hidden]
    // The network of the filters.
    hel_buffer *first, *first_bias;                                   // [filter hidden, features]
    hel_buffer *inner[HEL_HYENA_INNER], *inner_bias[HEL_HYENA_INNER]; // [filter hidden, filter hidden]
    hel_buffer *last;                                                 // [(N - 1) hidden, filter hidden]
    hel_buffer *sines[HEL_HYENA_INNER + 1];                           // [filter hidden], the same in all
    hel_buffer *features;                                             // [context length, features]
    hel_buffer *decay;                                                // [(N - 1) hidden]
} hel_hyena_mixer;

// What config.json says beside the sizes, checked; `out` has hidden and context_length.
hel_status hel_hyena_parse_mixer(const json_t *config, hel_hyper *out);
// Whether rates of floats fade so.
hel_status hel_hyena_check_decay(const hel_hyena_hyper *hyena);

// The projections behind their short filters, [tokens, (N + 1) hidden]. `state` [short width - 1, (N + 1) hidden].
hel_tensor hel_hyena_project(hel_exec *exec, const hel_hyper *hyper, const hel_hyena_mixer *mixer, hel_tensor x, hel_binding state);
// The i-th of them.
static inline hel_columns hel_hyena_part(const hel_hyper *hyper, hel_tensor projected, uint32_t i) {
    return (hel_columns){projected, i * hyper->hidden, hyper->hidden};
}
static inline uint64_t hel_hyena_short_state(const hel_hyper *hyper) {
    return (uint64_t)(hyper->hyena.short_width - 1) * (hyper->hyena.order + 1) * hyper->hidden;
}

// The long convolutions of a layer, one token or several at a time.
extern const hel_layer_history hel_hyena_history;
// h_o * x + bias_o x of the next tokens [tokens, hidden], the position of the first in `step`.
hel_tensor hel_hyena_convolve(void *history, hel_exec *exec, uint32_t o, hel_tensor x, hel_binding step);

extern const hel_layer_kind hel_hyena_kind;

#endif
