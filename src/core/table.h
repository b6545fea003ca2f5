/* The table: one ordered, open-addressing hash table which serves every container.
 *
 *     index (int8 to int64,        rows (a Rows object)
 *     +----+ tags left out)        ref   subject  value
 *     |  1 | --------------+    0 | r0 | address | v0 |
 *     | -1 |  EMPTY        |    1 | r1 | address | v1 |  <-+
 *     | -2 |  DUMMY        |    2 |  . |    .    |  . |   tombstone
 *     |  0 | ...           +------------------------------+
 *     +----+
 *
 * Rows stand in the order of insertion; the index leads from hashes to rows, probed as in
 * dict. There are these kinds of table:
 *
 *     KEY     subject: the address of the key (borrowed, never followed); value: owned
 *     ID_KEY  as KEY; keys are the same only if they are one object
 *     PAIR    as KEY; the value is an owned reference, to the real one
 *     VALUE   subject: the key (owned); the reference is that to the value
 *     SET     subject: the address of the member
 *     ID_SET  as SET; members are the same only if they are one object
 *
 * and rows only have the words that their kind needs. A row's reference is owned; a row
 * without one is a tombstone. The hash of a row is in its reference (entry.h). In a lenient
 * table, a reference can be a StrongRef.
 *
 * Removal leaves a tombstone in the rows, whose end is given up once all is tombstones from
 * there on, and DUMMY in the index. DUMMY slots are used again, but not while a look-up waits
 * for an __eq__: then insertions land at the end of their probe sequence, where a look-up that
 * is half-way still meets them, and a slot that still leads to a row proves that the row is
 * the same.
 *
 * Re-entrancy. These can run any code: __eq__ and __hash__, the release of anything the
 * table owned, and (3.11) whatever allocates an object that the collector tracks. When they
 * are called, the table is consistent and may change in any way; after each, `layout` tells
 * whether rows or index were replaced, `inserted` whether rows were added, and a slot whether
 * its row is the same. What a removal took out is released when all is in order again.
 *
 * Iterators pin the Rows. Pinned rows are not moved: a resize leaves them behind and copies,
 * and a removal does not give up the tail. The Rows own what is in them, and the collector
 * visits it once, whether the table, iterators or both hold the Rows. What it does not visit
 * are the references, which hold nothing; but one that left its table may own its key
 * (entry.h), and rows left behind can still have it: those are visited.
 *
 * A reference can be dead and its entry still there: its callback may be on its way, or may
 * have been skipped (collector.h). Such an entry is never found; whoever meets it removes
 * it. So that an address proves something, look-ups also compare the address in the
 * reference, where None replaces that of a dead referent, with the key, which the caller
 * holds and which therefore lives. */

#ifndef WEAKLY_TABLE_H
#define WEAKLY_TABLE_H

#include "collector.h"
#include "entry.h"

typedef enum { KEY, ID_KEY, PAIR, VALUE, SET, ID_SET } Kind;

enum { REF, SUBJECT, STRONG };      /* the words of a row */
#define EMPTY (-1)                  /* in the index: never used */
#define DUMMY (-2)                  /* in the index: used, its row removed */
#define MIN_LOG2 3

typedef struct {
    PyObject_VAR_HEAD
    Py_ssize_t used;                /* rows handed out, tombstones among them */
    Py_ssize_t top;                 /* from here on, all of those are tombstones */
    Py_ssize_t capacity;
    Py_ssize_t pins;                /* iterators that read these rows */
    Kind kind;
    bool traced;                    /* may own objects that the collector asks for */
    bool strong_refs;               /* may have some */
    bool ephemeral;                 /* the table's: ephemeron.h knows what they keep alive */
    bool left_behind;               /* by its table, in a resize or clear(), to iterators */
    PyObject *words[];
} Rows;

typedef struct Table {
    PyObject_HEAD
    PyObject *weaklist;
    PyObject *module;               /* owned, for the sake of its state */
    State *state;
    DeathCallback *callback;        /* owned; NULL until the first insertion */
    Rows *rows;                     /* owned; NULL, as `index`, while nothing was inserted */
    void *index;
    Py_ssize_t live;                /* rows that are no tombstones */
    Py_ssize_t fill;                /* slots of the index that are not EMPTY */
    Py_ssize_t comparing;           /* look-ups that are waiting for an __eq__ */
    size_t layout;                  /* how often rows or index were replaced */
    size_t inserted;                /* how many rows were ever added */
    Kind kind;
    uint8_t log2;                   /* of the size of the index */
    bool suspect;                   /* may have entries whose callback was skipped */
    bool lenient;                   /* holds strongly what cannot be referenced weakly */
    bool ephemeral;                 /* of KEY or ID_KEY: values do not keep keys alive */
    bool odd_keys;                  /* may have keys that the collector does not track */
    struct Table *older, *newer;    /* neighbours among the ephemeral tables in use; borrowed */
} Table;

/* Where a key was found, or would have been. */
typedef struct {
    PyObject **row;
    size_t slot;                    /* of the index: the row's, or the first free one */
} Place;

/* What was taken out of a row: to be released once the table is in order. */
typedef struct {
    PyObject *ref;
    PyObject *strong;               /* a key or a value; NULL in a set */
} Taken;

/* Rows */

/* Tables of keys or members that are the same only if they are one object. */
ALWAYS_INLINE bool
by_identity(Kind kind)
{
    return kind == ID_KEY || kind == ID_SET;
}

ALWAYS_INLINE bool
is_set(Kind kind)
{
    return kind == SET || kind == ID_SET;
}

/* Do rows have a third word, the value? */
ALWAYS_INLINE bool
has_value(Kind kind)
{
    return kind == KEY || kind == ID_KEY || kind == PAIR;
}

ALWAYS_INLINE Py_ssize_t
row_words(Kind kind)
{
    return has_value(kind) ? 3 : 2;
}

ALWAYS_INLINE PyObject **
row_at(Rows *rows, Kind kind, Py_ssize_t i)
{
    return rows->words + i * row_words(kind);
}

/* The word of a row that is owned besides the reference. */
ALWAYS_INLINE PyObject **
row_strong(PyObject **row, Kind kind)
{
    return has_value(kind) ? &row[STRONG] : kind == VALUE ? &row[SUBJECT] : NULL;
}

/* Is it certain that a weak side of a row, which is no tombstone, is dead? */
ALWAYS_INLINE bool
row_is_dead(PyObject **row, Kind kind)
{
    return ref_is_dead(row[REF]) || (kind == PAIR && ref_is_dead(row[STRONG]));
}

/* The hash of a row, by its reference; in a PAIR, by either. */
ALWAYS_INLINE Py_hash_t
ref_hash(PyObject *ref, Kind kind)
{
    if (kind == VALUE || (kind == PAIR && !Py_IS_TYPE(ref, &_PyWeakref_RefType))) {
        return ((KeyedRef *)ref)->key_hash;
    }
    return ((PyWeakReference *)ref)->hash;
}

/* To be called with what is stored in a row: rows of numbers and strings cost the collector
 * nothing, and references nothing unless they are strong. */
ALWAYS_INLINE void
rows_trace(Rows *rows, Kind kind, PyObject *ref, PyObject *strong)
{
    if (kind == PAIR) {
        rows->traced |= is_strong_ref(strong);
    }
    else if (!is_set(kind)) {
        rows->traced |= PyType_IS_GC(Py_TYPE(strong));
    }
    rows->strong_refs |= is_strong_ref(ref);
}

ALWAYS_INLINE void
taken_release(Taken taken, Kind kind)
{
    if (kind == VALUE) {
        value_ref_release(taken.ref, taken.strong);
        return;
    }
    Py_DECREF(taken.ref);
    Py_XDECREF(taken.strong);
}

static Rows *
rows_new(State *state, Kind kind, Py_ssize_t capacity)
{
    Rows *rows = PyObject_GC_NewVar(Rows, state->rows_type, capacity * row_words(kind));
    if (rows != NULL) {
        rows->used = rows->top = 0;
        rows->capacity = capacity;
        rows->pins = 0;
        rows->kind = kind;
        rows->traced = rows->strong_refs = rows->ephemeral = rows->left_behind = false;
        PyObject_GC_Track(rows);
    }
    return rows;
}

static void
rows_dealloc(PyObject *self)
{
    Rows *rows = (Rows *)self;
    PyTypeObject *type = Py_TYPE(self);
    Kind kind = rows->kind;
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, rows_dealloc)
    while (rows->used > 0) {
        PyObject **row = row_at(rows, kind, --rows->used);
        if (row[REF] == NULL) {
            continue;
        }
        Taken taken = {row[REF], is_set(kind) ? NULL : *row_strong(row, kind)};
        if (rows->left_behind) {  /* the table has the entry, or its reference has the key */
            Py_DECREF(taken.ref);
            Py_XDECREF(taken.strong);
        }
        else {
            taken_release(taken, kind);
        }
    }
    PyObject_GC_Del(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

static int
rows_traverse(PyObject *self, visitproc visit, void *arg)
{
    Rows *rows = (Rows *)self;
    Py_VISIT(Py_TYPE(self));
    if (rows->traced) {
        for (Py_ssize_t i = 0; i < rows->used; i++) {
            Py_VISIT(*row_strong(row_at(rows, rows->kind, i), rows->kind));
        }
    }
    if (rows->strong_refs || (rows->traced && rows->left_behind && rows->kind == VALUE)) {
        for (Py_ssize_t i = 0; i < rows->used; i++) {
            PyObject *ref = row_at(rows, rows->kind, i)[REF];
            if (ref != NULL && (is_strong_ref(ref)
                                || (rows->kind == VALUE && value_ref_has_key(ref)))) {
                Py_VISIT(ref);
            }
        }
    }
    return 0;
}

/* What rows own whether the keys live or not: for the table of ephemerons, which knows the rest. */
static void
rows_visit_strong_refs(Rows *rows, visitproc visit, void *arg)
{
    for (Py_ssize_t i = 0; rows->strong_refs && i < rows->used; i++) {
        PyObject **row = row_at(rows, rows->kind, i);
        if (row[REF] != NULL && is_strong_ref(row[REF])) {
            (void)visit(row[REF], arg);
            (void)visit(row[STRONG], arg);
        }
    }
}

/* No tp_clear: the tables and iterators that hold rows let go of them. */
static PyType_Slot rows_slots[] = {
    {Py_tp_dealloc, rows_dealloc},
    {Py_tp_traverse, rows_traverse},
    {Py_tp_doc, "The entries of a weak container."},
    {0, NULL},
};

static PyType_Spec rows_spec = {
    .name = "weakly.Rows",
    .basicsize = sizeof(Rows),
    .itemsize = sizeof(PyObject *),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = rows_slots,
};

/* The index */

ALWAYS_INLINE size_t
index_mask(uint8_t log2)
{
    return ((size_t)1 << log2) - 1;
}

ALWAYS_INLINE size_t
index_width(uint8_t log2)
{
    return log2 < 8 ? 1 : log2 < 16 ? 2 : log2 < 32 ? 4 : 8;
}

ALWAYS_INLINE Py_ssize_t
index_get(const void *index, uint8_t log2, size_t slot)
{
    if (log2 < 8) {
        return ((const int8_t *)index)[slot];
    }
    if (log2 < 16) {
        return ((const int16_t *)index)[slot];
    }
    if (log2 < 32) {
        return ((const int32_t *)index)[slot];
    }
    return (Py_ssize_t)((const int64_t *)index)[slot];
}

ALWAYS_INLINE void
index_set(void *index, uint8_t log2, size_t slot, Py_ssize_t value)
{
    if (log2 < 8) {
        ((int8_t *)index)[slot] = (int8_t)value;
    }
    else if (log2 < 16) {
        ((int16_t *)index)[slot] = (int16_t)value;
    }
    else if (log2 < 32) {
        ((int32_t *)index)[slot] = (int32_t)value;
    }
    else {
        ((int64_t *)index)[slot] = (int64_t)value;
    }
}

/* What the index says of a row: its number and, above it, as many mixed bits of the hash as
 * fit: the tag. Most rows that only share a slot are told apart by it, without a look at the
 * row and its reference, which are two cache lines. (Fibonacci hashing, Knuth, The Art of
 * Computer Programming 3, 6.4: the high bits of the product depend on all bits.) */
ALWAYS_INLINE size_t
index_tag(uint8_t log2, Py_hash_t hash)
{
    size_t bits = 8 * index_width(log2) - 1 - log2;
    size_t mixed = (size_t)hash * (size_t)0x9E3779B97F4A7C15u;
    return mixed >> 1 >> (8 * sizeof(size_t) - 1 - bits) << log2;
}

/* The number of the row that an entry of the index, neither EMPTY nor DUMMY, leads to, if the
 * entry has this tag; otherwise more than the mask. */
ALWAYS_INLINE size_t
index_row(Py_ssize_t entry, size_t tag)
{
    return (size_t)entry ^ tag;
}

/* The probe sequence of a hash, that of dict: PROBE(slot, mask, hash) { ... } visits the
 * slots in turn; every sequence meets an EMPTY one. */
#define PROBE(slot, mask, hash)                                                      \
    for (size_t perturb_ = (size_t)(hash), slot = perturb_ & (mask);;                \
         perturb_ >>= 5, slot = (slot * 5 + perturb_ + 1) & (mask))

/* The first EMPTY slot of the probe sequence of a hash. */
ALWAYS_INLINE size_t
index_empty_slot(const void *index, uint8_t log2, Py_hash_t hash)
{
    PROBE(slot, index_mask(log2), hash) {
        if (index_get(index, log2, slot) == EMPTY) {
            return slot;
        }
    }
}

/* How many slots of an index may be in use: two thirds. */
ALWAYS_INLINE Py_ssize_t
index_limit(uint8_t log2)
{
    return (Py_ssize_t)(((size_t)2 << log2) / 3);
}

/* Consistency */

/* NULL if every invariant of the table holds, else what is wrong. */
static const char *
table_fault(Table *table)
{
    Kind kind = table->kind;
    Rows *rows = table->rows;
    if ((rows == NULL) != (table->index == NULL)) {
        return "rows without index or index without rows";
    }
    if (rows == NULL) {
        return table->live == 0 && table->fill == 0 ? NULL : "counts without rows";
    }
    if (rows->kind != kind) {
        return "rows of another kind";
    }
    if (rows->used > rows->capacity || rows->top > rows->used) {
        return "more rows used than there are";
    }
    if (rows->top > 0 && row_at(rows, kind, rows->top - 1)[REF] == NULL) {
        return "tombstone at the top";
    }
    if (table->fill > index_limit(table->log2)) {
        return "index too full";
    }
    Py_ssize_t live = 0, fill = 0, indexed = 0;
    for (size_t slot = 0; slot <= index_mask(table->log2); slot++) {
        Py_ssize_t ix = index_get(table->index, table->log2, slot);
        fill += ix != EMPTY;
        if (ix < 0) {
            continue;
        }
        indexed++;
        Py_ssize_t number = ix & (Py_ssize_t)index_mask(table->log2);
        if (number >= rows->used) {
            return "slot leads beyond the rows";
        }
        PyObject *ref = row_at(rows, kind, number)[REF];
        if (ref == NULL) {
            return "slot leads to a tombstone";
        }
        if (index_row(ix, index_tag(table->log2, ref_hash(ref, kind))) != (size_t)number) {
            return "slot with a wrong tag";
        }
    }
    for (Py_ssize_t i = 0; i < rows->used; i++) {
        PyObject **row = row_at(rows, kind, i);
        if (row[REF] == NULL) {
            if (row[SUBJECT] != NULL || (has_value(kind) && row[STRONG] != NULL)) {
                return "tombstone that holds something";
            }
            continue;
        }
        live++;
        if (has_value(kind) && row[STRONG] == NULL) {
            return "row without a value";
        }
        if (kind == VALUE && row[SUBJECT] == NULL) {
            return "row without a key";
        }
        if (kind != VALUE && !ref_is_dead(row[REF]) && ref_address(row[REF]) != row[SUBJECT]) {
            return "reference to something else than the row says";
        }
        bool found = false;
        PROBE(slot, index_mask(table->log2), ref_hash(row[REF], kind)) {
            Py_ssize_t ix = index_get(table->index, table->log2, slot);
            if (ix >= 0 && (ix & (Py_ssize_t)index_mask(table->log2)) == i) {
                found = true;
                break;
            }
            if (ix == EMPTY) {
                break;
            }
        }
        if (!found) {
            return "row that its hash does not lead to";
        }
    }
    if (live != table->live) {
        return "wrong length";
    }
    if (fill != table->fill) {
        return "wrong fill";
    }
    return indexed == live ? NULL : "slots and rows differ in number";
}

/* Debug builds check small tables after each change. */
#ifdef Py_DEBUG
#  define ASSERT_CONSISTENT(table) assert((table)->log2 > 7 || table_fault(table) == NULL)
#else
#  define ASSERT_CONSISTENT(table) ((void)0)
#endif

/* Room */

/* Moves the rows into new ones with room for `wanted` more and drops tombstones. On failure
 * the table is as it was. Allocates, so that any code may have run and the room be in use
 * again on return: whoever needs it looks. */
static NOINLINE int
table_resize(Table *table, Kind kind, Py_ssize_t wanted)
{
    if (wanted > PY_SSIZE_T_MAX / 64 - table->live) {
        PyErr_NoMemory();
        return -1;
    }
    wanted += table->live;
    uint8_t log2 = MIN_LOG2;
    while (index_limit(log2) < wanted) {
        log2++;
    }
    size_t size = (size_t)1 << log2;
    void *index = PyMem_Malloc(size * index_width(log2));
    if (index == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memset(index, 0xff, size * index_width(log2));
    Rows *rows = rows_new(table->state, kind, index_limit(log2));
    if (rows == NULL) {
        PyMem_Free(index);
        return -1;
    }
    if (table->live > rows->capacity) {  /* grown meanwhile: what was wanted may be there */
        PyMem_Free(index);
        Py_DECREF(rows);
        return 0;
    }

    Rows *old = table->rows;
    void *old_index = table->index;
    bool pinned = old != NULL && SHARED_COUNT(&old->pins) > 0;
    PyObject **to = rows->words;
    for (Py_ssize_t i = 0, used = old == NULL ? 0 : old->used; i < used; i++) {
        PyObject **row = row_at(old, kind, i);
        if (row[REF] == NULL) {
            continue;
        }
        for (Py_ssize_t word = 0; word < row_words(kind); word++) {
            to[word] = row[word];
        }
        if (pinned) {
            Py_INCREF(to[REF]);
            if (!is_set(kind)) {
                Py_INCREF(*row_strong(to, kind));
            }
        }
        Py_hash_t hash = ref_hash(to[REF], kind);
        index_set(index, log2, index_empty_slot(index, log2, hash),
                  (Py_ssize_t)(index_tag(log2, hash) | (size_t)rows->used++));
        to += row_words(kind);
    }
    rows->top = rows->used;
    rows->ephemeral = table->ephemeral;
    if (old != NULL) {
        rows->traced = old->traced;
        rows->strong_refs = old->strong_refs;
        old->ephemeral = false;
        old->left_behind = pinned;
        old->used = pinned ? old->used : 0;
    }
    table->rows = rows;
    table->index = index;
    table->log2 = log2;
    table->fill = rows->used;
    table->layout++;
    ASSERT_CONSISTENT(table);
    PyMem_Free(old_index);
    Py_XDECREF(old);
    return 0;
}

ALWAYS_INLINE bool
table_has_room(const Table *table)
{
    return table->rows != NULL && table->rows->used < table->rows->capacity
           && table->fill < index_limit(table->log2);
}

/* Sees to it that `count` entries can be added without a resize in between. */
static int
table_reserve(Table *table, Kind kind, Py_ssize_t count)
{
    if (table->rows != NULL && count <= table->rows->capacity - table->rows->used
        && count <= index_limit(table->log2) - table->fill) {
        return 0;
    }
    return table_resize(table, kind, count);
}

/* Adding and removing rows: these call nobody and cannot fail. */

/* Adds a row at a free slot of the index on the probe sequence of its hash; takes over `ref`
 * and, if any, the strong word. There is room. */
static inline void
table_append(Table *table, Kind kind, size_t slot, Py_hash_t hash, PyObject *ref,
             PyObject *subject, PyObject *value)
{
    Rows *rows = table->rows;
    PyObject **row = row_at(rows, kind, rows->used);
    row[REF] = ref;
    row[SUBJECT] = subject;
    if (has_value(kind)) {
        row[STRONG] = value;
    }
    rows_trace(rows, kind, ref, is_set(kind) ? NULL : *row_strong(row, kind));
    table->fill += index_get(table->index, table->log2, slot) == EMPTY;
    index_set(table->index, table->log2, slot,
              (Py_ssize_t)(index_tag(table->log2, hash) | (size_t)rows->used++));
    rows->top = rows->used;
    table->live++;
    table->inserted++;
    table->suspect |= is_collecting(table->state);
    ASSERT_CONSISTENT(table);
}

/* New references to the two sides of a row: the weak one, and the other (NULL in a set). False,
 * and none, if the row is a tombstone or a weak side is dead. */
ALWAYS_INLINE bool
row_get(PyObject **row, Kind kind, bool lenient, PyObject **referent, PyObject **strong)
{
    if (row[REF] == NULL || ref_get(row[REF], lenient, referent) == 0) {
        return false;
    }
    if (kind != PAIR) {
        *strong = is_set(kind) ? NULL : Py_NewRef(*row_strong(row, kind));
        return true;
    }
    if (ref_get(row[STRONG], lenient, strong) == 1) {
        return true;
    }
    Py_DECREF(*referent);
    return false;
}

/* Takes the contents of a row out and leaves a tombstone; at the end of rows which no
 * iterator reads not even that. */
static inline Taken
table_take(Table *table, Kind kind, Place at)
{
    Rows *rows = table->rows;
    PyObject **row = at.row;
    Taken taken = {row[REF], is_set(kind) ? NULL : *row_strong(row, kind)};
    row[REF] = NULL;
    row[SUBJECT] = NULL;
    if (has_value(kind)) {
        row[STRONG] = NULL;
    }
    index_set(table->index, table->log2, at.slot, DUMMY);
    table->live--;
    if (row == row_at(rows, kind, rows->top - 1)) {  /* so that popping all is linear */
        do {
            rows->top--;
        } while (rows->top > 0 && row_at(rows, kind, rows->top - 1)[REF] == NULL);
        if (SHARED_COUNT(&rows->pins) == 0) {
            rows->used = rows->top;
        }
    }
    ASSERT_CONSISTENT(table);
    return taken;
}

/* Finds the row of an entry reference, of either side, by hash and address. False if it is in
 * no row. */
static inline bool
table_find_ref(Table *table, Kind kind, PyObject *ref, Place *at)
{
    if (table->live == 0) {
        return false;
    }
    Py_hash_t hash = ref_hash(ref, kind);
    size_t mask = index_mask(table->log2), tag = index_tag(table->log2, hash);
    PROBE(slot, mask, hash) {
        Py_ssize_t ix = index_get(table->index, table->log2, slot);
        if (ix >= 0) {
            size_t number = index_row(ix, tag);
            PyObject **row = number > mask ? NULL : row_at(table->rows, kind, (Py_ssize_t)number);
            if (row != NULL && (row[REF] == ref || (kind == PAIR && row[STRONG] == ref))) {
                *at = (Place){row, slot};
                return true;
            }
        }
        else if (ix == EMPTY) {
            return false;
        }
    }
}

/* Removes the entry of a reference that was found dead. Releases, so any code can run. */
static void
table_bury(Table *table, Kind kind, PyObject *ref)
{
    Place at = {NULL, 0};
    if (table_find_ref(table, kind, ref, &at)) {
        taken_release(table_take(table, kind, at), kind);
    }
}

static Py_ssize_t
table_len(Table *table)
{
    if (LIKELY(!table->suspect)) {
        return table->live;
    }
    /* Dead entries whose callbacks were skipped. What is released may run code that adds
     * more; each turn removes one, so this ends. */
again:
    for (Py_ssize_t i = 0; table->rows != NULL && i < table->rows->used; i++) {
        PyObject **row = row_at(table->rows, table->kind, i);
        if (row[REF] != NULL && row_is_dead(row, table->kind)) {
            size_t layout = table->layout;
            table_bury(table, table->kind, row[REF]);
            if (layout != table->layout) {
                goto again;
            }
        }
    }
    if (!is_collecting(table->state)) {
        table->suspect = false;
    }
    return table->live;
}

/* Looking up */

/* The whole search, for when comparing addresses does not settle it. 1 found, 0 not there,
 * -1 an exception was raised. Runs user code. */
static NOINLINE int
table_find_equal(Table *table, Kind kind, PyObject *key, Py_hash_t hash, Place *at)
{
restart:
    if (table->index == NULL) {
        return 0;
    }
    size_t layout = table->layout;
    bool free_seen = false;
    size_t mask = index_mask(table->log2), tag = index_tag(table->log2, hash);
    PROBE(slot, mask, hash) {
        Py_ssize_t ix = index_get(table->index, table->log2, slot);
        if (ix < 0) {
            if (!free_seen) {
                free_seen = true;
                at->slot = slot;
            }
            if (ix == EMPTY) {
                return 0;
            }
            continue;
        }
        size_t number = index_row(ix, tag);
        if (number > mask) {
            continue;
        }
        PyObject **row = row_at(table->rows, kind, (Py_ssize_t)number);
        PyObject *ref = row[REF];
        PyObject *subject = row[SUBJECT];
        if (subject == key && (kind == VALUE || ref_address(ref) == key)) {
            *at = (Place){row, slot};
            return 1;
        }
        if (ref_hash(ref, kind) != hash) {
            continue;
        }
        PyObject *other;
        if (kind == VALUE) {
            other = Py_NewRef(subject);
        }
        else if (ref_get(ref, table->lenient, &other) == 0) {
            if (ref_is_dead(ref)) {
                table_bury(table, kind, ref);
                goto restart;
            }
            continue;  /* on its way out, its callback yet to come */
        }
        table->comparing++;
        int equal = PyObject_RichCompareBool(other, key, Py_EQ);
        Py_DECREF(other);
        table->comparing--;
        if (equal < 0) {
            return -1;
        }
        /* Meanwhile no slot was used again: if this one leads to the row, the row is the same. */
        if (table->layout != layout || index_get(table->index, table->log2, slot) != ix) {
            goto restart;
        }
        if (equal) {
            *at = (Place){row, slot};
            return 1;
        }
    }
}

/* Looks a key up: 1 found, 0 not there, -1 an exception was raised. Runs user code only if a
 * key with the same hash is not the very same object. */
ALWAYS_INLINE int
table_find(Table *table, Kind kind, PyObject *key, Py_hash_t hash, Place *at)
{
    if (table->index == NULL) {
        return 0;
    }
    bool free_seen = false;
    size_t mask = index_mask(table->log2), tag = index_tag(table->log2, hash);
    PROBE(slot, mask, hash) {
        Py_ssize_t ix = index_get(table->index, table->log2, slot);
        if (LIKELY(ix >= 0)) {
            size_t number = index_row(ix, tag);
            if (number > mask) {
                continue;
            }
            PyObject **row = row_at(table->rows, kind, (Py_ssize_t)number);
            if (LIKELY(row[SUBJECT] == key)
                && LIKELY(kind == VALUE || ref_address(row[REF]) == key)) {
                *at = (Place){row, slot};
                return 1;
            }
            if (!by_identity(kind) && ref_hash(row[REF], kind) == hash) {
                if (kind != VALUE || !PyUnicode_CheckExact(key)
                    || !PyUnicode_CheckExact(row[SUBJECT])) {
                    return table_find_equal(table, kind, key, hash, at);
                }
                if (LIKELY(is_same_str(key, row[SUBJECT]))) {
                    *at = (Place){row, slot};
                    return 1;
                }
            }
        }
        else {
            if (!free_seen) {
                free_seen = true;
                at->slot = slot;
            }
            if (LIKELY(ix == EMPTY)) {
                return 0;
            }
        }
    }
}

/* Errors of the user */

static const char *
kind_role(Kind kind)
{
    return kind == VALUE ? "values of a weak dictionary"
           : is_set(kind) ? "members of a weak set" : "keys of a weak dictionary";
}

static NOINLINE int
refuse(const char *role, PyObject *object)
{
    PyErr_Format(PyExc_TypeError,
                 "cannot create weak reference to '%.200s' object: %s must be of a type that "
                 "supports weak references",
                 Py_TYPE(object)->tp_name, role);
    return -1;
}

/* Can the table hold this as its weak side (or, a PAIR, as its key)? */
ALWAYS_INLINE bool
can_hold(Table *table, PyObject *object)
{
    return LIKELY(is_referenceable(Py_TYPE(object))) || table->lenient;
}

/* What an entry must be like; of a set, the member is both. */
ALWAYS_INLINE int
check_entry(Table *table, Kind kind, PyObject *key, PyObject *object)
{
    PyObject *referent = kind == VALUE ? object : key;
    if (UNLIKELY(!can_hold(table, referent))) {
        return refuse(kind_role(kind), referent);
    }
    if (kind == PAIR && UNLIKELY(!can_hold(table, object))) {
        return refuse(kind_role(VALUE), object);
    }
    return 0;
}

static int
check_hashable_type(PyObject *object)
{
    if (Py_TYPE(object)->tp_hash == PyObject_HashNotImplemented) {
        PyErr_Format(PyExc_TypeError, "unhashable type: '%.200s'", Py_TYPE(object)->tp_name);
        return -1;
    }
    return 0;
}

/* The hash that a table gives to a key; -1 with an exception set. */
ALWAYS_INLINE Py_hash_t
key_hash(Kind kind, PyObject *key)
{
    return by_identity(kind) ? hash_address(key) : PyObject_Hash(key);
}

/* Looks up on behalf of a user: checks the key, hashes it, finds it. */
ALWAYS_INLINE int
table_lookup(Table *table, Kind kind, PyObject *key, Place *at)
{
    if (kind != VALUE && UNLIKELY(!can_hold(table, key))) {
        return refuse(kind_role(kind), key);
    }
    Py_hash_t hash = key_hash(kind, key);
    return UNLIKELY(hash == -1) ? -1 : table_find(table, kind, key, hash, at);
}

/* Inserting */

/* The ephemeral tables into which something was ever inserted are a list (ephemeron.h). */

static void
ephemeral_tables_add(Table *table)
{
    State *state = table->state;
    MUTEX_LOCK(state, ephemeral_mutex);
    table->newer = NULL;
    table->older = state->newest_ephemeral;
    if (table->older != NULL) {
        table->older->newer = table;
    }
    SHARED_STORE_PTR(&state->newest_ephemeral, table);
    MUTEX_UNLOCK(state, ephemeral_mutex);
}

static void
ephemeral_tables_remove(Table *table)
{
    State *state = table->state;
    MUTEX_LOCK(state, ephemeral_mutex);
    SHARED_STORE_PTR(table->newer == NULL ? &state->newest_ephemeral : &table->newer->older,
                     table->older);
    if (table->older != NULL) {
        table->older->newer = table->newer;
    }
    MUTEX_UNLOCK(state, ephemeral_mutex);
}

static vectorcallfunc death_callback_of(Kind kind);

/* Before anything is inserted. Fails only for want of memory. */
static NOINLINE int
table_start(Table *table)
{
    DeathCallback *callback =
        death_callback_new(table->state, table, death_callback_of(table->kind));
    if (callback == NULL) {
        return -1;
    }
    table->callback = callback;
    if (table->ephemeral) {
        ephemeral_tables_add(table);
    }
    return 0;
}

ALWAYS_INLINE int
table_prepare(Table *table)
{
    if (UNLIKELY(table->callback == NULL) && table_start(table) < 0) {
        return -1;
    }
    return COLLECTOR_SKIPS_CALLBACKS || table->ephemeral ? collector_arm(table->state) : 0;
}

/* What table_put() does to an entry whose key is there already: true if that was all. False if
 * it takes a new entry reference, `ref`, which is NULL yet; if not NULL, it is used up. */
ALWAYS_INLINE bool
table_update(Table *table, Kind kind, PyObject **row, PyObject *object, PyObject *ref,
             PyObject **existing)
{
    if (kind == VALUE) {
        PyObject *old_ref = row[REF];
        if (existing != NULL ? ref_get(old_ref, table->lenient, existing) == 1
                             : ref_address(old_ref) == object && !ref_is_dead(old_ref)) {
            Py_XDECREF(ref);
            return true;
        }
        if (ref == NULL) {
            return false;
        }
        row[REF] = ref;
        table->rows->strong_refs |= is_strong_ref(ref);
        table->suspect |= is_collecting(table->state);
        ASSERT_CONSISTENT(table);
        value_ref_release(old_ref, Py_NewRef(row[SUBJECT]));
        return true;
    }
    if (is_set(kind) && existing != NULL
        && ref_get(row[REF], table->lenient, existing) == 0) {
        return false;  /* died since it was found: the next look finds no more */
    }
    Py_XDECREF(ref);
    if (is_set(kind)) {
        return true;
    }
    if (existing != NULL && kind != PAIR) {
        *existing = Py_NewRef(row[STRONG]);
    }
    else if (existing == NULL || ref_get(row[STRONG], table->lenient, existing) == 0) {
        PyObject *old = row[STRONG];
        row[STRONG] = Py_NewRef(object);
        rows_trace(table->rows, kind, row[REF], object);
        table->suspect |= kind == PAIR && is_collecting(table->state);
        Py_DECREF(old);
    }
    return true;
}

/* Stores an entry under a key whose hash is known.
 *
 * If the key is there already: with `existing`, nothing is changed and *existing is a new
 * reference to the entry's value (of a set: to the member); without, the value is replaced and
 * the key and its place stay. Otherwise a row is added, and *existing is NULL.
 * Borrows all. Returns -1 with an exception set and the table unchanged. */
static int
table_put_object(Table *table, Kind kind, PyObject *key, Py_hash_t hash, PyObject *object,
                 PyObject **existing)
{
    State *state = table->state;
    PyObject *ref = NULL;  /* the new entry reference, once made */
    for (;;) {
        if (existing != NULL) {
            *existing = NULL;
        }
        Place at = {NULL, 0};
        int found = table_find(table, kind, key, hash, &at);
        if (found < 0) {
            Py_XDECREF(ref);
            return -1;
        }
        if (found && table_update(table, kind, at.row, object, ref, existing)) {
            return 0;
        }
        size_t inserted = table->inserted, layout = table->layout;
        if (ref == NULL) {
            ref = kind == VALUE
                      ? value_ref_new(state, object, table->callback, hash, table->lenient)
                      : key_ref_new(state, key, table->callback, hash, table->lenient);
            if (ref == NULL) {
                return -1;
            }
        }
        /* Twice as much room as is in use; a resize that only drops tombstones keeps the
         * size. dict grows alike. */
        if (!found && !table_has_room(table)) {
            (void)table_len(table);  /* first drops what is dead without a callback */
            if (table_resize(table, kind, table->live + 1) < 0) {
                Py_DECREF(ref);
                return -1;
            }
        }
        if (!found && inserted == table->inserted && table_has_room(table)) {
            if (UNLIKELY(layout != table->layout || table->comparing > 0)) {
                at.slot = index_empty_slot(table->index, table->log2, hash);
            }
            table->odd_keys |= table->ephemeral && !gc_is_tracked(key);
            table_append(table, kind, at.slot, hash, ref, kind == VALUE ? Py_NewRef(key) : key,
                         has_value(kind) ? Py_NewRef(object) : NULL);
            return 0;
        }
        /* Code ran meanwhile and may have inserted the same key: look again. */
    }
}

/* As table_put_object(), of a table of any kind: what a PAIR stores is a reference. */
ALWAYS_INLINE int
table_put(Table *table, Kind kind, PyObject *key, Py_hash_t hash, PyObject *object,
          PyObject **existing)
{
    if (UNLIKELY(table_prepare(table) < 0)) {
        return -1;
    }
    if (kind != PAIR) {
        return table_put_object(table, kind, key, hash, object, existing);
    }
    PyObject *ref = value_ref_new(table->state, object, table->callback, hash, table->lenient);
    if (ref == NULL) {
        return -1;
    }
    int status = table_put_object(table, kind, key, hash, ref, existing);
    Py_DECREF(ref);
    return status;
}

/* Checks and hashes a key and stores an entry on behalf of a user. */
ALWAYS_INLINE int
table_store(Table *table, Kind kind, PyObject *key, PyObject *object, PyObject **existing)
{
    if (check_entry(table, kind, key, object) < 0) {
        return -1;
    }
    Py_hash_t hash = key_hash(kind, key);
    return UNLIKELY(hash == -1) ? -1 : table_put(table, kind, key, hash, object, existing);
}

/* Stores the entries of two lists (for a set: of one, twice) of the same length; nothing if
 * one of them has a type that cannot be stored. Borrows the lists, which nobody else has. */
static int
table_extend(Table *table, Kind kind, PyObject *keys, PyObject *objects)
{
    Py_ssize_t count = PyList_GET_SIZE(keys);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *key = PyList_GET_ITEM(keys, i);
        PyObject *object = PyList_GET_ITEM(objects, i);
        if (check_entry(table, kind, key, object) < 0
            || (!by_identity(kind) && check_hashable_type(key) < 0)) {
            return -1;
        }
    }
    if (count > 0 && table->live == 0 && table_reserve(table, kind, count) < 0) {
        return -1;
    }
    /* The lists can be found by way of the collector: never trust their sizes. */
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(keys) && i < PyList_GET_SIZE(objects); i++) {
        PyObject *key = Py_NewRef(PyList_GET_ITEM(keys, i));
        PyObject *object = Py_NewRef(PyList_GET_ITEM(objects, i));
        int status = table_store(table, kind, key, object, NULL);
        Py_DECREF(key);
        Py_DECREF(object);
        if (status < 0) {
            return -1;
        }
    }
    return 0;
}

/* Stores the live entries of another table of the same kind, with the hashes it knows. */
ALWAYS_INLINE int
table_merge(Kind kind, Table *table, Table *other)
{
    if (other == table || other->live == 0) {
        return 0;
    }
    if (table->live == 0 && table_reserve(table, kind, other->live) < 0) {
        return -1;
    }
    Rows *rows = other->rows;
    if (rows == NULL) {  /* the allocation can have cleared it */
        return 0;
    }
    int status = 0;
    Py_INCREF(rows);
    SHARED_ADD(&rows->pins, 1);
    for (Py_ssize_t i = 0, end = rows->used; status == 0 && i < end; i++) {
        PyObject **row = row_at(rows, kind, i);
        PyObject *referent, *strong;
        if (!row_get(row, kind, other->lenient, &referent, &strong)) {
            continue;
        }
        Py_hash_t hash = ref_hash(row[REF], kind);
        PyObject *key = kind == VALUE ? strong : referent;
        PyObject *object = kind == VALUE ? referent : strong;
        status = check_entry(table, kind, key, object) < 0
                     ? -1 : table_put(table, kind, key, hash, object, NULL);
        Py_DECREF(referent);
        Py_XDECREF(strong);
    }
    SHARED_ADD(&rows->pins, -1);
    Py_DECREF(rows);
    return status;
}

/* Removing */

/* Takes the newest live entry out: 1 and its parts, as new references (`strong` NULL in a
 * set), or 0 if there is none. */
static int
table_pop_newest(Table *table, Kind kind, PyObject **referent, PyObject **strong)
{
    Py_ssize_t i = table->rows == NULL ? 0 : table->rows->top;
    while (i > 0) {
        PyObject **row = row_at(table->rows, kind, --i);
        if (row[REF] == NULL) {
            continue;
        }
        size_t layout = table->layout;
        bool dead = row_is_dead(row, kind);
        if (dead) {
            table_bury(table, kind, row[REF]);
        }
        if (dead || !row_get(row, kind, table->lenient, referent, strong)) {
            if (dead || layout != table->layout) {  /* any code may have run: start over */
                i = table->rows == NULL ? 0 : table->rows->top;
            }
            continue;
        }
        Place at = {NULL, 0};
        table_find_ref(table, kind, row[REF], &at);
        taken_release(table_take(table, kind, at), kind);
        return 1;
    }
    return 0;
}

static void
table_clear(Table *table)
{
    Rows *rows = table->rows;
    void *index = table->index;
    table->rows = NULL;
    table->index = NULL;
    table->live = 0;
    table->fill = 0;
    table->log2 = 0;
    table->layout++;
    table->suspect = false;
    PyMem_Free(index);
    if (rows != NULL) {
        rows->ephemeral = false;
    }
    if (rows != NULL && rows->kind == VALUE && SHARED_COUNT(&rows->pins) > 0) {
        for (Py_ssize_t i = 0; i < rows->used; i++) {
            PyObject **row = row_at(rows, VALUE, i);
            if (row[REF] != NULL) {  /* an iterator may hand it out yet: with its key */
                value_ref_adopt(row[REF], Py_NewRef(row[SUBJECT]));
            }
        }
        rows->left_behind = true;
    }
    Py_XDECREF(rows);
}

/* The callback of entry references, for a kind that is constant where it is inlined. It is
 * called with what was a reference of the table, or with anything by anybody. */

ALWAYS_INLINE PyObject *
death_callback(PyObject *self, Kind kind, PyObject *const *args, size_t nargsf,
               PyObject *kwnames)
{
    if (UNLIKELY(PyVectorcall_NARGS(nargsf) != 1 || kwnames != NULL)) {
        PyErr_SetString(PyExc_TypeError, "a death callback takes one weak reference");
        return NULL;
    }
    DeathCallback *callback = (DeathCallback *)self;
    PyObject *ref = args[0];
    Taken taken = {NULL, NULL};
    MUTEX_LOCK(callback, mutex);
    Table *table = callback->owner;
    if (LIKELY(table != NULL)) {
        PyTypeObject *type = kind == VALUE ? table->state->keyed_ref_type : &_PyWeakref_RefType;
        Py_BEGIN_CRITICAL_SECTION(table);
        Place at = {NULL, 0};
        if (LIKELY(Py_IS_TYPE(ref, type)
                   || (kind == PAIR && Py_IS_TYPE(ref, table->state->keyed_ref_type)))
            && LIKELY(ref_address(ref) == Py_None) && table_find_ref(table, kind, ref, &at)) {
            taken = table_take(table, kind, at);
        }
        Py_END_CRITICAL_SECTION();
    }
    MUTEX_UNLOCK(callback, mutex);
    if (LIKELY(taken.ref != NULL)) {
        taken_release(taken, kind);
    }
    Py_RETURN_NONE;
}

#define DEATH_CALLBACK(name, kind)                                                           \
    static PyObject *name(PyObject *self, PyObject *const *args, size_t nargsf,              \
                          PyObject *kwnames)                                                 \
    {                                                                                        \
        return death_callback(self, kind, args, nargsf, kwnames);                            \
    }

DEATH_CALLBACK(death_callback_key, KEY)
DEATH_CALLBACK(death_callback_pair, PAIR)
DEATH_CALLBACK(death_callback_value, VALUE)
DEATH_CALLBACK(death_callback_set, SET)

static vectorcallfunc
death_callback_of(Kind kind)
{
    switch (kind) {
    case PAIR:
        return death_callback_pair;
    case VALUE:
        return death_callback_value;
    case SET:
    case ID_SET:
        return death_callback_set;
    default:
        return death_callback_key;
    }
}

/* KeyedRef.key: of an entry in a table, the table's; of any other, the reference's own. */
static PyObject *
keyed_ref_key(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *key;
    Py_BEGIN_CRITICAL_SECTION(self);
    key = Py_XNewRef(((KeyedRef *)self)->key);
    Py_END_CRITICAL_SECTION();
    if (key != NULL && is_death_callback(key)) {
        DeathCallback *callback = (DeathCallback *)key;
        Place at = {NULL, 0};
        key = NULL;
        MUTEX_LOCK(callback, mutex);
        Table *table = callback->owner;
        if (table != NULL) {
            Py_BEGIN_CRITICAL_SECTION(table);
            if (table->kind == VALUE && table_find_ref(table, VALUE, self, &at)) {
                key = Py_NewRef(at.row[SUBJECT]);
            }
            else if (table->kind == PAIR && table_find_ref(table, PAIR, self, &at)) {
                (void)ref_get(at.row[REF], table->lenient, &key);
            }
            Py_END_CRITICAL_SECTION();
        }
        MUTEX_UNLOCK(callback, mutex);
        Py_DECREF(callback);
    }
    if (key == NULL) {
        PyErr_SetString(PyExc_AttributeError, "this KeyedRef has no key any more");
    }
    return key;
}

#endif
