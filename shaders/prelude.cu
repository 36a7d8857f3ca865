// CUDA C for NVRTC: built with -DWORKGROUP=n and -DCONSTANT_<id>=n for every MODE and TUNE.
typedef unsigned int u32;
typedef float f32;
typedef uint4 u32x4;
typedef float4 f32x4;
#define TO_F32(x) ((float)(x))
#define AS_F32(x) __uint_as_float(x)
#define AS_U32(x) __float_as_uint(x)
#define FMAX(a, b) fmaxf(a, b)
#define UMIN(a, b) min((u32)(a), (u32)(b))
#define UMAX(a, b) max((u32)(a), (u32)(b))
#define PRECISE
#define MUL_ADD(a, b, c) fmaf(a, b, c)
#define SQRT(x) sqrtf(x)
#define EXP(x) expf(x)
#define UNROLL _Pragma("unroll")
#define FUNCTION static __device__ __forceinline__
FUNCTION float half_low(u32 word) {
    float value;
    asm("{ .reg .b16 low, high; mov.b32 {low, high}, %1; cvt.f32.f16 %0, low; }" : "=f"(value) : "r"(word));
    return value;
}
#define HALF_LOW(word) half_low(word)

#define KERNEL(name, size) extern "C" __global__ void __launch_bounds__(WORKGROUP) name(
#define IN(i, T, name) const T *__restrict__ name,
#define OUT(i, T, name) T *__restrict__ name,
#define INOUT(i, T, name) T *__restrict__ name,
#define PARAMS(T) const T p) {
#define VIEW4(i, T, from, name) const T##x4 *__restrict__ name = (const T##x4 *)from;
#define MODE(id, name, value) enum : u32 { name = CONSTANT_##id };
#define TUNE(id, name, value) enum : u32 { name = CONSTANT_##id };
#define SHARED(T, name, count) __shared__ __align__(32) T name[count];
// That lanes are below WORKGROUP does not follow from the launch bounds for the compiler; with it, whole loops unroll.
#define BEGIN __builtin_assume(threadIdx.x < WORKGROUP); if (GROUP >= p.groups) return;
#define END }
#define LANE ((u32)threadIdx.x)
#define GROUP ((u32)(blockIdx.y * gridDim.x + blockIdx.x))
// Items of `total` that fall to one lane, as an array size.
#define LANE_ITEMS(total) (((total) + WORKGROUP - 1) / WORKGROUP)
#define AT_BYTE(T, array, at) (*(const T *)((const char *)array + (at)))
// Of whole numbers, in a buffer.
#define ATOMIC_ADD(array, index, value) atomicAdd(&array[index], value)
#define BARRIER __syncthreads()
#define SUBGROUP_LANES (WORKGROUP < 32 ? WORKGROUP : 32)
#define SUBGROUPS (WORKGROUP / SUBGROUP_LANES)
#define SUBGROUP (LANE / SUBGROUP_LANES)
#define SUBGROUP_SUM(x) subgroup_sum(x)
#define SUBGROUP_FIRST (LANE % SUBGROUP_LANES == 0)
#define SUBGROUP_XOR(x, other) __shfl_xor_sync(0xffffffffu >> (32 - SUBGROUP_LANES), x, other)
FUNCTION f32 subgroup_sum(f32 x) {
    for (u32 other = SUBGROUP_LANES / 2; other > 0; other /= 2) x += SUBGROUP_XOR(x, other);
    return x;
}
// The assembler does not look through a shuffle; else it would mask again wherever x is used.
#define HIDDEN(x) SUBGROUP_XOR(x, 0)
