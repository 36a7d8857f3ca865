// SPDX-License-Identifier: Apache-2.0
// What only the Vulkan backend does: barriers, batches, staging, a second queue, its file of pipelines, and a status for
// every driver call that fails. With an argument it runs one defect for the validation layer to find.
#include "support/support.h"

#include <dirent.h>

#include "base/error.h"
#include "base/size.h"
#include "kernels.h"
#include "vulkan_fakes.h"

enum { COLS = 64, ROW = COLS * sizeof(float), ROWS = 16 };

static char cache_folder[TESTS_PATH];

static hel_status open_device(const hel_device **out) {
    hel_device_params params = hel_device_params_default();
    params.cache_directory = cache_folder;
    return hel_device_open("vulkan", &params, out);
}

static hel_status normalise(const hel_device *device, hel_buffer *buffer, uint32_t from, uint32_t to, uint32_t timer) {
    hel_kernel *kernel;
    hel_rmsnorm_params params = {.cols = COLS, .epsilon = 1e-6f};
    hel_binding bindings[3] = {{buffer, from * ROW, ROW}, {buffer, 0, ROW}, {buffer, to * ROW, ROW}};
    HEL_TRY(hel_kernel_get(device, "rmsnorm", NULL, 0, &kernel));
    return hel_dispatch(device, kernel, bindings, 3, &params, sizeof params, 1, timer);
}

static hel_buffer *make_rows(const hel_device *device) {
    hel_buffer *buffer;
    float ones[ROWS * COLS];
    for (int i = 0; i < ROWS * COLS; i++) ones[i] = 1.0f;
    assert_int_equal(hel_buffer_create(device, sizeof ones, &buffer), HEL_OK);
    assert_int_equal(hel_buffer_write(device, HEL_QUEUE_COMPUTE, buffer, 0, ones, sizeof ones), HEL_OK);
    return buffer;
}

// ---------------------------------------------------------------- barriers

// Dispatches `from` -> `to`; the number of barriers that this takes.
static uint32_t barriers_of(const hel_device *device, hel_buffer *buffer, uint32_t from, uint32_t to) {
    uint32_t before = fake.barriers;
    assert_int_equal(normalise(device, buffer, from, to, 0), HEL_OK);
    return fake.barriers - before;
}

static void test_barriers(void **state) {
    (void)state;
    const hel_device *device;
    assert_int_equal(open_device(&device), HEL_OK);
    hel_buffer *buffer = make_rows(device);
    for (uint32_t to = 2; to < 10; to++) assert_int_equal(barriers_of(device, buffer, 1, to), 0); // side by side
    assert_int_equal(barriers_of(device, buffer, 2, 11), 1);                                      // read after write
    assert_int_equal(barriers_of(device, buffer, 3, 12), 0);                                      // behind that barrier
    assert_int_equal(barriers_of(device, buffer, 1, 3), 1);                                       // write after read
    assert_int_equal(barriers_of(device, buffer, 1, 3), 1);                                       // write after write
    assert_int_equal(barriers_of(device, buffer, 1, 4), 0);
    hel_buffer_destroy(device, &buffer);
    hel_device_destroy(&device);
}

static hel_recorded_dispatch recorded(const hel_device *device, hel_buffer *buffer, uint32_t from, uint32_t to) {
    hel_rmsnorm_params params = {.cols = COLS, .epsilon = 1e-6f};
    hel_recorded_dispatch d = {.count = 3, .params_size = sizeof params, .groups = 1};
    assert_int_equal(hel_kernel_get(device, "rmsnorm", NULL, 0, &d.kernel), HEL_OK);
    d.bindings[0] = (hel_binding){buffer, from * ROW, ROW};
    d.bindings[1] = (hel_binding){buffer, 0, ROW};
    d.bindings[2] = (hel_binding){buffer, to * ROW, ROW};
    memcpy(d.params, &params, sizeof params);
    return d;
}

// A recording has the barriers that single dispatches would have; a replay adds one where something came before.
static void test_recorded_barriers(void **state) {
    (void)state;
    const hel_device *device;
    hel_recording *recording;
    assert_int_equal(open_device(&device), HEL_OK);
    hel_buffer *buffer = make_rows(device);
    hel_recorded_dispatch d[] = {recorded(device, buffer, 1, 2), recorded(device, buffer, 1, 3), recorded(device, buffer, 2, 4),
                                 recorded(device, buffer, 3, 5), recorded(device, buffer, 4, 6)};
    uint32_t before = fake.barriers;
    assert_int_equal(hel_recording_create(device, d, HEL_COUNT(d), &recording), HEL_OK);
    assert_int_equal(fake.barriers - before, 2);
    assert_int_equal(hel_device_flush(device), HEL_OK);
    before = fake.barriers;
    assert_int_equal(hel_recording_replay(device, recording), HEL_OK);
    assert_int_equal(fake.barriers - before, 0);
    assert_int_equal(barriers_of(device, buffer, 1, 7), 0); // beside the last dispatch
    assert_int_equal(barriers_of(device, buffer, 6, 8), 1); // behind it
    before = fake.barriers;
    assert_int_equal(hel_recording_replay(device, recording), HEL_OK);
    assert_int_equal(fake.barriers - before, 1);
    hel_recording_destroy(device, &recording);
    hel_buffer_destroy(device, &buffer);
    hel_device_destroy(&device);
    assert_int_equal(fake.alive, 0);
}

// Many replays in flight and more in the open batch; the recording goes before they are done, but not before its time.
static void test_pending_replays(void **state) {
    (void)state;
    const hel_device *device;
    hel_recording *recording;
    assert_int_equal(open_device(&device), HEL_OK);
    hel_buffer *buffer = make_rows(device);
    hel_recorded_dispatch d[] = {recorded(device, buffer, 1, 2), recorded(device, buffer, 2, 3)};
    int64_t before = fake.alive;
    assert_int_equal(hel_recording_create(device, d, HEL_COUNT(d), &recording), HEL_OK);
    assert_int_equal(fake.alive - before, 2);
    uint32_t submits = fake.submits;
    for (int i = 0; i < 3 * VULKAN_BATCHES; i++) {
        assert_int_equal(hel_recording_replay(device, recording), HEL_OK);
        if (i % 2) assert_int_equal(hel_device_flush(device), HEL_OK);
    }
    assert_int_equal(fake.submits - submits, 3 * VULKAN_BATCHES / 2);
    assert_int_equal(hel_recording_replay(device, recording), HEL_OK);
    int64_t alive = fake.alive;
    hel_recording_destroy(device, &recording);
    assert_int_equal(fake.alive, alive); // the open batch has it
    hel_buffer_destroy(device, &buffer);
    hel_device_destroy(&device);
    assert_int_equal(fake.alive, 0);
}

static void test_batches(void **state) {
    (void)state;
    const hel_device *device;
    assert_int_equal(open_device(&device), HEL_OK);
    hel_buffer *buffer = make_rows(device);
    uint32_t before = fake.submits;
    for (uint32_t i = 0; i < 10 * VULKAN_BATCH_DISPATCHES; i++)
        assert_int_equal(normalise(device, buffer, 1, 2 + i % 8, 0), HEL_OK);
    assert_int_equal(fake.submits - before, 9);
    assert_int_equal(hel_device_flush(device), HEL_OK);
    assert_int_equal(hel_device_flush(device), HEL_OK);
    assert_int_equal(fake.submits - before, 10);
    hel_buffer_destroy(device, &buffer); // in use: freed later
    hel_device_destroy(&device);
    assert_int_equal(fake.alive, 0);
}

// ---------------------------------------------------------------- tickets and threads

typedef struct waiter {
    const hel_device *device;
    uint64_t ticket;
    hel_status status;
} waiter;

static void wait_for_it(void *user) {
    waiter *w = user;
    w->status = hel_device_wait(w->device, w->ticket, UINT64_MAX);
}

static void test_waiting_threads(void **state) {
    (void)state;
    enum { WAITERS = 8, DISPATCHES = 100 };
    waiter waiters[WAITERS];
    hel_os_thread *threads[WAITERS];
    const hel_device *device;
    assert_int_equal(open_device(&device), HEL_OK);
    hel_buffer *buffer = make_rows(device);
    for (int i = 0; i < WAITERS; i++) {
        for (uint32_t j = 0; j < DISPATCHES; j++) assert_int_equal(normalise(device, buffer, 1, 2, 0), HEL_OK);
        waiters[i].device = device;
        assert_int_equal(hel_device_mark(device, HEL_QUEUE_COMPUTE, &waiters[i].ticket), HEL_OK);
        assert_true(!i || waiters[i].ticket > waiters[i - 1].ticket);
        threads[i] = hel_os_thread_create(wait_for_it, &waiters[i]);
        assert_non_null(threads[i]);
    }
    for (int i = 0; i < WAITERS; i++) {
        hel_os_thread_join(&threads[i]);
        assert_int_equal(waiters[i].status, HEL_OK);
        assert_int_equal(hel_device_wait(device, waiters[i].ticket, 0), HEL_OK); // done stays done
    }
    hel_buffer_destroy(device, &buffer);
    hel_device_destroy(&device);
}

static void test_timer(void **state) {
    (void)state;
    const hel_device *device;
    uint64_t ns;
    assert_int_equal(open_device(&device), HEL_OK);
    hel_buffer *buffer = make_rows(device);
    assert_int_equal(hel_timer_query(device, 5, &ns), HEL_OK);
    assert_int_equal(ns, 0);
    for (int i = 0; i < 3; i++) assert_int_equal(normalise(device, buffer, 1, 2, 1 + 5), HEL_OK);
    assert_int_equal(hel_timer_query(device, 5, &ns), HEL_OK);
    assert_true(ns > 0 && ns < 1000000000u);
    hel_buffer_destroy(device, &buffer);
    hel_device_destroy(&device);
}

// ---------------------------------------------------------------- subgroups

enum { WIDE = 192, TALL = 3 }; // rows begin at multiples of 256 bytes, as any device's bindings may

// y = W x for W[r, c] = (r + 1) (c % 7) and x = 1, by `lanes` lanes.
static void multiply(const hel_device *device, uint32_t lanes, float y[TALL]) {
    float values[TALL * WIDE + WIDE];
    for (int i = 0; i < TALL * WIDE; i++) values[i] = (float)((i / WIDE + 1) * (i % WIDE % 7));
    for (int i = 0; i < WIDE; i++) values[TALL * WIDE + i] = 1.0f;
    hel_linear_params params = {.rows = TALL, .cols = WIDE, .tokens = 1, .row_words = WIDE, .x_stride = WIDE, .y_stride = TALL};
    uint32_t constants[HEL_LINEAR_MATVEC_CONSTANTS] = {HEL_FORMAT_F32, 8, 1, 0, 1, 2, lanes, 1, 1, 0, 0};
    hel_buffer *buffer;
    hel_kernel *kernel;
    assert_int_equal(hel_buffer_create(device, sizeof values + 256, &buffer), HEL_OK);
    assert_int_equal(hel_buffer_write(device, HEL_QUEUE_COMPUTE, buffer, 0, values, sizeof values), HEL_OK);
    hel_binding none = {buffer, 0, 16}, out = {buffer, sizeof values, TALL * sizeof *y};
    hel_binding bindings[8] = {{buffer, 0, TALL * WIDE * sizeof(float)}, none, none, none, none, none,
                               {buffer, TALL * WIDE * sizeof(float), WIDE * sizeof(float)}, out};
    assert_int_equal(hel_kernel_get(device, "linear_matvec", constants, HEL_COUNT(constants), &kernel), HEL_OK);
    assert_int_equal(hel_dispatch(device, kernel, bindings, 8, &params, sizeof params, 2, 0), HEL_OK);
    assert_int_equal(hel_buffer_read(device, HEL_QUEUE_COMPUTE, buffer, out.offset, y, out.size), HEL_OK);
    hel_buffer_destroy(device, &buffer);
}

// Sums of whole numbers are exact whatever their order: with subgroups of a size that the pipeline says, in work-groups
// smaller than one, and on a driver that cannot say.
static void test_subgroups(void **state) {
    (void)state;
    for (int without = 0; without < 2; without++) {
        const hel_device *device;
        fake_no_subgroups(without);
        assert_int_equal(open_device(&device), HEL_OK);
        vulkan_subgroups subgroups = vulkan_device_of(device)->subgroups;
        if (without) assert_int_equal(subgroups.usual, 0);
        else if (strstr(device->name, "llvmpipe")) assert_true(subgroups.usual > 1);
        for (uint32_t lanes = 1; lanes <= 128; lanes *= 2) {
            float y[TALL], row = 0;
            fake.subgroup = 0;
            multiply(device, lanes, y);
            assert_int_equal(fake.subgroup, vulkan_subgroup_lanes(&subgroups, lanes));
            for (int c = 0; c < WIDE; c++) row += (float)(c % 7);
            for (int r = 0; r < TALL; r++) assert_float_equal(y[r], row * (float)(r + 1), 0);
        }
        hel_device_destroy(&device);
    }
    fake_no_subgroups(false);
}

static void test_subgroup_lanes(void **state) {
    (void)state;
    vulkan_subgroups wide = {.least = 32, .usual = 64, .most_of_group = 2}, none = {0};
    assert_int_equal(vulkan_subgroup_lanes(&wide, 128), 64);
    assert_int_equal(vulkan_subgroup_lanes(&wide, 32), 32);
    assert_int_equal(vulkan_subgroup_lanes(&wide, 16), 0);  // less than a subgroup
    assert_int_equal(vulkan_subgroup_lanes(&wide, 256), 0); // too many subgroups
    assert_int_equal(vulkan_subgroup_lanes(&none, 64), 0);
}

// ---------------------------------------------------------------- a device with memory of its own

static uint32_t word_at(uint64_t i) { return (uint32_t)(i * 2654435761u + 12345u); }

static void check_words(const hel_device *device, hel_buffer *buffer, uint64_t words) {
    uint32_t *back = test_malloc(words * 4);
    assert_int_equal(hel_buffer_read(device, HEL_QUEUE_COMPUTE, buffer, 0, back, words * 4), HEL_OK);
    for (uint64_t i = 0; i < words; i++)
        if (back[i] != word_at(i)) fail_msg("word %llu differs", (unsigned long long)i);
    test_free(back);
}

// More than the ring holds, in pieces of odd sizes, to a new buffer on the transfer queue: its zeroing comes first.
static void test_staging(void **state) {
    (void)state;
    enum { WORDS = 5 << 20, PIECE = 333331 };
    const hel_device *device;
    hel_buffer *buffer, *copy;
    void *address;
    uint64_t ticket;
    fake_discrete(true);
    assert_int_equal(open_device(&device), HEL_OK);
    assert_int_equal(device->type, HEL_DEVICE_TYPE_DISCRETE);
    assert_true(device->features.transfer_queue && !device->features.mapped);
    assert_int_equal(hel_buffer_create(device, WORDS * 4, &buffer), HEL_OK);
    assert_int_equal(hel_buffer_create(device, WORDS * 4, &copy), HEL_OK);
    assert_int_equal(hel_buffer_map(device, buffer, &address), HEL_ERROR_UNSUPPORTED);
    uint32_t *words = test_malloc((size_t)WORDS * 4);
    for (uint64_t i = 0; i < WORDS; i++) words[i] = word_at(i);
    for (uint64_t at = 0; at < WORDS; at += PIECE) {
        uint64_t count = WORDS - at < PIECE ? WORDS - at : PIECE;
        assert_int_equal(hel_buffer_write(device, HEL_QUEUE_TRANSFER, buffer, at * 4, words + at, count * 4), HEL_OK);
    }
    memset(words, 0, (size_t)WORDS * 4); // the caller may use its bytes again at once
    assert_int_equal(hel_device_mark(device, HEL_QUEUE_TRANSFER, &ticket), HEL_OK);
    assert_int_equal(hel_device_wait_on(device, HEL_QUEUE_COMPUTE, ticket), HEL_OK);
    assert_int_equal(hel_buffer_copy(device, HEL_QUEUE_COMPUTE, copy, 0, buffer, 0, (uint64_t)WORDS * 4), HEL_OK);
    hel_buffer_destroy(device, &buffer); // the copy still needs it
    check_words(device, copy, WORDS);
    test_free(words);
    hel_buffer_destroy(device, &copy);
    hel_device_destroy(&device);
    fake_discrete(false);
    assert_int_equal(fake.alive, 0);
}

// Many small buffers share few allocations.
static void test_many_buffers(void **state) {
    (void)state;
    enum { COUNT = 2000 };
    static hel_buffer *buffers[COUNT];
    const hel_device *device;
    uint32_t word;
    assert_int_equal(open_device(&device), HEL_OK);
    int64_t before = fake.alive;
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(hel_buffer_create(device, 4 + 4 * (i % 1000), &buffers[i]), HEL_OK);
        assert_int_equal(hel_buffer_write(device, HEL_QUEUE_COMPUTE, buffers[i], 0, &i, 4), HEL_OK);
    }
    assert_true(fake.alive - before <= COUNT + 2);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(hel_buffer_read(device, HEL_QUEUE_COMPUTE, buffers[i], 0, &word, 4), HEL_OK);
        assert_int_equal(word, i);
        hel_buffer_destroy(device, &buffers[i]);
    }
    hel_device_destroy(&device);
    assert_int_equal(fake.alive, 0);
}

// ---------------------------------------------------------------- the file of pipelines

static bool find_cache_file(char path[TESTS_PATH]) {
    DIR *folder = opendir(cache_folder);
    bool found = false;
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (strlen(entry->d_name) == 64) {
            support_join(path, cache_folder, entry->d_name);
            found = true;
        }
    if (folder) closedir(folder);
    return found;
}

static void run_once(void) {
    const hel_device *device;
    assert_int_equal(open_device(&device), HEL_OK);
    hel_buffer *buffer = make_rows(device);
    assert_int_equal(normalise(device, buffer, 1, 2, 0), HEL_OK);
    hel_buffer_destroy(device, &buffer);
    hel_device_destroy(&device);
}

static void test_pipeline_file(void **state) {
    (void)state;
    char path[TESTS_PATH];
    run_once();
    assert_true(find_cache_file(path));
    run_once();
    for (long at = 0; at < 48; at += 7) { // a damaged file is as good as none, and is written anew
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        fseek(file, at, SEEK_SET);
        int byte = fgetc(file);
        fseek(file, at, SEEK_SET);
        fputc(byte ^ 0x55, file);
        fclose(file);
        run_once();
    }
    assert_int_equal(truncate(path, 20), 0);
    run_once();
    assert_int_equal(remove(path), 0);
    assert_false(find_cache_file(path));
}

// ---------------------------------------------------------------- every call of the driver fails once

static hel_status replay_twice(const hel_device *device, hel_buffer *rows) {
    hel_recorded_dispatch d[] = {recorded(device, rows, 1, 2), recorded(device, rows, 2, 5)};
    hel_recording *recording;
    HEL_TRY(hel_recording_create(device, d, HEL_COUNT(d), &recording));
    hel_status status = hel_recording_replay(device, recording);
    if (status == HEL_OK) status = hel_recording_replay(device, recording);
    hel_recording_destroy(device, &recording);
    return status;
}

static hel_status use_buffers(const hel_device *device, hel_buffer *rows, hel_buffer *other) {
    float values[COLS];
    uint64_t ticket, ns;
    for (int i = 0; i < COLS; i++) values[i] = 1.0f;
    HEL_TRY(hel_buffer_write(device, HEL_QUEUE_TRANSFER, rows, 0, values, sizeof values));
    HEL_TRY(hel_device_mark(device, HEL_QUEUE_TRANSFER, &ticket));
    HEL_TRY(hel_device_wait_on(device, HEL_QUEUE_COMPUTE, ticket));
    HEL_TRY(hel_buffer_fill(device, rows, ROW, ROW, 0x3f800000u));
    HEL_TRY(normalise(device, rows, 1, 2, 1));
    HEL_TRY(normalise(device, rows, 2, 3, 0));
    HEL_TRY(hel_buffer_copy(device, HEL_QUEUE_COMPUTE, other, 0, rows, 0, ROWS * ROW));
    HEL_TRY(hel_device_wait_idle(device, HEL_QUEUE_COMPUTE));
    HEL_TRY(hel_timer_query(device, 0, &ns));
    HEL_TRY(normalise(device, rows, 1, 4, 0));
    HEL_TRY(replay_twice(device, rows));
    HEL_TRY(hel_buffer_read(device, HEL_QUEUE_COMPUTE, other, 3 * ROW, values, sizeof values));
    for (int i = 0; i < COLS; i++) assert_true(fabsf(values[i] - 1.0f) < 1e-5f);
    return HEL_OK;
}

static hel_status use_device(void) {
    const hel_device *device;
    hel_buffer *rows = NULL, *other = NULL;
    HEL_TRY(open_device(&device));
    hel_status status = hel_buffer_create(device, ROWS * ROW, &rows);
    if (status == HEL_OK) status = hel_buffer_create(device, ROWS * ROW, &other);
    if (status == HEL_OK) status = use_buffers(device, rows, other);
    hel_buffer_destroy(device, &rows);
    hel_buffer_destroy(device, &other);
    hel_device_destroy(&device);
    return status;
}

// A flush whose n-th driver call fails, behind a fill that was accepted. What the buffer has then, or DEVICE_LOST.
static hel_status fill_behind_failure(uint32_t n, uint32_t *out_word, bool *out_failed) {
    const hel_device *device;
    hel_buffer *buffer = NULL;
    assert_int_equal(open_device(&device), HEL_OK);
    assert_int_equal(hel_buffer_create(device, ROW, &buffer), HEL_OK);
    assert_int_equal(hel_device_flush(device), HEL_OK);
    assert_int_equal(hel_buffer_fill(device, buffer, 0, ROW, 7), HEL_OK);
    fake.calls = 0;
    fake.fail_at = n;
    fake.fail_with = VK_ERROR_OUT_OF_HOST_MEMORY;
    *out_failed = hel_device_flush(device) != HEL_OK;
    fake.fail_at = 0;
    hel_status status = hel_buffer_read(device, HEL_QUEUE_COMPUTE, buffer, ROW - 4, out_word, 4);
    if (status != HEL_OK) assert_int_equal(hel_buffer_fill(device, buffer, 0, ROW, 8), status); // and so it stays
    hel_buffer_destroy(device, &buffer);
    hel_device_destroy(&device);
    return status;
}

// Commands that a call was told are accepted are run, whatever fails later, or the device is lost.
static void test_accepted_commands(void **state) {
    (void)state;
    uint32_t lost = 0, kept = 0;
    bool failed = true;
    for (uint32_t n = 1; failed; n++) {
        uint32_t word = 0;
        hel_status status = fill_behind_failure(n, &word, &failed);
        lost += status == HEL_ERROR_DEVICE_LOST;
        kept += failed && status == HEL_OK;
        if (status != HEL_OK) assert_int_equal(status, HEL_ERROR_DEVICE_LOST);
        else assert_int_equal(word, 7);
    }
    assert_int_equal(lost, 1); // a command buffer that does not end
    assert_int_equal(kept, 1); // a submission that is made again
}

static int64_t allocations;

static void *count_resize(void *user, void *pointer, size_t size) {
    (void)user;
    allocations += !pointer;
    return realloc(pointer, size);
}

static void count_release(void *user, void *pointer) {
    (void)user;
    allocations -= pointer != NULL;
    free(pointer);
}

static void fail_each_call(VkResult code) {
    fake.calls = fake.fail_at = 0;
    assert_int_equal(use_device(), HEL_OK);
    uint32_t calls = fake.calls, failed = 0;
    for (uint32_t n = 1; n <= calls; n++) {
        fake.calls = 0;
        fake.fail_at = n;
        fake.fail_with = code;
        hel_status status = use_device();
        assert_true(status == HEL_OK || status == HEL_ERROR_MEMORY || status == HEL_ERROR_DEVICE_LOST);
        failed += status != HEL_OK;
        if (fake.alive || allocations)
            fail_msg("call %u: %d objects, %d allocations left", n, (int)fake.alive, (int)allocations);
    }
    fake.fail_at = 0;
    assert_int_equal(use_device(), HEL_OK); // nothing of all that stays
    print_message("%u of %u failing calls became a status\n", failed, calls);
    assert_true(failed * 2 > calls);
}

static void test_failing_calls(void **state) {
    (void)state;
    hel_memory_hooks hooks = {count_resize, count_release, NULL};
    allocations = 0;
    hel_memory_set_hooks(&hooks);
    for (int discrete = 0; discrete < 2; discrete++) {
        fake_discrete(discrete);
        fail_each_call(VK_ERROR_OUT_OF_HOST_MEMORY);
        fail_each_call(VK_ERROR_DEVICE_LOST);
    }
    fake_discrete(false);
    hel_memory_set_hooks(NULL);
}

// ---------------------------------------------------------------- defects for the layer

typedef struct defect {
    const char *name;
    void (*install)(void);
    uint32_t groups; // rows that the second dispatch writes to a buffer of one row
    bool recorded;   // the first ones are replayed, rather than dispatched
} defect;

// Many rows follow the small buffer in one allocation, so only instrumented code sees a write past its end.
static hel_status run_dispatches(const hel_device *device, hel_buffer *rows, hel_buffer *small, const defect *how) {
    hel_kernel *kernel;
    hel_rmsnorm_params params = {.cols = COLS, .epsilon = 1e-6f};
    hel_binding bindings[3] = {{rows, 0, ROWS * ROW}, {rows, 0, ROW}, {small, 0, ROW}};
    for (uint32_t i = 1; i < 5 && !how->recorded; i++) HEL_TRY(normalise(device, rows, i, i + 1, 0));
    if (how->recorded) HEL_TRY(replay_twice(device, rows));
    HEL_TRY(hel_kernel_get(device, "rmsnorm", NULL, 0, &kernel));
    HEL_TRY(hel_dispatch(device, kernel, bindings, 3, &params, sizeof params, how->groups, 0));
    return hel_device_flush(device);
}

static int run_defect(const char *name) {
    static const defect defects[] = {{"none", NULL, 1, false},
                                     {"missing-barrier", fake_no_barriers, 1, false},
                                     {"missing-recorded-barrier", fake_no_barriers, 1, true},
                                     {"write-past-end", NULL, 4, false}};
    const defect *chosen = NULL;
    const hel_device *device;
    hel_buffer *rows = NULL, *small = NULL;
    for (size_t i = 0; i < HEL_COUNT(defects); i++)
        if (strcmp(name, defects[i].name) == 0) chosen = &defects[i];
    if (!chosen) return 2;
    if (chosen->install) chosen->install();
    if (open_device(&device) != HEL_OK) return 3;
    hel_status status = hel_buffer_create(device, ROW, &small);
    if (status == HEL_OK) status = hel_buffer_create(device, ROWS * ROW, &rows);
    if (status == HEL_OK) status = run_dispatches(device, rows, small, chosen);
    hel_buffer_destroy(device, &rows);
    hel_buffer_destroy(device, &small);
    hel_device_destroy(&device);
    return status == HEL_OK ? 0 : 3;
}

int main(int argc, char **argv) {
    const hel_device *device;
    support_folder(cache_folder);
    hel_status status = open_device(&device);
    if (status == HEL_ERROR_UNAVAILABLE) printf("skipped: vulkan: %s\n", hel_error_message());
    if (status == HEL_OK) hel_device_destroy(&device);
    int code = status == HEL_OK ? 0 : status == HEL_ERROR_UNAVAILABLE ? 77 : 1;
    if (!code && argc > 1) code = run_defect(argv[1]);
    if (!code && argc == 1) {
        VkInstance instance; // keeps the drivers loaded: loading them anew for each device would take most of the time
        if (vulkan_instance_create(&instance) != HEL_OK) return 1;
        fake_install();
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_barriers),        cmocka_unit_test(test_batches),
            cmocka_unit_test(test_recorded_barriers), cmocka_unit_test(test_pending_replays),
            cmocka_unit_test(test_waiting_threads), cmocka_unit_test(test_timer),
            cmocka_unit_test(test_staging),         cmocka_unit_test(test_many_buffers),
            cmocka_unit_test(test_pipeline_file),   cmocka_unit_test(test_failing_calls),
            cmocka_unit_test(test_accepted_commands), cmocka_unit_test(test_subgroups),
            cmocka_unit_test(test_subgroup_lanes),
        };
        code = cmocka_run_group_tests_name("vulkan", tests, NULL, NULL);
        vulkan.vkDestroyInstance(instance, NULL);
    }
    support_remove(cache_folder);
    return code;
}
