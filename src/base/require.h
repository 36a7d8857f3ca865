// SPDX-License-Identifier: Apache-2.0
// A documented rule of a public function: broken, it is logged and returned, or aborts where the build asks for it.
#ifndef HEL_BASE_REQUIRE_H
#define HEL_BASE_REQUIRE_H

#include <stdlib.h>

#include "base/error.h"

#ifdef HEL_DEBUG_ABORT
#define HEL_REQUIRE_ABORT() abort()
#else
#define HEL_REQUIRE_ABORT() (void)0
#endif

#define HEL_REQUIRE(expression) HEL_REQUIRE_OR(expression, HEL_ERROR_ARGUMENT)

// For functions that return something else than a status; nothing stands for nothing.
#define HEL_REQUIRE_OR(expression, otherwise)                                            \
    do {                                                                                 \
        if (!(expression)) {                                                             \
            hel_fail(HEL_ERROR_ARGUMENT, "%s: broken rule: %s", __func__, #expression);  \
            HEL_REQUIRE_ABORT();                                                         \
            return otherwise;                                                            \
        }                                                                                \
    } while (0)

#endif
