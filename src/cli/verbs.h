// SPDX-License-Identifier: Apache-2.0
// One function per verb, each in the file of its name; all return the process's exit code.
#ifndef HEL_CLI_VERBS_H
#define HEL_CLI_VERBS_H

#include "cli/options.h"

int run_devices(const cli_options *options);
int run_compress(const cli_options *options);
int run_kmeans(const cli_options *options);
int run_info(const cli_options *options);
int run_generate(const cli_options *options);
int run_perplexity(const cli_options *options);
int run_logits(const cli_options *options);
int run_tokenize(const cli_options *options);
int run_verify(const cli_options *options);
int run_export(const cli_options *options);
int run_fftconv(const cli_options *options);
int run_hyena(const cli_options *options);
int run_bench(const cli_options *options);

#endif
