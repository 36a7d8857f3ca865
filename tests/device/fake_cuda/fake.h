// SPDX-License-Identifier: Apache-2.0
// A CUDA driver and an NVRTC without a GPU, for the host code's tests. "Compiling" yields one line of text that names
// the kernel, its work-group and its constants; "launching" runs the kernel's C form. Streams are lazy: nothing runs
// before someone waits for it, so that code which relies on luck instead of order fails every time.
#ifndef TESTS_FAKE_CUDA_FAKE_H
#define TESTS_FAKE_CUDA_FAKE_H

#include <stdint.h>

// The environment variable FAKE_CUDA_CAPABILITY sets the device's compute capability (90), FAKE_CUDA_FREE the bytes that it says
// are free (all that are not allocated).

#define FAKE_EXPORT __attribute__((visibility("default")))
#define FAKE_IMAGE "fake cubin"

// Hooks, found by name with hel_os_library_symbol.
// The n-th call from now on fails once with CUDA_ERROR_UNKNOWN (what it destroys is destroyed); 0 switches this off.
typedef void fake_cuda_fail_at_function(uint64_t n);
// Driver calls so far.
typedef uint64_t fake_cuda_calls_function(void);
// Contexts, streams, events, modules, graphs and memory blocks that have not been destroyed.
typedef uint64_t fake_cuda_live_function(void);
// Calls that broke a rule which a real driver does not check (pageable memory given to an asynchronous copy, memory
// freed while commands are pending, a call outside a context, a stream asked while it captures, a graph launched after its
// memory was freed or destroyed before its launches are done).
typedef uint64_t fake_cuda_violations_function(void);
// Of the fake NVRTC: programs compiled so far.
typedef uint64_t fake_nvrtc_compiles_function(void);

#endif
