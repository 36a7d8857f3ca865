// SPDX-License-Identifier: Apache-2.0
// Graphs of the fake driver: what is launched in a capturing stream is kept instead of run, and copied into a stream for
// each launch of the graph. Nothing else can be captured here.
#include <stdlib.h>

#include "driver.h"
#include "fake.h"

#ifdef WITHOUT_GRAPHS // the symbols are there, but nobody finds them
#undef FAKE_EXPORT
#define FAKE_EXPORT
#endif
#define CUDA_DECLARE(name, parameters) FAKE_EXPORT CUresult name parameters;
CUDA_GRAPH_SYMBOLS(CUDA_DECLARE)

struct CUgraph_st {
    operations nodes;
    bool invalid; // something was asked of the stream that cannot be captured
};

struct CUgraphExec_st {
    operations nodes;
    uint64_t pending; // launches that are not done
    bool dangling;    // memory that a node uses is gone
    CUgraphExec next;
};

static CUgraphExec executables;

static void free_nodes(operations *nodes) {
    for (operation *node = nodes->first; node;) {
        operation *next = node->next;
        free(node);
        node = next;
    }
}

static CUresult copy_nodes(const operations *from, operations *to) {
    CUresult result = CUDA_SUCCESS;
    for (const operation *node = from->first; node && !result; node = node->next) result = operations_add(to, *node);
    return result;
}

// ---------------------------------------------------------------- capture

CUresult capture(CUgraph graph, operation what) {
    if (what.kind == LAUNCH) return operations_add(&graph->nodes, what);
    graph->invalid = true;
    return violation(CAPTURE_UNSUPPORTED);
}

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
    BEGIN_IN_CONTEXT;
    if (mode != CU_STREAM_CAPTURE_MODE_RELAXED) return leave(INVALID_VALUE);
    if (stream->capturing) return leave(violation(INVALID_VALUE));
    CUgraph graph = calloc(1, sizeof *graph);
    if (!graph) return leave(OUT_OF_MEMORY);
    operations_init(&graph->nodes);
    stream->capturing = graph;
    live++;
    return leave(CUDA_SUCCESS);
}

static void free_graph(CUgraph graph) {
    free_nodes(&graph->nodes);
    free(graph);
    live--;
}

// Ends the capture, also where it fails; then there is no graph.
CUresult cuStreamEndCapture(CUstream stream, CUgraph *out) {
    BEGIN_RELEASE;
    CUgraph graph = stream->capturing;
    *out = NULL;
    if (!graph) return leave(violation(INVALID_VALUE));
    stream->capturing = NULL;
    bool invalid = graph->invalid;
    if (result || invalid) free_graph(graph);
    else *out = graph;
    return leave(invalid ? CAPTURE_INVALIDATED : result);
}

CUresult cuGraphDestroy(CUgraph graph) {
    BEGIN_RELEASE;
    free_graph(graph);
    return leave(result);
}

// ---------------------------------------------------------------- launches

CUresult cuGraphInstantiateWithFlags(CUgraphExec *out, CUgraph graph, unsigned long long flags) {
    BEGIN_IN_CONTEXT;
    if (flags) return leave(INVALID_VALUE);
    CUgraphExec made = calloc(1, sizeof *made);
    if (!made) return leave(OUT_OF_MEMORY);
    operations_init(&made->nodes);
    CUresult result = copy_nodes(&graph->nodes, &made->nodes);
    made->next = executables;
    executables = *out = made;
    live++;
    return leave(result);
}

CUresult cuGraphLaunch(CUgraphExec graph, CUstream stream) {
    BEGIN_IN_CONTEXT;
    if (graph->dangling || stream->capturing) return leave(violation(INVALID_VALUE));
    CUresult result = copy_nodes(&graph->nodes, &stream->pending);
    graph->pending++;
    if (!result) result = operations_add(&stream->pending, (operation){.kind = LAUNCHED, .graph = graph});
    return leave(result);
}

void launch_done(CUgraphExec graph) { graph->pending--; }

static bool uses(const operation *node, const unsigned char *bytes, size_t size) {
    bool found = false;
    for (int i = 0; i < HEL_MAX_BINDINGS; i++)
        found |= (uintptr_t)node->buffers[i] - (uintptr_t)bytes < size;
    return found;
}

void forget_in_graphs(const unsigned char *bytes, size_t size) {
    for (CUgraphExec graph = executables; graph; graph = graph->next)
        for (const operation *node = graph->nodes.first; node; node = node->next)
            graph->dangling |= uses(node, bytes, size);
}

CUresult cuGraphExecDestroy(CUgraphExec graph) {
    BEGIN_RELEASE;
    if (graph->pending) violation(result);
    CUgraphExec *place = &executables;
    while (*place != graph) place = &(*place)->next;
    *place = graph->next;
    free_nodes(&graph->nodes);
    free(graph);
    live--;
    return leave(result);
}
