// SPDX-License-Identifier: Apache-2.0
// Read by VkFFT.
#include "cuda.h"
