// SPDX-License-Identifier: Apache-2.0
// Ctrl-C: sets a flag that callbacks ask for, so that work stops where it can be resumed.
#ifndef HEL_CLI_INTERRUPT_H
#define HEL_CLI_INTERRUPT_H

#include <stdbool.h>

void interrupt_start(void);
bool interrupted(void);

#endif
