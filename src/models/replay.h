// SPDX-License-Identifier: Apache-2.0
// A pass of one token, recorded at its first time and replayed from then on, so that starting hundreds of kernels costs
// the host what one costs. It is the same dispatches every time: what differs between tokens lies in a stage's `step`
// and `tokens` and in the cache's block table, and all its buffers stay for the life of the context.
#ifndef HEL_MODELS_REPLAY_H
#define HEL_MODELS_REPLAY_H

#include "models/network.h"

typedef struct hel_replay {
    bool wanted;
    hel_recording *recording; // NULL until there is one
    hel_tensor hidden;        // what it leaves in the arena,
    uint64_t mark;            // and the arena's end behind that
} hel_replay;

// `wanted` is what the caller asks for; it is granted where all layers are on one device that can record.
void hel_replay_init(hel_replay *replay, bool wanted, const hel_pass *pass);
void hel_replay_finish(hel_replay *replay, const hel_pass *pass); // before the buffers; accepts a zeroed one

// hel_network_forward, by the recording where the pass has one token.
hel_tensor hel_replay_forward(hel_replay *replay, const hel_network *network, hel_pass *pass);

#endif
