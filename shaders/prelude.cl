// OpenCL C 1.2: built with -DWORKGROUP=n and -DCONSTANT_<id>=n for every MODE and TUNE.
#pragma OPENCL FP_CONTRACT OFF
typedef uint u32;
typedef float f32;
typedef uint4 u32x4;
typedef float4 f32x4;
#define TO_F32(x) ((float)(x))
#define AS_F32(x) as_float(x)
#define AS_U32(x) as_uint(x)
#define FMAX(a, b) fmax(a, b)
#define UMIN(a, b) min((u32)(a), (u32)(b))
#define UMAX(a, b) max((u32)(a), (u32)(b))
#define PRECISE
#ifdef FP_FAST_FMAF
#define MUL_ADD(a, b, c) fma(a, b, c)
#else
#define MUL_ADD(a, b, c) ((a) * (b) + (c))
#endif
#define SQRT(x) sqrt(x)
#define EXP(x) exp(x)
#define UNROLL _Pragma("unroll")
#define FUNCTION static inline
static inline float half_low(uint word) { return vload_half(0, (const __private half *)&word); }
#define HALF_LOW(word) half_low(word)

#define KERNEL(name, size) __kernel __attribute__((reqd_work_group_size(WORKGROUP, 1, 1))) void name(
#define IN(i, T, name) __global const T *restrict name,
#define OUT(i, T, name) __global T *restrict name,
#define INOUT(i, T, name) __global T *restrict name,
#define PARAMS(T) const struct T p) {
#define VIEW4(i, T, from, name) __global const T##x4 *name = (__global const T##x4 *)from;
#define MODE(id, name, value) enum { name = CONSTANT_##id };
#define TUNE(id, name, value) enum { name = CONSTANT_##id };
#define SHARED(T, name, count) __local T name[count];
#define AT_BYTE(T, array, at) (*(__local const T *)((__local const uchar *)array + (at)))
#define BEGIN if (GROUP >= p.groups) return;
#define END }
#define LANE ((u32)get_local_id(0))
#define GROUP ((u32)(get_group_id(1) * get_num_groups(0) + get_group_id(0)))
// Items of `total` that fall to one lane, as an array size.
#define LANE_ITEMS(total) (((total) + WORKGROUP - 1) / WORKGROUP)
// Of whole numbers, in a buffer.
#define ATOMIC_ADD(array, index, value) atomic_add(&array[index], value)
#define BARRIER barrier(CLK_LOCAL_MEM_FENCE)
// OpenCL 1.2 has no subgroups: each lane is one.
#define SUBGROUPS WORKGROUP
#define SUBGROUP LANE
#define SUBGROUP_SUM(x) (x)
#define SUBGROUP_FIRST true
#define HIDDEN(x) (x)
