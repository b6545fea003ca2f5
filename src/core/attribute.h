/* The weak attribute: the descriptor behind `weakly.attribute`.
 *
 * What is assigned is kept as a weak reference in the instance, under a name of its own: in a
 * slot of that name if the class has one, else in the instance's dict. Slots are found once,
 * when the attribute is bound to its class, and read at their offset; a dict is asked by the
 * interpreter's generic functions, which do not make one where the values are inline.
 *
 * The reference is of a class given by the Python side, which knows how it copies. None in its
 * place stands for an attribute that was assigned None. */

#ifndef WEAKLY_ATTRIBUTE_H
#define WEAKLY_ATTRIBUTE_H

#include "state.h"

typedef struct {
    PyObject_HEAD
    /* Owned; NULL until the attribute is bound to a class. */
    PyObject *name;             /* of the attribute */
    PyObject *storage;          /* the name under which instances keep the reference */
    PyTypeObject *ref_type;     /* of the references; derived from weakref.ref */
    PyObject *slot;             /* the member descriptor of that name, NULL if there is none */
    PyObject *fallback;         /* what is read without a live object; NULL to raise; owned */
} WeakAttribute;

static int
attribute_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"default", "required", NULL};
    WeakAttribute *self = (WeakAttribute *)op;
    PyObject *fallback = NULL;
    int required = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O$p:attribute", names,
                                     &fallback, &required)) {
        return -1;
    }
    if (required && fallback != NULL && fallback != Py_None) {
        PyErr_SetString(PyExc_TypeError, "attribute() takes a default or required=True, not both");
        return -1;
    }
    Py_XSETREF(self->fallback, required ? NULL : Py_NewRef(fallback == NULL ? Py_None : fallback));
    return 0;
}

/* The slot of a class for the references, as a new reference; NULL if it has none. Never with
 * an exception set: without a slot all works, too. */
static PyObject *
find_slot(PyTypeObject *owner, PyObject *storage)
{
    PyObject *found = PyObject_GetAttr((PyObject *)owner, storage);
    if (found == NULL) {
        PyErr_Clear();
        return NULL;
    }
    if (Py_TYPE(found) == &PyMemberDescr_Type && PyType_IsSubtype(owner, PyDescr_TYPE(found))) {
        PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
        if (member->type == T_OBJECT_EX && member->flags == 0) {
            return found;
        }
    }
    Py_DECREF(found);
    return NULL;
}

/* _bind(owner, name, storage, ref_type): to be called when the class is made, before anybody
 * uses the attribute. */
static PyObject *
attribute_bind(PyObject *op, PyObject *args)
{
    WeakAttribute *self = (WeakAttribute *)op;
    PyObject *owner, *name, *storage, *ref_type;
    if (!PyArg_ParseTuple(args, "O!UUO!:_bind", &PyType_Type, &owner, &name, &storage,
                          &PyType_Type, &ref_type)) {
        return NULL;
    }
    if (!PyType_IsSubtype((PyTypeObject *)ref_type, &_PyWeakref_RefType)) {
        PyErr_SetString(PyExc_TypeError, "_bind() takes a subclass of weakref.ref");
        return NULL;
    }
    Py_INCREF(storage);
    PyUnicode_InternInPlace(&storage);  /* as the names that the interpreter looks up */
    Py_XSETREF(self->storage, storage);
    Py_XSETREF(self->name, Py_NewRef(name));
    Py_XSETREF(self->ref_type, (PyTypeObject *)Py_NewRef(ref_type));
    Py_XSETREF(self->slot, find_slot((PyTypeObject *)owner, storage));
    Py_RETURN_NONE;
}

static int
attribute_require_bound(WeakAttribute *self)
{
    if (self->ref_type == NULL) {
        PyErr_SetString(PyExc_TypeError,
                        "a weak attribute has no name: assign it in the body of a class, or "
                        "call its __set_name__(cls, name)");
        return -1;
    }
    return 0;
}

/* The slot of an object for the reference, borrowed; NULL if it has none that we know. */
static inline PyMemberDef *
slot_of(WeakAttribute *self, PyObject *object)
{
    if (LIKELY(self->slot != NULL)) {
        PyTypeObject *owner = PyDescr_TYPE(self->slot);
        if (LIKELY(Py_TYPE(object) == owner || PyType_IsSubtype(Py_TYPE(object), owner))) {
            return ((PyMemberDescrObject *)self->slot)->d_member;
        }
    }
    return NULL;
}

/* What an object has in store, as a new reference; NULL without an exception if it has
 * nothing, with one on failure. */
static PyObject *
attribute_load(WeakAttribute *self, PyObject *object)
{
    PyMemberDef *slot = slot_of(self, object);
    if (slot == NULL) {
        return _PyObject_GenericGetAttrWithDict(object, self->storage, NULL, 1);
    }
#ifdef Py_GIL_DISABLED
    PyObject *stored = PyMember_GetOne((char *)object, slot);
    if (stored == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
    }
    return stored;
#else
    return Py_XNewRef(*(PyObject **)((char *)object + slot->offset));
#endif
}

/* Puts a reference or None in store, or takes out what is there if given NULL. Borrows all. */
static int
attribute_store(WeakAttribute *self, PyObject *object, PyObject *stored)
{
    PyMemberDef *slot = slot_of(self, object);
    int status;
    if (PyType_Check(object)) {  /* of a metaclass: its dict is not for the generic functions */
        PyErr_SetNone(PyExc_AttributeError);
        status = -1;
    }
    else if (slot != NULL) {
        status = PyMember_SetOne((char *)object, slot, stored);
    }
    else {
        status = PyObject_GenericSetAttr(object, self->storage, stored);
    }
    if (status < 0 && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        if (stored == NULL) {
            PyErr_Format(PyExc_AttributeError, "'%s' object has no attribute '%U'",
                         Py_TYPE(object)->tp_name, self->name);
        }
        else {
            PyErr_Format(PyExc_TypeError,
                         "'%s' object has no room for its weak attribute '%U': "
                         "add '%U' to the __slots__ of the class",
                         Py_TYPE(object)->tp_name, self->name, self->storage);
        }
    }
    return status;
}

/* What is read where there is no live object, given what is in store, if anything. */
static NOINLINE PyObject *
attribute_fallback(WeakAttribute *self, PyObject *object, PyObject *stored)
{
    if (stored != NULL && stored != Py_None && !PyWeakref_CheckRef(stored)) {
        PyErr_Format(PyExc_TypeError,
                     "'%s' object has '%s' object instead of a weak reference in '%U', "
                     "the place of its weak attribute '%U'", Py_TYPE(object)->tp_name,
                     Py_TYPE(stored)->tp_name, self->storage, self->name);
        return NULL;
    }
    if (self->fallback == NULL) {
        PyErr_Format(PyExc_ReferenceError,
                     stored == NULL || stored == Py_None
                         ? "the weak attribute '%U' of '%s' object was assigned nothing"
                         : "what was assigned to the weak attribute '%U' of '%s' object is dead",
                     self->name, Py_TYPE(object)->tp_name);
        return NULL;
    }
    return Py_NewRef(self->fallback);
}

static PyObject *
attribute_get(PyObject *op, PyObject *object, PyObject *type)
{
    WeakAttribute *self = (WeakAttribute *)op;
    if (UNLIKELY(object == NULL)) {
        return PyObject_CallMethod(op, "_seen_from_class", "O", type == NULL ? Py_None : type);
    }
#ifndef Py_GIL_DISABLED
    /* The common case, without counting a reference to what is in store. */
    PyMemberDef *slot = slot_of(self, object);
    if (LIKELY(slot != NULL)) {
        PyObject *in_slot = *(PyObject **)((char *)object + slot->offset);
        if (LIKELY(in_slot != NULL && Py_TYPE(in_slot) == self->ref_type)) {
            PyObject *live;
            if (LIKELY(PyWeakref_GetRef(in_slot, &live) == 1)) {
                return live;
            }
        }
    }
#endif
    if (attribute_require_bound(self) < 0) {
        return NULL;
    }
    PyObject *referent = NULL;
    PyObject *stored = attribute_load(self, object);
    if (stored == NULL && PyErr_Occurred()) {
        return NULL;
    }
    if (stored != NULL && PyWeakref_CheckRef(stored)) {
        PyWeakref_GetRef(stored, &referent);
    }
    PyObject *result = referent != NULL ? referent : attribute_fallback(self, object, stored);
    Py_XDECREF(stored);
    return result;
}

/* The reference to be stored for a value, or None, as a new reference; NULL with an exception
 * set. None is given for None, for the attribute itself, which dataclasses and attrs assign as
 * the default of their fields, and for the default, which need not be referenceable. */
static PyObject *
attribute_reference(WeakAttribute *self, PyObject *value)
{
    if (value == Py_None || value == (PyObject *)self || value == self->fallback) {
        return Py_NewRef(Py_None);
    }
    if (is_referenceable(Py_TYPE(value))) {
        PyObject *arguments = PyTuple_Pack(1, value);
        PyObject *ref = arguments == NULL
                            ? NULL : _PyWeakref_RefType.tp_new(self->ref_type, arguments, NULL);
        Py_XDECREF(arguments);
        return ref;
    }
    /* The default again, but copied or out of a pickle? */
    if (self->fallback != NULL && Py_TYPE(value) == Py_TYPE(self->fallback)) {
        PyObject *fallback = Py_NewRef(self->fallback);  /* __eq__ can do anything */
        int equal = PyObject_RichCompareBool(value, fallback, Py_EQ);
        Py_DECREF(fallback);
        if (equal != 0) {
            return equal < 0 ? NULL : Py_NewRef(Py_None);
        }
    }
    PyErr_Format(PyExc_TypeError,
                 "cannot create weak reference to '%s' object: what is assigned to the weak "
                 "attribute '%U' must be of a type that supports weak references",
                 Py_TYPE(value)->tp_name, self->name);
    return NULL;
}

static int
attribute_set(PyObject *op, PyObject *object, PyObject *value)
{
    WeakAttribute *self = (WeakAttribute *)op;
    if (attribute_require_bound(self) < 0) {
        return -1;
    }
    PyObject *ref = value == NULL ? NULL : attribute_reference(self, value);
    if (value != NULL && ref == NULL) {
        return -1;
    }
    int status = attribute_store(self, object, ref);
    Py_XDECREF(ref);
    return status;
}

static int
attribute_traverse(PyObject *op, visitproc visit, void *arg)
{
    WeakAttribute *self = (WeakAttribute *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->ref_type);
    Py_VISIT(self->slot);
    Py_VISIT(self->fallback);
    return 0;
}

static int
attribute_clear(PyObject *op)
{
    WeakAttribute *self = (WeakAttribute *)op;
    Py_CLEAR(self->name);
    Py_CLEAR(self->storage);
    Py_CLEAR(self->ref_type);
    Py_CLEAR(self->slot);
    Py_CLEAR(self->fallback);
    return 0;
}

static void
attribute_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    attribute_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef attribute_methods[] = {
    {"_bind", attribute_bind, METH_VARARGS,
     "_bind($self, owner, name, storage, ref_type, /)\n--\n\n"
     "Tell the attribute its class, its name, and how and where instances keep references."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "See PEP 585"},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef attribute_members[] = {
    {"_name", T_OBJECT, offsetof(WeakAttribute, name), READONLY, NULL},
    {"_storage", T_OBJECT, offsetof(WeakAttribute, storage), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot attribute_slots[] = {
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, attribute_init},
    {Py_tp_descr_get, attribute_get},
    {Py_tp_descr_set, attribute_set},
    {Py_tp_traverse, attribute_traverse},
    {Py_tp_clear, attribute_clear},
    {Py_tp_dealloc, attribute_dealloc},
    {Py_tp_methods, attribute_methods},
    {Py_tp_members, attribute_members},
    {Py_tp_doc, "A descriptor that keeps what is assigned as a weak reference."},
    {0, NULL},
};

static PyType_Spec attribute_spec = {
    .name = "weakly._core.WeakAttribute",
    .basicsize = sizeof(WeakAttribute),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE
             | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = attribute_slots,
};

#endif
