// SPDX-License-Identifier: Apache-2.0
// The front end on every device of the list: buffers, rules, limits, one kernel. Argument: a device name.
#include "support/device_here.h"
#include "support/refused.h"

#include <helicoid/device.h>

#include "base/error.h"
#include "base/os.h"
#include "base/size.h"
#include "device/backend.h"
#include "device/registry.h"
#include "kernels.h"

static const char *device_name;
static const hel_device *device;

static int open_device(void **state) {
    (void)state;
    hel_device_params params = hel_device_params_default();
    params.memory_limit = 1 << 20;
    params.cache_directory = "";
    return hel_device_open(device_name, &params, &device) == HEL_OK ? 0 : -1;
}

static int close_device(void **state) {
    (void)state;
    hel_device_destroy(&device);
    return device == NULL ? 0 : -1;
}

static void test_buffers(void **state) {
    (void)state;
    hel_buffer *a, *b;
    uint32_t words[64], back[64];
    for (uint32_t i = 0; i < 64; i++) words[i] = i * 2654435761u;
    assert_int_equal(hel_buffer_create(device, sizeof words, &a), HEL_OK);
    assert_int_equal(hel_buffer_create(device, sizeof words, &b), HEL_OK);
    assert_int_equal(hel_buffer_read(device, HEL_QUEUE_COMPUTE, a, 0, back, sizeof back), HEL_OK);
    for (uint32_t i = 0; i < 64; i++) assert_int_equal(back[i], 0);
    assert_int_equal(hel_buffer_write(device, HEL_QUEUE_COMPUTE, a, 0, words, sizeof words), HEL_OK);
    assert_int_equal(hel_buffer_copy(device, HEL_QUEUE_COMPUTE, b, 16, a, 0, 128), HEL_OK);
    assert_int_equal(hel_buffer_fill(device, b, 144, 16, 0xabcdef01u), HEL_OK);
    assert_int_equal(hel_buffer_read(device, HEL_QUEUE_COMPUTE, b, 0, back, sizeof back), HEL_OK);
    assert_memory_equal(back + 4, words, 128);
    assert_int_equal(back[3], 0);
    assert_int_equal(back[36], 0xabcdef01u);
    assert_int_equal(back[40], 0);
    hel_buffer_destroy(device, &a);
    hel_buffer_destroy(device, &b);
    assert_null(a);
}

// Drivers of GPUs may say what is left; a buffer more is less then.
static void test_memory_free(void **state) {
    (void)state;
    enum { SIZE = 1 << 20 };
    bool tells = strcmp(device->backend, "cuda") == 0, may_tell = tells || strcmp(device->backend, "vulkan") == 0;
    uint64_t before = hel_device_memory_free(device);
    print_message("%s says that %llu bytes are free\n", device->backend, (unsigned long long)before);
    assert_true(may_tell || before == 0);
    assert_true(before <= device->limits.memory);
    if (!tells) return;
    hel_buffer *buffer;
    assert_int_equal(hel_buffer_create(device, SIZE, &buffer), HEL_OK);
    assert_true(hel_device_memory_free(device) <= before - SIZE);
    hel_buffer_destroy(device, &buffer);
}

static void test_rules(void **state) {
    (void)state;
    hel_buffer *buffer;
    uint32_t word = 0;
    EXPECT_REFUSED(hel_buffer_create(device, 0, &buffer));
    assert_int_equal(hel_buffer_create(device, 2 << 20, &buffer), HEL_ERROR_DEVICE_MEMORY);
    assert_int_equal(hel_buffer_create(device, 64, &buffer), HEL_OK);
    EXPECT_REFUSED(hel_buffer_write(device, HEL_QUEUE_COMPUTE, buffer, 64, &word, 4));
    EXPECT_REFUSED(hel_buffer_write(device, HEL_QUEUE_COMPUTE, buffer, 2, &word, 4));
    EXPECT_REFUSED(hel_buffer_read(device, HEL_QUEUE_COMPUTE, buffer, 0, &word, UINT64_MAX - 3));
    EXPECT_REFUSED(hel_buffer_copy(device, HEL_QUEUE_COMPUTE, buffer, 0, buffer, 8, 16));
    hel_kernel *kernel;
    assert_int_equal(hel_kernel_get(device, "no_such_kernel", NULL, 0, &kernel), HEL_ERROR_NOT_FOUND);
    assert_int_equal(hel_kernel_get(device, "rmsnorm", NULL, 0, &kernel), HEL_OK);
    hel_rmsnorm_params params = {.cols = 4};
    hel_binding overlapping[3] = {{buffer, 0, 16}, {buffer, 32, 16}, {buffer, 32, 16}};
    EXPECT_REFUSED(hel_dispatch(device, kernel, overlapping, 3, &params, sizeof params, 1, 0));
    EXPECT_REFUSED(hel_dispatch(device, kernel, overlapping, 2, &params, sizeof params, 1, 0));
    hel_buffer_destroy(device, &buffer);
    uint64_t used, peak;
    hel_device_memory(device, &used, &peak);
    assert_int_equal(used, 0);
    assert_true(peak >= 64);
}

// Many dependent dispatches in one queue: each reads what the one before wrote.
static void test_order(void **state) {
    (void)state;
    if (device->type == HEL_DEVICE_TYPE_NONE) return;
    enum { COLS = 33, ROUNDS = 50 };
    float ones[COLS], out[COLS];
    for (int i = 0; i < COLS; i++) ones[i] = 1.0f;
    uint64_t stride = 256 > device->limits.offset_alignment ? 256 : device->limits.offset_alignment;
    hel_buffer *buffer;
    hel_kernel *kernel;
    assert_int_equal(hel_buffer_create(device, 3 * stride, &buffer), HEL_OK);
    assert_int_equal(hel_kernel_get(device, "rmsnorm", NULL, 0, &kernel), HEL_OK);
    float gain[COLS];
    for (int i = 0; i < COLS; i++) gain[i] = 2.0f;
    hel_buffer_write(device, HEL_QUEUE_COMPUTE, buffer, 0, ones, sizeof ones);
    hel_buffer_write(device, HEL_QUEUE_COMPUTE, buffer, 2 * stride, gain, sizeof gain);
    hel_rmsnorm_params params = {.cols = COLS, .epsilon = 0.0f};
    for (int round = 0; round < ROUNDS; round++) {
        hel_binding bindings[3] = {{buffer, round % 2 * stride, sizeof ones},
                                   {buffer, 2 * stride, sizeof gain},
                                   {buffer, (round + 1) % 2 * stride, sizeof ones}};
        assert_int_equal(hel_dispatch(device, kernel, bindings, 3, &params, sizeof params, 1, 0), HEL_OK);
    }
    assert_int_equal(hel_device_wait_idle(device, HEL_QUEUE_COMPUTE), HEL_OK);
    assert_int_equal(hel_buffer_read(device, HEL_QUEUE_COMPUTE, buffer, ROUNDS % 2 * stride, out, sizeof out), HEL_OK);
    for (int i = 0; i < COLS; i++) assert_true(fabsf(out[i] - 2.0f) < 1e-5f);
    hel_buffer_destroy(device, &buffer);
}

// What a kernel with these constants says to these parameters; its bindings are small and zero.
static hel_status try_sizes(const char *name, const uint32_t *constants, uint32_t count, const void *params, uint32_t size) {
    hel_kernel *kernel;
    HEL_TRY(hel_kernel_get(device, name, constants, count, &kernel));
    enum { BYTES = 8192 }; // what default constants reach: a fake driver behind the real NVRTC knows no others
    uint64_t stride = HEL_MAX(BYTES, device->limits.offset_alignment);
    hel_binding bindings[HEL_MAX_BINDINGS];
    hel_buffer *buffer;
    HEL_TRY(hel_buffer_create(device, HEL_MAX_BINDINGS * stride, &buffer));
    for (uint32_t i = 0; i < HEL_MAX_BINDINGS; i++) bindings[i] = (hel_binding){buffer, i * stride, BYTES};
    hel_status status = hel_dispatch(device, kernel, bindings, kernel->source->n_bindings, params, size, 1, 0);
    hel_buffer_destroy(device, &buffer);
    return status;
}

// Sizes that a kernel's own arrays cannot hold.
static void test_kernel_limits(void **state) {
    (void)state;
    hel_attention_params attention = {.tokens = 1, .heads = 1, .kv_heads = 1, .head_dim = 256, .page_size = 1};
    assert_int_equal(try_sizes("attention", NULL, 0, &attention, sizeof attention), HEL_OK);
    attention.head_dim = HEL_ATTENTION_MAX_HEAD_DIM + 1;
    assert_int_equal(try_sizes("attention", NULL, 0, &attention, sizeof attention), HEL_ERROR_UNSUPPORTED);
    assert_non_null(strstr(hel_error_message(), "at most 256 where it was given 257"));

    hel_linear_params linear = {.rows = 1, .cols = 1, .row_words = 1, .tokens = 2};
    uint32_t two_tokens[] = {HEL_FORMAT_F32, 1, 1, 0, 2}, many_tokens[] = {HEL_FORMAT_F32, 1, 1, 0, 9};
    assert_int_equal(try_sizes("linear_matvec", two_tokens, 5, &linear, sizeof linear), HEL_OK);
    linear.tokens = 3;
    assert_int_equal(try_sizes("linear_matvec", two_tokens, 5, &linear, sizeof linear), HEL_ERROR_UNSUPPORTED);
    assert_int_equal(try_sizes("linear_matvec", many_tokens, 5, &linear, sizeof linear), HEL_ERROR_UNSUPPORTED);

    uint32_t size = 256, largest = UINT32_MAX;
    hel_fftconv_block_params fftconv = {.steps = 128, .channels = 1, .filters = 1, .blocks = 1};
    assert_int_equal(try_sizes("fftconv_block", &size, 1, &fftconv, sizeof fftconv), HEL_OK);
    while (8 * size <= device->limits.shared_memory) size *= 2;
    assert_int_equal(try_sizes("fftconv_block", &size, 1, &fftconv, sizeof fftconv), HEL_ERROR_UNSUPPORTED);
    assert_int_equal(try_sizes("fftconv_block", &largest, 1, &fftconv, sizeof fftconv), HEL_ERROR_UNSUPPORTED);
}

// Kernels reach every word of a binding by an index of 32 bits, on an open device as on a listed one.
static void test_binding_limit(void **state) {
    (void)state;
    const uint64_t most = (uint64_t)1 << 34;
    hel_device_entry *list;
    size_t count;
    assert_true(device->limits.max_binding <= most);
    assert_int_equal(hel_device_list(&list, &count), HEL_OK);
    for (size_t i = 0; i < count; i++) assert_true(list[i].device.limits.max_binding <= most);
    hel_device_list_free(&list);
}

// Also what the device's compiler says to each kernel text.
static void test_kernels(void **state) {
    (void)state;
    for (size_t i = 0; i < hel_kernel_source_count; i++) {
        const hel_kernel_source *source = hel_kernel_sources[i];
        hel_kernel *kernel, *again;
        if (hel_kernel_get(device, source->name, NULL, 0, &kernel) != HEL_OK) fail_msg("%s", hel_error_message());
        assert_int_equal(hel_kernel_get(device, source->name, source->defaults, source->n_constants, &again), HEL_OK);
        assert_ptr_equal(kernel, again);
    }
}

static void test_tickets(void **state) {
    (void)state;
    enum { MARKS = 200 }; // more than any backend remembers one by one
    hel_buffer *buffer;
    uint64_t first, ticket, other;
    uint32_t word = 7;
    assert_int_equal(hel_buffer_create(device, 64, &buffer), HEL_OK);
    assert_int_equal(hel_device_mark(device, HEL_QUEUE_COMPUTE, &first), HEL_OK);
    ticket = first;
    for (int i = 0; i < MARKS; i++) {
        hel_queue queue = i % 2 ? HEL_QUEUE_TRANSFER : HEL_QUEUE_COMPUTE;
        assert_int_equal(hel_buffer_write(device, queue, buffer, 0, &word, sizeof word), HEL_OK);
        assert_int_equal(hel_device_mark(device, queue, &other), HEL_OK);
        assert_true(other > ticket);
        ticket = other;
        assert_int_equal(hel_device_wait_on(device, i % 2 ? HEL_QUEUE_COMPUTE : HEL_QUEUE_TRANSFER, ticket), HEL_OK);
    }
    assert_int_equal(hel_device_flush(device), HEL_OK);
    assert_int_equal(hel_device_wait(device, first, UINT64_MAX), HEL_OK); // long forgotten
    hel_status status;
    do status = hel_device_wait(device, ticket, 1000000);
    while (status == HEL_ERROR_TIMEOUT);
    assert_int_equal(status, HEL_OK);
    assert_int_equal(hel_device_wait(device, ticket, 0), HEL_OK);
    hel_buffer_destroy(device, &buffer);
}

// Writes much larger than any staging memory, and many small ones; what is written must be what was there at the call.
static void test_writes(void **state) {
    (void)state;
    enum { SIZE = 768 << 10, PIECE = 12 << 10, ROUNDS = 12 };
    hel_buffer *buffer;
    unsigned char *bytes = malloc(SIZE), *back = malloc(SIZE);
    assert_int_equal(hel_buffer_create(device, SIZE, &buffer), HEL_OK);
    for (int round = 0; round < ROUNDS; round++) {
        memset(bytes, round + 1, SIZE);
        assert_int_equal(hel_buffer_write(device, HEL_QUEUE_COMPUTE, buffer, 0, bytes, SIZE), HEL_OK);
        for (size_t at = 0; at < SIZE; at += PIECE) {
            memset(bytes, (int)(at / PIECE) ^ round, PIECE);
            assert_int_equal(hel_buffer_write(device, HEL_QUEUE_COMPUTE, buffer, at, bytes, PIECE), HEL_OK);
        }
    }
    assert_int_equal(hel_buffer_read(device, HEL_QUEUE_COMPUTE, buffer, 0, back, SIZE), HEL_OK);
    for (size_t at = 0; at < SIZE; at++) assert_int_equal(back[at], (unsigned char)((at / PIECE) ^ (ROUNDS - 1)));
    hel_buffer_destroy(device, &buffer);
    free(bytes);
    free(back);
}

// More ranges of one buffer than a backend keeps handles for, and a timed dispatch.
static void test_ranges(void **state) {
    (void)state;
    if (device->type == HEL_DEVICE_TYPE_NONE) return;
    enum { ROWS = 150 };
    uint64_t stride = HEL_MAX(device->limits.offset_alignment, 16u), ns;
    hel_buffer *buffer;
    hel_kernel *kernel;
    assert_int_equal(hel_buffer_create(device, (ROWS + 1) * stride, &buffer), HEL_OK);
    assert_int_equal(hel_kernel_get(device, "rmsnorm", NULL, 0, &kernel), HEL_OK);
    const float ones[4] = {1, 1, 1, 1}, gain[4] = {1, -2, 3, -4};
    assert_int_equal(hel_buffer_write(device, HEL_QUEUE_COMPUTE, buffer, 0, gain, sizeof gain), HEL_OK);
    assert_int_equal(hel_buffer_write(device, HEL_QUEUE_COMPUTE, buffer, stride, ones, sizeof ones), HEL_OK);
    hel_rmsnorm_params params = {.cols = 4, .epsilon = 0.0f};
    for (uint64_t row = 1; row < ROWS; row++) {
        hel_binding bindings[3] = {{buffer, row * stride, 16}, {buffer, 0, 16}, {buffer, (row + 1) * stride, 16}};
        assert_int_equal(hel_dispatch(device, kernel, bindings, 3, &params, sizeof params, 1, 1 + row % 2), HEL_OK);
    }
    float out[4], expected[4] = {1, 1, 1, 1};
    assert_int_equal(hel_buffer_read(device, HEL_QUEUE_COMPUTE, buffer, ROWS * stride, out, sizeof out), HEL_OK);
    for (int row = 1; row < ROWS; row++) { // the gains' powers would overflow, so each row is normalised anew
        float sum = 0;
        for (int c = 0; c < 4; c++) sum += expected[c] * expected[c];
        for (int c = 0; c < 4; c++) expected[c] *= gain[c] / sqrtf(sum / 4);
    }
    for (int c = 0; c < 4; c++) assert_true(fabsf(out[c] - expected[c]) < 1e-3f);
    assert_int_equal(hel_timer_query(device, 0, &ns), device->features.timers ? HEL_OK : HEL_ERROR_UNSUPPORTED);
    if (device->features.timers) assert_true(ns > 0);
    hel_buffer_destroy(device, &buffer);
}

// Two dimensions of work-groups: every row of a tall matrix is done, and only those.
static void test_folded(void **state) {
    (void)state;
    if (device->type == HEL_DEVICE_TYPE_NONE) return;
    enum { ROWS = 70001 }; // a prime above what fits in one dimension
    static float out[ROWS + 1];
    uint64_t rows_at = hel_round_up(sizeof(float), device->limits.offset_alignment);
    uint64_t out_at = rows_at + hel_round_up(ROWS * sizeof(float), device->limits.offset_alignment);
    hel_buffer *buffer;
    hel_kernel *kernel;
    assert_int_equal(hel_buffer_create(device, out_at + sizeof out, &buffer), HEL_OK);
    assert_int_equal(hel_kernel_get(device, "rmsnorm", NULL, 0, &kernel), HEL_OK);
    assert_int_equal(hel_buffer_fill(device, buffer, 0, rows_at, 0x40000000u), HEL_OK); // gain 2
    assert_int_equal(hel_buffer_fill(device, buffer, rows_at, ROWS * sizeof(float), 0x3f800000u), HEL_OK);
    hel_rmsnorm_params params = {.cols = 1, .epsilon = 0.0f};
    hel_binding bindings[3] = {{buffer, rows_at, ROWS * sizeof(float)}, {buffer, 0, sizeof(float)}, {buffer, out_at, sizeof out}};
    assert_int_equal(hel_dispatch(device, kernel, bindings, 3, &params, sizeof params, ROWS, 0), HEL_OK);
    assert_int_equal(hel_buffer_read(device, HEL_QUEUE_COMPUTE, buffer, out_at, out, sizeof out), HEL_OK);
    for (int row = 0; row < ROWS; row++) assert_true(out[row] == 2.0f);
    assert_true(out[ROWS] == 0.0f);
    hel_buffer_destroy(device, &buffer);
}

// ---------------------------------------------------------------- recordings

enum { VALUES = 37, RECORDED = 4 };

typedef struct chain {
    hel_buffer *buffer; // rows of VALUES: the gain, then each dispatch's input and the next one's
    hel_buffer *other;  // where the last one's output goes
    hel_recorded_dispatch dispatches[RECORDED];
} chain;

static uint64_t row_stride(void) { return HEL_MAX(hel_round_up(VALUES * sizeof(float), device->limits.offset_alignment), 256); }

static hel_binding row_of(hel_buffer *buffer, uint32_t row) {
    return (hel_binding){buffer, row * row_stride(), VALUES * sizeof(float)};
}

// Row i + 1 to row i + 2 by rmsnorm, each epsilon different; the last to `other`.
static chain make_chain(void) {
    chain all;
    hel_kernel *kernel;
    float gain[VALUES];
    for (int i = 0; i < VALUES; i++) gain[i] = 0.5f + (float)(i % 7);
    assert_int_equal(hel_kernel_get(device, "rmsnorm", NULL, 0, &kernel), HEL_OK);
    assert_int_equal(hel_buffer_create(device, (RECORDED + 1) * row_stride(), &all.buffer), HEL_OK);
    assert_int_equal(hel_buffer_create(device, row_stride(), &all.other), HEL_OK);
    assert_int_equal(hel_buffer_write(device, HEL_QUEUE_COMPUTE, all.buffer, 0, gain, sizeof gain), HEL_OK);
    for (uint32_t i = 0; i < RECORDED; i++) {
        hel_rmsnorm_params params = {.cols = VALUES, .epsilon = 0.125f * (float)i};
        hel_recorded_dispatch *d = &all.dispatches[i];
        *d = (hel_recorded_dispatch){.kernel = kernel, .count = 3, .params_size = sizeof params, .groups = 1};
        d->bindings[0] = row_of(all.buffer, i + 1);
        d->bindings[1] = row_of(all.buffer, 0);
        d->bindings[2] = i + 1 < RECORDED ? row_of(all.buffer, i + 2) : row_of(all.other, 0);
        memcpy(d->params, &params, sizeof params);
    }
    return all;
}

static void destroy_chain(chain *all) {
    hel_buffer_destroy(device, &all->buffer);
    hel_buffer_destroy(device, &all->other);
}

static void write_input(const chain *all, uint32_t seed) {
    float values[VALUES];
    for (uint32_t i = 0; i < VALUES; i++) values[i] = (float)((i * 31 + seed * 17) % 23) - 11.0f;
    assert_int_equal(hel_buffer_write(device, HEL_QUEUE_COMPUTE, all->buffer, row_stride(), values, sizeof values), HEL_OK);
}

static void run_each(const chain *all) {
    for (uint32_t i = 0; i < RECORDED; i++) {
        const hel_recorded_dispatch *d = &all->dispatches[i];
        assert_int_equal(hel_dispatch(device, d->kernel, d->bindings, d->count, d->params, d->params_size, d->groups, 0), HEL_OK);
    }
}

static void read_output(const chain *all, float out[VALUES]) {
    assert_int_equal(hel_buffer_read(device, HEL_QUEUE_COMPUTE, all->other, 0, out, VALUES * sizeof *out), HEL_OK);
}

static void test_recording_rules(void **state) {
    (void)state;
    chain all = make_chain();
    hel_recording *recording = (hel_recording *)(void *)&all;
    if (!device->features.recording) {
        assert_int_equal(hel_recording_create(device, all.dispatches, RECORDED, &recording), HEL_ERROR_UNSUPPORTED);
        assert_null(recording);
    } else {
        EXPECT_REFUSED(hel_recording_create(device, all.dispatches, 0, &recording));
        hel_recorded_dispatch idle = all.dispatches[0];
        idle.groups = 0;
        EXPECT_REFUSED(hel_recording_create(device, &idle, 1, &recording));
        all.dispatches[2].count = 2;
        EXPECT_REFUSED(hel_recording_create(device, all.dispatches, RECORDED, &recording));
        all.dispatches[2].count = 3;
        assert_int_equal(hel_recording_create(device, all.dispatches, RECORDED, &recording), HEL_OK);
        assert_int_equal(hel_recording_replay(device, recording), HEL_OK);
        hel_buffer_destroy(device, &all.other); // in use, and then missing
        EXPECT_REFUSED(hel_recording_replay(device, recording));
        hel_recording_destroy(device, &recording);
        assert_null(recording);
    }
    hel_recording_destroy(device, &recording);
    hel_recording_destroy(device, NULL);
    destroy_chain(&all);
}

// Bit for bit what single dispatches give, with writes before and between replays and dispatches around them.
static void test_replays(void **state) {
    (void)state;
    if (!device->features.recording) return;
    enum { ROUNDS = 20 };
    float expected[VALUES], out[VALUES], zeros[VALUES] = {0};
    chain all = make_chain();
    hel_recording *recording;
    hel_recorded_dispatch given[RECORDED + 1];
    write_input(&all, 0);
    memcpy(given, all.dispatches, sizeof all.dispatches);
    given[RECORDED] = given[0];
    given[RECORDED].groups = 0;
    assert_int_equal(hel_recording_create(device, given, RECORDED + 1, &recording), HEL_OK);
    memset(given, 0, sizeof given); // was copied
    read_output(&all, out);
    assert_memory_equal(out, zeros, sizeof zeros); // nothing ran
    for (uint32_t seed = 1; seed <= ROUNDS; seed++) {
        write_input(&all, seed);
        run_each(&all);
        read_output(&all, expected);
        write_input(&all, seed + 1);
        assert_int_equal(hel_recording_replay(device, recording), HEL_OK);
        write_input(&all, seed); // behind the replay's reads, before the next one's
        if (seed % 3 == 0) run_each(&all);
        if (seed % 4 == 0) assert_int_equal(hel_device_flush(device), HEL_OK);
        assert_int_equal(hel_recording_replay(device, recording), HEL_OK);
        if (seed % 2 == 0) assert_int_equal(hel_recording_replay(device, recording), HEL_OK);
        read_output(&all, out);
        assert_memory_equal(out, expected, sizeof out);
    }
    assert_int_equal(hel_recording_replay(device, recording), HEL_OK);
    hel_recording_destroy(device, &recording); // pending
    read_output(&all, out);
    assert_memory_equal(out, expected, sizeof out);
    destroy_chain(&all);
}

// ---------------------------------------------------------------- threads

// One thread submits and marks; this one waits for its tickets meanwhile.
enum { SUBMISSIONS = 400 };

typedef struct submitter {
    hel_buffer *buffer;
    hel_os_mutex *mutex;
    uint64_t ticket; // the newest, UINT64_MAX after a failure
} submitter;

static void publish(submitter *all, uint64_t ticket) {
    hel_os_mutex_lock(all->mutex);
    all->ticket = ticket;
    hel_os_mutex_unlock(all->mutex);
}

static void submit(void *user) {
    submitter *all = user;
    for (uint32_t i = 1; i <= SUBMISSIONS; i++) {
        uint64_t ticket;
        hel_status status = hel_buffer_fill(device, all->buffer, 0, 64, i);
        if (status == HEL_OK) status = hel_device_mark(device, HEL_QUEUE_COMPUTE, &ticket);
        publish(all, status == HEL_OK ? ticket : UINT64_MAX);
        if (status != HEL_OK) return;
    }
}

static void test_threads(void **state) {
    (void)state;
    submitter all = {.mutex = hel_os_mutex_create()};
    assert_int_equal(hel_buffer_create(device, 64, &all.buffer), HEL_OK);
    uint64_t first, ticket = 0;
    assert_int_equal(hel_device_mark(device, HEL_QUEUE_COMPUTE, &first), HEL_OK);
    all.ticket = first;
    hel_os_thread *thread = hel_os_thread_create(submit, &all);
    assert_non_null(thread);
    for (int i = 0; i < SUBMISSIONS / 4; i++) {
        hel_os_mutex_lock(all.mutex);
        ticket = all.ticket;
        hel_os_mutex_unlock(all.mutex);
        assert_true(ticket != UINT64_MAX);
        hel_status status = hel_device_wait(device, ticket, i % 2 ? UINT64_MAX : 1000);
        assert_true(status == HEL_OK || status == HEL_ERROR_TIMEOUT);
    }
    hel_os_thread_join(&thread);
    uint32_t words[16];
    assert_int_equal(hel_device_wait(device, all.ticket, UINT64_MAX), HEL_OK);
    assert_int_equal(hel_buffer_read(device, HEL_QUEUE_COMPUTE, all.buffer, 0, words, sizeof words), HEL_OK);
    for (int i = 0; i < 16; i++) assert_int_equal(words[i], SUBMISSIONS);
    hel_buffer_destroy(device, &all.buffer);
    hel_os_mutex_destroy(&all.mutex);
}

// By what a device is, as code above asks for it: one of the same type, or the reason of a driver that refuses.
static void test_types(void **state) {
    (void)state;
    const hel_device *other;
    assert_int_equal(hel_device_open_type(device->type, NULL, &other), HEL_OK);
    assert_int_equal(other->type, device->type);
    hel_device_destroy(&other);
    assert_int_equal(hel_device_open_type((hel_device_type)99, NULL, &other), HEL_ERROR_UNAVAILABLE);
    assert_null(other);
    hel_kernel_text text;
    assert_int_equal(hel_kernel_text_find(hel_kernel_sources[0], "opencl", &text), HEL_OK);
    assert_true(text.bytes && text.size);
    assert_int_equal(hel_kernel_text_find(hel_kernel_sources[0], "metal", &text), HEL_ERROR_UNSUPPORTED);
}

int main(int argc, char **argv) {
    device_name = argc > 1 ? argv[1] : "cpu";
    if (!device_here(device_name)) return SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffers), cmocka_unit_test(test_rules),  cmocka_unit_test(test_order),
        cmocka_unit_test(test_kernels), cmocka_unit_test(test_tickets), cmocka_unit_test(test_writes),
        cmocka_unit_test(test_ranges),  cmocka_unit_test(test_folded),  cmocka_unit_test(test_threads),
        cmocka_unit_test(test_types),   cmocka_unit_test(test_kernel_limits), cmocka_unit_test(test_binding_limit),
        cmocka_unit_test(test_recording_rules), cmocka_unit_test(test_replays), cmocka_unit_test(test_memory_free),
    };
    return cmocka_run_group_tests_name(device_name, tests, open_device, close_device);
}
