// SPDX-License-Identifier: Apache-2.0
// Layouts and formulas follow ggml's dequantize_row_* (ggml-quants.c). Scales are f16, the lowest nibble or bit belongs
// to the first half of a block.
#include "formats/ggml_blocks.h"

#include "base/error.h"
#include "base/half.h"
#include "base/size.h"
#include "formats/archive_build.h"

static float half_at(const uint8_t *bytes) { return hel_f16_to_float((uint16_t)(bytes[0] | bytes[1] << 8)); }

// ---------------------------------------------------------------- blocks of 32

// d, 16 bytes of nibbles: (q - 8) d
static void expand_q4_0(const uint8_t *block, float *out) {
    float d = half_at(block);
    for (int i = 0; i < 16; i++) {
        out[i] = (float)((block[2 + i] & 15) - 8) * d;
        out[i + 16] = (float)((block[2 + i] >> 4) - 8) * d;
    }
}

// d, m, nibbles: q d + m
static void expand_q4_1(const uint8_t *block, float *out) {
    float d = half_at(block), m = half_at(block + 2);
    for (int i = 0; i < 16; i++) {
        out[i] = (float)(block[4 + i] & 15) * d + m;
        out[i + 16] = (float)(block[4 + i] >> 4) * d + m;
    }
}

// The fifth bits of a block's elements: bit i of the 32 at `high`.
static int fifth_bit(const uint8_t *high, int i) { return (high[i / 8] >> i % 8 & 1) << 4; }

// d, 4 bytes of high bits, nibbles: (q - 16) d
static void expand_q5_0(const uint8_t *block, float *out) {
    float d = half_at(block);
    const uint8_t *high = block + 2, *low = block + 6;
    for (int i = 0; i < 16; i++) {
        out[i] = (float)(((low[i] & 15) | fifth_bit(high, i)) - 16) * d;
        out[i + 16] = (float)((low[i] >> 4 | fifth_bit(high, i + 16)) - 16) * d;
    }
}

// d, m, high bits, nibbles: q d + m
static void expand_q5_1(const uint8_t *block, float *out) {
    float d = half_at(block), m = half_at(block + 2);
    const uint8_t *high = block + 4, *low = block + 8;
    for (int i = 0; i < 16; i++) {
        out[i] = (float)((low[i] & 15) | fifth_bit(high, i)) * d + m;
        out[i + 16] = (float)(low[i] >> 4 | fifth_bit(high, i + 16)) * d + m;
    }
}

// d, 32 signed bytes
static void expand_q8_0(const uint8_t *block, float *out) {
    float d = half_at(block);
    for (int i = 0; i < 32; i++) out[i] = (float)(int8_t)block[2 + i] * d;
}

// d, nibbles into a fixed table
static void expand_iq4_nl(const uint8_t *block, float *out) {
    static const int8_t levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    float d = half_at(block);
    for (int i = 0; i < 16; i++) {
        out[i] = (float)levels[block[2 + i] & 15] * d;
        out[i + 16] = (float)levels[block[2 + i] >> 4] * d;
    }
}

// ---------------------------------------------------------------- blocks of 256

// Scale and minimum of part j of eight: 6 bits each, in 12 bytes; the last four keep their top two bits with the first.
static void scale_of(const uint8_t *packed, int j, float *scale, float *minimum) {
    if (j < 4) {
        *scale = (float)(packed[j] & 63);
        *minimum = (float)(packed[j + 4] & 63);
    } else {
        *scale = (float)((packed[j + 4] & 15) | packed[j - 4] >> 6 << 4);
        *minimum = (float)(packed[j + 4] >> 4 | packed[j] >> 6 << 4);
    }
}

// d, minimum, scales[12], (high bits[32],) nibbles[128]: part j of 32 elements takes the low or high nibbles of 32 bytes
// and bit j of the high bits.
static void expand_k(const uint8_t *block, const uint8_t *high, const uint8_t *nibbles, float *out) {
    float d = half_at(block), dmin = half_at(block + 2), scale, minimum;
    for (int j = 0; j < 8; j++) {
        scale_of(block + 4, j, &scale, &minimum);
        for (int i = 0; i < 32; i++) {
            int q = nibbles[j / 2 * 32 + i] >> j % 2 * 4 & 15;
            if (high) q |= (high[i] >> j & 1) << 4;
            out[j * 32 + i] = d * scale * (float)q - dmin * minimum;
        }
    }
}

static void expand_q4_k(const uint8_t *block, float *out) { expand_k(block, NULL, block + 16, out); }
static void expand_q5_k(const uint8_t *block, float *out) { expand_k(block, block + 16, block + 48, out); }

// low nibbles[128], high pairs[64], signed scales[16] of 16 elements each, d: d scale (q - 32)
static void expand_q6_k(const uint8_t *block, float *out) {
    float d = half_at(block + 208);
    for (int i = 0; i < 256; i++) {
        int half = i / 128, quarter = i % 128 / 32, at = i % 32;
        int low = block[half * 64 + quarter % 2 * 32 + at] >> quarter / 2 * 4 & 15;
        int high = block[128 + half * 32 + at] >> quarter * 2 & 3;
        out[i] = d * (float)(int8_t)block[192 + i / 16] * (float)((low | high << 4) - 32);
    }
}

static const hel_ggml_type types[] = {
    {0, "F32", HEL_F32, 1, 4, NULL},
    {1, "F16", HEL_F16, 1, 2, NULL},
    {30, "BF16", HEL_BF16, 1, 2, NULL},
    {28, "F64", HEL_F64, 1, 8, NULL},
    {24, "I8", HEL_I8, 1, 1, NULL},
    {25, "I16", HEL_I16, 1, 2, NULL},
    {26, "I32", HEL_I32, 1, 4, NULL},
    {27, "I64", HEL_I64, 1, 8, NULL},
    {2, "Q4_0", HEL_F16, 32, 18, expand_q4_0},
    {3, "Q4_1", HEL_F16, 32, 20, expand_q4_1},
    {6, "Q5_0", HEL_F16, 32, 22, expand_q5_0},
    {7, "Q5_1", HEL_F16, 32, 24, expand_q5_1},
    {8, "Q8_0", HEL_F16, 32, 34, expand_q8_0},
    {20, "IQ4_NL", HEL_F16, 32, 18, expand_iq4_nl},
    {12, "Q4_K", HEL_F16, 256, 144, expand_q4_k},
    {13, "Q5_K", HEL_F16, 256, 176, expand_q5_k},
    {14, "Q6_K", HEL_F16, 256, HEL_GGML_MAX_BYTES, expand_q6_k},
};

const hel_ggml_type *hel_ggml_type_find(uint32_t id) {
    for (size_t i = 0; i < HEL_COUNT(types); i++)
        if (types[i].id == id) return &types[i];
    return NULL;
}

// ---------------------------------------------------------------- tensors

hel_status hel_ggml_describe(const hel_file *file, uint64_t declared_at, const hel_ggml_type *type, hel_tensor_info *tensor) {
    const char *path = file->path, *name = tensor->name;
    uint64_t row = tensor->rank ? tensor->shape[tensor->rank - 1] : 1;
    tensor->dtype = type->dtype;
    tensor->stored_as = type->name;
    tensor->file = path;
    if (row % type->elements)
        return hel_fail_file(HEL_ERROR_FORMAT, path, declared_at, "tensor %s: rows of %llu are not whole %s blocks of %u", name,
                             (unsigned long long)row, type->name, type->elements);
    if (!hel_shape_bytes(tensor->dtype, tensor->rank, tensor->shape, &tensor->elements, &tensor->bytes) ||
        !hel_size_mul(tensor->elements / type->elements, type->bytes, &tensor->stored_bytes))
        return hel_fail_file(HEL_ERROR_FORMAT, path, declared_at, "tensor %s: its size overflows", name);
    if (tensor->offset <= file->size && tensor->stored_bytes <= file->size - tensor->offset) return HEL_OK;
    return hel_fail_file(HEL_ERROR_FORMAT, path, declared_at, "tensor %s: its %llu bytes at %llu are beyond the end of the file",
                         name, (unsigned long long)tensor->stored_bytes, (unsigned long long)tensor->offset);
}

enum { PIECE = 16384 };

// Elements first .. first + count; whole blocks are read, a piece at a time.
static hel_status read_blocks(const hel_file *file, const hel_ggml_type *type, uint64_t offset, uint64_t first, uint64_t count,
                              uint16_t *out) {
    uint8_t piece[PIECE];
    float values[HEL_GGML_MAX_ELEMENTS];
    const uint64_t per_piece = PIECE / type->bytes, end = first + count;
    for (uint64_t block = first / type->elements; block * type->elements < end;) {
        uint64_t blocks = HEL_MIN(per_piece, hel_ceil_div(end, type->elements) - block);
        HEL_TRY(hel_file_read(file, offset + block * type->bytes, piece, (size_t)(blocks * type->bytes)));
        for (uint64_t b = 0; b < blocks; b++, block++) {
            type->expand(piece + b * type->bytes, values);
            uint64_t at = block * type->elements;
            for (uint64_t i = at < first ? first - at : 0; i < type->elements && at + i < end; i++)
                out[at + i - first] = hel_float_to_f16(values[i]);
        }
    }
    return HEL_OK;
}

hel_status hel_ggml_read(const hel_file *file, const hel_ggml_type *type, const hel_tensor_info *tensor, uint64_t offset,
                         void *bytes, size_t size) {
    if (!type->expand) return hel_file_read(file, tensor->offset + offset, bytes, size);
    return read_blocks(file, type, tensor->offset, offset / sizeof(uint16_t), size / sizeof(uint16_t), bytes);
}
