// SPDX-License-Identifier: Apache-2.0
// A kernel as the build embeds it: tools/kernels.py makes one of these from each shaders/*.k.
#ifndef HEL_DEVICE_KERNEL_SOURCE_H
#define HEL_DEVICE_KERNEL_SOURCE_H

#include <helicoid/device.h>

typedef enum hel_access {
    HEL_ACCESS_IN = 1,
    HEL_ACCESS_OUT = 2,
    HEL_ACCESS_INOUT = 3,
} hel_access;

// One invocation's view of a work-group, for the C form. With `size` 1 there is one lane and no barrier.
typedef struct hel_c_group {
    void *const *buffers;      // one per binding
    const void *params;
    const uint32_t *constants; // MODE and TUNE values by id
    uint32_t group;
    uint32_t lane, size;
    unsigned char *shared;     // room for the SHARED arrays
    void (*barrier)(void *user);
    void *user;
} hel_c_group;

typedef void (*hel_c_form)(const hel_c_group *group);

// Prelude and kernel in one language, ready for its compiler; expects hel_kernel_definitions. SPIR-V is compiled already,
// and WORKGROUP is its constant HEL_WORKGROUP_ID. Kernels that add across a subgroup have a second SPIR-V, which does so by
// shuffles in subgroups of HEL_SUBGROUP_ID lanes.
typedef struct hel_kernel_text {
    const char *language; // as tools/kernels.py names it: "spirv", "spirv_subgroups", "opencl", "cuda"
    const void *bytes;    // words where they are SPIR-V
    size_t size;          // bytes
} hel_kernel_text;

// What a constant (by id) or a u32 parameter (by offset) must not be above: `most`, or, where that is 0, the constant `by`
// over `divisor`. Beyond it the kernel would leave its own arrays.
typedef struct hel_kernel_limit {
    bool constant;
    uint32_t at, most, by, divisor;
} hel_kernel_limit;

typedef struct hel_kernel_source {
    const char *name;
    uint32_t workgroup; // preferred invocations per group, a power of two, at most 128
    uint32_t lanes_at;  // the constant that says it instead (LANES in the text), n_constants where there is none
    uint32_t n_bindings;
    uint8_t access[HEL_MAX_BINDINGS]; // hel_access
    uint32_t params_size;             // the first member is the number of groups
    uint32_t n_constants;
    uint32_t defaults[HEL_MAX_CONSTANTS];
    uint32_t n_limits;
    const hel_kernel_limit *limits;
    double (*shared)(const uint32_t *constants, uint32_t workgroup); // bytes of its SHARED arrays
    const hel_kernel_text *texts; // ends with {0}
    hel_c_form c_form; // what every build has; work-group size 1 only
} hel_kernel_source;

enum { HEL_SUBGROUP_ID = 30, HEL_WORKGROUP_ID = 31 };

// NULL where no kernel has that name.
const hel_kernel_source *hel_kernel_source_find(const char *name);

bool hel_kernel_text_has(const hel_kernel_source *source, const char *language);
// UNSUPPORTED where the build has no text in that language.
hel_status hel_kernel_text_find(const hel_kernel_source *source, const char *language, hel_kernel_text *out);

// The preferred number of invocations, or what the constant LANES says, halved until the device allows it: kernels fold by
// powers of two.
uint32_t hel_kernel_workgroup(const hel_kernel_source *source, const hel_device *device, const uint32_t *constants);

// UNSUPPORTED where a constant is over its limit, LANES is no power of two, or the work-group would share more memory than
// the device has.
hel_status hel_kernel_check_constants(const hel_kernel_source *source, const hel_device *device, const uint32_t *constants);
// UNSUPPORTED where a parameter is over its limit.
hel_status hel_kernel_check_params(const hel_kernel_source *source, const uint32_t *constants, const void *params);

// "-DWORKGROUP=n" and "-DCONSTANT_<id>=n" for each of `constants`.
typedef struct hel_kernel_definitions {
    uint32_t count;
    char text[1 + HEL_MAX_CONSTANTS][32];
} hel_kernel_definitions;

hel_kernel_definitions hel_kernel_define(const hel_kernel_source *source, uint32_t workgroup, const uint32_t *constants);

// By name, in the order of strcmp.
extern const hel_kernel_source *const hel_kernel_sources[];
extern const size_t hel_kernel_source_count;

#endif
