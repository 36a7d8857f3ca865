// SPDX-License-Identifier: Apache-2.0
#include "cli/help.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 80, INDENT = 30 };

// Prints words from column `from` on, breaking lines at WIDTH and indenting what follows.
static void print_wrapped(const char *text, int from, int indent) {
    int column = from;
    while (*text) {
        int size = (int)strcspn(text, " ");
        if (column > indent && column + 1 + size > WIDTH) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", size, text);
        column += size;
        text += size;
        text += strspn(text, " ");
    }
    putchar('\n');
}

void help_option_spelling(const option_row *row, char text[96]) {
    size_t size = (size_t)(row->letter ? snprintf(text, 96, "-%c, ", row->letter) : snprintf(text, 96, "    "));
    snprintf(text + size, 96 - size, "--%s%s%s", row->name, row->value ? " " : "", row->value ? row->value : "");
}

static void print_option(const option_row *row) {
    char spelling[96], text[512];
    help_option_spelling(row, spelling);
    int column = printf("  %-*s", INDENT - 3, spelling);
    if (column >= INDENT) {
        printf("\n%*s", INDENT, "");
        column = INDENT;
    } else column += printf(" ");
    size_t size = (size_t)snprintf(text, sizeof text, "%s", row->help);
    if (row->choices) size += (size_t)snprintf(text + size, sizeof text - size, ": %s", row->choices);
    if (row->initial && row->kind == OPTION_CHOICE) snprintf(text + size, sizeof text - size, " [%s]", row->initial);
    else if (row->initial && strlen(row->initial) < 8) snprintf(text + size, sizeof text - size, " [%s]", row->initial);
    print_wrapped(text, column, INDENT);
}

void help_print_program(void) {
    printf("Helicoid compresses model weights by vector quantisation and runs them.\n\n"
           "Usage: helicoid VERB [OPTIONS] [MODEL]\n\n");
    for (size_t i = 0; i < verb_count; i++) printf("  %-12s %s\n", verb_table[i].name, verb_table[i].summary);
    printf("\n  helicoid VERB --help    options of a verb\n"
           "  helicoid --version      version\n\n"
           "Every option can also be set in the environment: HELICOID_DEVICE=cpu is --device cpu.\n"
           "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 damage that verify or a digest found, 4 unsupported or newer\n"
           "format, 5 device not available, 130 interrupted (compress can resume).\n");
}

static bool is_common(const option_row *row) { return row->verbs == option_table[option_count - 1].verbs; }

void help_print_verb(const verb_row *verb) {
    printf("Usage: helicoid %s [OPTIONS]%s%s\n\n", verb->name, verb->argument[0] ? " " : "", verb->argument);
    print_wrapped(verb->description, 0, 0);
    for (int common = 0; common < 2; common++) {
        bool any = false;
        for (size_t i = 0; i < option_count; i++) {
            const option_row *row = &option_table[i];
            if (!option_applies(row, verb) || is_common(row) != common) continue;
            if (!any) printf(common ? "\nCommon options:\n" : "\nOptions:\n");
            any = true;
            print_option(row);
        }
    }
    printf("\nExample:\n  %s\n", verb->example);
}
