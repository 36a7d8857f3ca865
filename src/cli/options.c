// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/report.h"

enum { MOST_OPTIONS = 64, LETTER_NONE = 256 }; // getopt_long returns LETTER_NONE + row for every long option

const verb_row *verb_find(const char *name) {
    for (size_t i = 0; i < verb_count; i++)
        if (strcmp(verb_table[i].name, name) == 0) return &verb_table[i];
    return NULL;
}

bool option_applies(const option_row *row, const verb_row *verb) {
    return row->verbs >> (verb - verb_table) & 1;
}

// ---------------------------------------------------------------- values

static bool parse_whole(const char *text, bool suffix, uint64_t *out) {
    char *end;
    if (!isdigit((unsigned char)text[0])) return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    int shift = 0;
    if (suffix && *end) {
        const char *letters = "KMG", *found = strchr(letters, toupper((unsigned char)*end));
        if (!found) return false;
        shift = 10 * (int)(found - letters + 1);
        end++;
    }
    *out = (uint64_t)value << shift;
    return errno == 0 && *end == 0 && *out >> shift == value;
}

static bool is_choice(const char *choices, const char *text) {
    size_t size = strlen(text);
    for (const char *word = choices; size && word; word = strchr(word, '|')) {
        word += *word == '|';
        if (strncmp(word, text, size) == 0 && (word[size] == '|' || word[size] == 0)) return true;
    }
    return false;
}

static bool list_append(const char ***list, const char *text) {
    size_t count = 0;
    while (*list && (*list)[count]) count++;
    const char **longer = realloc(*list, (count + 2) * sizeof **list);
    if (!longer) return false;
    longer[count] = text;
    longer[count + 1] = NULL;
    *list = longer;
    return true;
}

// Stores `text` in the row's field; false where it is no value for it.
static bool store(const option_row *row, const char *text, cli_options *out) {
    void *field = (char *)out + row->offset;
    uint64_t whole;
    char *end;
    switch (row->kind) {
    case OPTION_SWITCH: *(int *)field = row->set; return true;
    case OPTION_TEXT: *(const char **)field = text; return true;
    case OPTION_FILE: *(const char **)field = text; return strcmp(text, "-") != 0;
    case OPTION_LIST: return list_append(field, text);
    case OPTION_CHOICE:
        if (!is_choice(row->choices, text)) return false;
        if (isdigit((unsigned char)row->choices[0])) *(uint64_t *)field = strtoull(text, NULL, 10);
        else *(const char **)field = text;
        return true;
    case OPTION_WHOLE:
    case OPTION_BYTES:
        if (!parse_whole(text, row->kind == OPTION_BYTES, &whole)) return false;
        *(uint64_t *)field = whole;
        return (double)whole >= row->least && (double)whole <= row->most;
    case OPTION_REAL: {
        double real = strtod(text, &end);
        *(double *)field = real;
        return end != text && *end == 0 && real >= row->least && real <= row->most;
    }
    }
    return false;
}

// `given` is the option or the variable that holds the value.
static int refuse_value(const cli_options *out, const option_row *row, const char *given, const char *text) {
    if (row->kind == OPTION_CHOICE) return report_usage(out, "%s: '%s' is not one of %s", given, text, row->choices);
    if (row->kind == OPTION_FILE) return report_usage(out, "%s: '%s' is not a file name (./- is)", given, text);
    return report_usage(out, "%s: '%s' is not a %snumber from %.10g to %.10g", given, text,
                        row->kind == OPTION_REAL ? "" : "whole ", row->least, row->most);
}

// ---------------------------------------------------------------- sources of values

static int from_environment(const verb_row *verb, cli_options *out) {
    for (size_t i = 0; i < option_count; i++) {
        const option_row *row = &option_table[i];
        char name[64] = "HELICOID_";
        size_t size = strlen(name);
        for (const char *c = row->name; *c; c++) name[size++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        const char *text = option_applies(row, verb) && row->letter != 'h' ? getenv(name) : NULL;
        if (!text || !*text || (row->kind == OPTION_SWITCH && strcmp(text, "0") == 0)) continue;
        if (!store(row, text, out)) return refuse_value(out, row, name, text);
    }
    return EXIT_OK;
}

// The verb's rows in the two forms that getopt_long wants.
static void describe(const verb_row *verb, char letters[2 * MOST_OPTIONS + 2], struct option longs[MOST_OPTIONS]) {
    size_t at = 0, count = 0;
    letters[at++] = ':'; // a missing value is told apart from an unknown option
    for (size_t i = 0; i < option_count; i++) {
        const option_row *row = &option_table[i];
        if (!option_applies(row, verb)) continue;
        int argument = row->kind == OPTION_SWITCH ? no_argument : required_argument;
        longs[count++] = (struct option){row->name, argument, NULL, LETTER_NONE + (int)i};
        if (!row->letter) continue;
        letters[at++] = row->letter;
        if (argument == required_argument) letters[at++] = ':';
    }
    letters[at] = 0;
    longs[count] = (struct option){0};
}

static const option_row *row_of(const verb_row *verb, int code, const char *text) {
    if (code >= LETTER_NONE) return &option_table[code - LETTER_NONE];
    uint64_t number;
    bool is_number = text && parse_whole(text, false, &number);
    for (size_t i = 0; i < option_count; i++) {
        const option_row *row = &option_table[i];
        if (option_applies(row, verb) && (row->letter == code || (is_number && row->number_letter == code))) return row;
    }
    return NULL;
}

static int take_arguments(int argc, char **argv, cli_options *out) {
    for (; optind < argc; optind++)
        if (!list_append(&out->arguments, argv[optind])) return report_error(out, EXIT_FAILED, "out of memory");
    out->model = out->arguments ? out->arguments[0] : NULL;
    return EXIT_OK;
}

static int count_words(const char *text) {
    int words = 0;
    for (; *text; text++) words += *text != ' ' && (text[1] == ' ' || !text[1]);
    return words;
}

static int from_arguments(const verb_row *verb, int argc, char **argv, cli_options *out) {
    char letters[2 * MOST_OPTIONS + 2];
    struct option longs[MOST_OPTIONS];
    describe(verb, letters, longs);
    opterr = 0;
    for (int code; (code = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
        const char *given = optind > 0 ? argv[optind - 1] : "";
        if (code == ':') return report_usage(out, "option '%s' needs a value", given);
        const option_row *row = code == '?' ? NULL : row_of(verb, code, optarg);
        if (!row && optopt > 0 && optopt < LETTER_NONE) return report_usage(out, "unknown option '-%c'", optopt);
        if (!row) return report_usage(out, "unknown or ambiguous option '%s'", given);
        if (!store(row, optarg, out)) {
            char name[64];
            snprintf(name, sizeof name, "--%s", row->name);
            return refuse_value(out, row, name, optarg);
        }
    }
    if (out->help) return EXIT_OK;
    int given = argc - optind, wanted = count_words(verb->argument);
    if (verb->argument[0] != '[' && given < wanted)
        return report_usage(out, wanted > 1 ? "%s are needed" : "%s is missing", verb->argument);
    if (verb->argument[0] != '[' && given > wanted) return report_usage(out, "too many arguments: '%s'", argv[optind + wanted]);
    return take_arguments(argc, argv, out);
}

int options_parse(const verb_row *verb, int argc, char **argv, cli_options *out) {
    *out = (cli_options){.verb = verb, .argc = argc, .argv = argv};
    for (size_t i = 0; i < option_count; i++)
        if (option_table[i].initial) store(&option_table[i], option_table[i].initial, out);
    int code = from_environment(verb, out);
    return code != EXIT_OK ? code : from_arguments(verb, argc, argv, out);
}

void options_finish(cli_options *options) {
    free(options->include);
    free(options->exclude);
    free(options->stop);
    free(options->peers);
    free(options->arguments);
}
