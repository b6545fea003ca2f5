/* WeakCallable: a weak reference to any callable, which is called as the callable is.
 *
 * A bound method is a passing object, so it is taken apart: its object and its function are
 * held weakly, each by itself. A method of a type in C has no function: it is looked up by name
 * again. A partial of a method is the method and the arguments, held strongly until the method
 * dies. Anything else is held as it is.
 *
 * Two are equal if they were made for the same parts, and stay so when these are dead. As with
 * IdRef, what is compared is the plain weak reference of each part, of which the interpreter
 * makes only one while anybody holds it. */

#ifndef WEAKLY_WEAKCALLABLE_H
#define WEAKLY_WEAKCALLABLE_H

#include "mapping.h"

/* What the signals do with a listener (signal.h). */
typedef enum { LISTENER_PLAIN, LISTENER_SPECIAL, LISTENER_GONE } ListenerState;

typedef enum {
    WHOLE,                      /* the callable itself */
    METHOD,                     /* an object and a function */
    NAMED,                      /* an object and the name of one of its attributes */
} CallableKind;

typedef struct {
    PyObject_HEAD
    PyObject *weaklist;
    vectorcallfunc vectorcall;
    /* The parts. Owned: a plain weak reference, or, if it cannot be weakly referenced, the part
     * itself, then strongly. They stay after its death, to be compared. */
    PyObject *object;           /* of a METHOD or NAMED; of a WHOLE: the callable */
    PyObject *function;         /* of a METHOD: the function; NAMED: the name, interned; or NULL */
    PyObject *partial;          /* of a partial of a method: the partial, or NULL */
    Py_hash_t hash;
    PyObject *name;             /* owned: what messages call the callable */
    /* Owned, each or NULL; taken out at death. */
    PyObject *strong;           /* the callable, if it is held strongly */
    PyObject *args, *kwargs;    /* of a partial */
    PyObject *keeper;           /* table in which the object keeps a function made for it */
    PyObject *callback;
    /* Owned, hidden from the collector: tell of the deaths of object and function; or NULL. */
    PyObject *object_watch, *function_watch;
    DeathCallback *death;
    int state;                  /* ListenerState */
    int dead;                   /* has it heard of a death? Plain references can come later. */
    CallableKind kind;
    bool object_is_weak, function_is_weak;
    bool ignore_dead;
#ifdef Py_GIL_DISABLED
    PyObject *self_ref;         /* owned: a weak reference to this, by which `death` finds it */
#endif
} WeakCallable;

static void callable_dealloc(PyObject *self);

/* Is it a WeakCallable, or of a subclass? */
static bool
is_weak_callable(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    while (type != NULL && type->tp_dealloc != callable_dealloc) {
        type = type->tp_base;
    }
    return type != NULL;
}

/* As PyObject_GetAttrString(), with a name that is interned: the interpreter keeps a while the
 * names that it looks up in types. */
static PyObject *
attribute_of(PyObject *object, const char *name)
{
    PyObject *interned = PyUnicode_InternFromString(name);
    PyObject *value = interned == NULL ? NULL : PyObject_GetAttr(object, interned);
    Py_XDECREF(interned);
    return value;
}

/* As getattr(object, name, None), but with NULL for None; no exception set if there is none. */
static PyObject *
optional_attribute(PyObject *object, const char *name)
{
    PyObject *value = attribute_of(object, name);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
    }
    if (value == Py_None) {
        Py_CLEAR(value);
    }
    return value;
}

/* Is an argument held by the caller's stack alone, so that it dies when the call is over? */
static bool
is_temporary(PyObject *argument)
{
#if PY_VERSION_HEX >= 0x030E0000
    return PyUnstable_Object_IsUniqueReferencedTemporary(argument);
#else
    return Py_REFCNT(argument) == 1;
#endif
}

/* The arguments of a vector call as a tuple and a dict; -1 with an exception set. */
static int
arguments_as_objects(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                     PyObject **positional, PyObject **keywords)
{
    *positional = PyTuple_New(nargs);
    *keywords = *positional == NULL ? NULL : PyDict_New();
    bool made = *keywords != NULL;
    for (Py_ssize_t i = 0; made && i < nargs; i++) {
        PyTuple_SET_ITEM(*positional, i, Py_NewRef(args[i]));
    }
    for (Py_ssize_t i = 0; made && kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++) {
        made = PyDict_SetItem(*keywords, PyTuple_GET_ITEM(kwnames, i), args[nargs + i]) == 0;
    }
    if (!made) {
        Py_CLEAR(*positional);
        Py_CLEAR(*keywords);
    }
    return made ? 0 : -1;
}

/* Death */

/* The WeakCallable that a callback belongs to, as a new reference; NULL if it is gone, or about
 * to go. */
static WeakCallable *
callable_of_death(DeathCallback *death)
{
    PyObject *self = NULL;
    MUTEX_LOCK(death, mutex);
#ifdef Py_GIL_DISABLED
    if (death->owner != NULL) {
        (void)PyWeakref_GetRef(death->owner, &self);
    }
#else
    if (death->owner != NULL && Py_REFCNT(death->owner) > 0) {
        self = Py_NewRef(death->owner);
    }
#endif
    MUTEX_UNLOCK(death, mutex);
    return (WeakCallable *)self;
}

/* Takes out what is held for the living; the callback, if any, is the caller's. Only the first
 * death finds one. Can run any code. */
static PyObject *
callable_empty(WeakCallable *self)
{
    PyObject *args, *kwargs, *keeper, *callback;
    Py_BEGIN_CRITICAL_SECTION(self);
    args = self->args;
    kwargs = self->kwargs;
    keeper = self->keeper;
    callback = self->callback;
    self->args = self->kwargs = self->keeper = self->callback = NULL;
    Py_END_CRITICAL_SECTION();
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    Py_XDECREF(keeper);
    return callback;
}

/* Hears of a death: called with a watch of a WeakCallable, or with anything by anybody. */
static PyObject *
callable_hear_death(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (PyVectorcall_NARGS(nargsf) != 1 || kwnames != NULL) {
        PyErr_SetString(PyExc_TypeError, "a death callback takes one weak reference");
        return NULL;
    }
    WeakCallable *self = callable_of_death((DeathCallback *)op);
    if (self == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *result = Py_NewRef(Py_None), *callback = NULL;
    if ((args[0] == self->object_watch || args[0] == self->function_watch)
        && ref_address(args[0]) == Py_None) {
        SHARED_STORE_INT(&self->dead, 1);
        callback = callable_empty(self);
    }
    if (callback != NULL) {
        Py_SETREF(result, PyObject_CallOneArg(callback, (PyObject *)self));
        Py_DECREF(callback);
    }
    Py_DECREF(self);
    return result;
}

/* Has the WeakCallable told of the deaths of its parts. Can run any code. */
static int
callable_watch(WeakCallable *self, State *state, PyObject *object, PyObject *function)
{
    void *owner = self;
#ifdef Py_GIL_DISABLED
    self->self_ref = PyWeakref_NewRef((PyObject *)self, NULL);
    if (self->self_ref == NULL) {
        return -1;
    }
    owner = self->self_ref;
#endif
    self->death = death_callback_new(state, owner, callable_hear_death);
    if (self->death == NULL) {
        return -1;
    }
    self->object_watch = PyWeakref_NewRef(object, (PyObject *)self->death);
    if (self->object_watch == NULL) {
        return -1;
    }
    gc_hide(self->object_watch);
    if (function != NULL && self->function_is_weak) {
        self->function_watch = PyWeakref_NewRef(function, (PyObject *)self->death);
        if (self->function_watch == NULL) {
            return -1;
        }
        gc_hide(self->function_watch);
    }
    return 0;
}

/* Making */

/* A part as it is held: as a plain weak reference, or, if `or_itself` and it cannot be weakly
 * referenced, the part itself. */
static PyObject *
part_new(PyObject *part, bool or_itself, bool *is_weak)
{
    *is_weak = is_referenceable(Py_TYPE(part));
    if (*is_weak) {
        return PyWeakref_NewRef(part, NULL);
    }
    if (or_itself) {
        return Py_NewRef(part);
    }
    PyErr_Format(PyExc_TypeError,
                 "cannot create weak reference to '%.200s' object: add '__weakref__' to the "
                 "__slots__ of its class, or pass strong=True to hold the callable strongly",
                 Py_TYPE(part)->tp_name);
    return NULL;
}

/* The parts of a callable, new references; `object` alone for a WHOLE. */
typedef struct {
    CallableKind kind;
    PyObject *object, *function;
    PyObject *name;
} Parts;

/* What messages call a callable: its qualified name, or that of its type. */
static PyObject *
name_of(PyObject *callable)
{
    if (PyFunction_Check(callable)) {
        return Py_NewRef(((PyFunctionObject *)callable)->func_qualname);
    }
    PyObject *name = optional_attribute(callable, "__qualname__");
    if (name != NULL && PyUnicode_CheckExact(name)) {
        return name;
    }
    Py_XDECREF(name);
    return PyErr_Occurred() ? NULL : PyType_GetQualName(Py_TYPE(callable));
}

/* Takes a callable apart; -1 with an exception set. Can run any code. */
static int
parts_of(PyObject *callable, Parts *parts)
{
    if (PyMethod_Check(callable)) {
        PyObject *function = PyMethod_GET_FUNCTION(callable);
        *parts = (Parts){METHOD, Py_NewRef(PyMethod_GET_SELF(callable)), Py_NewRef(function),
                         name_of(function)};
        return parts->name == NULL ? -1 : 0;
    }
    *parts = (Parts){WHOLE, Py_NewRef(callable), NULL, NULL};
    if (PyFunction_Check(callable) || PyType_Check(callable)) {
        parts->name = name_of(callable);
        return parts->name == NULL ? -1 : 0;
    }
    /* A method of a type in C, or something like it, if it is found under its name again. */
    PyObject *object = optional_attribute(callable, "__self__"), *again = NULL;
    PyObject *name = object == NULL ? NULL : optional_attribute(callable, "__name__");
    int found = PyErr_Occurred() ? -1 : 0;
    if (name != NULL && PyUnicode_CheckExact(name) && !PyModule_Check(object)) {
        PyUnicode_InternInPlace(&name);
        again = PyObject_GetAttr(object, name);
        if (again != NULL) {
            found = PyObject_RichCompareBool(again, callable, Py_EQ);
        }
        else if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Clear();
        }
        else {
            found = -1;
        }
        Py_XDECREF(again);
    }
    if (found == 1) {
        Py_DECREF(parts->object);
        *parts = (Parts){NAMED, object, name,
                         PyUnicode_FromFormat("%s.%U", Py_TYPE(object)->tp_name, name)};
        return parts->name == NULL ? -1 : 0;
    }
    Py_XDECREF(object);
    Py_XDECREF(name);
    if (found == 0) {
        parts->name = name_of(callable);
    }
    return parts->name == NULL ? -1 : 0;
}

/* Is a function found in the class of an object, or in the object if that is a class? */
static bool
is_of_class(PyObject *object, PyObject *function)
{
    PyTypeObject *type = PyType_Check(object) ? (PyTypeObject *)object : Py_TYPE(object);
    PyObject *name = optional_attribute(function, "__name__");
    PyObject *found = name == NULL || !PyUnicode_Check(name) ? NULL : type_lookup(type, name);
    bool is_of = found == function;
    if (!is_of && found != NULL) {  /* of a class method */
        PyObject *inner = optional_attribute(found, "__func__");
        is_of = inner == function;
        Py_XDECREF(inner);
    }
    Py_XDECREF(found);
    Py_XDECREF(name);
    PyErr_Clear();  /* then it is not found */
    return is_of;
}

/* Does nobody hold a method's function but the method, the parts and other WeakCallables? */
static bool
is_lone(WeakCallable *self, Parts *parts)
{
    if (Py_REFCNT(self->function) == 1) {  /* the plain reference: no others have it */
        return Py_REFCNT(parts->function) == 2;
    }
    return Py_REFCNT(parts->function) <= 1 + Py_REFCNT(self->function)
           && !is_of_class(parts->object, parts->function);
}

/* Has the object keep a function that nobody else does: one made for this very method, as by
 * functools.partialmethod. It may refer to the object, without keeping it alive. */
static int
callable_keep(WeakCallable *self, State *state, Parts *parts)
{
    self->keeper = id_key_mapping_new(state->id_key_table_type, NULL, NULL);
    return self->keeper == NULL
               ? -1 : mapping_ass_subscript(self->keeper, ID_KEY, parts->object, parts->function);
}

/* The arguments that a partial passes. */
static int
callable_take_arguments(WeakCallable *self, PyObject *partial)
{
    self->args = attribute_of(partial, "args");
    PyObject *keywords = self->args == NULL ? NULL : attribute_of(partial, "keywords");
    self->kwargs = keywords == NULL ? NULL : PyDict_Copy(keywords);
    Py_XDECREF(keywords);
    return self->kwargs == NULL ? -1 : 0;
}

/* How the callable is to be held. */
typedef enum { WEAKLY, STRONGLY, METHODS_WEAKLY } Hold;

/* Fills in a new WeakCallable. Can run any code. */
static int
callable_aim(WeakCallable *self, State *state, PyObject *callable, Parts *parts, Hold hold)
{
    PyObject *partial = NULL, *identity = parts->object;
    if (parts->kind == WHOLE && Py_IS_TYPE(callable, (PyTypeObject *)state->partial_type)) {
        Parts inner = {WHOLE, NULL, NULL, NULL};
        PyObject *function = attribute_of(callable, "func");
        if (function == NULL || parts_of(function, &inner) < 0) {
            Py_XDECREF(function);
            Py_XDECREF(inner.object);
            Py_XDECREF(inner.function);
            return -1;
        }
        if (inner.kind != WHOLE) {
            partial = callable;
            Py_SETREF(parts->object, inner.object);
            Py_XSETREF(parts->name, inner.name);
            parts->function = inner.function;
            parts->kind = inner.kind;
            identity = callable;
        }
        else {
            Py_DECREF(inner.object);
            Py_XDECREF(inner.name);
        }
        Py_DECREF(function);
    }
    bool or_itself = hold == STRONGLY || (hold == METHODS_WEAKLY && parts->kind != METHOD), is_weak;
    self->kind = parts->kind;
    self->object = part_new(parts->object, or_itself, &is_weak);
    if (self->object == NULL) {
        return -1;
    }
    self->object_is_weak = is_weak;  /* not before: see callable_make() */
    if (hold == METHODS_WEAKLY) {
        hold = parts->kind == WHOLE || !self->object_is_weak ? STRONGLY : WEAKLY;
    }
    Py_SETREF(self->name, Py_NewRef(parts->name));
    self->hash = hash_address(identity);
    if (parts->kind == METHOD) {
        self->function = part_new(parts->function, true, &is_weak);
        if (self->function == NULL) {
            return -1;
        }
        self->function_is_weak = is_weak;
    }
    else {
        self->function = Py_XNewRef(parts->function);
    }
    if (partial == NULL && parts->function != NULL) {
        size_t hash = (size_t)self->hash ^ (size_t)hash_address(parts->function) * 31;
        self->hash = (Py_hash_t)hash == -1 ? -2 : (Py_hash_t)hash;
    }
    if (partial != NULL && (self->partial = PyWeakref_NewRef(partial, NULL)) == NULL) {
        return -1;
    }
    if (hold == STRONGLY) {
        self->strong = Py_NewRef(callable);
        return 0;
    }
    if (partial != NULL && callable_take_arguments(self, partial) < 0) {
        return -1;
    }
    if (parts->kind == METHOD && self->function_is_weak && is_lone(self, parts)
        && callable_keep(self, state, parts) < 0) {
        return -1;
    }
    if (self->callback == NULL && self->args == NULL && self->keeper == NULL) {
        return 0;
    }
    return callable_watch(self, state, parts->object,
                          parts->kind == METHOD ? parts->function : NULL);
}

static PyObject *callable_target(WeakCallable *self);
static PyObject *callable_call(PyObject *self, PyObject *const *args, size_t nargsf,
                               PyObject *kwnames);

/* One as dead as another, and equal to it. */
static PyObject *
callable_make_dead(PyTypeObject *type, WeakCallable *original, bool ignore_dead)
{
    WeakCallable *self = (WeakCallable *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->vectorcall = callable_call;
        self->kind = original->kind;
        self->object = Py_XNewRef(original->object);
        self->function = Py_XNewRef(original->function);
        self->partial = Py_XNewRef(original->partial);
        self->object_is_weak = original->object_is_weak;
        self->function_is_weak = original->function_is_weak;
        self->hash = original->hash;
        self->name = Py_NewRef(original->name);
        self->dead = 1;
        self->ignore_dead = ignore_dead;
    }
    return (PyObject *)self;
}

static PyObject *
callable_make(PyTypeObject *type, PyObject *callable, PyObject *callback, Hold hold,
              bool ignore_dead)
{
    PyObject *module = module_of_type(type);
    if (module == NULL) {
        return NULL;
    }
    State *state = state_of_module(module);
    WeakCallable *original = is_weak_callable(callable) ? (WeakCallable *)callable : NULL;
    PyObject *target = original == NULL ? Py_NewRef(callable) : callable_target(original);
    if (target == NULL) {
        return PyErr_Occurred() ? NULL : callable_make_dead(type, original, ignore_dead);
    }
    if (!PyCallable_Check(target)) {
        PyErr_Format(PyExc_TypeError, "%.200s() takes a callable, not '%.200s' object",
                     type->tp_name, Py_TYPE(target)->tp_name);
        Py_DECREF(target);
        return NULL;
    }
    Parts parts = {WHOLE, NULL, NULL, NULL};
    WeakCallable *self = NULL;
    if (parts_of(target, &parts) == 0) {
        self = (WeakCallable *)type->tp_alloc(type, 0);
    }
    if (self != NULL) {
        self->vectorcall = callable_call;
        self->name = Py_NewRef(parts.name);  /* first: gc.get_objects() shows what is half made */
        self->callback = callback == Py_None ? NULL : Py_NewRef(callback);
        self->ignore_dead = ignore_dead;
        if (callable_aim(self, state, target, &parts, hold) < 0) {
            Py_CLEAR(self);
        }
        else if (original != NULL && original->partial != NULL) {  /* that may be another now */
            Py_XSETREF(self->partial, Py_NewRef(original->partial));
            self->hash = original->hash;
        }
    }
    Py_XDECREF(parts.object);
    Py_XDECREF(parts.function);
    Py_XDECREF(parts.name);
    Py_DECREF(target);
    return (PyObject *)self;
}

/* Calling */

/* A new reference to a part, NULL if it is dead. No exception is set. */
static inline PyObject *
part_get(PyObject *part, bool is_weak)
{
    PyObject *object = NULL;
    if (!is_weak) {
        return Py_XNewRef(part);
    }
    (void)PyWeakref_GetRef(part, &object);
    return object;
}

/* New references to object and function (NULL unless a METHOD); false if one is dead. */
static inline bool
callable_parts(WeakCallable *self, PyObject **object, PyObject **function)
{
    *function = NULL;
    /* An object that is held itself was so by the callable, which the collector took away. */
    bool gone = !self->object_is_weak || SHARED_LOAD_INT(&self->dead);
    *object = gone ? NULL : part_get(self->object, true);
    if (*object != NULL && self->kind == METHOD) {
        *function = part_get(self->function, self->function_is_weak);
        if (*function == NULL) {
            Py_CLEAR(*object);
        }
    }
    return *object != NULL;
}

/* A partial anew, of the method that is given, with the arguments of the one that was; NULL,
 * without an exception if they are gone. */
static PyObject *
callable_partial(WeakCallable *self, PyObject *method)
{
    PyObject *args, *kwargs, *result = NULL;
    Py_BEGIN_CRITICAL_SECTION(self);
    args = Py_XNewRef(self->args);
    kwargs = Py_XNewRef(self->kwargs);
    Py_END_CRITICAL_SECTION();
    PyObject *module = module_of_type(Py_TYPE(self));
    if (module != NULL && args != NULL && kwargs != NULL) {
        PyObject *first = PyTuple_Pack(1, method);
        PyObject *all = first == NULL ? NULL : PySequence_Concat(first, args);
        result = all == NULL ? NULL
                 : PyObject_Call(state_of_module(module)->partial_type, all, kwargs);
        Py_XDECREF(first);
        Py_XDECREF(all);
    }
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return result;
}

/* The callable, anew if it was taken apart; NULL, without an exception if it is dead. */
static PyObject *
callable_target(WeakCallable *self)
{
    PyObject *object, *function, *result = Py_XNewRef(self->strong);
    if (result != NULL || !callable_parts(self, &object, &function)) {
        return result;
    }
    if (self->kind == WHOLE) {
        return object;
    }
    result = self->partial == NULL ? NULL : part_get(self->partial, true);
    if (result == NULL) {
        result = function != NULL ? PyMethod_New(function, object)
                                  : PyObject_GetAttr(object, self->function);
        if (result != NULL && self->partial != NULL) {
            Py_SETREF(result, callable_partial(self, result));
        }
    }
    Py_DECREF(object);
    Py_XDECREF(function);
    return result;
}

/* Calls a method by its parts. */
static PyObject *
call_with_object(PyObject *object, PyObject *function, PyObject *name, PyObject *const *args,
                 size_t nargsf, PyObject *kwnames)
{
    PyObject *small[8], **stack = small, *before = NULL, *result;
    size_t nargs = (size_t)PyVectorcall_NARGS(nargsf);
    bool in_place = (nargsf & PY_VECTORCALL_ARGUMENTS_OFFSET) != 0;
    if (in_place) {
        stack = (PyObject **)args - 1;
        before = stack[0];
    }
    else {
        size_t total = nargs + (kwnames == NULL ? 0 : (size_t)PyTuple_GET_SIZE(kwnames));
        if (total + 1 > Py_ARRAY_LENGTH(small)) {
            stack = PyMem_Malloc((total + 1) * sizeof(PyObject *));
            if (stack == NULL) {
                return PyErr_NoMemory();
            }
        }
        if (total > 0) {  /* else there may be no array */
            memcpy(stack + 1, args, total * sizeof(PyObject *));
        }
    }
    stack[0] = object;
    result = function != NULL ? PyObject_Vectorcall(function, stack, nargs + 1, kwnames)
                              : PyObject_VectorcallMethod(name, stack, nargs + 1, kwnames);
    if (in_place) {
        stack[0] = before;
    }
    else if (stack != small) {
        PyMem_Free(stack);
    }
    return result;
}

/* Calls the target; NULL without an exception if it is dead. */
static PyObject *
callable_run(WeakCallable *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *object, *function, *result;
    if (self->kind == WHOLE || self->strong != NULL || self->partial != NULL) {
        object = callable_target(self);
        function = NULL;
        result = object == NULL ? NULL : PyObject_Vectorcall(object, args, nargsf, kwnames);
    }
    else if (callable_parts(self, &object, &function)) {
        result = call_with_object(object, function, self->function, args, nargsf, kwnames);
    }
    else {
        return NULL;
    }
    Py_XDECREF(object);
    Py_XDECREF(function);
    return result;
}

static PyObject *
callable_call(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    WeakCallable *self = (WeakCallable *)op;
    PyObject *result = callable_run(self, args, nargsf, kwnames);
    if (LIKELY(result != NULL) || PyErr_Occurred()) {
        return result;
    }
    if (self->ignore_dead) {
        Py_RETURN_NONE;
    }
    PyErr_Format(PyExc_ReferenceError, "the target of this WeakCallable, '%U', is dead",
                 self->name);
    return NULL;
}

static bool
callable_is_alive(WeakCallable *self)
{
    PyObject *object, *function;
    if (self->strong != NULL) {
        return true;
    }
    if (!callable_parts(self, &object, &function)) {
        return false;
    }
    Py_DECREF(object);
    Py_XDECREF(function);
    return true;
}

/* Construction from Python */

/* What `strong` says; -1 with an exception set. */
static int
parse_hold(PyObject *strong, Hold *hold)
{
    int truth = strong == Py_None ? 0 : PyObject_IsTrue(strong);
    *hold = strong == Py_None ? METHODS_WEAKLY : truth ? STRONGLY : WEAKLY;
    return truth < 0 ? -1 : 0;
}

static PyObject *
callable_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"", "", "strong", "if_dead", NULL};
    PyObject *callable, *callback = Py_None, *strong = Py_False, *if_dead = NULL;
    Hold hold;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O$OO:WeakCallable", names, &callable,
                                     &callback, &strong, &if_dead)
        || parse_hold(strong, &hold) < 0) {
        return NULL;
    }
    bool is_str = if_dead != NULL && PyUnicode_Check(if_dead);
    bool ignore = is_str && PyUnicode_CompareWithASCIIString(if_dead, "ignore") == 0;
    if (if_dead != NULL && !ignore
        && !(is_str && PyUnicode_CompareWithASCIIString(if_dead, "raise") == 0)) {
        PyErr_Format(PyExc_ValueError, "if_dead must be 'raise' or 'ignore', not %R", if_dead);
        return NULL;
    }
    if (callback != Py_None && !PyCallable_Check(callback)) {
        PyErr_Format(PyExc_TypeError, "the callback of a WeakCallable must be callable, not "
                     "'%.200s' object", Py_TYPE(callback)->tp_name);
        return NULL;
    }
    return callable_make(type, callable, callback, hold, ignore);
}

/* Warns if a callable would be dead at once. */
static int
warn_of_temporary(PyObject *callable)
{
    return PyErr_WarnFormat(PyExc_RuntimeWarning, 1,
                            "nobody else holds %R: a weak reference to it is dead at once; keep "
                            "it somewhere, or hold it strongly", callable);
}

/* The constructor as it is called, in a way that shows who else holds the argument. */
static PyObject *
callable_vectorcall(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyTypeObject *type = (PyTypeObject *)op;
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    bool temporary = nargs > 0 && is_temporary(args[0]);
    PyObject *result;
    if (nargs == 1 && kwnames == NULL) {
        result = callable_make(type, args[0], Py_None, WEAKLY, false);
    }
    else {
        PyObject *positional, *keywords;
        if (arguments_as_objects(args, nargs, kwnames, &positional, &keywords) < 0) {
            return NULL;
        }
        result = callable_new(type, positional, keywords);
        Py_DECREF(positional);
        Py_DECREF(keywords);
    }
    WeakCallable *self = (WeakCallable *)result;
    if (temporary && self != NULL && self->kind == WHOLE && self->strong == NULL
        && !is_weak_callable(args[0]) && warn_of_temporary(args[0]) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

static int
callable_init(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    return 0;
}

/* What every object has */

static Py_hash_t
callable_hash(PyObject *self)
{
    return ((WeakCallable *)self)->hash;
}

static PyObject *
callable_richcompare(PyObject *self, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || !is_weak_callable(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    WeakCallable *a = (WeakCallable *)self, *b = (WeakCallable *)other;
    bool equal = a->partial != NULL || b->partial != NULL
                     ? a->partial == b->partial
                     : a->object == b->object && a->function == b->function;
    return PyBool_FromLong(equal == (op == Py_EQ));
}

static PyObject *
callable_repr(PyObject *op)
{
    WeakCallable *self = (WeakCallable *)op;
    const char *full = Py_TYPE(op)->tp_name, *dot = strrchr(full, '.');
    const char *name = dot == NULL ? full : dot + 1;
    PyObject *object, *function, *result;
    if (self->strong != NULL || self->kind == WHOLE) {
        return PyUnicode_FromFormat("<%s at %p; to '%U'%s>", name, op, self->name,
                                    callable_is_alive(self) ? "" : "; dead");
    }
    if (!callable_parts(self, &object, &function)) {
        return PyUnicode_FromFormat("<%s at %p; to '%U'; dead>", name, op, self->name);
    }
    result = PyUnicode_FromFormat("<%s at %p; to '%U' of '%s' object at %p>", name, op, self->name,
                                  Py_TYPE(object)->tp_name, object);
    Py_DECREF(object);
    Py_XDECREF(function);
    return result;
}

static PyObject *
callable_get_alive(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(callable_is_alive((WeakCallable *)self));
}

static PyObject *
callable_get_strong(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((WeakCallable *)self)->strong != NULL);
}

static PyObject *
callable_get_target(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *target = callable_target((WeakCallable *)self);
    return target == NULL && !PyErr_Occurred() ? Py_NewRef(Py_None) : target;
}

static PyObject *
callable_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyErr_Format(PyExc_TypeError, "cannot pickle %R: weak references cannot be pickled", self);
    return NULL;
}

static PyObject *
callable_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self);
}

static int
callable_traverse(PyObject *op, visitproc visit, void *arg)
{
    WeakCallable *self = (WeakCallable *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->object);
    Py_VISIT(self->function);
    Py_VISIT(self->partial);
    Py_VISIT(self->strong);
    Py_VISIT(self->args);
    Py_VISIT(self->kwargs);
    Py_VISIT(self->keeper);
    Py_VISIT(self->callback);
    return 0;
}

/* Weakly held parts stay, to be compared. */
static int
callable_clear(PyObject *op)
{
    WeakCallable *self = (WeakCallable *)op;
    if (!self->object_is_weak) {
        Py_CLEAR(self->object);
    }
    if (!self->function_is_weak && self->kind == METHOD) {
        Py_CLEAR(self->function);
    }
    Py_CLEAR(self->strong);
    Py_CLEAR(self->args);
    Py_CLEAR(self->kwargs);
    Py_CLEAR(self->keeper);
    Py_CLEAR(self->callback);
    return 0;
}

static void
callable_dealloc(PyObject *op)
{
    WeakCallable *self = (WeakCallable *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_TRASHCAN_BEGIN(op, callable_dealloc)
    if (self->death != NULL) {
        death_callback_detach(self->death);
    }
    PyObject_ClearWeakRefs(op);
    callable_clear(op);
    Py_XDECREF(self->object_watch);
    Py_XDECREF(self->function_watch);
    Py_XDECREF((PyObject *)self->death);
#ifdef Py_GIL_DISABLED
    Py_XDECREF(self->self_ref);
#endif
    Py_XDECREF(self->object);
    Py_XDECREF(self->function);
    Py_XDECREF(self->partial);
    Py_XDECREF(self->name);
    type->tp_free(op);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

static PyMethodDef callable_methods[] = {
    {"__reduce__", callable_reduce, METH_NOARGS, NULL},
    {"__copy__", callable_copy, METH_NOARGS, NULL},
    {"__deepcopy__", callable_copy, METH_O, NULL},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "See PEP 585."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef callable_getset[] = {
    {"alive", callable_get_alive, NULL, "whether the target lives", NULL},
    {"strong", callable_get_strong, NULL, "whether the target is held strongly", NULL},
    {"target", callable_get_target, NULL,
     "the callable, a bound method anew; None once it is dead", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef callable_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(WeakCallable, vectorcall), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(WeakCallable, weaklist), READONLY, NULL},
    {"_state", T_INT, offsetof(WeakCallable, state), 0,
     "of a signal's listener: 0 call it, 1 ask it, 2 it is gone"},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(callable_doc,
"WeakCallable(f, callback=None, /, *, strong=False, if_dead='raise')\n--\n\n"
"A weak reference to any callable, which is called as the callable is.\n\n"
"Of a bound method the object and the function are held weakly, each by itself; methods of\n"
"types in C are found by name again; of a `functools.partial` of a method, the method weakly\n"
"and the arguments until it dies. Anything else is weakly referenced itself, and dies at once\n"
"if nobody else holds it (a RuntimeWarning names it), unless `strong` is true. With `strong`\n"
"None, methods and partials of methods are held weakly and all else strongly.\n\n"
"Once the target is dead, a call raises ReferenceError, or returns None if `if_dead` is\n"
"\"ignore\". `callback`, if any, is called once with the WeakCallable when the target dies.\n\n"
"Two are equal if they were made for the same target, before its death and after; nothing of\n"
"the target is called for that. Raises TypeError for what is not callable or cannot be weakly\n"
"referenced. All operations are O(1) and thread-safe.");

static PyType_Slot callable_slots[] = {
    {Py_tp_new, callable_new},
    {Py_tp_init, callable_init},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_hash, callable_hash},
    {Py_tp_richcompare, callable_richcompare},
    {Py_tp_repr, callable_repr},
    {Py_tp_traverse, callable_traverse},
    {Py_tp_clear, callable_clear},
    {Py_tp_dealloc, callable_dealloc},
    {Py_tp_methods, callable_methods},
    {Py_tp_getset, callable_getset},
    {Py_tp_members, callable_members},
    {Py_tp_doc, (void *)callable_doc},
    {0, NULL},
};

static PyType_Spec callable_spec = {
    .name = "weakly.WeakCallable",
    .basicsize = sizeof(WeakCallable),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE
             | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = callable_slots,
};

#endif
