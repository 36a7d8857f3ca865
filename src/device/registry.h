// SPDX-License-Identifier: Apache-2.0
// Opening a device by what it is, for code above that must not know backends by name.
#ifndef HEL_DEVICE_REGISTRY_H
#define HEL_DEVICE_REGISTRY_H

#include <helicoid/device.h>

// The first device of the type, in order of preference, that its driver opens; the last failure where all refuse, and
// UNAVAILABLE where there is none.
hel_status hel_device_open_type(hel_device_type type, const hel_device_params *params, const hel_device **out);

#endif
