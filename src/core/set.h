/* The tables behind the weak sets: WeakSetTable and WeakIdSetTable. As mapping.h: each operation
 * is written once, and named for each kind by SET_OF. */

#ifndef WEAKLY_SET_H
#define WEAKLY_SET_H

#include "mapping.h"

/* Adds a member, unless an equal one is there. */
ALWAYS_INLINE PyObject *
weak_set_add(PyObject *self, Kind kind, PyObject *member)
{
    int status;
    Py_BEGIN_CRITICAL_SECTION(self);
    status = table_store((Table *)self, kind, member, NULL, NULL);
    Py_END_CRITICAL_SECTION();
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

/* The member that is equal to an object: one that was there, or the object, added. */
ALWAYS_INLINE PyObject *
weak_set_intern(PyObject *self, Kind kind, PyObject *object)
{
    int status;
    PyObject *member;
    Py_BEGIN_CRITICAL_SECTION(self);
    status = table_store((Table *)self, kind, object, NULL, &member);
    Py_END_CRITICAL_SECTION();
    return status < 0 ? NULL : member != NULL ? member : Py_NewRef(object);
}

/* 1 removed, 0 not there, -1 an exception was raised. */
ALWAYS_INLINE int
weak_set_take(PyObject *self, Kind kind, PyObject *member)
{
    Table *table = (Table *)self;
    Place at = {NULL, 0};
    Taken taken = {NULL, NULL};
    int found;
    Py_BEGIN_CRITICAL_SECTION(self);
    found = table_lookup(table, kind, member, &at);
    if (found == 1) {
        taken = table_take(table, kind, at);
    }
    Py_END_CRITICAL_SECTION();
    if (taken.ref != NULL) {
        taken_release(taken, kind);
    }
    return found;
}

ALWAYS_INLINE PyObject *
weak_set_remove(PyObject *self, Kind kind, PyObject *member)
{
    int found = weak_set_take(self, kind, member);
    if (found == 0) {
        set_key_error(member);
    }
    return found == 1 ? Py_NewRef(Py_None) : NULL;
}

ALWAYS_INLINE PyObject *
weak_set_extend(PyObject *self, Kind kind, PyObject *members)
{
    if (!PyList_CheckExact(members)) {
        PyErr_SetString(PyExc_TypeError, "_extend() takes a list");
        return NULL;
    }
    int status;
    Py_BEGIN_CRITICAL_SECTION(self);
    status = table_extend((Table *)self, kind, members, members);
    Py_END_CRITICAL_SECTION();
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
set_pop(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *member, *none;
    int found;
    Py_BEGIN_CRITICAL_SECTION(self);
    found = table_pop_newest((Table *)self, SET, &member, &none);
    Py_END_CRITICAL_SECTION();
    if (!found) {
        PyErr_SetString(PyExc_KeyError, "pop from an empty weak set");
        return NULL;
    }
    return member;
}

#define SET_OF(prefix, KIND)                                                                 \
    TABLE_NEW(prefix##_new, KIND, false)                                                     \
    static int prefix##_contains(PyObject *self, PyObject *member)                           \
    {                                                                                        \
        return container_contains(self, KIND, member);                                       \
    }                                                                                        \
    static PyObject *prefix##_add(PyObject *self, PyObject *member)                          \
    {                                                                                        \
        return weak_set_add(self, KIND, member);                                             \
    }                                                                                        \
    static PyObject *prefix##_intern(PyObject *self, PyObject *object)                       \
    {                                                                                        \
        return weak_set_intern(self, KIND, object);                                          \
    }                                                                                        \
    static PyObject *prefix##_discard(PyObject *self, PyObject *member)                      \
    {                                                                                        \
        return weak_set_take(self, KIND, member) < 0 ? NULL : Py_NewRef(Py_None);            \
    }                                                                                        \
    static PyObject *prefix##_remove(PyObject *self, PyObject *member)                       \
    {                                                                                        \
        return weak_set_remove(self, KIND, member);                                          \
    }                                                                                        \
    static PyObject *prefix##_extend(PyObject *self, PyObject *members)                      \
    {                                                                                        \
        return weak_set_extend(self, KIND, members);                                         \
    }

SET_OF(set, SET)
SET_OF(id_set, ID_SET)

#define SET_METHODS(prefix, refs)                                                            \
    static PyMethodDef prefix##_methods[] = {                                                \
        CONTAINER_METHODS,                                                                   \
        {"add", prefix##_add, METH_O,                                                        \
         "add($self, member, /)\n--\n\nAdd a member, unless it is there. O(1)."},            \
        {"discard", prefix##_discard, METH_O,                                                \
         "discard($self, member, /)\n--\n\nRemove a member if it is there. O(1)."},          \
        {"remove", prefix##_remove, METH_O,                                                  \
         "remove($self, member, /)\n--\n\n"                                                  \
         "Remove a member; raise KeyError if it is not there. O(1)."},                       \
        {"pop", set_pop, METH_NOARGS,                                                        \
         "pop($self, /)\n--\n\n"                                                             \
         "Remove and return the newest live member. Raise KeyError if there is none."},      \
        {"_refs", refs, METH_NOARGS, "Return a list of the references to live members."},    \
        {"_intern", prefix##_intern, METH_O,                                                 \
         "Return the member that is equal to an object, which is added if there is none."},  \
        {"_extend", prefix##_extend, METH_O,                                                 \
         "Add a list of members: all, or none if one is of a type that a weak set cannot "   \
         "hold."},                                                                           \
        {NULL, NULL, 0, NULL},                                                               \
    };

SET_METHODS(set, container_refs)
SET_METHODS(id_set, container_id_refs)

#define SET_SLOTS(prefix)                                                                    \
    CONTAINER_SLOTS(prefix##_new),                                                           \
    {Py_tp_methods, prefix##_methods},                                                       \
    {Py_sq_contains, prefix##_contains},                                                     \
    {Py_sq_length, container_length}

static PyType_Slot set_slots[] = {
    SET_SLOTS(set),
    {Py_tp_doc, "The table of a weak set."},
    {0, NULL},
};

static PyType_Slot id_set_slots[] = {
    SET_SLOTS(id_set),
    {Py_tp_doc, "The table of a weak set of members compared by identity."},
    {0, NULL},
};

TABLE_SPEC(set_spec, "WeakSetTable", set_slots)
TABLE_SPEC(id_set_spec, "WeakIdSetTable", id_set_slots)

#endif
