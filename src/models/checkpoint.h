// SPDX-License-Identifier: Apache-2.0
// Writing a model as safetensors with digests: one file that carries config and tokenizer in its metadata, or a folder
// of model.safetensors and the files beside it. Everything is made under the name PATH.part and renamed at the end.
//
// Metadata keys (all values strings):
//   format                  "pt", which transformers asks for
//   config, tokenizer, tokenizer_config   texts of a single file
//   helicoid.version        of the library that wrote it
//   helicoid.created        ISO 8601, UTC
//   helicoid.source         JSON: [{"file", "bytes", "sha256"}]
//   helicoid.settings       JSON: how it was made
//   helicoid.plan           SHA-256 over source digests, settings and tensors: what a resumed run must agree on
//   helicoid.files          JSON: {name: SHA-256} of the files beside it
//   helicoid.tensors        JSON: {name: SHA-256 of its bytes}
//   helicoid.data_sha256    of everything after the header
//   helicoid.header_sha256  of the header, its length included, with these 64 digits as zeros
#ifndef HEL_MODELS_CHECKPOINT_H
#define HEL_MODELS_CHECKPOINT_H

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/os.h"
#include "formats/safetensors.h"

#define HEL_KEY_VERSION "helicoid.version"
#define HEL_KEY_CREATED "helicoid.created"
#define HEL_KEY_SOURCE "helicoid.source"
#define HEL_KEY_SETTINGS "helicoid.settings"
#define HEL_KEY_PLAN "helicoid.plan"
#define HEL_KEY_HEADER_DIGEST "helicoid.header_sha256"
#define HEL_KEY_DATA_DIGEST "helicoid.data_sha256"
#define HEL_KEY_TENSORS "helicoid.tensors"
#define HEL_KEY_FILES "helicoid.files"
#define HEL_KEY_PREFIX "helicoid."

// A file beside the tensors (owns its text), or a text of the metadata.
typedef struct hel_side_file {
    char *name, *bytes;
    size_t size;
} hel_side_file;

enum { HEL_SIDE_FILES_MAX = 16 };

typedef struct hel_checkpoint {
    bool folder, overwrite;
    bool begun; // there are temporary files
    char *path, *part, *journal; // final name; folder in the making (NULL for a file); journal of an interruptible run
    char *lock_path;
    hel_lock lock; // one process writes at a time
    hel_writer writer;           // of the tensor file
    hel_side_file files[HEL_SIDE_FILES_MAX];
    uint32_t n_files;
    json_t *metadata;
    hel_safetensors_entry *entries; // borrowed
    uint8_t (*digests)[HEL_SHA256_SIZE];
    size_t count, header_size;
    uint64_t data_bytes;
    // Digesting all data while it is written:
    hel_os_mutex *mutex;   // for the two below
    bool *in_place;        // by entry
    bool hashing;          // a thread is: the two below are its own
    size_t hashed;         // entries
    hel_sha256 *data_hash; // of those
} hel_checkpoint;

static const hel_checkpoint hel_checkpoint_none = {.writer.os = {-1}, .lock.os = {-1}}; // finishing it does nothing

// Touches no file. Single file where `path` ends in ".safetensors".
hel_status hel_checkpoint_init(const char *path, bool overwrite, hel_checkpoint *out);
// HEL_ERROR_EXISTS where the name is taken by what may not be replaced.
hel_status hel_checkpoint_check(const hel_checkpoint *checkpoint);
// HEL_ERROR_ARGUMENT where the output is a file of `source` or the folder that holds one: a source is always kept.
hel_status hel_checkpoint_check_source(const hel_checkpoint *checkpoint, const hel_archive *source);

// Takes over the texts; config.json, tokenizer.json and tokenizer_config.json go into a single file's metadata, others
// only beside a folder's tensors.
hel_status hel_checkpoint_add_file(hel_checkpoint *checkpoint, const char *name, char *bytes, size_t size);
// The tokenizer of the model or of `tokenizer` and, for folders from folders, the files that belong to it. A model
// without a tokenizer gets none.
hel_status hel_checkpoint_add_tokenizer(hel_checkpoint *checkpoint, const hel_archive *archive, const char *tokenizer);
hel_status hel_checkpoint_set(hel_checkpoint *checkpoint, const char *key, const char *value);
// Compact text of `value`, which it takes over; NULL, from a failed json_pack, is HEL_ERROR_MEMORY.
hel_status hel_checkpoint_set_json(hel_checkpoint *checkpoint, const char *key, json_t *value);
// Told of what has been read since; what it returns ends the reading where it is not HEL_OK.
typedef struct hel_digest_watch {
    hel_status (*advance)(void *user, uint64_t bytes);
    void *user;
} hel_digest_watch;
// Where the model comes from: this library's version and the digests of the archive's files. `watch` may be NULL.
hel_status hel_checkpoint_set_source(hel_checkpoint *checkpoint, const hel_archive *archive, const hel_digest_watch *watch);

// Until the checkpoint is finished no other process writes this output; HEL_ERROR_EXISTS where one does. Opening locks too.
hel_status hel_checkpoint_lock(hel_checkpoint *checkpoint);
// Opens the temporary file, which no other process may be writing (HEL_ERROR_EXISTS); `resume` keeps what is in it. Then
// `entries`, which stay the caller's, are given their places (in this order, so wide dtypes first) and the file its size.
hel_status hel_checkpoint_open(hel_checkpoint *checkpoint, bool resume);
hel_status hel_checkpoint_layout(hel_checkpoint *checkpoint, hel_safetensors_entry *entries, size_t count);
// The places and sizes alone (`header_size`, `data_bytes`), without a file.
hel_status hel_checkpoint_measure(hel_checkpoint *checkpoint, hel_safetensors_entry *entries, size_t count);

// Bytes of one tensor. Thread-safety: any number of threads may write at once.
hel_status hel_checkpoint_write(hel_checkpoint *checkpoint, size_t entry, uint64_t offset, const void *bytes,
                                size_t size);
// The digest of what is in the file now.
hel_status hel_checkpoint_digest(hel_checkpoint *checkpoint, size_t entry, uint8_t digest[HEL_SHA256_SIZE]);

// Says that an entry's bytes are in the file. What lies there without a gap from the first entry on is digested meanwhile, by
// one of the threads that say so, as long as `watch` (may be NULL) lets it; the commit reads the rest, and is for checkpoints
// where no such call has failed. Thread-safety: any number of threads may call at once.
hel_status hel_checkpoint_in_place(hel_checkpoint *checkpoint, size_t entry, const hel_digest_watch *watch);

// With all data and digests in place: files beside it, header, sync, rename. The journal is gone then.
hel_status hel_checkpoint_commit(hel_checkpoint *checkpoint);

// Closes; what was written stays for resuming, or goes. Also after commit.
void hel_checkpoint_finish(hel_checkpoint *checkpoint, bool keep);

// ISO 8601 of SOURCE_DATE_EPOCH, or of now.
enum { HEL_TIME_TEXT = 32 };
void hel_checkpoint_time(char text[HEL_TIME_TEXT]);

// Adds a part of an open file to a digest.
hel_status hel_file_hash(const hel_file *file, uint64_t offset, uint64_t size, const hel_digest_watch *watch, hel_sha256 *hash);
// Digest of a part of an open file.
hel_status hel_file_digest(const hel_file *file, uint64_t offset, uint64_t size, const hel_digest_watch *watch,
                           uint8_t digest[HEL_SHA256_SIZE]);

// Bytes that must still be read as zeros to check the header's digest: its 64 digits, or NULL where there are none.
char *hel_checkpoint_header_digits(char *header, size_t size);
#endif
