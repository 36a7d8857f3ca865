// SPDX-License-Identifier: Apache-2.0
// What only the program needs of the operating system; os_console_posix.c and os_console_windows.c implement it.
// They stand apart from os.h because they are compiled into the program, which uses nothing but the public interface
// of the library.
#ifndef HEL_BASE_OS_CONSOLE_H
#define HEL_BASE_OS_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// Makes the arguments UTF-8 and the standard streams binary where they are not (Windows). False out of memory.
bool hel_os_console_start(int *argc, char ***argv);
int64_t hel_os_stdin_read(void *bytes, size_t size); // bytes read, 0 at the end, -1
bool hel_os_is_terminal(int stream);                 // 0, 1 or 2
int hel_os_terminal_width(int stream);               // columns, 80 where unknown
// Ctrl-C and SIGTERM call `handler` (async-signal-safe work only) the first time; the second time ends the process.
void hel_os_on_interrupt(void (*handler)(void));
double hel_os_seconds(void);                         // monotonic
uint64_t hel_os_memory_peak(void);                   // peak resident set of this process in bytes; 0 unknown

// --- files as the C library's streams; paths are UTF-8 ---
FILE *hel_os_stream_open(const char *path, const char *mode);          // fopen
bool hel_os_stream_replace(const char *from, const char *to);          // renames, also over an existing file
bool hel_os_stream_remove(const char *path);
typedef enum hel_os_kind { HEL_OS_MISSING, HEL_OS_REGULAR, HEL_OS_OTHER } hel_os_kind; // OTHER: folder, device, pipe
hel_os_kind hel_os_path_kind(const char *path);

#endif
