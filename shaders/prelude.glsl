#version 450
#extension GL_EXT_control_flow_attributes : require
#ifdef SUBGROUP_SHUFFLES
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
// GLSL 4.50 for Vulkan 1.1: buffers are blocks, parameters are push constants, MODE and TUNE are specialisation constants.
#define u32 uint
#define f32 float
#define u32x4 uvec4
#define f32x4 vec4
#define TO_F32(x) float(x)
#define AS_F32(x) uintBitsToFloat(x)
#define AS_U32(x) floatBitsToUint(x)
#define FMAX(a, b) max(a, b)
#define UMIN(a, b) min(a, b)
#define UMAX(a, b) max(a, b)
#define PRECISE precise
#define MUL_ADD(a, b, c) fma(a, b, c)
#define SQRT(x) sqrt(x)
#define EXP(x) exp(x)
#define HALF_LOW(word) unpackHalf2x16(word).x
#define UNROLL [[unroll]]
#define FUNCTION
#define KERNEL(name, size) layout(local_size_x_id = 31) in;
#define IN(i, T, name) layout(std430, set = 0, binding = i) readonly restrict buffer Block##i { T name[]; };
#define OUT(i, T, name) layout(std430, set = 0, binding = i) restrict buffer Block##i { T name[]; };
#define INOUT OUT
#define PARAMS(T) layout(push_constant) uniform Push { T p; };
#define VIEW4(i, T, from, name) layout(std430, set = 0, binding = i) readonly buffer View##i { T##x4 name[]; };
#define MODE(id, name, value) layout(constant_id = id) const u32 name = value;
#define TUNE(id, name, value) MODE(id, name, value)
#define SHARED(T, name, count) shared T name[count];
#define AT_BYTE(T, array, at) array[(at) / 4u]
#define BEGIN void main() { if (GROUP >= p.groups) return;
#define END }
#define LANE gl_LocalInvocationID.x
#define WORKGROUP gl_WorkGroupSize.x
#define GROUP (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x)
// Items of `total` that fall to one lane, as an array size.
#define LANE_ITEMS(total) (((total) + WORKGROUP - 1) / WORKGROUP)
// Of whole numbers, in a buffer.
#define ATOMIC_ADD(array, index, value) atomicAdd(array[index], value)
#define BARRIER barrier()
#ifdef SUBGROUP_SHUFFLES
layout(constant_id = 30) const u32 SUBGROUP_LANES = 1u;
#define SUBGROUPS (WORKGROUP / SUBGROUP_LANES)
#define SUBGROUP gl_SubgroupID
#define SUBGROUP_SUM(x) subgroup_sum(x)
#define SUBGROUP_FIRST (gl_SubgroupInvocationID == 0u)
f32 subgroup_sum(f32 x) {
    for (u32 other = SUBGROUP_LANES / 2u; other > 0u; other /= 2u) x += subgroupShuffleXor(x, other);
    return x;
}
#else // Vulkan 1.1 promises no shuffles in subgroups: each lane is one.
#define SUBGROUPS WORKGROUP
#define SUBGROUP LANE
#define SUBGROUP_SUM(x) (x)
#define SUBGROUP_FIRST true
#endif
#define HIDDEN(x) (x)
