// C17: the CPU's fallback with one lane per work-group, or, with HEL_C_LANES, one real thread per lane for the tests.
#include <math.h>
#include <stdint.h>
#include "base/half.h"
#include "base/size.h"
#include "device/kernel_source.h"
typedef uint32_t u32;
typedef float f32;
typedef struct u32x4 { u32 x, y, z, w; } u32x4;
typedef struct f32x4 { f32 x, y, z, w; } f32x4;
#define TO_F32(x) ((float)(x))
#define AS_F32(x) hel_bits_float(x)
#define AS_U32(x) hel_float_bits(x)
#define FMAX(a, b) fmaxf(a, b)
#define UMIN(a, b) HEL_MIN((u32)(a), (u32)(b))
#define UMAX(a, b) HEL_MAX((u32)(a), (u32)(b))
#define PRECISE
// a * b + c, rounded once where that is as fast.
#define MUL_ADD(a, b, c) ((a) * (b) + (c))
#define SQRT(x) sqrtf(x)
#define EXP(x) expf(x)
#define HALF_LOW(word) hel_f16_to_float((uint16_t)(word))
// Before a loop of few rounds, whose arrays are in registers only where every index is a constant.
#define UNROLL
#define FUNCTION static inline

#define KERNEL(name, size) void hel_c_##name(const hel_c_group *hel_group) { size_t hel_shared = 0; (void)hel_shared;
#define IN(i, T, name) const T *restrict name = (const T *)hel_group->buffers[i];
#define OUT(i, T, name) T *restrict name = (T *)hel_group->buffers[i];
#define INOUT(i, T, name) T *restrict name = (T *)hel_group->buffers[i];
#define PARAMS(T) const struct T p = *(const struct T *)hel_group->params;
#define VIEW4(i, T, from, name) const T##x4 *name = (const T##x4 *)(const void *)from;
#define MODE(id, name, value) const u32 name = hel_group->constants[id];
#define TUNE(id, name, value) enum { name = value };
#define SHARED(T, name, count) T *name = (T *)(void *)(hel_group->shared + hel_shared); hel_shared += sizeof(T) * (count);
// The word of a SHARED array at a distance of so many bytes.
#define AT_BYTE(T, array, at) (*(const T *)(const void *)((const unsigned char *)array + (at)))
#define BEGIN
#define END }
// Items of `total` that fall to one lane, as an array size: here one lane may have them all.
#define LANE_ITEMS(total) (total)
// Of whole numbers, in a buffer: other threads run other work-groups.
#define ATOMIC_ADD(array, index, value) __atomic_fetch_add(&array[index], value, __ATOMIC_RELAXED)
#define GROUP (hel_group->group)
#define SUBGROUPS WORKGROUP
#define SUBGROUP LANE
#define SUBGROUP_SUM(x) (x)
#define SUBGROUP_FIRST true
// x, as a value that compilers do not work out anew from what it was made of.
#define HIDDEN(x) (x)
#ifdef HEL_C_LANES
#define LANE (hel_group->lane)
#define WORKGROUP (hel_group->size)
#define BARRIER hel_group->barrier(hel_group->user)
#else
#define LANE 0u
#define WORKGROUP 1u
#define BARRIER (void)0
#endif
