/* WeakSetTable: the table behind WeakSet. */

#ifndef WEAKLY_SET_H
#define WEAKLY_SET_H

#include "container.h"

static PyObject *
set_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    return container_new(type, SET);
}

static int
set_contains(PyObject *self, PyObject *member)
{
    return container_contains(self, SET, member);
}

static PyObject *
set_add(PyObject *self, PyObject *member)
{
    int status;
    Py_BEGIN_CRITICAL_SECTION(self);
    status = table_store((Table *)self, SET, member, NULL, NULL);
    Py_END_CRITICAL_SECTION();
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

/* 1 removed, 0 not there, -1 an exception was raised. */
static int
set_remove_member(PyObject *self, PyObject *member)
{
    Table *table = (Table *)self;
    Place at;
    Taken taken = {NULL, NULL};
    int found;
    Py_BEGIN_CRITICAL_SECTION(self);
    found = table_lookup(table, SET, member, &at);
    if (found == 1) {
        taken = table_take(table, SET, at);
    }
    Py_END_CRITICAL_SECTION();
    if (taken.ref != NULL) {
        taken_release(taken, SET);
    }
    return found;
}

static PyObject *
set_discard(PyObject *self, PyObject *member)
{
    return set_remove_member(self, member) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
set_remove(PyObject *self, PyObject *member)
{
    int found = set_remove_member(self, member);
    if (found == 0) {
        set_key_error(member);
    }
    return found == 1 ? Py_NewRef(Py_None) : NULL;
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

static PyObject *
set_extend(PyObject *self, PyObject *members)
{
    if (!PyList_CheckExact(members)) {
        PyErr_SetString(PyExc_TypeError, "_extend() takes a list");
        return NULL;
    }
    int status;
    Py_BEGIN_CRITICAL_SECTION(self);
    status = table_extend((Table *)self, SET, members, members);
    Py_END_CRITICAL_SECTION();
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef set_methods[] = {
    CONTAINER_METHODS,
    {"add", set_add, METH_O,
     "add($self, member, /)\n--\n\nAdd a member, unless an equal one is there. O(1)."},
    {"discard", set_discard, METH_O,
     "discard($self, member, /)\n--\n\nRemove a member if it is there. O(1)."},
    {"remove", set_remove, METH_O,
     "remove($self, member, /)\n--\n\nRemove a member; raise KeyError if it is not there. O(1)."},
    {"pop", set_pop, METH_NOARGS,
     "pop($self, /)\n--\n\nRemove and return the newest live member. Raise KeyError if there is "
     "none."},
    {"_refs", container_refs, METH_NOARGS, "Return a list of the references to live members."},
    {"_extend", set_extend, METH_O, "Add a list of members: all, or none if one is of a type "
     "that a weak set cannot hold."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot set_slots[] = {
    CONTAINER_SLOTS(set_new),
    {Py_tp_methods, set_methods},
    {Py_sq_contains, set_contains},
    {Py_sq_length, container_length},
    {Py_tp_doc, "The table of a weak set."},
    {0, NULL},
};

static PyType_Spec set_spec = {
    .name = "weakly._core.WeakSetTable",
    .basicsize = sizeof(Table),
    .flags = CONTAINER_FLAGS,
    .slots = set_slots,
};

#endif
