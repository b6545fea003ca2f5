/* SignalBase: what of a signal must be fast, emitting and finding the signal of an instance.
 *
 * An emit goes through a snapshot of the listeners, a tuple which `_refresh()` of the Python
 * class makes after a change; so whatever listeners do meanwhile, the emit is not disturbed.
 * The snapshot lies in a cell, a list of one item, which a change replaces by an empty one: a
 * snapshot that was made too late lands in a cell that nobody reads any more.
 *
 * Listeners are WeakCallables with a state: a plain one is called from here, a special one
 * decides itself (`_deliver()`), one that is gone is passed over. The Python class keeps them in
 * `_listeners` and makes them of `_listener_type`, with `_died` as the callback: None until the
 * first is connected. */

#ifndef WEAKLY_SIGNAL_H
#define WEAKLY_SIGNAL_H

#include "weakcallable.h"

/* The methods of the Python classes that are called from here. Their names are interned: the
 * interpreter looks up a string anew that it does not know, and keeps it for a while. */
typedef enum {
    CHECK_CALL, CONNECT, DELIVER, DISCONNECT, FAILED, FORGET, INTERRUPTED, MAKE, REFRESH,
} SignalName;

static int
signal_init_names(State *state)
{
    static const char *const names[] = {
        "_check_call", "_connect", "_deliver", "_disconnect", "_failed", "_forget",
        "_interrupted", "_make", "_refresh",
    };
    _Static_assert(Py_ARRAY_LENGTH(names) == Py_ARRAY_LENGTH(state->signal_names), "all of them");
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        state->signal_names[i] = PyUnicode_InternFromString(names[i]);
        if (state->signal_names[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

/* What _arity says besides a number of positional arguments. */
enum { ARITY_ANY = -1, ARITY_ASK = -2 };

typedef struct {
    PyObject_HEAD
    PyObject *weaklist;
    PyObject *module;           /* owned, for the sake of its state */
    State *state;
    /* Owned, or NULL. */
    PyObject *cell;             /* a list: the snapshot or None */
    PyObject *listeners;        /* a dict, from each to itself */
    PyObject *listener_type;    /* a subclass of WeakCallable */
    PyObject *died;             /* what hears of their deaths; None until it is needed */
    PyObject *parent;           /* the signal of the class */
    PyObject *owner;            /* a weak reference to the instance */
    PyObject *instances;        /* table from instances to their signals */
    int blocked;                /* how often */
    int arity;
    bool stop_at_error;
} Signal;

/* An emit under way. */
typedef struct {
    Signal *signal;             /* which emits */
    PyObject *sender;           /* borrowed; NULL for the owner */
    PyObject **stack;           /* the arguments from 1 on; 0 is for the listeners' objects */
    size_t nargsf;
    PyObject *kwnames;
    PyObject *results, *errors; /* lists or NULL */
} Emission;

static PyObject *
signal_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    PyObject *module = module_of_type(type);
    Signal *self = module == NULL ? NULL : (Signal *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->module = Py_NewRef(module);
        self->state = state_of_module(module);
        self->arity = ARITY_ANY;
    }
    return (PyObject *)self;
}

/* A new reference to a field that other threads may set, or NULL. */
static inline PyObject *
signal_field(Signal *self, PyObject **field)
{
    PyObject *value;
    (void)self;  /* needed without the GIL */
    Py_BEGIN_CRITICAL_SECTION(self);
    value = Py_XNewRef(*field);
    Py_END_CRITICAL_SECTION();
    if (value == Py_None) {
        Py_CLEAR(value);
    }
    return value;
}

/* The exception that is set, taken away; a new reference. */
static PyObject *
error_take(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(error, traceback);
        Py_DECREF(traceback);
    }
    Py_DECREF(type);
    return error;
#endif
}

/* Sets an exception again; takes it over. */
static void
error_restore(PyObject *error)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(error);
#else
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(error)), error, PyException_GetTraceback(error));
#endif
}

static int
emission_arguments(Emission *emission, PyObject **args, PyObject **kwargs)
{
    return arguments_as_objects(emission->stack + 1, PyVectorcall_NARGS(emission->nargsf),
                                emission->kwnames, args, kwargs);
}

/* Has a special listener decide. NotImplemented if it was not called. */
static NOINLINE PyObject *
listener_deliver(Emission *emission, PyObject *listener)
{
    PyObject *args, *kwargs, *result = NULL, *sender = Py_XNewRef(emission->sender);
    if (sender == NULL) {
        PyObject *owner = signal_field(emission->signal, &emission->signal->owner);
        if (owner != NULL && PyWeakref_CheckRef(owner)) {
            (void)PyWeakref_GetRef(owner, &sender);
        }
        Py_XDECREF(owner);
    }
    if (emission_arguments(emission, &args, &kwargs) == 0) {
        PyObject *all[] = {listener, (PyObject *)emission->signal,
                           sender == NULL ? Py_None : sender, args, kwargs};
        result = PyObject_VectorcallMethod(emission->signal->state->signal_names[DELIVER], all,
                                           5, NULL);
        Py_DECREF(args);
        Py_DECREF(kwargs);
    }
    Py_XDECREF(sender);
    return result;
}

/* A coroutine that nobody would await: closes it; always raises. Takes it over. */
static NOINLINE PyObject *
refuse_coroutine(PyObject *coroutine)
{
    PyObject *result = PyObject_CallMethod(coroutine, "close", NULL);
    if (result != NULL) {
        Py_DECREF(result);
        PyErr_Format(PyExc_TypeError, "%R is a coroutine, which emit() and collect() do not await: "
                     "use emit_async(), or connect through on_loop()", coroutine);
    }
    Py_DECREF(coroutine);
    return NULL;
}

/* Deals with the exception that a listener raised: 0 to go on, -1 with it set to stop. */
static NOINLINE int
emission_failed(Emission *emission, PyObject *listener)
{
    if (emission->signal->stop_at_error || !PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    PyObject *error = error_take();
    if (emission->errors == NULL) {
        emission->errors = PyList_New(0);
    }
    PyObject *pair = emission->errors == NULL ? NULL : PyTuple_Pack(2, listener, error);
    int status = pair == NULL ? -1 : PyList_Append(emission->errors, pair);
    Py_XDECREF(pair);
    if (status < 0) {
        PyErr_Clear();
        error_restore(error);
        return -1;
    }
    Py_DECREF(error);
    return 0;
}

/* The listeners of a signal as they are now, a tuple; NULL with an exception set. */
static PyObject *
signal_snapshot(Signal *self)
{
    PyObject *cell = signal_field(self, &self->cell), *snapshot = NULL;
    if (LIKELY(cell != NULL && PyList_CheckExact(cell))) {
#if PY_VERSION_HEX >= 0x030D0000
        snapshot = PyList_GetItemRef(cell, 0);
#else
        snapshot = Py_XNewRef(PyList_GetItem(cell, 0));
#endif
        PyErr_Clear();  /* not ours */
    }
    Py_XDECREF(cell);
    if (UNLIKELY(snapshot == NULL || !PyTuple_CheckExact(snapshot))) {
        Py_XDECREF(snapshot);
        snapshot = PyObject_CallMethodNoArgs((PyObject *)self, self->state->signal_names[REFRESH]);
        if (snapshot != NULL && !PyTuple_CheckExact(snapshot)) {
            Py_CLEAR(snapshot);
            PyErr_SetString(PyExc_TypeError, "_refresh() must return a tuple");
        }
    }
    return snapshot;
}

/* Calls the listeners of a signal: the one that emits, or its parent. */
static int
emission_send(Emission *emission, Signal *signal, PyObject *snapshot)
{
    int status = 0;
    for (Py_ssize_t i = 0; status == 0 && i < PyTuple_GET_SIZE(snapshot); i++) {
        PyObject *listener = PyTuple_GET_ITEM(snapshot, i), *result;
        if (UNLIKELY(!is_weak_callable(listener))) {
            PyErr_SetString(PyExc_TypeError, "a listener must be a WeakCallable");
            status = -1;
            break;
        }
        int state = SHARED_LOAD_INT(&((WeakCallable *)listener)->state);
        if (state == LISTENER_PLAIN) {
            result = callable_run((WeakCallable *)listener, emission->stack + 1,
                                  emission->nargsf | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                  emission->kwnames);
            if (UNLIKELY(result == NULL) && !PyErr_Occurred()) {  /* dead */
                result = PyObject_CallMethodOneArg((PyObject *)signal,
                                                   signal->state->signal_names[FORGET], listener);
                Py_XDECREF(result);
                status = result == NULL ? -1 : 0;
                continue;
            }
        }
        else if (state == LISTENER_SPECIAL) {
            result = listener_deliver(emission, listener);
            if (result == Py_NotImplemented) {
                Py_DECREF(result);
                continue;
            }
        }
        else {
            continue;
        }
        if (UNLIKELY(result != NULL && PyCoro_CheckExact(result))) {
            result = refuse_coroutine(result);
        }
        if (UNLIKELY(result == NULL)) {
            status = emission_failed(emission, listener);
        }
        else if (emission->results != NULL) {
            status = PyList_Append(emission->results, result);
        }
        Py_XDECREF(result);
    }
    return status;
}

static inline bool
signal_is_blocked(Signal *self, PyObject *parent)
{
    return SHARED_LOAD_INT(&self->blocked) != 0
           || (parent != NULL && SHARED_LOAD_INT(&((Signal *)parent)->blocked) != 0);
}

/* Emits; the listeners' results go into `results`, a list or NULL. */
static int
signal_emit_all(Signal *self, PyObject *sender, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames, PyObject *results)
{
    PyObject *small[8];
    size_t total = (size_t)(nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames)));
    if (Py_EnterRecursiveCall(" in a signal")) {
        return -1;
    }
    Emission emission = {self, sender, small, (size_t)nargs, kwnames, results, NULL};
    if (total + 1 > Py_ARRAY_LENGTH(small)) {
        emission.stack = PyMem_Malloc((total + 1) * sizeof(PyObject *));
        if (emission.stack == NULL) {
            Py_LeaveRecursiveCall();
            PyErr_NoMemory();
            return -1;
        }
    }
    if (total > 0) {  /* else there may be no array */
        memcpy(emission.stack + 1, args, total * sizeof(PyObject *));
    }
    emission.stack[0] = NULL;  /* read, and put back, by who borrows the place */
    int status = 0, arity = self->arity;
    PyObject *parent = signal_field(self, &self->parent);
    if (UNLIKELY(arity != ARITY_ANY && (arity != nargs || kwnames != NULL))) {
        PyObject *positional, *keywords, *result = NULL;
        if (emission_arguments(&emission, &positional, &keywords) == 0) {
            result = PyObject_CallMethodObjArgs((PyObject *)self,
                                                self->state->signal_names[CHECK_CALL],
                                                positional, keywords, NULL);
            Py_DECREF(positional);
            Py_DECREF(keywords);
        }
        Py_XDECREF(result);
        status = result == NULL ? -1 : 0;
    }
    if (status == 0 && !signal_is_blocked(self, parent)) {
        PyObject *own = signal_snapshot(self);
        PyObject *all = parent == NULL || own == NULL ? NULL : signal_snapshot((Signal *)parent);
        bool taken = own != NULL && (all != NULL || parent == NULL);
        status = taken ? emission_send(&emission, self, own) : -1;
        if (status == 0 && parent != NULL) {
            status = emission_send(&emission, (Signal *)parent, all);
        }
        Py_XDECREF(own);
        Py_XDECREF(all);
    }
    if (UNLIKELY(emission.errors != NULL)) {
        PyObject *error = status < 0 ? error_take() : NULL;
        SignalName name = error == NULL ? FAILED : INTERRUPTED;
        PyObject *result = PyObject_CallMethodOneArg((PyObject *)self,
                                                     self->state->signal_names[name],
                                                     emission.errors);
        status = result == NULL ? -1 : 0;
        Py_XDECREF(result);
        if (error != NULL) {
            if (result == NULL) {
                PyErr_WriteUnraisable((PyObject *)self);
            }
            error_restore(error);
            status = -1;
        }
        Py_DECREF(emission.errors);
    }
    Py_XDECREF(parent);
    if (emission.stack != small) {
        PyMem_Free(emission.stack);
    }
    Py_LeaveRecursiveCall();
    return status;
}

/* emit(*args, **kwargs) */
static PyObject *
signal_emit(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return signal_emit_all((Signal *)self, NULL, args, nargs, kwnames, NULL) < 0
               ? NULL : Py_NewRef(Py_None);
}

/* emit_from(sender, /, *args, **kwargs) */
static PyObject *
signal_emit_from(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (nargs == 0) {
        PyErr_SetString(PyExc_TypeError, "emit_from() needs a sender as first argument");
        return NULL;
    }
    return signal_emit_all((Signal *)self, args[0], args + 1, nargs - 1, kwnames, NULL) < 0
               ? NULL : Py_NewRef(Py_None);
}

/* collect(*args, **kwargs) */
static PyObject *
signal_collect(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *results = PyList_New(0);
    if (results != NULL
        && signal_emit_all((Signal *)self, NULL, args, nargs, kwnames, results) < 0) {
        Py_CLEAR(results);
    }
    return results;
}

/* Connecting. The plain cases are here, all others in Python: `_connect()`, `_disconnect()`. */

/* Has the next emit make a new snapshot. Without memory for a cell there is none: then each does,
 * until the next change. */
static void
signal_changed(Signal *self)
{
    PyObject *old, *cell = PyList_New(1);
    if (cell == NULL) {
        PyErr_Clear();
    }
    else {
        PyList_SET_ITEM(cell, 0, Py_NewRef(Py_None));
    }
    Py_BEGIN_CRITICAL_SECTION(self);
    old = self->cell;
    self->cell = cell;
    Py_END_CRITICAL_SECTION();
    Py_XDECREF(old);
}

/* Connects a listener without options that is not connected yet: 1; 0 if this is no such case. */
static int
signal_connect_plain(Signal *self, PyObject *callable)
{
    PyObject *type = signal_field(self, &self->listener_type);
    PyObject *died = signal_field(self, &self->died);
    PyObject *listeners = signal_field(self, &self->listeners), *listener = NULL;
    int status = 0;
    if (type != NULL && died != NULL && listeners != NULL && PyDict_CheckExact(listeners)
        && PyType_Check(type) && callable != Py_None
        && PyType_IsSubtype((PyTypeObject *)type, self->state->weak_callable_type)) {
        listener = callable_make((PyTypeObject *)type, callable, died, METHODS_WEAKLY, false);
        if (listener == NULL) {
            status = PyErr_ExceptionMatches(PyExc_TypeError) ? 0 : -1;
            if (status == 0) {
                PyErr_Clear();  /* the other way has the message */
            }
        }
        else {
            status = dict_put_absent(listeners, listener, listener);
            if (status == 1) {
                signal_changed(self);
            }
        }
    }
    Py_XDECREF(type);
    Py_XDECREF(died);
    Py_XDECREF(listeners);
    Py_XDECREF(listener);
    return status;
}

/* Is it a callable that a weak reference to would be dead at once, if nobody else holds it? */
static int
dies_alone(PyObject *callable)
{
    Parts parts = {WHOLE, NULL, NULL, NULL};
    int status = parts_of(callable, &parts);
    Py_XDECREF(parts.object);
    Py_XDECREF(parts.function);
    Py_XDECREF(parts.name);
    return status < 0 ? -1 : parts.kind == WHOLE && !is_weak_callable(callable);
}

/* Calls a method of the Python class with the arguments of one of ours. */
static PyObject *
signal_pass_on(PyObject *self, PyObject *name, PyObject *const *args, Py_ssize_t nargs,
               PyObject *kwnames)
{
    PyObject *stack[10];
    size_t total = (size_t)(nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames)));
    if (total + 1 > Py_ARRAY_LENGTH(stack)) {
        PyErr_SetString(PyExc_TypeError, "a signal takes one listener and its options");
        return NULL;
    }
    stack[0] = self;
    if (total > 0) {  /* else there may be no array */
        memcpy(stack + 1, args, total * sizeof(PyObject *));
    }
    return PyObject_VectorcallMethod(name, stack, (size_t)nargs + 1, kwnames);
}

/* connect(listener=None, /, **options) */
static PyObject *
signal_connect(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Signal *self = (Signal *)op;
    if (nargs == 1 && kwnames == NULL) {
        int status = signal_connect_plain(self, args[0]);
        if (status != 0) {
            return status < 0 ? NULL : Py_NewRef(args[0]);
        }
    }
    /* Only from here can be seen who else holds the listener. */
    else if (nargs == 1 && is_temporary(args[0]) && PyCallable_Check(args[0])
             && !Py_IS_TYPE(args[0], (PyTypeObject *)self->state->partial_type)) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(kwnames); i++) {
            if (args[nargs + i] == Py_True
                && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, i), "weak") == 0) {
                int dies = dies_alone(args[0]);
                if (dies < 0 || (dies && warn_of_temporary(args[0]) < 0)) {
                    return NULL;
                }
            }
        }
    }
    return signal_pass_on(op, self->state->signal_names[CONNECT], args, nargs, kwnames);
}

/* disconnect(listener, /, *, sender=None) */
static PyObject *
signal_disconnect(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Signal *self = (Signal *)op;
    if (nargs != 1 || kwnames != NULL) {
        return signal_pass_on(op, self->state->signal_names[DISCONNECT], args, nargs, kwnames);
    }
    /* Held strongly, as that takes any callable. */
    PyObject *key = callable_make(self->state->weak_callable_type, args[0], Py_None, STRONGLY,
                                  false);
    if (key == NULL) {
        return NULL;
    }
    PyObject *listener = NULL, *listeners = signal_field(self, &self->listeners);
    int status = 0;
    if (listeners != NULL && PyDict_CheckExact(listeners)) {
        status = dict_take(listeners, key, &listener);
    }
    if (status == 1) {
        if (is_weak_callable(listener)) {
            SHARED_STORE_INT(&((WeakCallable *)listener)->state, LISTENER_GONE);
        }
        signal_changed(self);
    }
    Py_XDECREF(listener);
    Py_XDECREF(listeners);
    Py_DECREF(key);
    if (status == 0 && listeners != NULL) {  /* it may just be being connected again */
        return signal_pass_on(op, self->state->signal_names[DISCONNECT], args, nargs, kwnames);
    }
    return status < 0 ? NULL : PyBool_FromLong(status);
}

/* The signal of an instance, made on the first access. */
static PyObject *
signal_get(PyObject *op, PyObject *instance, PyObject *Py_UNUSED(owner))
{
    Signal *self = (Signal *)op;
    if (instance == NULL || instance == Py_None) {
        return Py_NewRef(op);
    }
    if (UNLIKELY(!is_referenceable(Py_TYPE(instance)))) {
        PyErr_Format(PyExc_TypeError,
                     "cannot create weak reference to '%.200s' object: a signal in a class needs "
                     "instances that support weak references: add '__weakref__' to the __slots__ "
                     "of the class", Py_TYPE(instance)->tp_name);
        return NULL;
    }
    PyObject *table = signal_field(self, &self->instances), *signal = NULL, *existing;
    if (UNLIKELY(table == NULL)) {
        PyObject *made = id_key_mapping_new(self->state->id_key_table_type, NULL, NULL);
        if (made == NULL) {
            return NULL;
        }
        Py_BEGIN_CRITICAL_SECTION(self);
        if (self->instances == NULL) {
            self->instances = Py_NewRef(made);
        }
        table = Py_NewRef(self->instances);
        Py_END_CRITICAL_SECTION();
        Py_DECREF(made);
    }
    int status = mapping_find(table, ID_KEY, instance, &signal);
    if (UNLIKELY(status == 0)) {
        signal = PyObject_CallMethodOneArg(op, self->state->signal_names[MAKE], instance);
        status = -1;
        if (signal != NULL) {
            Py_BEGIN_CRITICAL_SECTION(table);
            status = table_store((Table *)table, ID_KEY, instance, signal, &existing);
            Py_END_CRITICAL_SECTION();
        }
        if (status < 0) {
            Py_CLEAR(signal);
        }
        else if (existing != NULL) {  /* somebody was faster */
            Py_SETREF(signal, existing);
        }
    }
    Py_DECREF(table);
    return signal;
}

static int
signal_set(PyObject *Py_UNUSED(self), PyObject *instance, PyObject *value)
{
    PyErr_Format(PyExc_AttributeError, "a signal of '%.200s' object cannot be %s",
                 Py_TYPE(instance)->tp_name, value == NULL ? "deleted" : "assigned");
    return -1;
}

/* The fields, by their offsets, as attributes for the Python class: under the lock, which plain
 * members do without on some builds without the GIL. */

static PyObject *
signal_get_field(PyObject *op, void *offset)
{
    PyObject *value = signal_field((Signal *)op, (PyObject **)((char *)op + (size_t)offset));
    return value == NULL ? Py_NewRef(Py_None) : value;
}

static int
signal_set_field(PyObject *op, PyObject *value, void *offset)
{
    PyObject *old, **field = (PyObject **)((char *)op + (size_t)offset);
    Py_BEGIN_CRITICAL_SECTION(op);
    old = *field;
    *field = Py_XNewRef(value);
    Py_END_CRITICAL_SECTION();
    Py_XDECREF(old);
    return 0;
}

static int
signal_set_parent(PyObject *op, PyObject *value, void *offset)
{
    if (value != NULL && value != Py_None
        && !PyObject_TypeCheck(value, ((Signal *)op)->state->signal_type)) {
        PyErr_SetString(PyExc_TypeError, "the parent of a signal must be a signal");
        return -1;
    }
    return signal_set_field(op, value == Py_None ? NULL : value, offset);
}

static int
signal_traverse(PyObject *op, visitproc visit, void *arg)
{
    Signal *self = (Signal *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->module);
    Py_VISIT(self->cell);
    Py_VISIT(self->listeners);
    Py_VISIT(self->listener_type);
    Py_VISIT(self->died);
    Py_VISIT(self->parent);
    Py_VISIT(self->owner);
    Py_VISIT(self->instances);
    return 0;
}

static int
signal_clear(PyObject *op)
{
    Signal *self = (Signal *)op;
    Py_CLEAR(self->cell);
    Py_CLEAR(self->listeners);
    Py_CLEAR(self->listener_type);
    Py_CLEAR(self->died);
    Py_CLEAR(self->parent);
    Py_CLEAR(self->owner);
    Py_CLEAR(self->instances);
    return 0;
}

static void
signal_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject *module = ((Signal *)op)->module;
    PyObject_GC_UnTrack(op);
    Py_TRASHCAN_BEGIN(op, signal_dealloc)
    PyObject_ClearWeakRefs(op);
    signal_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
    Py_XDECREF(module);
    Py_TRASHCAN_END
}

static PyMethodDef signal_methods[] = {
    {"emit", FUNCTION(signal_emit), METH_FASTCALL | METH_KEYWORDS,
     "emit($self, /, *args, **kwargs)\n--\n\n"
     "Call the listeners with these arguments, in the order of their priority.\n\n"
     "The errors of listeners are dealt with after the last, as the signal's on_error says.\n"
     "Raises TypeError if the arguments do not fit the signal. Takes time for each listener."},
    {"emit_from", FUNCTION(signal_emit_from), METH_FASTCALL | METH_KEYWORDS,
     "emit_from($self, sender, /, *args, **kwargs)\n--\n\n"
     "Emit on behalf of a sender, which listeners can be connected to."},
    {"collect", FUNCTION(signal_collect), METH_FASTCALL | METH_KEYWORDS,
     "collect($self, /, *args, **kwargs)\n--\n\n"
     "Emit, and return the results of the listeners as a list, in the order of their calls."},
    {"connect", FUNCTION(signal_connect), METH_FASTCALL | METH_KEYWORDS,
     "connect($self, listener=None, /, *, weak=None, once=False, priority=0, sender=None)\n--\n\n"
     "Call a listener from the next emit on; return it. Without one: a decorator. O(1).\n\n"
     "The options are those that `Signal` explains. Raises TypeError if the listener is not\n"
     "callable, or if it or the sender is to be held weakly and cannot be."},
    {"disconnect", FUNCTION(signal_disconnect), METH_FASTCALL | METH_KEYWORDS,
     "disconnect($self, listener, /, *, sender=None)\n--\n\n"
     "Call a listener no more; return whether it was connected. O(1).\n\n"
     "With a sender, it only stops to listen to that one."},
    {NULL, NULL, 0, NULL},
};

#define SIGNAL_FIELD(name, field, setter, doc) \
    {name, signal_get_field, setter, doc, (void *)offsetof(Signal, field)}

static PyGetSetDef signal_getset[] = {
    SIGNAL_FIELD("_parent", parent, signal_set_parent, "the signal of the class"),
    SIGNAL_FIELD("_cell", cell, signal_set_field, "a list: the snapshot of the listeners or None"),
    SIGNAL_FIELD("_listeners", listeners, signal_set_field, "a dict of the listeners"),
    SIGNAL_FIELD("_listener_type", listener_type, signal_set_field, "what makes a listener"),
    SIGNAL_FIELD("_died", died, signal_set_field, "what is called with a listener that died"),
    SIGNAL_FIELD("_owner", owner, signal_set_field, "a weak reference to the instance"),
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef signal_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Signal, weaklist), READONLY, NULL},
    {"_blocked", T_INT, offsetof(Signal, blocked), 0, "how often the signal is blocked"},
    {"_arity", T_INT, offsetof(Signal, arity), 0,
     "how many positional arguments it takes; -1 any, -2 ask _check_call()"},
    {"_stop_at_error", T_BOOL, offsetof(Signal, stop_at_error), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot signal_slots[] = {
    {Py_tp_new, signal_new},
    {Py_tp_descr_get, signal_get},
    {Py_tp_descr_set, signal_set},
    {Py_tp_traverse, signal_traverse},
    {Py_tp_clear, signal_clear},
    {Py_tp_dealloc, signal_dealloc},
    {Py_tp_methods, signal_methods},
    {Py_tp_getset, signal_getset},
    {Py_tp_members, signal_members},
    {Py_tp_doc, "Calls listeners."},
    {0, NULL},
};

static PyType_Spec signal_spec = {
    .name = "weakly._core.SignalBase",
    .basicsize = sizeof(Signal),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE
             | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = signal_slots,
};

#endif
