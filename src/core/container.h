/* What the table types share: life and death, the collector, and the methods that are the
 * same for mappings and sets. Each public operation holds the table's critical section, so
 * that it is atomic on builds without the GIL as it is under it. */

#ifndef WEAKLY_CONTAINER_H
#define WEAKLY_CONTAINER_H

#include "idref.h"
#include "iterator.h"

static PyObject *
container_new(PyTypeObject *type, Kind kind, bool ephemeral)
{
    PyObject *module = module_of_type(type);
    Table *self = module == NULL ? NULL : (Table *)type->tp_alloc(type, 0);
    if (self != NULL) {  /* all else is zero */
        self->module = Py_NewRef(module);
        self->state = state_of_module(module);
        self->kind = kind;
        self->ephemeral = ephemeral;
    }
    return (PyObject *)self;
}

static int
container_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Table *)self)->module);
    Py_VISIT((PyObject *)((Table *)self)->rows);
    return 0;
}

static int
container_clear_slot(PyObject *self)
{
    Py_BEGIN_CRITICAL_SECTION(self);  /* other threads may run, and a member die there */
    table_clear((Table *)self);
    Py_END_CRITICAL_SECTION();
    return 0;
}

static void
container_dealloc(PyObject *self)
{
    Table *table = (Table *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (table->ephemeral && table->callback != NULL) {
        ephemeral_tables_remove(table);
    }
    PyObject_ClearWeakRefs(self);
    if (table->callback != NULL) {
        death_callback_detach(table->callback);
        Py_CLEAR(table->callback);
    }
    table_clear(table);
    PyObject *module = table->module;
    type->tp_free(self);
    Py_DECREF(type);
    Py_DECREF(module);
}

static Py_ssize_t
container_length(PyObject *self)
{
    Py_ssize_t length;
    Py_BEGIN_CRITICAL_SECTION(self);
    length = table_len((Table *)self);
    Py_END_CRITICAL_SECTION();
    return length;
}

/* The object of an entry that was found, as a new reference; NULL if its referent has died,
 * which then removes the entry. */
ALWAYS_INLINE PyObject *
entry_object(Table *table, Kind kind, Place at)
{
    if (has_value(kind) && kind != PAIR) {
        return Py_NewRef(at.row[STRONG]);
    }
    PyObject *object;
    PyObject *ref = at.row[kind == PAIR ? STRONG : REF];
    if (UNLIKELY(ref_get(ref, table->lenient, &object) == 0)) {
        if (ref_is_dead(ref)) {
            table_bury(table, kind, ref);
        }
        return NULL;
    }
    return object;
}

/* `in`: an object that cannot be referenced weakly is in no table of such objects. */
ALWAYS_INLINE int
container_contains(PyObject *self, Kind kind, PyObject *key)
{
    Table *table = (Table *)self;
    Place at = {NULL, 0};
    int found;
    if (kind != VALUE && UNLIKELY(!can_hold(table, key))) {
        return 0;
    }
    Py_hash_t hash = key_hash(kind, key);
    if (UNLIKELY(hash == -1)) {
        return -1;
    }
    Py_BEGIN_CRITICAL_SECTION(self);
    found = table_find(table, kind, key, hash, &at);
    if (found == 1 && (kind == VALUE || kind == PAIR)) {
        PyObject *value = entry_object(table, kind, at);
        found = value != NULL;
        Py_XDECREF(value);
    }
    Py_END_CRITICAL_SECTION();
    return found;
}

static PyObject *
container_iter(PyObject *self)
{
    return iterator_new((Table *)self, ((Table *)self)->kind == VALUE ? STRONGS : REFERENTS,
                        false);
}

static PyObject *
container_reversed(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return iterator_new((Table *)self, ((Table *)self)->kind == VALUE ? STRONGS : REFERENTS,
                        true);
}

/* Gathers the references in a word of the rows, owned by the caller as is the array. They are
 * gathered before there is a list, so that nobody sees it half filled and nothing changes
 * meanwhile. NULL with an exception set. */
static PyObject **
gather_refs(Table *table, int word, Py_ssize_t *count)
{
    PyObject **refs;
    *count = 0;
    Py_BEGIN_CRITICAL_SECTION(table);
    refs = PyMem_New(PyObject *, (size_t)table->live);
    for (Py_ssize_t i = 0, used = table->live == 0 || refs == NULL ? 0 : table->rows->used;
         i < used; i++) {
        PyObject **row = row_at(table->rows, table->kind, i);
        if (row[REF] != NULL && !row_is_dead(row, table->kind)) {
            refs[(*count)++] = Py_NewRef(row[word]);
        }
    }
    Py_END_CRITICAL_SECTION();
    if (refs == NULL) {
        PyErr_NoMemory();
    }
    return refs;
}

/* Makes a list of references that were gathered, unless something failed; uses them and the array
 * up. */
static PyObject *
list_of_refs(PyObject **refs, Py_ssize_t count, bool failed)
{
    PyObject *list = failed ? NULL : PyList_New(count);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (list == NULL) {
            Py_DECREF(refs[i]);
        }
        else {
            PyList_SET_ITEM(list, i, refs[i]);
        }
    }
    PyMem_Free(refs);
    return list;
}

static PyObject *
container_refs_in(PyObject *self, int word)
{
    Py_ssize_t count;
    PyObject **refs = gather_refs((Table *)self, word, &count);
    return list_of_refs(refs, count, refs == NULL);
}

/* keyrefs() of a dictionary with weak keys, valuerefs() of one with weak values, and a set's. */
static PyObject *
container_refs(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return container_refs_in(self, REF);
}

/* The same where keys or members are compared by identity, as their references are then. */
static PyObject *
container_id_refs(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *id_ref_type = (PyObject *)((Table *)self)->state->id_ref_type;
    Py_ssize_t count, kept = 0;
    PyObject **refs = gather_refs((Table *)self, REF, &count);
    bool failed = refs == NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *ref = refs[i], *referent;
        if (!is_strong_ref(ref)) {
            refs[i] = NULL;
            if (!failed && PyWeakref_GetRef(ref, &referent) == 1) {
                refs[i] = PyObject_CallOneArg(id_ref_type, referent);
                failed = refs[i] == NULL;
                Py_DECREF(referent);
            }
            Py_DECREF(ref);
        }
        if (refs[i] != NULL) {
            refs[kept++] = refs[i];
        }
    }
    return list_of_refs(refs, kept, failed);
}

/* Makes the table lenient: it holds strongly what cannot be weakly referenced. */
static PyObject *
container_hold_strongly(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Py_BEGIN_CRITICAL_SECTION(self);
    ((Table *)self)->lenient = true;
    Py_END_CRITICAL_SECTION();
    Py_RETURN_NONE;
}

static PyObject *
container_strong_count(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Table *table = (Table *)self;
    Py_ssize_t count = 0;
    Py_BEGIN_CRITICAL_SECTION(self);
    for (Py_ssize_t i = 0, used = table->lenient && table->rows != NULL ? table->rows->used : 0;
         i < used; i++) {
        PyObject **row = row_at(table->rows, table->kind, i);
        count += row[REF] != NULL && !row_is_dead(row, table->kind)
                 && (is_strong_ref(row[REF])
                     || (table->kind == PAIR && is_strong_ref(row[STRONG])));
    }
    Py_END_CRITICAL_SECTION();
    return PyLong_FromSsize_t(count);
}

static PyObject *
container_clear(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Py_BEGIN_CRITICAL_SECTION(self);
    table_clear((Table *)self);
    Py_END_CRITICAL_SECTION();
    Py_RETURN_NONE;
}

/* Calls a function of table.h with the kind of a table as a constant. */
#define FOR_KIND(result, kind_, function, ...)                                               \
    switch (kind_) {                                                                         \
    case KEY: result = function(KEY, __VA_ARGS__); break;                                    \
    case ID_KEY: result = function(ID_KEY, __VA_ARGS__); break;                              \
    case PAIR: result = function(PAIR, __VA_ARGS__); break;                                  \
    case VALUE: result = function(VALUE, __VA_ARGS__); break;                                \
    case SET: result = function(SET, __VA_ARGS__); break;                                    \
    default: result = function(ID_SET, __VA_ARGS__);                                         \
    }

static PyObject *
container_merge(PyObject *self, PyObject *other)
{
    Table *table = (Table *)self;
    if (!PyObject_TypeCheck(other, table->state->table_type)
        || ((Table *)other)->kind != table->kind) {
        PyErr_Format(PyExc_TypeError, "expected a table of the same kind, not '%.200s'",
                     Py_TYPE(other)->tp_name);
        return NULL;
    }
    int status;
    Py_BEGIN_CRITICAL_SECTION2(self, other);
    FOR_KIND(status, table->kind, table_merge, table, (Table *)other)
    Py_END_CRITICAL_SECTION2();
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
container_check(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Table *table = (Table *)self;
    const char *fault;
    Py_BEGIN_CRITICAL_SECTION(self);
    fault = table_fault(table);
    if (fault != NULL) {
        PyErr_Format(PyExc_AssertionError,
                     "%s: kind %d, live %zd, fill %zd, used %zd of %zd, index of 2**%d, layout %zu,"
                     " inserted %zu, suspect %d",
                     fault, (int)table->kind, table->live, table->fill,
                     table->rows == NULL ? 0 : table->rows->used,
                     table->rows == NULL ? 0 : table->rows->capacity, (int)table->log2,
                     table->layout, table->inserted, (int)table->suspect);
    }
    Py_END_CRITICAL_SECTION();
    return fault == NULL ? Py_NewRef(Py_None) : NULL;
}

static PyObject *
container_sizeof(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Table *table = (Table *)self;
    size_t size = (size_t)Py_TYPE(self)->tp_basicsize;
    Py_BEGIN_CRITICAL_SECTION(self);
    if (table->rows != NULL) {
        size += sizeof(Rows)
                + (size_t)(table->rows->capacity * row_words(table->kind)) * sizeof(PyObject *);
        size += ((size_t)1 << table->log2) * index_width(table->log2);
    }
    Py_END_CRITICAL_SECTION();
    return PyLong_FromSize_t(size);
}

/* KeyError(key), for a key that may be a tuple too. */
static void
set_key_error(PyObject *key)
{
    PyObject *arguments = PyTuple_Pack(1, key);
    if (arguments != NULL) {
        PyErr_SetObject(PyExc_KeyError, arguments);
        Py_DECREF(arguments);
    }
}

/* Gives a subclass of a table the table's public methods as its own. The interpreter
 * specialises the call of a method of C only for the very type that has it: without this a
 * call like s.add(x) takes half as long again. */
static int
container_own_methods(PyTypeObject *cls, PyMethodDef *methods)
{
    for (; methods->ml_name != NULL; methods++) {
        if (methods->ml_name[0] == '_') {
            continue;
        }
        PyObject *method = PyDescr_NewMethod(cls, methods);
        if (method == NULL
            || PyObject_SetAttrString((PyObject *)cls, methods->ml_name, method) < 0) {
            Py_XDECREF(method);
            return -1;
        }
        Py_DECREF(method);
    }
    return 0;
}

#define CONTAINER_METHODS                                                                    \
    {"__reversed__", container_reversed, METH_NOARGS,                                        \
     "Return an iterator over the live keys or members, newest first."},                    \
    {"__sizeof__", container_sizeof, METH_NOARGS, "Return the size in memory, in bytes."},   \
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "See PEP 585."},             \
    {"clear", container_clear, METH_NOARGS, "clear($self, /)\n--\n\nRemove all entries."},   \
    {"strong_count", container_strong_count, METH_NOARGS,                                    \
     "strong_count($self, /)\n--\n\n"                                                        \
     "Return how many entries are held strongly, as only a lenient container does. O(n)."},  \
    {"_weakly_hold_strongly", container_hold_strongly, METH_NOARGS,                          \
     "From now on, hold strongly what cannot be weakly referenced."},                        \
    {"_merge", container_merge, METH_O, "Store the live entries of another such table."},    \
    {"_check", container_check, METH_NOARGS, "Verify every invariant of the table."}

static PyMemberDef container_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Table, weaklist), READONLY, NULL},
    {"_weakly_lenient", T_BOOL, offsetof(Table, lenient), READONLY,
     "whether objects that cannot be weakly referenced are held strongly"},
    {NULL, 0, 0, 0, NULL},
};

#define CONTAINER_SLOTS(kind_new)                                                            \
    {Py_tp_new, kind_new},                                                                   \
    {Py_tp_dealloc, container_dealloc},                                                      \
    {Py_tp_traverse, container_traverse},                                                    \
    {Py_tp_clear, container_clear_slot},                                                     \
    {Py_tp_iter, container_iter},                                                            \
    {Py_tp_members, container_members}

/* The base of all tables: what it is for is that they can be told from anything else. */
static PyType_Slot table_slots[] = {
    {Py_tp_dealloc, container_dealloc},
    {Py_tp_traverse, container_traverse},
    {Py_tp_clear, container_clear_slot},
    {Py_tp_doc, "The base of the tables of weak containers."},
    {0, NULL},
};

static PyType_Spec table_spec = {
    .name = "weakly._core.Table",
    .basicsize = sizeof(Table),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE
             | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = table_slots,
};

#define CONTAINER_FLAGS                                                                      \
    (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE)

#endif
