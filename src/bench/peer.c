// SPDX-License-Identifier: Apache-2.0
#include "bench/peer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/os_process.h"
#include "base/size.h"

enum { LINE = 1024, SLICE_MS = 100, PATIENCE_MS = 2000, MOST_OFFERS = 32, PROTOCOL = 1 };

typedef struct peer peer;

// One thing that a peer can time.
typedef struct offer {
    peer *peer;
    char name[HEL_BENCH_NAME];
    uint32_t group; // as of hel_bench_entry
    hel_bench_measure measure;
} offer;

struct peer {
    hel_bench_run *run;
    char name[HEL_BENCH_NAME], version[HEL_BENCH_NAME];
    char *errors;            // file of its standard error
    hel_os_process *process; // NULL once it is gone
    char line[LINE];
    size_t size;             // bytes of `line` that came after the last whole line
    offer offers[MOST_OFFERS];
    uint32_t n_offers;
};

struct hel_bench_peers {
    size_t count;
    peer peers[]; // of params.peers
};

// ---------------------------------------------------------------- programs

static hel_status find_program(const hel_bench_run *run, const char *name, char **out) {
    const char *folder = run->params.peers_folder;
    char file[HEL_BENCH_NAME + 4];
    if (strchr(name, '/')) {
        if (!hel_path_exists(name)) return hel_fail(HEL_ERROR_NOT_FOUND, "peer %s: no such program", name);
        *out = hel_string_copy(name);
        return *out ? HEL_OK : hel_fail_memory(strlen(name));
    }
    for (int suffix = 0; folder && suffix < 2; suffix++) {
        snprintf(file, sizeof file, "%.60s%s", name, suffix ? ".py" : "");
        HEL_TRY(hel_path_join(folder, file, out));
        if (hel_path_exists(*out) && !hel_path_is_directory(*out)) return HEL_OK;
        hel_free(*out);
        *out = NULL;
    }
    return hel_fail(HEL_ERROR_NOT_FOUND, "peer %s: no such program in %s", name,
                    folder ? folder : "(no folder of peers)");
}

hel_status hel_bench_peers_check(const hel_bench_run *run) {
    for (const char *const *name = run->params.peers; name && *name; name++) {
        char *path;
        HEL_TRY(find_program(run, *name, &path));
        hel_free(path);
    }
    return HEL_OK;
}

// ---------------------------------------------------------------- lines

// The last line that the peer complained with, or "".
static void last_complaint(const peer *p, char words[LINE]) {
    char *text;
    size_t size;
    words[0] = 0;
    if (hel_file_read_all(p->errors, 1 << 20, &text, &size) != HEL_OK) return;
    while (size && (text[size - 1] == '\n' || text[size - 1] == ' ')) text[--size] = 0;
    const char *line = strrchr(text, '\n');
    snprintf(words, LINE, "%.300s", line ? line + 1 : text);
    hel_free(text);
}

static void give_up(peer *p, const char *why) {
    char words[LINE];
    hel_os_process_end(&p->process, 0, NULL);
    last_complaint(p, words);
    hel_bench_note(p->run, "peer %s, %s: %s%s%s", p->name, p->run->work, why, *words ? ": " : "", words);
}

static bool say(peer *p, const char *bytes, size_t size) { return hel_os_process_write(p->process, bytes, size); }

// Takes a whole line out of what came, without its newline; the protocol is ASCII.
static bool take_line(peer *p, char out[LINE]) {
    char *end = memchr(p->line, '\n', p->size);
    if (!end) return false;
    size_t length = (size_t)(end - p->line);
    for (size_t i = 0; i < length; i++) out[i] = (unsigned char)p->line[i] < 0x80 ? p->line[i] : '?';
    out[length] = 0;
    p->size -= length + 1;
    memmove(p->line, end + 1, p->size);
    return true;
}

// The next line. *out_came is false where none will: the peer is gone then, with a note. Fails where the run must end.
static hel_status hear(peer *p, const char *item, char out[LINE], bool *out_came) {
    double deadline = hel_bench_now() + p->run->params.peer_seconds;
    *out_came = true;
    while (!take_line(p, out)) {
        *out_came = false;
        if (p->size == sizeof p->line) return give_up(p, "said something that is not the protocol"), HEL_OK;
        int64_t got = hel_os_process_read(p->process, p->line + p->size, sizeof p->line - p->size, SLICE_MS);
        if (got == 0) return give_up(p, "ended without an answer"), HEL_OK;
        if (got < 0 && errno != ETIMEDOUT) return give_up(p, "cannot be read"), HEL_OK;
        if (got > 0) p->size += (size_t)got;
        HEL_TRY(hel_bench_ask(p->run, item, 0, 1));
        if (got < 0 && hel_bench_now() > deadline) return give_up(p, "did not answer in time"), HEL_OK;
        *out_came = true;
    }
    return HEL_OK;
}

// ---------------------------------------------------------------- what lines mean

// Numbers behind "key=", as offers and rounds have them; unknown keys are left alone.
static void read_values(const char *line, hel_bench_measure *measure) {
    const struct { const char *key; double *value; } keys[] = {
        {" bytes=", &measure->bytes},   {" flops=", &measure->flops},
        {" tokens=", &measure->tokens}, {" signal_to_error_db=", &measure->error_db},
        {" squared_error=", &measure->squared_error},
    };
    for (size_t i = 0; i < HEL_COUNT(keys); i++) {
        const char *at = strstr(line, keys[i].key);
        if (at) *keys[i].value = strtod(at + strlen(keys[i].key), NULL);
    }
}

static void take_offer(peer *p, const char *line) {
    if (p->n_offers == MOST_OFFERS) return;
    offer *o = &p->offers[p->n_offers++];
    *o = (offer){.peer = p, .measure = {.error_db = NAN, .squared_error = NAN, .gap = NAN}};
    snprintf(o->name, sizeof o->name, "%.*s", (int)HEL_MIN(strcspn(line, " "), sizeof o->name - 1), line);
    const char *group = strstr(line, " group=");
    if (group) o->group = (uint32_t)strtoul(group + strlen(" group="), NULL, 10);
    read_values(line, &o->measure);
}

static hel_status time_offer(void *user, hel_bench_measure *measure, double *out_seconds) {
    offer *o = user;
    peer *p = o->peer;
    char line[LINE], *end;
    bool came = false;
    *out_seconds = NAN;
    if (!p->process) return HEL_OK;
    int size = snprintf(line, sizeof line, "round %s\n", o->name);
    hel_os_process_pause(p->process, false);
    if (!say(p, line, (size_t)size)) return give_up(p, "ended without an answer"), HEL_OK;
    HEL_TRY(hear(p, o->name, line, &came));
    if (!came) return HEL_OK;
    double seconds = strncmp(line, "seconds ", 8) == 0 ? strtod(line + 8, &end) : NAN;
    if (!(seconds > 0) || isinf(seconds)) return give_up(p, "said something that is not the protocol"), HEL_OK;
    *out_seconds = seconds;
    read_values(line, measure);
    hel_os_process_pause(p->process, true); // its threads may spin after their work, and would slow down whoever is next
    return HEL_OK;
}

// ---------------------------------------------------------------- beginning and end

// Offers up to "ready", where it is paused; any other word ends it.
static hel_status hear_offers(peer *p) {
    char line[LINE];
    for (bool came;;) {
        HEL_TRY(hear(p, "waiting for a peer", line, &came));
        if (came && strcmp(line, "ready") == 0) hel_os_process_pause(p->process, true);
        if (!came || strcmp(line, "ready") == 0) return HEL_OK;
        bool offers = strncmp(line, "item ", 5) == 0, introduces = strncmp(line, "version ", 8) == 0;
        if (offers) take_offer(p, line + 5);
        if (introduces) snprintf(p->version, sizeof p->version, "%.*s", HEL_BENCH_NAME - 1, line + 8);
        if (offers || introduces) continue;
        bool refuses = strncmp(line, "unsupported ", 12) == 0;
        if (refuses) hel_bench_note(p->run, "peer %s, %s: %s", p->name, p->run->work, line + 12);
        else give_up(p, "said something that is not the protocol");
        hel_os_process_end(&p->process, PATIENCE_MS, NULL);
        return HEL_OK;
    }
}

static hel_status greet(peer *p) {
    const hel_bench_run *run = p->run;
    hel_text text = {0};
    hel_text_print(&text, "helicoid-bench %d\nwork %s\n", PROTOCOL, run->work);
    if (run->settings.size) hel_text_append(&text, run->settings.bytes, run->settings.size);
    hel_text_print(&text, "set threads %u\ndata %s\ncache %s\nprepare\n", run->params.threads, run->folder,
                   run->params.data_folder);
    hel_status status = hel_text_ok(&text);
    bool heard = status == HEL_OK && say(p, text.bytes, text.size);
    hel_text_finish(&text);
    if (status == HEL_OK && !heard) give_up(p, "ended without an answer");
    return status == HEL_OK && heard ? hear_offers(p) : status;
}

static hel_status start(peer *p, const char *name) {
    char file[HEL_BENCH_NAME + 8], *path;
    snprintf(p->name, sizeof p->name, "%.*s", HEL_BENCH_NAME - 1, hel_path_name(name));
    if (hel_path_has_suffix(p->name, ".py")) p->name[strlen(p->name) - 3] = 0;
    snprintf(file, sizeof file, "%s.log", p->name);
    HEL_TRY(hel_bench_path(p->run, file, &p->errors));
    HEL_TRY(find_program(p->run, name, &path));
    const char *const arguments[] = {path, NULL};
    p->process = hel_os_process_start(arguments, p->errors);
    if (!p->process) {
        char words[128];
        hel_os_error_text(errno, words, sizeof words);
        hel_bench_note(p->run, "peer %s: cannot be started: %s", p->name, words);
    }
    hel_free(path);
    return p->process ? greet(p) : HEL_OK;
}

static hel_status add_offers(peer *p) {
    for (uint32_t i = 0; p->process && i < p->n_offers; i++) {
        hel_bench_entry *entry = hel_bench_add(p->run, p->name, p->offers[i].name);
        if (!entry) return HEL_ERROR_MEMORY;
        memcpy(entry->version, p->version, sizeof entry->version);
        entry->group = p->offers[i].group;
        entry->measure = p->offers[i].measure;
        entry->round = time_offer;
        entry->user = &p->offers[i];
    }
    return HEL_OK;
}

hel_status hel_bench_peers_open(hel_bench_run *run, hel_bench_peers **out) {
    size_t count = 0;
    while (run->params.peers && run->params.peers[count]) count++;
    hel_bench_peers *peers = *out = hel_alloc_zero(1, sizeof *peers + count * sizeof *peers->peers);
    if (!peers) return hel_fail_memory(count * sizeof *peers->peers);
    peers->count = count;
    for (size_t i = 0; i < count; i++) {
        peers->peers[i].run = run;
        HEL_TRY(start(&peers->peers[i], run->params.peers[i]));
        HEL_TRY(add_offers(&peers->peers[i]));
    }
    return HEL_OK;
}

void hel_bench_peers_close(hel_bench_peers **handle) {
    hel_bench_peers *peers = *handle;
    if (!peers) return;
    for (size_t i = 0; i < peers->count; i++) {
        hel_os_process_end(&peers->peers[i].process, PATIENCE_MS, NULL); // their input ends, and so do they
        hel_free(peers->peers[i].errors);
    }
    hel_free(peers);
    *handle = NULL;
}
