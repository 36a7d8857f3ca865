// SPDX-License-Identifier: Apache-2.0
// The largest of errors, which a NaN anywhere must not hide in.
#include "support/support.h"

static void test_difference(void **state) {
    float a[] = {1, 2, 3, 4}, b[] = {1, 2.5f, 1, 4};
    (void)state;
    assert_true(support_difference(a, a, 4) == 0);
    assert_true(support_difference(a, b, 4) == 2);
    assert_true(support_difference(a, b, 2) == 0.5);
    for (int i = 0; i < 4; i++) {
        float kept = b[i];
        b[i] = NAN;
        assert_true(isnan(support_difference(a, b, 4)) && isnan(support_difference(b, a, 4)));
        b[i] = kept;
    }
    b[1] = INFINITY;
    assert_true(isinf(support_difference(a, b, 4)));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_difference)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
