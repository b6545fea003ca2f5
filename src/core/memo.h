/* Memo, what `weakly.cache` makes: a function with a cache of its results by its arguments.
 *
 * A hit runs no Python code but the __hash__ and __eq__ of arguments; on a miss a function in
 * Python is called, which sees to it that of many threads only one calculates. */

#ifndef WEAKLY_MEMO_H
#define WEAKLY_MEMO_H

#include "cachetype.h"
#include "decorated.h"

static int
memo_configure(Cache *memo, const MemoOptions *options)
{
    if (options->maxsize != PY_SSIZE_T_MAX) {
        memo->window = window_new(options->maxsize, false);
        if (memo->window == NULL) {
            return -1;
        }
    }
    memo->ttl = options->ttl;
    memo->typed = options->typed;
    memo->by_identity = options->by_identity;
    memo->always_miss = options->always_miss;
    return 0;
}

static PyObject *memo_vectorcall(PyObject *self, PyObject *const *args, size_t nargsf,
                                 PyObject *kwnames);

static PyObject *
memo_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    Cache *self = cache_new(type);
    if (self != NULL) {
        self->vectorcall = memo_vectorcall;
    }
    return (PyObject *)self;
}

/* Memo(miss, maxsize, ttl, typed, by_identity, always_miss) */
static int
memo_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"miss", "maxsize", "ttl", "typed", "by_identity", "always_miss", NULL};
    Cache *self = (Cache *)op;
    MemoOptions options;
    PyObject *miss;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO&O&ppp:Memo", names, &miss, parse_maxsize,
                                     &options.maxsize, parse_ttl, &options.ttl, &options.typed,
                                     &options.by_identity, &options.always_miss)) {
        return -1;
    }
    if (self->miss != NULL) {
        PyErr_SetString(PyExc_TypeError, "a Memo is initialized once");
        return -1;
    }
    self->miss = Py_NewRef(miss);
    return memo_configure(self, &options);
}

/* Calling */

/* The result of a call: 1 and a new reference, 0 and NULL, or -1 with an exception set. */
ALWAYS_INLINE int
memo_find(Cache *self, Call *call, bool count, PyObject **result)
{
    Gone gone = {NULL};
    int found;
    if (UNLIKELY(call_hash(self, call) < 0)) {
        *result = NULL;
        return -1;
    }
    Py_BEGIN_CRITICAL_SECTION(self);
    found = cache_get(self, call, &gone, result);
    self->hits += count && found == 1;
    Py_END_CRITICAL_SECTION();
    gone_release(&gone);
    return found;
}

/* The arguments of a call as a tuple and a dict; -1 with an exception set. */
static int
pack_arguments(const Call *call, PyObject **args, PyObject **kwargs)
{
    Py_ssize_t named = call->names == NULL ? 0 : PyTuple_GET_SIZE(call->names);
    Py_ssize_t count = call->count - named;
    *kwargs = NULL;
    *args = PyTuple_New(count);
    if (*args == NULL || (*kwargs = PyDict_New()) == NULL) {
        goto failed;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyTuple_SET_ITEM(*args, i, Py_NewRef(call->args[i]));
    }
    for (Py_ssize_t i = 0; i < named; i++) {
        if (PyDict_SetItem(*kwargs, PyTuple_GET_ITEM(call->names, i), call->args[count + i]) < 0) {
            goto failed;
        }
    }
    return 0;
failed:
    Py_CLEAR(*args);
    Py_CLEAR(*kwargs);
    return -1;
}

/* miss(memo, args, kwargs[, instance]) */
static NOINLINE PyObject *
call_miss(PyObject *miss, PyObject *memo, PyObject *instance, const Call *call)
{
    PyObject *args, *kwargs;
    if (miss == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this cached function was taken apart");
        return NULL;
    }
    if (pack_arguments(call, &args, &kwargs) < 0) {
        return NULL;
    }
    PyObject *arguments[] = {memo, args, kwargs, instance};
    Py_INCREF(miss);
    PyObject *result = PyObject_Vectorcall(miss, arguments, instance == NULL ? 3 : 4, NULL);
    Py_DECREF(miss);
    Py_DECREF(args);
    Py_DECREF(kwargs);
    return result;
}

static inline Call
call_of(PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    if (names != NULL && PyTuple_GET_SIZE(names) == 0) {
        names = NULL;
    }
    return (Call){args, nargs + (names == NULL ? 0 : PyTuple_GET_SIZE(names)), names, 0};
}

static PyObject *
memo_vectorcall(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Cache *self = (Cache *)op;
    PyObject *result = NULL;
    Call call = call_of(args, PyVectorcall_NARGS(nargsf), kwnames);
    int found = UNLIKELY(self->always_miss) ? 0 : memo_find(self, &call, true, &result);
    return UNLIKELY(found == 0) ? call_miss(self->miss, op, NULL, &call) : result;
}

static PyObject *
memo_get(PyObject *self, PyObject *object, PyObject *Py_UNUSED(owner))
{
    return object == NULL || object == Py_None ? Py_NewRef(self) : PyMethod_New(self, object);
}

/* For the functions in Python, to which calls come as a tuple and a dict */

typedef struct {
    Call call;
    PyObject **args;            /* a copy of the arguments, if some are named */
} OpenCall;

static void
call_close(OpenCall *open)
{
    if (open->args != NULL) {
        for (Py_ssize_t i = 0; i < open->call.count; i++) {
            Py_DECREF(open->args[i]);
        }
        PyMem_Free(open->args);
        Py_DECREF(open->call.names);
    }
}

/* -1 with an exception set. Borrows the tuple and the dict. */
static int
call_open(OpenCall *open, PyObject *args, PyObject *kwargs)
{
    if (!PyTuple_Check(args) || !PyDict_Check(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "the arguments of a call are a tuple and a dict");
        return -1;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(args), named = PyDict_GET_SIZE(kwargs);
    open->args = NULL;
    open->call = (Call){((PyTupleObject *)args)->ob_item, count, NULL, 0};
    if (named == 0) {
        return 0;
    }
    open->args = PyMem_Malloc((size_t)(count + named) * sizeof(PyObject *));
    open->call.names = PyTuple_New(named);
    if (open->args == NULL || open->call.names == NULL) {
        PyMem_Free(open->args);
        Py_XDECREF(open->call.names);
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        open->args[i] = Py_NewRef(PyTuple_GET_ITEM(args, i));
    }
    PyObject *name, *value;
    Py_ssize_t position = 0, i = 0;
    while (i < named && PyDict_Next(kwargs, &position, &name, &value)) {
        PyObject *exact = PyUnicode_FromObject(name);  /* one of a subclass could hold anything */
        if (exact == NULL) {
            break;
        }
        PyTuple_SET_ITEM(open->call.names, i, exact);
        open->args[count + i++] = Py_NewRef(value);
    }
    open->call.args = open->args;
    open->call.count = count + i;
    if (i < named) {
        call_close(open);
        return -1;
    }
    return 0;
}

/* Parses (args, kwargs) or (args, kwargs, object) and opens the call. */
static int
parse_call(const char *name, PyObject *const *args, Py_ssize_t nargs, Py_ssize_t expected,
           OpenCall *open)
{
    if (nargs != expected) {
        PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments", name, expected);
        return -1;
    }
    return call_open(open, args[0], args[1]);
}

static PyObject *
memo_hash_method(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    OpenCall open;
    if (parse_call("_hash", args, nargs, 2, &open) < 0) {
        return NULL;
    }
    int status = call_hash((Cache *)op, &open.call);
    call_close(&open);
    return status < 0 ? NULL : PyLong_FromSsize_t(open.call.hash);
}

static PyObject *
memo_find_method(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    OpenCall open;
    PyObject *result;
    if (parse_call("_find", args, nargs, 3, &open) < 0) {
        return NULL;
    }
    int found = memo_find((Cache *)op, &open.call, false, &result);
    call_close(&open);
    return found == 0 ? Py_NewRef(args[2]) : result;
}

static PyObject *
memo_store_method(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    Cache *self = (Cache *)op;
    OpenCall open;
    Gone gone = {NULL};
    PyObject *result = NULL;
    if (parse_call("_store", args, nargs, 3, &open) < 0) {
        return NULL;
    }
    if (call_hash(self, &open.call) == 0) {
        Py_BEGIN_CRITICAL_SECTION(self);
        Entry *entry = entry_new(self, &open.call, args[2]);
        if (entry != NULL) {
            if (self->ttl < INFINITY) {
                entry->expires = monotonic_seconds() + self->ttl;
            }
            result = cache_put(self, &open.call, entry, true, &gone);
        }
        Py_END_CRITICAL_SECTION();
        gone_release(&gone);
    }
    call_close(&open);
    return result;
}

static PyObject *
memo_discard_method(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    OpenCall open;
    if (parse_call("_discard", args, nargs, 3, &open) < 0) {
        return NULL;
    }
    PyObject *taken = cache_discard((Cache *)op, &open.call, args[2]);
    call_close(&open);
    return taken;
}

static PyObject *
memo_cache_discard(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Call call = call_of(args, nargs, kwnames);
    return cache_discard((Cache *)op, &call, NULL);
}

static PyObject *
memo_count(PyObject *op, PyObject *hit)
{
    Cache *self = (Cache *)op;
    int is_hit = PyObject_IsTrue(hit);
    if (is_hit < 0) {
        return NULL;
    }
    Py_BEGIN_CRITICAL_SECTION(self);
    *(is_hit ? &self->hits : &self->misses) += 1;
    Py_END_CRITICAL_SECTION();
    Py_RETURN_NONE;
}

/* What a user sees */

static PyObject *
memo_cache_clear(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    Cache *self = (Cache *)op;
    cache_forget_counts(self);
    cache_clear_entries(self, UNTOLD);
    Py_RETURN_NONE;
}

static PyObject *
memo_cache_parameters(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    Cache *self = (Cache *)op;
    MemoOptions options = {cache_maxsize(self), self->ttl, self->typed, self->by_identity, 0};
    return options_dict(&options);
}

static PyMethodDef memo_methods[] = {
    {"cache_info", cache_info, METH_NOARGS,
     "cache_info($self, /)\n--\n\n"
     "Return the numbers of hits and misses, the bound and the number of results."},
    {"cache_clear", memo_cache_clear, METH_NOARGS,
     "cache_clear($self, /)\n--\n\nForget all results, and the numbers of hits and misses."},
    {"cache_parameters", memo_cache_parameters, METH_NOARGS,
     "cache_parameters($self, /)\n--\n\nReturn the options of the cache as a new dict."},
    {"cache_discard", FUNCTION(memo_cache_discard), METH_FASTCALL | METH_KEYWORDS,
     "Forget the result for these arguments; tell whether there was one."},
    {"_hash", FUNCTION(memo_hash_method), METH_FASTCALL, "The hash of a call."},
    {"_find", FUNCTION(memo_find_method), METH_FASTCALL, "The result of a call, or a default."},
    {"_store", FUNCTION(memo_store_method), METH_FASTCALL,
     "Store the result of a call, unless there is one; return what is stored."},
    {"_discard", FUNCTION(memo_discard_method), METH_FASTCALL,
     "Forget the result of a call if it is this one."},
    {"_count", memo_count, METH_O, "Count a hit or a miss."},
    {"_check", cache_check, METH_NOARGS, "Verify every invariant of the cache."},
    DECORATED_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyMemberDef memo_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Cache, weaklist), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(Cache, dict), READONLY, NULL},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Cache, vectorcall), READONLY, NULL},
    {"_generation", T_PYSSIZET, offsetof(Cache, generation), READONLY,
     "how often somebody had results forgotten"},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot memo_slots[] = {
    {Py_tp_new, memo_new},
    {Py_tp_init, memo_init},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_descr_get, memo_get},
    {Py_tp_traverse, cache_traverse},
    {Py_tp_clear, cache_clear_slot},
    {Py_tp_dealloc, cache_dealloc},
    {Py_tp_methods, memo_methods},
    {Py_tp_members, memo_members},
    {Py_tp_getset, dict_getset},
    {Py_tp_repr, decorated_repr},
    {Py_tp_doc, "A function that remembers its results for as long as its arguments live."},
    {0, NULL},
};

static PyType_Spec memo_spec = {
    .name = "weakly._core.Memo",
    .basicsize = sizeof(Cache),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .slots = memo_slots,
};

#endif
