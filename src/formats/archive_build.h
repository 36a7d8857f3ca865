// SPDX-License-Identifier: Apache-2.0
// What the readers of formats share to build an archive.
#ifndef HEL_FORMATS_ARCHIVE_BUILD_H
#define HEL_FORMATS_ARCHIVE_BUILD_H

#include "formats/archive.h"

// An empty archive of `format` with zeroed state of the given size; hel_archive_close undoes it at any stage.
hel_status hel_archive_create(const hel_archive_format *format, const char *path, size_t state_size, hel_archive **out);
// The same tensors seen otherwise: `origin`, which the view takes over, also on failure, with its path, tensors and metadata. The
// state begins with a hel_archive_format, which becomes `format` under the origin's name. Without config, texts and name table.
hel_status hel_archive_create_view(const hel_archive_format *format, hel_archive *origin, size_t state_size, hel_archive **out);
// Builds the name table; two tensors of one name are HEL_ERROR_FORMAT.
hel_status hel_archive_index(hel_archive *archive);

bool hel_dtype_from_name(const char *name, hel_dtype *out); // "BF16"
// Product of a shape and its bytes; false where either overflows.
bool hel_shape_bytes(hel_dtype dtype, uint32_t rank, const uint64_t *shape, uint64_t *out_elements, uint64_t *out_bytes);

#endif
