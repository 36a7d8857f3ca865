// SPDX-License-Identifier: Apache-2.0
// What was chosen for a device: for each use of a kernel, the values of its TUNE constants. Kept with the handle, since
// it is asked for before every dispatch, and on disk beside the compiled kernels: one file for a device, its driver and
// the texts of all kernels, so that a change of any of them leaves the old one behind. What is chosen is decided above,
// in src/ops/tune.c.
#ifndef HEL_DEVICE_CHOICES_H
#define HEL_DEVICE_CHOICES_H

#include <helicoid/device.h>

#include "device/binary_cache.h"

enum { HEL_CHOICE_KERNEL = 32, HEL_CHOICE_WORDS = 8, HEL_CHOICES_MAX = 4096 };

// Compared byte by byte: what is unused is zero.
typedef struct hel_choice_use {
    char kernel[HEL_CHOICE_KERNEL];
    uint32_t words[HEL_CHOICE_WORDS]; // what it is used for, as the room above numbers it
} hel_choice_use;

typedef struct hel_choice {
    hel_choice_use use;
    uint32_t constants[HEL_MAX_CONSTANTS]; // by id; HEL_CHOICE_NONE: nothing is chosen
} hel_choice;
#define HEL_CHOICE_NONE UINT32_MAX

hel_choice hel_choice_of_nothing(const hel_choice_use *use);

// In every device's base. {0} has none and keeps none on disk.
typedef struct hel_choices {
    hel_choice *items;
    size_t count;
    hel_binary_cache cache;
} hel_choices;

// Whether kernels have variants there: the CPU runs them with their defaults, the null device not at all.
static inline bool hel_device_has_choices(const hel_device *device) {
    return device->type != HEL_DEVICE_TYPE_NONE && device->type != HEL_DEVICE_TYPE_CPU;
}

// `directory` as in hel_device_params.cache_directory. Fails with MEMORY only.
hel_status hel_choices_init(hel_choices *choices, const char *directory);
void hel_choices_finish(hel_choices *choices);

// Thread-safety of the following: safe on one device.

// False, and `constants` are untouched, where nothing was chosen.
bool hel_choice_find(const hel_device *device, const hel_choice_use *use, uint32_t constants[HEL_MAX_CONSTANTS]);
// Replaces what was chosen for the same use. Fails with MEMORY, or UNSUPPORTED where there are too many.
hel_status hel_choice_set(const hel_device *device, const hel_choice *choice);

typedef bool hel_choice_check(const hel_choice *choice);

// Adds what the file has for uses that have no choice yet. A file that is damaged, or of which `is_valid` refuses a
// single choice, adds nothing: whoever wrote that could have written anything.
void hel_choices_recall(const hel_device *device, hel_choice_check *is_valid);
// Writes all choices under another name first. What goes wrong is logged.
void hel_choices_remember(const hel_device *device);
// How many a file in the user's cache directory has for a device that is only described; what they say is not checked.
uint32_t hel_choices_count_remembered(const hel_device *description);

#endif
