/* Iterators over a table: one type for keys, values, items and references, both directions.
 *
 * An iterator pins the rows that were there when it was made and walks over them by
 * position. It needs the table only for its lock. */

#ifndef WEAKLY_ITERATOR_H
#define WEAKLY_ITERATOR_H

#include "table.h"

typedef enum { REFERENTS, STRONGS, ITEMS, REFS } Yield;

typedef struct {
    PyObject_HEAD
    Table *table;               /* owned; NULL, as `rows`, once exhausted */
    Rows *rows;                 /* owned and pinned */
    Py_ssize_t next, end;       /* the rows still to visit: next to end - 1 */
    PyObject *item;             /* owned: the last item yielded, to be used again; or NULL */
    Kind kind;
    Yield yield;
    bool reverse;
} Iterator;

static PyObject *
iterator_new(Table *table, Yield yield, bool reverse)
{
    Iterator *it = PyObject_GC_New(Iterator, table->state->iterator_type);
    if (it == NULL) {
        return NULL;
    }
    it->table = (Table *)Py_NewRef((PyObject *)table);
    it->kind = table->kind;
    it->yield = yield;
    it->reverse = reverse;
    it->next = 0;
    it->item = NULL;
    Py_BEGIN_CRITICAL_SECTION(table);
    it->rows = (Rows *)Py_XNewRef((PyObject *)table->rows);
    it->end = 0;
    if (it->rows != NULL) {
        it->end = it->rows->used;
        SHARED_ADD(&it->rows->pins, 1);
    }
    Py_END_CRITICAL_SECTION();
    PyObject_GC_Track(it);
    return (PyObject *)it;
}

/* Lets go of table and rows, which can run any code. */
static void
iterator_finish(Iterator *it)
{
    Table *table = it->table;
    Rows *rows = it->rows;
    PyObject *item = it->item;
    it->table = NULL;
    it->rows = NULL;
    it->item = NULL;
    it->next = it->end = 0;
    if (rows != NULL) {
        SHARED_ADD(&rows->pins, -1);
        Py_DECREF(rows);
    }
    Py_XDECREF(item);
    Py_XDECREF(table);
}

/* A pair, which takes its parts over. Like dict's, the iterator uses the last one again if
 * nobody else has it any more, which halves the time of a step; until then that pair holds
 * what it held. */
ALWAYS_INLINE PyObject *
iterator_pair(Iterator *it, PyObject *first, PyObject *second)
{
    PyObject *item = it->item;
#ifndef Py_GIL_DISABLED  /* there, a count says nothing about other threads */
    if (LIKELY(item != NULL && Py_REFCNT(item) == 1)) {
        PyObject *old_first = PyTuple_GET_ITEM(item, 0);
        PyObject *old_second = PyTuple_GET_ITEM(item, 1);
        Py_INCREF(item);
        PyTuple_SET_ITEM(item, 0, first);
        PyTuple_SET_ITEM(item, 1, second);
        tuple_reset_hash(item);
        if (!PyObject_GC_IsTracked(item)) {  /* the collector untracks pairs of atoms */
            PyObject_GC_Track(item);
        }
        Py_DECREF(old_first);
        Py_DECREF(old_second);
        return item;
    }
#endif
    item = PyTuple_New(2);
    if (item == NULL) {
        Py_DECREF(first);
        Py_DECREF(second);
        return NULL;
    }
    PyTuple_SET_ITEM(item, 0, first);
    PyTuple_SET_ITEM(item, 1, second);
#ifndef Py_GIL_DISABLED
    Py_XSETREF(it->item, Py_NewRef(item));
#endif
    return item;
}

/* What an iterator yields for a live row, given new references to its two sides, which are
 * used up. NULL with an exception on failure. */
ALWAYS_INLINE PyObject *
iterator_yield(Iterator *it, PyObject **row, Kind kind, PyObject *referent, PyObject *strong)
{
    PyObject *result;
    switch (it->yield) {
    case ITEMS:
        return kind == VALUE ? iterator_pair(it, strong, referent)
                             : iterator_pair(it, referent, strong);
    case REFERENTS:
        Py_XDECREF(strong);
        return referent;
    case STRONGS:
        Py_DECREF(referent);
        return strong;
    default:
        result = Py_NewRef(row[kind == PAIR ? STRONG : REF]);
        Py_DECREF(referent);
        Py_XDECREF(strong);
        return result;
    }
}

static PyObject *
iterator_step(Iterator *it, Kind kind)
{
    bool lenient = it->table->lenient;
    while (it->next < it->end) {
        PyObject **row = row_at(it->rows, kind, it->reverse ? --it->end : it->next++);
        PyObject *referent, *strong;
        if (kind != PAIR && it->yield == REFERENTS) {  /* the other side is not asked for */
            if (row[REF] != NULL && ref_get(row[REF], lenient, &referent) == 1) {
                return referent;
            }
        }
        else if (row_get(row, kind, lenient, &referent, &strong)) {
            return iterator_yield(it, row, kind, referent, strong);
        }
    }
    return NULL;
}

static PyObject *
iterator_next(PyObject *self)
{
    Iterator *it = (Iterator *)self;
    PyObject *result = NULL;
    PyObject *table;
    Py_BEGIN_CRITICAL_SECTION(self);
    table = Py_XNewRef((PyObject *)it->table);
    Py_END_CRITICAL_SECTION();
    if (table == NULL) {
        return NULL;
    }
    Py_BEGIN_CRITICAL_SECTION2(self, table);
    if (it->rows != NULL) {
        result = it->kind == VALUE ? iterator_step(it, VALUE)
                 : it->kind == PAIR ? iterator_step(it, PAIR)
                 : is_set(it->kind) ? iterator_step(it, SET) : iterator_step(it, KEY);
    }
    if (result == NULL && !PyErr_Occurred()) {
        iterator_finish(it);
    }
    Py_END_CRITICAL_SECTION2();
    Py_DECREF(table);
    return result;
}

static PyObject *
iterator_length_hint(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Iterator *it = (Iterator *)self;
    Py_ssize_t hint = 0;
    Py_BEGIN_CRITICAL_SECTION(self);
    if (it->table != NULL) {
        hint = it->end - it->next;
        if (hint > it->table->live) {
            hint = it->table->live;
        }
    }
    Py_END_CRITICAL_SECTION();
    return PyLong_FromSsize_t(hint);
}

static int
iterator_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)((Iterator *)self)->table);
    Py_VISIT((PyObject *)((Iterator *)self)->rows);
    Py_VISIT(((Iterator *)self)->item);
    return 0;
}

static int
iterator_clear(PyObject *self)
{
    iterator_finish((Iterator *)self);
    return 0;
}

static void
iterator_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    iterator_finish((Iterator *)self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef iterator_methods[] = {
    {"__length_hint__", iterator_length_hint, METH_NOARGS,
     "Return an upper bound of what is left to visit."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot iterator_slots[] = {
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iterator_next},
    {Py_tp_methods, iterator_methods},
    {Py_tp_traverse, iterator_traverse},
    {Py_tp_clear, iterator_clear},
    {Py_tp_dealloc, iterator_dealloc},
    {Py_tp_doc, "An iterator over the live entries of a weak container."},
    {0, NULL},
};

static PyType_Spec iterator_spec = {
    .name = "weakly.Iterator",
    .basicsize = sizeof(Iterator),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = iterator_slots,
};

#endif
