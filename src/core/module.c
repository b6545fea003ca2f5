/* weakly._core: the C core. One idea a header, one translation unit. */

#include "compat.h"

#include "state.h"

#include "collector.h"
#include "container.h"
#include "entry.h"
#include "finalize.h"
#include "iterator.h"
#include "mapping.h"
#include "set.h"
#include "table.h"

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

static int
core_exec(PyObject *module)
{
    State *state = state_of_module(module);
    return (state->str_missing = PyUnicode_InternFromString("__missing__")) == NULL
        || (state->keyed_ref_type = add_type(module, &keyed_ref_spec, &_PyWeakref_RefType, true)) == NULL
        || (state->death_callback_type = add_type(module, &death_callback_spec, NULL, false)) == NULL
        || (state->rows_type = add_type(module, &rows_spec, NULL, false)) == NULL
        || (state->iterator_type = add_type(module, &iterator_spec, NULL, false)) == NULL
        || (state->key_table_type = add_type(module, &key_mapping_spec, NULL, true)) == NULL
        || (state->value_table_type = add_type(module, &value_mapping_spec, NULL, true)) == NULL
        || (state->set_table_type = add_type(module, &set_spec, NULL, true)) == NULL
        || (state->finalizer_type = add_type(module, &finalizer_spec, NULL, true)) == NULL
        || collector_init(state) < 0 ? -1 : 0;
}

static int
core_traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = state_of_module(module);
    Py_VISIT((PyObject *)state->keyed_ref_type);
    Py_VISIT((PyObject *)state->death_callback_type);
    Py_VISIT((PyObject *)state->rows_type);
    Py_VISIT((PyObject *)state->iterator_type);
    Py_VISIT((PyObject *)state->key_table_type);
    Py_VISIT((PyObject *)state->value_table_type);
    Py_VISIT((PyObject *)state->set_table_type);
    Py_VISIT((PyObject *)state->finalizer_type);
    Py_VISIT(state->gc_callbacks);
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
    Py_CLEAR(state->keyed_ref_type);
    Py_CLEAR(state->death_callback_type);
    Py_CLEAR(state->rows_type);
    Py_CLEAR(state->iterator_type);
    Py_CLEAR(state->key_table_type);
    Py_CLEAR(state->value_table_type);
    Py_CLEAR(state->set_table_type);
    Py_CLEAR(state->finalizer_type);
    Py_CLEAR(state->str_missing);
}

/* A class decorator. */
static PyObject *
own_methods(PyObject *module, PyObject *cls)
{
    State *state = state_of_module(module);
    struct {
        PyTypeObject *table;
        PyMethodDef *methods;
    } all[] = {
        {state->key_table_type, key_mapping_methods},
        {state->value_table_type, value_mapping_methods},
        {state->set_table_type, set_methods},
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(all); i++) {
        if (PyType_Check(cls) && PyType_IsSubtype((PyTypeObject *)cls, all[i].table)) {
            return container_own_methods((PyTypeObject *)cls, all[i].methods) < 0
                       ? NULL : Py_NewRef(cls);
        }
    }
    PyErr_SetString(PyExc_TypeError, "own_methods() takes a subclass of a table");
    return NULL;
}

static PyMethodDef core_methods[] = {
    {"own_methods", own_methods, METH_O,
     "Give a subclass of a table the table's methods as its own, which are faster to call."},
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
