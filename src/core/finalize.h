/* Finalizer: the object behind `finalize`, and the registry that keeps it alive.
 *
 * While a finalizer is alive it is in the registry, a doubly linked list in the order of
 * creation which owns a reference to each, and has a weak reference whose callback is the
 * finalizer itself. The first of a call, detach() and the death of the referent takes it
 * out of the registry and its contents with it; after that it is dead and holds nothing.
 * So it is in no cycle that the registry does not hold, and needs no tp_clear. The collector
 * does not see the registry's references: what live finalizers hold lives. */

#ifndef WEAKLY_FINALIZE_H
#define WEAKLY_FINALIZE_H

#include "state.h"

typedef struct Finalizer {
    PyObject_HEAD
    PyObject *module;                     /* owned, for the sake of its state */
    struct Finalizer *older, *newer;      /* neighbours in the registry; borrowed */
    /* Owned; all NULL once dead. */
    PyObject *ref, *func, *args;
    PyObject *kwargs;                     /* NULL if there are none */
    PyObject *deliver;                    /* what a death calls instead; NULL if nothing */
    bool alive;
    bool atexit;
    bool in_child;                        /* alive in a forked child, too? */
} Finalizer;

/* What a finalizer held while it was alive. */
typedef struct {
    PyObject *ref, *func, *args, *kwargs, *deliver;
} FinalizerContents;

/* Makes the finalizer alive with contents that are taken over; false, and they are not, if it
 * is alive already. Calls nobody. */
static bool
finalizer_register(Finalizer *self, FinalizerContents contents)
{
    State *state = state_of_module(self->module);
    MUTEX_LOCK(state, registry_mutex);
    if (self->alive) {
        MUTEX_UNLOCK(state, registry_mutex);
        return false;
    }
    self->alive = self->atexit = true;
    self->ref = contents.ref;
    self->func = contents.func;
    self->args = contents.args;
    self->kwargs = contents.kwargs;
    self->deliver = contents.deliver;
    self->newer = NULL;
    self->older = state->newest;
    *(state->newest == NULL ? &state->oldest : &state->newest->newer) = self;
    state->newest = self;
    state->finalizers_created++;
    Py_INCREF(self);
    MUTEX_UNLOCK(state, registry_mutex);
    return true;
}

/* Makes the finalizer dead. True if it was alive: then `contents` are the caller's, and so is
 * the registry's reference to the finalizer. With `referent`, only if that lives too, and then
 * *referent is a new reference to it. Calls nobody. */
static bool
finalizer_take(Finalizer *self, FinalizerContents *contents, PyObject **referent)
{
    State *state = state_of_module(self->module);
    MUTEX_LOCK(state, registry_mutex);
    bool taken = self->alive
                 && (referent == NULL || PyWeakref_GetRef(self->ref, referent) == 1);
    if (taken) {
        *(self->older == NULL ? &state->oldest : &self->older->newer) = self->newer;
        *(self->newer == NULL ? &state->newest : &self->newer->older) = self->older;
        *contents = (FinalizerContents){self->ref, self->func, self->args, self->kwargs,
                                        self->deliver};
        self->alive = self->atexit = false;
        self->ref = self->func = self->args = self->kwargs = self->deliver = NULL;
    }
    MUTEX_UNLOCK(state, registry_mutex);
    return taken;
}

/* New references to what a live finalizer holds; false if it is dead. */
static bool
finalizer_read(Finalizer *self, FinalizerContents *contents)
{
    State *state = state_of_module(self->module);
    MUTEX_LOCK(state, registry_mutex);
    bool alive = self->alive;
    if (alive) {
        *contents = (FinalizerContents){Py_NewRef(self->ref), Py_NewRef(self->func),
                                        Py_NewRef(self->args), Py_XNewRef(self->kwargs),
                                        NULL};
    }
    MUTEX_UNLOCK(state, registry_mutex);
    return alive;
}

static void
contents_release(FinalizerContents contents)
{
    Py_XDECREF(contents.ref);
    Py_XDECREF(contents.func);
    Py_XDECREF(contents.args);
    Py_XDECREF(contents.kwargs);
    Py_XDECREF(contents.deliver);
}

static PyObject *
finalizer_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    PyObject *module = module_of_type(type);
    Finalizer *self = module == NULL ? NULL : (Finalizer *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->module = Py_NewRef(module);
        self->in_child = true;
    }
    return (PyObject *)self;
}

/* The keywords of finalize() that may be options: of a function that takes none of them. */
static PyObject *
finalizer_option_names(void)
{
    return Py_BuildValue("(ssss)", "check", "in_child", "executor", "loop");
}

/* Has `_parse` of the class take the options out of the keywords, if there are any: it returns
 * those of the function and what a death calls in its place, or None. */
static int
finalizer_parse(Finalizer *self, PyObject *args, FinalizerContents *contents)
{
    PyObject *names = state_of_module(self->module)->finalizer_options;
    int found = 0;
    for (Py_ssize_t i = 0; found == 0 && i < PyTuple_GET_SIZE(names); i++) {
        found = PyDict_Contains(contents->kwargs, PyTuple_GET_ITEM(names, i));
    }
    if (found <= 0) {
        return found;
    }
    PyObject *parsed = PyObject_CallMethod((PyObject *)self, "_parse", "OOOO",
                                           PyTuple_GET_ITEM(args, 0), contents->func,
                                           contents->args, contents->kwargs);
    PyObject *kwargs, *deliver;
    if (parsed == NULL) {
        return -1;
    }
    if (!PyArg_ParseTuple(parsed, "O!O;_parse() must return a dict and a callable or None",
                          &PyDict_Type, &kwargs, &deliver)) {
        Py_DECREF(parsed);
        return -1;
    }
    Py_SETREF(contents->kwargs, PyDict_GET_SIZE(kwargs) > 0 ? Py_NewRef(kwargs) : NULL);
    contents->deliver = deliver == Py_None ? NULL : Py_NewRef(deliver);
    Py_DECREF(parsed);
    return 0;
}

/* Has `_exitfunc` of the class called at exit. As late as this, so that it comes before exit
 * handlers that were registered earlier, as with the standard library. */
static int
register_exit(State *state, PyObject *self)
{
    PyObject *function = PyObject_GetAttrString((PyObject *)Py_TYPE(self), "_exitfunc");
    PyObject *module = function == NULL ? NULL : PyImport_ImportModule("atexit");
    PyObject *result =
        module == NULL ? NULL : PyObject_CallMethod(module, "register", "O", function);
    Py_XDECREF(module);
    Py_XDECREF(function);
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    state->exit_registered = true;
    return 0;
}

static int
finalizer_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    Finalizer *self = (Finalizer *)op;
    State *state = state_of_module(self->module);
    Py_ssize_t count = PyTuple_GET_SIZE(args);
    if (count < 2) {
        PyErr_Format(PyExc_TypeError,
                     "finalize() takes an object and a function as positional arguments, "
                     "then those of the function (%zd given)", count);
        return -1;
    }
    if (!state->exit_registered && register_exit(state, op) < 0) {
        return -1;
    }
    FinalizerContents contents = {NULL, Py_NewRef(PyTuple_GET_ITEM(args, 1)),
                                  PyTuple_GetSlice(args, 2, count), NULL, NULL};
    bool made = contents.args != NULL;
    if (made && kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        contents.kwargs = PyDict_Copy(kwargs);  /* functools.partial hands out its own */
        made = contents.kwargs != NULL && finalizer_parse(self, args, &contents) == 0;
    }
    if (made) {
        contents.ref = PyWeakref_NewRef(PyTuple_GET_ITEM(args, 0), op);
        made = contents.ref != NULL;
    }
    if (made && finalizer_register(self, contents)) {
        return 0;
    }
    if (made) {
        PyErr_SetString(PyExc_TypeError, "a live finalizer cannot be initialized again");
    }
    contents_release(contents);
    return -1;
}

/* finalizer(_=None): the argument is the reference when the referent's death is what calls;
 * then the call may be handed over. */
static PyObject *
finalizer_call(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"_", NULL};
    Finalizer *self = (Finalizer *)op;
    FinalizerContents contents;
    PyObject *ref = NULL, *result;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:finalize", names, &ref)) {
        return NULL;
    }
    if (!finalizer_take(self, &contents, NULL)) {
        Py_RETURN_NONE;
    }
    if (state_of_module(self->module)->finalizers_stopped) {
        result = Py_NewRef(Py_None);
    }
    else if (contents.deliver != NULL && ref == contents.ref) {
        PyObject *keywords = contents.kwargs == NULL ? PyDict_New() : Py_NewRef(contents.kwargs);
        result = keywords == NULL ? NULL
                 : PyObject_CallFunctionObjArgs(contents.deliver, contents.func, contents.args,
                                                keywords, NULL);
        Py_XDECREF(keywords);
    }
    else {
        result = PyObject_Call(contents.func, contents.args, contents.kwargs);
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);  /* what is released may run code */
    contents_release(contents);
    Py_DECREF(self);
    PyErr_Restore(type, value, traceback);
    return result;
}

static PyObject *
finalizer_peek(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    FinalizerContents contents;
    PyObject *referent, *result;
    if (!finalizer_read((Finalizer *)self, &contents)) {
        Py_RETURN_NONE;
    }
    if (PyWeakref_GetRef(contents.ref, &referent) == 0) {  /* the call is on its way */
        contents_release(contents);
        Py_RETURN_NONE;
    }
    PyObject *kwargs = contents.kwargs == NULL ? PyDict_New() : Py_NewRef(contents.kwargs);
    result = kwargs == NULL ? NULL
             : PyTuple_Pack(4, referent, contents.func, contents.args, kwargs);
    Py_XDECREF(kwargs);
    Py_DECREF(referent);
    contents_release(contents);
    return result;
}

static PyObject *
finalizer_detach(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    Finalizer *self = (Finalizer *)op;
    FinalizerContents contents;
    PyObject *referent;
    PyObject *result = PyTuple_New(4);  /* first: what is taken must not be lost */
    PyObject *kwargs = result == NULL ? NULL : PyDict_New();
    if (kwargs == NULL) {
        Py_XDECREF(result);
        return NULL;
    }
    if (!finalizer_take(self, &contents, &referent)) {
        Py_DECREF(kwargs);
        Py_DECREF(result);
        Py_RETURN_NONE;
    }
    if (contents.kwargs != NULL) {
        Py_SETREF(kwargs, contents.kwargs);
    }
    PyTuple_SET_ITEM(result, 0, referent);
    PyTuple_SET_ITEM(result, 1, contents.func);
    PyTuple_SET_ITEM(result, 2, contents.args);
    PyTuple_SET_ITEM(result, 3, kwargs);
    Py_DECREF(contents.ref);
    Py_XDECREF(contents.deliver);
    Py_DECREF(self);
    return result;
}

static PyObject *
finalizer_repr(PyObject *op)
{
    FinalizerContents contents;
    PyObject *referent = NULL;
    if (finalizer_read((Finalizer *)op, &contents)) {
        PyWeakref_GetRef(contents.ref, &referent);
        contents_release(contents);
    }
    if (referent == NULL) {
        return PyUnicode_FromFormat("<%s object at %p; dead>", Py_TYPE(op)->tp_name, op);
    }
    PyObject *result = PyUnicode_FromFormat("<%s object at %p; for '%s' at %p>",
                                            Py_TYPE(op)->tp_name, op,
                                            Py_TYPE(referent)->tp_name, referent);
    Py_DECREF(referent);
    return result;
}

static PyObject *
finalizer_get_alive(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((Finalizer *)self)->alive);
}

static PyObject *
finalizer_get_atexit(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((Finalizer *)self)->atexit);
}

static int
finalizer_set_atexit(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    Finalizer *self = (Finalizer *)op;
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "the attribute 'atexit' cannot be deleted");
        return -1;
    }
    int truth = PyObject_IsTrue(value);
    if (truth < 0) {
        return -1;
    }
    State *state = state_of_module(self->module);
    MUTEX_LOCK(state, registry_mutex);
    self->atexit = self->alive && truth;
    MUTEX_UNLOCK(state, registry_mutex);
    return 0;
}

static int
finalizer_traverse(PyObject *op, visitproc visit, void *arg)
{
    Finalizer *self = (Finalizer *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->module);
    Py_VISIT(self->ref);
    Py_VISIT(self->func);
    Py_VISIT(self->args);
    Py_VISIT(self->kwargs);
    Py_VISIT(self->deliver);
    return 0;
}

static void
finalizer_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject *module = ((Finalizer *)self)->module;
    PyObject_GC_UnTrack(self);
    type->tp_free(self);  /* dead, so it holds nothing else */
    Py_DECREF(type);
    Py_DECREF(module);
}

static PyObject *
live_finalizers(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    State *state = state_of_module(module);
    PyObject *list = PyList_New(0);
    if (list == NULL) {
        return NULL;
    }
    /* Without allocation that starts a collection: the registry stays as it is. */
    MUTEX_LOCK(state, registry_mutex);
    for (Finalizer *self = state->oldest; self != NULL; self = self->newer) {
        if (PyList_Append(list, (PyObject *)self) < 0) {
            Py_CLEAR(list);
            break;
        }
    }
    MUTEX_UNLOCK(state, registry_mutex);
    return list;
}

static PyObject *
finalizers_created(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromSsize_t(state_of_module(module)->finalizers_created);
}

static PyObject *
stop_finalizers(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    state_of_module(module)->finalizers_stopped = true;
    Py_RETURN_NONE;
}

static PyMethodDef finalizer_methods[] = {
    {"detach", finalizer_detach, METH_NOARGS,
     "detach($self, /)\n--\n\n"
     "If alive then mark as dead and return (obj, func, args, kwargs), else return None."},
    {"peek", finalizer_peek, METH_NOARGS,
     "peek($self, /)\n--\n\n"
     "If alive then return (obj, func, args, kwargs), else return None."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef finalizer_getset[] = {
    {"alive", finalizer_get_alive, NULL, "whether the function is still to be called", NULL},
    {"atexit", finalizer_get_atexit, finalizer_set_atexit,
     "whether the function is called when the program exits; always false once dead", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef finalizer_members[] = {
    {"in_child", T_BOOL, offsetof(Finalizer, in_child), 0,
     "whether the finalizer is alive in a forked child of the process, too"},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot finalizer_slots[] = {
    {Py_tp_new, finalizer_new},
    {Py_tp_init, finalizer_init},
    {Py_tp_call, finalizer_call},
    {Py_tp_repr, finalizer_repr},
    {Py_tp_traverse, finalizer_traverse},
    {Py_tp_dealloc, finalizer_dealloc},
    {Py_tp_methods, finalizer_methods},
    {Py_tp_getset, finalizer_getset},
    {Py_tp_members, finalizer_members},
    {Py_tp_doc, "A call that waits for the death of an object."},
    {0, NULL},
};

static PyType_Spec finalizer_spec = {
    .name = "weakly._core.Finalizer",
    .basicsize = sizeof(Finalizer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE
             | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = finalizer_slots,
};

#endif
