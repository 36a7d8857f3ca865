// SPDX-License-Identifier: Apache-2.0
// Finds the tokenizer of a model: in it, beside it, or in a file of its own.
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "formats/gguf.h"
#include "formats/llama2c.h"
#include "formats/rwkvcpp.h"
#include "text/tokenizer_internal.h"

enum { MAX_JSON = 256 << 20, MAX_VOCABULARY = 64 << 20, MAX_CONFIG = 16 << 20, N_BYTES = 256 };
#define RWKV_VOCABULARY "rwkv_vocab_v20230424.txt"

static hel_status beside(const char *path, const char *name, char **out) {
    char *folder;
    HEL_TRY(hel_path_parent(path, &folder));
    hel_status status = hel_path_join(folder, name, out);
    hel_free(folder);
    return status;
}

static hel_status open_llama2c(const char *path, uint32_t vocab_size, hel_tokenizer **out) {
    char *bytes;
    size_t size;
    HEL_TRY(hel_file_read_all(path, MAX_VOCABULARY, &bytes, &size));
    hel_status status = hel_tokenizer_read_llama2c(path, bytes, size, vocab_size, out);
    hel_free(bytes);
    return status;
}

static hel_status open_rwkv(const char *path, hel_tokenizer **out) {
    char *bytes;
    size_t size;
    HEL_TRY(hel_file_read_all(path, MAX_VOCABULARY, &bytes, &size));
    hel_status status = hel_tokenizer_read_rwkv(path, bytes, size, out);
    hel_free(bytes);
    return status;
}

static hel_status open_json(const char *path, const json_t *config, hel_tokenizer **out) {
    hel_tokenizer_json_source source = {.name = path, .config = config};
    char *text = NULL, *config_path = NULL, *config_text = NULL;
    size_t config_size;
    hel_status status;
    HEL_TRY_DONE(hel_file_read_all(path, MAX_JSON, &text, &source.size));
    HEL_TRY_DONE(beside(path, "tokenizer_config.json", &config_path));
    if (hel_path_exists(config_path))
        HEL_TRY_DONE(hel_file_read_all(config_path, MAX_CONFIG, &config_text, &config_size));
    source.text = text;
    source.tokenizer_config = config_text;
    status = hel_tokenizer_read_json(&source, out);
done:
    hel_free(text);
    hel_free(config_path);
    hel_free(config_text);
    return status;
}

static hel_status open_gguf(const char *path, hel_tokenizer **out) {
    hel_archive *archive;
    HEL_TRY(hel_gguf_open(path, &archive));
    hel_status status = hel_tokenizer_read_gguf(archive, out);
    hel_archive_close(&archive);
    return status;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The kind of file is told by its first bytes. The model, where there is one, says how many tokens a llama2.c file
// must have, and its config.json which ids begin and end a text.
static hel_status open_file(const hel_archive *model, const char *path, hel_tokenizer **out) {
    hel_file file;
    char magic[4] = {0};
    HEL_TRY(hel_file_open(path, &file));
    hel_status status = file.size < sizeof magic ? HEL_OK : hel_file_read(&file, 0, magic, sizeof magic);
    hel_file_close(&file);
    HEL_TRY(status);
    if (!memcmp(magic, "GGUF", 4)) return open_gguf(path, out);
    if (is_digit(magic[0]) && (is_digit(magic[1]) || magic[1] == ' ')) return open_rwkv(path, out);
    size_t blank = 0;
    while (blank < 4 && strchr(" \t\r\n", magic[blank]) && magic[blank]) blank++;
    if (blank == 4 || magic[blank] == '{') return open_json(path, model ? model->config : NULL, out);
    const hel_llama2c_header *header = model ? hel_archive_llama2c(model) : NULL;
    return open_llama2c(path, header ? header->vocab_size : 0, out);
}

// tokenizer.bin or tok<vocabulary>.bin in the checkpoint's folder.
static hel_status open_beside_llama2c(const hel_archive *archive, uint32_t vocab_size, hel_tokenizer **out) {
    char numbered[32];
    snprintf(numbered, sizeof numbered, "tok%u.bin", vocab_size);
    const char *const names[] = {"tokenizer.bin", numbered};
    for (size_t i = 0; i < 2; i++) {
        char *path;
        HEL_TRY(beside(archive->path, names[i], &path));
        bool exists = hel_path_exists(path);
        hel_status status = exists ? open_llama2c(path, vocab_size, out) : HEL_OK;
        hel_free(path);
        if (exists) return status;
    }
    return hel_fail(HEL_ERROR_NOT_FOUND, "%s: neither tokenizer.bin nor %s stands beside it", archive->path, numbered);
}

// Small models of bytes need no file; others have the one vocabulary that RWKV's authors use, in the checkpoint's folder.
static hel_status open_beside_rwkvcpp(const hel_archive *archive, uint32_t vocab_size, hel_tokenizer **out) {
    if (vocab_size == N_BYTES) return hel_tokenizer_make_bytes(out);
    char *path;
    HEL_TRY(beside(archive->path, RWKV_VOCABULARY, &path));
    hel_status status = hel_path_exists(path)
                            ? open_rwkv(path, out)
                            : hel_fail(HEL_ERROR_NOT_FOUND, "%s: " RWKV_VOCABULARY " does not stand beside it", archive->path);
    hel_free(path);
    return status;
}

hel_status hel_tokenizer_from_archive(const hel_archive *archive, const char *tokenizer_path, hel_tokenizer **out) {
    if (tokenizer_path) return open_file(archive, tokenizer_path, out);
    if (archive->tokenizer_text) {
        hel_tokenizer_json_source source = {archive->path, archive->tokenizer_text, archive->tokenizer_size,
                                            archive->tokenizer_config_text, archive->config};
        return hel_tokenizer_read_json(&source, out);
    }
    if (hel_archive_is_gguf(archive)) return hel_tokenizer_read_gguf(archive, out);
    const hel_llama2c_header *header = hel_archive_llama2c(archive);
    if (header) return open_beside_llama2c(archive, header->vocab_size, out);
    const hel_rwkvcpp_header *rwkv = hel_archive_rwkvcpp(archive);
    if (rwkv) return open_beside_rwkvcpp(archive, rwkv->vocabulary, out);
    return hel_fail(HEL_ERROR_NOT_FOUND, "%s: the model has no tokenizer", archive->path);
}

hel_status hel_tokenizer_open(const char *model_path, const char *tokenizer_path, hel_tokenizer **out) {
    if (!out || (!model_path && !tokenizer_path)) return hel_fail(HEL_ERROR_ARGUMENT, "a path or out is NULL");
    *out = NULL;
    if (!model_path) return open_file(NULL, tokenizer_path, out);
    hel_archive *archive;
    HEL_TRY(hel_archive_open(model_path, &archive));
    hel_status status = hel_tokenizer_from_archive(archive, tokenizer_path, out);
    hel_archive_close(&archive);
    return status;
}
