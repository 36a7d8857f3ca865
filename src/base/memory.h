// SPDX-License-Identifier: Apache-2.0
// Host memory through the caller's hooks. Every function returns NULL when memory is out or the size overflows.
#ifndef HEL_BASE_MEMORY_H
#define HEL_BASE_MEMORY_H

#include <helicoid/common.h>

void *hel_alloc(size_t size);                        // contents undefined; size 0 gives a valid pointer
void *hel_alloc_zero(size_t count, size_t size);     // zeroed, checked count * size
void *hel_alloc_array(size_t count, size_t size);    // undefined contents, checked count * size
void *hel_resize(void *pointer, size_t size);        // like realloc; the old block stays valid on failure
void hel_free(void *pointer);                        // accepts NULL
char *hel_string_copy(const char *text);             // NULL on failure
char *hel_string_copy_n(const char *text, size_t length);
char *hel_string_join(const char *left, const char *right); // left, then right; NULL on failure

// 64-byte aligned memory for vector code, contents undefined; release with hel_free_aligned.
void *hel_alloc_aligned(size_t size);
void hel_free_aligned(void *pointer);

#endif
