// SPDX-License-Identifier: Apache-2.0
// SHA-256 (FIPS 180-4) through OpenSSL's EVP.
#ifndef HEL_BASE_HASH_H
#define HEL_BASE_HASH_H

#include <helicoid/common.h>

enum { HEL_SHA256_SIZE = 32, HEL_SHA256_TEXT = 65 };

typedef struct hel_sha256 hel_sha256;

hel_status hel_sha256_create(hel_sha256 **out);
void hel_sha256_destroy(hel_sha256 **hash);
hel_status hel_sha256_update(hel_sha256 *hash, const void *bytes, size_t size);
// Writes the digest and starts anew.
hel_status hel_sha256_finish(hel_sha256 *hash, uint8_t digest[HEL_SHA256_SIZE]);

hel_status hel_sha256_of(const void *bytes, size_t size, uint8_t digest[HEL_SHA256_SIZE]);
// Lower-case hexadecimal with a terminating zero.
void hel_sha256_text(const uint8_t digest[HEL_SHA256_SIZE], char text[HEL_SHA256_TEXT]);

#endif
