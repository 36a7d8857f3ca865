// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include <openssl/evp.h>

#include "base/error.h"
#include "base/memory.h"

struct hel_sha256 { EVP_MD_CTX *context; };

static hel_status refused(void) { return hel_fail(HEL_ERROR_MEMORY, "OpenSSL refused a SHA-256 operation"); }

hel_status hel_sha256_create(hel_sha256 **out) {
    hel_sha256 *hash = hel_alloc(sizeof *hash);
    if (!hash) return hel_fail_memory(sizeof *hash);
    hash->context = EVP_MD_CTX_new();
    if (!hash->context || EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL) != 1) {
        hel_sha256_destroy(&hash);
        return refused();
    }
    *out = hash;
    return HEL_OK;
}

void hel_sha256_destroy(hel_sha256 **hash) {
    if (!*hash) return;
    EVP_MD_CTX_free((*hash)->context);
    hel_free(*hash);
    *hash = NULL;
}

hel_status hel_sha256_update(hel_sha256 *hash, const void *bytes, size_t size) {
    return EVP_DigestUpdate(hash->context, bytes, size) == 1 ? HEL_OK : refused();
}

hel_status hel_sha256_finish(hel_sha256 *hash, uint8_t digest[HEL_SHA256_SIZE]) {
    if (EVP_DigestFinal_ex(hash->context, digest, NULL) != 1) return refused();
    return EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL) == 1 ? HEL_OK : refused();
}

hel_status hel_sha256_of(const void *bytes, size_t size, uint8_t digest[HEL_SHA256_SIZE]) {
    return EVP_Digest(bytes, size, digest, NULL, EVP_sha256(), NULL) == 1 ? HEL_OK : refused();
}

void hel_sha256_text(const uint8_t digest[HEL_SHA256_SIZE], char text[HEL_SHA256_TEXT]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < HEL_SHA256_SIZE; i++) {
        text[2 * i] = digits[digest[i] >> 4];
        text[2 * i + 1] = digits[digest[i] & 15];
    }
    text[2 * HEL_SHA256_SIZE] = 0;
}
