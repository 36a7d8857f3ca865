// SPDX-License-Identifier: Apache-2.0
// transpose (shaders/transpose.k), squares of WIDTH x WIDTH in registers.
#include "../cpu.h"
#include "base/size.h"
#include "kernels.h"
#include "simd.h"

// Elements row .. row_end x col .. col_end one by one.
static void transpose_few(const cpu_launch *launch, uint32_t row, uint32_t row_end, uint32_t col, uint32_t col_end) {
    const hel_transpose_params *p = launch->params;
    const float *x = (const float *)launch->buffers[0] + p->x_first;
    float *y = (float *)launch->buffers[1] + p->y_first;
    for (uint32_t c = col; c < col_end; c++)
        for (uint32_t r = row; r < row_end; r++) {
            float value = r < p->valid ? x[(size_t)r * p->x_stride + c] : 0.0f, *to = y + (size_t)c * p->y_stride + r;
            *to = launch->constants[0] ? *to + value : value;
        }
}

static void transpose_square(const cpu_launch *launch, uint32_t row, uint32_t col) {
    const hel_transpose_params *p = launch->params;
    const float *x = (const float *)launch->buffers[0] + p->x_first + (size_t)row * p->x_stride + col;
    float *y = (float *)launch->buffers[1] + p->y_first + (size_t)col * p->y_stride + row;
    vec square[WIDTH];
    for (uint32_t i = 0; i < WIDTH; i++) square[i] = row + i < p->valid ? vec_load(x + (size_t)i * p->x_stride) : vec_zero();
    vec_transpose(square);
    for (uint32_t i = 0; i < WIDTH; i++, y += p->y_stride)
        vec_store(y, launch->constants[0] ? vec_add(vec_load(y), square[i]) : square[i]);
}

void SIMD(cpu_transpose)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_transpose_params *p = launch->params;
    uint32_t across = (uint32_t)hel_ceil_div(p->cols, HEL_TRANSPOSE_TILE);
    for (uint32_t group = first; group < first + count; group++) {
        uint32_t row = group / across * HEL_TRANSPOSE_TILE, col = group % across * HEL_TRANSPOSE_TILE;
        uint32_t row_end = HEL_MIN(row + HEL_TRANSPOSE_TILE, p->rows), col_end = HEL_MIN(col + HEL_TRANSPOSE_TILE, p->cols);
        uint32_t squares_end = row + (row_end - row) / WIDTH * WIDTH, whole = col + (col_end - col) / WIDTH * WIDTH;
        for (uint32_t c = col; c < whole; c += WIDTH)
            for (uint32_t r = row; r < squares_end; r += WIDTH) transpose_square(launch, r, c);
        transpose_few(launch, squares_end, row_end, col, whole);
        transpose_few(launch, row, row_end, whole, col_end);
    }
}
