/* The graph of the heap: every object that the collector tracks, or that those lead to, with the
 * references between them. What the searches of chains.h and sizes.h work on.
 *
 * It consists of numbers (nodes.h) and is made in one pass, each object entered once, with
 * nothing else running: 32 bytes for an object and 4 for a reference. No Python object is made
 * and no reference count changes. Once the heads of the objects are restored, the numbers still
 * say what there was; the objects they stand for may be gone as soon as other code runs. */

#ifndef WEAKLY_GRAPH_H
#define WEAKLY_GRAPH_H

#include "frames.h"
#include "nodes.h"

typedef enum {
    TRACKED,                    /* what the collector tracks */
    HOLDERS,                    /* and tuples and dicts that it does not, but which hold others */
    EVERYTHING,                 /* and what holds no others */
} Extent;

typedef struct {
    Nodes nodes;
    uint32_t *edges;            /* for each object in turn, the numbers of those it refers to */
    size_t edge_count, edge_room;
    Extent extent;
    PyObject *target;           /* has a node whatever the extent, or NULL; borrowed */
    uint32_t generator;         /* the number of the one that is being entered, or NONE */
    bool progress;              /* may be shown, on the standard error */
    bool progress_shown;
    double began;
} Graph;

/* Does the collector not track an object that holds others all the same? */
static inline bool
is_untracked_holder(PyObject *object)
{
    return PyTuple_CheckExact(object) || PyDict_CheckExact(object);
}

static inline bool
is_immortal(PyObject *object)
{
#if PY_VERSION_HEX < 0x030C0000
    (void)object;
    return false;
#else
    return _Py_IsImmortal(object);
#endif
}

/* The number of an object; of one that has none yet, if the graph is to have it, a new one. */
ALWAYS_INLINE uint32_t
graph_number(Graph *graph, PyObject *object)
{
    bool tracked = gc_is_tracked(object);
    if (!tracked && object != graph->target && !Py_IS_TYPE(object, &PyFrame_Type)
        && (graph->extent == TRACKED
            || (graph->extent == HOLDERS && !is_untracked_holder(object))
            || is_immortal(object))) {
        return NONE;
    }
    uint32_t number = node_of(&graph->nodes, object, tracked);
    return number != NONE ? number
                          : node_new(&graph->nodes, object, tracked,
                                     !tracked && !is_untracked_holder(object)
                                     && !Py_IS_TYPE(object, &PyFrame_Type));
}

static int
graph_visit(PyObject *object, void *arg)
{
    Graph *graph = arg;
    uint32_t number = graph_number(graph, object);
    if (number == NONE) {
        return graph->nodes.failed ? -1 : 0;
    }
    Node *node = &graph->nodes.at[number];
    if (GENERATORS_BORROW && UNLIKELY(graph->generator != NONE)) {
        if (node->link == graph->generator) {
            return 0;
        }
        node->link = graph->generator;
    }
    uint32_t *edges = with_room(graph->edges, sizeof(uint32_t), graph->edge_count,
                                &graph->edge_room);
    if (UNLIKELY(edges == NULL)) {
        graph->nodes.failed = true;
        return -1;
    }
    graph->edges = edges;
    edges[graph->edge_count++] = number;
    node->outside -= node->outside != INT32_MAX;
    return 0;
}

/* A reference that is one, but is not counted. */
static void
graph_visit_uncounted(PyObject *object, Graph *graph)
{
    size_t before = graph->edge_count;
    graph_visit(object, graph);
    if (graph->edge_count > before) {
        Node *node = &graph->nodes.at[graph->edges[before]];
        node->outside += node->outside != INT32_MAX;
    }
}

/* What a running function holds: see frames.h. */
static void
graph_visit_frame(Graph *graph, PyObject *frame)
{
    CallRecord *record = frame_record(frame);
    PyCodeObject *code = record == NULL || frame_has_ended(record) ? NULL : frame_code(record);
    if (code == NULL) {
        return;
    }
    Py_ssize_t count = frame_value_count(record, code);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *value = frame_value(record->values[i]);
        if (value != NULL && frame_value_is_counted(record->values[i])) {
            graph_visit(value, graph);
        }
        else if (value != NULL) {
            graph_visit_uncounted(value, graph);
        }
    }
    graph_visit((PyObject *)code, graph);
    if (record->locals != NULL) {
        graph_visit(record->locals, graph);
    }
#if PY_VERSION_HEX < 0x030C0000
    graph_visit(record->function, graph);
#else
    PyObject *function = frame_value(record->function);
    if (function != NULL) {
        graph_visit(function, graph);
    }
#endif
    graph_visit_uncounted(record->globals, graph);
    graph_visit_uncounted(record->builtins, graph);
    graph_visit(frame, graph);  /* the record owns its frame object */
}

/* The number of an object, NONE if it has none. To be called before the heads are restored. */
static inline uint32_t
graph_find(Graph *graph, PyObject *object)
{
    return node_of(&graph->nodes, object, gc_is_tracked(object));
}

/* Gives the frames of running functions the first numbers: the collector does not track them,
 * and so they have none otherwise. */
static void
graph_add_frames(Graph *graph, PyObject *frames)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(frames) && !graph->nodes.failed; i++) {
        PyObject *frame = PyList_GET_ITEM(frames, i);
        CallRecord *record = frame_record(frame);
        if (record != NULL && !frame_has_ended(record) && graph_find(graph, frame) == NONE) {
            node_new(&graph->nodes, frame, gc_is_tracked(frame), false);
        }
    }
}

/* Gives the objects of a list numbers. The list, which nobody else has, gets none: its references
 * are accounted for here. */
static void
graph_add_objects(Graph *graph, PyObject *objects)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(objects); i++) {
        uint32_t number = graph_number(graph, PyList_GET_ITEM(objects, i));
        if (number != NONE) {
            Node *node = &graph->nodes.at[number];
            node->outside -= node->outside != INT32_MAX;
        }
    }
}

/* Says how far it has got, if that takes more than a second. */
static void
graph_show_progress(Graph *graph, size_t entered)
{
    if (graph->progress && monotonic_seconds() - graph->began > 1) {
        fprintf(stderr, "\rweakly: looked at %.1f million objects ", (double)entered / 1e6);
        fflush(stderr);
        graph->progress_shown = true;
    }
}

/* Which of the first numbers is that of the frame that a generator is running in? The number of
 * frames if it is not running. The generator has the frame's record in itself. */
static size_t
graph_running_frame(Graph *graph, PyObject *generator, size_t frames)
{
    size_t i = 0;
    for (; i < frames; i++) {
        uintptr_t at = (uintptr_t)frame_record(graph->nodes.at[i].object) - (uintptr_t)generator;
        if (at < (uintptr_t)Py_TYPE(generator)->tp_basicsize) {
            break;
        }
    }
    return i;
}

/* Enters all objects that have numbers, and those that get numbers meanwhile. Of a frame among
 * the first `frames` numbers, what the running function holds is visited. */
static void
graph_enter_all(Graph *graph, size_t frames)
{
    Nodes *nodes = &graph->nodes;
    for (size_t i = 0; i < nodes->count && !nodes->failed; i++) {
        PyObject *object = nodes->at[i].object;
        PyTypeObject *type = Py_TYPE(object);
        nodes->at[i].first_edge = (uint32_t)graph->edge_count;
        if (nodes->at[i].is_leaf) {
            continue;
        }
        if (type == &PyGen_Type || type == &PyCoro_Type || type == &PyAsyncGen_Type) {
            size_t frame = graph_running_frame(graph, object, frames);
            if (frame < frames) {  /* what the generator holds, that frame visits */
                graph_visit_uncounted(nodes->at[frame].object, graph);
                continue;
            }
            graph->generator = (uint32_t)i;
        }
        (void)type->tp_traverse(object, graph_visit, graph);
        graph->generator = NONE;
        PyObject *dict = unvisited_dict(object);
        if (UNLIKELY(dict != NULL)) {
            graph_visit(dict, graph);
        }
        if (i < frames) {
            graph_visit_frame(graph, object);
        }
        if (UNLIKELY((i & 0xfffff) == 0xfffff)) {
            graph_show_progress(graph, i + 1);
        }
    }
    if (graph->progress_shown) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
}

#define EDGES_END(graph, number)                                                              \
    ((size_t)(number) + 1 < (graph)->nodes.count ? (graph)->nodes.at[(number) + 1].first_edge \
                                                  : (graph)->edge_count)

#define FOR_EDGES(graph, number, to)                                                          \
    for (uint32_t *edge_ = (graph)->edges + (graph)->nodes.at[number].first_edge,             \
                  *edges_end_ = (graph)->edges + EDGES_END(graph, number), to;                \
         edge_ < edges_end_ && (to = *edge_, true); edge_++)

static void
graph_free(Graph *graph)
{
    nodes_free(&graph->nodes);
    PyMem_RawFree(graph->edges);
}

static size_t
graph_memory(Graph *graph)
{
    return graph->nodes.room * sizeof(Node) + graph->edge_room * sizeof(uint32_t)
           + (graph->nodes.map == NULL ? 0 : (graph->nodes.map_mask + 1) * sizeof(uint32_t));
}

/* The frames of all threads that are running now: a new list, NULL on failure. */
static PyObject *
running_frames(void)
{
    PyObject *function = PySys_GetObject("_current_frames");  /* borrowed */
    PyObject *threads = function == NULL ? PyDict_New() : PyObject_CallNoArgs(function);
    PyObject *frames = threads == NULL ? NULL : PyDict_Values(threads);
    Py_XDECREF(threads);
    for (Py_ssize_t i = 0; frames != NULL && i < PyList_GET_SIZE(frames); i++) {
        PyObject *frame = PyList_GET_ITEM(frames, i);
        PyObject *back = (PyObject *)PyFrame_GetBack((PyFrameObject *)frame);
        if (back != NULL && PyList_Append(frames, back) < 0) {
            Py_CLEAR(frames);
        }
        Py_XDECREF(back);
    }
    return frames;
}

/* All objects that the collector tracks: a new list, NULL on failure. */
static PyObject *
tracked_objects(void)
{
    PyObject *gc = PyImport_ImportModule("gc");
    PyObject *objects = gc == NULL ? NULL : PyObject_CallMethod(gc, "get_objects", NULL);
    Py_XDECREF(gc);
    return objects;
}

#endif
