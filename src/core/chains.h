/* find_chains(): how an object is kept alive. The search of `weakly.why_alive`.
 *
 * A chain leads from a root to the target, each object referring to the next. In the graph of the
 * heap (graph.h) the shortest is found breadth first. One reference of it is its cut, the one
 * that a person would suspect; the next chain is the shortest that uses no cut of those before,
 * and so on. When there is none any more, the target would go with these references.
 *
 * Roots are asked in three steps, each with those before it. First what the caller names. Then
 * what holds everything that somebody looks at: the caller's own variable, test runners. Last
 * what is held where nobody can look: objects with more references than were met, as C code
 * holds them, or a running function as a temporary value.
 *
 * The lists that the caller hands over hold the target or lead to it, too. They are in no chain. */

#ifndef WEAKLY_CHAINS_H
#define WEAKLY_CHAINS_H

#include "graph.h"
#include "state.h"

enum { FROM_ROOTS, FROM_LATE, FROM_UNSEEN, STEPS };

enum { EXCLUDED = 1, START = 2, AFTER_CUT = 4, SEEN = 8, OWN = 16, SOFT = 32 };  /* marks */
/* What a search has for an object beside the graph: its place in the list of all, 3 arrays of
 * numbers, the marks. */
enum { SEARCH_BYTES = sizeof(void *) + 3 * sizeof(uint32_t) + 1 };

enum { CALLER_CUTS = 8 };  /* a function with more variables that are the target has more chains */

typedef struct {
    State *state;
    PyObject *args;             /* of the call, which has the lists */
    PyObject *held, *roots, *soft, *late, *own;  /* lists */
    PyObject *caller;           /* a frame, or None */
    PyObject *collections, *fixed;  /* tuples of types */
    Py_ssize_t wanted, depth;
} Question;

typedef struct {
    PyObject **objects;         /* owned */
    Py_ssize_t length, cut;
    int step;
} Chain;

typedef struct {
    Question const *question;
    Graph graph;
    PyObject *frames, *objects; /* lists, see graph.h */
    uint32_t target;
    uint8_t *marks;             /* of each node */
    uint32_t *starts;
    size_t start_count;
    uint32_t *parents;          /* of each node in the tree of the search, or NONE */
    uint32_t *queue;
    size_t queued;
    uint32_t (*cuts)[2];        /* first those of the caller's variables */
    size_t cut_count, caller_cuts;
    Chain *chains;
    Py_ssize_t count;
    Chain cycle;
} ChainSearch;

static void
search_mark(ChainSearch *search, PyObject *object, uint8_t mark)
{
    uint32_t number = graph_find(&search->graph, object);
    if (number != NONE) {
        search->marks[number] |= mark;
    }
}

/* Puts an object that nothing excludes among those that a search starts from. */
static void
search_start_from(ChainSearch *search, uint32_t number)
{
    if (number != NONE && !(search->marks[number] & (EXCLUDED | START))) {
        search->marks[number] |= START;
        search->starts[search->start_count++] = number;
    }
}

static void
search_start_from_all(ChainSearch *search, PyObject *roots)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(roots); i++) {
        search_start_from(search, graph_find(&search->graph, PyList_GET_ITEM(roots, i)));
    }
}

static bool
search_is_cut(ChainSearch *search, uint32_t from, uint32_t to)
{
    for (size_t i = 0; i < search->cut_count; i++) {
        if (search->cuts[i][0] == from && search->cuts[i][1] == to) {
            return true;
        }
    }
    return false;
}

/* Goes breadth first from what is in the queue to the target, not further than `depth`; says
 * whether it got there. What it has come to has a parent, and is in the queue. */
static bool
search_go(ChainSearch *search, size_t queued, uint32_t target, Py_ssize_t depth)
{
    size_t level_end = queued;
    for (size_t i = 0; i < queued; i++) {
        if (i == level_end) {
            level_end = queued;
            depth--;
        }
        if (depth <= 0) {
            return false;
        }
        uint32_t from = search->queue[i];
        FOR_EDGES(&search->graph, from, to) {
            if (search->parents[to] != NONE || (search->marks[to] & EXCLUDED)
                || ((search->marks[to] & AFTER_CUT) && search_is_cut(search, from, to))) {
                continue;
            }
            search->parents[to] = from;
            if (to == target) {
                return true;
            }
            search->queue[queued++] = to;
        }
    }
    search->queued = queued;
    return false;
}

static bool
search_from_starts(ChainSearch *search, uint32_t target, Py_ssize_t depth)
{
    memset(search->parents, 0xff, search->graph.nodes.count * sizeof(uint32_t));
    size_t queued = 0;
    for (size_t i = 0; i < search->start_count; i++) {
        uint32_t start = search->starts[i];
        if (!(search->marks[start] & EXCLUDED)) {
            search->queue[queued++] = start;
            search->parents[start] = start;
        }
    }
    return (target != NONE && search->parents[target] == target)
           || search_go(search, queued, target, depth);
}

static bool
are_types(PyObject *tuple)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
        if (!PyType_Check(PyTuple_GET_ITEM(tuple, i))) {
            return false;
        }
    }
    return true;
}

/* Is an object an instance of one of the types? */
static bool
is_one_of(PyObject *object, PyObject *types)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(types); i++) {
        if (PyType_IsSubtype(Py_TYPE(object), (PyTypeObject *)PyTuple_GET_ITEM(types, i))) {
            return true;
        }
    }
    return false;
}

/* Is an object the dict of the attributes or variables of who refers to it? */
static bool
is_namespace(PyObject *object, PyObject *holder)
{
    if (!PyDict_CheckExact(object)) {
        return false;
    }
    if (PyFrame_Check(holder)) {
        return true;
    }
    return is_dict_of(object, holder)
           || (PyFunction_Check(holder)
               && (PyFunction_GET_GLOBALS(holder) == object
                   || ((PyFunctionObject *)holder)->func_builtins == object));
}

/* Which reference of a chain to suspect: the last out of a collection; else the last out of
 * something that can be changed; else the last. */
static Py_ssize_t
chain_cut(Chain *chain, Question const *question)
{
    PyObject **objects = chain->objects;
    for (Py_ssize_t i = chain->length - 2; i >= 0; i--) {
        if (is_one_of(objects[i], question->collections)
            && !(i > 0 && is_namespace(objects[i], objects[i - 1]))) {
            return i;
        }
    }
    for (Py_ssize_t i = chain->length - 2; i >= 0; i--) {
        if (!is_one_of(objects[i], question->fixed)) {
            return i;
        }
    }
    return chain->length - 2;
}

/* The way that a search came to an object, from one without another parent; holds the objects.
 * Without memory, it has no objects and the search has failed. */
static Chain
search_chain(ChainSearch *search, uint32_t to, Py_ssize_t length, int step)
{
    Chain chain = {.length = length, .step = step};
    chain.objects = PyMem_RawMalloc((size_t)length * sizeof(PyObject *));
    if (chain.objects == NULL) {
        search->graph.nodes.failed = true;
        return chain;
    }
    for (Py_ssize_t i = length - 1; i >= 0; i--) {
        chain.objects[i] = Py_NewRef(search->graph.nodes.at[to].object);
        to = search->parents[to];
    }
    return chain;
}

static Py_ssize_t
search_length(ChainSearch *search, uint32_t to)
{
    Py_ssize_t length = 1;
    for (; search->parents[to] != to; to = search->parents[to]) {
        length++;
    }
    return length;
}

static void
search_cut(ChainSearch *search, uint32_t from, uint32_t to)
{
    search->cuts[search->cut_count][0] = from;
    search->cuts[search->cut_count++][1] = to;
    search->marks[to] |= AFTER_CUT;
}

/* Adds to the starts what has references that were not met. */
static void
search_start_from_unseen(ChainSearch *search)
{
    for (size_t i = 0; i < search->graph.nodes.count; i++) {
        Node *node = &search->graph.nodes.at[i];
        if (node->outside > 0 && node->outside != INT32_MAX) {
            search_start_from(search, (uint32_t)i);
        }
    }
}

/* What is asked later comes in: those roots, and the caller's own variables. */
static void
search_take_late(ChainSearch *search)
{
    PyObject *late = search->question->late;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(late); i++) {
        uint32_t number = graph_find(&search->graph, PyList_GET_ITEM(late, i));
        if (number != NONE) {
            search->marks[number] &= (uint8_t)~EXCLUDED;
        }
    }
    search_start_from_all(search, late);
    search->cut_count -= search->caller_cuts;
    memmove(search->cuts, search->cuts + search->caller_cuts,
            search->cut_count * sizeof(*search->cuts));
}

/* A root needs no reference: it is one no more. */
static void
search_forget_start(ChainSearch *search, uint32_t number)
{
    for (size_t i = 0; i < search->start_count; i++) {
        if (search->starts[i] == number) {
            search->start_count--;
            memmove(search->starts + i, search->starts + i + 1,
                    (search->start_count - i) * sizeof(uint32_t));  /* they keep their order */
            return;
        }
    }
}

/* Do the roots lead to a soft one, other than through the target? Overwrites the parents. */
static bool
search_is_led_to(ChainSearch *search, uint32_t soft)
{
    uint8_t mark = search->marks[search->target];
    search->marks[search->target] |= EXCLUDED;
    size_t queued = 0;
    memset(search->parents, 0xff, search->graph.nodes.count * sizeof(uint32_t));
    for (size_t i = 0; i < search->start_count; i++) {
        uint32_t start = search->starts[i];
        if (!(search->marks[start] & (EXCLUDED | SOFT))) {
            search->queue[queued++] = start;
            search->parents[start] = start;
        }
    }
    bool is_led_to = search_go(search, queued, soft, PY_SSIZE_T_MAX);
    search->marks[search->target] = mark;
    return is_led_to;
}

/* Searches the next chain; a soft root that only cut references led to is one no more. */
static bool
search_next(ChainSearch *search)
{
    while (search_from_starts(search, search->target, search->question->depth)) {
        uint32_t root = search->target;
        while (search->parents[root] != root) {
            root = search->parents[root];
        }
        if (!(search->marks[root] & SOFT)) {
            return true;
        }
        if (search_is_led_to(search, root)) {
            return search_from_starts(search, search->target, search->question->depth);
        }
        search_forget_start(search, root);
        search->marks[root] &= (uint8_t)~(START | SOFT);  /* it may be a root for another reason */
    }
    return false;
}

static void
search_find_chains(ChainSearch *search)
{
    for (int step = FROM_ROOTS; step < STEPS; step++) {
        if (step == FROM_LATE) {
            search_take_late(search);
        }
        if (step == FROM_UNSEEN) {
            search_start_from_unseen(search);
        }
        while (search->count < search->question->wanted && search_next(search)) {
            Chain chain = search_chain(search, search->target,
                                       search_length(search, search->target), step);
            if (chain.objects == NULL) {
                return;
            }
            chain.cut = chain_cut(&chain, search->question);
            search->chains[search->count++] = chain;
            uint32_t to = search->target;
            for (Py_ssize_t i = chain.length - 2; i > chain.cut; i--) {
                to = search->parents[to];
            }
            if (chain.cut < 0) {
                search_forget_start(search, to);
            }
            else {
                search_cut(search, search->parents[to], to);
            }
        }
    }
}

/* A shortest way from the target to itself. */
static void
search_find_own_cycle(ChainSearch *search)
{
    memset(search->parents, 0xff, search->graph.nodes.count * sizeof(uint32_t));
    search->queue[0] = search->target;
    if (search_go(search, 1, search->target, PY_SSIZE_T_MAX)) {
        Py_ssize_t length = 2;
        for (uint32_t at = search->parents[search->target]; at != search->target;) {
            at = search->parents[at];
            length++;
        }
        search->cycle = search_chain(search, search->target, length, FROM_ROOTS);
    }
}

/* The way from another cycle to the target, that one's first object being there twice. Whatever
 * refers to it is referred to itself, as no root leads there: so going back ends in a cycle. */
static void
search_find_cycle_before(ChainSearch *search)
{
    Graph *graph = &search->graph;
    uint32_t *referrers = search->parents, at = search->target;
    memset(referrers, 0xff, graph->nodes.count * sizeof(uint32_t));
    for (uint32_t from = 0; from < graph->nodes.count; from++) {
        FOR_EDGES(graph, from, to) {
            if (referrers[to] == NONE && !(search->marks[from] & EXCLUDED)) {
                referrers[to] = from;
            }
        }
    }
    Py_ssize_t length = 1;
    for (; !(search->marks[at] & SEEN); at = referrers[at]) {
        search->marks[at] |= SEEN;
        if (referrers[at] == NONE) {
            return;
        }
        length++;
    }
    search->cycle = search_chain(search, search->target, length, FROM_ROOTS);
}

/* Roots only if the others lead to them: see search_next(). */
static void
search_start_from_soft(ChainSearch *search)
{
    PyObject *soft = search->question->soft;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(soft); i++) {
        uint32_t number = graph_find(&search->graph, PyList_GET_ITEM(soft, i));
        if (number != NONE && number != search->target
            && !(search->marks[number] & (EXCLUDED | START))) {
            search->marks[number] |= SOFT;
            search_start_from(search, number);
        }
    }
}

static bool
search_make_room(ChainSearch *search)
{
    size_t count = search->graph.nodes.count;
    size_t wanted = (size_t)search->question->wanted;
    search->marks = PyMem_RawCalloc(count + 1, 1);
    search->starts = PyMem_RawMalloc((count + 1) * sizeof(uint32_t));
    search->parents = PyMem_RawMalloc((count + 1) * sizeof(uint32_t));
    search->queue = PyMem_RawMalloc((count + 1) * sizeof(uint32_t));
    search->cuts = PyMem_RawMalloc((wanted + CALLER_CUTS) * sizeof(*search->cuts));
    search->chains = PyMem_RawMalloc((wanted + 1) * sizeof(Chain));
    return search->marks != NULL && search->starts != NULL && search->parents != NULL
           && search->queue != NULL && search->cuts != NULL && search->chains != NULL;
}

static void
search_exclude_all(ChainSearch *search, PyObject *objects)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(objects); i++) {
        search_mark(search, PyList_GET_ITEM(objects, i), EXCLUDED);
    }
}

/* What is in no chain, or not yet. */
static void
search_exclude(ChainSearch *search)
{
    Question const *question = search->question;
    PyObject *ours[] = {question->args, question->held, question->roots, question->soft,
                        question->late, question->own, search->frames};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(ours); i++) {
        search_mark(search, ours[i], EXCLUDED);
    }
    search_exclude_all(search, question->own);
    search_exclude_all(search, question->late);
}

/* The caller's variables that are the target, or the cell it is in, wait for the second step. */
static void
search_cut_caller(ChainSearch *search)
{
    PyObject *caller = search->question->caller;
    uint32_t from = caller == Py_None ? NONE : graph_find(&search->graph, caller);
    if (from == NONE) {
        return;
    }
    FOR_EDGES(&search->graph, from, to) {
        PyObject *object = search->graph.nodes.at[to].object;
        if ((to == search->target
             || (PyCell_Check(object) && PyCell_GET(object) == search->graph.target))
            && !search_is_cut(search, from, to) && search->caller_cuts < CALLER_CUTS) {
            search_cut(search, from, to);
            search->caller_cuts++;
        }
    }
}

/* Makes the graph and gets ready to search it, with nothing else running; the heads of the objects
 * are to be restored afterwards. Says whether there was memory for it. */
static bool
search_prepare(ChainSearch *search)
{
    Graph *graph = &search->graph;
    graph_add_frames(graph, search->frames);
    graph_add_objects(graph, search->objects);
    search->target = graph->target == NULL ? NONE : graph_number(graph, graph->target);
    graph_enter_all(graph);
    if (graph->nodes.failed || !search_make_room(search)) {
        graph->nodes.failed = true;
        return false;
    }
    search_exclude(search);
    search_start_from_all(search, search->question->roots);
    search_start_from_all(search, search->frames);
    search_start_from_soft(search);
    search_cut_caller(search);
    if (search->target != NONE) {  /* a chain may end where none may begin or pass through */
        search->marks[search->target] &= (uint8_t)~EXCLUDED;
    }
    return true;
}

static void
search_all(void *arg)
{
    ChainSearch *search = arg;
    if (search_prepare(search)) {
        search_find_chains(search);
        if (search->count == 0 && search->question->wanted > 0
            && !search_from_starts(search, search->target, PY_SSIZE_T_MAX)) {
            search_find_own_cycle(search);
            if (search->cycle.objects == NULL) {
                search_find_cycle_before(search);
            }
        }
    }
    nodes_forget(&search->graph.nodes);
}

static PyObject *
chain_as_list(Chain *chain)
{
    PyObject *list = PyList_New(chain->objects == NULL ? 0 : chain->length);
    for (Py_ssize_t i = 0; list != NULL && i < PyList_GET_SIZE(list); i++) {
        PyList_SET_ITEM(list, i, Py_NewRef(chain->objects[i]));
    }
    return list;
}

static void
chain_free(Chain *chain)
{
    for (Py_ssize_t i = 0; chain->objects != NULL && i < chain->length; i++) {
        Py_DECREF(chain->objects[i]);
    }
    PyMem_RawFree(chain->objects);
}

/* Makes a search without a graph; on failure, too, it is to be freed. */
static int
search_init(ChainSearch *search, Question const *question, PyObject *target, bool progress)
{
    *search = (ChainSearch){
        .question = question,
        .graph = {.target = target, .progress = progress},
    };
    search->graph.began = monotonic_seconds();
    PyObject *running = running_frames(NULL, NULL);
    if (running == NULL) {
        return -1;
    }
    search->frames = Py_NewRef(PyTuple_GET_ITEM(running, 0));
    Py_DECREF(running);  /* before all objects are listed */
    search->objects = tracked_objects(question->state);
    return search->objects == NULL ? -1 : find_interned(search->objects, &search->graph.interned);
}

static void
search_free(ChainSearch *search)
{
    for (Py_ssize_t i = 0; i < search->count; i++) {
        chain_free(&search->chains[i]);
    }
    chain_free(&search->cycle);
    graph_free(&search->graph);
    PyMem_RawFree(search->marks);
    PyMem_RawFree(search->starts);
    PyMem_RawFree(search->parents);
    PyMem_RawFree(search->queue);
    PyMem_RawFree(search->cuts);
    PyMem_RawFree(search->chains);
    Py_XDECREF(search->frames);
    Py_XDECREF(search->objects);
}

/* (objects, references, bytes, seconds) of a graph, for the program to see. */
static PyObject *
graph_costs(Graph *graph, size_t more_for_each)
{
    size_t bytes = graph_memory(graph) + graph->nodes.count * more_for_each;
    return Py_BuildValue("(nnnd)", (Py_ssize_t)graph->nodes.count,
                         (Py_ssize_t)graph->edge_count, (Py_ssize_t)bytes,
                         monotonic_seconds() - graph->began);
}

static PyObject *
search_result(ChainSearch *search)
{
    if (search->graph.nodes.failed) {
        return PyErr_NoMemory();
    }
    PyObject *chains = PyList_New(search->count);
    for (Py_ssize_t i = 0; chains != NULL && i < search->count; i++) {
        Chain *chain = &search->chains[i];
        PyObject *item = Py_BuildValue("(iNn)", chain->step, chain_as_list(chain), chain->cut);
        if (item == NULL) {
            Py_CLEAR(chains);
        }
        else {
            PyList_SET_ITEM(chains, i, item);
        }
    }
    return chains == NULL ? NULL
                          : Py_BuildValue("(NNN)", chains, chain_as_list(&search->cycle),
                                          graph_costs(&search->graph, SEARCH_BYTES));
}

/* find_chains(held, count, depth, roots, soft, late, own, caller, collections, fixed, progress):
 * see the Python twin, _heap.py. */
static PyObject *
find_chains(PyObject *module, PyObject *args)
{
    Question question = {.state = state_of_module(module), .args = args};
    int progress;
    if (!PyArg_ParseTuple(args, "O!nnO!O!O!O!OO!O!p:find_chains", &PyList_Type, &question.held,
                          &question.wanted, &question.depth, &PyList_Type, &question.roots,
                          &PyList_Type, &question.soft, &PyList_Type, &question.late,
                          &PyList_Type, &question.own, &question.caller, &PyTuple_Type,
                          &question.collections, &PyTuple_Type, &question.fixed, &progress)) {
        return NULL;
    }
    if (PyList_GET_SIZE(question.held) != 1 || question.wanted < 0
        || question.wanted > UINT16_MAX || !are_types(question.collections)
        || !are_types(question.fixed)) {
        PyErr_SetString(PyExc_ValueError, "find_chains() takes one target, a number of chains, "
                                          "lists of roots and tuples of types");
        return NULL;
    }
    PyObject *target = PyList_GET_ITEM(question.held, 0), *result = NULL;
    ChainSearch search;
    if (search_init(&search, &question, target, progress) == 0) {
        search.graph.extent = gc_is_tracked(target) ? TRACKED : HOLDERS;
        while_nothing_runs(search_all, &search);
        result = search_result(&search);
    }
    search_free(&search);
    return result;
}

#endif
