// SPDX-License-Identifier: Apache-2.0
#include "models/rwkv_view.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/size.h"
#include "formats/archive_build.h"
#include "models/rwkv_source.h"

typedef enum view_turn {
    TURN_NONE,
    TURN_TRANSPOSE, // of the last two dimensions
    TURN_RATE,      // -e^x
    TURN_DECAY,     // e^-e^x
    TURN_EXP,
} view_turn;

// Tensors of a layer whose values the runtime wants otherwise.
static const struct { uint32_t version; const char *name; view_turn turn; } turned[] = {
    {4, "att.time_decay", TURN_RATE},
    {5, "att.time_decay", TURN_DECAY},
    {5, "att.time_first", TURN_EXP},
    {6, "att.time_maa_w1", TURN_TRANSPOSE},
    {6, "att.time_maa_w2", TURN_TRANSPOSE},
    {6, "att.time_decay_w1", TURN_TRANSPOSE},
    {6, "att.time_decay_w2", TURN_TRANSPOSE},
    {7, "att.w1", TURN_TRANSPOSE}, {7, "att.w2", TURN_TRANSPOSE},
    {7, "att.a1", TURN_TRANSPOSE}, {7, "att.a2", TURN_TRANSPOSE},
    {7, "att.v1", TURN_TRANSPOSE}, {7, "att.v2", TURN_TRANSPOSE},
    {7, "att.g1", TURN_TRANSPOSE}, {7, "att.g2", TURN_TRANSPOSE},
};

// What transformers calls the parts of a name, below the prefix "rwkv.".
static const struct { const char *part, *authors; } parts[] = {
    {"embeddings", "emb"}, {"pre_ln", "ln0"}, {"attention", "att"}, {"feed_forward", "ffn"},
    {"time_mix_key", "time_mix_k"}, {"time_mix_value", "time_mix_v"}, {"time_mix_receptance", "time_mix_r"},
};
static const char prefix[] = "rwkv.";

enum { NAME_SIZE = 96 };

// The view's tensor i is the origin's tensor i.
typedef struct view_state {
    hel_archive_format format; // under the origin's name
    char (*names)[NAME_SIZE];
    view_turn *turns;
} view_state;

static void close_view(hel_archive *archive) {
    view_state *view = archive->state;
    hel_free(view->names);
    hel_free(view->turns);
}

// ---------------------------------------------------------------- reading

static hel_status read_transposed(hel_archive *origin, const hel_tensor_info *stored, const hel_tensor_info *tensor,
                                  uint64_t offset, char *bytes, size_t size) {
    uint64_t rows = tensor->shape[tensor->rank - 2], cols = tensor->shape[tensor->rank - 1];
    size_t element = hel_dtype_size(tensor->dtype);
    void *whole; // low-rank factors are narrow
    HEL_TRY(hel_archive_read_all(origin, stored, stored->bytes, &whole));
    for (uint64_t i = 0; i < size / element; i++) {
        uint64_t at = offset / element + i, block = at / (rows * cols) * (rows * cols), row = (at - block) / cols, col = at % cols;
        memcpy(bytes + i * element, (const char *)whole + (block + col * rows + row) * element, element);
    }
    hel_free(whole);
    return HEL_OK;
}

static float turn_value(view_turn turn, float x) {
    if (turn == TURN_EXP) return expf(x);
    return turn == TURN_RATE ? -expf(x) : expf(-expf(x));
}

static hel_status read_turned(hel_archive *origin, const hel_tensor_info *stored, view_turn turn, uint64_t offset, char *bytes,
                              size_t size) {
    float values[256];
    for (size_t done = 0; done < size;) {
        size_t now = HEL_MIN(size - done, sizeof values), count = now / sizeof *values;
        HEL_TRY(hel_archive_read_f32(origin, stored, (offset + done) / sizeof *values, count, values));
        for (size_t i = 0; i < count; i++) values[i] = turn_value(turn, values[i]);
        memcpy(bytes + done, values, now);
        done += now;
    }
    return HEL_OK;
}

static hel_status read_view(hel_archive *archive, const hel_tensor_info *tensor, uint64_t offset, void *bytes, size_t size) {
    const view_state *view = archive->state;
    size_t index = (size_t)(tensor - archive->tensors);
    const hel_tensor_info *stored = &archive->origin->tensors[index];
    view_turn turn = view->turns[index];
    if (turn == TURN_NONE) return hel_archive_read(archive->origin, stored, offset, bytes, size);
    if (turn == TURN_TRANSPOSE) return read_transposed(archive->origin, stored, tensor, offset, bytes, size);
    return read_turned(archive->origin, stored, turn, offset, bytes, size);
}

static const hel_archive_format view_format = {"view", close_view, read_view};

// ---------------------------------------------------------------- names

static bool is_transformers(const hel_archive *archive) {
    return hel_archive_find(archive, "rwkv.embeddings.weight") && hel_archive_find(archive, "rwkv.blocks.0.attention.key.weight");
}

bool hel_rwkv_is_raw(const hel_archive *archive) {
    bool ready = json_is_true(json_object_get(archive->config, HEL_RWKV_READY));
    return !ready && (hel_rwkv_is(archive) || is_transformers(archive));
}

// The name with each part as one side or the other calls it; false where there is no room for it.
static bool rename_parts(const char *name, bool as_authors, char out[NAME_SIZE]) {
    size_t used = 0;
    for (const char *end; *name; name = end) {
        end = name + strcspn(name, ".");
        size_t length = (size_t)(end - name);
        const char *part = name;
        for (size_t i = 0; i < HEL_COUNT(parts); i++) {
            const char *from = as_authors ? parts[i].part : parts[i].authors, *to = as_authors ? parts[i].authors : parts[i].part;
            if (strlen(from) == length && memcmp(from, name, length) == 0) part = to;
        }
        if (part != name) length = strlen(part);
        if (used + length + 2 > NAME_SIZE) return false;
        memcpy(out + used, part, length);
        used += length;
        if (*end) out[used++] = *end++;
    }
    out[used] = 0;
    return true;
}

// It stays as it is where there is no room.
static bool name_as_authors(const char *name, char out[NAME_SIZE]) {
    return rename_parts(strncmp(name, prefix, strlen(prefix)) == 0 ? name + strlen(prefix) : name, true, out);
}

// ---------------------------------------------------------------- making a view

static view_turn turn_of(uint32_t version, const char *name) {
    for (size_t i = 0; i < HEL_COUNT(turned); i++) {
        size_t length = strlen(name), tail = strlen(turned[i].name);
        if (turned[i].version == version && length > tail && name[length - tail - 1] == '.' &&
            strcmp(name + length - tail, turned[i].name) == 0)
            return turned[i].turn;
    }
    return TURN_NONE;
}

static hel_status turn_tensor(hel_tensor_info *tensor, view_turn turn) {
    if (turn == TURN_NONE) return HEL_OK;
    if (!hel_dtype_is_float(tensor->dtype) || (turn == TURN_TRANSPOSE && tensor->rank < 2))
        return hel_fail_file(HEL_ERROR_FORMAT, tensor->file, tensor->offset, "tensor \"%s\": %u dimensions of %s are not its form",
                             tensor->name, tensor->rank, hel_dtype_name(tensor->dtype));
    if (turn == TURN_TRANSPOSE) {
        uint64_t *sides = &tensor->shape[tensor->rank - 2], first = sides[0];
        sides[0] = sides[1];
        sides[1] = first;
        return HEL_OK;
    }
    tensor->dtype = HEL_F32;
    tensor->stored_as = hel_dtype_name(HEL_F32);
    if (!hel_shape_bytes(HEL_F32, tensor->rank, tensor->shape, &tensor->elements, &tensor->bytes))
        return hel_fail_file(HEL_ERROR_FORMAT, tensor->file, tensor->offset, "tensor \"%s\" is too large", tensor->name);
    return HEL_OK;
}

static hel_status fill(hel_archive *archive) {
    view_state *view = archive->state;
    size_t count = archive->n_tensors;
    view->names = hel_alloc_array(count + 1, sizeof *view->names);
    view->turns = hel_alloc_zero(count + 1, sizeof *view->turns);
    if (!view->names || !view->turns) return hel_fail_memory(count * sizeof *view->names);
    for (size_t i = 0; i < count; i++)
        if (name_as_authors(archive->tensors[i].name, view->names[i])) archive->tensors[i].name = view->names[i];
    HEL_TRY(hel_archive_index(archive));
    uint32_t version = hel_rwkv_version(archive);
    if (version != 4 && is_transformers(archive->origin))
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: RWKV-%u under other names than the authors' is not read", archive->path,
                        version);
    for (size_t i = 0; i < count; i++) {
        view->turns[i] = turn_of(version, archive->tensors[i].name);
        HEL_TRY(turn_tensor(&archive->tensors[i], view->turns[i]));
    }
    return HEL_OK;
}

// What the file's own config says of other things (tokens that end a text) stays. transformers takes layer_norm_epsilon for all
// norms but the last.
static hel_status make_config(hel_archive *archive) {
    const json_t *stored = archive->origin->config;
    double epsilon = 1e-5;
    json_t *measured = NULL;
    if (stored) HEL_TRY(hel_json_get_f64(stored, "layer_norm_epsilon", epsilon, &epsilon));
    if (epsilon != 1e-5) return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: config: layer_norm_epsilon %g", archive->path, epsilon);
    HEL_TRY(hel_rwkv_config(archive, HEL_RWKV_AUTHORS_EPSILON, &measured));
    archive->config = stored ? json_deep_copy(stored) : json_object();
    bool merged = archive->config && json_object_update(archive->config, measured) == 0;
    if (merged) json_object_del(archive->config, "architectures"); // which reads other names
    json_decref(measured);
    return merged ? HEL_OK : hel_fail_memory(sizeof *stored);
}

hel_status hel_rwkv_view(hel_archive *origin, hel_archive **out) {
    hel_archive *archive;
    HEL_TRY(hel_archive_create_view(&view_format, origin, sizeof(view_state), &archive));
    hel_status status = fill(archive);
    if (status == HEL_OK) status = make_config(archive);
    if (status == HEL_OK) *out = archive;
    else hel_archive_close(&archive);
    return status;
}

// ---------------------------------------------------------------- the way back

bool hel_rwkv_goes_back(const json_t *config) {
    const char *type = json_string_value(json_object_get(config, "model_type"));
    return type && strcmp(type, "rwkv4") == 0 && json_is_true(json_object_get(config, HEL_RWKV_READY));
}

hel_status hel_rwkv_config_back(json_t *config) {
    json_t *class = json_pack("{s:s, s:[s], s:O?, s:f}", "model_type", "rwkv", "architectures", "RwkvForCausalLM",
                              "attention_hidden_size", json_object_get(config, "hidden_size"), "layer_norm_epsilon", 1e-5);
    bool changed = class && json_object_update(config, class) == 0 && json_object_del(config, HEL_RWKV_READY) == 0;
    json_decref(class);
    return changed ? HEL_OK : hel_fail_memory(NAME_SIZE);
}

hel_status hel_rwkv_name_back(const char *name, char **out) {
    char renamed[NAME_SIZE];
    bool known = rename_parts(name, false, renamed);
    *out = hel_string_join(known && strncmp(name, "head.", strlen("head.")) != 0 ? prefix : "", known ? renamed : name);
    return *out ? HEL_OK : hel_fail_memory(NAME_SIZE);
}

void hel_rwkv_shape_back(const char *name, uint32_t *rank, uint64_t shape[HEL_MAX_RANK]) {
    if (*rank != 1 || !strstr(name, ".time_mix_")) return;
    shape[2] = shape[0];
    shape[0] = shape[1] = 1;
    *rank = 3;
}

bool hel_rwkv_turns_back(const char *name) { return turn_of(4, name) != TURN_NONE; }

// Of TURN_RATE, the only one of version 4.
bool hel_rwkv_turn_back(float *values, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        if (!(values[i] <= 0)) return false;
        values[i] = logf(-values[i]);
    }
    return true;
}
