// SPDX-License-Identifier: Apache-2.0
#include "models/checkpoint_folder.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

typedef struct listing {
    const char *folder;
    bool remove, has_folder, has_model, empty;
    hel_status status;
} listing;

static bool visit(void *user, const char *name) {
    listing *l = user;
    char *path;
    l->status = hel_path_join(l->folder, name, &path);
    if (l->status != HEL_OK) return false;
    l->empty = false;
    if (hel_path_is_directory(path)) l->has_folder = true;
    else if (l->remove && !hel_os_remove(path)) l->status = hel_fail_errno(path, "cannot remove");
    if (hel_path_has_suffix(name, ".safetensors") || hel_path_has_suffix(name, ".safetensors.index.json"))
        l->has_model = true;
    hel_free(path);
    return l->status == HEL_OK;
}

static hel_status list(const char *path, bool remove, listing *out) {
    *out = (listing){.folder = path, .remove = remove, .empty = true};
    if (!hel_os_directory_list(path, visit, out)) return hel_fail_errno(path, "cannot list");
    return out->status;
}

hel_status hel_model_folder_check(const char *path) {
    listing found;
    HEL_TRY(list(path, false, &found));
    if (found.empty || (found.has_model && !found.has_folder)) return HEL_OK;
    return hel_fail(HEL_ERROR_EXISTS, "%s: exists and is not a model folder that could be replaced", path);
}

hel_status hel_model_folder_clear(const char *path) {
    listing found;
    return list(path, true, &found);
}

// What was moved aside goes, also what an interrupted run left of it.
static void remove_old(const char *old) {
    listing found;
    if (!hel_path_is_directory(old) || list(old, false, &found) != HEL_OK || found.has_folder) return;
    if (hel_model_folder_clear(old) == HEL_OK) hel_os_remove(old);
}

hel_status hel_model_folder_publish(const char *part, const char *path) {
    char old[4096];
    bool replaces = hel_path_exists(path);
    if (snprintf(old, sizeof old, "%s.replaced", path) >= (int)sizeof old)
        return hel_fail(HEL_ERROR_ARGUMENT, "%s: name is too long", path);
    if (!hel_os_directory_sync(part)) return hel_fail_errno(part, "cannot sync directory");
    if (replaces) {
        remove_old(old);
        if (!hel_os_rename(path, old)) return hel_fail_errno(path, "cannot move aside");
    }
    if (!hel_os_rename(part, path)) {
        hel_status status = hel_fail_errno(path, "cannot rename the finished folder");
        if (replaces) hel_os_rename(old, path);
        return status;
    }
    remove_old(old);
    char *parent;
    HEL_TRY(hel_path_parent(path, &parent));
    hel_status status = hel_os_directory_sync(parent) ? HEL_OK : hel_fail_errno(parent, "cannot sync directory");
    hel_free(parent);
    return status;
}
