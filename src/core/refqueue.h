/* ReferenceQueueBase: a queue of the deaths of the objects it tracks.
 *
 * Each object has a TrackedRef, a weak reference with a token, which is in a list of the queue.
 * A death moves it to the list of those that wait to be taken: that allocates nothing, runs no
 * Python code and takes no lock but the queue's own, held for a few instructions. Then those
 * who wait for a death are woken. The lists are doubly linked and own what is in them.
 *
 * References whose token the collector does not know are hidden from it (compat.h), and are in
 * a list of their own, which is not visited. */

#ifndef WEAKLY_REFQUEUE_H
#define WEAKLY_REFQUEUE_H

#include "collector.h"
#include "entry.h"

typedef enum { HIDDEN, VISIBLE, WAITING, NOWHERE } RefPlace;

typedef struct TrackedRef {
    PyWeakReference base;
    PyObject *token;            /* owned */
    DeathCallback *death;       /* owned: the queue's */
    struct TrackedRef *older, *newer;   /* neighbours; borrowed */
    RefPlace place;             /* the list that it is in */
} TrackedRef;

typedef struct {
    TrackedRef *oldest, *newest;
    Py_ssize_t count;
} RefList;

typedef struct {
    PyObject_HEAD
    PyObject *weaklist;
    PyObject *module;           /* owned, for the sake of its state */
    State *state;
    DeathCallback *death;       /* owned; its mutex guards the queue */
    PyObject *wakers;           /* a list of who is to be woken by the next death, or NULL */
    RefList lists[NOWHERE];
    int suspect;                /* may it have missed a death? (collector.h) */
} ReferenceQueue;

/* The lists; the caller holds the queue's mutex. */

static void
list_remove(ReferenceQueue *queue, TrackedRef *ref)
{
    RefList *list = &queue->lists[ref->place];
    *(ref->older == NULL ? &list->oldest : &ref->older->newer) = ref->newer;
    *(ref->newer == NULL ? &list->newest : &ref->newer->older) = ref->older;
    ref->older = ref->newer = NULL;
    ref->place = NOWHERE;
    list->count--;
}

static void
list_append(ReferenceQueue *queue, TrackedRef *ref, RefPlace place)
{
    RefList *list = &queue->lists[place];
    ref->place = place;
    ref->newer = NULL;
    ref->older = list->newest;
    *(list->newest == NULL ? &list->oldest : &list->newest->newer) = ref;
    list->newest = ref;
    list->count++;
}

/* Takes the oldest out; its reference is the caller's. NULL if the list is empty. */
static TrackedRef *
queue_pop(ReferenceQueue *queue, RefPlace place)
{
    MUTEX_LOCK(queue->death, mutex);
    TrackedRef *ref = queue->lists[place].oldest;
    if (ref != NULL) {
        list_remove(queue, ref);
    }
    MUTEX_UNLOCK(queue->death, mutex);
    return ref;
}

/* Wakes all who wait. Runs what they gave for that; takes the list over. */
static NOINLINE void
wake_all(PyObject *wakers)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(wakers); i++) {
        PyObject *waker = PyList_GET_ITEM(wakers, i);  /* nobody else has the list */
        PyObject *result = PyObject_CallNoArgs(waker);
        if (result == NULL) {
            PyErr_WriteUnraisable(waker);
        }
        Py_XDECREF(result);
    }
    Py_DECREF(wakers);
}

/* Finds the deaths that nobody told of, in the queue that a callback belongs to, and wakes those
 * who wait for one. */
static NOINLINE void
queue_search(DeathCallback *death)
{
    PyObject *wakers = NULL;
    MUTEX_LOCK(death, mutex);
    ReferenceQueue *queue = death->owner;
    if (queue != NULL) {
        SHARED_STORE_INT(&queue->suspect, is_collecting(queue->state));
        for (RefPlace place = HIDDEN; place <= VISIBLE; place++) {
            TrackedRef *next, *ref = queue->lists[place].oldest;
            for (; ref != NULL; ref = next) {
                next = ref->newer;
                if (ref_address((PyObject *)ref) == Py_None) {
                    list_remove(queue, ref);
                    list_append(queue, ref, WAITING);
                }
            }
        }
        if (queue->lists[WAITING].count > 0) {
            wakers = queue->wakers;
            queue->wakers = NULL;
        }
    }
    MUTEX_UNLOCK(death, mutex);
    if (wakers != NULL) {
        wake_all(wakers);
    }
}

/* Notes that a queue may miss a death, so that it is searched after the collection. */
static NOINLINE void
queue_suspect(ReferenceQueue *queue)
{
    State *state = queue->state;
    SHARED_STORE_INT(&queue->suspect, 1);
    PyObject *unused = PyList_New(0);
    MUTEX_LOCK(state, suspects_mutex);
    if (state->suspect_queues == NULL) {
        state->suspect_queues = unused;
        unused = NULL;
    }
    if (state->suspect_queues != NULL) {
        (void)PyList_Append(state->suspect_queues, (PyObject *)queue->death);
    }
    MUTEX_UNLOCK(state, suspects_mutex);
    PyErr_Clear();  /* without memory it is searched when it is asked */
    Py_XDECREF(unused);
}

/* Called when a collection has ended. */
static void
queues_after_collection(State *state)
{
    MUTEX_LOCK(state, suspects_mutex);
    PyObject *callbacks = state->suspect_queues;
    state->suspect_queues = NULL;
    MUTEX_UNLOCK(state, suspects_mutex);
    for (Py_ssize_t i = 0; callbacks != NULL && i < PyList_GET_SIZE(callbacks); i++) {
        queue_search((DeathCallback *)PyList_GET_ITEM(callbacks, i));
    }
    Py_XDECREF(callbacks);
}

static inline void
queue_update(ReferenceQueue *queue)
{
    if (UNLIKELY(SHARED_LOAD_INT(&queue->suspect))) {
        queue_search(queue->death);
    }
}

/* Hears of a death: called with a TrackedRef, or with anything by anybody. */
static PyObject *
queue_hear_death(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (PyVectorcall_NARGS(nargsf) != 1 || kwnames != NULL) {
        PyErr_SetString(PyExc_TypeError, "a death callback takes one weak reference");
        return NULL;
    }
    DeathCallback *death = (DeathCallback *)self;
    TrackedRef *ref = (TrackedRef *)args[0];
    PyObject *wakers = NULL;
    MUTEX_LOCK(death, mutex);
    ReferenceQueue *queue = death->owner;
    if (queue != NULL && Py_IS_TYPE(ref, queue->state->tracked_ref_type) && ref->death == death
        && (ref->place == HIDDEN || ref->place == VISIBLE)
        && ref_address((PyObject *)ref) == Py_None) {
        list_remove(queue, ref);
        list_append(queue, ref, WAITING);
        wakers = queue->wakers;
        queue->wakers = NULL;
    }
    MUTEX_UNLOCK(death, mutex);
    if (wakers != NULL) {
        wake_all(wakers);
    }
    Py_RETURN_NONE;
}

/* TrackedRef */

static PyObject *
tracked_ref_cancel(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    TrackedRef *self = (TrackedRef *)op;
    if (self->death == NULL) {  /* not tracked yet, but seen by another thread */
        Py_RETURN_FALSE;
    }
    MUTEX_LOCK(self->death, mutex);
    ReferenceQueue *queue = self->death->owner;
    bool cancelled = queue != NULL && (self->place == HIDDEN || self->place == VISIBLE);
    if (cancelled) {
        list_remove(queue, self);
    }
    MUTEX_UNLOCK(self->death, mutex);
    if (cancelled) {
        Py_DECREF(self);
    }
    return PyBool_FromLong(cancelled);
}

static int
tracked_ref_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((TrackedRef *)self)->token);
    return _PyWeakref_RefType.tp_traverse(self, visit, arg);
}

/* The token stays, for whoever holds this; what makes a cycle of it can be cleared itself. */
static int
tracked_ref_clear(PyObject *self)
{
    return _PyWeakref_RefType.tp_clear(self);
}

static void
tracked_ref_dealloc(PyObject *op)
{
    TrackedRef *self = (TrackedRef *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject *token = self->token;
    DeathCallback *death = self->death;
    PyObject_GC_UnTrack(op);
    ref_unlink(op);
    Py_TRASHCAN_BEGIN(op, tracked_ref_dealloc)
    _PyWeakref_RefType.tp_dealloc(op);
    Py_DECREF(type);
    Py_XDECREF((PyObject *)death);
    Py_XDECREF(token);  /* last: it can run code */
    Py_TRASHCAN_END
}

static PyMethodDef tracked_ref_methods[] = {
    {"cancel", tracked_ref_cancel, METH_NOARGS,
     "cancel($self, /)\n--\n\n"
     "Do not track the object any more; tell whether it still was, and alive."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef tracked_ref_members[] = {
    {"token", T_OBJECT, offsetof(TrackedRef, token), READONLY, "what stands for the object"},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot tracked_ref_slots[] = {
    {Py_tp_dealloc, tracked_ref_dealloc},
    {Py_tp_traverse, tracked_ref_traverse},
    {Py_tp_clear, tracked_ref_clear},
    {Py_tp_methods, tracked_ref_methods},
    {Py_tp_members, tracked_ref_members},
    {Py_tp_doc, "A weak reference whose death a ReferenceQueue records."},
    {0, NULL},
};

static PyType_Spec tracked_ref_spec = {
    .name = "weakly.TrackedRef",
    .basicsize = sizeof(TrackedRef),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = tracked_ref_slots,
};

/* ReferenceQueueBase */

static PyObject *
queue_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    PyObject *module = module_of_type(type);
    ReferenceQueue *self = module == NULL ? NULL : (ReferenceQueue *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->module = Py_NewRef(module);
    self->state = state_of_module(module);
    self->death = death_callback_new(self->state, self, queue_hear_death);
    if (self->death == NULL) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

/* track(obj, token=None, /) */
static PyObject *
queue_track(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    ReferenceQueue *self = (ReferenceQueue *)op;
    if (nargs < 1 || nargs > 2) {
        PyErr_Format(PyExc_TypeError, "track() takes an object and a token (%zd given)", nargs);
        return NULL;
    }
    if (COLLECTOR_SKIPS_CALLBACKS && collector_arm(self->state) < 0) {
        return NULL;
    }
    PyObject *arguments = PyTuple_Pack(2, args[0], (PyObject *)self->death);
    if (arguments == NULL) {
        return NULL;
    }
    PyTypeObject *type = self->state->tracked_ref_type;
    TrackedRef *ref = (TrackedRef *)_PyWeakref_RefType.tp_new(type, arguments, NULL);
    Py_DECREF(arguments);
    if (ref == NULL) {
        return NULL;
    }
    ref->token = Py_NewRef(nargs == 2 ? args[1] : Py_None);
    ref->death = (DeathCallback *)Py_NewRef((PyObject *)self->death);
    bool hide = !PyType_IS_GC(Py_TYPE(ref->token));
    if (hide) {
        gc_hide((PyObject *)ref);
    }
    Py_INCREF(ref);  /* the list's */
    MUTEX_LOCK(self->death, mutex);
    list_append(self, ref, hide ? HIDDEN : VISIBLE);
    MUTEX_UNLOCK(self->death, mutex);
    if (is_collecting(self->state) && !SHARED_LOAD_INT(&self->suspect)) {
        queue_suspect(self);
    }
    return (PyObject *)ref;
}

/* The token of the oldest death; NULL without an exception if there is none. */
static PyObject *
queue_take(ReferenceQueue *self)
{
    TrackedRef *ref = queue_pop(self, WAITING);
    PyObject *token = ref == NULL ? NULL : Py_NewRef(ref->token);
    Py_XDECREF(ref);
    return token;
}

/* poll(default=None, /) */
static PyObject *
queue_poll(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs > 1) {
        PyErr_Format(PyExc_TypeError, "poll() takes a default (%zd arguments given)", nargs);
        return NULL;
    }
    queue_update((ReferenceQueue *)op);
    PyObject *token = queue_take((ReferenceQueue *)op);
    return token != NULL ? token : Py_NewRef(nargs == 1 ? args[0] : Py_None);
}

/* drain(max=None) */
static PyObject *
queue_drain(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"max", NULL};
    ReferenceQueue *self = (ReferenceQueue *)op;
    PyObject *max = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:drain", names, &max)) {
        return NULL;
    }
    Py_ssize_t most = PY_SSIZE_T_MAX;
    if (max != Py_None) {
        most = PyNumber_AsSsize_t(max, NULL);
        if (most == -1 && PyErr_Occurred()) {
            return NULL;
        }
        if (most < 0) {
            PyErr_SetString(PyExc_ValueError, "drain() takes at least 0 tokens");
            return NULL;
        }
    }
    queue_update(self);
    /* The room first: what is taken must not be lost. What dies meanwhile is left. */
    Py_ssize_t taken = 0, waiting = SHARED_COUNT(&self->lists[WAITING].count);
    Py_ssize_t room = most < waiting ? most : waiting;
    PyObject *token, *list = PyList_New(room);
    if (list == NULL) {
        return NULL;
    }
    while (taken < room && (token = queue_take(self)) != NULL) {
        PyList_SET_ITEM(list, taken++, token);
    }
    Py_SET_SIZE(list, taken);  /* which cannot fail, as giving back the room could */
    return list;
}

/* _wake(waker, /) */
static PyObject *
queue_wake(PyObject *op, PyObject *waker)
{
    ReferenceQueue *self = (ReferenceQueue *)op;
    queue_update(self);
    PyObject *unused = PyList_New(0);
    if (unused == NULL) {
        return NULL;
    }
    int status = 0;
    MUTEX_LOCK(self->death, mutex);
    bool waits = self->lists[WAITING].count == 0;
    if (waits) {
        if (self->wakers == NULL) {
            self->wakers = unused;
            unused = NULL;
        }
        status = PyList_Append(self->wakers, waker);
    }
    MUTEX_UNLOCK(self->death, mutex);
    Py_XDECREF(unused);
    return status < 0 ? NULL : PyBool_FromLong(waits);
}

/* _unwake(waker, /) */
static PyObject *
queue_unwake(PyObject *op, PyObject *waker)
{
    ReferenceQueue *self = (ReferenceQueue *)op;
    PyObject *found = NULL;
    MUTEX_LOCK(self->death, mutex);
    Py_ssize_t n = self->wakers == NULL ? 0 : PyList_GET_SIZE(self->wakers);
    for (Py_ssize_t i = 0; i < n && found == NULL; i++) {
        if (PyList_GET_ITEM(self->wakers, i) == waker) {
            found = Py_NewRef(waker);  /* so that the list's is not the last */
            if (PyList_SetSlice(self->wakers, i, i + 1, NULL) < 0) {
                PyErr_Clear();
            }
        }
    }
    MUTEX_UNLOCK(self->death, mutex);
    Py_XDECREF(found);
    return PyBool_FromLong(found != NULL);
}

/* Forgets what is tracked, what waits and who does. Can run any code. */
static void
queue_cancel_all(ReferenceQueue *self)
{
    for (RefPlace place = HIDDEN; place < NOWHERE; place++) {
        TrackedRef *ref;
        while ((ref = queue_pop(self, place)) != NULL) {
            Py_DECREF(ref);
        }
    }
    MUTEX_LOCK(self->death, mutex);
    PyObject *wakers = self->wakers;
    self->wakers = NULL;
    MUTEX_UNLOCK(self->death, mutex);
    Py_XDECREF(wakers);
}

static PyObject *
queue_cancel_all_method(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    queue_cancel_all((ReferenceQueue *)op);
    Py_RETURN_NONE;
}

static Py_ssize_t
queue_length(PyObject *op)
{
    ReferenceQueue *self = (ReferenceQueue *)op;
    queue_update(self);
    return SHARED_COUNT(&self->lists[WAITING].count);
}

static PyObject *
queue_get_tracked(PyObject *op, void *Py_UNUSED(closure))
{
    ReferenceQueue *self = (ReferenceQueue *)op;
    queue_update(self);
    return PyLong_FromSsize_t(SHARED_COUNT(&self->lists[HIDDEN].count)
                              + SHARED_COUNT(&self->lists[VISIBLE].count));
}

/* _check(): AssertionError if the lists are inconsistent. For tests. */
static PyObject *
queue_check(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    ReferenceQueue *self = (ReferenceQueue *)op;
    bool right = true;
    MUTEX_LOCK(self->death, mutex);
    for (RefPlace place = HIDDEN; place < NOWHERE; place++) {
        Py_ssize_t count = 0;
        TrackedRef *older = NULL;
        for (TrackedRef *ref = self->lists[place].oldest; ref != NULL; ref = ref->newer) {
            right &= ref->older == older && ref->place == place && ref->death == self->death
                     && (place != WAITING || ref_address((PyObject *)ref) == Py_None);
            older = ref;
            count++;
        }
        right &= self->lists[place].newest == older && self->lists[place].count == count;
    }
    MUTEX_UNLOCK(self->death, mutex);
    if (!right) {
        PyErr_SetString(PyExc_AssertionError, "the lists of a queue are inconsistent");
        return NULL;
    }
    Py_RETURN_NONE;
}

static int
queue_traverse(PyObject *op, visitproc visit, void *arg)
{
    ReferenceQueue *self = (ReferenceQueue *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->module);
    Py_VISIT(self->wakers);
    for (RefPlace place = VISIBLE; place < NOWHERE; place++) {
        for (TrackedRef *ref = self->lists[place].oldest; ref != NULL; ref = ref->newer) {
            Py_VISIT(ref);
        }
    }
    return 0;
}

static int
queue_clear(PyObject *op)
{
    queue_cancel_all((ReferenceQueue *)op);
    return 0;
}

static void
queue_dealloc(PyObject *op)
{
    ReferenceQueue *self = (ReferenceQueue *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_TRASHCAN_BEGIN(op, queue_dealloc)
    if (self->death != NULL) {
        death_callback_detach(self->death);
    }
    PyObject_ClearWeakRefs(op);
    if (self->death != NULL) {
        queue_cancel_all(self);
        Py_DECREF((PyObject *)self->death);
    }
    PyObject *module = self->module;
    type->tp_free(op);
    Py_DECREF(type);
    Py_XDECREF(module);
    Py_TRASHCAN_END
}

static PyMethodDef queue_methods[] = {
    {"track", FUNCTION(queue_track), METH_FASTCALL,
     "track($self, obj, token=None, /)\n--\n\n"
     "Have the death of an object recorded, by a token; return the weak reference that tracks "
     "it."},
    {"poll", FUNCTION(queue_poll), METH_FASTCALL,
     "poll($self, default=None, /)\n--\n\n"
     "Return the token of the oldest death that was not taken yet, or the default."},
    {"drain", FUNCTION(queue_drain), METH_VARARGS | METH_KEYWORDS,
     "drain($self, max=None)\n--\n\n"
     "Return the tokens of the deaths that wait, at most `max`, oldest first."},
    {"_wake", queue_wake, METH_O,
     "Have a callable called at the next death; tell whether, as none is waiting already."},
    {"_unwake", queue_unwake, METH_O, "Forget such a callable; tell whether it was there."},
    {"_cancel_all", queue_cancel_all_method, METH_NOARGS,
     "Forget what is tracked and what waits."},
    {"_check", queue_check, METH_NOARGS, "Raise AssertionError if the queue is inconsistent."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef queue_getset[] = {
    {"tracked", queue_get_tracked, NULL, "how many objects are tracked and alive", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef queue_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ReferenceQueue, weaklist), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot queue_slots[] = {
    {Py_tp_new, queue_new},
    {Py_sq_length, queue_length},
    {Py_tp_traverse, queue_traverse},
    {Py_tp_clear, queue_clear},
    {Py_tp_dealloc, queue_dealloc},
    {Py_tp_methods, queue_methods},
    {Py_tp_getset, queue_getset},
    {Py_tp_members, queue_members},
    {Py_tp_doc, "A queue of the deaths of the objects that it tracks."},
    {0, NULL},
};

static PyType_Spec queue_spec = {
    .name = "weakly._core.ReferenceQueueBase",
    .basicsize = sizeof(ReferenceQueue),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE
             | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = queue_slots,
};

#endif
