/* CachedMethod and CachedProperty, what `weakly.cached_method` and `cached_property` make: a
 * Memo, or a value, for each instance of a class, in a table of weak keys by identity whose
 * values do not keep the keys alive (WeakIdKeyTable). So it dies with the instance, and equal
 * instances share nothing. */

#ifndef WEAKLY_CACHEDMEMBER_H
#define WEAKLY_CACHEDMEMBER_H

#include "decorated.h"
#include "mapping.h"
#include "memo.h"

typedef struct {
    PyObject_HEAD
    PyObject *weaklist;
    PyObject *dict;
    vectorcallfunc vectorcall;  /* of a CachedMethod */
    PyObject *module;           /* owned, for the sake of its state */
    State *state;
    PyObject *table;            /* owned: from instances to Memos or values */
    PyObject *miss;             /* owned: what is called on a miss */
    PyObject *bind;             /* of a CachedMethod, owned: makes what `instance.method` is */
    PyObject *name;             /* of a CachedProperty, owned: in its class, or NULL */
    MemoOptions options;
    Py_ssize_t hits, misses;    /* of a CachedProperty */
    Py_ssize_t generation;      /* of a CachedProperty: how often somebody had values forgotten */
} CachedMember;

static PyObject *
member_new(PyTypeObject *type, vectorcallfunc vectorcall)
{
    PyObject *module = module_of_type(type);
    PyObject *table = module == NULL ? NULL
                      : id_key_mapping_new(state_of_module(module)->id_key_table_type, NULL, NULL);
    CachedMember *self = table == NULL ? NULL : (CachedMember *)type->tp_alloc(type, 0);
    if (self == NULL) {
        Py_XDECREF(table);
        return NULL;
    }
    self->vectorcall = vectorcall;
    self->module = Py_NewRef(module);
    self->state = state_of_module(module);
    self->table = table;
    self->options.maxsize = PY_SSIZE_T_MAX;
    return (PyObject *)self;
}

static int
member_traverse(PyObject *op, visitproc visit, void *arg)
{
    CachedMember *self = (CachedMember *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->dict);
    Py_VISIT(self->module);
    Py_VISIT(self->table);
    Py_VISIT(self->miss);
    Py_VISIT(self->bind);
    Py_VISIT(self->name);
    return 0;
}

static int
member_clear(PyObject *op)
{
    CachedMember *self = (CachedMember *)op;
    Py_CLEAR(self->dict);
    Py_CLEAR(self->table);
    Py_CLEAR(self->miss);
    Py_CLEAR(self->bind);
    Py_CLEAR(self->name);
    return 0;
}

static void
member_dealloc(PyObject *op)
{
    CachedMember *self = (CachedMember *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_TRASHCAN_BEGIN(op, member_dealloc)
    PyObject_ClearWeakRefs(op);
    member_clear(op);
    PyObject *module = self->module;
    type->tp_free(op);
    Py_DECREF(type);
    Py_DECREF(module);
    Py_TRASHCAN_END
}

/* The table, as a new reference; NULL with an exception set if it was taken away by the
 * collector, or if the instance cannot be a key. */
ALWAYS_INLINE PyObject *
member_table(CachedMember *self, PyObject *instance)
{
    if (UNLIKELY(self->table == NULL)) {
        PyErr_SetString(PyExc_RuntimeError, "this cached function was taken apart");
        return NULL;
    }
    if (UNLIKELY(!is_referenceable(Py_TYPE(instance)))) {
        PyErr_Format(PyExc_TypeError,
                     "cannot create weak reference to '%.200s' object: what caches by instance "
                     "needs instances that support weak references: add '__weakref__' to the "
                     "__slots__ of the class", Py_TYPE(instance)->tp_name);
        return NULL;
    }
    return Py_NewRef(self->table);
}

/* CachedMethod */

/* CachedMethod(miss, bind, maxsize, ttl, typed, by_identity, always_miss) */
static int
method_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"miss", "bind", "maxsize", "ttl", "typed", "by_identity",
                            "always_miss", NULL};
    CachedMember *self = (CachedMember *)op;
    MemoOptions options;
    PyObject *miss, *bind;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO&O&ppp:CachedMethod", names, &miss, &bind,
                                     parse_maxsize, &options.maxsize, parse_ttl, &options.ttl,
                                     &options.typed, &options.by_identity,
                                     &options.always_miss)) {
        return -1;
    }
    if (self->miss != NULL) {
        PyErr_SetString(PyExc_TypeError, "a CachedMethod is initialized once");
        return -1;
    }
    self->miss = Py_NewRef(miss);
    self->bind = Py_NewRef(bind);
    self->options = options;
    return 0;
}

/* The Memo of an instance, which must not have to be made: 1 and a new reference, 0 and NULL, or
 * -1 with an exception set. */
ALWAYS_INLINE int
method_find_memo(CachedMember *self, PyObject *instance, PyObject **memo)
{
    *memo = NULL;
    PyObject *table = member_table(self, instance);
    if (UNLIKELY(table == NULL)) {
        return -1;
    }
    int found = mapping_find(table, ID_KEY, instance, memo);
    Py_DECREF(table);
    return found;
}

/* The Memo of an instance, made if there is none: a new reference, or NULL with an exception
 * set. */
static NOINLINE PyObject *
method_make_memo(CachedMember *self, PyObject *instance)
{
    PyObject *table = member_table(self, instance);
    PyObject *memo = table == NULL ? NULL : memo_new(self->state->memo_type, NULL, NULL);
    PyObject *existing;
    int status = -1;
    if (memo != NULL && memo_configure((Cache *)memo, &self->options) == 0) {
        Py_BEGIN_CRITICAL_SECTION(table);
        status = table_store((Table *)table, ID_KEY, instance, memo, &existing);
        Py_END_CRITICAL_SECTION();
    }
    Py_XDECREF(table);
    if (status == 0 && existing == NULL) {
        return memo;
    }
    Py_XDECREF(memo);
    return status < 0 ? NULL : existing;
}

static PyObject *
method_vectorcall(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    CachedMember *self = (CachedMember *)op;
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    PyObject *memo, *result = NULL;
    if (UNLIKELY(nargs == 0)) {
        PyErr_SetString(PyExc_TypeError, "a cached method needs an instance as first argument");
        return NULL;
    }
    Call call = call_of(args + 1, nargs - 1, kwnames);
    int found = method_find_memo(self, args[0], &memo);
    if (LIKELY(found == 1) && LIKELY(!self->options.always_miss)) {
        found = memo_find((Cache *)memo, &call, true, &result);
        if (LIKELY(found != 0)) {
            Py_DECREF(memo);
            return result;
        }
    }
    if (found >= 0 && memo == NULL) {
        memo = method_make_memo(self, args[0]);
    }
    if (memo != NULL) {
        result = call_miss(self->miss, memo, args[0], &call);
        Py_DECREF(memo);
    }
    return result;
}

static PyObject *
method_get(PyObject *op, PyObject *object, PyObject *Py_UNUSED(owner))
{
    if (object == NULL || object == Py_None) {
        return Py_NewRef(op);
    }
    PyObject *bind = Py_XNewRef(((CachedMember *)op)->bind);
    if (bind == NULL) {
        return PyMethod_New(op, object);
    }
    PyObject *bound = PyObject_CallFunctionObjArgs(bind, op, object, NULL);
    Py_DECREF(bind);
    return bound;
}

static PyObject *
method_memo(PyObject *op, PyObject *instance)
{
    PyObject *memo;
    int found = method_find_memo((CachedMember *)op, instance, &memo);
    return found == 0 ? Py_NewRef(Py_None) : memo;
}

/* The Memos of all instances, in a tuple, which nobody changes while code runs. */
static PyObject *
method_memos(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    PyObject *table = ((CachedMember *)op)->table;
    PyObject *memos = table == NULL ? PyTuple_New(0) : PyObject_CallMethod(table, "values", NULL);
    PyObject *tuple = memos == NULL ? NULL : PySequence_Tuple(memos);
    Py_XDECREF(memos);
    return tuple;
}

static PyObject *
method_cache_info(PyObject *op, PyObject *ignored)
{
    CachedMember *self = (CachedMember *)op;
    Counts counts = {0, 0, 0};
    PyObject *memos = method_memos(op, ignored);
    if (memos == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(memos); i++) {
        cache_add_counts((Cache *)PyTuple_GET_ITEM(memos, i), &counts);
    }
    Py_DECREF(memos);
    return counts_info(self->state, counts, self->options.maxsize);
}

static PyObject *
method_cache_clear(PyObject *op, PyObject *ignored)
{
    PyObject *memos = method_memos(op, ignored);
    if (memos == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(memos); i++) {
        Py_DECREF(memo_cache_clear(PyTuple_GET_ITEM(memos, i), NULL));
    }
    Py_DECREF(memos);
    Py_RETURN_NONE;
}

static PyObject *
member_cache_parameters(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return options_dict(&((CachedMember *)op)->options);
}

static PyObject *
method_cache_discard(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *memo;
    if (nargs == 0) {
        PyErr_SetString(PyExc_TypeError, "cache_discard() of a cached method takes an instance "
                                         "and the arguments of the call");
        return NULL;
    }
    int found = method_find_memo((CachedMember *)op, args[0], &memo);
    if (found == 1) {
        Call call = call_of(args + 1, nargs - 1, kwnames);
        PyObject *taken = cache_discard((Cache *)memo, &call, NULL);
        Py_DECREF(memo);
        return taken;
    }
    return found < 0 ? NULL : Py_NewRef(Py_False);
}

static PyMethodDef method_methods[] = {
    {"cache_info", method_cache_info, METH_NOARGS,
     "cache_info($self, /)\n--\n\n"
     "Return the numbers of hits and misses, the bound of each instance and the number of "
     "results, of all living instances together."},
    {"cache_clear", method_cache_clear, METH_NOARGS,
     "cache_clear($self, /)\n--\n\nForget the results of all instances."},
    {"cache_parameters", member_cache_parameters, METH_NOARGS,
     "cache_parameters($self, /)\n--\n\nReturn the options of the cache as a new dict."},
    {"cache_discard", FUNCTION(method_cache_discard), METH_FASTCALL | METH_KEYWORDS,
     "Forget an instance's result for these arguments; tell whether there was one."},
    {"_memo", method_memo, METH_O, "The cache of an instance, or None if it has none."},
    {"_memos", method_memos, METH_NOARGS, "The caches of all instances."},
    DECORATED_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyObject *
method_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    return member_new(type, method_vectorcall);
}

static PyMemberDef method_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(CachedMember, weaklist), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(CachedMember, dict), READONLY, NULL},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(CachedMember, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot method_slots[] = {
    {Py_tp_new, method_new},
    {Py_tp_init, method_init},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_descr_get, method_get},
    {Py_tp_traverse, member_traverse},
    {Py_tp_clear, member_clear},
    {Py_tp_dealloc, member_dealloc},
    {Py_tp_methods, method_methods},
    {Py_tp_members, method_members},
    {Py_tp_getset, dict_getset},
    {Py_tp_repr, decorated_repr},
    {Py_tp_doc, "A method that remembers its results for as long as the instance lives."},
    {0, NULL},
};

static PyType_Spec method_spec = {
    .name = "weakly._core.CachedMethod",
    .basicsize = sizeof(CachedMember),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .slots = method_slots,
};

/* CachedProperty */

/* CachedProperty(miss, always_miss) */
static int
property_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"miss", "always_miss", NULL};
    CachedMember *self = (CachedMember *)op;
    PyObject *miss;
    int always_miss;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Op:CachedProperty", names, &miss,
                                     &always_miss)) {
        return -1;
    }
    if (self->miss != NULL) {
        PyErr_SetString(PyExc_TypeError, "a CachedProperty is initialized once");
        return -1;
    }
    self->miss = Py_NewRef(miss);
    self->options.ttl = INFINITY;
    self->options.by_identity = true;
    self->options.always_miss = always_miss;
    return 0;
}

static PyObject *
property_get(PyObject *op, PyObject *instance, PyObject *Py_UNUSED(owner))
{
    CachedMember *self = (CachedMember *)op;
    PyObject *value = NULL;
    if (instance == NULL || instance == Py_None) {
        return Py_NewRef(op);
    }
    PyObject *table = member_table(self, instance);
    if (UNLIKELY(table == NULL)) {
        return NULL;
    }
    int found = UNLIKELY(self->options.always_miss)
                    ? 0 : mapping_find(table, ID_KEY, instance, &value);
    Py_DECREF(table);
    if (LIKELY(found == 1)) {
        SHARED_ADD(&self->hits, 1);
        return value;
    }
    if (found == 0) {
        PyObject *miss = Py_XNewRef(self->miss);
        if (miss == NULL) {
            PyErr_SetString(PyExc_RuntimeError, "this cached property was taken apart");
            return NULL;
        }
        value = PyObject_CallFunctionObjArgs(miss, op, instance, NULL);
        Py_DECREF(miss);
    }
    return value;
}

static int
property_set(PyObject *op, PyObject *instance, PyObject *value)
{
    CachedMember *self = (CachedMember *)op;
    PyObject *table = member_table(self, instance);
    if (table == NULL) {
        return -1;
    }
    int status;
    SHARED_ADD(&self->generation, 1);
    if (value != NULL) {
        status = mapping_ass_subscript(table, ID_KEY, instance, value);
    }
    else {
        PyObject *old;
        status = mapping_take(table, ID_KEY, instance, &old);
        Py_XDECREF(old);
        if (status == 0) {
            PyErr_Format(PyExc_AttributeError, "'%.200s' object has no cached attribute %R",
                         Py_TYPE(instance)->tp_name,
                         self->name == NULL ? Py_None : self->name);
        }
        status = status == 1 ? 0 : -1;
    }
    Py_DECREF(table);
    return status;
}

/* __set_name__(owner, name) */
static PyObject *
property_set_name(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    CachedMember *self = (CachedMember *)op;
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "__set_name__() takes a class and a name");
        return NULL;
    }
    if (self->name != NULL) {
        int same = PyObject_RichCompareBool(self->name, args[1], Py_EQ);
        if (same == 0) {
            PyErr_Format(PyExc_TypeError,
                         "one cached property cannot have two names, %R and %R", self->name,
                         args[1]);
        }
        return same == 1 ? Py_NewRef(Py_None) : NULL;
    }
    self->name = Py_NewRef(args[1]);
    Py_RETURN_NONE;
}

static PyObject *
property_count(PyObject *op, PyObject *hit)
{
    CachedMember *self = (CachedMember *)op;
    int is_hit = PyObject_IsTrue(hit);
    if (is_hit < 0) {
        return NULL;
    }
    SHARED_ADD(is_hit ? &self->hits : &self->misses, 1);
    Py_RETURN_NONE;
}

static PyObject *
property_cache_info(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    CachedMember *self = (CachedMember *)op;
    Py_ssize_t count = self->table == NULL ? 0 : container_length(self->table);
    Counts counts = {SHARED_COUNT(&self->hits), SHARED_COUNT(&self->misses), count};
    return counts_info(self->state, counts, PY_SSIZE_T_MAX);
}

static PyObject *
property_cache_clear(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    CachedMember *self = (CachedMember *)op;
    SHARED_STORE(&self->hits, 0);
    SHARED_STORE(&self->misses, 0);
    SHARED_ADD(&self->generation, 1);
    if (self->table != NULL) {
        PyObject *table = Py_NewRef(self->table);
        (void)container_clear_slot(table);
        Py_DECREF(table);
    }
    Py_RETURN_NONE;
}

static PyObject *
property_cache_discard(PyObject *op, PyObject *instance)
{
    PyObject *old = NULL, *table = member_table((CachedMember *)op, instance);
    if (table == NULL) {
        return NULL;
    }
    SHARED_ADD(&((CachedMember *)op)->generation, 1);
    int found = mapping_take(table, ID_KEY, instance, &old);
    Py_XDECREF(old);
    Py_DECREF(table);
    return found < 0 ? NULL : PyBool_FromLong(found);
}

static PyMethodDef property_methods[] = {
    {"cache_info", property_cache_info, METH_NOARGS,
     "cache_info($self, /)\n--\n\n"
     "Return the numbers of hits and misses, None and the number of instances with a value."},
    {"cache_clear", property_cache_clear, METH_NOARGS,
     "cache_clear($self, /)\n--\n\nForget the values of all instances."},
    {"cache_parameters", member_cache_parameters, METH_NOARGS,
     "cache_parameters($self, /)\n--\n\nReturn the options of the cache as a new dict."},
    {"cache_discard", property_cache_discard, METH_O,
     "cache_discard($self, instance, /)\n--\n\n"
     "Forget the value of an instance; tell whether there was one."},
    {"__set_name__", FUNCTION(property_set_name), METH_FASTCALL, NULL},
    {"_count", property_count, METH_O, "Count a hit or a miss."},
    DECORATED_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyObject *
property_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    return member_new(type, NULL);
}

static PyMemberDef property_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(CachedMember, weaklist), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(CachedMember, dict), READONLY, NULL},
    {"_generation", T_PYSSIZET, offsetof(CachedMember, generation), READONLY,
     "how often somebody had values forgotten"},
    {"_table", T_OBJECT, offsetof(CachedMember, table), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot property_slots[] = {
    {Py_tp_new, property_new},
    {Py_tp_init, property_init},
    {Py_tp_descr_get, property_get},
    {Py_tp_descr_set, property_set},
    {Py_tp_traverse, member_traverse},
    {Py_tp_clear, member_clear},
    {Py_tp_dealloc, member_dealloc},
    {Py_tp_methods, property_methods},
    {Py_tp_members, property_members},
    {Py_tp_getset, dict_getset},
    {Py_tp_repr, decorated_repr},
    {Py_tp_doc, "A property that is calculated once for each instance."},
    {0, NULL},
};

static PyType_Spec property_spec = {
    .name = "weakly._core.CachedProperty",
    .basicsize = sizeof(CachedMember),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = property_slots,
};

#endif
