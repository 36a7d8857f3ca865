// SPDX-License-Identifier: Apache-2.0
// GGUF is refused until its reader is here.
#include "formats/gguf.h"

#include "base/error.h"

static hel_status refuse(const char *what) { return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: GGUF is not read yet", what); }

hel_status hel_gguf_open(const char *path, hel_archive **out) {
    (void)out;
    return refuse(path);
}
bool hel_archive_is_gguf(const hel_archive *archive) {
    (void)archive;
    return false;
}
hel_status hel_gguf_get_u64(const hel_archive *archive, const char *key, uint64_t *out) {
    (void)archive, (void)out;
    return refuse(key);
}
hel_status hel_gguf_get_f64(const hel_archive *archive, const char *key, double *out) {
    (void)archive, (void)out;
    return refuse(key);
}
hel_status hel_gguf_get_string(const hel_archive *archive, const char *key, hel_gguf_string *out) {
    (void)archive, (void)out;
    return refuse(key);
}
hel_status hel_gguf_array_size(const hel_archive *archive, const char *key, uint64_t *out) {
    (void)archive, (void)out;
    return refuse(key);
}
hel_status hel_gguf_array_string(const hel_archive *archive, const char *key, uint64_t index, hel_gguf_string *out) {
    (void)archive, (void)index, (void)out;
    return refuse(key);
}
hel_status hel_gguf_array_f64(const hel_archive *archive, const char *key, uint64_t index, double *out) {
    (void)archive, (void)index, (void)out;
    return refuse(key);
}
