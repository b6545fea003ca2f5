/* The tables behind the weak dictionaries: WeakKeyTable, EphemeronTable, WeakIdKeyTable,
 * WeakKeyValueTable and WeakValueTable.
 *
 * Each operation is written once, for a kind that is constant where it is inlined, and then
 * named for each kind by MAPPING_OF. */

#ifndef WEAKLY_MAPPING_H
#define WEAKLY_MAPPING_H

#include "container.h"

/* 1 and a new reference to the object of a key, 0 and NULL if there is none, -1 and NULL if an
 * exception was raised. */
ALWAYS_INLINE int
mapping_find(PyObject *self, Kind kind, PyObject *key, PyObject **object)
{
    Table *table = (Table *)self;
    Place at = {NULL, 0};
    int found;
    *object = NULL;
    Py_BEGIN_CRITICAL_SECTION(self);
    found = table_lookup(table, kind, key, &at);
    if (LIKELY(found == 1)) {
        *object = entry_object(table, kind, at);
        found = *object != NULL;
    }
    Py_END_CRITICAL_SECTION();
    return found;
}

/* What `self[key]` does on a miss: asks the `__missing__` of a subclass, else KeyError. */
static NOINLINE PyObject *
mapping_missing(PyObject *self, PyObject *key)
{
    PyObject *missing = special_method(self, ((Table *)self)->state->str_missing);
    if (missing == NULL) {
        if (!PyErr_Occurred()) {
            set_key_error(key);
        }
        return NULL;
    }
    PyObject *result = PyObject_CallOneArg(missing, key);
    Py_DECREF(missing);
    return result;
}

ALWAYS_INLINE PyObject *
mapping_subscript(PyObject *self, Kind kind, PyObject *key)
{
    PyObject *object;
    int found = mapping_find(self, kind, key, &object);
    return UNLIKELY(found == 0) ? mapping_missing(self, key) : object;
}

/* Takes the entry of a key out: as mapping_find(). */
ALWAYS_INLINE int
mapping_take(PyObject *self, Kind kind, PyObject *key, PyObject **object)
{
    Table *table = (Table *)self;
    Place at = {NULL, 0};
    Taken taken = {NULL, NULL};
    int found;
    *object = NULL;
    Py_BEGIN_CRITICAL_SECTION(self);
    found = table_lookup(table, kind, key, &at);
    if (found == 1) {
        *object = entry_object(table, kind, at);
        found = *object != NULL;
        if (found) {
            taken = table_take(table, kind, at);
        }
    }
    Py_END_CRITICAL_SECTION();
    if (taken.ref != NULL) {
        taken_release(taken, kind);
    }
    return found;
}

ALWAYS_INLINE int
mapping_ass_subscript(PyObject *self, Kind kind, PyObject *key, PyObject *object)
{
    if (object == NULL) {
        int found = mapping_take(self, kind, key, &object);
        if (found == 0) {
            set_key_error(key);
        }
        Py_XDECREF(object);
        return found == 1 ? 0 : -1;
    }
    int status;
    Py_BEGIN_CRITICAL_SECTION(self);
    status = table_store((Table *)self, kind, key, object, NULL);
    Py_END_CRITICAL_SECTION();
    return status;
}

/* The arguments (key, default=None) of get() and setdefault(), borrowed. */
static inline int
parse_key_default(const char *name, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                  PyObject **key, PyObject **fallback)
{
    if (LIKELY(kwnames == NULL && (nargs == 1 || nargs == 2))) {
        *key = args[0];
        *fallback = nargs == 2 ? args[1] : Py_None;
        return 0;
    }
    Py_ssize_t keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    *key = nargs > 0 ? args[0] : NULL;
    *fallback = nargs > 1 ? args[1] : NULL;
    if (nargs > 2) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most 2 arguments (%zd given)", name,
                     nargs + keywords);
        return -1;
    }
    for (Py_ssize_t i = 0; i < keywords; i++) {
        PyObject *keyword = PyTuple_GET_ITEM(kwnames, i);
        PyObject **target =
            PyUnicode_CompareWithASCIIString(keyword, "default") == 0 ? fallback
            : PyUnicode_CompareWithASCIIString(keyword, "key") == 0 ? key : NULL;
        if (target == NULL || *target != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected or repeated argument %R", name,
                         keyword);
            return -1;
        }
        *target = args[nargs + i];
    }
    if (*key == NULL) {
        PyErr_Format(PyExc_TypeError, "%s() misses its argument 'key'", name);
        return -1;
    }
    if (*fallback == NULL) {
        *fallback = Py_None;
    }
    return 0;
}

ALWAYS_INLINE PyObject *
mapping_get(PyObject *self, Kind kind, PyObject *const *args, Py_ssize_t nargs,
            PyObject *kwnames)
{
    PyObject *key, *fallback, *object;
    if (parse_key_default("get", args, nargs, kwnames, &key, &fallback) < 0) {
        return NULL;
    }
    int found = mapping_find(self, kind, key, &object);
    return found == 0 ? Py_NewRef(fallback) : object;
}

ALWAYS_INLINE PyObject *
mapping_setdefault(PyObject *self, Kind kind, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames)
{
    PyObject *key, *fallback, *object;
    if (parse_key_default("setdefault", args, nargs, kwnames, &key, &fallback) < 0) {
        return NULL;
    }
    if (kind == VALUE || kind == PAIR) {
        /* A key that is there needs no default that can be referenced. */
        int found = mapping_find(self, kind, key, &object);
        if (found != 0) {
            return object;
        }
    }
    int status;
    Py_BEGIN_CRITICAL_SECTION(self);
    status = table_store((Table *)self, kind, key, fallback, &object);
    Py_END_CRITICAL_SECTION();
    return status < 0 ? NULL : object != NULL ? object : Py_NewRef(fallback);
}

ALWAYS_INLINE PyObject *
mapping_pop(PyObject *self, Kind kind, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *object;
    if (nargs < 1 || nargs > 2) {
        PyErr_Format(PyExc_TypeError, "pop() takes a key and at most a default (%zd given)",
                     nargs);
        return NULL;
    }
    int found = mapping_take(self, kind, args[0], &object);
    if (found == 0 && nargs == 2) {
        return Py_NewRef(args[1]);
    }
    if (found == 0) {
        set_key_error(args[0]);
    }
    return object;
}

ALWAYS_INLINE PyObject *
mapping_popitem(PyObject *self, Kind kind)
{
    PyObject *referent, *strong;
    PyObject *item = PyTuple_New(2);  /* first: what is popped must not be lost */
    int found;
    if (item == NULL) {
        return NULL;
    }
    Py_BEGIN_CRITICAL_SECTION(self);
    found = table_pop_newest((Table *)self, kind, &referent, &strong);
    Py_END_CRITICAL_SECTION();
    if (!found) {
        Py_DECREF(item);
        PyErr_SetString(PyExc_KeyError, "popitem(): the dictionary is empty");
        return NULL;
    }
    PyTuple_SET_ITEM(item, kind == VALUE ? 1 : 0, referent);
    PyTuple_SET_ITEM(item, kind == VALUE ? 0 : 1, strong);
    return item;
}

ALWAYS_INLINE PyObject *
mapping_extend(PyObject *self, Kind kind, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2 || !PyList_CheckExact(args[0]) || !PyList_CheckExact(args[1])
        || PyList_GET_SIZE(args[0]) != PyList_GET_SIZE(args[1])) {
        PyErr_SetString(PyExc_TypeError, "_extend() takes two lists of the same length");
        return NULL;
    }
    int status;
    Py_BEGIN_CRITICAL_SECTION(self);
    status = table_extend((Table *)self, kind, args[0], args[1]);
    Py_END_CRITICAL_SECTION();
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
mapping_items(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return iterator_new((Table *)self, ITEMS, false);
}

static PyObject *
mapping_referents(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return iterator_new((Table *)self, REFERENTS, false);
}

static PyObject *
mapping_strongs(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return iterator_new((Table *)self, STRONGS, false);
}

#define TABLE_NEW(name, KIND, ephemeral)                                                     \
    static PyObject *name(PyTypeObject *type, PyObject *Py_UNUSED(args),                     \
                          PyObject *Py_UNUSED(kwargs))                                       \
    {                                                                                        \
        return container_new(type, KIND, ephemeral);                                         \
    }

TABLE_NEW(key_mapping_new, KEY, false)
TABLE_NEW(ephemeron_mapping_new, KEY, true)
TABLE_NEW(id_key_mapping_new, ID_KEY, true)
TABLE_NEW(pair_mapping_new, PAIR, false)
TABLE_NEW(value_mapping_new, VALUE, false)

#define MAPPING_OF(prefix, KIND)                                                             \
    static PyObject *prefix##_subscript(PyObject *self, PyObject *key)                       \
    {                                                                                        \
        return mapping_subscript(self, KIND, key);                                           \
    }                                                                                        \
    static int prefix##_ass_subscript(PyObject *self, PyObject *key, PyObject *object)       \
    {                                                                                        \
        return mapping_ass_subscript(self, KIND, key, object);                               \
    }                                                                                        \
    static int prefix##_contains(PyObject *self, PyObject *key)                              \
    {                                                                                        \
        return container_contains(self, KIND, key);                                          \
    }                                                                                        \
    static PyObject *prefix##_get(PyObject *self, PyObject *const *args, Py_ssize_t nargs,   \
                                  PyObject *kwnames)                                         \
    {                                                                                        \
        return mapping_get(self, KIND, args, nargs, kwnames);                                \
    }                                                                                        \
    static PyObject *prefix##_setdefault(PyObject *self, PyObject *const *args,              \
                                         Py_ssize_t nargs, PyObject *kwnames)                \
    {                                                                                        \
        return mapping_setdefault(self, KIND, args, nargs, kwnames);                         \
    }                                                                                        \
    static PyObject *prefix##_pop(PyObject *self, PyObject *const *args, Py_ssize_t nargs)   \
    {                                                                                        \
        return mapping_pop(self, KIND, args, nargs);                                         \
    }                                                                                        \
    static PyObject *prefix##_popitem(PyObject *self, PyObject *Py_UNUSED(ignored))          \
    {                                                                                        \
        return mapping_popitem(self, KIND);                                                  \
    }                                                                                        \
    static PyObject *prefix##_extend(PyObject *self, PyObject *const *args,                  \
                                     Py_ssize_t nargs)                                       \
    {                                                                                        \
        return mapping_extend(self, KIND, args, nargs);                                      \
    }

MAPPING_OF(key_mapping, KEY)
MAPPING_OF(id_key_mapping, ID_KEY)
MAPPING_OF(pair_mapping, PAIR)
MAPPING_OF(value_mapping, VALUE)

#define MAPPING_METHODS(prefix)                                                              \
    CONTAINER_METHODS,                                                                       \
    {"get", FUNCTION(prefix##_get), METH_FASTCALL | METH_KEYWORDS,                           \
     "get($self, key, default=None)\n--\n\n"                                                 \
     "Return the value for a key if it is there, else the default. O(1)."},                  \
    {"setdefault", FUNCTION(prefix##_setdefault), METH_FASTCALL | METH_KEYWORDS,             \
     "setdefault($self, key, default=None)\n--\n\n"                                          \
     "Return the value for a key, which is set to the default if it is not there. O(1), "    \
     "atomic."},                                                                             \
    {"pop", FUNCTION(prefix##_pop), METH_FASTCALL,                                           \
     "Remove a key and return its value, or the default if given, else raise KeyError."},    \
    {"popitem", prefix##_popitem, METH_NOARGS,                                               \
     "popitem($self, /)\n--\n\n"                                                             \
     "Remove and return the newest live entry as (key, value). Raise KeyError if there is "  \
     "none."},                                                                               \
    {"items", mapping_items, METH_NOARGS,                                                    \
     "items($self, /)\n--\n\nReturn an iterator over the live entries as (key, value)."},    \
    {"_extend", FUNCTION(prefix##_extend), METH_FASTCALL,                                    \
     "Store lists of keys and values: all, or none if one is of a type that this "           \
     "dictionary cannot hold."}

#define MAPPING_SLOTS(prefix, new)                                                           \
    CONTAINER_SLOTS(new),                                                                    \
    {Py_tp_methods, prefix##_methods},                                                       \
    {Py_mp_subscript, prefix##_subscript},                                                   \
    {Py_mp_ass_subscript, prefix##_ass_subscript},                                           \
    {Py_mp_length, container_length},                                                        \
    {Py_sq_contains, prefix##_contains}

#define TABLE_SPEC(spec, table_name, table_slots)                                            \
    static PyType_Spec spec = {                                                              \
        .name = "weakly._core." table_name,                                                  \
        .basicsize = sizeof(Table),                                                          \
        .flags = CONTAINER_FLAGS,                                                            \
        .slots = table_slots,                                                                \
    };

/* WeakKeyTable, EphemeronTable and WeakIdKeyTable */

#define KEY_MAPPING_METHODS(prefix, refs)                                                    \
    static PyMethodDef prefix##_methods[] = {                                                \
        MAPPING_METHODS(prefix),                                                             \
        {"keys", mapping_referents, METH_NOARGS,                                             \
         "keys($self, /)\n--\n\nReturn an iterator over the live keys."},                    \
        {"values", mapping_strongs, METH_NOARGS,                                             \
         "values($self, /)\n--\n\nReturn an iterator over the values of live keys."},        \
        {"keyrefs", refs, METH_NOARGS,                                                       \
         "keyrefs($self, /)\n--\n\nReturn a list of the references to the live keys. O(n)."}, \
        {NULL, NULL, 0, NULL},                                                               \
    };

KEY_MAPPING_METHODS(key_mapping, container_refs)
KEY_MAPPING_METHODS(id_key_mapping, container_id_refs)

static PyType_Slot key_mapping_slots[] = {
    MAPPING_SLOTS(key_mapping, key_mapping_new),
    {Py_tp_doc, "The table of a dictionary with weak keys."},
    {0, NULL},
};

static PyType_Slot ephemeron_mapping_slots[] = {
    MAPPING_SLOTS(key_mapping, ephemeron_mapping_new),
    {Py_tp_doc, "The table of a dictionary with weak keys that its values do not keep alive."},
    {0, NULL},
};

static PyType_Slot id_key_mapping_slots[] = {
    MAPPING_SLOTS(id_key_mapping, id_key_mapping_new),
    {Py_tp_doc, "The table of a dictionary with weak keys, compared by identity, that its values "
                "do not keep alive."},
    {0, NULL},
};

TABLE_SPEC(key_mapping_spec, "WeakKeyTable", key_mapping_slots)
TABLE_SPEC(ephemeron_mapping_spec, "EphemeronTable", ephemeron_mapping_slots)
TABLE_SPEC(id_key_mapping_spec, "WeakIdKeyTable", id_key_mapping_slots)

/* WeakValueTable */

static PyObject *
value_mapping_getref(PyObject *self, PyObject *key)
{
    Table *table = (Table *)self;
    Place at = {NULL, 0};
    PyObject *ref = NULL;
    int found;
    Py_BEGIN_CRITICAL_SECTION(self);
    found = table_lookup(table, VALUE, key, &at);
    if (found == 1) {
        PyObject *object = entry_object(table, VALUE, at);
        if (object != NULL) {
            ref = Py_NewRef(at.row[REF]);
            Py_DECREF(object);
        }
        else {
            found = 0;
        }
    }
    Py_END_CRITICAL_SECTION();
    if (found == 0) {
        set_key_error(key);
    }
    return ref;
}

/* Sets the value of a key whose value lives; False, and nothing is changed, if there is none. */
static PyObject *
value_mapping_replace(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    Table *table = (Table *)self;
    if (nargs != 2) {
        PyErr_Format(PyExc_TypeError, "_replace() takes a key and a value (%zd arguments given)",
                     nargs);
        return NULL;
    }
    PyObject *key = args[0], *value = args[1], *old = NULL;
    if (check_entry(table, VALUE, key, value) < 0) {
        return NULL;
    }
    Py_hash_t hash = PyObject_Hash(key);
    int found = -1;
    Py_BEGIN_CRITICAL_SECTION(self);
    PyObject *ref = hash == -1 || table_prepare(table) < 0
                        ? NULL
                        : value_ref_new(table->state, value, table->callback, hash, table->lenient);
    Place at = {NULL, 0};
    if (ref != NULL) {
        found = table_find(table, VALUE, key, hash, &at);
        old = found == 1 ? entry_object(table, VALUE, at) : NULL;
        if (old != NULL) {
            (void)table_update(table, VALUE, at.row, value, ref, NULL);
        }
        else {
            Py_DECREF(ref);
        }
    }
    Py_END_CRITICAL_SECTION();
    PyObject *result = found < 0 ? NULL : PyBool_FromLong(old != NULL);
    Py_XDECREF(old);
    return result;
}

static PyObject *
value_mapping_iterrefs(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return iterator_new((Table *)self, REFS, false);
}

static PyMethodDef value_mapping_methods[] = {
    MAPPING_METHODS(value_mapping),
    {"keys", mapping_strongs, METH_NOARGS,
     "keys($self, /)\n--\n\nReturn an iterator over the keys of live values."},
    {"values", mapping_referents, METH_NOARGS,
     "values($self, /)\n--\n\nReturn an iterator over the live values."},
    {"valuerefs", container_refs, METH_NOARGS,
     "valuerefs($self, /)\n--\n\nReturn a list of the references to the live values. O(n)."},
    {"itervaluerefs", value_mapping_iterrefs, METH_NOARGS,
     "itervaluerefs($self, /)\n--\n\n"
     "Return an iterator over the references to the live values."},
    {"_replace", FUNCTION(value_mapping_replace), METH_FASTCALL,
     "Set the value of a key that is there; return whether it was."},
    {"_getref", value_mapping_getref, METH_O,
     "Return the reference to the value of a key; raise KeyError if there is none."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot value_mapping_slots[] = {
    MAPPING_SLOTS(value_mapping, value_mapping_new),
    {Py_tp_doc, "The table of a dictionary with weak values."},
    {0, NULL},
};

TABLE_SPEC(value_mapping_spec, "WeakValueTable", value_mapping_slots)

/* WeakKeyValueTable */

static PyObject *
pair_mapping_valuerefs(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return container_refs_in(self, STRONG);
}

static PyMethodDef pair_mapping_methods[] = {
    MAPPING_METHODS(pair_mapping),
    {"keys", mapping_referents, METH_NOARGS,
     "keys($self, /)\n--\n\nReturn an iterator over the keys of live entries."},
    {"values", mapping_strongs, METH_NOARGS,
     "values($self, /)\n--\n\nReturn an iterator over the values of live entries."},
    {"keyrefs", container_refs, METH_NOARGS,
     "keyrefs($self, /)\n--\n\nReturn a list of the references to the live keys. O(n)."},
    {"valuerefs", pair_mapping_valuerefs, METH_NOARGS,
     "valuerefs($self, /)\n--\n\nReturn a list of the references to the live values. O(n)."},
    {"itervaluerefs", value_mapping_iterrefs, METH_NOARGS,
     "itervaluerefs($self, /)\n--\n\n"
     "Return an iterator over the references to the live values."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot pair_mapping_slots[] = {
    MAPPING_SLOTS(pair_mapping, pair_mapping_new),
    {Py_tp_doc, "The table of a dictionary with weak keys and weak values."},
    {0, NULL},
};

TABLE_SPEC(pair_mapping_spec, "WeakKeyValueTable", pair_mapping_slots)

#endif
