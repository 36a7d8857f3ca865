// SPDX-License-Identifier: Apache-2.0
// What the verbs that work on devices share.
#ifndef HEL_CLI_RUNNER_H
#define HEL_CLI_RUNNER_H

#include <helicoid/helicoid.h>

#include "cli/options.h"

// What --tune says.
hel_tuning runner_tuning(const cli_options *options);
hel_precision runner_precision(const cli_options *options);

// Opens the device that the options name, or the best one; for verbs that work on one.
int runner_open_device(const cli_options *options, const hel_device **out);

// Opens it, runs and closes it again.
int runner_on_device(const cli_options *options, int (*run)(const cli_options *options, const hel_device *device));

// Loads a model onto the devices that the options name, with progress.
int runner_load(const cli_options *options, const char *path, hel_model **out);

// "vulkan:0,cpu": the model's devices in the form --device takes. Freed with free; NULL out of memory.
char *runner_devices(const hel_model *model);

// Most bytes of buffers that the model's devices held, together.
uint64_t runner_device_peak(const hel_model *model);

#endif
