// SPDX-License-Identifier: Apache-2.0
// The kernel texts themselves, one lane per work-group.
#include "kernels_c.inc"
