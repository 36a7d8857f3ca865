// SPDX-License-Identifier: Apache-2.0
// ssd_scan (shaders/ssd_scan.k): products of small matrices with channels along the lanes; a few rows times a few vectors of sums
// are in registers. What the heads of a group have in common, C[t] B[s], is made before, once for all of them. A sum is one chain
// of fused additions, so its bits depend on nothing but where its chunk begins.

enum {
    SSD_STEPS = HEL_SSD_SCAN_STEPS,
    SSD_CHANNELS = HEL_SSD_SCAN_CHANNELS,
    SSD_STATES = HEL_SSD_SCAN_MAX_STATE,
    SSD_ROWS = 4,
    SSD_VECTORS = WIDTH == 8 ? 2 : 4, // with SSD_ROWS of each as sums in registers
};
_Static_assert(SSD_STEPS % WIDTH == 0 && SSD_STEPS % SSD_ROWS == 0, "chunks are whole vectors and whole blocks of rows");
_Static_assert(SSD_CHANNELS % (SSD_VECTORS * WIDTH) == 0, "tiles are whole vectors");

// Calls `run(arguments, first, vectors)` for vectors 0 .. end, SSD_VECTORS or one at a time.
#define SSD_EACH(end, run, ...)                                                                          \
    for (uint32_t vector = 0; vector < (end);) {                                                         \
        if ((end) - vector >= SSD_VECTORS) run(__VA_ARGS__, vector, SSD_VECTORS), vector += SSD_VECTORS; \
        else run(__VA_ARGS__, vector, 1), vector++;                                                      \
    }

// Rows of a left factor, whose elements are `step` floats apart.
typedef struct ssd_rows {
    const float *at[SSD_ROWS];
    size_t step;
} ssd_rows;

// Rows first, first + 1, ... of a matrix, as many of them as are there and then its last again.
static inline ssd_rows ssd_rows_of(const float *matrix, size_t stride, uint32_t first, uint32_t there, size_t step) {
    ssd_rows rows = {.step = step};
    for (uint32_t r = 0; r < SSD_ROWS; r++) rows.at[r] = matrix + HEL_MIN(first + r, there - 1) * stride;
    return rows;
}

// sum[r][v] += rows[r][k] right[k][v], k below `count`; `vectors` is a constant where it is inlined.
static inline __attribute__((always_inline)) void ssd_multiply(vec sum[SSD_ROWS][SSD_VECTORS], const ssd_rows *rows,
                                                               const float *right, size_t stride, uint32_t count,
                                                               const uint32_t vectors) {
    for (uint32_t k = 0; k < count; k++, right += stride) {
        vec of_right[SSD_VECTORS];
        for (uint32_t v = 0; v < vectors; v++) of_right[v] = vec_hold(vec_load(right + v * WIDTH));
        for (uint32_t r = 0; r < SSD_ROWS; r++) {
            vec left = vec_set(rows->at[r][k * rows->step]);
            for (uint32_t v = 0; v < vectors; v++) sum[r][v] = vec_fma(left, of_right[v], sum[r][v]);
        }
    }
}

// ---------------------------------------------------------------- C[t] B[s]

static inline uint32_t ssd_chunks_of_piece(const hel_ssm_scan_params *p) { return (uint32_t)hel_ceil_div(p->piece, SSD_STEPS); }
static inline uint32_t ssd_pieces(const hel_ssm_scan_params *p) { return (uint32_t)hel_ceil_div(p->count, p->piece); }

// Steps of a piece's chunk: the first, and how many.
static inline uint32_t ssd_first(const hel_ssm_scan_params *p, uint32_t piece, uint32_t chunk) {
    return p->first + piece * p->piece + chunk * SSD_STEPS;
}
static inline uint32_t ssd_count(const hel_ssm_scan_params *p, uint32_t piece, uint32_t chunk) {
    uint32_t end = HEL_MIN(p->first + p->count, p->first + (piece + 1) * p->piece), first = ssd_first(p, piece, chunk);
    return first < end ? HEL_MIN(SSD_STEPS, end - first) : 0;
}

// The products of each chunk and group, [SSD_STEPS of t, SSD_STEPS of s].
cpu_scratch SIMD(cpu_ssd_scan_scratch)(const cpu_launch *launch) {
    const hel_ssm_scan_params *p = launch->params;
    if (launch->constants[HEL_SSD_SCAN_AT_ALONE]) return (cpu_scratch){0};
    size_t items = (size_t)ssd_pieces(p) * ssd_chunks_of_piece(p) * (p->channels / p->group_channels);
    return (cpu_scratch){items * SSD_STEPS * SSD_STEPS * sizeof(float), (uint32_t)items};
}

// columns[n][s] = rows[s][n], zeros for s from `count` on.
static void ssd_transpose(const float *rows, size_t stride, uint32_t count, uint32_t state, float (*columns)[SSD_STEPS]) {
    for (uint32_t s = 0; s < SSD_STEPS; s += WIDTH)
        for (uint32_t n = 0; n < state; n += WIDTH) {
            vec square[WIDTH];
            uint32_t there = HEL_MIN(WIDTH, state - n);
            for (uint32_t i = 0; i < WIDTH; i++)
                square[i] = s + i < count ? load_some(rows + (s + i) * stride + n, there) : vec_zero();
            vec_transpose(square);
            for (uint32_t i = 0; i < there; i++) vec_store(columns[n + i] + s, square[i]);
        }
}

static inline __attribute__((always_inline)) void ssd_pair(const ssd_rows *of_c, float (*of_b)[SSD_STEPS], uint32_t state,
                                                           float *out, uint32_t vector, const uint32_t vectors) {
    vec sum[SSD_ROWS][SSD_VECTORS];
    for (uint32_t r = 0; r < SSD_ROWS; r++)
        for (uint32_t v = 0; v < vectors; v++) sum[r][v] = vec_zero();
    ssd_multiply(sum, of_c, of_b[0] + vector * WIDTH, SSD_STEPS, state, vectors);
    for (uint32_t r = 0; r < SSD_ROWS; r++)
        for (uint32_t v = 0; v < vectors; v++) vec_store(out + r * SSD_STEPS + (vector + v) * WIDTH, sum[r][v]);
}

void SIMD(cpu_ssd_scan_prepare)(const cpu_launch *launch, uint32_t item) {
    const hel_ssm_scan_params *p = launch->params;
    uint32_t groups = p->channels / p->group_channels, chunk = item / groups, of_piece = ssd_chunks_of_piece(p);
    uint32_t step = ssd_first(p, chunk / of_piece, chunk % of_piece), count = ssd_count(p, chunk / of_piece, chunk % of_piece);
    const float *bc = (const float *)launch->buffers[2] + (size_t)step * p->bc_stride + item % groups * p->state;
    float of_b[SSD_STATES][SSD_STEPS], *out = (float *)launch->scratch + (size_t)item * SSD_STEPS * SSD_STEPS;
    if (count) ssd_transpose(bc + p->b_first, p->bc_stride, count, p->state, of_b);
    for (uint32_t t = 0; t < count; t += SSD_ROWS) {
        ssd_rows of_c = ssd_rows_of(bc + p->c_first, p->bc_stride, t, count, 1);
        uint32_t end = t / WIDTH + 1; // vectors of s up to t + SSD_ROWS
        SSD_EACH(end, ssd_pair, &of_c, of_b, p->state, out + t * SSD_STEPS)
    }
}

// ---------------------------------------------------------------- a head's channels

typedef struct ssd_block {
    const hel_ssm_scan_params *p;
    const float *x, *raw, *bc, *bias, *a, *d, *pairs;
    float *states, *y;
    bool alone;
    uint32_t piece, head, group, channel, channels, vectors;
    uint32_t step, steps; // of the chunk
    float total;          // of dt
    float dt[SSD_STEPS], from_start[SSD_STEPS], to_end[SSD_STEPS]; // as the text has them
    float mix[SSD_STEPS][SSD_STEPS];
    float inputs[SSD_STEPS][SSD_CHANNELS];
    float h[SSD_STATES][SSD_CHANNELS];
} ssd_block;

static inline uint32_t ssd_lanes(const ssd_block *b, uint32_t vector) { return HEL_MIN(WIDTH, b->channels - vector * WIDTH); }

// Time steps and what they let through; steps that are not there take none.
static void ssd_decays(ssd_block *b) {
    const hel_ssm_scan_params *p = b->p;
    const float *raw = b->raw + p->dt_first + (size_t)b->step * p->dt_stride + b->head;
    float sum = 0.0f;
    for (uint32_t s = 0; s < SSD_STEPS; s++) b->dt[s] = raw[HEL_MIN(s, b->steps - 1) * (size_t)p->dt_stride] + b->bias[b->head];
    for (uint32_t s = 0; s < SSD_STEPS; s += WIDTH) vec_store(b->dt + s, scan_time_step(p, vec_load(b->dt + s)));
    for (uint32_t s = b->steps; s < SSD_STEPS; s++) b->dt[s] = 0.0f;
    for (uint32_t s = 0; s < SSD_STEPS; s++) b->from_start[s] = sum += b->dt[s];
    b->total += sum;
    sum = 0.0f;
    for (uint32_t s = SSD_STEPS; s-- > 0; sum += b->dt[s]) b->to_end[s] = sum;
    vec rate = vec_set(b->a[b->head]);
    for (uint32_t s = 0; s < SSD_STEPS; s += WIDTH) {
        vec_store(b->from_start + s, vec_exp(vec_mul(rate, vec_load(b->from_start + s))));
        vec_store(b->to_end + s, vec_mul(vec_exp(vec_mul(rate, vec_load(b->to_end + s))), vec_load(b->dt + s)));
    }
}

// mix[t][s] = decay(s, t) (C[t] B[s]) dt[s], 0 for s > t.
static void ssd_mix(ssd_block *b) {
    float between[SSD_STEPS] = {0}, places[WIDTH];
    for (uint32_t i = 0; i < WIDTH; i++) places[i] = (float)i;
    vec rate = vec_set(b->a[b->head]);
    for (uint32_t t = 0; t < b->steps; t++)
        for (uint32_t s = 0; s <= t; s += WIDTH) {
            vec place = vec_add(vec_load(places), vec_set((float)s));
            vec sum = vec_add(vec_load(between + s), vec_set(b->dt[t]));
            sum = vec_select(vec_less(place, vec_set((float)t)), sum, vec_zero());
            vec_store(between + s, sum);
            vec value = vec_mul(vec_exp(vec_mul(rate, sum)), vec_load(b->dt + s));
            value = vec_mul(value, vec_load(b->pairs + t * SSD_STEPS + s));
            vec_store(b->mix[t] + s, vec_select(vec_less(place, vec_set((float)t + 0.5f)), value, vec_zero()));
        }
}

static void ssd_load_inputs(ssd_block *b) {
    const float *x = b->x + b->p->x_first + (size_t)b->step * b->p->x_stride + b->channel;
    for (uint32_t s = 0; s < b->steps; s++, x += b->p->x_stride)
        for (uint32_t v = 0; v < b->vectors; v++) vec_store(b->inputs[s] + v * WIDTH, load_some(x + v * WIDTH, ssd_lanes(b, v)));
}

// y of SSD_ROWS steps from `t` on.
static inline __attribute__((always_inline)) void ssd_outputs(const ssd_block *b, uint32_t t, uint32_t vector,
                                                              const uint32_t vectors) {
    const hel_ssm_scan_params *p = b->p;
    const float *of_c = b->bc + p->c_first + (size_t)b->step * p->bc_stride + b->group * p->state;
    vec sum[SSD_ROWS][SSD_VECTORS];
    for (uint32_t r = 0; r < SSD_ROWS; r++)
        for (uint32_t v = 0; v < vectors; v++) sum[r][v] = vec_zero();
    ssd_rows left = ssd_rows_of(of_c, p->bc_stride, t, b->steps, 1);
    ssd_multiply(sum, &left, b->h[0] + vector * WIDTH, SSD_CHANNELS, p->state, vectors);
    for (uint32_t r = 0; r < SSD_ROWS; r++)
        for (uint32_t v = 0; v < vectors; v++) sum[r][v] = vec_mul(sum[r][v], vec_set(b->from_start[t + r]));
    left = ssd_rows_of(b->mix[0], SSD_STEPS, t, b->steps, 1);
    ssd_multiply(sum, &left, b->inputs[0] + vector * WIDTH, SSD_CHANNELS, t, vectors);
    for (uint32_t r = 0; r < HEL_MIN(SSD_ROWS, b->steps - t); r++) // no later step: it might be no number
        for (uint32_t s = t; s <= t + r; s++)
            for (uint32_t v = 0; v < vectors; v++)
                sum[r][v] = vec_fma(vec_set(b->mix[t + r][s]), vec_load(b->inputs[s] + (vector + v) * WIDTH), sum[r][v]);
    vec skip = vec_set(b->d[b->head]);
    for (uint32_t r = 0; r < HEL_MIN(SSD_ROWS, b->steps - t); r++) {
        float *y = b->y + (size_t)(b->step + t + r) * p->channels + b->channel;
        for (uint32_t v = 0; v < vectors; v++) {
            vec x = vec_load(b->inputs[t + r] + (vector + v) * WIDTH);
            store_some(y + (vector + v) * WIDTH, ssd_lanes(b, vector + v), vec_fma(skip, x, sum[r][v]));
        }
    }
}

// SSD_ROWS states from `n` on, of inputs that have their factors.
static inline __attribute__((always_inline)) void ssd_states(ssd_block *b, uint32_t n, uint32_t vector, const uint32_t vectors) {
    const hel_ssm_scan_params *p = b->p;
    const float *of_b = b->bc + p->b_first + (size_t)b->step * p->bc_stride + b->group * p->state;
    vec sum[SSD_ROWS][SSD_VECTORS], kept = vec_set(b->from_start[SSD_STEPS - 1]);
    uint32_t count = HEL_MIN(SSD_ROWS, p->state - n);
    for (uint32_t r = 0; r < SSD_ROWS; r++)
        for (uint32_t v = 0; v < vectors; v++)
            sum[r][v] = r < count ? vec_mul(kept, vec_load(b->h[n + r] + (vector + v) * WIDTH)) : vec_zero();
    ssd_rows left = ssd_rows_of(of_b, 1, n, p->state, p->bc_stride);
    ssd_multiply(sum, &left, b->inputs[0] + vector * WIDTH, SSD_CHANNELS, b->steps, vectors);
    for (uint32_t r = 0; r < count; r++)
        for (uint32_t v = 0; v < vectors; v++) vec_store(b->h[n + r] + (vector + v) * WIDTH, sum[r][v]);
}

static void ssd_chunk(ssd_block *b) {
    ssd_decays(b);
    ssd_load_inputs(b);
    if (!b->alone) {
        ssd_mix(b);
        for (uint32_t t = 0; t < b->steps; t += SSD_ROWS) SSD_EACH(b->vectors, ssd_outputs, b, t)
    }
    for (uint32_t s = 0; s < b->steps; s++)
        for (uint32_t v = 0; v < b->vectors; v++) {
            float *at = b->inputs[s] + v * WIDTH;
            vec_store(at, vec_mul(vec_set(b->to_end[s]), vec_load(at)));
        }
    for (uint32_t n = 0; n < b->p->state; n += SSD_ROWS) SSD_EACH(b->vectors, ssd_states, b, n)
}

static void ssd_piece(ssd_block *b) {
    const hel_ssm_scan_params *p = b->p;
    uint32_t pieces = ssd_pieces(p), groups = p->channels / p->group_channels, of_piece = ssd_chunks_of_piece(p);
    size_t stride = p->channels;
    float *states = b->states + b->piece * p->state * stride + b->channel;
    const float *pairs = b->pairs;
    for (uint32_t n = 0; n < p->state; n++)
        for (uint32_t v = 0; v < b->vectors; v++)
            vec_store(b->h[n] + v * WIDTH, b->alone ? vec_zero() : load_some(states + n * stride + v * WIDTH, ssd_lanes(b, v)));
    b->total = 0.0f;
    for (uint32_t chunk = 0; chunk < of_piece && (b->steps = ssd_count(p, b->piece, chunk)) > 0; chunk++) {
        size_t item = ((size_t)b->piece * of_piece + chunk) * groups + b->group;
        b->step = ssd_first(p, b->piece, chunk);
        b->pairs = pairs + item * SSD_STEPS * SSD_STEPS;
        ssd_chunk(b);
    }
    b->pairs = pairs;
    for (uint32_t n = 0; n < p->state; n++)
        for (uint32_t v = 0; v < b->vectors; v++)
            store_some(states + n * stride + v * WIDTH, ssd_lanes(b, v), vec_load(b->h[n] + v * WIDTH));
    float *totals = b->states + (pieces * p->state + b->piece) * stride + b->channel;
    for (uint32_t c = 0; c < b->channels && b->alone; c++) totals[c] = b->total;
}

void SIMD(cpu_ssd_scan)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_ssm_scan_params *p = launch->params;
    uint32_t blocks = (uint32_t)hel_ceil_div(p->head_dim, SSD_CHANNELS), heads = p->channels / p->head_dim;
    ssd_block b;
    b.p = p;
    b.x = launch->buffers[0], b.raw = launch->buffers[1], b.bc = launch->buffers[2], b.bias = launch->buffers[3];
    b.a = launch->buffers[4], b.d = launch->buffers[5], b.states = launch->buffers[6], b.y = launch->buffers[7];
    b.pairs = launch->scratch;
    b.alone = launch->constants[HEL_SSD_SCAN_AT_ALONE];
    for (uint32_t group = first; group < first + count; group++) {
        uint32_t before = group % blocks * SSD_CHANNELS;
        b.head = group / blocks % heads;
        b.piece = group / blocks / heads;
        b.channel = b.head * p->head_dim + before;
        b.channels = HEL_MIN(SSD_CHANNELS, p->head_dim - before);
        b.vectors = (uint32_t)hel_ceil_div(b.channels, WIDTH);
        b.group = b.channel / p->group_channels;
        ssd_piece(&b);
    }
}
