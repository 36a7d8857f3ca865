// SPDX-License-Identifier: Apache-2.0
// Tuning on the device of an injector (tests/device/faults.h): variants give the bits of the defaults, wrong ones are
// refused, choices come back from the disk and from nowhere else, and failures leave the defaults. The argument is the
// number of parts (support/part.h) that the variants are dealt out to.
#include "support/failing_heap.h"
#include "support/folder.h"
#include "support/model_files.h"
#include "support/part.h"

#include "base/error.h"
#include "device/backend.h"
#include "device/faults.h"
#include "ops/operators.h"
#include "ops/tune.h"

enum { ROWS = 150, COLS = 328, GROUP = 8, WEIGHTS = 2, MAX_TOKENS = 70, OUTLIERS = 40, MOST_LINES = 64 };

static char cache[TESTS_PATH], weights_path[TESTS_PATH];
static uint64_t random_state;
static test_part part = {0, 1}; // of the variants

// ---------------------------------------------------------------- what the library says

static struct {
    char lines[MOST_LINES][256];
    int count;
} said;

static void listen(void *user, hel_log_level level, const char *message) {
    (void)user, (void)level;
    snprintf(said.lines[said.count++ % MOST_LINES], sizeof said.lines[0], "%s", message);
}

static int times_said(const char *words) {
    int times = 0;
    for (int i = 0; i < said.count && i < MOST_LINES; i++) times += strstr(said.lines[i], words) != NULL;
    return times;
}

// ---------------------------------------------------------------- weights

static uint32_t next_random(uint32_t below) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

static void random_floats(float *values, size_t count) {
    for (size_t i = 0; i < count; i++) values[i] = ((float)next_random(2001) - 1000.0f) / 1000.0f;
}

// "m": bytes, a sidecar, a bias; "n": five bits, which straddle words, and group scales.
static void write_weights(void) {
    static float codebooks[256 + 32], bias[ROWS], outliers[OUTLIERS], scales[ROWS * COLS / GROUP];
    static uint8_t indices[2][ROWS * COLS];
    static int64_t positions[OUTLIERS];
    random_floats(codebooks, 256 + 32);
    random_floats(bias, ROWS);
    random_floats(outliers, OUTLIERS);
    random_floats(scales, ROWS * COLS / GROUP);
    for (int i = 0; i < ROWS * COLS; i++) indices[0][i] = (uint8_t)next_random(256), indices[1][i] = (uint8_t)next_random(32);
    for (int i = 0; i < OUTLIERS; i++) positions[i] = next_random(ROWS * COLS);
    const test_tensor tensors[] = {{"m.codebook", HEL_F32, 1, {256}, codebooks},
                                   {"m.indices", HEL_U8, 2, {ROWS, COLS}, indices[0]},
                                   {"m.bias", HEL_F32, 1, {ROWS}, bias},
                                   {"m.sidecar_positions", HEL_I64, 1, {OUTLIERS}, positions},
                                   {"m.sidecar_values", HEL_F32, 1, {OUTLIERS}, outliers},
                                   {"n.codebook", HEL_F32, 1, {32}, codebooks + 256},
                                   {"n.indices", HEL_U8, 2, {ROWS, COLS}, indices[1]},
                                   {"n.group_scales", HEL_F32, 2, {ROWS, COLS / GROUP}, scales}};
    write_safetensors(weights_path, tensors, sizeof tensors / sizeof tensors[0], NULL);
}

typedef struct bench {
    const hel_device *device;
    hel_weight weights[WEIGHTS];
    bool matrix; // products of many tokens by linear_matmul_matrix
} bench;

static void prepare(hel_archive *archive, const hel_device *device, const char *module, hel_weight *out) {
    hel_weight_desc desc;
    assert_int_equal(hel_weight_desc_find(archive, module, ROWS, COLS, &desc), HEL_OK);
    assert_int_equal(hel_weight_prepare(device, archive, &desc, out), HEL_OK);
    hel_weight_desc_finish(&desc);
}

static bench open_bench(const char *directory) {
    bench out = {0};
    hel_archive *archive;
    hel_device_params params = hel_device_params_default();
    params.cache_directory = directory;
    assert_int_equal(hel_device_open(injector_device, &params, &out.device), HEL_OK);
    assert_int_equal(hel_archive_open(weights_path, &archive), HEL_OK);
    prepare(archive, out.device, "m", &out.weights[0]);
    prepare(archive, out.device, "n", &out.weights[1]);
    hel_archive_close(&archive);
    said.count = 0;
    return out;
}

static void close_bench(bench *b) {
    for (int i = 0; i < WEIGHTS; i++) hel_weight_finish(&b->weights[i]);
    hel_device_destroy(&b->device);
}

// x is the same for the same number of tokens.
static hel_status multiply(const bench *b, const hel_choice *trial, uint32_t which, uint32_t tokens, float *out) {
    static float x[MAX_TOKENS * COLS];
    hel_exec exec;
    random_state = tokens;
    random_floats(x, tokens * COLS);
    HEL_TRY(hel_exec_init(&exec, b->device));
    exec.matrix = b->matrix;
    hel_exec_plan_begin(&exec);
    hel_linear(&exec, hel_exec_tensor(&exec, tokens, COLS), &b->weights[which]);
    assert_int_equal(hel_exec_plan_end(&exec), HEL_OK);
    hel_exec_reset(&exec);
    exec.trial = trial;
    hel_tensor there = hel_exec_tensor(&exec, tokens, COLS);
    hel_exec_upload(&exec, there, x);
    hel_exec_download(&exec, hel_linear(&exec, there, &b->weights[which]), out);
    hel_status status = exec.status;
    hel_exec_finish(&exec);
    return status;
}

// ---------------------------------------------------------------- rules that leave no doubt who wins

static const hel_tune_constant four_rows[] = {{"ROWS", HEL_LINEAR_MATVEC_AT_ROWS, 1, {4}}, {0}};
static const hel_tune_constant half_indices[] = {{"BITS", HEL_LINEAR_MATVEC_AT_BITS, 1, {4}}, {0}}; // reads each index as two
static const hel_tune_kernel rows_only[] = {{.name = "linear_matvec", .constants = four_rows}, {0}};

static hel_tune_rules any_gain(const hel_tune_kernel *kernels) {
    return (hel_tune_rules){.kernels = kernels, .rounds = 1, .seconds = 600};
}

static hel_status tune(const bench *b, hel_tuning tuning, uint32_t tokens, const hel_tune_rules *rules) {
    const hel_weight *weights[WEIGHTS] = {&b->weights[0], &b->weights[1]};
    return hel_tune_weights(&(hel_tune_request){.device = b->device, .tuning = tuning, .weights = weights, .n_weights = WEIGHTS,
                                                .tokens = tokens}, rules);
}

// What was chosen of a constant for the first weight: 0 the default; -1 where there was no choice.
static int chosen(const bench *b, const char *kernel, uint32_t tokens, uint32_t id) {
    uint32_t constants[HEL_MAX_CONSTANTS];
    hel_choice_use use = hel_tuned_use(kernel, &b->weights[0], tokens);
    if (!hel_choice_find(b->device, &use, constants)) return -1;
    return constants[id] == HEL_CHOICE_NONE ? 0 : (int)constants[id];
}

static int chosen_rows(const bench *b) { return chosen(b, "linear_matvec", 1, HEL_LINEAR_MATVEC_AT_ROWS); }

// ---------------------------------------------------------------- variants

static void expect_bits(const bench *b, const char *kernel, uint32_t which, uint32_t tokens, const hel_choice *trial) {
    static float want[MAX_TOKENS * ROWS], got[MAX_TOKENS * ROWS];
    bench with = *b;
    with.matrix = strcmp(kernel, "linear_matmul_matrix") == 0;
    hel_status status = multiply(&with, NULL, which, tokens, want);
    if (with.matrix && status == HEL_ERROR_UNSUPPORTED) return; // of software devices: more shared memory than there is
    assert_int_equal(status, HEL_OK);
    status = multiply(&with, trial, which, tokens, got);
    if (status == HEL_ERROR_UNSUPPORTED) return; // more shared memory than there is
    assert_int_equal(status, HEL_OK);
    if (memcmp(want, got, tokens * ROWS * sizeof *want) == 0) return;
    fail_msg("%s, weight %u, %u tokens: %u %u %u", kernel, which, tokens, trial->constants[4], trial->constants[5], trial->constants[6]);
}

// The fake CUDA driver runs C forms, which keep the defaults: there grids for smaller tiles are tested, and no others fit.
static bool is_run(const hel_tune_kernel *kernel, uint32_t id, uint32_t value) {
    return strcmp(injector_device, "cuda") != 0 || value < hel_kernel_source_find(kernel->name)->defaults[id];
}

// Every value of every constant, and the largest of all together, for shapes that no tile divides; of the second weight
// the latter alone, since drivers take long to compile.
static void test_bits(void **state) {
    (void)state;
    uint32_t variants = 0;
    bench b = open_bench(cache);
    for (const hel_tune_kernel *kernel = hel_tune_kernels; kernel->name; kernel++)
        for (uint32_t which = 0; which < WEIGHTS; which++) {
            uint32_t tokens = strcmp(kernel->name, hel_linear_kernel(false, 1)) ? MAX_TOKENS : which ? 3 : 1;
            hel_choice_use use = hel_tuned_use(kernel->name, &b.weights[which], tokens);
            hel_choice largest = hel_choice_of_nothing(&use);
            for (const hel_tune_constant *constant = kernel->constants; constant->name; constant++)
                for (uint32_t i = 0; i < constant->n_values; i++) {
                    if (!is_run(kernel, constant->id, constant->values[i])) continue;
                    hel_choice one = hel_choice_of_nothing(&use);
                    one.constants[constant->id] = largest.constants[constant->id] = constant->values[i];
                    if (which == 0 && part_has(part, variants++)) expect_bits(&b, kernel->name, which, tokens, &one);
                }
            if (part_has(part, variants++)) expect_bits(&b, kernel->name, which, tokens, &largest);
        }
    close_bench(&b);
}

// A variant that computes something else, however fast, is refused.
static void test_wrong_variant(void **state) {
    (void)state;
    const hel_tune_kernel kernels[] = {{.name = "linear_matvec", .constants = half_indices}, {0}};
    bench b = open_bench("");
    hel_tune_rules rules = any_gain(kernels);
    assert_int_equal(tune(&b, HEL_TUNING_ALWAYS, 1, &rules), HEL_OK);
    assert_int_equal(chosen(&b, "linear_matvec", 1, 1), 0);
    assert_int_equal(times_said("BITS 4 gives another product"), WEIGHTS);
    close_bench(&b);
}

// What a file may claim for a kernel whose loops are counted for the defaults is not used where they count.
static void test_counted_loops(void **state) {
    (void)state;
    static float before[MAX_TOKENS * ROWS], after[MAX_TOKENS * ROWS];
    bench b = open_bench("");
    hel_choice_use use = hel_tuned_use("linear_matmul", &b.weights[0], MAX_TOKENS);
    hel_choice choice = hel_choice_of_nothing(&use);
    choice.constants[HEL_LINEAR_MATMUL_AT_BITS] = 4; // would show
    assert_int_equal(multiply(&b, NULL, 0, MAX_TOKENS, before), HEL_OK);
    assert_int_equal(hel_choice_set(b.device, &choice), HEL_OK);
    assert_int_equal(multiply(&b, NULL, 0, MAX_TOKENS, after), HEL_OK);
    bool same = memcmp(before, after, sizeof before) == 0;
    assert_int_equal(same, b.device->limits.loop_iterations != 0);
    close_bench(&b);
}

// A table that is full ends tuning and nothing else.
static void test_full_table(void **state) {
    (void)state;
    bench b = open_bench("");
    hel_choice_use use = hel_tuned_use("linear_matvec", &b.weights[0], 1);
    hel_status status = HEL_OK;
    for (uint32_t i = 0; status == HEL_OK; i++) {
        use.words[0] = 1000 + i; // a form that no weight has
        hel_choice choice = hel_choice_of_nothing(&use);
        status = hel_choice_set(b.device, &choice);
    }
    assert_int_equal(status, HEL_ERROR_UNSUPPORTED);
    hel_tune_rules rules = any_gain(rows_only);
    assert_int_equal(tune(&b, HEL_TUNING_ALWAYS, 1, &rules), HEL_OK);
    close_bench(&b);
}

// More shared memory than any device has: the driver is not even asked.
static void test_impossible_variant(void **state) {
    (void)state;
    static const hel_tune_constant huge[] = {{"TILE_COLS", HEL_LINEAR_MATMUL_AT_TILE_COLS, 1, {1u << 30}}, {0}};
    const hel_tune_kernel kernels[] = {{.name = "linear_matmul", .constants = huge}, {0}};
    bench b = open_bench("");
    hel_tune_rules rules = any_gain(kernels);
    assert_int_equal(tune(&b, HEL_TUNING_ALWAYS, 64, &rules), HEL_OK);
    assert_int_equal(chosen(&b, "linear_matmul", 64, HEL_LINEAR_MATMUL_AT_TILE_COLS), 0);
    assert_int_equal(times_said("does not run"), WEIGHTS);
    close_bench(&b);
}

// A choice that does not fit, as after a change of what the operator gives the other constants, is left out.
static void test_impossible_choice(void **state) {
    (void)state;
    static float before[MAX_TOKENS * ROWS], after[MAX_TOKENS * ROWS];
    bench b = open_bench("");
    hel_choice_use use = hel_tuned_use("linear_matmul", &b.weights[0], MAX_TOKENS);
    hel_choice choice = hel_choice_of_nothing(&use);
    choice.constants[HEL_LINEAR_MATMUL_AT_TILE_COLS] = 1u << 30;
    assert_int_equal(multiply(&b, NULL, 0, MAX_TOKENS, before), HEL_OK);
    assert_int_equal(hel_choice_set(b.device, &choice), HEL_OK);
    assert_int_equal(multiply(&b, NULL, 0, MAX_TOKENS, after), HEL_OK);
    assert_memory_equal(before, after, sizeof before);
    assert_int_equal(multiply(&b, &choice, 0, MAX_TOKENS, after), HEL_ERROR_UNSUPPORTED); // on trial it shows
    close_bench(&b);
}

// The default stays unless something is faster by what the rules ask for.
static void test_gain(void **state) {
    (void)state;
    bench b = open_bench("");
    hel_tune_rules rules = any_gain(rows_only);
    rules.least_gain = 1e9;
    assert_int_equal(tune(&b, HEL_TUNING_ALWAYS, 1, &rules), HEL_OK);
    assert_int_equal(chosen_rows(&b), 0);
    assert_int_equal(times_said("the defaults stay"), WEIGHTS);
    close_bench(&b);
}

static bool refuse(void *user) {
    ++*(int *)user;
    return false;
}

static void test_ends(void **state) {
    (void)state;
    int asked = 0;
    bench b = open_bench("");
    hel_tune_rules rules = any_gain(rows_only);
    assert_int_equal(tune(&b, HEL_TUNING_NEVER, 1, &rules), HEL_OK);
    assert_int_equal(chosen_rows(&b), -1);
    if (b.device->type == HEL_DEVICE_TYPE_SOFTWARE) {
        assert_int_equal(tune(&b, HEL_TUNING_AUTO, 1, &rules), HEL_OK);
        assert_int_equal(chosen_rows(&b), -1);
    }
    rules.seconds = 0;
    assert_int_equal(tune(&b, HEL_TUNING_ALWAYS, 1, &rules), HEL_OK);
    assert_int_equal(chosen_rows(&b), -1);
    rules.seconds = 0.2; // whatever a device gets done in that time counts, since it will never have more
    assert_int_equal(tune(&b, HEL_TUNING_ALWAYS, 1, &rules), HEL_OK);
    assert_int_not_equal(chosen_rows(&b), -1);
    close_bench(&b);
    b = open_bench("");
    rules.seconds = 600;
    const hel_weight *weight = &b.weights[0];
    hel_tune_request request = {.device = b.device, .tuning = HEL_TUNING_ALWAYS, .weights = &weight, .n_weights = 1, .ask = refuse, .user = &asked};
    assert_int_equal(hel_tune_weights(&request, &rules), HEL_ERROR_CANCELLED);
    assert_int_equal(asked, 1);
    assert_int_equal(chosen_rows(&b), -1);
    close_bench(&b);
    const hel_device *cpu;
    assert_int_equal(hel_device_open("cpu", NULL, &cpu), HEL_OK);
    request.device = cpu;
    assert_int_equal(hel_tune_weights(&request, &rules), HEL_OK);
    assert_int_equal(asked, 1);
    hel_device_destroy(&cpu);
}

// What another thread does meanwhile on the same device.
typedef struct bystander {
    const bench *bench;
    float want[3 * ROWS];
    int products, wrong;
    bool done;
} bystander;

static void stand_by(void *user) {
    bystander *other = user;
    float got[3 * ROWS];
    while (!__atomic_load_n(&other->done, __ATOMIC_SEQ_CST) || other->products < 20) {
        bool right = multiply(other->bench, NULL, 0, 3, got) == HEL_OK && memcmp(got, other->want, sizeof got) == 0;
        other->products++;
        other->wrong += !right;
    }
}

// Nobody but the tuner runs what is on trial, and choices are taken up between two products.
static void test_bystander(void **state) {
    (void)state;
    const hel_tune_kernel wrong[] = {{.name = "linear_matvec", .constants = half_indices}, {0}};
    const hel_tune_kernel *const tables[] = {wrong, rows_only};
    for (int i = 0; i < 2; i++) {
        bench b = open_bench("");
        bystander other = {.bench = &b};
        assert_int_equal(multiply(&b, NULL, 0, 3, other.want), HEL_OK);
        hel_os_thread *thread = hel_os_thread_create(stand_by, &other);
        assert_non_null(thread);
        hel_tune_rules rules = any_gain(tables[i]);
        assert_int_equal(tune(&b, HEL_TUNING_ALWAYS, 4, &rules), HEL_OK);
        assert_int_equal(chosen(&b, "linear_matvec", 3, HEL_LINEAR_MATVEC_AT_ROWS), i ? 4 : 0);
        __atomic_store_n(&other.done, true, __ATOMIC_SEQ_CST);
        hel_os_thread_join(&thread);
        assert_int_equal(other.wrong, 0);
        close_bench(&b);
    }
}

// ---------------------------------------------------------------- remembering

// Tunes in a fresh folder, where ROWS 4 wins; it is the only file there that is not a compiled kernel.
static void tune_anew(void) {
    support_remove(cache);
    support_folder(cache);
    bench b = open_bench(cache);
    hel_tune_rules rules = any_gain(rows_only);
    assert_int_equal(tune(&b, HEL_TUNING_ALWAYS, 1, &rules), HEL_OK);
    assert_int_equal(chosen_rows(&b), 4);
    assert_int_equal(times_said("ROWS 4, "), WEIGHTS);
    close_bench(&b);
}

// A later run: what it recalls, having tried nothing where that is not -1.
static int recalled(const char *directory) {
    bench b = open_bench(directory);
    hel_tune_rules rules = any_gain(hel_tune_kernels);
    rules.seconds = 0;
    assert_int_equal(tune(&b, HEL_TUNING_ALWAYS, 1, &rules), HEL_OK);
    int rows = chosen_rows(&b);
    assert_int_equal(times_said("linear_matvec for"), 0);
    close_bench(&b);
    return rows;
}

static void test_remembered(void **state) {
    (void)state;
    float before[ROWS], after[ROWS];
    char other[TESTS_PATH];
    bench b = open_bench("");
    assert_int_equal(multiply(&b, NULL, 0, 1, before), HEL_OK);
    close_bench(&b);
    tune_anew();
    assert_int_equal(recalled(cache), 4);
    assert_int_equal(recalled(cache), 4);
    assert_int_equal(recalled(""), -1);
    support_folder(other);
    assert_int_equal(recalled(other), -1);
    support_remove(other);
    b = open_bench(cache);
    hel_tune_rules rules = any_gain(rows_only);
    assert_int_equal(tune(&b, HEL_TUNING_ALWAYS, 1, &rules), HEL_OK);
    assert_int_equal(said.count, 0);
    assert_int_equal(multiply(&b, NULL, 0, 1, after), HEL_OK);
    assert_memory_equal(before, after, sizeof before);
    close_bench(&b);
}

// The key that the file has, from its name: in a folder where only a choice was written it is the only one.
static hel_binary_key remember_alone(const hel_choice *choice) {
    char command[TESTS_PATH + 64], path[TESTS_PATH] = "";
    support_remove(cache);
    support_folder(cache);
    bench b = open_bench(cache);
    assert_int_equal(hel_choice_set(b.device, choice), HEL_OK);
    hel_choices_remember(b.device);
    snprintf(command, sizeof command, "ls '%s'", cache);
    FILE *list = popen(command, "r");
    assert_non_null(fgets(path, sizeof path, list));
    assert_int_equal(strlen(path), HEL_SHA256_TEXT); // with its newline
    assert_null(fgets(path + HEL_SHA256_TEXT, sizeof path - HEL_SHA256_TEXT, list));
    pclose(list);
    close_bench(&b);
    hel_binary_key key = {0};
    memcpy(key.text, path, HEL_SHA256_TEXT - 1);
    return key;
}

static hel_choice choice_of_rows(uint32_t rows) {
    bench b = open_bench("");
    hel_choice_use use = hel_tuned_use("linear_matvec", &b.weights[0], 1);
    hel_choice choice = hel_choice_of_nothing(&use);
    choice.constants[HEL_LINEAR_MATVEC_AT_ROWS] = rows;
    close_bench(&b);
    return choice;
}

// The list of devices counts what the user's cache directory has, which is made by no listing.
static uint32_t listed(void) {
    hel_device_entry *entries;
    size_t count;
    uint32_t tuned = 0;
    assert_int_equal(hel_device_list(&entries, &count), HEL_OK);
    for (size_t i = 0; i < count; i++)
        if (strcmp(entries[i].device.backend, injector_device) == 0 && !entries[i].device.index) tuned = entries[i].tuned;
    hel_device_list_free(&entries);
    return tuned;
}

static void test_listed(void **state) {
    (void)state;
    char old[TESTS_PATH], home[TESTS_PATH], below[TESTS_PATH];
    const char *before = getenv("XDG_CACHE_HOME");
    snprintf(old, sizeof old, "%s", before ? before : "");
    hel_choice first = choice_of_rows(16), second = choice_of_rows(4);
    second.use.words[4]++;
    support_folder(home);
    support_join(below, home, "helicoid");
    setenv("XDG_CACHE_HOME", home, 1);
    assert_int_equal(listed(), 0);
    assert_int_not_equal(access(below, F_OK), 0);
    bench b = open_bench(NULL);
    assert_int_equal(hel_choice_set(b.device, &first), HEL_OK);
    assert_int_equal(hel_choice_set(b.device, &second), HEL_OK);
    assert_int_equal(listed(), 0);
    hel_choices_remember(b.device);
    close_bench(&b);
    assert_int_equal(listed(), 2);
    if (before) setenv("XDG_CACHE_HOME", old, 1);
    else unsetenv("XDG_CACHE_HOME");
    support_remove(home);
}

// Files that no run of ours wrote, though they are whole: each rule of the format broken once.
static void test_hostile_choices(void **state) {
    (void)state;
    hel_choice good = choice_of_rows(16), bad[6];
    remember_alone(&good);
    assert_int_equal(recalled(cache), 16);
    for (int i = 0; i < 6; i++) bad[i] = good;
    bad[0].constants[HEL_LINEAR_MATVEC_AT_ROWS] = 3; // not in the table
    bad[1].constants[HEL_LINEAR_MATVEC_AT_ROWS] = 0;
    bad[2].constants[2] = 2; // D is not tuned
    memcpy(bad[3].use.kernel, "attention", 10);
    memset(bad[4].use.kernel, 'a', HEL_CHOICE_KERNEL); // without an end
    memset(bad[5].use.kernel, 0, HEL_CHOICE_KERNEL);
    for (int i = 0; i < 6; i++) {
        remember_alone(&bad[i]);
        assert_int_equal(recalled(cache), -1);
        bench b = open_bench(cache); // a good one beside it does not help
        assert_int_equal(hel_choice_set(b.device, &good), HEL_OK);
        assert_int_equal(hel_choice_set(b.device, &bad[i]), HEL_OK);
        hel_choices_remember(b.device);
        close_bench(&b);
        assert_int_equal(recalled(cache), -1);
    }
}

static void test_hostile_bytes(void **state) {
    (void)state;
    hel_choice good = choice_of_rows(16);
    hel_binary_key key = remember_alone(&good);
    hel_binary_cache kept;
    unsigned char *bytes, *copy;
    size_t size;
    assert_int_equal(hel_binary_cache_init(cache, &kept), HEL_OK);
    assert_true(hel_binary_cache_load(&kept, &key, &bytes, &size));
    assert_int_equal(size, 8 + sizeof good);
    copy = malloc(2 * size);
    static const struct { size_t size; size_t at; uint32_t word; } broken[] = {
        {8, 0, 0x12345678}, {8 + sizeof good, 0, 0}, {8 + sizeof good, 4, 0}, {8 + sizeof good, 4, 2}, {8 + sizeof good, 4, UINT32_MAX},
        {8 + sizeof good - 4, 4, 1}, {8 + sizeof good + 4, 4, 1}, {4, 0, 0}, {7, 0, 0}};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        memcpy(copy, bytes, size);
        memcpy(copy + size, bytes, size);
        memcpy(copy + broken[i].at, &broken[i].word, sizeof broken[i].word);
        hel_binary_cache_store(&kept, &key, copy, broken[i].size);
        assert_int_equal(recalled(cache), -1);
    }
    hel_binary_cache_store(&kept, &key, bytes, size);
    assert_int_equal(recalled(cache), 16);
    char path[TESTS_PATH];
    support_join(path, cache, key.text);
    unsigned char *file = read_bytes(path, &size);
    for (size_t i = 0; i < size; i += 11) { // bits flipped, and ends cut off, on the disk
        file[i] ^= 16;
        write_bytes(path, file, size);
        assert_int_equal(recalled(cache), -1);
        file[i] ^= 16;
        write_bytes(path, file, i);
        assert_int_equal(recalled(cache), -1);
    }
    free(file);
    free(copy);
    hel_free(bytes);
    hel_binary_cache_finish(&kept);
}

// ---------------------------------------------------------------- failures

static float product[ROWS];

// The choices after a run in which something failed are those of a whole run or the defaults, and products come out right. False
// where the driver has lost commands, after which a device says so whatever it is asked.
static bool survives(bench *b, const hel_tune_rules *rules) {
    float got[ROWS];
    hel_status status = tune(b, HEL_TUNING_ALWAYS, 1, rules);
    injector_fail_at(0);
    heap.fail_at = 0;
    if (status != HEL_OK) assert_int_equal(status, HEL_ERROR_MEMORY);
    int rows = chosen_rows(b);
    assert_true(rows == -1 || rows == 0 || rows == 4);
    status = multiply(b, NULL, 0, 1, got);
    if (status == HEL_ERROR_DEVICE_LOST) return false;
    assert_int_equal(status, HEL_OK);
    assert_memory_equal(got, product, sizeof got);
    return true;
}

// `kept` is the file of choices, which no run is to find.
static void fail_each(const hel_tune_rules *rules, const char *kept, bool memory) {
    uint64_t n = 0, used, failures = 0, lost = 0;
    heap_install();
    do {
        uint64_t objects = injector_live();
        long blocks = heap.live;
        remove(kept);
        bench b = open_bench(cache);
        uint64_t before = memory ? (uint64_t)heap.calls : injector_calls();
        n++;
        if (memory) heap.fail_at = heap.calls + (long)n;
        else injector_fail_at(n);
        lost += !survives(&b, rules);
        used = (memory ? (uint64_t)heap.calls : injector_calls()) - before;
        failures += times_said("not tuned") || times_said("does not run");
        close_bench(&b);
        assert_int_equal(injector_live(), objects);
        assert_int_equal(heap.live, blocks);
    } while (n <= used);
    hel_memory_set_hooks(NULL);
    print_message("%s: %llu %s, %llu of them seen, %llu devices lost\n", injector_device, (unsigned long long)n,
                  memory ? "allocations" : "driver calls", (unsigned long long)failures, (unsigned long long)lost);
    assert_true(failures > 2);
    assert_true(memory ? lost == 0 : lost < n / 4);
}

// Each driver call and each allocation fails once, with compiled kernels on the disk and no choices.
static void test_failures(void **state) {
    (void)state;
    char kept[TESTS_PATH];
    hel_choice any = choice_of_rows(16);
    hel_binary_key key = remember_alone(&any);
    support_join(kept, cache, key.text);
    bench b = open_bench("");
    assert_int_equal(multiply(&b, NULL, 0, 1, product), HEL_OK);
    close_bench(&b);
    hel_tune_rules rules = any_gain(rows_only);
    fail_each(&rules, kept, false);
    fail_each(&rules, kept, true);
}

static int set_up(void **state) {
    folder_make(state);
    support_folder(cache);
    support_join(weights_path, folder, "weights.safetensors");
    write_weights();
    hel_log_set(listen, NULL, HEL_LOG_INFO);
    return 0;
}

static int tear_down(void **state) {
    hel_log_set(NULL, NULL, HEL_LOG_ERROR);
    support_remove(cache);
    return folder_remove(state);
}

int main(int argc, char **argv) {
    if (argc > 1) part = part_of(0, (uint32_t)atoi(argv[1]));
    const hel_device *device;
    hel_status status = hel_device_open(injector_device, NULL, &device);
    hel_device_destroy(&device);
    if (status == HEL_ERROR_UNAVAILABLE || !injector_load()) {
        printf("skipped: %s\n", hel_error_message());
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits), cmocka_unit_test(test_wrong_variant), cmocka_unit_test(test_counted_loops),
        cmocka_unit_test(test_full_table), cmocka_unit_test(test_impossible_variant),
        cmocka_unit_test(test_impossible_choice), cmocka_unit_test(test_gain), cmocka_unit_test(test_ends),
        cmocka_unit_test(test_bystander), cmocka_unit_test(test_remembered), cmocka_unit_test(test_listed),
        cmocka_unit_test(test_hostile_choices), cmocka_unit_test(test_hostile_bytes), cmocka_unit_test(test_failures)};
    return cmocka_run_group_tests_name("tune", tests, set_up, tear_down);
}
