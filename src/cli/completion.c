// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "cli/help.h"

static void print_words(const char *choices) {
    for (; *choices; choices++) putchar(*choices == '|' ? ' ' : *choices);
}

// ---------------------------------------------------------------- bash

static void bash_choices(void) {
    printf("    case $previous in\n");
    for (size_t i = 0; i < option_count; i++) {
        const option_row *row = &option_table[i];
        if (!row->choices) continue;
        printf("        --%s) COMPREPLY=($(compgen -W '", row->name);
        print_words(row->choices);
        printf("' -- \"$word\")); return ;;\n");
    }
    printf("    esac\n");
}

static void bash_print(void) {
    printf("# bash completion for helicoid\n_helicoid() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} options=\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        COMPREPLY=($(compgen -W '");
    for (size_t i = 0; i < verb_count; i++) printf("%s ", verb_table[i].name);
    printf("--help --version' -- \"$word\"))\n        return\n    fi\n");
    bash_choices();
    printf("    case ${COMP_WORDS[1]} in\n");
    for (size_t v = 0; v < verb_count; v++) {
        printf("        %s) options='", verb_table[v].name);
        for (size_t i = 0; i < option_count; i++)
            if (option_applies(&option_table[i], &verb_table[v])) printf("--%s ", option_table[i].name);
        printf("' ;;\n");
    }
    printf("    esac\n    case $word in\n        -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
           "        *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n    esac\n}\n"
           "complete -o filenames -F _helicoid helicoid\n");
}

// ---------------------------------------------------------------- zsh

// Text inside the single quotes and brackets of an _arguments specification.
static void zsh_text(const char *text) {
    for (; *text; text++) {
        if (*text == '\'') printf("'\\''");
        else if (strchr("[]:\\", *text)) printf("\\%c", *text);
        else putchar(*text);
    }
}

static void zsh_option(const option_row *row) {
    printf("                '%s--%s%s[", row->kind == OPTION_LIST ? "*" : "", row->name, row->value ? "=" : "");
    zsh_text(row->help);
    printf("]");
    if (row->choices) {
        printf(":%s:(", row->value);
        print_words(row->choices);
        printf(")");
    } else if (row->value) printf(":%s:_files", row->value);
    printf("' \\\n");
}

static void zsh_print(void) {
    printf("#compdef helicoid\n# zsh completion for helicoid\n_helicoid() {\n    local -a verbs=(\n");
    for (size_t i = 0; i < verb_count; i++) printf("        '%s:%s'\n", verb_table[i].name, verb_table[i].summary);
    printf("    )\n    if (( CURRENT == 2 )); then\n        _describe verb verbs\n        return\n    fi\n"
           "    local verb=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $verb in\n");
    for (size_t v = 0; v < verb_count; v++) {
        printf("        %s)\n            _arguments \\\n", verb_table[v].name);
        for (size_t i = 0; i < option_count; i++)
            if (option_applies(&option_table[i], &verb_table[v])) zsh_option(&option_table[i]);
        printf("                '*:file:_files' ;;\n");
    }
    printf("    esac\n}\n_helicoid \"$@\"\n");
}

// ---------------------------------------------------------------- fish

static void fish_quoted(const char *text) {
    putchar('\'');
    for (; *text; text++) printf(*text == '\'' || *text == '\\' ? "\\%c" : "%c", *text);
    putchar('\'');
}

static void fish_print(void) {
    printf("# fish completion for helicoid\n");
    for (size_t v = 0; v < verb_count; v++) {
        printf("complete -c helicoid -n __fish_use_subcommand -f -a %s -d ", verb_table[v].name);
        fish_quoted(verb_table[v].summary);
        putchar('\n');
        for (size_t i = 0; i < option_count; i++) {
            const option_row *row = &option_table[i];
            if (!option_applies(row, &verb_table[v])) continue;
            printf("complete -c helicoid -n '__fish_seen_subcommand_from %s' -l %s", verb_table[v].name, row->name);
            if (row->letter) printf(" -s %c", row->letter);
            if (row->choices) {
                printf(" -x -a '");
                print_words(row->choices);
                printf("'");
            } else if (row->value) printf(" -r");
            printf(" -d ");
            fish_quoted(row->help);
            putchar('\n');
        }
    }
}

bool completion_print(const char *shell) {
    if (strcmp(shell, "bash") == 0) bash_print();
    else if (strcmp(shell, "zsh") == 0) zsh_print();
    else if (strcmp(shell, "fish") == 0) fish_print();
    else return false;
    return true;
}
