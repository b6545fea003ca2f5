/* Entry references: the weak side of an entry, and the callback that hears of its death.
 *
 * An entry's weak side is one object. A table finds the entry of a dead reference by hash
 * and by the reference's address, so that no user code runs and nothing can fail. The
 * reference of a key or a member is a plain weakref.ref: it carries the hash where every
 * weak reference caches its referent's hash. The reference of a value cannot: its referent
 * is not what the table hashes. It is a KeyedRef with the hash of the key in a field.
 *
 * All references of a table share one DeathCallback, which borrows the table (caches, queues
 * and WeakCallables have them, too). The table
 * clears that pointer as it goes, so references may outlive it. Users see references
 * (getweakrefs(), keyrefs()) and can call their callbacks as they like; a call that is not
 * about a dead reference of this table does nothing. */

#ifndef WEAKLY_ENTRY_H
#define WEAKLY_ENTRY_H

#include "state.h"

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    void *owner;                /* whose it is, borrowed; NULL once that is gone */
    MUTEX_FIELD(mutex)          /* guards `owner` */
} DeathCallback;

typedef struct {
    PyWeakReference base;
    /* Owned. Of an entry in a table: the table's DeathCallback, by which the key, owned by
     * the table, can be found. Of any other: the key. */
    PyObject *key;
    Py_hash_t key_hash;         /* of an entry: the hash of its key */
} KeyedRef;

/* What a lenient table has in place of a reference to an object that cannot be weakly
 * referenced. For the table it is laid out like any of its references, but it owns what it
 * refers to, and never dies. */
typedef KeyedRef StrongRef;

static void strong_ref_dealloc(PyObject *self);

/* Types are made for each interpreter; their deallocator is the same in all. */
static inline bool
is_strong_ref(PyObject *ref)
{
    return Py_TYPE(ref)->tp_dealloc == strong_ref_dealloc;
}

/* The address of the live referent, or that of None once it is dead: to be compared, never
 * to be followed (the referent may be on its way out). */
static inline PyObject *
ref_address(PyObject *ref)
{
    return SHARED_LOAD(&((PyWeakReference *)ref)->wr_object);
}

/* Is it certain that the referent is dead? (One on its way out may not be yet.) */
static inline bool
ref_is_dead(PyObject *ref)
{
    return ref_address(ref) == Py_None && !is_strong_ref(ref);
}

/* As PyWeakref_GetRef(), for a reference of a table, which may be a StrongRef if `lenient`. */
ALWAYS_INLINE int
ref_get(PyObject *ref, bool lenient, PyObject **referent)
{
    if (UNLIKELY(lenient) && is_strong_ref(ref)) {
        *referent = Py_NewRef(ref_address(ref));
        return 1;
    }
    return PyWeakref_GetRef(ref, referent);
}

static NOINLINE PyObject *
strong_ref_new(State *state, PyObject *referent, Py_hash_t hash)
{
    StrongRef *ref = PyObject_GC_New(StrongRef, state->strong_ref_type);
    if (ref == NULL) {
        return NULL;
    }
    memset((char *)ref + sizeof(PyObject), 0, sizeof(StrongRef) - sizeof(PyObject));
    ref->base.wr_object = Py_NewRef(referent);
    ref->base.hash = ref->key_hash = hash;
    PyObject_GC_Track(ref);
    return (PyObject *)ref;
}

/* The entry reference to a key or member, hidden from the collector; NULL with an exception
 * set. Borrows everything. Can start a collection, and so run any code. */
ALWAYS_INLINE PyObject *
key_ref_new(State *state, PyObject *referent, DeathCallback *callback, Py_hash_t hash,
            bool lenient)
{
    if (UNLIKELY(lenient) && !is_referenceable(Py_TYPE(referent))) {
        return strong_ref_new(state, referent, hash);
    }
    PyObject *ref = PyWeakref_NewRef(referent, (PyObject *)callback);
    if (ref != NULL) {
        ((PyWeakReference *)ref)->hash = hash;
        gc_hide(ref);
    }
    return ref;
}

/* The entry reference to a value, given the hash of its key: as key_ref_new(). */
static PyObject *
value_ref_new(State *state, PyObject *referent, DeathCallback *callback, Py_hash_t hash,
              bool lenient)
{
    if (UNLIKELY(lenient) && !is_referenceable(Py_TYPE(referent))) {
        return strong_ref_new(state, referent, hash);
    }
    PyObject *arguments = PyTuple_Pack(2, referent, (PyObject *)callback);
    if (arguments == NULL) {
        return NULL;
    }
    PyObject *ref = _PyWeakref_RefType.tp_new(state->keyed_ref_type, arguments, NULL);
    Py_DECREF(arguments);
    if (ref != NULL) {
        ((KeyedRef *)ref)->key_hash = hash;
        ((KeyedRef *)ref)->key = Py_NewRef((PyObject *)callback);
        gc_hide(ref);
    }
    return ref;
}

static void death_callback_dealloc(PyObject *self);

/* As is_strong_ref(). */
static inline bool
is_death_callback(PyObject *object)
{
    return Py_TYPE(object)->tp_dealloc == death_callback_dealloc;
}

/* Does a value's reference own its key? Not while its entry is in a table. */
static inline bool
value_ref_has_key(PyObject *ref)
{
    PyObject *key = ((KeyedRef *)ref)->key;
    return key != NULL && !is_death_callback(key);
}

/* Gives a value's entry reference the key, which is taken over: its table forgets it. */
static void
value_ref_adopt(PyObject *ref, PyObject *key)
{
    PyObject *old;
    Py_BEGIN_CRITICAL_SECTION(ref);
    old = ((KeyedRef *)ref)->key;
    ((KeyedRef *)ref)->key = key;
    Py_END_CRITICAL_SECTION();
    gc_show(ref);
    Py_XDECREF(old);
}

/* Drops a value's entry reference and its key, which an entry owned until now; takes both
 * over. A reference that somebody else holds as well takes the key with it, because people
 * ask dead references for their keys. */
static void
value_ref_release(PyObject *ref, PyObject *key)
{
#ifndef Py_GIL_DISABLED  /* there, a count says nothing about other threads */
    if (Py_REFCNT(ref) == 1) {
        Py_DECREF(ref);
        Py_DECREF(key);
        return;
    }
#endif
    value_ref_adopt(ref, key);
    Py_DECREF(ref);
}

/* Takes a reference that is being deallocated off the list of its referent, before it may have to
 * wait in the trash can: the collector and getweakrefs() would revive what they find there.
 * (Subclasses of weakref.ref in Python are not safe from that.) Without the GIL nothing that does
 * so takes the lock that is needed. */
static inline void
ref_unlink(PyObject *ref)
{
#ifndef Py_GIL_DISABLED
    (void)_PyWeakref_RefType.tp_clear(ref);
#else
    (void)ref;
#endif
}

/* KeyedRef */

static PyObject *
keyed_ref_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"ob", "callback", "key", NULL};
    PyObject *referent, *callback, *key;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO:KeyedRef", names, &referent, &callback,
                                     &key)) {
        return NULL;
    }
    PyObject *arguments = PyTuple_Pack(2, referent, callback);
    if (arguments == NULL) {
        return NULL;
    }
    PyObject *self = _PyWeakref_RefType.tp_new(type, arguments, NULL);
    Py_DECREF(arguments);
    if (self != NULL) {
        ((KeyedRef *)self)->key = Py_NewRef(key);
    }
    return self;
}

/* ref's own takes no key. */
static int
keyed_ref_init(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    return 0;
}

/* Straight to the base's deallocator: the detour over that of all heap types costs 15 to
 * 20 ns. */
static void
keyed_ref_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject *key = ((KeyedRef *)self)->key;
    if (key != NULL && is_death_callback(key)) {  /* straight, as it holds nothing */
        _PyWeakref_RefType.tp_dealloc(self);
        Py_DECREF(type);
        Py_DECREF(key);
        return;
    }
    PyObject_GC_UnTrack(self);
    ref_unlink(self);
    Py_TRASHCAN_BEGIN(self, keyed_ref_dealloc)
    ((KeyedRef *)self)->key = NULL;
    _PyWeakref_RefType.tp_dealloc(self);
    Py_DECREF(type);
    Py_XDECREF(key);  /* last: it can run code, which must not find half a reference */
    Py_TRASHCAN_END
}

static int
keyed_ref_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((KeyedRef *)self)->key);
    return _PyWeakref_RefType.tp_traverse(self, visit, arg);
}

static int
keyed_ref_clear(PyObject *self)
{
    Py_CLEAR(((KeyedRef *)self)->key);
    return _PyWeakref_RefType.tp_clear(self);
}

static PyObject *keyed_ref_key(PyObject *self, void *closure);  /* table.h: it asks the table */

static PyGetSetDef keyed_ref_getset[] = {
    {"key", keyed_ref_key, NULL, "the key that belongs to the referent", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(keyed_ref_doc,
"KeyedRef(ob, callback, key)\n--\n\n"
"A weak reference that knows the key its referent is stored under.");

static PyType_Slot keyed_ref_slots[] = {
    {Py_tp_new, keyed_ref_new},
    {Py_tp_init, keyed_ref_init},
    {Py_tp_dealloc, keyed_ref_dealloc},
    {Py_tp_traverse, keyed_ref_traverse},
    {Py_tp_clear, keyed_ref_clear},
    {Py_tp_getset, keyed_ref_getset},
    {Py_tp_doc, (void *)keyed_ref_doc},
    {0, NULL},
};

static PyType_Spec keyed_ref_spec = {
    .name = "weakly.KeyedRef",
    .basicsize = sizeof(KeyedRef),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE
             | Py_TPFLAGS_IMMUTABLETYPE,  /* an entry's reference stays of this type */
    .slots = keyed_ref_slots,
};

/* StrongRef */

static PyObject *
strong_ref_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":StrongRef", names)) {
        return NULL;
    }
    return Py_NewRef(ref_address(self));
}

static PyObject *
strong_ref_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<%s at %p; to '%.200s' at %p>", Py_TYPE(self)->tp_name, self,
                                Py_TYPE(ref_address(self))->tp_name, ref_address(self));
}

static int
strong_ref_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(ref_address(self));
    Py_VISIT(((StrongRef *)self)->key);
    return 0;
}

/* No tp_clear: the rows let go of them. */
static void
strong_ref_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, strong_ref_dealloc)
    PyObject *referent = ref_address(self), *key = ((StrongRef *)self)->key;
    PyObject_GC_Del(self);
    Py_DECREF(type);
    Py_DECREF(referent);
    Py_XDECREF(key);
    Py_TRASHCAN_END
}

static PyType_Slot strong_ref_slots[] = {
    {Py_tp_call, strong_ref_call},
    {Py_tp_repr, strong_ref_repr},
    {Py_tp_traverse, strong_ref_traverse},
    {Py_tp_dealloc, strong_ref_dealloc},
    {Py_tp_doc, "Called, returns the object that a lenient weak container holds strongly."},
    {0, NULL},
};

static PyType_Spec strong_ref_spec = {
    .name = "weakly.StrongRef",
    .basicsize = sizeof(StrongRef),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = strong_ref_slots,
};

/* DeathCallback. Not tracked by the collector: it owns nothing. */

/* `call` is what hears of a death: it is the owner's. */
static DeathCallback *
death_callback_new(State *state, void *owner, vectorcallfunc call)
{
    DeathCallback *self = PyObject_New(DeathCallback, state->death_callback_type);
    if (self != NULL) {
        self->vectorcall = call;
        self->owner = owner;
#ifdef Py_GIL_DISABLED
        self->mutex = (PyMutex){0};
#endif
    }
    return self;
}

/* Called by the owner on its way out: whoever dies from now on tells nobody. */
static void
death_callback_detach(DeathCallback *self)
{
    MUTEX_LOCK(self, mutex);
    self->owner = NULL;
    MUTEX_UNLOCK(self, mutex);
}

static void
death_callback_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMemberDef death_callback_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(DeathCallback, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot death_callback_slots[] = {
    {Py_tp_dealloc, death_callback_dealloc},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, death_callback_members},
    {Py_tp_doc, "Tells of the death of an object."},
    {0, NULL},
};

static PyType_Spec death_callback_spec = {
    .name = "weakly.DeathCallback",
    .basicsize = sizeof(DeathCallback),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION
             | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = death_callback_slots,
};

#endif
