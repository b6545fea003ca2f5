/* What the types have in common that are caches, Memo and CacheTable: how they come and go, are
 * bounded, counted and checked, and how an entry is forgotten. */

#ifndef WEAKLY_CACHETYPE_H
#define WEAKLY_CACHETYPE_H

#include "window.h"

/* How a cache is bounded */

/* A number of seconds, or None. */
static int
parse_ttl(PyObject *object, void *target)
{
    double *ttl = target;
    *ttl = object == Py_None ? INFINITY : PyFloat_AsDouble(object);
    return !(*ttl == -1.0 && PyErr_Occurred());
}

/* A bound, or None. Sums of weights must not overflow. */
static int
parse_maxsize(PyObject *object, void *target)
{
    Py_ssize_t *maxsize = target;
    if (object == Py_None) {
        *maxsize = PY_SSIZE_T_MAX;
        return 1;
    }
    *maxsize = PyNumber_AsSsize_t(object, PyExc_OverflowError);
    if (*maxsize > PY_SSIZE_T_MAX / 4) {
        PyErr_Format(PyExc_OverflowError, "maxsize is too large: %R", object);
        return 0;
    }
    return !(*maxsize == -1 && PyErr_Occurred());
}

/* Life and death of the types that are caches */

static Cache *
cache_new(PyTypeObject *type)
{
    PyObject *module = module_of_type(type);
    Cache *self = module == NULL ? NULL : (Cache *)type->tp_alloc(type, 0);
    if (self != NULL) {  /* all else is zero */
        self->module = Py_NewRef(module);
        self->state = state_of_module(module);
        self->ttl = self->earliest = INFINITY;
    }
    return self;
}

static int
cache_traverse(PyObject *self, visitproc visit, void *arg)
{
    return cache_visit((Cache *)self, visit, arg, true);
}

/* What is being made meanwhile is not to be stored (`generation`). */
static void
cache_clear_entries(Cache *cache, Cause cause)
{
    Gone gone = {NULL};
    Py_BEGIN_CRITICAL_SECTION(cache);
    cache->generation++;
    cache_empty(cache, &gone, cause);
    Py_END_CRITICAL_SECTION();
    gone_release(&gone);
}

static int
cache_clear_slot(PyObject *op)
{
    Cache *self = (Cache *)op;
    cache_clear_entries(self, UNTOLD);
    if (self->weak_values) {
        Py_CLEAR(self->weigh);
        Py_CLEAR(self->on_evict);
        Py_CLEAR(self->alive);
    }
    else {
        Py_CLEAR(self->dict);
        Py_CLEAR(self->miss);
    }
    return 0;
}

static void
cache_dealloc(PyObject *op)
{
    Cache *self = (Cache *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_TRASHCAN_BEGIN(op, cache_dealloc)
    if (self->listed) {
        caches_remove(self);
    }
    if (self->callback != NULL) {  /* nothing is heard from here on */
        death_callback_detach(self->callback);
        Py_CLEAR(self->callback);
    }
    PyObject_ClearWeakRefs(op);
    cache_clear_slot(op);
    window_free(self->window);
    PyObject *module = self->module;
    type->tp_free(op);
    Py_DECREF(type);
    Py_DECREF(module);
    Py_TRASHCAN_END
}

/* Forgetting */

/* Takes the entry of a call out: 1 and a new reference to its value; 0 and NULL if there is none,
 * or one that has expired or is dead; -1 and NULL with an exception set. With `only`, takes no
 * other value out; without, what is being made meanwhile is not to be stored (`generation`). */
static int
cache_pop(Cache *self, Call *call, PyObject *only, PyObject **value)
{
    Gone gone = {NULL};
    Entry *entry;
    int found;
    *value = NULL;
    if (call_hash(self, call) < 0) {
        return -1;
    }
    Py_BEGIN_CRITICAL_SECTION(self);
    self->generation += only == NULL;
    found = cache_find(self, call, &entry);
    if (found == 1 && only != NULL && entry->value != only) {
        found = 0;
    }
    if (found == 1) {
        bool expired = entry_has_expired(entry);
        *value = expired ? NULL : entry_value(entry);
        found = *value != NULL;
        cache_drop(self, entry, &gone, found ? DELETED : expired ? EXPIRED : DEAD);
    }
    Py_END_CRITICAL_SECTION();
    gone_release(&gone);
    return found;
}

/* The same as a bool: was there an entry? */
static PyObject *
cache_discard(Cache *self, Call *call, PyObject *only)
{
    PyObject *value;
    int found = cache_pop(self, call, only, &value);
    Py_XDECREF(value);
    return found < 0 ? NULL : PyBool_FromLong(found);
}

/* Counts and checks */

typedef struct {
    Py_ssize_t hits, misses, count;
} Counts;

static void
cache_add_counts(Cache *self, Counts *counts)
{
    Gone gone = {NULL};
    Py_BEGIN_CRITICAL_SECTION(self);
    counts->hits += self->hits;
    counts->misses += self->misses;
    counts->count += cache_len(self, &gone);
    Py_END_CRITICAL_SECTION();
    gone_release(&gone);
}

static PyObject *
counts_info(State *state, Counts counts, Py_ssize_t maxsize)
{
    PyObject *bound = maxsize == PY_SSIZE_T_MAX ? Py_NewRef(Py_None) : PyLong_FromSsize_t(maxsize);
    return bound == NULL ? NULL
           : PyObject_CallFunction(state->cache_info_type, "nnNn", counts.hits, counts.misses,
                                   bound, counts.count);
}

static Py_ssize_t
cache_maxsize(Cache *self)
{
    return self->window == NULL ? PY_SSIZE_T_MAX : self->window->maxsize;
}

static PyObject *
cache_info(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    Cache *self = (Cache *)op;
    Counts counts = {0, 0, 0};
    cache_add_counts(self, &counts);
    return counts_info(self->state, counts, cache_maxsize(self));
}

static void
cache_forget_counts(Cache *self)
{
    Py_BEGIN_CRITICAL_SECTION(self);
    self->hits = self->misses = 0;
    Py_END_CRITICAL_SECTION();
}

static PyObject *
cache_check(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const char *fault;
    Py_BEGIN_CRITICAL_SECTION(op);
    fault = cache_fault((Cache *)op);
    if (fault == NULL && ((Cache *)op)->window != NULL) {
        fault = window_fault(((Cache *)op)->window);
    }
    Py_END_CRITICAL_SECTION();
    if (fault != NULL) {
        PyErr_Format(PyExc_AssertionError, "inconsistent cache: %s", fault);
        return NULL;
    }
    Py_RETURN_NONE;
}

#endif
