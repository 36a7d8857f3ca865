// SPDX-License-Identifier: Apache-2.0
// Shapes of matrices whose indices are packed flat: from the module_shapes of our packed files, or from the
// hyper-parameters of a family we run.
#ifndef HEL_MODELS_MODULE_SHAPE_H
#define HEL_MODELS_MODULE_SHAPE_H

#include "formats/archive.h"

// Rows and columns of `module`, 0 and 0 where nothing tells them or the indices show them.
hel_status hel_module_shape(const hel_archive *archive, const char *module, uint64_t *rows, uint64_t *cols);
#endif
