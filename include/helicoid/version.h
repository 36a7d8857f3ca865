// SPDX-License-Identifier: Apache-2.0
// Version of the interface. Meson reads the three numbers from here, so this is the one place to change them.
#ifndef HELICOID_VERSION_H
#define HELICOID_VERSION_H

#define HEL_VERSION_MAJOR 0
#define HEL_VERSION_MINOR 1
#define HEL_VERSION_PATCH 0

#endif
