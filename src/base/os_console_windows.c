// SPDX-License-Identifier: Apache-2.0
#include "base/os_console.h"

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

#include <psapi.h>
#include <shellapi.h>

static char *utf8_from_wide(const wchar_t *wide) {
    int size = WideCharToMultiByte(CP_UTF8, 0, wide, -1, NULL, 0, NULL, NULL);
    char *text = size > 0 ? malloc((size_t)size) : NULL;
    if (text) WideCharToMultiByte(CP_UTF8, 0, wide, -1, text, size, NULL, NULL);
    return text;
}

bool hel_os_console_start(int *argc, char ***argv) {
    SetConsoleOutputCP(CP_UTF8);
    for (int stream = 0; stream < 3; stream++) _setmode(stream, _O_BINARY);
    int count;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count);
    if (!wide) return false;
    char **narrow = calloc((size_t)count + 1, sizeof *narrow); // lives as long as the process
    bool ok = narrow != NULL;
    for (int i = 0; ok && i < count; i++) ok = (narrow[i] = utf8_from_wide(wide[i])) != NULL;
    LocalFree(wide);
    if (!ok) return false;
    *argc = count;
    *argv = narrow;
    return true;
}

int64_t hel_os_stdin_read(void *bytes, size_t size) {
    return _read(0, bytes, size > INT32_MAX ? INT32_MAX : (unsigned)size);
}

bool hel_os_is_terminal(int stream) { return _isatty(stream) != 0; }

int hel_os_terminal_width(int stream) {
    CONSOLE_SCREEN_BUFFER_INFO info;
    HANDLE handle = GetStdHandle(stream == 2 ? STD_ERROR_HANDLE : STD_OUTPUT_HANDLE);
    return GetConsoleScreenBufferInfo(handle, &info) ? info.srWindow.Right - info.srWindow.Left + 1 : 80;
}

static void (*interrupt_handler)(void);

static BOOL WINAPI on_control(DWORD event) {
    if (event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT) return FALSE;
    void (*handler)(void) = interrupt_handler;
    interrupt_handler = NULL; // the second Ctrl-C takes the default action
    if (handler) handler();
    return handler != NULL;
}

void hel_os_on_interrupt(void (*handler)(void)) {
    interrupt_handler = handler;
    SetConsoleCtrlHandler(on_control, TRUE);
}

double hel_os_seconds(void) {
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    return (double)now.QuadPart / (double)frequency.QuadPart;
}

uint64_t hel_os_memory_peak(void) {
    PROCESS_MEMORY_COUNTERS counters;
    return GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters) ? counters.PeakWorkingSetSize : 0;
}

static wchar_t *wide_from_utf8(const char *text) {
    int size = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    wchar_t *wide = size > 0 ? malloc((size_t)size * sizeof *wide) : NULL;
    if (wide) MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, wide, size);
    return wide;
}

FILE *hel_os_stream_open(const char *path, const char *mode) {
    wchar_t *wide_path = wide_from_utf8(path), *wide_mode = wide_from_utf8(mode);
    FILE *file = wide_path && wide_mode ? _wfopen(wide_path, wide_mode) : NULL;
    free(wide_path);
    free(wide_mode);
    return file;
}

bool hel_os_stream_replace(const char *from, const char *to) {
    wchar_t *wide_from = wide_from_utf8(from), *wide_to = wide_from_utf8(to);
    bool ok = wide_from && wide_to && MoveFileExW(wide_from, wide_to, MOVEFILE_REPLACE_EXISTING);
    free(wide_from);
    free(wide_to);
    if (!ok) errno = EACCES;
    return ok;
}

bool hel_os_stream_remove(const char *path) {
    wchar_t *wide = wide_from_utf8(path);
    bool ok = wide && _wremove(wide) == 0;
    free(wide);
    return ok;
}

hel_os_kind hel_os_path_kind(const char *path) {
    wchar_t *wide = wide_from_utf8(path);
    DWORD attributes = wide ? GetFileAttributesW(wide) : INVALID_FILE_ATTRIBUTES;
    free(wide);
    if (attributes == INVALID_FILE_ATTRIBUTES) return HEL_OS_MISSING;
    return attributes & (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_DEVICE) ? HEL_OS_OTHER : HEL_OS_REGULAR;
}
