// SPDX-License-Identifier: Apache-2.0
// Model folders as a whole: replacing and clearing them. Only flat folders are touched, so that a mistyped output name
// cannot take a tree of files with it.
#ifndef HEL_MODELS_CHECKPOINT_FOLDER_H
#define HEL_MODELS_CHECKPOINT_FOLDER_H

#include <helicoid/common.h>

// HEL_ERROR_EXISTS where a folder may not be replaced: it is not empty and has no tensors of a model or has folders.
hel_status hel_model_folder_check(const char *path);
// Removes all files in the folder.
hel_status hel_model_folder_clear(const char *path);
// Gives the finished folder its name; a folder that has it already goes.
hel_status hel_model_folder_publish(const char *part, const char *path);
#endif
