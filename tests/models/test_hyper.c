// SPDX-License-Identifier: Apache-2.0
// Numbers of a config.json that a model cannot run with are refused by name.
#include "support/support.h"

#include "base/json.h"
#include "base/size.h"
#include "models/family.h"

#define MAMBA "\"model_type\":\"mamba\",\"num_hidden_layers\":2,\"hidden_size\":64,\"vocab_size\":53"
#define ZAMBA2 "\"model_type\":\"zamba2\",\"num_hidden_layers\":2,\"hidden_size\":64,\"vocab_size\":53,\"num_attention_heads\":2," \
    "\"layers_block_type\":[\"mamba\",\"hybrid\"]"
#define LLAMA "\"model_type\":\"llama\",\"num_hidden_layers\":2,\"hidden_size\":64,\"intermediate_size\":64,\"vocab_size\":53," \
    "\"num_attention_heads\":2"

static hel_status parse(const char *members, hel_hyper *out) {
    char text[512];
    json_t *config;
    snprintf(text, sizeof text, "{%s}", members);
    assert_int_equal(hel_json_parse_config(text, strlen(text), "test", &config), HEL_OK);
    hel_status status = hel_hyper_parse(config, "the/model", out);
    json_decref(config);
    return status;
}

static void test_refused(void **state) {
    (void)state;
    static const struct { const char *members, *key; } cases[] = {
        {LLAMA ",\"rms_norm_eps\":0", "rms_norm_eps"},
        {LLAMA ",\"rms_norm_eps\":-1e-5", "rms_norm_eps"},
        {LLAMA ",\"rms_norm_eps\":Infinity", "rms_norm_eps"},
        {LLAMA ",\"rms_norm_eps\":1e-60", "rms_norm_eps"}, // 0 as a float
        {MAMBA ",\"layer_norm_epsilon\":0.0", "layer_norm_epsilon"},
        {MAMBA ",\"time_step_rank\":\"automatic\"", "time_step_rank"},
        {ZAMBA2 ",\"time_step_min\":-0.5", "time_step_min"},
        {ZAMBA2 ",\"time_step_min\":1e300", "time_step_min"},
    };
    hel_hyper hyper;
    for (size_t i = 0; i < HEL_COUNT(cases); i++) {
        if (parse(cases[i].members, &hyper) != HEL_ERROR_FORMAT) fail_msg("%s was not refused", cases[i].members);
        assert_non_null(strstr(hel_error_message(), "the/model: config: "));
        assert_non_null(strstr(hel_error_message(), cases[i].key));
    }
}

static void test_taken(void **state) {
    (void)state;
    hel_hyper hyper;
    assert_int_equal(parse(LLAMA ",\"rms_norm_eps\":0.5", &hyper), HEL_OK);
    assert_true(hyper.norm_epsilon == 0.5f);
    assert_int_equal(parse(MAMBA ",\"time_step_rank\":\"auto\"", &hyper), HEL_OK);
    assert_int_equal(hyper.ssm.rank, 4);
    assert_int_equal(parse(MAMBA ",\"time_step_rank\":7", &hyper), HEL_OK);
    assert_int_equal(hyper.ssm.rank, 7);
    assert_int_equal(parse(ZAMBA2 ",\"time_step_min\":0.25", &hyper), HEL_OK);
    assert_true(hyper.ssm.dt_low == 0.25f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused), cmocka_unit_test(test_taken)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
