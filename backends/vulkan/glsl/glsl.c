// SPDX-License-Identifier: Apache-2.0
#include "glsl.h"

#include <stdbool.h>
#include <stdlib.h>

#include <glslang/Include/glslang_c_interface.h>
#include <glslang/Public/resource_limits_c.h>

struct hel_glsl {
    glslang_shader_t *shader;
    glslang_program_t *program;
    const char *message; // NULL where all went well
};

static bool compile(hel_glsl *out, const char *text) {
    const glslang_input_t input = {.language = GLSLANG_SOURCE_GLSL,
                                   .stage = GLSLANG_STAGE_COMPUTE,
                                   .client = GLSLANG_CLIENT_VULKAN,
                                   .client_version = GLSLANG_TARGET_VULKAN_1_0,
                                   .target_language = GLSLANG_TARGET_SPV,
                                   .target_language_version = GLSLANG_TARGET_SPV_1_0,
                                   .code = text,
                                   .default_version = 450,
                                   .default_profile = GLSLANG_NO_PROFILE,
                                   .resource = glslang_default_resource()};
    out->shader = glslang_shader_create(&input);
    out->program = glslang_program_create();
    if (!out->shader || !out->program) return false;
    if (!glslang_shader_preprocess(out->shader, &input) || !glslang_shader_parse(out->shader, &input)) {
        out->message = glslang_shader_get_info_log(out->shader);
        return true;
    }
    glslang_program_add_shader(out->program, out->shader);
    if (glslang_program_link(out->program, GLSLANG_MSG_SPV_RULES_BIT | GLSLANG_MSG_VULKAN_RULES_BIT))
        glslang_program_SPIRV_generate(out->program, GLSLANG_STAGE_COMPUTE);
    else out->message = glslang_program_get_info_log(out->program);
    return true;
}

hel_glsl *hel_glsl_compile(const char *text) {
    hel_glsl *out = calloc(1, sizeof *out);
    if (!out) return NULL;
    glslang_initialize_process();
    if (compile(out, text)) return out;
    hel_glsl_free(out);
    return NULL;
}

const uint32_t *hel_glsl_words(const hel_glsl *shader, size_t *out_size) {
    if (shader->message) return NULL;
    *out_size = glslang_program_SPIRV_get_size(shader->program) * sizeof(uint32_t);
    return glslang_program_SPIRV_get_ptr(shader->program);
}

const char *hel_glsl_message(const hel_glsl *shader) { return shader->message ? shader->message : ""; }

void hel_glsl_free(hel_glsl *shader) {
    if (!shader) return;
    if (shader->program) glslang_program_delete(shader->program);
    if (shader->shader) glslang_shader_delete(shader->shader);
    glslang_finalize_process();
    free(shader);
}
