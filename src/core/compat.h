/* What the supported interpreters (CPython 3.11 to 3.15, with the GIL and without) lack
 * or do differently. Every difference between versions is here and nowhere else. */

#ifndef WEAKLY_COMPAT_H
#define WEAKLY_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#ifdef MS_WINDOWS
#  include <windows.h>
#else
#  include <unistd.h>
#endif
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define NOINLINE
#if defined(__GNUC__)
#  undef NOINLINE
#  define NOINLINE __attribute__((noinline))
#  define ALWAYS_INLINE static inline __attribute__((always_inline))
#  define LIKELY(x) __builtin_expect(!!(x), 1)
#  define UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#  define ALWAYS_INLINE static inline
#  define LIKELY(x) (x)
#  define UNLIKELY(x) (x)
#endif

#if PY_VERSION_HEX < 0x030D0000

/* With the GIL, nothing that does not call out can be interrupted. */
#  define Py_BEGIN_CRITICAL_SECTION(op) {
#  define Py_END_CRITICAL_SECTION() }
#  define Py_BEGIN_CRITICAL_SECTION2(a, b) {
#  define Py_END_CRITICAL_SECTION2() }

/* 1 and a new reference while the referent lives, 0 and NULL once it is dead. The macro
 * knows of referents whose count is 0 and whose references are not cleared yet. */
static inline int
PyWeakref_GetRef(PyObject *ref, PyObject **object)
{
    PyObject *referent = PyWeakref_GET_OBJECT(ref);
    if (referent == Py_None) {
        *object = NULL;
        return 0;
    }
    *object = Py_NewRef(referent);
    return 1;
}

#endif

/* What a type or one of its bases has under a name, a new reference, or NULL. */
static inline PyObject *
type_lookup(PyTypeObject *type, PyObject *name)
{
#if PY_VERSION_HEX < 0x030D0000
    return Py_XNewRef(_PyType_Lookup(type, name));
#else
    return _PyType_LookupRef(type, name);
#endif
}

/* A type's own attributes, a new reference; NULL if it is not ready. */
static inline PyObject *
type_dict(PyTypeObject *type)
{
#if PY_VERSION_HEX < 0x030C0000
    return Py_XNewRef(type->tp_dict);
#else
    return PyType_GetDict(type);
#endif
}

/* A special method of an object, bound, as the interpreter looks them up: in the type only.
 * NULL without an exception if there is none, with one on failure. */
static inline PyObject *
special_method(PyObject *self, PyObject *name)
{
    PyObject *method = type_lookup(Py_TYPE(self), name);
    descrgetfunc get = method == NULL ? NULL : Py_TYPE(method)->tp_descr_get;
    if (get != NULL) {
        Py_SETREF(method, get(method, self, (PyObject *)Py_TYPE(self)));
    }
    return method;
}

/* Writes to the standard error, whatever comes of it. */
static inline void
write_error(char const *text)
{
#ifdef MS_WINDOWS
    DWORD written;
    (void)WriteFile(GetStdHandle(STD_ERROR_HANDLE), text, (DWORD)strlen(text), &written, NULL);
#else
    ssize_t written = write(2, text, strlen(text));
    (void)written;
#endif
}

/* Until 3.11, any new object that is tracked can start a collection; from then on, none does before
 * Python code runs. Says what collector_resume() needs to know. */
static inline int
collector_pause(void)
{
#if PY_VERSION_HEX < 0x030C0000
    return PyGC_Disable();
#else
    return 0;
#endif
}

static inline void
collector_resume(int was_enabled)
{
    if (was_enabled) {
        PyGC_Enable();
    }
}

/* Fields that other threads read without the table's lock on builds without the GIL. */
#ifdef Py_GIL_DISABLED
#  define SHARED_LOAD(pointer) _Py_atomic_load_ptr_relaxed(pointer)
#  define SHARED_LOAD_INT(pointer) _Py_atomic_load_int_relaxed(pointer)
#  define SHARED_STORE_INT(pointer, value) _Py_atomic_store_int_relaxed((pointer), (value))
#  define SHARED_STORE(pointer, value) _Py_atomic_store_ssize((pointer), (value))
#  define SHARED_STORE_PTR(pointer, value) _Py_atomic_store_ptr_relaxed((pointer), (value))
#  define SHARED_ADD(pointer, amount) ((void)_Py_atomic_add_ssize((pointer), (amount)))
#  define SHARED_COUNT(pointer) _Py_atomic_load_ssize(pointer)
#  define MUTEX_FIELD(name) PyMutex name;
#  define MUTEX_LOCK(object, field) PyMutex_Lock(&(object)->field)
#  define MUTEX_UNLOCK(object, field) PyMutex_Unlock(&(object)->field)
#else
#  define SHARED_LOAD(pointer) (*(pointer))
#  define SHARED_LOAD_INT(pointer) (*(pointer))
#  define SHARED_STORE_INT(pointer, value) ((void)(*(pointer) = (value)))
#  define SHARED_STORE(pointer, value) ((void)(*(pointer) = (value)))
#  define SHARED_STORE_PTR(pointer, value) ((void)(*(pointer) = (value)))
#  define SHARED_ADD(pointer, amount) ((void)(*(pointer) += (amount)))
#  define SHARED_COUNT(pointer) (*(pointer))
#  define MUTEX_FIELD(name)
#  define MUTEX_LOCK(object, field) ((void)(object))
#  define MUTEX_UNLOCK(object, field) ((void)(object))
#endif

/* Are two strings equal? Exact ones, of which equal ones are always of one kind. */
static inline bool
is_same_str(PyObject *a, PyObject *b)
{
    return PyUnicode_GET_LENGTH(a) == PyUnicode_GET_LENGTH(b)
           && PyUnicode_KIND(a) == PyUnicode_KIND(b)
           && memcmp(PyUnicode_DATA(a), PyUnicode_DATA(b),
                     (size_t)PyUnicode_GET_LENGTH(a) * (size_t)PyUnicode_KIND(a)) == 0;
}

/* Can objects of this type be weakly referenced? */
static inline bool
is_referenceable(PyTypeObject *type)
{
    return type->tp_weaklistoffset != 0;
}

/* gc_hide(): takes a weak reference off the collector's lists.
 *
 * The references of a table hold nothing but the table's callback object, which holds
 * nothing; visiting a million of them in each collection is all cost. On a build with the
 * GIL one with a callback must not simply be untracked: when its referent dies as cyclic
 * garbage the collector moves the reference from the list it is on, and crashes if it is on
 * none. So it is put on a list of its own, its head linked to itself: that can be unlinked
 * as any other, and is by the reference's deallocator. This relies on the layout of the
 * head (two words before the object, next and previous, flags in the low bits), which is
 * private: hence the versions, on which tests/test_reentrancy.py kills cycles. Elsewhere
 * the reference stays tracked. Without the GIL there are no lists. */
#if !defined(Py_GIL_DISABLED) && PY_VERSION_HEX < 0x03100000
#  define GC_HEADS_KNOWN 1
#else
#  define GC_HEADS_KNOWN 0
#endif

static inline void
gc_hide(PyObject *ref)
{
#if GC_HEADS_KNOWN
    PyObject_GC_UnTrack(ref);
    uintptr_t *head = (uintptr_t *)ref - 2;
    head[0] |= (uintptr_t)head;
    head[1] |= (uintptr_t)head;
#elif defined(Py_GIL_DISABLED)
    PyObject_GC_UnTrack(ref);
#else
    (void)ref;
#endif
}

/* gc_show(): undoes gc_hide() for a reference that comes to hold something. */
static inline void
gc_show(PyObject *ref)
{
    PyObject_GC_UnTrack(ref);
    PyObject_GC_Track(ref);
}

/* Is an object tracked by the collector? */
ALWAYS_INLINE bool
gc_is_tracked(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (!PyType_IS_GC(type) || (UNLIKELY(type->tp_is_gc != NULL) && !type->tp_is_gc(object))) {
        return false;  /* as static types are */
    }
#if GC_HEADS_KNOWN
    return ((uintptr_t *)object - 2)[0] != 0;
#else
    return PyObject_GC_IsTracked(object);
#endif
}

/* While nothing else runs, a number can be kept in the head of a tracked object, in the word
 * that leads to the previous one, as the collector does itself: the second bit of that word,
 * which is otherwise only set during a collection, tells. gc_head_mark() returns what the word
 * was, for gc_head_restore(). A number read from it proves nothing yet. */
ALWAYS_INLINE uintptr_t
gc_head_mark(PyObject *object, size_t number)
{
    uintptr_t *word = (uintptr_t *)object - 1, before = *word;
    *word = (uintptr_t)number << 2 | 2;
    return before;
}

ALWAYS_INLINE void
gc_head_restore(PyObject *object, uintptr_t word)
{
    ((uintptr_t *)object)[-1] = word;
}

/* The number, or SIZE_MAX if there is none. */
ALWAYS_INLINE size_t
gc_head_number(PyObject *object)
{
    uintptr_t word = ((uintptr_t *)object)[-1];
    return word & 2 ? (size_t)(word >> 2) : SIZE_MAX;
}

/* How many references there are to an object; more than INT32_MAX if they are not all counted. */
ALWAYS_INLINE Py_ssize_t
reference_count(PyObject *object)
{
#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX < 0x030E0000
    /* There, types, functions and modules have a bit for that, and one reference too many. */
    if (object->ob_gc_bits & 64) {
        return PY_SSIZE_T_MAX;
    }
#endif
    return Py_REFCNT(object);
}

/* From 3.14 on, a suspended generator, coroutine or asynchronous generator visits twice what
 * lies on its stack and in its variables, though it counts it once. */
#define GENERATORS_BORROW (PY_VERSION_HEX >= 0x030E0000)

#if PY_VERSION_HEX >= 0x030D0000 && PY_VERSION_HEX < 0x030F0000

/* Do objects that have their values in themselves visit, once they have made a dict, not the dict
 * but the values, which the dict then does not visit (CPython GH-130327)? So it was before it was
 * mended, in late versions of 3.13 and 3.14. */
static bool inline_dicts_are_unvisited;

typedef struct {
    PyObject *object;
    Py_ssize_t count;
} Visits;

static int
visits_count(PyObject *object, void *arg)
{
    Visits *visits = arg;
    visits->count += object == visits->object;
    return 0;
}

/* Finds it out; -1 on failure. */
static int
inline_dicts_init(void)
{
    PyObject *dict = NULL, *type = PyObject_CallFunction((PyObject *)&PyType_Type, "s(){}", "C");
    PyObject *object = type == NULL ? NULL : PyObject_CallNoArgs(type);
    if (object != NULL && PyObject_SetAttrString(object, "a", Py_None) == 0) {
        dict = PyObject_GetAttrString(object, "__dict__");
    }
    if (dict != NULL) {
        Visits visits = {dict, 0};
        (void)Py_TYPE(object)->tp_traverse(object, visits_count, &visits);
        inline_dicts_are_unvisited = visits.count == 0;
    }
    int status = dict == NULL ? -1 : 0;
    Py_XDECREF(dict);
    Py_XDECREF(object);
    Py_XDECREF(type);
    return status;
}

/* The dict of such an object, if it has made one; else NULL. Borrowed. Relies on where objects keep
 * their dicts. */
static inline PyObject *
unvisited_dict(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (inline_dicts_are_unvisited && PyType_HasFeature(type, Py_TPFLAGS_INLINE_VALUES)) {
#  ifdef Py_GIL_DISABLED
        PyObject *dict = ((PyObject **)object)[-1];
#  else
        PyObject *dict = ((PyObject **)object)[-3];
#  endif
        if (dict != NULL
            && (char *)((PyDictObject *)dict)->ma_values == (char *)object + type->tp_basicsize) {
            return dict;
        }
    }
    return NULL;
}

#else

static inline int
inline_dicts_init(void)
{
    return 0;
}

static inline PyObject *
unvisited_dict(PyObject *Py_UNUSED(object))
{
    return NULL;
}

#endif

/* Does an object have that dict as its `__dict__`? Makes none where there is none yet. */
static inline bool
is_dict_of(PyObject *dict, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT)) {
#ifdef Py_GIL_DISABLED
        return ((PyObject **)object)[-1] == dict;
#else
        return ((PyObject **)object)[-3] == dict;  /* 3.12 marks what is no dict in a low bit */
#endif
    }
    PyObject **place = type->tp_dictoffset == 0 ? NULL : _PyObject_GetDictPtr(object);
    return place != NULL && *place == dict;
}

/* Does the collector say "generation 2" of each full collection, and of no other? Not without
 * the GIL, and not where it was incremental. */
static inline bool
collector_tells_full(void)
{
#ifdef Py_GIL_DISABLED
    return false;
#else
    return Py_Version < 0x030E0000 || Py_Version >= 0x030E0500;
#endif
}

static inline double
monotonic_seconds(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyTime_t now;
    (void)PyTime_MonotonicRaw(&now);
    return (double)now * 1e-9;
#else
    return (double)_PyTime_GetMonotonicClock() * 1e-9;
#endif
}

/* The hash of an object's identity. Neighbours differ in the bits above the lowest four. */
static inline Py_hash_t
hash_address(PyObject *object)
{
    size_t address = (size_t)object;
    Py_hash_t hash = (Py_hash_t)(address >> 4 | address << (8 * sizeof(size_t) - 4));
    return hash == -1 ? -2 : hash;
}

/* From 3.14.3 on, and in late versions of 3.13, the collector clears the references which
 * finalizers of the garbage made to the garbage without calling back (CPython GH-136401): see
 * collector.h. What is built with an early version runs with a late one. */
#define COLLECTOR_SKIPS_CALLBACKS (PY_VERSION_HEX >= 0x030D0000)

/* To be called when a tuple that was handed out gets new items: from 3.14 on it has a hash. */
static inline void
tuple_reset_hash(PyObject *tuple)
{
#if PY_VERSION_HEX >= 0x030E0000
    ((PyTupleObject *)tuple)->ob_hash = -1;
#else
    (void)tuple;
#endif
}

/* Puts a key into a dict that does not have it: 1; 0 if it has, -1 with an exception set. For
 * keys whose comparison runs no Python code, in one step. */
static inline int
dict_put_absent(PyObject *dict, PyObject *key, PyObject *value)
{
#ifdef Py_GIL_DISABLED
    int found = PyDict_SetDefaultRef(dict, key, value, NULL);
#else  /* without that one, which in 3.13.0 damages the dict if there is no memory */
    int found = PyDict_Contains(dict, key);
    if (found == 0) {
        found = PyDict_SetItem(dict, key, value);
    }
#endif
    return found < 0 ? -1 : !found;
}

/* Takes a key out of a dict: 1 and what it stood for, 0 if it was not there, -1 with an
 * exception set. As above. */
static inline int
dict_take(PyObject *dict, PyObject *key, PyObject **value)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyDict_Pop(dict, key, value);
#else
    *value = Py_XNewRef(PyDict_GetItemWithError(dict, key));
    if (*value == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    if (PyDict_DelItem(dict, key) < 0) {
        Py_CLEAR(*value);
        return -1;
    }
    return 1;
#endif
}

/* What a dict has by a name: 1 and a new reference, 0 and NULL if it has none, -1 with an exception
 * set. */
static inline int
dict_find(PyObject *dict, char const *name, PyObject **value)
{
    *value = NULL;
    PyObject *key = PyUnicode_FromString(name);
    if (key == NULL) {
        return -1;
    }
#if PY_VERSION_HEX >= 0x030D0000
    int found = PyDict_GetItemRef(dict, key, value);
#else
    *value = Py_XNewRef(PyDict_GetItemWithError(dict, key));
    int found = *value != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
#endif
    Py_DECREF(key);
    return found;
}

/* For tables of methods. */
#define FUNCTION(f) ((PyCFunction)(void (*)(void))(f))

#endif
