// SPDX-License-Identifier: Apache-2.0
// JSON by jansson, with its strict rules: duplicate keys, bad UTF-8 and trailing bytes are errors.
#ifndef HEL_BASE_JSON_H
#define HEL_BASE_JSON_H

#include <helicoid/common.h>
#include <jansson.h>

// `name` and `offset` say in errors where the text stands (file path; byte where the text begins in it).
// Free with json_decref.
hel_status hel_json_parse(const char *text, size_t size, const char *name, uint64_t offset, json_t **out);
// The same with every number a real: for files with integers beyond 64 bits (transformers writes a model_max_length of 10^30).
hel_status hel_json_parse_reals(const char *text, size_t size, const char *name, uint64_t offset, json_t **out);
// With Infinity, which Python writes and JSON has no word for, as 1e308; hel_json_print_config turns that back.
hel_status hel_json_parse_config(const char *text, size_t size, const char *name, json_t **out);
hel_status hel_json_read_file(const char *path, size_t limit, json_t **out);
// Compact (indent 0) or indented text, keys in insertion order, with a terminating zero; free with hel_free.
hel_status hel_json_print(const json_t *value, int indent, char **out, size_t *out_size);
hel_status hel_json_print_config(const json_t *value, int indent, char **out, size_t *out_size);

// Members with a type check. A missing key or null takes the default; a wrong type is HEL_ERROR_FORMAT naming the key.
hel_status hel_json_get_u64(const json_t *object, const char *key, uint64_t otherwise, uint64_t *out);
hel_status hel_json_get_u32(const json_t *object, const char *key, uint32_t otherwise, uint32_t *out);
hel_status hel_json_get_f64(const json_t *object, const char *key, double otherwise, double *out); // integers too
hel_status hel_json_get_bool(const json_t *object, const char *key, bool otherwise, bool *out);
hel_status hel_json_get_string(const json_t *object, const char *key, const char *otherwise, const char **out); // borrowed

#endif
