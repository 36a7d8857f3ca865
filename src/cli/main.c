// SPDX-License-Identifier: Apache-2.0
// The program: finds the verb, reads its options, runs it.
#include <helicoid/common.h>

#include <stdio.h>
#include <string.h>

#include "base/os_console.h"
#include "cli/help.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/report.h"

// What can stand in place of a verb. --print-man and --print-completion serve the build.
static int run_program_option(const cli_options *none, int argc, char **argv) {
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) help_print_program();
    else if (strcmp(name, "--version") == 0) printf("helicoid %s\n", hel_version());
    else if (strcmp(name, "--print-man") == 0) manual_print();
    else if (strcmp(name, "--print-completion") == 0 && argc == 3 && completion_print(argv[2])) return report_end(none);
    else return report_usage(none, "unknown verb or option '%s'", name);
    return report_end(none);
}

static int run_verb(const verb_row *verb, int argc, char **argv) {
    cli_options options;
    int code = options_parse(verb, argc, argv, &options);
    if (code == EXIT_OK && options.help) {
        help_print_verb(verb);
        code = report_end(&options);
    } else if (code == EXIT_OK) {
        interrupt_start();
        report_log_start(&options);
        code = verb->run(&options);
    }
    options_finish(&options);
    return code;
}

int main(int argc, char **argv) {
    const cli_options none = {0};
    if (!hel_os_console_start(&argc, &argv)) return report_error(&none, EXIT_FAILED, "out of memory");
    if (argc < 2) {
        help_print_program();
        return EXIT_USAGE;
    }
    bool wants_help = strcmp(argv[1], "help") == 0;
    if (wants_help && argc == 2) argv[1] = (char *)(uintptr_t) "--help";
    const verb_row *verb = verb_find(argv[wants_help && argc > 2 ? 2 : 1]);
    if (verb && wants_help) {
        help_print_verb(verb);
        return report_end(&none);
    }
    return verb ? run_verb(verb, argc - 1, argv + 1) : run_program_option(&none, argc, argv);
}
