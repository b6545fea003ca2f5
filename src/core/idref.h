/* IdRef: a weak reference that hashes and compares by the identity of its referent.
 *
 * Two are equal if they were made for one object, and stay so when it is dead, also if a later
 * object has its address. So an address does not do for comparing. Each IdRef owns the
 * object's plain weak reference without a callback, of which the interpreter makes only one
 * while anybody holds it: that is compared. */

#ifndef WEAKLY_IDREF_H
#define WEAKLY_IDREF_H

#include "entry.h"

typedef struct {
    PyWeakReference base;
    PyObject *anchor;           /* owned */
} IdRef;

static void id_ref_dealloc(PyObject *self);

static PyObject *
id_ref_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"obj", "callback", NULL};
    PyObject *referent, *callback = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:IdRef", names, &referent, &callback)) {
        return NULL;
    }
    PyObject *anchor = PyWeakref_NewRef(referent, NULL);
    PyObject *arguments = anchor == NULL ? NULL : PyTuple_Pack(2, referent, callback);
    PyObject *self = arguments == NULL ? NULL
                     : _PyWeakref_RefType.tp_new(type, arguments, NULL);
    Py_XDECREF(arguments);
    if (self == NULL) {
        Py_XDECREF(anchor);
        return NULL;
    }
    ((PyWeakReference *)self)->hash = hash_address(referent);
    ((IdRef *)self)->anchor = anchor;
    return self;
}

/* ref's own takes no keywords. */
static int
id_ref_init(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    return 0;
}

static Py_hash_t
id_ref_hash(PyObject *self)
{
    return ((PyWeakReference *)self)->hash;
}

/* Is it an IdRef, or of a subclass? */
static bool
is_id_ref(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    while (type != NULL && type->tp_dealloc != id_ref_dealloc) {
        type = type->tp_base;
    }
    return type != NULL;
}

/* Another kind of reference is never equal: it compares its referent by equality. */
static PyObject *
id_ref_richcompare(PyObject *self, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || !PyWeakref_CheckRef(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    bool equal = is_id_ref(other) && ((IdRef *)self)->anchor == ((IdRef *)other)->anchor;
    return PyBool_FromLong(equal == (op == Py_EQ));
}

static PyObject *
id_ref_refers_to(PyObject *self, PyObject *object)
{
    /* None is what a dead reference has in that place; it cannot be a referent. */
    return PyBool_FromLong(object != Py_None && ref_address(self) == object);
}

static int
id_ref_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((IdRef *)self)->anchor);
    return _PyWeakref_RefType.tp_traverse(self, visit, arg);
}

/* The anchor holds nothing, so it is in no cycle. */
static int
id_ref_clear(PyObject *self)
{
    return _PyWeakref_RefType.tp_clear(self);
}

static void
id_ref_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject *anchor = ((IdRef *)self)->anchor;
    PyObject_GC_UnTrack(self);
    _PyWeakref_RefType.tp_dealloc(self);
    Py_DECREF(type);
    Py_DECREF(anchor);
}

static PyMethodDef id_ref_methods[] = {
    {"refers_to", id_ref_refers_to, METH_O,
     "refers_to($self, obj, /)\n--\n\n"
     "Tell whether this refers to that very object; false once it is dead. Makes no strong "
     "reference."},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(id_ref_doc,
"IdRef(obj, callback=None)\n--\n\n"
"A weak reference that hashes and compares by the identity of its referent.\n\n"
"Two are equal if they were made for the same object, before its death and after; no\n"
"`__hash__` or `__eq__` of the object is called, so it need not be hashable. The callback, if\n"
"any, is called with the reference when the object dies. Raises TypeError for an object that\n"
"cannot be weakly referenced.");

static PyType_Slot id_ref_slots[] = {
    {Py_tp_new, id_ref_new},
    {Py_tp_init, id_ref_init},
    {Py_tp_hash, id_ref_hash},
    {Py_tp_richcompare, id_ref_richcompare},
    {Py_tp_traverse, id_ref_traverse},
    {Py_tp_clear, id_ref_clear},
    {Py_tp_dealloc, id_ref_dealloc},
    {Py_tp_methods, id_ref_methods},
    {Py_tp_doc, (void *)id_ref_doc},
    {0, NULL},
};

static PyType_Spec id_ref_spec = {
    .name = "weakly.IdRef",
    .basicsize = sizeof(IdRef),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE
             | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = id_ref_slots,
};

#endif
