// SPDX-License-Identifier: Apache-2.0
// Cases that a device cannot run or gets wrong, each with its reason. A listed case that passes is an error.
#ifndef CHECK_EXPECTED_H
#define CHECK_EXPECTED_H

// The reason where the case is listed, else NULL.
const char *expected_failure(const char *device, const char *kernel, const char *shape);

#endif
