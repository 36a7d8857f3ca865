// SPDX-License-Identifier: Apache-2.0
// Texts made from the option table: --help, the man page and shell completions. All print to standard output.
#ifndef HEL_CLI_HELP_H
#define HEL_CLI_HELP_H

#include <stdbool.h>

#include "cli/options.h"

void help_print_program(void);
void help_print_verb(const verb_row *verb);
void manual_print(void);                    // roff, section 1
bool completion_print(const char *shell);   // "bash", "zsh", "fish"; false for others

// "-n, --count N" of an option, as help and manual show it.
void help_option_spelling(const option_row *row, char text[96]);

#endif
