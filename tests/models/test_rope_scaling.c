// SPDX-License-Identifier: Apache-2.0
// RoPE scaling in config.json: the frequencies that come of it, against transformers', and what must be refused: a
// model whose scaling is left out in silence goes wrong, and only far into a text.
#include "support/npy_files.h"

#include <helicoid/helicoid.h>

#include "base/json.h"
#include "models/hyper.h"

enum { POSITIONS = 128 };

static const char sizes[] = "\"model_type\":\"llama\",\"num_hidden_layers\":2,\"hidden_size\":32,\"intermediate_size\":32,"
                            "\"num_attention_heads\":2,\"vocab_size\":64,\"rope_theta\":500.0";

static hel_status parse(const char *members, hel_hyper *out) {
    char text[1024];
    json_t *config;
    snprintf(text, sizeof text, "{%s,%s}", sizes, members);
    if (hel_json_parse(text, strlen(text), "config", 0, &config)) fail_msg("%s: %s", members, hel_error_message());
    hel_status status = hel_hyper_parse(config, "the/model", out);
    json_decref(config);
    return status;
}

static void expect_frequencies(const char *members, const char *name) {
    hel_hyper hyper;
    char file[64];
    uint64_t half;
    if (parse(members, &hyper)) fail_msg("%s: %s", members, hel_error_message());
    snprintf(file, sizeof file, "recorded/%s.inv_freq.npy", name);
    float *frequencies = npy_read(file, &half), *table = malloc((size_t)POSITIONS * hyper.head_dim * sizeof *table);
    assert_int_equal(half, hyper.head_dim / 2);
    hel_hyper_rope_table(&hyper, POSITIONS, table);
    for (uint32_t p = 0; p < POSITIONS; p++)
        for (uint64_t i = 0; i < half; i++) {
            const float *pair = table + 2 * (p * half + i);
            // float32 frequencies times the position: what transformers turns by is off by that much itself
            double angle = p * (double)frequencies[i], slack = 1e-6 + 2e-7 * angle;
            if (!(fabs(pair[0] - cos(angle)) <= slack && fabs(pair[1] - sin(angle)) <= slack))
                fail_msg("%s: position %u, pair %u: (%g, %g)", members, p, (unsigned)i, (double)pair[0], (double)pair[1]);
        }
    free(table);
    free(frequencies);
}

#define LLAMA3 "\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4,\"original_max_position_embeddings\":32"

static void test_frequencies(void **state) {
    (void)state;
    static const char *const plain[] = {
        "\"rope_scaling\":null", "\"rope_parameters\":{}", "\"rope_scaling\":{\"rope_type\":\"default\"}",
        "\"rope_scaling\":{\"type\":\"default\"}", "\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":500.0}",
    };
    static const char *const linear[] = {
        "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":4.0}", "\"rope_scaling\":{\"type\":\"linear\",\"factor\":4}",
        "\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":4.0,\"rope_theta\":500}",
    };
    static const char *const llama3[] = {
        "\"rope_scaling\":{\"rope_type\":\"llama3\"," LLAMA3 "}", "\"rope_scaling\":{\"type\":\"llama3\"," LLAMA3 "}",
        "\"rope_parameters\":{\"rope_theta\":500,\"rope_type\":\"llama3\"," LLAMA3 "}",
    };
    for (int i = 0; i < 5; i++) expect_frequencies(plain[i], "qwen2_bias"); // of the same theta
    for (int i = 0; i < 3; i++) expect_frequencies(linear[i], "llama_linear");
    for (int i = 0; i < 3; i++) expect_frequencies(llama3[i], "llama_llama3");
}

// The message says which file, and which scaling.
static void test_unknown(void **state) {
    (void)state;
    static const char *const types[] = {"dynamic", "yarn", "longrope", "su", "mrope", "proportional", "Linear", ""};
    static const char *const places[] = {"rope_scaling", "rope_parameters"}, *const keys[] = {"type", "rope_type"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (int place = 0; place < 2; place++)
            for (int key = 0; key < 2; key++) {
                char members[256], quoted[64];
                hel_hyper hyper;
                snprintf(members, sizeof members, "\"%s\":{\"%s\":\"%s\",\"factor\":2.0}", places[place], keys[key], types[i]);
                snprintf(quoted, sizeof quoted, "\"%s\"", types[i]);
                if (parse(members, &hyper) != HEL_ERROR_UNSUPPORTED) fail_msg("%s was not refused", members);
                assert_non_null(strstr(hel_error_message(), "the/model: config: RoPE scaling"));
                assert_non_null(strstr(hel_error_message(), quoted));
            }
}

static void test_broken(void **state) {
    (void)state;
    static const char *const broken[] = {
        // not an object
        "\"rope_scaling\":\"yarn\"", "\"rope_scaling\":4.0", "\"rope_scaling\":[]", "\"rope_parameters\":true",
        // a factor of what?
        "\"rope_scaling\":{\"factor\":8.0}", "\"rope_parameters\":{\"rope_theta\":500,\"factor\":8.0}",
        // transformers asks for each of these too
        "\"rope_scaling\":{\"rope_type\":\"linear\"}", "\"rope_scaling\":{\"type\":\"linear\",\"factor\":null}",
        "\"rope_scaling\":{\"rope_type\":\"llama3\",\"low_freq_factor\":1,\"high_freq_factor\":4,"
        "\"original_max_position_embeddings\":32}",
        "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"high_freq_factor\":4,\"original_max_position_embeddings\":32}",
        "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,\"original_max_position_embeddings\":32}",
        "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4}",
        // contradictions and wrong types
        "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":0}", "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":-4}",
        "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":\"4\"}", "\"rope_scaling\":{\"rope_type\":3,\"factor\":4}",
        "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4,"
        "\"original_max_position_embeddings\":32}",
        "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4,"
        "\"original_max_position_embeddings\":0}",
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        hel_hyper hyper;
        if (parse(broken[i], &hyper) != HEL_ERROR_FORMAT) fail_msg("%s was not refused", broken[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frequencies), cmocka_unit_test(test_unknown), cmocka_unit_test(test_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
