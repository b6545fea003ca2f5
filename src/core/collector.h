/* The module's hook with the collector: a function of ours in gc.callbacks. It is there for
 * two reasons.
 *
 * Ephemerons (ephemeron.h): before a full collection, the entries of ephemeral tables whose
 * keys only live by such entries are dropped.
 *
 * Skipped callbacks, in some versions (compat.h): a finalizer that the collector calls can put
 * objects of the garbage into a table. The collector then clears the new reference and calls
 * nobody, so that the table counts an entry that is dead. Therefore a table into which
 * something is inserted during a collection is suspect, and is searched for dead entries when
 * its length is asked for; all other tables have nothing to do. A queue of deaths that is suspect
 * is searched when the collection has ended, as somebody may be waiting for it.
 *
 * Programs (and tests) clear gc.callbacks, so an insertion that needs the hook looks whether it
 * is still there. */

#ifndef WEAKLY_COLLECTOR_H
#define WEAKLY_COLLECTOR_H

#include "state.h"

/* The hook's own memory is all that it touches: it may outlive the module in that list, and
 * holds the module no more than the module is held by what it holds. */
typedef struct Hook {
    State *state;               /* borrowed; NULL once the module is gone */
    int collecting;             /* between the collector's start and stop */
    Py_ssize_t thread;          /* if so, the thread that collects; 0 if not known */
    Py_ssize_t started;         /* how many collections have been seen to start */
} Hook;

#define HOOK_CAPSULE "weakly._core.hook"

static void ephemerons_before_collection(State *state, long generation);  /* ephemeron.h */
static void queues_after_collection(State *state);  /* refqueue.h */

static void
hook_free(PyObject *capsule)
{
    PyMem_Free(PyCapsule_GetPointer(capsule, HOOK_CAPSULE));
}

/* hook(phase, info) */
static PyObject *
hook_call(PyObject *capsule, PyObject *const *args, Py_ssize_t nargs)
{
    Hook *hook = PyCapsule_GetPointer(capsule, HOOK_CAPSULE);
    if (nargs == 0 || !PyUnicode_Check(args[0])) {
        Py_RETURN_NONE;
    }
    bool starts = PyUnicode_CompareWithASCIIString(args[0], "start") == 0;
    SHARED_STORE_INT(&hook->collecting, starts);
    if (starts) {
        SHARED_STORE(&hook->thread, (Py_ssize_t)PyThread_get_thread_ident());
        SHARED_ADD(&hook->started, 1);
    }
    if (!starts && hook->state != NULL) {
        queues_after_collection(hook->state);
    }
    if (starts && hook->state != NULL && nargs > 1
        && (SHARED_LOAD(&hook->state->newest_ephemeral) != NULL
            || SHARED_LOAD(&hook->state->newest_cache) != NULL)
        && PyDict_Check(args[1])) {
        PyObject *generation = PyDict_GetItemString(args[1], "generation");
        long number = generation == NULL ? -1 : PyLong_AsLong(generation);
        if (number == -1) {
            PyErr_Clear();  /* somebody else's call */
        }
        else {
            ephemerons_before_collection(hook->state, number);
        }
    }
    Py_RETURN_NONE;
}

static PyMethodDef hook_method = {
    "weakly_collector_hook", FUNCTION(hook_call), METH_FASTCALL,
    "Hears that the garbage collector starts or stops.",
};

static inline bool
hook_is_at(State *state, Py_ssize_t position)
{
#ifdef Py_GIL_DISABLED
    PyObject *there = PyList_GetItemRef(state->gc_callbacks, position);
    if (there == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(there);  /* only its address counts */
    return there == state->gc_hook;
#else
    return position < PyList_GET_SIZE(state->gc_callbacks)
           && PyList_GET_ITEM(state->gc_callbacks, position) == state->gc_hook;
#endif
}

static NOINLINE int
collector_arm_again(State *state)
{
    Py_ssize_t position = 0, size = PyList_GET_SIZE(state->gc_callbacks);
    while (position < size && !hook_is_at(state, position)) {
        position++;
    }
    if (position == size) {
        if (PyList_Append(state->gc_callbacks, state->gc_hook) < 0) {
            return -1;
        }
        /* One may be running, for all we know: until the next is over, all is suspect. */
        SHARED_STORE_INT(&state->hook->collecting, 1);
        SHARED_STORE(&state->hook->thread, 0);
    }
    SHARED_STORE(&state->gc_hook_position, position);
    return 0;
}

/* Makes sure that the hook is in place; to be called before an insertion. Fails only for want
 * of memory. */
static inline int
collector_arm(State *state)
{
    return LIKELY(hook_is_at(state, SHARED_COUNT(&state->gc_hook_position)))
               ? 0 : collector_arm_again(state);
}

/* Is a collection running in which callbacks may be skipped? */
static inline bool
is_collecting(State *state)
{
    return COLLECTOR_SKIPS_CALLBACKS && SHARED_LOAD_INT(&state->hook->collecting);
}

static int
collector_init(State *state)
{
    PyObject *gc = PyImport_ImportModule("gc");
    if (gc == NULL || inline_dicts_init() < 0) {
        Py_XDECREF(gc);
        return -1;
    }
    state->gc_callbacks = PyObject_GetAttrString(gc, "callbacks");
    state->get_objects = PyObject_GetAttrString(gc, "get_objects");
    Py_DECREF(gc);
    if (state->gc_callbacks == NULL || state->get_objects == NULL) {
        return -1;
    }
    if (!PyList_CheckExact(state->gc_callbacks)) {
        PyErr_SetString(PyExc_TypeError, "gc.callbacks is not a list");
        return -1;
    }
    state->hook = PyMem_Calloc(1, sizeof(Hook));
    if (state->hook == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    PyObject *capsule = PyCapsule_New(state->hook, HOOK_CAPSULE, hook_free);
    if (capsule == NULL) {
        PyMem_Free(state->hook);
        return -1;
    }
    state->gc_hook = PyCFunction_New(&hook_method, capsule);
    Py_DECREF(capsule);
    if (state->gc_hook == NULL) {
        return -1;
    }
    state->hook->state = state;
    state->gc_hook_position = PyList_GET_SIZE(state->gc_callbacks);
    return COLLECTOR_SKIPS_CALLBACKS ? PyList_Append(state->gc_callbacks, state->gc_hook) : 0;
}

/* Takes the hook out again. */
static void
collector_free(State *state)
{
    if (state->gc_callbacks != NULL && state->gc_hook != NULL) {
        state->hook->state = NULL;
        for (Py_ssize_t i = PyList_GET_SIZE(state->gc_callbacks); i-- > 0;) {
            if (hook_is_at(state, i)) {
                PyList_SetSlice(state->gc_callbacks, i, i + 1, NULL);
            }
        }
    }
    Py_CLEAR(state->gc_callbacks);
    Py_CLEAR(state->get_objects);
    Py_CLEAR(state->gc_hook);
}

/* collections() -> (how many were seen to start, whether one may be running in this thread) */
static PyObject *
collections(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    State *state = state_of_module(module);
    if (collector_arm(state) < 0) {
        return NULL;
    }
    Hook *hook = state->hook;
    Py_ssize_t thread = SHARED_COUNT(&hook->thread);
    bool here = SHARED_LOAD_INT(&hook->collecting)
                && (thread == 0 || thread == (Py_ssize_t)PyThread_get_thread_ident());
    return Py_BuildValue("(nO)", SHARED_COUNT(&hook->started), here ? Py_True : Py_False);
}

#endif
