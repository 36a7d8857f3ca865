// SPDX-License-Identifier: Apache-2.0
// linear_matmul with tokens along the lanes. Rows are decoded a block of columns at a time into a tile that stays in the
// first-level cache; x lies ready in vectors of WIDTH tokens to a column; a few rows times a few such vectors of sums are
// held in registers. One output is one chain of fused additions in column order, so its bits depend neither on the other
// tokens nor on the threads. Error: at most `cols` roundings.
//
// Tile and x are made of units: a float, or, in products of HEL_PRECISION_BF16, a pair of columns rounded to halves.
// Then each product is off by little more than 2^-7 of its magnitude at most. tiles.c has instructions for squares of pairs.

// Units of a block, and tokens that share its decoding.
enum { BLOCK_UNITS = 128, MOST_TOKENS = 512 };
enum { CODEBOOK_MOST = 1 << LOOKUP_BITS }; // entries that a table holds
_Static_assert(TOKENS_AT_ONCE == 3 || TOKENS_AT_ONCE == 4, "multiply_tiles has a case for each remainder");
_Static_assert(TILE_TOKENS % WIDTH == 0 && TILE_ROWS % ROWS_AT_ONCE == 0, "tiles are whole vectors and whole blocks of rows");

// x of one vector of tokens and one block of columns: [unit][token].
typedef struct matmul_panel { float at[BLOCK_UNITS][WIDTH]; } matmul_panel;

static bool in_pairs(const cpu_launch *launch) {
#ifdef SIMD_PAIRS
    return launch->precision == HEL_PRECISION_BF16;
#else
    (void)launch;
    return false;
#endif
}

static uint32_t block_cols(bool pairs) { return pairs ? 2 * BLOCK_UNITS : BLOCK_UNITS; }
// Pairs by sixteens: behind the last there are zeros.
static uint32_t block_units(uint32_t cols, bool pairs) { return pairs ? (cols + 31) / 32 * 16 : cols; }
static uint32_t panel_vectors(const hel_linear_params *p) { return (uint32_t)hel_ceil_div(p->tokens, WIDTH); }

cpu_scratch SIMD(cpu_linear_matmul_scratch)(const cpu_launch *launch) {
    const hel_linear_params *p = launch->params;
    uint64_t panels = hel_ceil_div(p->cols, block_cols(in_pairs(launch))) * panel_vectors(p);
    return (cpu_scratch){panels * sizeof(matmul_panel), (uint32_t)panels};
}

// Tokens after the last repeat it; nothing reads their sums.
void SIMD(cpu_linear_matmul_prepare)(const cpu_launch *launch, uint32_t item) {
    linear l = linear_of(launch);
    const hel_linear_params *p = l.p;
    bool pairs = in_pairs(launch);
    uint32_t vectors = panel_vectors(p), first = item / vectors * block_cols(pairs), token = item % vectors * WIDTH;
    uint32_t cols = HEL_MIN(block_cols(pairs), p->cols - first), count = block_units(cols, pairs);
    float rounded[WIDTH][BLOCK_UNITS];
    const float *rows[WIDTH];
    for (uint32_t t = 0; t < WIDTH; t++) {
        rows[t] = l.x + p->x_first + (size_t)HEL_MIN(token + t, p->tokens - 1) * p->x_stride + first;
        if (!pairs) continue;
        vec_to_pairs(rows[t], cols, rounded[t]);
        rows[t] = rounded[t];
    }
    matmul_panel *panel = (matmul_panel *)launch->scratch + item;
    for (uint32_t u = 0; u < count; u++)
        for (uint32_t t = 0; t < WIDTH; t++) panel->at[u][t] = rows[t][u];
}

// sums[r][v] += w[r] . x[v]; `rows`, `vectors` and `pairs` are constants where it is inlined.
static inline __attribute__((always_inline)) void multiply_tile(const float *w, const matmul_panel *x, uint32_t count,
                                                                const int rows, const int vectors, const bool pairs,
                                                                float *sums) {
    vec sum[ROWS_AT_ONCE][TOKENS_AT_ONCE];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) sum[r][v] = vec_load(sums + r * MOST_TOKENS + v * WIDTH);
    for (uint32_t u = 0; u < count; u++) {
        vec of_x[TOKENS_AT_ONCE];
        for (int v = 0; v < vectors; v++) of_x[v] = vec_load(x[v].at[u]);
        for (int r = 0; r < rows; r++) {
            vec of_w = vec_set(w[r * BLOCK_UNITS + u]);
            for (int v = 0; v < vectors; v++)
                sum[r][v] = pairs ? vec_pairs(of_w, of_x[v], sum[r][v]) : vec_fma(of_w, of_x[v], sum[r][v]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) vec_store(sums + r * MOST_TOKENS + v * WIDTH, sum[r][v]);
}

static inline __attribute__((always_inline)) void multiply_tiles(const float *w, uint32_t rows, const matmul_panel *x,
                                                                 uint32_t count, uint32_t vectors, const bool pairs,
                                                                 float *sums) {
    for (uint32_t v = 0; v < vectors; v += TOKENS_AT_ONCE, x += TOKENS_AT_ONCE) {
        for (uint32_t r = 0; r < rows; r += ROWS_AT_ONCE) {
            const float *tile = w + r * BLOCK_UNITS;
            float *out = sums + r * MOST_TOKENS + v * WIDTH;
            switch (HEL_MIN(vectors - v, TOKENS_AT_ONCE)) {
            case 1: multiply_tile(tile, x, count, ROWS_AT_ONCE, 1, pairs, out); break;
            case 2: multiply_tile(tile, x, count, ROWS_AT_ONCE, 2, pairs, out); break;
            case 3: multiply_tile(tile, x, count, ROWS_AT_ONCE, 3, pairs, out); break;
            default: multiply_tile(tile, x, count, ROWS_AT_ONCE, TOKENS_AT_ONCE, pairs, out);
            }
        }
    }
}

#ifdef SIMD_TILES
enum { ROWS_TOGETHER = 16 };
static void multiply_pairs(const float *w, uint32_t rows, const matmul_panel *x, uint32_t count, uint32_t vectors, float *sums);
#else
enum { ROWS_TOGETHER = ROWS_AT_ONCE };
static void multiply_pairs(const float *w, uint32_t rows, const matmul_panel *x, uint32_t count, uint32_t vectors, float *sums) {
    multiply_tiles(w, rows, x, count, vectors, true, sums);
}
#endif

// Whether the codebook may be rounded instead of what is looked up: nothing happens to that in between.
static bool rounds_codebook(const linear *l) { return has_table(l) && !(l->flags & HEL_FLAG_GROUPS); }

static void round_codebook(linear *l, float out[CODEBOOK_MOST]) {
    for (uint32_t i = 0; i < 1u << l->bits; i++) out[i] = hel_bf16_to_float(hel_float_to_bf16(l->codebook[i]));
    l->codebook = out;
}

static void decode_pairs(const linear *l, uint32_t row, uint32_t first, uint32_t cols, float *w) {
    float floats[2 * BLOCK_UNITS];
    uint32_t done = 0;
    if (rounds_codebook(l)) done = decode_by_table(l, l->weights + (size_t)row * l->p->row_words, first, cols, true, w);
    decode(l, row, first + done, cols - done, floats);
    vec_to_pairs(floats, cols - done, w + done / 2);
}

static void decode_tile(const linear *l, uint32_t row0, uint32_t rows, uint32_t whole_rows, uint32_t first, uint32_t cols,
                        bool pairs, float *w) {
    for (uint32_t r = 0; r < whole_rows; r++, w += BLOCK_UNITS) {
        uint32_t row = row0 + HEL_MIN(r, rows - 1);
        if (pairs) decode_pairs(l, row, first, cols, w);
        else decode(l, row, first, cols, w);
    }
}

// One column of a panel as floats.
static inline vec panel_column(const matmul_panel *panel, uint32_t col, bool pairs) {
    if (!pairs) return vec_load(panel->at[col]);
    return vec_of_pairs(vec_load(panel->at[col / 2]), col % 2);
}

// Adds the sidecar's part of rows row0 .. row0 + rows, counted in the whole weight.
static void add_sidecar(const linear *l, const matmul_panel *panels, bool pairs, uint32_t row0, uint32_t rows,
                        uint32_t vectors, float *sums) {
    sidecar_walk walk = sidecar_begin(l, row0, rows);
    for (outlier at; sidecar_next(l, &walk, &at);) {
        vec difference = vec_set(at.difference);
        const matmul_panel *panel = panels + (size_t)(at.col / block_cols(pairs)) * panel_vectors(l->p);
        for (uint32_t v = 0; v < vectors; v++) {
            float *sum = sums + at.row * MOST_TOKENS + v * WIDTH;
            vec_store(sum, vec_fma(difference, panel_column(panel + v, at.col % block_cols(pairs), pairs), vec_load(sum)));
        }
    }
}

// Rows row0 .. row0 + rows (at most TILE_ROWS) for tokens token0 .. token0 + tokens (at most MOST_TOKENS).
static void multiply_tile_rows(const linear *l, const matmul_panel *panels, bool pairs, uint32_t row0, uint32_t rows,
                          uint32_t token0, uint32_t tokens) {
    const hel_linear_params *p = l->p;
    uint32_t vectors = (uint32_t)hel_ceil_div(tokens, WIDTH), whole_rows = (uint32_t)hel_round_up(rows, ROWS_TOGETHER);
    float w[TILE_ROWS * BLOCK_UNITS], sums[TILE_ROWS * MOST_TOKENS];
    for (uint32_t r = 0; r < whole_rows; r++) memset(sums + r * MOST_TOKENS, 0, vectors * WIDTH * sizeof *sums);
    panels += token0 / WIDTH;
    if (l->flags & HEL_FLAG_SIDECAR) add_sidecar(l, panels, pairs, p->first_row + row0, rows, vectors, sums);
    for (uint32_t first = 0; first < p->cols; first += block_cols(pairs), panels += panel_vectors(p)) {
        uint32_t cols = HEL_MIN(block_cols(pairs), p->cols - first), count = block_units(cols, pairs);
        decode_tile(l, row0, rows, whole_rows, first, cols, pairs, w);
        if (pairs) multiply_pairs(w, whole_rows, panels, count, vectors, sums);
        else multiply_tiles(w, whole_rows, panels, count, vectors, false, sums);
    }
    write_block(l, row0, rows, token0, tokens, sums, MOST_TOKENS);
}

// Groups of one row tile that follow each other share its decoding.
void SIMD(cpu_linear_matmul)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    linear l = linear_of(launch);
    float rounded[CODEBOOK_MOST];
    if (in_pairs(launch) && rounds_codebook(&l)) round_codebook(&l, rounded);
    make_table(&l);
    uint32_t token_tiles = (uint32_t)hel_ceil_div(l.p->tokens, TILE_TOKENS);
    for (uint32_t group = first; group < first + count;) {
        uint32_t row = group / token_tiles * TILE_ROWS, token = group % token_tiles * TILE_TOKENS;
        uint32_t tiles = HEL_MIN(HEL_MIN(token_tiles - group % token_tiles, first + count - group), MOST_TOKENS / TILE_TOKENS);
        multiply_tile_rows(&l, launch->scratch, in_pairs(launch), row, HEL_MIN(TILE_ROWS, l.p->rows - row), token,
                      HEL_MIN(tiles * TILE_TOKENS, l.p->tokens - token));
        group += tiles;
    }
}
