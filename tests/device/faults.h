// SPDX-License-Identifier: Apache-2.0
// What test_faults.c needs to know of a driver; one injector per backend.
#ifndef TESTS_DEVICE_FAULTS_H
#define TESTS_DEVICE_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

extern const char injector_device[];
bool injector_load(void);             // after the backend has loaded its driver; false where there is none
void injector_fail_at(uint64_t n);    // the n-th driver call from now on fails once, 0 none
uint64_t injector_calls(void);        // driver calls so far
uint64_t injector_live(void);         // driver objects that exist
uint64_t injector_compiles(void);     // kernel texts compiled so far
uint64_t injector_violations(void);   // broken rules that a driver would not report

#endif
