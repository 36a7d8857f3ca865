// SPDX-License-Identifier: Apache-2.0
// The cache of compiled kernels: keys, round trip, damage, and a folder that cannot be.
#include "support/support.h"

#include "base/file.h"
#include "base/memory.h"
#include "device/binary_cache.h"

static hel_binary_key key_of(const char *first, const char *second) {
    const hel_binary_part parts[] = {{first, strlen(first)}, {second, strlen(second)}};
    hel_binary_key key;
    assert_int_equal(hel_binary_cache_key(parts, 2, &key), HEL_OK);
    return key;
}

static void test_keys(void **state) {
    (void)state;
    hel_binary_key a = key_of("ab", "c"), b = key_of("a", "bc"), c = key_of("ab", "c");
    assert_string_not_equal(a.text, b.text);
    assert_string_equal(a.text, c.text);
}

static void test_round_trip(void **state) {
    (void)state;
    char folder[TESTS_PATH], inner[TESTS_PATH], path[TESTS_PATH];
    support_folder(folder);
    support_join(inner, folder, "parent/cache"); // neither is there yet
    hel_binary_key key = key_of("kernel", "options");
    hel_binary_cache cache;
    assert_int_equal(hel_binary_cache_init(inner, &cache), HEL_OK);
    unsigned char *bytes;
    size_t size;
    assert_false(hel_binary_cache_load(&cache, &key, &bytes, &size));
    hel_binary_cache_store(&cache, &key, "binary", 6);
    assert_true(hel_binary_cache_load(&cache, &key, &bytes, &size));
    assert_int_equal(size, 6);
    assert_memory_equal(bytes, "binary", 6);
    hel_free(bytes);
    support_join(path, inner, key.text);
    char *file;
    assert_int_equal(hel_file_read_all(path, 1000, &file, &size), HEL_OK);
    for (size_t i = 0; i < size; i++) { // no flipped bit and no truncation gets through
        file[i] ^= 4;
        assert_int_equal(hel_file_write_all(path, true, file, size), HEL_OK);
        assert_false(hel_binary_cache_load(&cache, &key, &bytes, &(size_t){0}));
        file[i] ^= 4;
        assert_int_equal(hel_file_write_all(path, true, file, i), HEL_OK);
        assert_false(hel_binary_cache_load(&cache, &key, &bytes, &(size_t){0}));
    }
    hel_free(file);
    hel_binary_cache_finish(&cache);
    support_remove(folder);
}

static void test_no_cache(void **state) {
    (void)state;
    char folder[TESTS_PATH], path[TESTS_PATH];
    support_folder(folder);
    support_join(path, folder, "file");
    assert_int_equal(hel_file_write_all(path, false, "x", 1), HEL_OK);
    support_join(path, folder, "file/cache"); // below a file there is no folder
    hel_binary_cache cache;
    hel_binary_key key = key_of("a", "b");
    const char *const names[] = {"", path};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(hel_binary_cache_init(names[i], &cache), HEL_OK);
        assert_null(cache.folder);
        hel_binary_cache_store(&cache, &key, "binary", 6);
        assert_false(hel_binary_cache_load(&cache, &key, &(unsigned char *){NULL}, &(size_t){0}));
        hel_binary_cache_finish(&cache);
    }
    support_join(path, folder, "gone");
    assert_int_equal(hel_binary_cache_init(path, &cache), HEL_OK);
    support_remove(folder);
    hel_binary_cache_store(&cache, &key, "binary", 6); // switches itself off
    assert_null(cache.folder);
    hel_binary_cache_finish(&cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys), cmocka_unit_test(test_round_trip), cmocka_unit_test(test_no_cache)};
    return cmocka_run_group_tests_name("binary_cache", tests, NULL, NULL);
}
