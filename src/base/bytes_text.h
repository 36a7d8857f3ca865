// SPDX-License-Identifier: Apache-2.0
// A number of bytes for people to read.
#ifndef HEL_BASE_BYTES_TEXT_H
#define HEL_BASE_BYTES_TEXT_H

#include <stdint.h>
#include <stdio.h>

// "1.20 MB"; units of 1000.
static inline const char *hel_bytes_text(char text[32], uint64_t bytes) {
    static const char *const units[] = {"kB", "MB", "GB", "TB"};
    double value = (double)bytes / 1000;
    int unit = 0;
    for (; value >= 1000 && unit < 3; unit++) value /= 1000;
    if (bytes < 1000) snprintf(text, 32, "%u B", (unsigned)bytes);
    else snprintf(text, 32, "%.*f %s", value < 10 ? 2 : value < 100 ? 1 : 0, value, units[unit]);
    return text;
}

#endif
