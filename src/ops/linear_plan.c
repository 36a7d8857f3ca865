// SPDX-License-Identifier: Apache-2.0
#include "ops/linear_plan.h"

#include <string.h>

#include "base/size.h"

// ---------------------------------------------------------------- classes of devices

// A class is known by a part of its devices' vendor. Figures that no measurement stands behind are those of the makers'
// guides: see docs/kernels.md.
typedef struct device_class {
    const char *vendor; // NULL: all others
    uint32_t lanes;     // where rows are long enough
    uint32_t units;     // that a driver which does not count them is taken to have
    uint32_t groups;    // of linear_matvec that a unit runs at once; 0: one for each block of rows
    uint32_t replicas;  // of the codebook at most
    bool wide;          // whether lanes take whole vectors
    bool keep_x;
} device_class;

static const device_class software = {NULL, 64, 1, 0, 0, false, false};
static const device_class classes[] = {
    {"NVIDIA", 256, 64, 6, 32, true, true},   // 32 banks, 100 to 228 KB of shared memory a unit
    {"AMD", 256, 32, 2, 32, true, false},     // 32 banks, 64 KB
    {"Advanced Micro", 256, 32, 2, 32, true, false},
    {"Intel", 128, 32, 4, 16, true, false},   // 16 banks
    {"Qualcomm", 128, 4, 4, 1, true, false},  // waves of 64 or 128
    {"QUALCOMM", 128, 4, 4, 1, true, false},
    {"Arm", 64, 8, 8, 0, true, false},        // shared memory is ordinary memory, so a table there gains nothing
    {"ARM", 64, 8, 8, 0, true, false},
    {NULL, 64, 8, 4, 0, true, false},
};

static const device_class *class_of(const hel_device *device) {
    if (device->type != HEL_DEVICE_TYPE_INTEGRATED && device->type != HEL_DEVICE_TYPE_DISCRETE) return &software;
    const device_class *class = classes;
    while (class->vendor && !strstr(device->vendor, class->vendor)) class++;
    return class;
}

// ---------------------------------------------------------------- the plan

enum { SHORTEST_GROUP = 32, MOST_SPLITS = 8, MOST_SUMS = 32, NOMINAL_ROWS = HEL_LINEAR_MATVEC_ROWS };

// The words that hold whole fields and as many as a vector load gives, or 1 where a row is not made of such.
static uint32_t step_of(const device_class *class, const hel_weight *weight) {
    uint32_t bits = hel_weight_field_bits(weight), width = weight->format == HEL_FORMAT_CODEBOOK ? weight->d : 1;
    uint32_t step = bits == 5 ? 5 : 32 % bits ? 3 : 4, columns = step * 32 / bits * width;
    return class->wide && weight->cols % columns == 0 ? step : 1;
}

static uint32_t lanes_of(const device_class *class, const hel_device *device, uint32_t steps) {
    uint32_t lanes = class->lanes, least = HEL_MAX(SHORTEST_GROUP, device->limits.subgroup);
    while (lanes > device->limits.max_workgroup) lanes /= 2;
    while (lanes > least && lanes > steps) lanes /= 2;
    return lanes;
}

// Few rows leave units idle; then the columns are cut too, as long as every lane of a slice has something to read.
static uint32_t splits_of(uint32_t lanes, uint32_t steps, uint64_t blocks, uint32_t wanted) {
    uint32_t splits = 1;
    while (splits < MOST_SPLITS && blocks * splits < wanted && steps / lanes >= 2 * splits) splits *= 2;
    return splits;
}

// Sixteen banks' worth or a single copy: what lies between conflicts as often as one copy does.
static uint32_t replicas_of(const device_class *class, const hel_device *device, const hel_weight *weight,
                            uint32_t sums) {
    static const uint32_t counts[] = {32, 16, 1};
    if (weight->format != HEL_FORMAT_CODEBOOK || weight->bits > 8) return 0;
    for (size_t i = 0; i < HEL_COUNT(counts); i++) {
        uint32_t words = sums + (weight->d << weight->bits) * counts[i];
        if (counts[i] <= class->replicas && words * sizeof(float) <= device->limits.shared_memory) return counts[i];
    }
    return 0;
}

hel_linear_plan hel_linear_plan_of(const hel_device *device, const hel_weight *weight, uint32_t tokens) {
    const device_class *class = class_of(device);
    hel_linear_plan plan = {.rows = HEL_LINEAR_MATVEC_ROWS, .keep_x = class->keep_x, .step = step_of(class, weight)};
    uint32_t units = device->limits.compute_units ? device->limits.compute_units : class->units;
    uint32_t steps = weight->row_words / plan.step;
    plan.lanes = lanes_of(class, device, steps);
    plan.splits = splits_of(plan.lanes, steps, hel_ceil_div(weight->rows, NOMINAL_ROWS), units * class->groups);
    plan.most_groups = units * class->groups;
    while (class->groups && plan.rows > 1 && plan.rows * tokens > MOST_SUMS) plan.rows /= 2;
    plan.replicas = replicas_of(class, device, weight, plan.lanes * plan.rows);
    return plan;
}

uint64_t hel_linear_plan_groups(const hel_linear_plan *plan, uint32_t rows) {
    uint64_t items = hel_ceil_div(rows, plan->rows) * plan->splits;
    if (!plan->most_groups) return items;
    return hel_ceil_div(items, hel_ceil_div(items, plan->most_groups)); // each has about as much to do
}

// The kernel is specialised for powers of two.
static uint32_t token_lanes(uint32_t tokens) {
    uint32_t lanes = 1;
    while (lanes < tokens) lanes *= 2;
    return lanes;
}

void hel_linear_plan_constants(const hel_linear_plan *plan, const hel_weight *weight, uint32_t flags, uint32_t tokens,
                               uint32_t out[HEL_LINEAR_MATVEC_CONSTANTS]) {
    const uint32_t constants[HEL_LINEAR_MATVEC_CONSTANTS] = {
        [HEL_LINEAR_MATVEC_AT_FORMAT] = weight->format,      [HEL_LINEAR_MATVEC_AT_BITS] = weight->bits,
        [HEL_LINEAR_MATVEC_AT_D] = weight->d,                [HEL_LINEAR_MATVEC_AT_FLAGS] = flags,
        [HEL_LINEAR_MATVEC_AT_TOKENS] = token_lanes(tokens), [HEL_LINEAR_MATVEC_AT_ROWS] = plan->rows,
        [HEL_LINEAR_MATVEC_AT_LANES] = plan->lanes,          [HEL_LINEAR_MATVEC_AT_STEP] = plan->step,
        [HEL_LINEAR_MATVEC_AT_SPLITS] = plan->splits,        [HEL_LINEAR_MATVEC_AT_REPLICAS] = plan->replicas,
        [HEL_LINEAR_MATVEC_AT_KEEP_X] = plan->keep_x};
    memcpy(out, constants, sizeof constants);
}
