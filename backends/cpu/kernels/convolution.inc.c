// SPDX-License-Identifier: Apache-2.0
// One row of a long convolution; convolution.h has the method.
#include "../convolution.h"
#include "complex.h"
#include "row.h"

enum { TILE = WIDTH * WIDTH, TILE_TURNS = CPU_TURNS_ACROSS + 2 * LOG_WIDTH * WIDTH };
#define ROOT_HALF 0.70710678118654752440f
#define COS_EIGHTH 0.92387953251128675613f // of pi
#define SIN_EIGHTH 0.38268343236508977173f

// What a walk through the tree has come to.
typedef struct walk {
    const float *turns;
    const float *spectrum; // to multiply by
    float *out;            // or where the spectrum goes
    float scale;           // of `out`
} walk;

// ---------------------------------------------------------------- tiles: the last 2 LOG_WIDTH levels

// Of LOG_WIDTH levels, one s of each pair (s, i s), level after level: 1, 1, 2, 4.
typedef struct level_turns { cvec s[8]; } level_turns;

static inline level_turns turns_across(const float *turns) {
    level_turns t;
    for (int i = 0; i < WIDTH / 2; i++) t.s[i] = cvec_set(turns + 2 * i);
    return t;
}

// From the first of each level, which differ by eighths and sixteenths of a turn.
static inline level_turns turns_within(const float *turns) {
    level_turns t;
    cvec first[4], eighth = {vec_set(ROOT_HALF), vec_set(ROOT_HALF)};
    for (int l = 0; l < LOG_WIDTH; l++) first[l] = cvec_load(turns + 2 * l * WIDTH, turns + (2 * l + 1) * WIDTH);
    t.s[0] = first[0];
    t.s[1] = first[1];
    if (LOG_WIDTH > 2) t.s[2] = first[2], t.s[3] = cvec_mul(first[2], eighth);
    if (LOG_WIDTH > 3) {
        cvec sixteenth = {vec_set(COS_EIGHTH), vec_set(SIN_EIGHTH)}, three = {vec_set(SIN_EIGHTH), vec_set(COS_EIGHTH)};
        t.s[4] = first[3], t.s[5] = cvec_mul(first[3], eighth);
        t.s[6] = cvec_mul(first[3], sixteenth), t.s[7] = cvec_mul(first[3], three);
    }
    return t;
}

static inline __attribute__((always_inline)) void split_levels(cvec x[WIDTH], const level_turns *t) {
    for (int i = 0; i < WIDTH / 2; i++) cvec_split(&x[i], &x[i + WIDTH / 2], t->s[0]);
    for (int nodes = 2; nodes < WIDTH; nodes *= 2) {
        int half = WIDTH / nodes / 2;
        for (int j = 0; j < nodes; j += 2) {
            for (int i = 2 * j * half; i < (2 * j + 1) * half; i++) cvec_split(&x[i], &x[i + half], t->s[(nodes + j) / 2]);
            for (int i = 2 * (j + 1) * half; i < (2 * j + 3) * half; i++)
                cvec_split_i(&x[i], &x[i + half], t->s[(nodes + j) / 2]);
        }
    }
}

static inline __attribute__((always_inline)) void join_levels(cvec x[WIDTH], const level_turns *t) {
    for (int nodes = WIDTH / 2; nodes > 1; nodes /= 2) {
        int half = WIDTH / nodes / 2;
        for (int j = 0; j < nodes; j += 2) {
            for (int i = 2 * j * half; i < (2 * j + 1) * half; i++) cvec_join(&x[i], &x[i + half], t->s[(nodes + j) / 2]);
            for (int i = 2 * (j + 1) * half; i < (2 * j + 3) * half; i++)
                cvec_join_i(&x[i], &x[i + half], t->s[(nodes + j) / 2]);
        }
    }
    for (int i = 0; i < WIDTH / 2; i++) cvec_join(&x[i], &x[i + WIDTH / 2], t->s[0]);
}

// Levels that go across rows, then, rows and columns exchanged, those within rows; the way back where there is one.
static void tile(float *re, float *im, walk *w) {
    cvec x[WIDTH];
    for (int i = 0; i < WIDTH; i++) x[i] = cvec_load(re + i * WIDTH, im + i * WIDTH);
    level_turns across = turns_across(w->turns), within = turns_within(w->turns + CPU_TURNS_ACROSS);
    w->turns += TILE_TURNS;
    split_levels(x, &across);
    cvec_transpose(x);
    split_levels(x, &within);
    if (w->out) {
        for (int i = 0; i < WIDTH; i++, w->out += 2 * WIDTH)
            cvec_store(w->out, w->out + WIDTH, (cvec){vec_mul(x[i].re, vec_set(w->scale)), vec_mul(x[i].im, vec_set(w->scale))});
        return;
    }
    for (int i = 0; i < WIDTH; i++, w->spectrum += 2 * WIDTH)
        x[i] = cvec_mul(x[i], cvec_load(w->spectrum, w->spectrum + WIDTH));
    join_levels(x, &within);
    cvec_transpose(x);
    join_levels(x, &across);
    for (int i = 0; i < WIDTH; i++) cvec_store(re + i * WIDTH, im + i * WIDTH, x[i]);
}

// ---------------------------------------------------------------- larger blocks

static void split_in_two(float *re, float *im, uint32_t half, const float *turns) {
    cvec s = cvec_set(turns);
    for (uint32_t i = 0; i < half; i += WIDTH) {
        cvec low = cvec_load(re + i, im + i), high = cvec_load(re + half + i, im + half + i);
        cvec_split(&low, &high, s);
        cvec_store(re + i, im + i, low);
        cvec_store(re + half + i, im + half + i, high);
    }
}

static void join_two(float *re, float *im, uint32_t half, const float *turns) {
    cvec s = cvec_set(turns);
    for (uint32_t i = 0; i < half; i += WIDTH) {
        cvec low = cvec_load(re + i, im + i), high = cvec_load(re + half + i, im + half + i);
        cvec_join(&low, &high, s);
        cvec_store(re + i, im + i, low);
        cvec_store(re + half + i, im + half + i, high);
    }
}

// Two levels at once.
static void split_in_four(float *re, float *im, uint32_t quarter, const float *turns) {
    cvec first = cvec_set(turns), second = cvec_set(turns + 2);
    for (uint32_t i = 0; i < quarter; i += WIDTH) {
        cvec x[4];
        for (uint32_t j = 0; j < 4; j++) x[j] = cvec_load(re + j * quarter + i, im + j * quarter + i);
        cvec_split(&x[0], &x[2], first);
        cvec_split(&x[1], &x[3], first);
        cvec_split(&x[0], &x[1], second);
        cvec_split_i(&x[2], &x[3], second);
        for (uint32_t j = 0; j < 4; j++) cvec_store(re + j * quarter + i, im + j * quarter + i, x[j]);
    }
}

static void join_four(float *re, float *im, uint32_t quarter, const float *turns) {
    cvec first = cvec_set(turns), second = cvec_set(turns + 2), both = cvec_set(turns + 4);
    for (uint32_t i = 0; i < quarter; i += WIDTH) {
        cvec x[4];
        for (uint32_t j = 0; j < 4; j++) x[j] = cvec_load(re + j * quarter + i, im + j * quarter + i);
        cvec sum0 = cvec_add(x[0], x[1]), difference0 = cvec_sub(x[0], x[1]);
        cvec sum1 = cvec_add(x[2], x[3]), difference1 = cvec_sub(x[2], x[3]);
        cvec turned = {difference1.im, vec_sub(vec_zero(), difference1.re)}; // times -i
        x[0] = cvec_add(sum0, sum1);
        x[1] = cvec_mul_conj(cvec_add(difference0, turned), second);
        x[2] = cvec_mul_conj(cvec_sub(sum0, sum1), first);
        x[3] = cvec_mul_conj(cvec_sub(difference0, turned), both);
        for (uint32_t j = 0; j < 4; j++) cvec_store(re + j * quarter + i, im + j * quarter + i, x[j]);
    }
}

// turns [odd, odd]: the powers 0 ... of each root.
static void split_in_odd(float *re, float *im, uint32_t part, uint32_t odd, const float *turns) {
    for (uint32_t i = 0; i < part; i += WIDTH) {
        cvec x[CPU_CONVOLUTION_MAX_ODD];
        for (uint32_t j = 0; j < odd; j++) x[j] = cvec_load(re + j * part + i, im + j * part + i);
        for (uint32_t root = 0; root < odd; root++) {
            cvec sum = x[0];
            for (uint32_t j = 1; j < odd; j++) sum = cvec_mul_add(cvec_set(turns + 2 * (root * odd + j)), x[j], sum);
            cvec_store(re + root * part + i, im + root * part + i, sum);
        }
    }
}

static void join_odd(float *re, float *im, uint32_t part, uint32_t odd, const float *turns) {
    for (uint32_t i = 0; i < part; i += WIDTH) {
        cvec x[CPU_CONVOLUTION_MAX_ODD];
        for (uint32_t j = 0; j < odd; j++) x[j] = cvec_load(re + j * part + i, im + j * part + i);
        for (uint32_t j = 0; j < odd; j++) {
            cvec sum = x[0];
            for (uint32_t root = 0; root < odd; root++) {
                cvec turn = cvec_set(turns + 2 * (root * odd + j));
                sum = root ? cvec_mul_conj_add(x[root], turn, sum) : cvec_mul_conj(x[root], turn);
            }
            cvec_store(re + j * part + i, im + j * part + i, sum);
        }
    }
}

// A block of a power of two points: split, its parts one after the other, and back.
static void block(float *re, float *im, uint32_t size, walk *w) {
    if (size == TILE) {
        tile(re, im, w);
        return;
    }
    const float *turns = w->turns;
    uint32_t parts = size == 2 * TILE ? 2 : 4, part = size / parts;
    w->turns += CPU_TURNS_NODE;
    if (parts == 2) split_in_two(re, im, part, turns);
    else split_in_four(re, im, part, turns);
    for (uint32_t i = 0; i < parts; i++) block(re + i * part, im + i * part, part, w);
    if (w->out) return;
    if (parts == 2) join_two(re, im, part, turns);
    else join_four(re, im, part, turns);
}

static void half(const cpu_convolution *plan, float *re, float *im, walk *w) {
    const float *turns = w->turns;
    if (plan->odd > 1) {
        w->turns += CPU_TURNS_ODD;
        split_in_odd(re, im, plan->node, plan->odd, turns);
    }
    for (uint32_t i = 0; i < plan->odd; i++) block(re + i * plan->node, im + i * plan->node, plan->node, w);
    if (plan->odd > 1 && !w->out) join_odd(re, im, plan->node, plan->odd, turns);
}

// ---------------------------------------------------------------- rows

// The split of x^N - i: s is an eighth of a turn, and what is split is real.
static void enter(const cpu_convolution *plan, const cpu_row *row, float *re, float *im) {
    uint32_t half_size = plan->half, steps = row->steps;
    vec s = vec_set(ROOT_HALF);
    for (uint32_t i = 0; i < half_size; i += WIDTH) {
        vec low = i < steps ? row_input(row, i) : vec_zero();
        vec high = i + half_size < steps ? row_input(row, i + half_size) : vec_zero();
        vec turned = vec_mul(s, high);
        vec_store(re + i, vec_add(low, turned));
        vec_store(im + i, turned);
        vec_store(re + half_size + i, vec_sub(low, turned));
        vec_store(im + half_size + i, vec_sub(vec_zero(), turned));
    }
}

// Back to real parts alone.
static void leave(const cpu_convolution *plan, const cpu_row *row, const float *re, const float *im) {
    uint32_t half_size = plan->half;
    vec s = vec_set(ROOT_HALF);
    for (uint32_t i = 0; i < half_size; i += WIDTH) {
        cvec low = cvec_load(re + i, im + i), high = cvec_load(re + half_size + i, im + half_size + i);
        cvec difference = cvec_sub(low, high);
        row_output(row, i, vec_add(low.re, high.re));
        row_output(row, i + half_size, vec_mul(s, vec_add(difference.re, difference.im)));
    }
}

static void walk_halves(const cpu_convolution *plan, float *work, walk *w) {
    float *im = work + 2 * (size_t)plan->half + CPU_CONVOLUTION_GAP;
    half(plan, work, im, w);
    half(plan, work + plan->half, im + plan->half, w);
}

static void transform(const cpu_convolution *plan, const cpu_row *row, float *work, float *spectrum) {
    walk w = {plan->turns, NULL, spectrum, 0.5f / (float)plan->half};
    enter(plan, row, work, work + 2 * (size_t)plan->half + CPU_CONVOLUTION_GAP);
    walk_halves(plan, work, &w);
}

static void convolve(const cpu_convolution *plan, const cpu_row *row, const float *spectrum, float *work) {
    float *im = work + 2 * (size_t)plan->half + CPU_CONVOLUTION_GAP;
    walk w = {plan->turns, spectrum, NULL, 0.0f};
    enter(plan, row, work, im);
    walk_halves(plan, work, &w);
    leave(plan, row, work, im);
}

const cpu_convolution_entry SIMD(cpu_convolution) = {WIDTH, transform, convolve};
