// SPDX-License-Identifier: Apache-2.0
// From seconds of rounds to the items of a report: medians, rates, and ratios round by round.
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "bench/run.h"

typedef struct spread {
    double median, min, max;
} spread;

// Sorts `values` [count > 0].
static spread spread_of(double *values, uint32_t count) {
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t j = i; j > 0 && values[j - 1] > values[j]; j--) {
            double swapped = values[j];
            values[j] = values[j - 1];
            values[j - 1] = swapped;
        }
    double middle = count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
    return (spread){middle, values[0], values[count - 1]};
}

static double rate(double amount, double seconds) { return amount > 0 ? amount / seconds : NAN; }

static bool has_ratio(const hel_bench_entry *entry, const hel_bench_entry *other) {
    if (entry->baseline || strcmp(entry->by, "helicoid") != 0 || !entry->rounds || !other->rounds) return false;
    if (entry->group && other->group && entry->group != other->group) return false;
    if (other->baseline) return entry->measure.bytes > 0 && other->measure.bytes > 0;
    return strcmp(other->by, entry->by) != 0;
}

// Baselines move other amounts of bytes, so speeds are compared with them; peers do the same work, so times are.
static double ratio_in_round(const hel_bench_entry *entry, const hel_bench_entry *other, uint32_t round) {
    double times = other->seconds[round] / entry->seconds[round];
    return other->baseline ? times * entry->measure.bytes / other->measure.bytes : times;
}

static hel_status make_ratios(const hel_bench_run *run, const hel_bench_entry *entry, size_t first, double *room,
                              hel_bench_item *item) {
    item->ratios = hel_alloc_zero(run->n_entries, sizeof *item->ratios);
    if (!item->ratios) return hel_fail_memory(run->n_entries * sizeof *item->ratios);
    size_t to = first;
    for (size_t i = 0; i < run->n_entries; i++) {
        const hel_bench_entry *other = &run->entries[i];
        if (has_ratio(entry, other)) {
            uint32_t rounds = HEL_MIN(entry->rounds, other->rounds);
            for (uint32_t r = 0; r < rounds; r++) room[r] = ratio_in_round(entry, other, r);
            spread s = spread_of(room, rounds);
            item->ratios[item->n_ratios++] = (hel_bench_ratio){to, s.median, s.min, s.max};
        }
        to += other->rounds > 0; // entries without a round are no items
    }
    return HEL_OK;
}

static hel_status make_item(const hel_bench_run *run, const hel_bench_entry *entry, double *room,
                            hel_bench_item *item) {
    const hel_bench_measure *m = &entry->measure;
    memcpy(room, entry->seconds, entry->rounds * sizeof *room);
    spread s = spread_of(room, entry->rounds);
    *item = (hel_bench_item){.work = run->work,
                             .name = hel_string_copy(entry->name),
                             .by = hel_string_copy(entry->by),
                             .version = hel_string_copy(entry->version),
                             .baseline = entry->baseline,
                             .rounds = entry->rounds,
                             .seconds = hel_alloc_array(entry->rounds, sizeof *room),
                             .median_seconds = s.median,
                             .min_seconds = s.min,
                             .max_seconds = s.max,
                             .gigabytes_per_second = rate(m->bytes / 1e9, s.median),
                             .gflops = rate(m->flops / 1e9, s.median),
                             .tokens_per_second = rate(m->tokens, s.median),
                             .signal_to_error_db = m->error_db,
                             .squared_error = m->squared_error,
                             .gap = m->gap};
    if (!item->name || !item->by || !item->version || !item->seconds)
        return hel_fail_memory(HEL_BENCH_NAME + entry->rounds * sizeof *room);
    memcpy(item->seconds, entry->seconds, entry->rounds * sizeof *room);
    return HEL_OK;
}

static hel_status record_all(hel_bench_run *run, double *room) {
    hel_bench_report *report = run->report;
    size_t first = report->n_items;
    hel_bench_item *grown = hel_resize(report->items, (first + run->n_entries) * sizeof *grown);
    if (!grown) return hel_fail_memory((first + run->n_entries) * sizeof *grown);
    report->items = grown;
    for (size_t i = 0; i < run->n_entries; i++) {
        const hel_bench_entry *entry = &run->entries[i];
        if (!entry->rounds) continue;
        hel_bench_item *item = &grown[report->n_items++];
        HEL_TRY(make_item(run, entry, room, item));
        HEL_TRY(make_ratios(run, entry, first, room, item));
    }
    return HEL_OK;
}

hel_status hel_bench_record(hel_bench_run *run) {
    if (!run->n_entries) return HEL_OK;
    double *room = hel_alloc_array(run->params.rounds, sizeof *room);
    if (!room) return hel_fail_memory(run->params.rounds * sizeof *room);
    hel_status status = record_all(run, room);
    hel_free(room);
    return status;
}

void hel_bench_report_finish(hel_bench_report *report) {
    if (!report) return;
    for (size_t i = 0; i < report->n_items; i++) {
        hel_free((void *)(uintptr_t)report->items[i].name);
        hel_free((void *)(uintptr_t)report->items[i].by);
        hel_free((void *)(uintptr_t)report->items[i].version);
        hel_free(report->items[i].seconds);
        hel_free(report->items[i].ratios);
    }
    for (size_t i = 0; i < report->n_notes; i++) hel_free(report->notes[i]);
    hel_free(report->items);
    hel_free(report->notes);
    *report = (hel_bench_report){0};
}
