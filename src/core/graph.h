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
#include "state.h"

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
    PyObject *interned;         /* see find_interned(); has no node */
    size_t frame_count;         /* the first numbers are those of the frames that run, */
    size_t generator_count;     /* of which the first run generators */
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
    if (number != NONE || UNLIKELY(Py_REFCNT(object) <= 0)) {
        return number;  /* 3.12's _asyncio visits what it has freed and keeps for later */
    }
    return node_new(&graph->nodes, object, tracked,
                    !tracked && !is_untracked_holder(object)
                    && !Py_IS_TYPE(object, &PyFrame_Type));
}

/* So many of an object's references have been met. */
ALWAYS_INLINE void
node_explain(Node *node, int references)
{
    node->outside -= node->outside == INT32_MAX ? 0 : references;
}

static int
graph_visit(PyObject *object, void *arg)
{
    Graph *graph = arg;
    uint32_t number = object == graph->interned ? NONE : graph_number(graph, object);
    if (number == NONE) {
        return graph->nodes.failed ? -1 : 0;
    }
    uint32_t *edges = with_room(graph->edges, sizeof(uint32_t), graph->edge_count,
                                &graph->edge_room);
    if (UNLIKELY(edges == NULL)) {
        graph->nodes.failed = true;
        return -1;
    }
    graph->edges = edges;
    edges[graph->edge_count++] = number;
    node_explain(&graph->nodes.at[number], 1);
    return 0;
}

/* A reference that is one, but is not counted. */
static void
graph_visit_uncounted(PyObject *object, Graph *graph)
{
    size_t before = graph->edge_count;
    graph_visit(object, graph);
    if (graph->edge_count > before) {
        node_explain(&graph->nodes.at[graph->edges[before]], -1);
    }
}

static void
graph_visit_value(FrameValue value, Graph *graph)
{
    PyObject *object = frame_value(value);
    if (object != NULL && frame_value_is_counted(value)) {
        graph_visit(object, graph);
    }
    else if (object != NULL) {
        graph_visit_uncounted(object, graph);
    }
}

/* What a running function holds: see frames.h. It holds itself and its code, too: as a way to
 * what they refer to, those would be before others that tell more. */
static void
graph_visit_frame(Graph *graph, uint32_t number)
{
    node_explain(&graph->nodes.at[number], 1);  /* the record owns its frame object */
    CallRecord *record = frame_record(graph->nodes.at[number].object);
    for (Py_ssize_t i = 0, count = frame_value_count(record); i < count; i++) {
        graph_visit_value(record->values[i], graph);
    }
    if (record->locals != NULL) {
        graph_visit(record->locals, graph);
    }
    graph_visit_uncounted(record->globals, graph);
    graph_visit_uncounted(record->builtins, graph);
}

/* A generator that is suspended has visited what its frame only borrows, too: those of its edges
 * from `first` on, which it had if the frame is not cleared. */
static void
graph_leave_generator(Graph *graph, PyObject *generator, size_t first)
{
    CallRecord *record = generator_record(generator);
    for (Py_ssize_t i = 0, count = frame_value_count(record); i < count; i++) {
        PyObject *value = frame_value(record->values[i]);
        if (value == NULL || frame_value_is_counted(record->values[i])) {
            continue;
        }
        for (size_t j = first; j < graph->edge_count; j++) {
            Node *node = &graph->nodes.at[graph->edges[j]];
            if (node->object == value) {
                node_explain(node, -1);
                break;
            }
        }
    }
}

/* The number of an object, NONE if it has none. To be called before the heads are restored. */
static inline uint32_t
graph_find(Graph *graph, PyObject *object)
{
    return node_of(&graph->nodes, object, gc_is_tracked(object));
}

static void
graph_add_frames_owned(Graph *graph, PyObject *frames, bool by_generators)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(frames) && !graph->nodes.failed; i++) {
        PyObject *frame = PyList_GET_ITEM(frames, i);
        CallRecord *record = frame_record(frame);
        if (record != NULL && !frame_has_ended(record)
            && (record->owner == OWNED_BY_GENERATOR) == by_generators
            && graph_find(graph, frame) == NONE) {
            node_new(&graph->nodes, frame, gc_is_tracked(frame), false);
        }
    }
}

/* Gives the frames of running functions the first numbers: the collector does not track them,
 * and so they have none otherwise. */
static void
graph_add_frames(Graph *graph, PyObject *frames)
{
    graph_add_frames_owned(graph, frames, true);
    graph->generator_count = graph->nodes.count;
    graph_add_frames_owned(graph, frames, false);
    graph->frame_count = graph->nodes.count;
}

/* Gives the objects of a list numbers. The list, which nobody else has, gets none: its references
 * are accounted for here. */
static void
graph_add_objects(Graph *graph, PyObject *objects)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(objects); i++) {
        PyObject *object = PyList_GET_ITEM(objects, i);
        uint32_t number = object == graph->interned ? NONE : graph_number(graph, object);
        if (number != NONE) {
            node_explain(&graph->nodes.at[number], 1);
        }
    }
}

/* Writes over the line on the standard error. Past stdio, whose lock a thread that is stopped may
 * have. */
static void
graph_write_line(char const *text)
{
    char line[80];
    snprintf(line, sizeof(line), "\r%-60s", text);
    write_error(line);
}

/* Says what is being done, if all that takes more than a second. */
static void
graph_say(Graph *graph, char const *what)
{
    if (graph->progress && monotonic_seconds() - graph->began > 1) {
        char text[61];
        snprintf(text, sizeof(text), "weakly: %.1f million objects%.30s",
                 (double)graph->nodes.count / 1e6, what);
        graph_write_line(text);
        graph->progress_shown = true;
    }
}

/* The frame in which a generator is running, NULL if it is not running; borrowed. */
static PyObject *
graph_running_frame(Graph *graph, PyObject *generator)
{
    for (size_t i = 0; i < graph->generator_count; i++) {
        if (frame_record(graph->nodes.at[i].object) == generator_record(generator)) {
            return graph->nodes.at[i].object;
        }
    }
    return NULL;
}

/* Visits a generator's references. */
static void
graph_enter_generator(Graph *graph, PyObject *generator)
{
    PyObject *frame = graph_running_frame(graph, generator);
    if (frame != NULL) {  /* what the generator holds, that frame visits */
        graph_visit_uncounted(frame, graph);
        return;
    }
    size_t first = graph->edge_count;
    (void)Py_TYPE(generator)->tp_traverse(generator, graph_visit, graph);
    if (GENERATORS_BORROW && FRAMES_KNOWN && !graph->nodes.failed) {
        graph_leave_generator(graph, generator, first);
    }
}

/* Enters all objects that have numbers, and those that get numbers meanwhile. */
static void
graph_enter_all(Graph *graph)
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
            graph_enter_generator(graph, object);
            continue;
        }
        (void)type->tp_traverse(object, graph_visit, graph);
        PyObject *dict = unvisited_dict(object);
        if (UNLIKELY(dict != NULL)) {
            graph_visit(dict, graph);
        }
        if (UNLIKELY(i < graph->frame_count)) {
            graph_visit_frame(graph, (uint32_t)i);
        }
        if (UNLIKELY((i & 0x7ffff) == 0x7ffff)) {
            graph_say(graph, " so far");
        }
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
    if (graph->progress_shown) {
        graph_write_line("");
        write_error("\r");
    }
    nodes_free(&graph->nodes);
    PyMem_RawFree(graph->edges);
}

static size_t
graph_memory(Graph *graph)
{
    return graph->nodes.room * sizeof(Node) + graph->edge_room * sizeof(uint32_t)
           + (graph->nodes.map == NULL ? 0 : (graph->nodes.map_mask + 1) * sizeof(uint32_t));
}

/* All objects that the collector tracks, but those of gc.freeze(): a new list, NULL on failure. */
static PyObject *
tracked_objects(State *state)
{
    PyObject *objects = PyObject_CallNoArgs(state->get_objects);
    if (objects != NULL && !PyList_CheckExact(objects)) {
        PyErr_SetString(PyExc_TypeError, "gc.get_objects() returned no list");
        Py_CLEAR(objects);
    }
    return objects;
}

/* The dict of the interned strings, which it does not own: so it is no part of the graph. Borrowed
 * from the interpreter; NULL if it is not among the objects, as before 3.14. -1 on failure. */
static int
find_interned(PyObject *objects, PyObject **interned)
{
    *interned = NULL;
#if PY_VERSION_HEX >= 0x030E0000
    PyObject *name = PyUnicode_InternFromString("a string that weakly has interned");
    for (Py_ssize_t i = 0; name != NULL && *interned == NULL && i < PyList_GET_SIZE(objects); i++) {
        PyObject *object = PyList_GET_ITEM(objects, i);
        if (PyDict_CheckExact(object)) {
            Py_BEGIN_CRITICAL_SECTION(object);
            PyObject *key, *value;
            Py_ssize_t at = 0;
            /* Each string is there for itself; of others' dicts, one entry says enough. */
            while (*interned == NULL && PyDict_Next(object, &at, &key, &value) && key == value) {
                *interned = key == name ? object : NULL;
            }
            Py_END_CRITICAL_SECTION();
        }
    }
    Py_XDECREF(name);
    return name == NULL ? -1 : 0;
#else
    (void)objects;
    return 0;
#endif
}

#endif
