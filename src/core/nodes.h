/* Numbers for objects, so that what is known of them is kept in arrays: for walks of the heap
 * (ephemeron.h, graph.h), during which nothing else runs.
 *
 * Only raw memory is allocated for them, and no reference count changes. An object that the
 * collector tracks has its number in its head, where the head is known (compat.h); all others are
 * in a map from addresses. */

#ifndef WEAKLY_NODES_H
#define WEAKLY_NODES_H

#include "compat.h"

#define NONE UINT32_MAX

/* Calls a function while no other thread runs; the function must run no Python code. Without the
 * GIL it must take no lock either that another thread may have. It may make objects there only
 * because the interpreter's visit of the heap, in which it is called, ends after it. */
#ifdef Py_GIL_DISABLED
typedef struct {
    void (*function)(void *);
    void *arg;
} StoppedCall;

static int
call_in_stopped_world(PyObject *Py_UNUSED(object), void *arg)
{
    StoppedCall *call = arg;
    call->function(call->arg);
    return 0;  /* no more objects */
}

static void
while_nothing_runs(void (*function)(void *), void *arg)
{
    /* Stops all other threads while it goes over the objects: the first is enough. */
    PyUnstable_GC_VisitObjects(call_in_stopped_world, &(StoppedCall){function, arg});
}
#else
static inline void
while_nothing_runs(void (*function)(void *), void *arg)
{
    function(arg);
}
#endif

/* What a walk knows of an object. */
typedef struct {
    PyObject *object;           /* borrowed */
    uintptr_t gc_word;          /* the word of its head that the node's number is kept in */
    int32_t outside;            /* references not accounted for; INT32_MAX: more than counted */
    union {
        uint32_t waiting;       /* ephemeron.h: the first of the entries that wait for this
                                 * key, or NONE */
        uint32_t first_edge;    /* graph.h */
    };
    uint32_t link;              /* ephemeron.h: the generator that met it last; in the second
                                 * step its table's or cache's number */
    uint8_t is_leaf;            /* is not entered */
    uint8_t is_table, is_cache; /* ephemeron.h */
    uint8_t is_live;
} Node;

typedef struct {
    Node *at;
    size_t count, room;
    uint32_t *map;              /* of the nodes whose objects have no head to keep a number in */
    size_t map_used, map_mask;
    bool failed;                /* for want of memory */
} Nodes;

/* Returns an array, perhaps in another place, with room for one more item; NULL, and it is as it
 * was, if there is no memory. */
static void *
with_room(void *items, size_t size, size_t count, size_t *room)
{
    if (LIKELY(count < *room)) {
        return items;
    }
    size_t wanted = *room == 0 ? 1024 : *room * 2;
    void *more = wanted < NONE ? PyMem_RawRealloc(items, wanted * size) : NULL;
    if (more != NULL) {
        *room = wanted;
    }
    return more;
}

/* The place in the map where an object's number is or would be. */
static uint32_t *
map_place(Nodes *nodes, PyObject *object)
{
    size_t at = (size_t)hash_address(object) * (size_t)0x9E3779B97F4A7C15u;
    for (at ^= at >> 29;; at++) {
        uint32_t *place = &nodes->map[at & nodes->map_mask];
        if (*place == NONE || nodes->at[*place].object == object) {
            return place;
        }
    }
}

static bool
map_make_room(Nodes *nodes)
{
    size_t size = nodes->map == NULL ? 0 : nodes->map_mask + 1;
    if (nodes->map_used * 2 < size) {
        return true;
    }
    uint32_t *old = nodes->map;
    size_t wanted = size == 0 ? 64 : size * 2;
    uint32_t *map = PyMem_RawMalloc(wanted * sizeof(uint32_t));
    if (map == NULL) {
        return false;
    }
    memset(map, 0xff, wanted * sizeof(uint32_t));
    nodes->map = map;
    nodes->map_mask = wanted - 1;
    for (size_t i = 0; i < size; i++) {
        if (old[i] != NONE) {
            *map_place(nodes, nodes->at[old[i]].object) = old[i];
        }
    }
    PyMem_RawFree(old);
    return true;
}

/* The number of an object's node, or NONE. */
ALWAYS_INLINE uint32_t
node_of(Nodes *nodes, PyObject *object, bool tracked)
{
    if (GC_HEADS_KNOWN && tracked) {
        size_t number = gc_head_number(object);
        return number < nodes->count && nodes->at[number].object == object
                   ? (uint32_t)number : NONE;
    }
    return nodes->map_used == 0 ? NONE : *map_place(nodes, object);
}

/* A new node; NONE if there is no memory. */
static uint32_t
node_new(Nodes *nodes, PyObject *object, bool tracked, bool is_leaf)
{
    Node *at = with_room(nodes->at, sizeof(Node), nodes->count, &nodes->room);
    if (UNLIKELY(at == NULL)) {
        nodes->failed = true;
        return NONE;
    }
    nodes->at = at;
    Py_ssize_t references = reference_count(object);
    uint32_t number = (uint32_t)nodes->count;
    at[number] = (Node){
        .object = object,
        .outside = references < INT32_MAX ? (int32_t)references : INT32_MAX,
        .waiting = NONE,
        .link = NONE,
        .is_leaf = is_leaf,
    };
    if (GC_HEADS_KNOWN && tracked) {
        at[number].gc_word = gc_head_mark(object, number);
    }
    else {
        if (!map_make_room(nodes)) {
            nodes->failed = true;
            return NONE;
        }
        *map_place(nodes, object) = number;
        nodes->map_used++;
    }
    nodes->count++;
    return number;
}

/* Gives the objects' heads back what was in them. */
static void
nodes_forget(Nodes *nodes)
{
    if (GC_HEADS_KNOWN) {
        for (size_t i = 0; i < nodes->count; i++) {
            if (nodes->at[i].gc_word != 0) {
                gc_head_restore(nodes->at[i].object, nodes->at[i].gc_word);
            }
        }
    }
}

static void
nodes_free(Nodes *nodes)
{
    PyMem_RawFree(nodes->at);
    PyMem_RawFree(nodes->map);
}

#endif
