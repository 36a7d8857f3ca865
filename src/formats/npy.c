// SPDX-License-Identifier: Apache-2.0
#include "formats/npy.h"

#include <ctype.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/size.h"
#include "formats/archive_build.h"

enum { MAX_HEADER = 65536, PREAMBLE = 10 };

typedef struct npy_state {
    hel_file file;
    char *name;
} npy_state;

static void close_archive(hel_archive *archive) {
    npy_state *state = archive->state;
    hel_file_close(&state->file);
    hel_free(state->name);
}

static hel_status read_tensor(hel_archive *archive, const hel_tensor_info *tensor, uint64_t offset, void *bytes, size_t size) {
    const npy_state *state = archive->state;
    return hel_file_read(&state->file, tensor->offset + offset, bytes, size);
}

static const hel_archive_format format = {"NPY", close_archive, read_tensor};

// ---------------------------------------------------------------- the header: a Python dict of three known keys

static const struct descr_row {
    const char *descr;
    hel_dtype dtype;
} descrs[] = {
    {"<f4", HEL_F32}, {"<f2", HEL_F16}, {"<f8", HEL_F64}, {"|u1", HEL_U8},  {"|i1", HEL_I8},  {"<u2", HEL_U16}, {"<i2", HEL_I16},
    {"<V2", HEL_BF16}, {"|V2", HEL_BF16}, // as numpy writes the bfloat16 of ml_dtypes, which it does not know
    {"<u4", HEL_U32}, {"<i4", HEL_I32}, {"<u8", HEL_U64}, {"<i8", HEL_I64}, {"|b1", HEL_BOOL},
};

typedef struct cursor {
    const char *at, *end;
} cursor;

static void skip_blanks(cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n')) c->at++;
}

static bool take(cursor *c, const char *word) {
    skip_blanks(c);
    size_t length = strlen(word);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0) return false;
    c->at += length;
    return true;
}

static bool take_descr(cursor *c, hel_dtype *out) {
    if (!take(c, "'")) return false;
    for (size_t i = 0; i < HEL_COUNT(descrs); i++)
        if (take(c, descrs[i].descr)) {
            *out = descrs[i].dtype;
            return take(c, "'");
        }
    return false;
}

static bool take_number(cursor *c, uint64_t *out) {
    skip_blanks(c);
    if (c->at == c->end || !isdigit((unsigned char)*c->at)) return false;
    uint64_t value = 0;
    for (; c->at < c->end && isdigit((unsigned char)*c->at); c->at++)
        if (!hel_size_mul(value, 10, &value) || !hel_size_add(value, (uint64_t)(*c->at - '0'), &value)) return false;
    *out = value;
    return true;
}

static bool take_shape(cursor *c, hel_tensor_info *tensor) {
    if (!take(c, "(")) return false;
    while (!take(c, ")")) {
        if (tensor->rank == HEL_MAX_RANK || !take_number(c, &tensor->shape[tensor->rank++])) return false;
        if (!take(c, ",")) return take(c, ")") && tensor->rank > 1;
    }
    return true;
}

static bool take_member(cursor *c, hel_tensor_info *tensor, unsigned *seen) {
    if (take(c, "'descr'")) return *seen |= 1, take(c, ":") && take_descr(c, &tensor->dtype);
    if (take(c, "'fortran_order'")) return *seen |= 2, take(c, ":") && take(c, "False");
    if (take(c, "'shape'")) return *seen |= 4, take(c, ":") && take_shape(c, tensor);
    return false;
}

static bool parse_dict(const char *text, size_t size, hel_tensor_info *tensor) {
    cursor c = {text, text + size};
    unsigned seen = 0;
    if (!take(&c, "{")) return false;
    for (int members = 0; members < 3; members++) {
        if (!take_member(&c, tensor, &seen)) return false;
        if (!take(&c, ",")) break;
    }
    if (!take(&c, "}")) return false;
    skip_blanks(&c);
    return seen == 7 && c.at == c.end;
}

static hel_status read_header(npy_state *state, hel_tensor_info *tensor) {
    unsigned char head[12];
    const char *path = state->file.path;
    HEL_TRY(hel_file_read(&state->file, 0, head, PREAMBLE));
    if (memcmp(head, "\x93NUMPY", 6) != 0) return hel_fail_file(HEL_ERROR_FORMAT, path, 0, "no NPY magic");
    if (head[6] < 1 || head[6] > 3 || head[7] != 0)
        return hel_fail_file(HEL_ERROR_UNSUPPORTED, path, 6, "NPY version %d.%d", head[6], head[7]);
    size_t preamble = head[6] == 1 ? PREAMBLE : sizeof head;
    HEL_TRY(hel_file_read(&state->file, 0, head, preamble));
    uint64_t size = head[8] | (uint64_t)head[9] << 8;
    if (head[6] > 1) size |= (uint64_t)head[10] << 16 | (uint64_t)head[11] << 24;
    if (size > MAX_HEADER) return hel_fail_file(HEL_ERROR_FORMAT, path, 8, "header of %llu bytes", (unsigned long long)size);
    char *text = hel_alloc(size);
    if (!text) return hel_fail_memory(size);
    hel_status status = hel_file_read(&state->file, preamble, text, size);
    if (status == HEL_OK && !parse_dict(text, size, tensor))
        status = hel_fail_file(HEL_ERROR_FORMAT, path, preamble,
                               "header is not a dict of descr, fortran_order False and shape that we know");
    hel_free(text);
    tensor->offset = preamble + size;
    return status;
}

static hel_status describe(hel_archive *archive, const char *path) {
    npy_state *state = archive->state;
    hel_tensor_info *tensor = archive->tensors = hel_alloc_zero(1, sizeof *tensor);
    if (!tensor) return hel_fail_memory(sizeof *tensor);
    HEL_TRY(hel_file_open(path, &state->file));
    HEL_TRY(read_header(state, tensor));
    const char *name = hel_path_name(path);
    state->name = hel_string_copy_n(name, strlen(name) - (hel_path_has_suffix(name, ".npy") ? 4 : 0));
    if (!state->name) return hel_fail_memory(strlen(name));
    if (!hel_shape_bytes(tensor->dtype, tensor->rank, tensor->shape, &tensor->elements, &tensor->bytes) ||
        tensor->bytes != state->file.size - tensor->offset)
        return hel_fail_file(HEL_ERROR_FORMAT, path, tensor->offset, "the data do not have the size that the shape asks for");
    tensor->name = state->name;
    tensor->file = state->file.path;
    tensor->stored_as = hel_dtype_name(tensor->dtype);
    tensor->stored_bytes = tensor->bytes;
    archive->n_tensors = 1;
    archive->file_bytes = state->file.size;
    return hel_archive_index(archive);
}

hel_status hel_npy_open(const char *path, hel_archive **out) {
    hel_archive *archive;
    HEL_TRY(hel_archive_create(&format, path, sizeof(npy_state), &archive));
    hel_status status = describe(archive, path);
    if (status == HEL_OK) *out = archive;
    else hel_archive_close(&archive);
    return status;
}
