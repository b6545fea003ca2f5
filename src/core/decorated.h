/* What `weakly.cache`, `cached_method` and `cached_property` make have in common: options, and
 * that they stand in for the function that they decorate. */

#ifndef WEAKLY_DECORATED_H
#define WEAKLY_DECORATED_H

#include <math.h>

#include "state.h"

/* How calls are compared, and for how long results are kept. */
typedef struct {
    Py_ssize_t maxsize;         /* PY_SSIZE_T_MAX: no bound */
    double ttl;
    int typed, by_identity, always_miss;
} MemoOptions;

static PyObject *
number_or_none(double number)
{
    return number < INFINITY ? PyFloat_FromDouble(number) : Py_NewRef(Py_None);
}

static PyObject *
options_dict(const MemoOptions *options)
{
    PyObject *maxsize = options->maxsize == PY_SSIZE_T_MAX
                            ? Py_NewRef(Py_None) : PyLong_FromSsize_t(options->maxsize);
    return Py_BuildValue("{s:N,s:N,s:O,s:s}", "maxsize", maxsize,
                         "ttl", number_or_none(options->ttl),
                         "typed", options->typed ? Py_True : Py_False,
                         "by", options->by_identity ? "identity" : "equality");
}

/* As those of functools: by qualified name, and the same object when copied. */
static PyObject *
decorated_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyObject_GetAttrString(self, "__qualname__");
}

static PyObject *
decorated_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self);
}

static PyObject *
decorated_repr(PyObject *self)
{
    PyObject *name = PyObject_GetAttrString(self, "__qualname__");
    if (name == NULL) {
        PyErr_Clear();  /* it decorates nothing yet */
        return PyUnicode_FromFormat("<%s at %p>", Py_TYPE(self)->tp_name, self);
    }
    PyObject *repr = PyUnicode_FromFormat("<%s of %S at %p>", Py_TYPE(self)->tp_name, name, self);
    Py_DECREF(name);
    return repr;
}

#define DECORATED_METHODS                                                                    \
    {"__reduce__", decorated_reduce, METH_NOARGS, NULL},                                     \
    {"__copy__", decorated_copy, METH_NOARGS, NULL},                                         \
    {"__deepcopy__", decorated_copy, METH_O, NULL}

static PyGetSetDef dict_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#endif
