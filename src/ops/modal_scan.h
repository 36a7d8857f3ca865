// SPDX-License-Identifier: Apache-2.0
// A long filter as a sum of damped waves, h[t] = Re sum over n of residue[n] pole[n]^t, applied as a recurrence (Massaroli et al.
// 2023, "Laughing Hyena Distillery"), between two gates:
//   y = x2 (h * w + direct w),   w = x1 v
#ifndef HEL_OPS_MODAL_SCAN_H
#define HEL_OPS_MODAL_SCAN_H

#include "ops/exec.h"

typedef struct hel_modal_filter {
    hel_binding poles, residues; // complex [channels, modes]
    hel_binding direct;          // [channels]
    uint32_t modes;
    uint32_t split; // columns of x2, of x1 and of v that stand together; the channels are a multiple
} hel_modal_filter;

// z [tokens, 3 channels] gives [tokens, channels]. `state` [modes, 2, channels] is 0 before the first token.
hel_tensor hel_modal_scan(hel_exec *exec, hel_tensor z, const hel_modal_filter *filter, hel_binding state);

#endif
