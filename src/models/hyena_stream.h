// SPDX-License-Identifier: Apache-2.0
// The Hyena operator over sequences that come from and go to the host, some steps or channels at a time: projections by steps, then
// convolutions by channels, then the product by steps.
#ifndef HEL_MODELS_HYENA_STREAM_H
#define HEL_MODELS_HYENA_STREAM_H

#include "models/hyena.h"

// Elements of [batch, length, width] from `first` on; those of y come in order, each once, when all of x has been read.
typedef struct hel_hyena_stream {
    hel_status (*read)(void *user, uint64_t first, uint64_t count, float *x);
    hel_status (*write)(void *user, uint64_t count, const float *y);
    void *user;
    float *room; // for as many elements, free until the first is written; NULL: it is allocated
    hel_progress_callback progress;
    void *progress_user;
} hel_hyena_stream;

hel_status hel_hyena_stream_run(const hel_device *device, const hel_hyper *hyper, const hel_hyena_mixer *mixer, uint32_t batch,
                                uint32_t length, const hel_hyena_stream *stream);

#endif
