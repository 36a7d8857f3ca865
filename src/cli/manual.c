// SPDX-License-Identifier: Apache-2.0
#include <helicoid/version.h>

#include <stdio.h>

#include "cli/help.h"

#define TEXT_OF(number) #number
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

// roff reads a hyphen as a dash, a backslash as an escape, and a dot or quote at the start of a line as a request.
static void print_roff(const char *text) {
    if (*text == '.' || *text == '\'') printf("\\&");
    for (; *text; text++) {
        if (*text == '-') printf("\\-");
        else if (*text == '\\') printf("\\e");
        else putchar(*text);
    }
}

static void print_option(const option_row *row) {
    char spelling[96];
    help_option_spelling(row, spelling);
    const char *start = spelling;
    while (*start == ' ') start++;
    printf(".TP\n.B ");
    print_roff(start);
    putchar('\n');
    print_roff(row->help);
    if (row->choices) printf(" (%s)", row->choices);
    if (row->initial) printf("; initially %s", row->initial);
    printf(".\n");
}

static void print_verb(const verb_row *verb) {
    printf(".SS helicoid %s [OPTIONS] %s\n", verb->name, verb->argument);
    print_roff(verb->description);
    putchar('\n');
    for (size_t i = 0; i < option_count; i++)
        if (option_applies(&option_table[i], verb) && option_table[i].verbs != option_table[option_count - 1].verbs)
            print_option(&option_table[i]);
    printf(".PP\nExample:\n.PP\n.RS\n.nf\n");
    print_roff(verb->example);
    printf("\n.fi\n.RE\n");
}

void manual_print(void) {
    printf(".TH HELICOID 1 \"\" \"helicoid %s\" \"User Commands\"\n",
           VERSION_TEXT(HEL_VERSION_MAJOR, HEL_VERSION_MINOR, HEL_VERSION_PATCH));
    printf(".SH NAME\nhelicoid \\- compress model weights by vector quantisation and run them\n"
           ".SH SYNOPSIS\n.B helicoid\n.I VERB\n[OPTIONS] [MODEL]\n.SH VERBS\n");
    for (size_t i = 0; i < verb_count; i++) print_verb(&verb_table[i]);
    printf(".SH COMMON OPTIONS\n");
    for (size_t i = 0; i < option_count; i++)
        if (option_table[i].verbs == option_table[option_count - 1].verbs) print_option(&option_table[i]);
    printf(".SH ENVIRONMENT\n.TP\n.B HELICOID_OPTION\nInitial value of \\-\\-option, in capitals and with _ for \\-.\n"
           ".TP\n.B NO_COLOR\nWhere set, messages have no colour.\n"
           ".TP\n.B SOURCE_DATE_EPOCH\nTime stamp of written files, in seconds since 1970.\n"
           ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage, 3 damaged file, 4 unsupported or newer format, "
           "5 device not available, 130 interrupted.\n");
}
