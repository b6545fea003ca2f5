/* The module's hook with the collector, on the versions that need one.
 *
 * A finalizer that the collector calls can put objects of the garbage into a table. The
 * collector then clears the new reference and, in some versions (compat.h), calls nobody, so
 * that the table counts an entry that is dead. Therefore a table into which something is inserted during a
 * collection is suspect, and is searched for dead entries when its length is asked for; all
 * other tables have nothing to do.
 *
 * To know whether a collection is running takes a function in gc.callbacks. Programs (and
 * tests) clear that list, so an insertion looks whether the hook is still there. */

#ifndef WEAKLY_COLLECTOR_H
#define WEAKLY_COLLECTOR_H

#include "state.h"

#if COLLECTOR_SKIPS_CALLBACKS

/* The hook's own memory is all that it touches: it may outlive the module in that list, and
 * holds the module no more than the module is held by what it holds. */
#define COLLECTING_CAPSULE "weakly._core.collecting"

static void
collecting_free(PyObject *capsule)
{
    PyMem_Free(PyCapsule_GetPointer(capsule, COLLECTING_CAPSULE));
}

static PyObject *
collector_hook(PyObject *capsule, PyObject *const *args, Py_ssize_t nargs)
{
    int *collecting = PyCapsule_GetPointer(capsule, COLLECTING_CAPSULE);
    if (nargs > 0 && PyUnicode_Check(args[0])) {
        SHARED_STORE_INT(collecting, PyUnicode_CompareWithASCIIString(args[0], "start") == 0);
    }
    Py_RETURN_NONE;
}

static PyMethodDef collector_hook_method = {
    "weakly_collector_hook", FUNCTION(collector_hook), METH_FASTCALL,
    "Notes that the garbage collector starts or stops.",
};

static int
collector_init(State *state)
{
    PyObject *gc = PyImport_ImportModule("gc");
    if (gc == NULL) {
        return -1;
    }
    state->gc_callbacks = PyObject_GetAttrString(gc, "callbacks");
    Py_DECREF(gc);
    if (state->gc_callbacks == NULL) {
        return -1;
    }
    if (!PyList_CheckExact(state->gc_callbacks)) {
        PyErr_SetString(PyExc_TypeError, "gc.callbacks is not a list");
        return -1;
    }
    state->collecting = PyMem_Calloc(1, sizeof(int));
    if (state->collecting == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    PyObject *capsule = PyCapsule_New(state->collecting, COLLECTING_CAPSULE, collecting_free);
    if (capsule == NULL) {
        PyMem_Free(state->collecting);
        return -1;
    }
    state->gc_hook = PyCFunction_New(&collector_hook_method, capsule);
    Py_DECREF(capsule);
    state->gc_hook_position = PyList_GET_SIZE(state->gc_callbacks);
    return state->gc_hook == NULL ? -1 : PyList_Append(state->gc_callbacks, state->gc_hook);
}

static inline bool
collector_hook_is_at(State *state, Py_ssize_t position)
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
    while (position < size && !collector_hook_is_at(state, position)) {
        position++;
    }
    if (position == size) {
        if (PyList_Append(state->gc_callbacks, state->gc_hook) < 0) {
            return -1;
        }
        /* One may be running, for all we know: until the next is over, all is suspect. */
        SHARED_STORE_INT(state->collecting, 1);
    }
    SHARED_STORE(&state->gc_hook_position, position);
    return 0;
}

/* Makes sure that the hook is in place; to be called before an insertion. Fails only for want
 * of memory. */
static inline int
collector_arm(State *state)
{
    return LIKELY(collector_hook_is_at(state, SHARED_COUNT(&state->gc_hook_position)))
               ? 0 : collector_arm_again(state);
}

/* Takes the hook out again. */
static void
collector_free(State *state)
{
    if (state->gc_callbacks != NULL && state->gc_hook != NULL) {
        for (Py_ssize_t i = PyList_GET_SIZE(state->gc_callbacks); i-- > 0;) {
            if (collector_hook_is_at(state, i)) {
                PyList_SetSlice(state->gc_callbacks, i, i + 1, NULL);
            }
        }
    }
    Py_CLEAR(state->gc_callbacks);
    Py_CLEAR(state->gc_hook);
}

static inline bool
is_collecting(State *state)
{
    return SHARED_LOAD_INT(state->collecting);
}

#else

static inline bool
is_collecting(State *Py_UNUSED(state))
{
    return false;
}

static inline int
collector_init(State *Py_UNUSED(state))
{
    return 0;
}

static inline void
collector_free(State *Py_UNUSED(state))
{
}

static inline int
collector_arm(State *Py_UNUSED(state))
{
    return 0;
}

#endif
#endif
