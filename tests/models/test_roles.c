// SPDX-License-Identifier: Apache-2.0
// What the table of a family says of a tensor, by its name in each naming, and the policy that follows.
#include "support/support.h"

#include "base/size.h"
#include "models/family.h"

static void test_names(void **state) {
    (void)state;
    unsigned layer;
    char name[HEL_ROLE_NAME];
    const hel_family *family = &hel_llama_family;
    const hel_role *role;
    for (size_t i = 0; (role = hel_family_role(family, i)); i++) {
        bool in_layer = role->section == HEL_SECTION_LAYER;
        hel_role_name(family, role, 7, name);
        assert_ptr_equal(hel_role_of_hugging_face(family, name, &layer), role);
        assert_int_equal(layer, in_layer ? 7 : 0);
        snprintf(name, sizeof name, in_layer ? "blk.7.%s" : "%s", role->gguf);
        assert_ptr_equal(hel_role_of_gguf(family, "llama", name, &layer), role);
    }
    assert_null(hel_role_of_hugging_face(family, "model.layers.0.self_attn.q_norm.weight", &layer));
    assert_null(hel_role_of_hugging_face(family, "self_attn.q_proj.weight", &layer));
    assert_null(hel_role_of_hugging_face(family, "model.layers.65536.self_attn.q_proj.weight", &layer));
    assert_null(hel_role_of_gguf(family, "llama", "blk.0.output.weight", &layer));
    assert_int_equal(hel_role_of_end(family, "lm_head.codebook")->class, HEL_CLASS_LM_HEAD);
    assert_int_equal(hel_role_of_end(family, "model.embed_tokens.weight")->class, HEL_CLASS_EMBEDDING);
    assert_null(hel_role_of_end(family, "lm_head2.weight"));
    assert_true(hel_name_layer(family, "model.layers.3.self_attn.rotary_emb.inv_freq", &layer) && layer == 3);
}

static void test_modules(void **state) {
    (void)state;
    static const struct { const char *module; hel_dimension rows, cols; } cases[] = {
        {"model.layers.0.self_attn.q_proj", HEL_DIMENSION_QUERY, HEL_DIMENSION_HIDDEN},
        {"text.model.layers.0.self_attn.v_proj", HEL_DIMENSION_KEY, HEL_DIMENSION_HIDDEN},
        {"model.layers.0.mlp.down_proj", HEL_DIMENSION_HIDDEN, HEL_DIMENSION_FFN},
        {"model.embed_tokens", HEL_DIMENSION_VOCABULARY, HEL_DIMENSION_HIDDEN},
        {"embed_tokens", HEL_DIMENSION_VOCABULARY, HEL_DIMENSION_HIDDEN},
        {"lm_head", HEL_DIMENSION_VOCABULARY, HEL_DIMENSION_HIDDEN},
    };
    static const char *const none[] = {"", "q_proj", "self_attn.q_proj", "model.norm", "model.layers.0.input_layernorm", "head"};
    for (size_t i = 0; i < HEL_COUNT(cases); i++) {
        const hel_role *role = hel_role_of_module(&hel_llama_family, cases[i].module);
        assert_non_null(role);
        assert_int_equal(role->rows, cases[i].rows);
        assert_int_equal(role->cols, cases[i].cols);
    }
    for (size_t i = 0; i < HEL_COUNT(none); i++) assert_null(hel_role_of_module(&hel_llama_family, none[i]));
}

// Versions of RWKV share names in GGUF.
static void test_versions(void **state) {
    (void)state;
    const hel_family *family = &hel_rwkv_family;
    unsigned layer;
    assert_string_equal(hel_role_of_gguf(family, "rwkv6", "blk.3.time_mix_w1.weight", &layer)->hugging_face, "att.time_maa_w1");
    assert_string_equal(hel_role_of_gguf(family, "rwkv7", "blk.3.time_mix_w1.weight", &layer)->hugging_face, "att.w1");
    assert_string_equal(hel_role_of_gguf(family, "rwkv7", "blk.3.time_mix_v1.weight", &layer)->hugging_face, "att.v1");
    assert_int_equal(layer, 3);
    assert_null(hel_role_of_gguf(family, "rwkv6", "blk.3.time_mix_v1.weight", &layer));
    assert_string_equal(hel_role_of_gguf(family, "rwkv6", "token_embd_norm.bias", &layer)->hugging_face, "blocks.0.ln0.bias");
}

// Adapters of a shared block are numbered by use.
static void test_uses(void **state) {
    (void)state;
    static const char q[] = "model.layers.4.shared_transformer.self_attn.linear_q_adapter_list.12.0";
    const hel_family *family = &hel_zamba2_family;
    unsigned layer;
    char name[HEL_ROLE_NAME];
    snprintf(name, sizeof name, "%s.weight", q);
    const hel_role *role = hel_role_of_hugging_face(family, name, &layer);
    assert_non_null(role);
    assert_int_equal(layer, 4);
    assert_int_equal(role->section, HEL_SECTION_USE);
    assert_int_equal(role->rows, HEL_DIMENSION_ADAPTER);
    assert_ptr_equal(hel_role_of_module(family, q), role);
    assert_null(hel_role_of_module(family, "model.layers.4.shared_transformer.self_attn.linear_q_adapter_list..0"));
    assert_null(hel_role_of_module(family, "model.layers.4.shared_transformer.self_attn.linear_q_adapter_list.x.0"));
    assert_null(hel_role_of_shared(family, name));
    assert_non_null(hel_role_of_shared(family, "model.layers.4.shared_transformer.self_attn.q_proj.codebook"));
    assert_null(hel_role_of_shared(family, "model.layers.4.mamba.in_proj.weight"));
}

static void test_types(void **state) {
    (void)state;
    assert_non_null(hel_model_type_find("mistral", NULL));
    assert_null(hel_model_type_find("llama4", NULL));
    assert_true(hel_model_type_of_gguf("llama...", 5, NULL)->gguf_interleaved);
    assert_string_equal(hel_model_type_of_gguf("qwen2", 5, NULL)->class_name, "Qwen2ForCausalLM");
    assert_null(hel_model_type_of_gguf("mistral", 7, NULL));
    assert_null(hel_model_type_of_gguf("", 0, NULL));
}

static void test_policy(void **state) {
    (void)state;
    static const struct {
        const char *name;
        uint32_t rank;
        hel_tensor_class class;
        bool exact;
        double percentile;
        uint32_t cap;
    } cases[] = {
        {"model.layers.0.self_attn.q_proj.weight", 2, HEL_CLASS_ATTENTION_QK, false, 99.95, 512},
        {"model.layers.11.self_attn.k_proj.weight", 2, HEL_CLASS_ATTENTION_QK, false, 99.95, 512},
        {"model.layers.1.self_attn.o_proj.weight", 2, HEL_CLASS_ATTENTION_VO, false, 99.9, 512},
        {"model.layers.1.mlp.down_proj.weight", 2, HEL_CLASS_FFN, false, 99.9, 512},
        {"language_model.model.layers.1.mlp.up_proj.weight", 2, HEL_CLASS_FFN, false, 99.9, 512},
        {"model.layers.1.shared_transformer.feed_forward.gate_up_proj_adapter_list.0.0.weight", 2, HEL_CLASS_FFN, false, 99.9, 512},
        {"model.layers.1.shared_transformer.self_attn.linear_k_adapter_list.13.1.weight", 2, HEL_CLASS_ATTENTION_QK, false, 99.95, 512},
        {"layers.x.mlp.up_proj.weight", 2, HEL_CLASS_UNKNOWN, false, 99.9, 256},
        {"backbone.layers.3.mixer.in_proj.weight", 2, HEL_CLASS_FFN, false, 99.9, 512},
        {"backbone.layers.3.mixer.conv1d.weight", 3, HEL_CLASS_UNKNOWN, true, 99.9, 256},
        {"blk.2.attn_k.weight", 2, HEL_CLASS_ATTENTION_QK, false, 99.95, 512},
        {"blk.2.attn_norm.weight", 1, HEL_CLASS_NORM, true, 99.9, 256},
        {"encoder.layer.0.attention.self.query.weight", 2, HEL_CLASS_UNKNOWN, false, 99.9, 256},
        {"encoder.layer.0.attention.self.query.bias", 1, HEL_CLASS_NORM, true, 99.9, 256},
        {"embeddings.word_embeddings.weight", 2, HEL_CLASS_EMBEDDING, true, 99.9, 512},
        {"model.embed_tokens.weight", 2, HEL_CLASS_EMBEDDING, true, 99.9, 512},
        {"transformer.wte.weight", 2, HEL_CLASS_EMBEDDING, true, 99.9, 512},
        {"token_embd.weight", 2, HEL_CLASS_EMBEDDING, true, 99.9, 512},
        {"lm_head.weight", 2, HEL_CLASS_LM_HEAD, true, 99.9, 512},
        {"output.weight", 2, HEL_CLASS_LM_HEAD, true, 99.9, 512},
        {"model.layers.0.input_layernorm.weight", 1, HEL_CLASS_NORM, true, 99.9, 256},
        {"A_log", 2, HEL_CLASS_UNKNOWN, true, 99.9, 256},
    };
    static const uint64_t shape[] = {64, 64, 4};
    for (size_t i = 0; i < HEL_COUNT(cases); i++) {
        hel_tensor_class class = hel_role_classify(cases[i].name, cases[i].rank);
        hel_policy policy = hel_policy_for(class, cases[i].name, cases[i].rank, shape, true, false);
        if (policy.class != cases[i].class || (policy.exact != NULL) != cases[i].exact ||
            policy.percentile != cases[i].percentile || policy.cap != cases[i].cap)
            fail_msg("%s: class %s, exact %s", cases[i].name, hel_tensor_class_name(policy.class),
                     policy.exact ? policy.exact : "no");
    }
    assert_null(hel_policy_for(HEL_CLASS_LM_HEAD, "lm_head.weight", 2, shape, true, true).exact);
    assert_false(hel_policy_for(HEL_CLASS_EMBEDDING, "model.embed_tokens.weight", 2, shape, true, true).sidecar);
    assert_non_null(hel_policy_for(HEL_CLASS_LM_HEAD, "lm_head.weight", 3, shape, true, true).exact);
    assert_non_null(hel_policy_for(HEL_CLASS_FFN, "model.layers.0.mlp.up_proj.weight", 2, shape, false, true).exact);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), cmocka_unit_test(test_modules), cmocka_unit_test(test_uses), cmocka_unit_test(test_versions),
        cmocka_unit_test(test_types), cmocka_unit_test(test_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
