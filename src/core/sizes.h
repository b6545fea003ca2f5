/* How much memory objects keep: heap_sizes() and retained_sizes(), for `weakly.heap` and
 * `weakly.retained`.
 *
 * An object's retained size is what would go with it: its own bytes and those of everything that
 * it dominates (dominators.h). Roots are what the caller names, the frames of running functions,
 * and what has more references than were met (graph.h).
 *
 * Bytes are counted as by sys.getsizeof(), but no `__sizeof__` of the program's is called. Without
 * the GIL none is: other threads are stopped then, and what lists, dicts and sets have beside
 * themselves is reckoned. */

#ifndef WEAKLY_SIZES_H
#define WEAKLY_SIZES_H

#include "chains.h"
#include "dominators.h"

#include <stdlib.h>

typedef struct {
    PyTypeObject *type;         /* owned */
    PyCFunction size_of;        /* the __sizeof__ of an object of it, or NULL */
    bool has_items;             /* counted by Py_SIZE() */
    size_t before;              /* bytes that lie before each object */
    Py_ssize_t count;
    size_t own, retained;       /* bytes of all objects of it */
    uint32_t open;              /* how many of them are being gone through */
} SizedType;

typedef struct {
    SizedType *types;
    size_t type_count, type_room;
    uint32_t *type_map;         /* by the type's address */
    size_t map_mask;
    PyObject *trusted[24];      /* types whose __sizeof__ does nothing else; owned */
    size_t trusted_count;
    PyObject *method_name;
    bool failed;
} Sizes;

/* What a module that has been imported has by a name; as dict_find(). */
static int
imported(char const *module_name, char const *name, PyObject **value)
{
    PyObject *module;
    *value = NULL;
    int found = dict_find(PyImport_GetModuleDict(), module_name, &module);
    if (found == 1) {
        found = PyModule_Check(module) ? dict_find(PyModule_GetDict(module), name, value) : 0;
        Py_DECREF(module);
    }
    return found;
}

static int
sizes_init(Sizes *sizes)
{
    PyTypeObject *builtin[] = {&PyLong_Type, &PyUnicode_Type, &PyByteArray_Type, &PyList_Type,
                               &PyDict_Type, &PyODict_Type, &PySet_Type, &PyFrozenSet_Type,
                               &PyType_Type, &PyCode_Type, &PyFrame_Type, &PyGen_Type,
                               &PyCoro_Type, &PyAsyncGen_Type};
    char const *others[][2] = {{"collections", "deque"}, {"array", "array"}, {"_io", "BytesIO"},
                               {"_io", "BufferedReader"}, {"_io", "BufferedWriter"},
                               {"_io", "BufferedRandom"}, {"numpy", "ndarray"},
                               {"builtins", "frozendict"}};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(builtin); i++) {
        sizes->trusted[sizes->trusted_count++] = Py_NewRef((PyObject *)builtin[i]);
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(others); i++) {
        PyObject *type;
        int found = imported(others[i][0], others[i][1], &type);
        if (found < 0) {
            return -1;
        }
        if (found == 1) {
            sizes->trusted[sizes->trusted_count++] = type;
        }
    }
    sizes->method_name = PyUnicode_InternFromString("__sizeof__");
    return sizes->method_name == NULL ? -1 : 0;
}

static void
sizes_free(Sizes *sizes)
{
    for (size_t i = 0; i < sizes->type_count; i++) {
        Py_DECREF(sizes->types[i].type);
    }
    for (size_t i = 0; i < sizes->trusted_count; i++) {
        Py_DECREF(sizes->trusted[i]);
    }
    PyMem_RawFree(sizes->types);
    PyMem_RawFree(sizes->type_map);
    Py_XDECREF(sizes->method_name);
}

static uint32_t *
sizes_place(Sizes *sizes, PyTypeObject *type)
{
    size_t at = (size_t)hash_address((PyObject *)type) * (size_t)0x9E3779B97F4A7C15u;
    for (at ^= at >> 29;; at++) {
        uint32_t *place = &sizes->type_map[at & sizes->map_mask];
        if (*place == NONE || sizes->types[*place].type == type) {
            return place;
        }
    }
}

#ifndef Py_GIL_DISABLED
/* Learns from a `__sizeof__`, which can be anything. Says whether it was a method in C for objects
 * of this type. */
static bool
sizes_learn_method(Sizes *sizes, SizedType *sized, PyObject *method)
{
    if (!Py_IS_TYPE(method, &PyMethodDescr_Type)
        || !PyType_IsSubtype(sized->type, PyDescr_TYPE(method))) {
        return false;
    }
    PyMethodDef *definition = ((PyMethodDescrObject *)method)->d_method;
    sized->has_items = PyDescr_TYPE(method) == &PyBaseObject_Type && sized->type->tp_itemsize > 0;
    for (size_t i = 0; i < sizes->trusted_count; i++) {
        if (sizes->trusted[i] == (PyObject *)PyDescr_TYPE(method)
            && definition->ml_flags == METH_NOARGS) {
            sized->size_of = definition->ml_meth;
        }
    }
    return true;
}
#endif

/* How the size of objects of a type is found: by the first `__sizeof__` that is no Python code, if
 * it can be trusted. */
static void
sizes_learn_type(Sizes *sizes, SizedType *sized)
{
    PyTypeObject *type = sized->type;
#ifndef Py_GIL_DISABLED
    bool found = false;
    sized->before = PyType_IS_GC(type) ? 2 * sizeof(uintptr_t) : 0;
    for (Py_ssize_t i = 0; !found && type->tp_mro != NULL && i < PyTuple_GET_SIZE(type->tp_mro);
         i++) {
        /* Past the cache of the types' attributes, which would drop a name for this one. */
        PyObject *dict = type_dict((PyTypeObject *)PyTuple_GET_ITEM(type->tp_mro, i));
        PyObject *name, *method;
        /* Not by a look-up, which can call the `__eq__` of another key. */
        for (Py_ssize_t at = 0; !found && dict != NULL && PyDict_Next(dict, &at, &name, &method);) {
            found = name == sizes->method_name && sizes_learn_method(sizes, sized, method);
        }
        Py_XDECREF(dict);
    }
#else
    (void)sizes;
#endif
#if PY_VERSION_HEX < 0x030C0000
    sized->before += PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT) ? 2 * sizeof(void *) : 0;
#else
    sized->before += type->tp_flags & Py_TPFLAGS_PREHEADER ? 2 * sizeof(void *) : 0;
#endif
}

/* The place in `types` of an object's type. */
static uint32_t
sizes_type(Sizes *sizes, PyTypeObject *type)
{
    if (sizes->type_map != NULL && *sizes_place(sizes, type) != NONE) {
        return *sizes_place(sizes, type);
    }
    if (sizes->type_map == NULL || sizes->type_count * 2 > sizes->map_mask) {
        size_t room = sizes->type_map == NULL ? 1024 : (sizes->map_mask + 1) * 2;
        uint32_t *map = PyMem_RawMalloc(room * sizeof(uint32_t));
        if (map == NULL) {
            sizes->failed = true;
            return NONE;
        }
        PyMem_RawFree(sizes->type_map);
        sizes->type_map = map;
        sizes->map_mask = room - 1;
        memset(map, 0xff, room * sizeof(uint32_t));
        for (size_t i = 0; i < sizes->type_count; i++) {
            *sizes_place(sizes, sizes->types[i].type) = (uint32_t)i;
        }
    }
    SizedType *types = with_room(sizes->types, sizeof(SizedType), sizes->type_count,
                                 &sizes->type_room);
    if (types == NULL) {
        sizes->failed = true;
        return NONE;
    }
    sizes->types = types;
    types[sizes->type_count] = (SizedType){.type = (PyTypeObject *)Py_NewRef((PyObject *)type)};
    sizes_learn_type(sizes, &types[sizes->type_count]);
    *sizes_place(sizes, type) = (uint32_t)sizes->type_count;
    return (uint32_t)sizes->type_count++;
}

#ifdef Py_GIL_DISABLED
static size_t
str_bytes(PyObject *object)
{
    size_t kind = (size_t)PyUnicode_KIND(object), length = (size_t)PyUnicode_GET_LENGTH(object);
    return (PyUnicode_IS_COMPACT_ASCII(object) ? sizeof(PyASCIIObject)
            : PyUnicode_IS_COMPACT(object)     ? sizeof(PyCompactUnicodeObject)
                                               : sizeof(PyUnicodeObject)) + (length + 1) * kind;
}

/* The bytes of an object, by the sizes in its type and what is known of containers. */
static size_t
reckoned_bytes(PyObject *object)
{
    size_t bytes = (size_t)Py_TYPE(object)->tp_basicsize;
    if (PyList_Check(object)) {
        return bytes + (size_t)((PyListObject *)object)->allocated * sizeof(void *);
    }
    if (PyAnySet_Check(object)) {
        PySetObject *set = (PySetObject *)object;
        return bytes + (set->table == set->smalltable ? 0
                        : ((size_t)set->mask + 1) * sizeof(setentry));
    }
    if (PyDict_Check(object)) {
        return bytes + (size_t)((PyDictObject *)object)->ma_used * 5 * sizeof(void *);
    }
    if (PyUnicode_Check(object)) {
        return bytes - sizeof(PyUnicodeObject) + str_bytes(object);
    }
    if (PyLong_Check(object)) {
        size_t digits = ((size_t)_PyLong_NumBits(object) + PyLong_SHIFT - 1) / PyLong_SHIFT;
        return bytes + (digits > 0 ? digits : 1) * sizeof(digit);
    }
    return PyTuple_Check(object) || PyBytes_Check(object)
               ? bytes + (size_t)Py_SIZE(object) * (size_t)Py_TYPE(object)->tp_itemsize
               : bytes;
}

static size_t
sizes_bytes(Sizes *Py_UNUSED(sizes), SizedType *sized, PyObject *object)
{
    return sized->before + reckoned_bytes(object);
}
#else
static size_t
sizes_bytes(Sizes *sizes, SizedType *sized, PyObject *object)
{
    size_t bytes;
    if (sized->size_of != NULL) {
        PyObject *answer = sized->size_of(object, NULL);
        bytes = answer == NULL ? (size_t)-1 : PyLong_AsSize_t(answer);
        Py_XDECREF(answer);
        if (bytes == (size_t)-1) {  /* there was no memory for the answer */
            PyErr_Clear();
            sizes->failed = true;
        }
    }
    else {
        bytes = (size_t)sized->type->tp_basicsize;
        if (sized->has_items) {
            bytes += (size_t)Py_ABS(Py_SIZE(object)) * (size_t)sized->type->tp_itemsize;
        }
    }
    return sized->before + bytes;
}
#endif

/* What is asked, and the answer. */

/* What heap_sizes() has for an object beside the graph, at most at a time: what a search has, the
 * size and the type, the dominator tree and what making it takes. */
enum { MEASURE_BYTES = SEARCH_BYTES + sizeof(size_t) + 10 * sizeof(uint32_t) };

typedef struct {
    PyObject *object;           /* owned */
    PyObject **chain;           /* owned */
    Py_ssize_t chain_length;
    uint32_t number;            /* in the dominator tree */
    size_t bytes, retained;
    uint32_t retained_count;
    Py_ssize_t dominator;       /* its place among those, or -1 */
} TopObject;

typedef struct {
    ChainSearch search;
    Sizes sizes;
    size_t *bytes;              /* of each node */
    uint32_t *type_of;          /* of each node, the place of its type */
    /* retained_sizes() */
    size_t retained, retained_count;
    /* heap_sizes() */
    Dominators tree;
    size_t *retained_by;        /* of each number in the tree */
    uint32_t *retained_objects;
    TopObject *top;
    size_t top_count, top_room;
    size_t all_bytes, garbage_bytes, garbage_count;
} HeapQuestion;

/* The sizes of all nodes. The objects' heads have been restored. Nothing has run since, nor does it
 * now: of what is called, BytesIO's method on 3.11 makes objects that the collector tracks. */
static bool
question_size_all(HeapQuestion *question)
{
    Nodes *nodes = &question->search.graph.nodes;
    question->bytes = PyMem_RawMalloc((nodes->count + 1) * sizeof(size_t));
    question->type_of = PyMem_RawMalloc((nodes->count + 1) * sizeof(uint32_t));
    if (question->bytes == NULL || question->type_of == NULL) {
        return false;
    }
    graph_say(&question->search.graph, ": how large they are");
    int was_enabled = collector_pause();
    for (size_t i = 0; i < nodes->count && !question->sizes.failed; i++) {
        uint32_t type = sizes_type(&question->sizes, Py_TYPE(nodes->at[i].object));
        if (type != NONE) {
            question->type_of[i] = type;
            question->bytes[i] = sizes_bytes(&question->sizes, &question->sizes.types[type],
                                             nodes->at[i].object);
        }
    }
    collector_resume(was_enabled);
    return !question->sizes.failed;
}

/* As search_start_from_unseen(), of everything that is held from elsewhere, for whatever reason. */
static void
question_start_from_held(ChainSearch *search)
{
    for (size_t i = 0; i < search->graph.nodes.count; i++) {
        if (search->graph.nodes.at[i].outside > 0) {
            search_start_from(search, (uint32_t)i);
        }
    }
}

/* The caller's own frames are roots as others are, but of no interest. */
static void
question_start_from_own(ChainSearch *search)
{
    for (uint32_t i = 0; i < search->graph.nodes.count; i++) {
        if (search->marks[i] & EXCLUDED) {
            search->marks[i] = OWN;
            search_start_from(search, i);
        }
    }
}

static void
retained_all(void *arg)
{
    HeapQuestion *question = arg;
    ChainSearch *search = &question->search;
    bool made = search_prepare(search);
    nodes_forget(&search->graph.nodes);
    if (!made || !question_size_all(question)) {
        search->graph.nodes.failed = true;
        return;
    }
    search->marks[search->target] |= EXCLUDED;
    question_start_from_held(search);
    (void)search_from_starts(search, NONE, PY_SSIZE_T_MAX);
    search->queue[0] = search->target;
    (void)search_go(search, 1, NONE, PY_SSIZE_T_MAX);
    question->retained_count = search->queued;
    for (size_t i = 0; i < search->queued; i++) {
        question->retained += question->bytes[search->queue[i]];
    }
}

/* What each object retains, and each type: the objects of one type inside another are counted
 * once. Goes through the dominator tree, whose numbers are less than those of what is below. */
static bool
question_retain(HeapQuestion *question)
{
    Dominators *tree = &question->tree;
    size_t count = tree->count;
    uint32_t *first = PyMem_RawMalloc(count * sizeof(uint32_t));
    uint32_t *next = PyMem_RawMalloc(count * sizeof(uint32_t));
    question->retained_by = PyMem_RawCalloc(count, sizeof(size_t));
    question->retained_objects = PyMem_RawCalloc(count, sizeof(uint32_t));
    bool made = first != NULL && next != NULL && question->retained_by != NULL
                && question->retained_objects != NULL;
    if (made) {
        memset(first, 0xff, count * sizeof(uint32_t));
        for (uint32_t i = (uint32_t)count; i-- > 1;) {
            uint32_t above = tree->dominators[i];
            question->retained_by[i] += question->bytes[tree->order[i]];
            question->retained_objects[i]++;
            question->retained_by[above] += question->retained_by[i];
            question->retained_objects[above] += question->retained_objects[i];
            next[i] = first[above];
            first[above] = i;
        }
        for (uint32_t at = first[0]; at != NONE && at != 0;) {
            SizedType *sized = &question->sizes.types[question->type_of[tree->order[at]]];
            sized->retained += sized->open++ == 0 ? question->retained_by[at] : 0;
            if (first[at] != NONE) {
                at = first[at];
                continue;
            }
            while (at != 0) {
                question->sizes.types[question->type_of[tree->order[at]]].open--;
                if (next[at] != NONE) {
                    at = next[at];
                    break;
                }
                at = tree->dominators[at];
            }
        }
    }
    PyMem_RawFree(first);
    PyMem_RawFree(next);
    return made;
}

/* Puts an object among those that retain most, a heap with the least of them first. */
static void
question_put_top(HeapQuestion *question, TopObject object)
{
    TopObject *top = question->top;
    size_t at = question->top_count;
    if (at < question->top_room) {
        question->top_count++;
        for (; at > 0 && top[(at - 1) / 2].retained > object.retained; at = (at - 1) / 2) {
            top[at] = top[(at - 1) / 2];
        }
    }
    else {
        at = 0;
        for (size_t child = 1; child < question->top_count; child = 2 * at + 1) {
            child += child + 1 < question->top_count
                     && top[child + 1].retained < top[child].retained;
            if (top[child].retained >= object.retained) {
                break;
            }
            top[at] = top[child];
            at = child;
        }
    }
    top[at] = object;
}

/* For qsort(): what retains more comes first; of the same, what dominates. */
static int
top_compare(void const *a, void const *b)
{
    TopObject const *one = a, *other = b;
    return one->retained != other->retained ? (one->retained < other->retained ? 1 : -1)
                                            : (one->number < other->number ? -1 : 1);
}

/* Finds the objects that retain most. Dicts of attributes stand aside for whose they are. */
static void
question_find_top(HeapQuestion *question)
{
    Dominators *tree = &question->tree;
    Node *nodes = question->search.graph.nodes.at;
    for (uint32_t i = 1; i < tree->count && question->top_room > 0; i++) {
        size_t retained = question->retained_by[i];
        uint32_t above = tree->dominators[i];
        uint8_t *marks = &question->search.marks[tree->order[i]];
        if (above != 0) {  /* what the caller's own frames dominate is the caller's own */
            *marks |= question->search.marks[tree->order[above]] & OWN;
        }
        if (question->top_count == question->top_room
            && retained <= question->top[0].retained) {
            continue;
        }
        PyObject *object = nodes[tree->order[i]].object;
        if ((*marks & OWN)
            || (above != 0 && is_namespace(object, nodes[tree->order[above]].object))) {
            continue;
        }
        question_put_top(question, (TopObject){
            .object = object,
            .number = i,
            .bytes = question->bytes[tree->order[i]],
            .retained = retained,
            .retained_count = question->retained_objects[i],
            .dominator = -1,
        });
    }
    qsort(question->top, question->top_count, sizeof(TopObject), top_compare);
    uint32_t *places = question->retained_objects;  /* not needed any more */
    memset(places, 0xff, tree->count * sizeof(uint32_t));
    for (size_t i = 0; i < question->top_count; i++) {
        places[question->top[i].number] = (uint32_t)i;
    }
    for (size_t i = 0; i < question->top_count; i++) {
        uint32_t above = tree->dominators[question->top[i].number];
        while (above != 0 && places[above] == NONE) {
            above = tree->dominators[above];
        }
        question->top[i].dominator = above == 0 ? -1 : (Py_ssize_t)places[above];
    }
}

/* Holds what the answer names: the objects, and how the roots lead to them. */
static void
question_hold_top(HeapQuestion *question)
{
    ChainSearch *search = &question->search;
    for (size_t i = 0; i < question->top_count; i++) {
        TopObject *top = &question->top[i];
        uint32_t node = question->tree.order[top->number];
        Py_INCREF(top->object);
        if (search->parents[node] != NONE) {
            Chain chain = search_chain(search, node, search_length(search, node), FROM_ROOTS);
            top->chain = chain.objects;
            top->chain_length = chain.objects == NULL ? 0 : chain.length;
        }
    }
}

static void
heap_all(void *arg)
{
    HeapQuestion *question = arg;
    ChainSearch *search = &question->search;
    Graph *graph = &search->graph;
    bool made = search_prepare(search);
    nodes_forget(&graph->nodes);
    graph->nodes.failed = true;  /* until all is there */
    if (!made || !question_size_all(question)) {
        return;
    }
    (void)search_from_starts(search, NONE, search->question->depth);
    question_start_from_held(search);
    question_start_from_own(search);
    graph_say(graph, ": what keeps which");
    if (dominators_make(&question->tree, graph, search->starts, search->start_count)
        && question_retain(question)) {
        for (size_t i = 0; i < graph->nodes.count; i++) {
            question->all_bytes += question->bytes[i];
            if (question->tree.numbers[i] == NONE) {
                question->garbage_count++;
                question->garbage_bytes += question->bytes[i];
            }
            else {
                SizedType *sized = &question->sizes.types[question->type_of[i]];
                sized->count++;
                sized->own += question->bytes[i];
            }
        }
        question_find_top(question);
        graph->nodes.failed = false;
        question_hold_top(question);
    }
}

static void
question_free(HeapQuestion *question)
{
    for (size_t i = 0; i < question->top_count; i++) {
        TopObject *top = &question->top[i];
        for (Py_ssize_t j = 0; j < top->chain_length; j++) {
            Py_DECREF(top->chain[j]);
        }
        PyMem_RawFree(top->chain);
        Py_DECREF(top->object);
    }
    PyMem_RawFree(question->top);
    PyMem_RawFree(question->bytes);
    PyMem_RawFree(question->type_of);
    PyMem_RawFree(question->retained_by);
    PyMem_RawFree(question->retained_objects);
    dominators_free(&question->tree);
    search_free(&question->search);
    sizes_free(&question->sizes);
}

/* Has `question`, to be freed in any case, ready; -1 with an exception set on failure. */
static int
question_init(HeapQuestion *question, Question const *asked, PyObject *target, bool progress)
{
    if (sizes_init(&question->sizes) < 0
        || search_init(&question->search, asked, target, progress) < 0) {
        return -1;
    }
    question->search.graph.extent = EVERYTHING;
    return 0;
}

/* retained_sizes(held, progress): see the Python twin, _heap.py. */
static PyObject *
retained_sizes(PyObject *module, PyObject *args)
{
    PyObject *held;
    int progress;
    if (!PyArg_ParseTuple(args, "O!p:retained_sizes", &PyList_Type, &held, &progress)) {
        return NULL;
    }
    if (PyList_GET_SIZE(held) != 1) {
        PyErr_SetString(PyExc_ValueError, "retained_sizes() takes a list of one object");
        return NULL;
    }
    PyObject *none = PyList_New(0), *result = NULL;
    Question asked = {state_of_module(module), args, held, none, none, none, none, Py_None,
                      .depth = PY_SSIZE_T_MAX};
    HeapQuestion question = {0};
    PyObject *target = PyList_GET_ITEM(held, 0);
    if (none != NULL && question_init(&question, &asked, target, progress) == 0) {
        while_nothing_runs(retained_all, &question);
        result = question.search.graph.nodes.failed
                     ? PyErr_NoMemory()
                     : Py_BuildValue("(nn)", (Py_ssize_t)question.retained,
                                     (Py_ssize_t)question.retained_count);
    }
    question_free(&question);
    Py_XDECREF(none);
    return result;
}

static PyObject *
question_classes(HeapQuestion *question)
{
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < question->sizes.type_count; i++) {
        SizedType *sized = &question->sizes.types[i];
        PyObject *item = sized->count == 0
            ? NULL
            : Py_BuildValue("(Onnn)", sized->type, sized->count, (Py_ssize_t)sized->own,
                            (Py_ssize_t)sized->retained);
        if (sized->count > 0 && (item == NULL || PyList_Append(list, item) < 0)) {
            Py_CLEAR(list);
        }
        Py_XDECREF(item);
    }
    return list;
}

static PyObject *
question_top(HeapQuestion *question)
{
    PyObject *list = PyList_New((Py_ssize_t)question->top_count);
    for (size_t i = 0; list != NULL && i < question->top_count; i++) {
        TopObject *top = &question->top[i];
        Chain chain = {.objects = top->chain, .length = top->chain_length};
        PyObject *item = Py_BuildValue("(OnnnnN)", top->object, (Py_ssize_t)top->bytes,
                                       (Py_ssize_t)top->retained,
                                       (Py_ssize_t)top->retained_count, top->dominator,
                                       chain_as_list(&chain));
        if (item == NULL) {
            Py_CLEAR(list);
        }
        else {
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
        }
    }
    return list;
}

/* heap_sizes(top, depth, roots, soft, own, progress): see the Python twin, _heap.py. */
static PyObject *
heap_sizes(PyObject *module, PyObject *args)
{
    Question asked = {.state = state_of_module(module), .args = args, .caller = Py_None};
    HeapQuestion question = {0};
    Py_ssize_t top;
    int progress;
    if (!PyArg_ParseTuple(args, "nnO!O!O!p:heap_sizes", &top, &asked.depth, &PyList_Type,
                          &asked.roots, &PyList_Type, &asked.soft, &PyList_Type, &asked.own,
                          &progress)) {
        return NULL;
    }
    if (top < 0 || top > UINT16_MAX) {
        return PyErr_Format(PyExc_ValueError, "the number of top objects must be from 0 to %d, "
                                              "not %zd", UINT16_MAX, top);
    }
    PyObject *result = NULL, *none = PyList_New(0);
    asked.held = asked.late = none;
    question.top_room = (size_t)top;
    question.top = PyMem_RawMalloc((size_t)(top + 1) * sizeof(TopObject));
    if (none == NULL || question.top == NULL) {
        PyErr_NoMemory();
    }
    else if (question_init(&question, &asked, NULL, progress) == 0) {
        while_nothing_runs(heap_all, &question);
        Graph *graph = &question.search.graph;
        result = graph->nodes.failed
                     ? PyErr_NoMemory()
                     : Py_BuildValue("((nnnn)NNN)",
                                     (Py_ssize_t)graph->nodes.count,
                                     (Py_ssize_t)question.all_bytes,
                                     (Py_ssize_t)question.garbage_count,
                                     (Py_ssize_t)question.garbage_bytes,
                                     question_classes(&question), question_top(&question),
                                     graph_costs(graph, MEASURE_BYTES));
    }
    question_free(&question);
    Py_XDECREF(none);
    return result;
}

#endif
