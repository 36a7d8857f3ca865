// SPDX-License-Identifier: Apache-2.0
// hel_bench through its interface: settings, ratios, cancelling at any time, and every allocation failing once.
// Usage: test_bench [STRIDE], of the allocations that fail.
#include "support/failing_heap.h"
#include "support/folder.h"

#include <dirent.h>
#include <helicoid/bench.h>

#include "base/size.h"

static long stride = 1;

static hel_bench_params small_params(const char *const *works) {
    hel_bench_params params = hel_bench_params_default();
    params.works = works;
    params.device = "cpu";
    params.data_folder = folder;
    params.threads = 2;
    params.rounds = 2;
    params.rows = 16, params.cols = 64, params.columns = 16;
    params.bytes = 16384;
    params.count = 40000; // more than are sorted
    params.dims = 2;
    params.channels = 3, params.length = 300;
    params.layers = 1, params.hidden = 64, params.vocabulary = 80, params.tokens = 2;
    return params;
}

// Only random models may stay.
static void assert_tidy(void) {
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] != '.' && strncmp(entry->d_name, "random-", 7) != 0) fail_msg("%s is left", entry->d_name);
    closedir(directory);
}

static void test_works(void **state) {
    (void)state;
    size_t count = 0;
    while (hel_bench_work_at(count)) {
        assert_true(hel_bench_work_at(count)->name[0] && hel_bench_work_at(count)->summary[0]);
        count++;
    }
    assert_true(count >= 8);
    assert_null(hel_bench_work_at(SIZE_MAX));
}

static void test_arguments(void **state) {
    (void)state;
    hel_bench_report report;
    hel_bench_params params = small_params((const char *const[]){"read", "knitting", NULL});
    assert_int_equal(hel_bench(&params, &report), HEL_ERROR_ARGUMENT);
    assert_non_null(strstr(hel_error_message(), "knitting"));
    params = small_params((const char *const[]){"read", NULL});
    params.k = 5;
    assert_int_equal(hel_bench(&params, &report), HEL_ERROR_ARGUMENT);
    params = small_params((const char *const[]){"prefill", NULL});
    params.columns = 3000; // more than the random model has positions
    assert_int_equal(hel_bench(&params, &report), HEL_ERROR_ARGUMENT);
    params = small_params((const char *const[]){"read", NULL});
    params.struct_size = 3;
    assert_int_equal(hel_bench(&params, &report), HEL_ERROR_ARGUMENT);
    params = small_params((const char *const[]){"matvec", NULL});
    params.peers = (const char *const[]){"nobody", NULL};
    assert_int_equal(hel_bench(&params, &report), HEL_ERROR_NOT_FOUND);
    assert_true(report.n_items == 0 && !report.items && !report.notes);
    hel_bench_report_finish(&report);
    hel_bench_report_finish(NULL);
    assert_tidy();
}

static const hel_bench_item *find(const hel_bench_report *report, const char *name) {
    for (size_t i = 0; i < report->n_items; i++)
        if (strcmp(report->items[i].name, name) == 0) return &report->items[i];
    fail_msg("no item %s", name);
    return NULL;
}

// Points are labelled with books of any size, weights have those of their forms.
static void test_codes(void **state) {
    (void)state;
    hel_bench_report report;
    hel_bench_params params = small_params((const char *const[]){"assign", NULL});
    params.k = 300;
    assert_int_equal(hel_bench(&params, &report), HEL_OK);
    assert_true(find(&report, "d2 k300")->median_seconds > 0);
    hel_bench_report_finish(&report);
    params.k = 65537;
    assert_int_equal(hel_bench(&params, &report), HEL_ERROR_ARGUMENT);
    params = small_params((const char *const[]){"assign", "matvec", NULL});
    params.k = 300;
    assert_int_equal(hel_bench(&params, &report), HEL_ERROR_ARGUMENT);
    assert_non_null(strstr(hel_error_message(), "matvec"));
    assert_tidy();
}

static void test_ratios(void **state) {
    (void)state;
    hel_bench_report report;
    hel_bench_params params = small_params((const char *const[]){"fit", NULL});
    assert_int_equal(hel_bench(&params, &report), HEL_OK);
    assert_true(report.n_items == 5 && report.n_notes == 0 && report.threads == 2 && report.cores > 0);
    const hel_bench_item *fit = find(&report, "bf16"), *yardstick = find(&report, "histogram bf16");
    assert_true(yardstick->baseline && yardstick->n_ratios == 0 && isnan(yardstick->squared_error));
    assert_true(!fit->baseline && fit->rounds == 2 && fit->squared_error > 0 && fit->gap >= 0);
    assert_true(isnan(fit->tokens_per_second) && fit->gigabytes_per_second > 0);
    assert_int_equal(fit->n_ratios, 2); // reading, and the histogram of the same values
    const hel_bench_ratio *ratio = &fit->ratios[1];
    assert_ptr_equal(&report.items[ratio->to], yardstick);
    assert_true(ratio->min <= ratio->median && ratio->median <= ratio->max);
    assert_true(ratio->min >= yardstick->min_seconds / fit->max_seconds * 0.999);
    assert_true(ratio->max <= yardstick->max_seconds / fit->min_seconds * 1.001);
    hel_bench_report_finish(&report);
    assert_true(!report.items && !report.n_items);
    assert_tidy();
}

static void test_fftconv(void **state) {
    (void)state;
    hel_bench_report report;
    hel_bench_params params = small_params((const char *const[]){"fftconv", NULL});
    assert_int_equal(hel_bench(&params, &report), HEL_OK);
    const hel_bench_item *item = find(&report, "L300");
    assert_true(report.n_items == 2 && report.n_notes == 0); // and reading
    assert_true(item->gigabytes_per_second > 0 && item->signal_to_error_db > 110);
    hel_bench_report_finish(&report);
    params.taps = 20;
    assert_int_equal(hel_bench(&params, &report), HEL_OK);
    assert_true(report.n_items == 4 && report.n_notes == 0); // both methods, too
    for (size_t i = 1; i < report.n_items; i++) assert_true(report.items[i].signal_to_error_db > 110);
    assert_true(find(&report, "L300 toeplitz")->baseline && find(&report, "L300 long")->baseline);
    hel_bench_report_finish(&report);
    assert_tidy();
}

static void test_fftconv_decode(void **state) {
    (void)state;
    hel_bench_report report;
    hel_bench_params params = small_params((const char *const[]){"fftconv_decode", NULL});
    assert_int_equal(hel_bench(&params, &report), HEL_OK);
    const hel_bench_item *item = find(&report, "L300"), *sums = find(&report, "direct sums");
    assert_true(report.n_items == 3 && report.n_notes == 0); // and reading
    assert_true(sums->baseline && item->signal_to_error_db > 110);
    hel_bench_report_finish(&report);
    assert_tidy();
}

static void test_scan(void **state) {
    (void)state;
    hel_bench_report report;
    hel_bench_params params = small_params((const char *const[]){"scan", NULL});
    params.channels = 64;
    assert_int_equal(hel_bench(&params, &report), HEL_OK);
    const hel_bench_item *mamba = find(&report, "mamba"), *heads = find(&report, "mamba2");
    assert_true(report.n_items == 3 && report.n_notes == 0); // and reading
    assert_true(mamba->tokens_per_second > 0 && mamba->signal_to_error_db > 110 && heads->signal_to_error_db > 110);
    hel_bench_report_finish(&report);
    params.channels = 70;
    params.length = 1;
    assert_int_equal(hel_bench(&params, &report), HEL_OK);
    assert_true(find(&report, "mamba")->signal_to_error_db > 110);
    assert_true(report.n_items == 2 && report.n_notes == 1); // no heads of 64
    hel_bench_report_finish(&report);
    assert_tidy();
}

// The error is what centroids drawn like the points leave, and falls with their number.
static void test_assign(void **state) {
    (void)state;
    hel_bench_report report;
    hel_bench_params params = small_params((const char *const[]){"assign", NULL});
    assert_int_equal(hel_bench(&params, &report), HEL_OK);
    const hel_bench_item *few = find(&report, "d2 k256"), *many = find(&report, "d2 k4096");
    assert_true(report.n_items == 4 && report.n_notes == 0); // and reading
    assert_true(few->gflops > 0 && many->squared_error > 0 && many->squared_error < few->squared_error / 4);
    assert_true(few->squared_error > 100 && few->squared_error < 4000); // 40,000 points of variance 2
    hel_bench_report_finish(&report);
    params.dims = 513;
    assert_int_equal(hel_bench(&params, &report), HEL_ERROR_ARGUMENT);
    assert_tidy();
}

static bool stop_later(void *user, const char *stage, uint64_t done, uint64_t total) {
    int *left = user;
    assert_true(stage[0] && done <= total);
    return (*left)-- > 0;
}

static void test_cancel(void **state) {
    (void)state;
    hel_status status = HEL_ERROR_CANCELLED;
    for (int calls = 0; status != HEL_OK; calls += 1 + calls / 4) {
        hel_bench_report report;
        hel_bench_params params = small_params((const char *const[]){"matvec", "decode", "compress", NULL});
        int left = calls;
        params.progress = stop_later;
        params.user = &left;
        status = hel_bench(&params, &report);
        assert_true(status == HEL_OK || status == HEL_ERROR_CANCELLED);
        hel_bench_report_finish(&report);
        assert_tidy();
    }
}

// The first run writes the random models, so that the others are alike.
static void test_memory(void **state) {
    (void)state;
    static const char *const works[][4] = {{"matvec", "fit"}, {"matmul", "compress"}, {"decode", "prefill", "assign"}};
    for (size_t w = 0; w < HEL_COUNT(works); w++) {
        hel_bench_report report;
        hel_bench_params params = small_params(works[w]);
        params.rounds = 1;
        if (w == 2) params.count = 100; // for 4096 centroids
        assert_int_equal(hel_bench(&params, &report), HEL_OK);
        hel_bench_report_finish(&report);
        long failed = 0;
        for (long n = 1;; n += stride) {
            long live = heap.live;
            heap.fail_at = heap.calls + n;
            hel_status status = hel_bench(&params, &report);
            bool reached = heap.calls >= heap.fail_at;
            heap.fail_at = 0;
            if (status != HEL_OK) assert_int_equal(status, HEL_ERROR_MEMORY);
            hel_bench_report_finish(&report);
            assert_int_equal(heap.live, live);
            assert_tidy();
            if (!reached) break;
            failed += status != HEL_OK;
        }
        assert_true(failed * stride > 100);
    }
}

int main(int argc, char **argv) {
    if (argc > 1) stride = atol(argv[1]);
    heap_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_works),          cmocka_unit_test(test_arguments), cmocka_unit_test(test_codes),
        cmocka_unit_test(test_ratios),         cmocka_unit_test(test_assign),    cmocka_unit_test(test_fftconv),
        cmocka_unit_test(test_fftconv_decode), cmocka_unit_test(test_scan),      cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
