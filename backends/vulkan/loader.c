// SPDX-License-Identifier: Apache-2.0
// Opens the Vulkan loader of the machine at run time and fills the table of symbols.
#include "base/error.h"
#include "device/driver_library.h"
#include "vulkan.h"

vulkan_functions vulkan;

static const char *const library_names[] = {
#ifdef _WIN32
    "vulkan-1.dll",
#else
    "libvulkan.so.1",
    "libvulkan.so", // Android
#endif
    NULL,
};

static bool fill_table(void *library) {
#define RESOLVE(name) HEL_DRIVER_RESOLVE(library, vulkan.name, #name)
    VULKAN_SYMBOLS(RESOLVE)
    return true;
}

hel_status vulkan_load(void) {
    static hel_driver_library library = {library_names, fill_table, 0};
    if (hel_driver_library_load(&library)) return HEL_OK;
    return hel_fail(HEL_ERROR_UNAVAILABLE, "vulkan: no Vulkan 1.1 loader (%s) on this machine", library_names[0]);
}

// ---------------------------------------------------------------- errors

static const char *code_name(VkResult code) {
    switch (code) {
#define NAMED(name) case name: return #name;
    NAMED(VK_ERROR_OUT_OF_HOST_MEMORY)
    NAMED(VK_ERROR_OUT_OF_DEVICE_MEMORY)
    NAMED(VK_ERROR_INITIALIZATION_FAILED)
    NAMED(VK_ERROR_DEVICE_LOST)
    NAMED(VK_ERROR_MEMORY_MAP_FAILED)
    NAMED(VK_ERROR_LAYER_NOT_PRESENT)
    NAMED(VK_ERROR_EXTENSION_NOT_PRESENT)
    NAMED(VK_ERROR_FEATURE_NOT_PRESENT)
    NAMED(VK_ERROR_INCOMPATIBLE_DRIVER)
    NAMED(VK_ERROR_TOO_MANY_OBJECTS)
    NAMED(VK_ERROR_FRAGMENTED_POOL)
    NAMED(VK_ERROR_OUT_OF_POOL_MEMORY)
    NAMED(VK_ERROR_INVALID_SHADER_NV)
#undef NAMED
    default: return "Vulkan error";
    }
}

static hel_status status_of(VkResult code) {
    switch (code) {
    case VK_ERROR_OUT_OF_HOST_MEMORY: return HEL_ERROR_MEMORY;
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_TOO_MANY_OBJECTS: return HEL_ERROR_DEVICE_MEMORY;
    case VK_ERROR_DEVICE_LOST: return HEL_ERROR_DEVICE_LOST;
    case VK_ERROR_INITIALIZATION_FAILED:
    case VK_ERROR_INCOMPATIBLE_DRIVER: return HEL_ERROR_UNAVAILABLE;
    default: return HEL_ERROR_DEVICE;
    }
}

hel_status vulkan_check(VkResult code, const char *what) {
    if (code >= 0) return HEL_OK;
    return hel_fail(status_of(code), "vulkan: %s: %s (%d)", what, code_name(code), (int)code);
}
