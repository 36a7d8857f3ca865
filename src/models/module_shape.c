// SPDX-License-Identifier: Apache-2.0
#include "models/module_shape.h"

#include "base/error.h"
#include "models/roles.h"

// Matrices of the families we run, whose shapes follow from their hyper-parameters.
static void shape_by_name(const hel_hyper *hyper, const char *module, uint64_t *rows, uint64_t *cols) {
    const hel_role *role = hel_role_of_module(hyper->family, module);
    if (!role) return;
    *rows = hel_hyper_dimension(hyper, role->rows);
    *cols = hel_hyper_dimension(hyper, role->cols);
}

hel_status hel_module_shape(const hel_archive *archive, const char *module, uint64_t *rows, uint64_t *cols) {
    const json_t *quantization = json_object_get(archive->config, "quantization_config");
    const json_t *shape = json_object_get(json_object_get(quantization, "module_shapes"), module);
    hel_hyper hyper;
    *rows = *cols = 0;
    if (!shape) {
        const char *packing = json_string_value(json_object_get(quantization, "index_packing"));
        if (packing && hel_hyper_parse(archive->config, archive->path, &hyper) == HEL_OK)
            shape_by_name(&hyper, module, rows, cols);
        return HEL_OK;
    }
    json_int_t r = json_integer_value(json_array_get(shape, 0)), c = json_integer_value(json_array_get(shape, 1));
    if (json_array_size(shape) != 2 || r <= 0 || c <= 0)
        return hel_fail(HEL_ERROR_FORMAT, "%s: module_shapes of \"%.200s\" is not [rows, columns]", archive->path,
                        module);
    *rows = (uint64_t)r;
    *cols = (uint64_t)c;
    return HEL_OK;
}
