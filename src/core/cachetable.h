/* CacheTable, the base of WeakCache: a cache with keys, of whose values those in the window are
 * held strongly and the others weakly. */

#ifndef WEAKLY_CACHETABLE_H
#define WEAKLY_CACHETABLE_H

#include "cachetype.h"
#include "mapping.h"

static PyObject *
cachetable_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    Cache *self = cache_new(type);
    if (self != NULL) {
        self->weak_values = true;
        self->window = window_new(1, true);
        if (self->window == NULL) {
            Py_CLEAR(self);
        }
    }
    return (PyObject *)self;
}

static void
swap_objects(PyObject **one, PyObject **other)
{
    PyObject *object = *one;
    *one = *other;
    *other = object;
}

/* _configure(maxsize, ttl, weigh, on_evict); once, before anything is stored */
static PyObject *
cachetable_configure(PyObject *op, PyObject *args)
{
    Cache *self = (Cache *)op;
    Py_ssize_t maxsize;
    double ttl;
    PyObject *weigh, *on_evict;
    if (!PyArg_ParseTuple(args, "O&O&OO:_configure", parse_maxsize, &maxsize, parse_ttl, &ttl,
                          &weigh, &on_evict)) {
        return NULL;
    }
    Window *window = window_new(maxsize, true);
    bool listens = on_evict != Py_None;
    PyObject *alive = window == NULL || !listens ? NULL : PyWeakref_NewRef(op, NULL);
    if (window == NULL || (listens && alive == NULL)) {
        window_free(window);
        return NULL;
    }
    weigh = weigh == Py_None ? NULL : Py_NewRef(weigh);
    on_evict = listens ? Py_NewRef(on_evict) : NULL;
    bool in_use;
    Py_BEGIN_CRITICAL_SECTION(self);
    in_use = self->buckets != NULL;
    if (!in_use) {
        Window *old = self->window;
        self->window = window;
        window = old;
        swap_objects(&self->weigh, &weigh);
        swap_objects(&self->on_evict, &on_evict);
        swap_objects(&self->alive, &alive);
        self->ttl = ttl;
    }
    Py_END_CRITICAL_SECTION();
    window_free(window);
    Py_XDECREF(weigh);
    Py_XDECREF(on_evict);
    Py_XDECREF(alive);
    if (in_use) {
        PyErr_SetString(PyExc_RuntimeError, "a cache in use cannot be initialized again");
        return NULL;
    }
    Py_RETURN_NONE;
}

/* The value of a key: 1 and a new reference, 0 and NULL, or -1 with an exception set. */
ALWAYS_INLINE int
cachetable_find(PyObject *op, PyObject *key, PyObject **value)
{
    Cache *self = (Cache *)op;
    Call call = {&key, 1, NULL, PyObject_Hash(key)};
    Gone gone = {NULL};
    int found;
    *value = NULL;
    if (UNLIKELY(call.hash == -1)) {
        return -1;
    }
    Py_BEGIN_CRITICAL_SECTION(self);
    found = cache_get(self, &call, &gone, value);
    *(found == 1 ? &self->hits : &self->misses) += found >= 0;
    Py_END_CRITICAL_SECTION();
    gone_release(&gone);
    return found;
}

static PyObject *
cachetable_subscript(PyObject *self, PyObject *key)
{
    PyObject *value;
    if (UNLIKELY(cachetable_find(self, key, &value) == 0)) {
        set_key_error(key);
    }
    return value;
}

static PyObject *
cachetable_get(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *key, *fallback, *value;
    if (parse_key_default("get", args, nargs, kwnames, &key, &fallback) < 0) {
        return NULL;
    }
    int found = cachetable_find(self, key, &value);
    return found == 0 ? Py_NewRef(fallback) : value;
}

/* As cachetable_find(), but that it is no use of the entry and is not counted. */
static int
cachetable_peek(PyObject *op, PyObject *key, PyObject **value)
{
    Cache *self = (Cache *)op;
    Call call = {&key, 1, NULL, PyObject_Hash(key)};
    Entry *entry;
    int found;
    *value = NULL;
    if (call.hash == -1) {
        return -1;
    }
    Py_BEGIN_CRITICAL_SECTION(self);
    found = cache_find(self, &call, &entry);
    if (found == 1) {
        bool expired = entry_has_expired(entry);
        *value = expired ? NULL : entry_value(entry);
        found = *value != NULL;
    }
    Py_END_CRITICAL_SECTION();
    return found;
}

static int
cachetable_contains(PyObject *self, PyObject *key)
{
    PyObject *value;
    int found = cachetable_peek(self, key, &value);
    Py_XDECREF(value);
    return found;
}

/* _find(key, default) */
static PyObject *
cachetable_find_method(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *value;
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "_find() takes a key and a default");
        return NULL;
    }
    int found = cachetable_peek(self, args[0], &value);
    return found == 0 ? Py_NewRef(args[1]) : value;
}

static PyObject *
cachetable_pop(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *value;
    Call call = {args, 1, NULL, 0};
    if (nargs < 1 || nargs > 2) {
        PyErr_Format(PyExc_TypeError, "pop() takes a key and at most a default (%zd given)",
                     nargs);
        return NULL;
    }
    int found = cache_pop((Cache *)self, &call, NULL, &value);
    if (found == 0 && nargs == 2) {
        return Py_NewRef(args[1]);
    }
    if (found == 0) {
        set_key_error(args[0]);
    }
    return value;
}

static PyObject *
cachetable_discard(PyObject *self, PyObject *key)
{
    Call call = {&key, 1, NULL, 0};
    return cache_discard((Cache *)self, &call, NULL);
}

/* What a value weighs, asked of the user's function; -1 with an exception set. `weigh` can be
 * NULL; `weight`, if not NULL, is the answer. */
static Py_ssize_t
weight_of(PyObject *weigh, PyObject *value, PyObject *weight)
{
    if (weight == NULL && weigh == NULL) {
        return 1;
    }
    PyObject *answer = weight != NULL ? Py_NewRef(weight) : PyObject_CallOneArg(weigh, value);
    if (answer == NULL) {
        return -1;
    }
    Py_ssize_t result = -1;
    if (!PyLong_Check(answer)) {
        PyErr_Format(PyExc_TypeError, "the weight of a value must be an int, not '%.200s'",
                     Py_TYPE(answer)->tp_name);
    }
    else {
        result = PyNumber_AsSsize_t(answer, NULL);
        if (result < 0) {
            result = -1;
            if (!PyErr_Occurred()) {
                PyErr_Format(PyExc_ValueError, "the weight of a value must not be negative: %R",
                             answer);
            }
        }
    }
    Py_DECREF(answer);
    return result;
}

/* A cache that a finalizer has saved from the collector tells its listener again. */
static int
cachetable_revive(Cache *self)
{
    if (UNLIKELY(self->alive != NULL && ref_address(self->alive) == Py_None)) {
        PyObject *dead = self->alive, *alive = PyWeakref_NewRef((PyObject *)self, NULL);
        if (alive == NULL) {
            return -1;
        }
        self->alive = alive;
        Py_DECREF(dead);
    }
    return 0;
}

/* Stores a value; NULL for the cache's own time to live and for what the cache's function
 * says of the weight. Returns the value that is stored then, as a new reference. */
static PyObject *
cachetable_put(PyObject *op, PyObject *key, PyObject *value, double ttl, PyObject *weight,
               bool absent_only)
{
    Cache *self = (Cache *)op;
    Call call = {&key, 1, NULL, PyObject_Hash(key)};
    Gone gone = {NULL};
    PyObject *result = NULL, *weigh;
    if (call.hash == -1) {
        return NULL;
    }
    Py_BEGIN_CRITICAL_SECTION(self);
    weigh = Py_XNewRef(self->weigh);
    Py_END_CRITICAL_SECTION();
    Py_ssize_t weighs = weight_of(weigh, value, weight);
    Py_XDECREF(weigh);
    if (weighs < 0) {
        return NULL;
    }
    Py_BEGIN_CRITICAL_SECTION(self);
    Entry *entry = cachetable_revive(self) < 0 ? NULL : entry_new(self, &call, value);
    if (entry != NULL) {
        Py_ssize_t maxsize = self->window->maxsize;
        entry->weight = weighs > maxsize ? maxsize + 1 : weighs;
        if (ttl < INFINITY) {
            entry->expires = monotonic_seconds() + ttl;
        }
        result = cache_put(self, &call, entry, absent_only, &gone);
    }
    Py_END_CRITICAL_SECTION();
    gone_release(&gone);
    return result;
}

/* _put(key, value, ttl, weight, absent_only) */
static PyObject *
cachetable_put_method(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    double ttl;
    if (nargs != 5) {
        PyErr_SetString(PyExc_TypeError, "_put() takes five arguments");
        return NULL;
    }
    int absent_only = PyObject_IsTrue(args[4]);
    if (absent_only < 0 || !parse_ttl(args[2], &ttl)) {
        return NULL;
    }
    return cachetable_put(op, args[0], args[1], args[2] == Py_None ? ((Cache *)op)->ttl : ttl,
                          args[3] == Py_None ? NULL : args[3], absent_only);
}

static int
cachetable_ass_subscript(PyObject *op, PyObject *key, PyObject *value)
{
    if (value != NULL) {
        PyObject *stored = cachetable_put(op, key, value, ((Cache *)op)->ttl, NULL, false);
        Py_XDECREF(stored);
        return stored == NULL ? -1 : 0;
    }
    PyObject *old;
    Call call = {&key, 1, NULL, 0};
    int found = cache_pop((Cache *)op, &call, NULL, &old);
    if (found == 0) {
        set_key_error(key);
    }
    Py_XDECREF(old);
    return found == 1 ? 0 : -1;
}

/* The live entries as a list of (key, value). */
static PyObject *
cachetable_entries(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    Cache *self = (Cache *)op;
    Gone gone = {NULL};
    PyObject **objects;         /* keys and values, owned, gathered before any code can run */
    Py_ssize_t count = 0;
    Py_BEGIN_CRITICAL_SECTION(self);
    (void)cache_len(self, &gone);
    objects = PyMem_Malloc((size_t)(self->count + 1) * 2 * sizeof(PyObject *));
    if (objects != NULL) {
        FOR_ENTRIES(self, entry) {
            PyObject *value = entry_value(entry);
            if (value != NULL) {
                objects[count++] = Py_NewRef(entry->items[0].object);
                objects[count++] = value;
            }
        }
    }
    Py_END_CRITICAL_SECTION();
    gone_release(&gone);
    if (objects == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; i < count; i += 2) {
        PyObject *pair = list == NULL ? NULL : PyTuple_Pack(2, objects[i], objects[i + 1]);
        if (pair == NULL || PyList_Append(list, pair) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(pair);
        Py_DECREF(objects[i]);
        Py_DECREF(objects[i + 1]);
    }
    PyMem_Free(objects);
    return list;
}

static Py_ssize_t
cachetable_length(PyObject *op)
{
    Gone gone = {NULL};
    Py_ssize_t length;
    Py_BEGIN_CRITICAL_SECTION(op);
    length = cache_len((Cache *)op, &gone);
    Py_END_CRITICAL_SECTION();
    gone_release(&gone);
    return length;
}

static PyObject *
cachetable_clear(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    cache_clear_entries((Cache *)op, DELETED);
    Py_RETURN_NONE;
}

static PyObject *
cachetable_cache_clear(PyObject *op, PyObject *ignored)
{
    cache_forget_counts((Cache *)op);
    return cachetable_clear(op, ignored);
}

static PyObject *
cachetable_expire(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    Gone gone = {NULL};
    Py_ssize_t expired;
    Py_BEGIN_CRITICAL_SECTION(op);
    expired = cache_sweep((Cache *)op, &gone);
    Py_END_CRITICAL_SECTION();
    gone_release(&gone);
    return PyLong_FromSsize_t(expired);
}

static PyObject *
cachetable_shrink(PyObject *op, PyObject *weight)
{
    Gone gone = {NULL};
    Py_ssize_t target = PyNumber_AsSsize_t(weight, NULL), count;
    if (target == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (target < 0) {
        PyErr_Format(PyExc_ValueError, "a window cannot weigh less than nothing: %R", weight);
        return NULL;
    }
    Py_BEGIN_CRITICAL_SECTION(op);
    count = window_shrink((Cache *)op, target, &gone);
    Py_END_CRITICAL_SECTION();
    gone_release(&gone);
    return PyLong_FromSsize_t(count);
}

static PyObject *
cachetable_window_weight(PyObject *op, void *Py_UNUSED(closure))
{
    Py_ssize_t weight;
    Py_BEGIN_CRITICAL_SECTION(op);
    weight = window_weight(((Cache *)op)->window);
    Py_END_CRITICAL_SECTION();
    return PyLong_FromSsize_t(weight);
}

static PyMethodDef cachetable_methods[] = {
    {"get", FUNCTION(cachetable_get), METH_FASTCALL | METH_KEYWORDS,
     "get($self, key, default=None)\n--\n\n"
     "Return the value for a key if it is there, else the default. O(1)."},
    {"pop", FUNCTION(cachetable_pop), METH_FASTCALL,
     "Remove a key and return its value, or the default if given, else raise KeyError."},
    {"clear", cachetable_clear, METH_NOARGS, "clear($self, /)\n--\n\nRemove all entries."},
    {"expire", cachetable_expire, METH_NOARGS,
     "expire($self, /)\n--\n\nRemove the entries that have expired; return how many. O(n)."},
    {"shrink", cachetable_shrink, METH_O,
     "shrink($self, weight, /)\n--\n\n"
     "Let the coldest values leave the window until it weighs no more than that; return how "
     "many left."},
    {"cache_info", cache_info, METH_NOARGS,
     "cache_info($self, /)\n--\n\n"
     "Return the numbers of hits and misses, the bound and the number of entries."},
    {"cache_clear", cachetable_cache_clear, METH_NOARGS,
     "cache_clear($self, /)\n--\n\nRemove all entries, and forget the numbers of hits and misses."},
    {"cache_discard", cachetable_discard, METH_O,
     "cache_discard($self, key, /)\n--\n\nRemove a key; tell whether it was there."},
    {"_configure", cachetable_configure, METH_VARARGS, "Say how the cache keeps its values."},
    {"_put", FUNCTION(cachetable_put_method), METH_FASTCALL,
     "Store a value, or leave the one that is there; return what is stored then."},
    {"_find", FUNCTION(cachetable_find_method), METH_FASTCALL,
     "The value for a key, or a default; no use of it, and not counted."},
    {"_entries", cachetable_entries, METH_NOARGS, "The live entries as (key, value)."},
    {"_check", cache_check, METH_NOARGS, "Verify every invariant of the cache."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "See PEP 585."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef cachetable_getset[] = {
    {"window_weight", cachetable_window_weight, NULL,
     "the weight of what is in the window, never more than maxsize", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef cachetable_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Cache, weaklist), READONLY, NULL},
    {"_generation", T_PYSSIZET, offsetof(Cache, generation), READONLY,
     "how often somebody had entries removed"},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot cachetable_slots[] = {
    {Py_tp_new, cachetable_new},
    {Py_tp_traverse, cache_traverse},
    {Py_tp_clear, cache_clear_slot},
    {Py_tp_dealloc, cache_dealloc},
    {Py_tp_methods, cachetable_methods},
    {Py_tp_getset, cachetable_getset},
    {Py_tp_members, cachetable_members},
    {Py_mp_subscript, cachetable_subscript},
    {Py_mp_ass_subscript, cachetable_ass_subscript},
    {Py_mp_length, cachetable_length},
    {Py_sq_contains, cachetable_contains},
    {Py_tp_doc, "What is behind WeakCache."},
    {0, NULL},
};

static PyType_Spec cachetable_spec = {
    .name = "weakly._core.CacheTable",
    .basicsize = sizeof(Cache),
    .flags = CONTAINER_FLAGS,
    .slots = cachetable_slots,
};

#endif
