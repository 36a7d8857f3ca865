// SPDX-License-Identifier: Apache-2.0
#include "vq/values.h"

#include "base/error.h"
#include "base/size.h"

hel_status hel_values_scan(const hel_values *values, hel_values_visit visit, void *user) {
    if (values->data) return visit(user, 0, values->data, values->count);
    for (uint64_t first = 0; first < values->count;) {
        uint64_t count = HEL_MIN(values->piece_count, values->count - first);
        HEL_TRY(values->read(values->user, first, count, values->piece));
        HEL_TRY(visit(user, first, values->piece, count));
        first += count;
    }
    return HEL_OK;
}
