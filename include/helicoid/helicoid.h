// SPDX-License-Identifier: Apache-2.0
// The whole interface.
#ifndef HELICOID_HELICOID_H
#define HELICOID_HELICOID_H

#include <helicoid/bench.h>
#include <helicoid/common.h>
#include <helicoid/compress.h>
#include <helicoid/device.h>
#include <helicoid/fftconv.h>
#include <helicoid/generate.h>
#include <helicoid/hyena.h>
#include <helicoid/kmeans.h>
#include <helicoid/model.h>
#include <helicoid/tokenizer.h>

#endif
