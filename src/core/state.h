/* The state of the module: one for each interpreter that imports it. */

#ifndef WEAKLY_STATE_H
#define WEAKLY_STATE_H

#include "compat.h"

struct Cache;
struct Finalizer;
struct Hook;
struct Table;

typedef struct {
    PyTypeObject *id_ref_type;
    PyTypeObject *keyed_ref_type;
    PyTypeObject *strong_ref_type;
    PyTypeObject *death_callback_type;
    PyTypeObject *rows_type;
    PyTypeObject *iterator_type;
    PyTypeObject *table_type;
    PyTypeObject *finalizer_type;
    PyTypeObject *call_ref_type;
    PyTypeObject *memo_type;
    PyTypeObject *id_key_table_type;
    PyTypeObject *tracked_ref_type;
    PyTypeObject *signal_type;
    PyTypeObject *weak_callable_type;
    PyObject *cache_info_type;         /* functools' named tuple */
    PyObject *partial_type;            /* functools' */
    PyObject *str_missing;             /* "__missing__" */
    PyObject *signal_names[9];         /* signal.h: SignalName */
    PyObject *finalizer_options;       /* a tuple of names */

    /* collector.h */
    PyObject *gc_callbacks;            /* the list gc.callbacks */
    PyObject *get_objects;             /* gc.get_objects() */
    PyObject *gc_hook;                 /* our function in it */
    Py_ssize_t gc_hook_position;       /* where it was last seen there */
    struct Hook *hook;                 /* what that function works on; its own */

    /* ephemeron.h */
    struct Table *newest_ephemeral;    /* the ephemeral tables in use: a list, borrowed */
    struct Cache *newest_cache;        /* the caches with weak items: the same */
    Py_ssize_t walks, objects_walked, entries_dropped, overcounted;
    double walk_seconds;               /* of all walks */
    double last_walk_seconds, last_walk_end;
    MUTEX_FIELD(ephemeral_mutex)

    /* refqueue.h */
    PyObject *suspect_queues;          /* a list of the callbacks of those, or NULL */
    MUTEX_FIELD(suspects_mutex)

    /* finalize.h */
    struct Finalizer *oldest, *newest; /* the registry: a list of owned references */
    Py_ssize_t finalizers_created;
    bool finalizers_stopped;
    bool exit_registered;
    MUTEX_FIELD(registry_mutex)
} State;

static struct PyModuleDef core_module;

static inline State *
state_of_module(PyObject *module)
{
    return (State *)PyModule_GetState(module);
}

/* The module by way of a type of ours or a subclass of one, borrowed; NULL with an exception
 * set if the type is neither. */
static inline PyObject *
module_of_type(PyTypeObject *type)
{
    return PyType_GetModuleByDef(type, &core_module);
}

#endif
