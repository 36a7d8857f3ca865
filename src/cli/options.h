// SPDX-License-Identifier: Apache-2.0
// The one table of verbs and options. Parsing, --help, the man page and the shell completions are all made from it.
#ifndef HEL_CLI_OPTIONS_H
#define HEL_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The process's exit codes.
enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_INTEGRITY = 3,
    EXIT_UNSUPPORTED = 4,
    EXIT_UNAVAILABLE = 5,
    EXIT_INTERRUPTED = 130,
};

typedef struct cli_options {
    const struct verb_row *verb;
    int argc; // as it was called, the verb first
    char **argv;
    const char *model; // the verb's one argument, or the first of them
    const char **arguments; // all of them, NULL-terminated
    const char *output, *format, *fit, *dtype, *labels, *start, *empty, *precision, *tune;
    const char *prompt, *system, *text_file, *tokens, *against;
    const char *device, *tokenizer, *progress, *color;
    const char *peers_folder, *data_folder, *bench_model;
    const char *gate_in, *gate_out, *bias, *prefix;
    const char **include, **exclude, **stop, **peers; // NULL-terminated, NULL where not given
    uint64_t k, count, context, stride, chunks, batch, threads, gpu_layers, memory_limit, dimensions, iterations;
    uint64_t rounds, peer_rounds, peer_seconds, rows, cols, columns, bytes, values;
    uint64_t bench_k, layers, hidden, vocabulary, new_tokens, channels, length, taps;
    uint64_t top_k, repetition_window, seed, longest;
    double sine_frequency, fast_decay, slow_decay, decay_target, shift;
    double tolerance, temperature, top_p, min_p, repetition_penalty;
    int exact, force, resume, dry_run, no_sidecar, packed;
    int chat, bos, ignore_eos, special, list;
    int quiet, verbose, json, log_json, help;
} cli_options;

typedef struct verb_row {
    const char *name;
    const char *argument;    // its name in the usage line, "" for none, "A B" for two; "[NAME...]": any number of them
    const char *summary;     // one line
    const char *description; // paragraphs for the man page and --help
    const char *example;
    int (*run)(const cli_options *options);
} verb_row;

typedef enum option_kind {
    OPTION_SWITCH, // no value; stores `set`
    OPTION_TEXT,
    OPTION_FILE,   // the name of what is written, a file or folder: not -
    OPTION_CHOICE, // one of the words in `choices`
    OPTION_WHOLE,  // whole number
    OPTION_BYTES,  // whole number with K, M or G behind it
    OPTION_REAL,
    OPTION_LIST,   // may be given several times
} option_kind;

typedef struct option_row {
    const char *name;    // long name
    char letter;         // short name, 0 for none
    option_kind kind;
    size_t offset;       // of the field of struct cli_options
    uint32_t verbs;      // bit i: verb i of the table takes it
    const char *value;   // what stands for the value in help
    const char *initial; // value at the start; NULL: zero
    const char *choices; // "a|b"
    double least, most;  // of numbers
    int set;             // of switches
    const char *help;
    char number_letter;  // another letter that is this row's before a number, and a later row's before text; 0 for none
} option_row;

extern const verb_row verb_table[];
extern const option_row option_table[];
extern const size_t verb_count, option_count;

const verb_row *verb_find(const char *name); // NULL where there is none
bool option_applies(const option_row *row, const verb_row *verb);

// Fills *out for `verb` from the initial values, then the environment (HELICOID_<NAME>), then the arguments, of which
// argv[0] is the verb itself. Returns EXIT_OK, or says what is wrong and returns EXIT_USAGE.
int options_parse(const verb_row *verb, int argc, char **argv, cli_options *out);
void options_finish(cli_options *options);

#endif
