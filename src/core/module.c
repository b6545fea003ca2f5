/* weakly._core: the C core. One idea a header, one translation unit. */

#include "compat.h"

#include "state.h"

#include "attribute.h"
#include "cache.h"
#include "cachedmember.h"
#include "cachetable.h"
#include "cachetype.h"
#include "chains.h"
#include "collector.h"
#include "container.h"
#include "decorated.h"
#include "dominators.h"
#include "entry.h"
#include "ephemeron.h"
#include "finalize.h"
#include "frames.h"
#include "graph.h"
#include "idref.h"
#include "iterator.h"
#include "mapping.h"
#include "memo.h"
#include "nodes.h"
#include "refqueue.h"
#include "set.h"
#include "signal.h"
#include "sizes.h"
#include "table.h"
#include "weakcallable.h"
#include "window.h"

/* Makes a type, NULL on failure. If it has a name that users import, adds it to the module. */
static PyTypeObject *
add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base, bool is_public)
{
    PyTypeObject *type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, (PyObject *)base);
    if (type != NULL && is_public && PyModule_AddType(module, type) < 0) {
        Py_CLEAR(type);
    }
    return type;
}

/* The tables: their types and the methods that containers make their own. */
static struct {
    PyType_Spec *spec;
    PyMethodDef *methods;
} const tables[] = {
    {&key_mapping_spec, key_mapping_methods},
    {&ephemeron_mapping_spec, key_mapping_methods},
    {&id_key_mapping_spec, id_key_mapping_methods},
    {&pair_mapping_spec, pair_mapping_methods},
    {&value_mapping_spec, value_mapping_methods},
    {&set_spec, set_methods},
    {&id_set_spec, id_set_methods},
};

static int
core_exec(PyObject *module)
{
    State *state = state_of_module(module);
    PyTypeObject *ref_type = &_PyWeakref_RefType;
    if ((state->str_missing = PyUnicode_InternFromString("__missing__")) == NULL
        || signal_init_names(state) < 0
        || (state->finalizer_options = finalizer_option_names()) == NULL
        || (state->id_ref_type = add_type(module, &id_ref_spec, ref_type, true)) == NULL
        || (state->keyed_ref_type = add_type(module, &keyed_ref_spec, ref_type, true)) == NULL
        || (state->strong_ref_type = add_type(module, &strong_ref_spec, NULL, false)) == NULL
        || (state->death_callback_type = add_type(module, &death_callback_spec, NULL, false)) == NULL
        || (state->rows_type = add_type(module, &rows_spec, NULL, false)) == NULL
        || (state->iterator_type = add_type(module, &iterator_spec, NULL, false)) == NULL
        || (state->table_type = add_type(module, &table_spec, NULL, false)) == NULL
        || (state->finalizer_type = add_type(module, &finalizer_spec, NULL, true)) == NULL
        || (state->call_ref_type = add_type(module, &call_ref_spec, ref_type, false)) == NULL
        || (state->memo_type = add_type(module, &memo_spec, NULL, true)) == NULL
        || (state->tracked_ref_type = add_type(module, &tracked_ref_spec, ref_type, true)) == NULL
        || (state->signal_type = add_type(module, &signal_spec, NULL, true)) == NULL
        || (state->weak_callable_type = add_type(module, &callable_spec, NULL, true)) == NULL) {
        return -1;
    }
    state->weak_callable_type->tp_vectorcall = callable_vectorcall;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(tables); i++) {
        PyTypeObject *type = add_type(module, tables[i].spec, state->table_type, true);
        if (type == NULL) {
            return -1;
        }
        if (tables[i].spec == &id_key_mapping_spec) {
            state->id_key_table_type = (PyTypeObject *)Py_NewRef((PyObject *)type);
        }
        Py_DECREF(type);
    }
    PyType_Spec *const others[] = {
        &attribute_spec, &method_spec, &property_spec, &cachetable_spec, &queue_spec,
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(others); i++) {
        PyTypeObject *type = add_type(module, others[i], NULL, true);
        if (type == NULL) {
            return -1;
        }
        Py_DECREF(type);
    }
    PyObject *functools = PyImport_ImportModule("functools");
    if (functools == NULL) {
        return -1;
    }
    state->cache_info_type = PyObject_GetAttrString(functools, "_CacheInfo");
    state->partial_type = PyObject_GetAttrString(functools, "partial");
    Py_DECREF(functools);
    return state->cache_info_type == NULL || state->partial_type == NULL
               ? -1 : collector_init(state);
}

static int
core_traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = state_of_module(module);
    Py_VISIT((PyObject *)state->id_ref_type);
    Py_VISIT((PyObject *)state->keyed_ref_type);
    Py_VISIT((PyObject *)state->strong_ref_type);
    Py_VISIT((PyObject *)state->death_callback_type);
    Py_VISIT((PyObject *)state->rows_type);
    Py_VISIT((PyObject *)state->iterator_type);
    Py_VISIT((PyObject *)state->table_type);
    Py_VISIT((PyObject *)state->finalizer_type);
    Py_VISIT((PyObject *)state->call_ref_type);
    Py_VISIT((PyObject *)state->memo_type);
    Py_VISIT((PyObject *)state->id_key_table_type);
    Py_VISIT((PyObject *)state->tracked_ref_type);
    Py_VISIT((PyObject *)state->signal_type);
    Py_VISIT((PyObject *)state->weak_callable_type);
    Py_VISIT(state->cache_info_type);
    Py_VISIT(state->partial_type);
    Py_VISIT(state->gc_callbacks);
    Py_VISIT(state->get_objects);
    Py_VISIT(state->gc_hook);
    return 0;
}

/* Not the module's m_clear: tables in the same garbage still use the types, whose own clearing
 * breaks the cycles. Tables and finalizers hold the module, so this comes after the last. */
static void
core_free(void *module)
{
    State *state = state_of_module((PyObject *)module);
    collector_free(state);
    Py_CLEAR(state->id_ref_type);
    Py_CLEAR(state->keyed_ref_type);
    Py_CLEAR(state->strong_ref_type);
    Py_CLEAR(state->death_callback_type);
    Py_CLEAR(state->rows_type);
    Py_CLEAR(state->iterator_type);
    Py_CLEAR(state->table_type);
    Py_CLEAR(state->finalizer_type);
    Py_CLEAR(state->call_ref_type);
    Py_CLEAR(state->memo_type);
    Py_CLEAR(state->id_key_table_type);
    Py_CLEAR(state->tracked_ref_type);
    Py_CLEAR(state->signal_type);
    Py_CLEAR(state->weak_callable_type);
    Py_CLEAR(state->cache_info_type);
    Py_CLEAR(state->partial_type);
    Py_CLEAR(state->str_missing);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(state->signal_names); i++) {
        Py_CLEAR(state->signal_names[i]);
    }
    Py_CLEAR(state->finalizer_options);
    Py_CLEAR(state->suspect_queues);
}

/* A class decorator. */
static PyObject *
own_methods(PyObject *module, PyObject *cls)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(tables); i++) {
        const char *name = strrchr(tables[i].spec->name, '.') + 1;
        PyObject *table = PyObject_GetAttrString(module, name);
        if (table == NULL) {
            return NULL;
        }
        bool is_of = PyType_Check(cls)
                     && PyType_IsSubtype((PyTypeObject *)cls, (PyTypeObject *)table);
        Py_DECREF(table);
        if (is_of) {
            return container_own_methods((PyTypeObject *)cls, tables[i].methods) < 0
                       ? NULL : Py_NewRef(cls);
        }
    }
    PyErr_SetString(PyExc_TypeError, "own_methods() takes a subclass of a table");
    return NULL;
}

static PyMethodDef core_methods[] = {
    {"own_methods", own_methods, METH_O,
     "Give a subclass of a table the table's methods as its own, which are faster to call."},
    {"collections", collections, METH_NOARGS,
     "Return how many collections were seen to start, and whether one may be running in this "
     "thread."},
    {"collect_ephemerons", collect_ephemerons, METH_NOARGS,
     "Drop the entries of ephemeral tables whose keys only live by such entries; return how "
     "many."},
    {"ephemeron_counts", ephemeron_counts, METH_NOARGS,
     "Return (tables, entries, walks, objects walked, entries dropped, seconds, objects met more "
     "often than they are referenced)."},
    {"find_chains", find_chains, METH_VARARGS,
     "Return (chains, a cycle, costs): how an object is kept alive. See _heap.py."},
    {"frame_variables", frame_variables, METH_O,
     "Return a list of (name, object) of what the variables of a frame hold; cells as such."},
    {"heap_sizes", heap_sizes, METH_VARARGS,
     "Return (totals, classes, top objects, costs) of the heap. See _heap.py."},
    {"retained_sizes", retained_sizes, METH_VARARGS,
     "Return (bytes, objects) that would go with an object. See _heap.py."},
    {"running_frames", running_frames, METH_NOARGS,
     "Return (frames, the threads they run in) of all functions that run. See _heap.py."},
    {"live_finalizers", live_finalizers, METH_NOARGS,
     "Return a list of the finalizers that are alive, oldest first."},
    {"finalizers_created", finalizers_created, METH_NOARGS,
     "Return how many finalizers were ever created."},
    {"stop_finalizers", stop_finalizers, METH_NOARGS,
     "From now on, calling a finalizer does not call its function."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot core_slots[] = {
    {Py_mod_exec, core_exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "weakly._core",
    .m_doc = "The C core of weakly.",
    .m_size = sizeof(State),
    .m_methods = core_methods,
    .m_slots = core_slots,
    .m_traverse = core_traverse,
    .m_free = core_free,
};

PyMODINIT_FUNC
PyInit__core(void)
{
    return PyModuleDef_Init(&core_module);
}
