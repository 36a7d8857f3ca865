// SPDX-License-Identifier: Apache-2.0
// GLSL to SPIR-V at run time. glslang is C++ and large: it is in a shared library of its own, libhelicoid-glslang, behind these.
#ifndef BACKENDS_VULKAN_GLSL_H
#define BACKENDS_VULKAN_GLSL_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define HEL_GLSL_API __attribute__((visibility("default")))
#else
#define HEL_GLSL_API
#endif

typedef struct hel_glsl hel_glsl;

// A compute shader for Vulkan 1.0. NULL out of memory; free with hel_glsl_free, whatever came of it. Thread-safety: safe.
HEL_GLSL_API hel_glsl *hel_glsl_compile(const char *text);
// What came of it: words, as many bytes as *out_size; or NULL, and the compiler's own words.
HEL_GLSL_API const uint32_t *hel_glsl_words(const hel_glsl *shader, size_t *out_size);
HEL_GLSL_API const char *hel_glsl_message(const hel_glsl *shader);
HEL_GLSL_API void hel_glsl_free(hel_glsl *shader); // accepts NULL

#endif
