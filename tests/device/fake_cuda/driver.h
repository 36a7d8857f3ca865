// SPDX-License-Identifier: Apache-2.0
// What the parts of the fake driver share. Everything but BEGIN_... happens under the driver's lock.
#ifndef TESTS_FAKE_CUDA_DRIVER_H
#define TESTS_FAKE_CUDA_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/cuda/loader.h"
#include "device/kernel_source.h"

enum {
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    NOT_FOUND = 500,
    NOT_READY = 600,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901,
    UNKNOWN = 999,
    TOTAL_MEMORY = 1 << 30,
    SHARED_MEMORY = 49152,
    POISON = 0xcd,
};

// ---------------------------------------------------------------- calls

bool enter(void); // whether this call is the one to fail
CUresult leave(CUresult result);
CUresult violation(CUresult result); // counts one
extern uint64_t live;
extern _Thread_local int contexts; // pushed by this thread

// A call that does nothing when it is the one to fail; one that needs a context; one that does its work all the same.
#define BEGIN_CALL \
    if (enter()) return leave(UNKNOWN)
#define BEGIN_IN_CONTEXT \
    BEGIN_CALL;          \
    if (!contexts) return leave(violation(INVALID_CONTEXT))
#define BEGIN_RELEASE const CUresult result = enter() ? UNKNOWN : CUDA_SUCCESS

// ---------------------------------------------------------------- streams

struct CUevent_st {
    CUstream stream;
    uint64_t recorded, done;
    double time; // ms
};

struct CUmod_st {
    const hel_kernel_source *source; // NULL for an image of the real NVRTC until a function is asked for
    unsigned workgroup;              // likewise 0
    uint32_t constants[HEL_MAX_CONSTANTS];
};

typedef struct operation {
    enum { COPY, FILL, LAUNCH, RECORD, WAIT, LAUNCHED } kind;
    unsigned char *to;
    const unsigned char *from;
    size_t size; // bytes to copy, words to fill, groups to launch
    uint32_t word;
    CUevent event;
    uint64_t number; // of the event's record
    CUgraphExec graph; // all of which is done
    const struct CUmod_st *module;
    void *buffers[HEL_MAX_BINDINGS];
    unsigned char params[HEL_MAX_PARAMS];
    struct operation *next;
} operation;

typedef struct operations {
    operation *first, **last;
} operations;

struct CUstream_st {
    operations pending;
    CUgraph capturing; // NULL while it is not
    CUstream next;
};

void operations_init(operations *list);
CUresult operations_add(operations *list, operation what);

// ---------------------------------------------------------------- graphs

CUresult capture(CUgraph graph, operation what); // into a graph what would go into its stream
void launch_done(CUgraphExec graph);
// The memory goes; launching a graph that uses it is a violation from now on.
void forget_in_graphs(const unsigned char *bytes, size_t size);

#endif
