/* The module's hook with the collector, on the versions that need one.
 *
 * A finalizer that the collector calls can put objects of the garbage into a table. From
 * 3.14.3 on the collector then clears the new reference and calls nobody, so the table
 * counts an entry that is dead. Therefore a table into which something is inserted during a
 * collection is suspect, and is searched for dead entries when its length is asked for; all
 * other tables have nothing to do.
 *
 * To know whether a collection is running takes a function in gc.callbacks. Programs (and
 * tests) clear that list, so an insertion looks whether the hook is still there. */

#ifndef WEAKLY_COLLECTOR_H
#define WEAKLY_COLLECTOR_H

#include "state.h"

#if COLLECTOR_SKIPS_CALLBACKS

static PyObject *
collector_hook(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs > 0 && PyUnicode_Check(args[0])) {
        SHARED_STORE_INT(&state_of_module(module)->collecting,
                         PyUnicode_CompareWithASCIIString(args[0], "start") == 0);
    }
    Py_RETURN_NONE;
}

static PyMethodDef collector_hook_method = {
    "weakly_collector_hook", (PyCFunction)(void (*)(void))collector_hook, METH_FASTCALL,
    "Notes that the garbage collector starts or stops.",
};

static int
collector_init(State *state, PyObject *module)
{
    PyObject *gc = PyImport_ImportModule("gc");
    if (gc == NULL) {
        return -1;
    }
    state->gc_callbacks = PyObject_GetAttrString(gc, "callbacks");
    Py_DECREF(gc);
    state->gc_hook = PyCFunction_New(&collector_hook_method, module);
    if (state->gc_callbacks == NULL || state->gc_hook == NULL) {
        return -1;
    }
    if (!PyList_CheckExact(state->gc_callbacks)) {
        PyErr_SetString(PyExc_TypeError, "gc.callbacks is not a list");
        return -1;
    }
    state->gc_hook_position = PyList_GET_SIZE(state->gc_callbacks);
    return PyList_Append(state->gc_callbacks, state->gc_hook);
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
        SHARED_STORE_INT(&state->collecting, 1);
    }
    SHARED_ADD(&state->gc_hook_position, position - SHARED_COUNT(&state->gc_hook_position));
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

static inline bool
is_collecting(State *state)
{
    return SHARED_LOAD_INT(&state->collecting);
}

#else

static inline bool
is_collecting(State *Py_UNUSED(state))
{
    return false;
}

static inline int
collector_init(State *Py_UNUSED(state), PyObject *Py_UNUSED(module))
{
    return 0;
}

static inline int
collector_arm(State *Py_UNUSED(state))
{
    return 0;
}

#endif
#endif
