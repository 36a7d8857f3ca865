// SPDX-License-Identifier: Apache-2.0
#include "models/replay.h"

#include "base/error.h"

static hel_exec *exec_of(const hel_pass *pass) { return &pass->stages[0].exec; }

void hel_replay_init(hel_replay *replay, bool wanted, const hel_pass *pass) {
    *replay = (hel_replay){.wanted = wanted && pass->n_stages == 1 && exec_of(pass)->device->features.recording};
}

void hel_replay_finish(hel_replay *replay, const hel_pass *pass) {
    if (replay->recording) hel_recording_destroy(exec_of(pass)->device, &replay->recording);
}

// False where the driver will not record, which is no reason to fail: this context goes on without.
static bool record(hel_replay *replay, const hel_network *network, hel_pass *pass) {
    hel_exec *exec = exec_of(pass);
    hel_exec_record_begin(exec);
    replay->hidden = hel_network_forward(network, pass);
    replay->mark = hel_exec_mark(exec);
    hel_status status = hel_exec_record_end(exec, &replay->recording);
    if (status == HEL_OK || exec->status != HEL_OK) return true;
    hel_log(HEL_LOG_WARNING, "tokens are not recorded: %s", hel_error_message());
    replay->wanted = false;
    hel_exec_reset(exec);
    return false;
}

hel_tensor hel_replay_forward(hel_replay *replay, const hel_network *network, hel_pass *pass) {
    hel_exec *exec = exec_of(pass);
    bool one = replay->wanted && pass->count == 1;
    if (!one || (!replay->recording && !record(replay, network, pass))) return hel_network_forward(network, pass);
    hel_exec_release(exec, replay->mark);
    if (exec->status == HEL_OK) hel_exec_fail(exec, hel_recording_replay(exec->device, replay->recording));
    return replay->hidden;
}
