/* The cache: what is behind memoised functions (memo.h) and WeakCache (cachetable.h).
 *
 *     buckets                entries (each one block of memory)
 *     +---+
 *     | . |--> [hash | value | expires | weight | items...] --> [...] --> NULL
 *     | . |--> NULL
 *     +---+
 *
 * A chained hash table from calls to values. A call is one or more objects, the items: the
 * arguments of a function, some of them by name; in a CacheTable, one key. An item is owned
 * or, if it is held weakly, a reference owned by the entry and the address of its referent
 * (compared, never followed). An entry goes when one of its weak items dies: all references
 * of a cache share a DeathCallback (entry.h), which finds the entry by the hash that each
 * reference carries. So no code of users runs then, and nothing can fail.
 *
 * Values are owned. In a CacheTable only those in the window are: the others are held by a
 * weak reference (window.h).
 *
 * The entries with weak items are ephemerons of one or more keys: ephemeron.h sees to it that
 * what an entry owns does not keep its own weak items alive.
 *
 * Re-entrancy. __hash__ runs before anything is looked up. __eq__ runs while the cache is
 * consistent; whoever changes the cache meanwhile tells the searches that wait for one, which
 * then start again. Entries that are taken out are gathered (Gone) and released, and users
 * told of them, after the cache's critical section. */

#ifndef WEAKLY_CACHE_H
#define WEAKLY_CACHE_H

#include <math.h>

#include "collector.h"
#include "entry.h"

/* Why an entry went. */
typedef enum { UNTOLD, DEAD, SIZE, EXPIRED, REPLACED, DELETED } Cause;

typedef enum { FRESH, PROBATION, PROTECTED, OUTSIDE } Segment;  /* window.h */

typedef struct {
    PyObject *object;           /* owned; with `ref`, borrowed and only compared */
    PyObject *ref;              /* owned; NULL if the item is held strongly */
} Item;

typedef struct Entry {
    struct Entry *chain;        /* the next in the bucket or, taken out, of what is gone */
    struct Entry *older, *newer;  /* neighbours in the segment of the window */
    Py_hash_t hash;
    PyObject *value;            /* owned; NULL if it is held by value_ref only */
    PyObject *value_ref;        /* owned; NULL unless it is that of a CacheTable */
    PyObject *names;            /* owned; those of the last items, exact strings, or NULL */
    double expires;             /* INFINITY: never */
    Py_ssize_t weight;
    Py_ssize_t count;           /* of the items */
    uint8_t segment, cause;
    bool has_weak_items;
    Item items[];
} Entry;

typedef struct Window Window;

/* A search that waits for an __eq__. */
typedef struct Search {
    struct Search *outer, *inner;  /* of the same cache */
    Py_hash_t hash;
    bool stale;                 /* an entry of that hash came or went, or the buckets did */
} Search;

typedef struct Cache {
    PyObject_HEAD
    PyObject *weaklist;
    union {
        struct {                /* of a Memo */
            PyObject *dict;
            vectorcallfunc vectorcall;
            PyObject *miss;     /* what is called on a miss; owned, can be NULL */
        };
        struct {                /* of a CacheTable */
            PyObject *weigh, *on_evict;  /* owned, or NULL */
            PyObject *alive;    /* with on_evict: a weak reference to the cache, which the collector
                                 * clears before it takes what on_evict is made of apart; owned */
        };
    };
    PyObject *module;           /* owned, for the sake of its state */
    State *state;
    DeathCallback *callback;    /* owned; NULL until there is a reference */
    Entry **buckets;            /* NULL while nothing was inserted */
    Py_ssize_t count;           /* of the entries */
    Search *searches;           /* the innermost of those that wait for an __eq__ */
    Window *window;             /* NULL: without a bound */
    double ttl;                 /* INFINITY: none */
    double earliest;            /* no entry expires before that */
    Py_ssize_t unswept;         /* insertions since expired entries were looked for */
    Py_ssize_t hits, misses;
    Py_ssize_t generation;      /* how often somebody had results forgotten */
    struct Cache *older, *newer;  /* neighbours among the caches in use (ephemeron.h); borrowed */
    uint8_t log2;               /* of the number of buckets */
    bool typed, by_identity;    /* how calls are compared */
    bool always_miss;           /* a call of the Memo looks nothing up */
    bool weak_values;           /* a CacheTable */
    bool listed;                /* among the caches in use */
    bool traced;                /* may own objects that the collector asks for */
    bool odd_keys;              /* may have weak items that the collector does not track */
    bool suspect;               /* may have entries whose callback was skipped (collector.h) */
} Cache;

/* What is looked up. Borrows all. */
typedef struct {
    PyObject *const *args;
    Py_ssize_t count;           /* of all arguments */
    PyObject *names;            /* of the last of them, or NULL */
    Py_hash_t hash;
} Call;

/* What was taken out of a cache, to be released when it is in order again. */
typedef struct {
    Entry *entries;
    PyObject *on_evict;         /* owned; whom to tell, or NULL */
#ifdef Py_GIL_DISABLED
    PyObject **values;          /* owned ones that have left the window */
    size_t value_count, value_room;
#endif
} Gone;

static void window_remove(Window *window, Entry *entry);
static void window_hit(Cache *cache, Entry *entry);
static void window_insert(Cache *cache, Entry *entry, Gone *gone);

/* CallRef: the reference of a weak item, or to a weak value. */

typedef struct {
    PyWeakReference base;
    Py_hash_t entry_hash;
} CallRef;

static void
call_ref_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    _PyWeakref_RefType.tp_dealloc(self);
    Py_DECREF(type);
}

static int
call_ref_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return _PyWeakref_RefType.tp_traverse(self, visit, arg);
}

static PyType_Slot call_ref_slots[] = {
    {Py_tp_dealloc, call_ref_dealloc},
    {Py_tp_traverse, call_ref_traverse},
    {Py_tp_doc, "A weak reference by which a cache hears of a death."},
    {0, NULL},
};

static PyType_Spec call_ref_spec = {
    .name = "weakly.CallRef",
    .basicsize = sizeof(CallRef),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = call_ref_slots,
};

/* A new reference, hidden from the collector. Can start a collection, and so run any code. */
static PyObject *
call_ref_new(Cache *cache, PyObject *referent, Py_hash_t hash)
{
    PyObject *arguments = PyTuple_Pack(2, referent, (PyObject *)cache->callback);
    if (arguments == NULL) {
        return NULL;
    }
    PyObject *ref = _PyWeakref_RefType.tp_new(cache->state->call_ref_type, arguments, NULL);
    Py_DECREF(arguments);
    if (ref != NULL) {
        ((CallRef *)ref)->entry_hash = hash;
        gc_hide(ref);
    }
    return ref;
}

/* Entries */

/* Releases what an entry owns; can run any code. */
static void
entry_free(Entry *entry)
{
    for (Py_ssize_t i = 0; i < entry->count; i++) {
        Py_DECREF(entry->items[i].ref != NULL ? entry->items[i].ref : entry->items[i].object);
    }
    Py_XDECREF(entry->names);
    Py_XDECREF(entry->value_ref);
    Py_XDECREF(entry->value);
    PyMem_Free(entry);
}

/* The value of an entry, as a new reference; NULL if it is dead. */
static inline PyObject *
entry_value(Entry *entry)
{
    if (LIKELY(entry->value != NULL)) {
        return Py_NewRef(entry->value);
    }
    PyObject *value;
    PyWeakref_GetRef(entry->value_ref, &value);
    return value;
}

static inline bool
entry_has_expired(Entry *entry)
{
    return UNLIKELY(entry->expires < INFINITY) && entry->expires <= monotonic_seconds();
}

/* Is it certain that a part of the entry that it holds weakly is dead? */
static bool
entry_is_dead(Entry *entry)
{
    for (Py_ssize_t i = 0; entry->has_weak_items && i < entry->count; i++) {
        if (entry->items[i].ref != NULL && ref_address(entry->items[i].ref) == Py_None) {
            return true;
        }
    }
    return entry->value == NULL && ref_address(entry->value_ref) == Py_None;
}

/* What is gone */

static void
gone_add(Cache *cache, Gone *gone, Entry *entry, Cause cause)
{
    entry->cause = cause;
    entry->chain = gone->entries;
    gone->entries = entry;
    if (cause != UNTOLD && gone->on_evict == NULL && cache->weak_values && cache->alive != NULL
        && ref_address(cache->alive) != Py_None) {
        gone->on_evict = Py_XNewRef(cache->on_evict);
    }
}

/* Drops a value that others have, too. Without the GIL they may not have it any more, so that
 * it must wait. */
static void
gone_add_value(Gone *gone, PyObject *value)
{
#ifdef Py_GIL_DISABLED
    if (gone->value_count == gone->value_room) {
        size_t room = gone->value_room == 0 ? 8 : gone->value_room * 2;
        PyObject **values = PyMem_Realloc(gone->values, room * sizeof(PyObject *));
        if (values == NULL) {
            Py_DECREF(value);
            return;
        }
        gone->values = values;
        gone->value_room = room;
    }
    gone->values[gone->value_count++] = value;
#else
    (void)gone;
    Py_DECREF(value);
#endif
}

static void
tell(PyObject *on_evict, Entry *entry)
{
    static const char *const names[] = {"", "dead", "size", "expired", "replaced", "deleted"};
    PyObject *value = entry->cause == DEAD ? NULL : entry_value(entry);
    PyObject *result = PyObject_CallFunction(on_evict, "OOs", entry->items[0].object,
                                             value == NULL ? Py_None : value,
                                             names[entry->cause]);
    if (result == NULL) {
        PyErr_WriteUnraisable(on_evict);
    }
    Py_XDECREF(result);
    Py_XDECREF(value);
}

/* To be called without the cache's lock: runs any code. Keeps an exception that is set. */
static void
gone_release(Gone *gone)
{
    if (LIKELY(gone->entries == NULL)) {
#ifdef Py_GIL_DISABLED
        if (LIKELY(gone->value_count == 0))
#endif
        return;
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    Entry *first = NULL;
    while (gone->entries != NULL) {  /* the oldest first */
        Entry *entry = gone->entries;
        gone->entries = entry->chain;
        entry->chain = first;
        first = entry;
    }
    while (first != NULL) {
        Entry *entry = first;
        first = entry->chain;
        if (gone->on_evict != NULL && entry->cause != UNTOLD) {
            tell(gone->on_evict, entry);
        }
        entry_free(entry);
    }
    Py_XDECREF(gone->on_evict);
#ifdef Py_GIL_DISABLED
    for (size_t i = 0; i < gone->value_count; i++) {
        Py_DECREF(gone->values[i]);
    }
    PyMem_Free(gone->values);
#endif
    PyErr_Restore(type, value, traceback);
}

/* The hash of a call */

/* A step of combining hashes, as tuples do it (xxHash, Y. Collet). */
static inline size_t
mix(size_t hash, Py_hash_t other)
{
    hash += (size_t)other * (size_t)0xC2B2AE3D27D4EB4Fu;
    hash = hash << 31 | hash >> (8 * sizeof(size_t) - 31);
    return hash * (size_t)0x9E3779B185EBCA87u;
}

ALWAYS_INLINE Py_hash_t
item_hash(Cache *cache, PyObject *item)
{
    return cache->by_identity && is_referenceable(Py_TYPE(item)) ? hash_address(item)
                                                                 : PyObject_Hash(item);
}

/* Hashes the arguments; -1 with an exception set. Runs the __hash__ of users. */
ALWAYS_INLINE int
call_hash(Cache *cache, Call *call)
{
    if (LIKELY(call->count == 1 && call->names == NULL)) {
        call->hash = item_hash(cache, call->args[0]);
        return UNLIKELY(call->hash == -1) ? -1 : 0;
    }
    size_t hash = (size_t)call->count;
    for (Py_ssize_t i = 0; i < call->count; i++) {
        Py_hash_t next = item_hash(cache, call->args[i]);
        if (next == -1) {
            return -1;
        }
        hash = mix(hash, next);
    }
    for (Py_ssize_t i = 0; call->names != NULL && i < PyTuple_GET_SIZE(call->names); i++) {
        hash = mix(hash, PyUnicode_Type.tp_hash(PyTuple_GET_ITEM(call->names, i)));
    }
    call->hash = (Py_hash_t)hash == -1 ? -2 : (Py_hash_t)hash;
    return 0;
}

/* Finding */

/* The bucket of a hash. (Fibonacci hashing, as in table.h.) */
ALWAYS_INLINE Entry **
bucket_of(Cache *cache, Py_hash_t hash)
{
    size_t mixed = (size_t)hash * (size_t)0x9E3779B97F4A7C15u;
    return &cache->buckets[mixed >> 1 >> (8 * sizeof(size_t) - 1 - cache->log2)];
}

/* To be called when an entry of that hash comes or goes: who is searching there starts again. */
static inline void
searches_disturb(Cache *cache, Py_hash_t hash)
{
    for (Search *search = cache->searches; UNLIKELY(search != NULL); search = search->outer) {
        search->stale |= search->hash == hash;
    }
}

/* The same when the buckets are replaced. */
static inline void
searches_disturb_all(Cache *cache)
{
    for (Search *search = cache->searches; search != NULL; search = search->outer) {
        search->stale = true;
    }
}

static NOINLINE bool
same_names(PyObject *a, PyObject *b)
{
    if (a == NULL || b == NULL || PyTuple_GET_SIZE(a) != PyTuple_GET_SIZE(b)) {
        return a == b;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(a); i++) {
        PyObject *one = PyTuple_GET_ITEM(a, i), *other = PyTuple_GET_ITEM(b, i);
        if (one != other && PyUnicode_Compare(one, other) != 0) {  /* runs nobody's code */
            return false;
        }
    }
    return true;
}

#define DISTURBED (-2)

/* Do an entry's item and an argument that is not that very object agree? -1 with an exception
 * set; DISTURBED, and the entry may be gone, if the search must start again. Runs the __eq__
 * of users. */
static NOINLINE int
item_equals(Cache *cache, Item *item, PyObject *argument, Py_hash_t hash)
{
    PyObject *object;
    if (item->ref == NULL) {
        object = Py_NewRef(item->object);
    }
    else if (PyWeakref_GetRef(item->ref, &object) == 0) {
        return 0;
    }
    Search search = {.outer = cache->searches, .hash = hash};
    if (search.outer != NULL) {
        search.outer->inner = &search;
    }
    cache->searches = &search;
    int equal;
    bool weak = item->ref != NULL || is_referenceable(Py_TYPE(argument));
    if ((cache->by_identity && weak) || (cache->typed && Py_TYPE(object) != Py_TYPE(argument))) {
        equal = 0;
    }
    else if (PyUnicode_CheckExact(object) && PyUnicode_CheckExact(argument)) {
        equal = is_same_str(object, argument);
    }
    else {
        equal = PyObject_RichCompareBool(object, argument, Py_EQ);
    }
    Py_DECREF(object);
    /* Without the GIL, searches do not end in the order in which they began. */
    *(search.inner == NULL ? &cache->searches : &search.inner->outer) = search.outer;
    if (search.outer != NULL) {
        search.outer->inner = search.inner;
    }
    return equal >= 0 && search.stale ? DISTURBED : equal;
}

/* 1 if the entry is that of the call, 0 if not; or as item_equals(). */
ALWAYS_INLINE int
entry_matches(Cache *cache, Entry *entry, const Call *call)
{
    if (entry->count != call->count
        || (UNLIKELY(entry->names != call->names) && !same_names(entry->names, call->names))) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < call->count; i++) {
        Item *item = &entry->items[i];
        PyObject *argument = call->args[i];
        /* The caller holds the argument: if the reference is not dead, it is that object. */
        if (LIKELY(item->object == argument)
            && (item->ref == NULL || LIKELY(ref_address(item->ref) == argument))) {
            continue;
        }
        int equal = item_equals(cache, item, argument, call->hash);
        if (equal != 1) {
            return equal;
        }
    }
    return 1;
}

/* The entry of a call whose hash is known: 1, 0, or -1 with an exception set. Since the last
 * __eq__ began that it has called, no entry of that hash has come or gone. */
ALWAYS_INLINE int
cache_find(Cache *cache, const Call *call, Entry **found)
{
    Entry *entry;
again:
    entry = cache->buckets == NULL ? NULL : *bucket_of(cache, call->hash);
    for (; entry != NULL; entry = entry->chain) {
        if (entry->hash != call->hash) {
            continue;
        }
        int same = entry_matches(cache, entry, call);
        if (UNLIKELY(same == DISTURBED)) {
            goto again;
        }
        if (same != 0) {
            *found = entry;
            return same;
        }
    }
    return 0;
}

/* Taking out */

/* Unlinks an entry, which is the caller's from then on. Runs nobody's code. */
static void
cache_take(Cache *cache, Entry *entry)
{
    Entry **link = bucket_of(cache, entry->hash);
    while (*link != entry) {
        link = &(*link)->chain;
    }
    *link = entry->chain;
    if (cache->window != NULL && entry->segment != OUTSIDE) {
        window_remove(cache->window, entry);
    }
    cache->count--;
    searches_disturb(cache, entry->hash);
}

static void
cache_drop(Cache *cache, Entry *entry, Gone *gone, Cause cause)
{
    cache_take(cache, entry);
    gone_add(cache, gone, entry, cause);
}

#define FOR_ENTRIES(cache, entry)                                                            \
    for (Entry **bucket_ = (cache)->buckets,                                                 \
               **end_ = bucket_ == NULL ? NULL : bucket_ + ((size_t)1 << (cache)->log2);     \
         bucket_ < end_; bucket_++)                                                          \
        for (Entry *entry = *bucket_, *next_; entry != NULL; entry = next_)                  \
            if ((next_ = entry->chain, true))

/* Takes out what has expired or is dead without having been heard of. Returns how many have
 * expired. O(n). */
static Py_ssize_t
cache_sweep(Cache *cache, Gone *gone)
{
    double now = monotonic_seconds(), earliest = INFINITY;
    Py_ssize_t expired = 0;
    cache->suspect = is_collecting(cache->state);
    FOR_ENTRIES(cache, entry) {
        if (entry_is_dead(entry)) {
            cache_drop(cache, entry, gone, DEAD);
        }
        else if (entry->expires <= now) {
            cache_drop(cache, entry, gone, EXPIRED);
            expired++;
        }
        else if (entry->expires < earliest) {
            earliest = entry->expires;
        }
    }
    cache->earliest = earliest;
    cache->unswept = 0;
    return expired;
}

static Py_ssize_t
cache_len(Cache *cache, Gone *gone)
{
    if (cache->suspect || (cache->earliest < INFINITY && cache->earliest <= monotonic_seconds())) {
        (void)cache_sweep(cache, gone);
    }
    return cache->count;
}

static void
cache_empty(Cache *cache, Gone *gone, Cause cause)
{
    FOR_ENTRIES(cache, entry) {
        cache_drop(cache, entry, gone, cause != UNTOLD && entry_is_dead(entry) ? DEAD : cause);
    }
    PyMem_Free(cache->buckets);
    cache->buckets = NULL;
    cache->log2 = 0;
    cache->earliest = INFINITY;
    cache->traced = cache->odd_keys = false;
    searches_disturb_all(cache);
}

/* Looking up */

/* Uses an entry that was found: 1 and a new reference to its value; or 0 and NULL, and the
 * entry taken out, if it has expired or its value is dead. */
ALWAYS_INLINE int
entry_use(Cache *cache, Entry *entry, Gone *gone, PyObject **value)
{
    *value = NULL;
    if (entry_has_expired(entry)) {
        cache_drop(cache, entry, gone, EXPIRED);
        return 0;
    }
    *value = entry_value(entry);
    if (UNLIKELY(*value == NULL)) {
        cache_drop(cache, entry, gone, DEAD);
        return 0;
    }
    if (cache->window != NULL) {
        if (UNLIKELY(entry->segment == OUTSIDE)) {
            entry->value = Py_NewRef(*value);
            window_insert(cache, entry, gone);
        }
        else {
            window_hit(cache, entry);
        }
    }
    return 1;
}

/* The value of a call: 1 and a new reference, 0 and NULL, or -1 with an exception set. */
ALWAYS_INLINE int
cache_get(Cache *cache, const Call *call, Gone *gone, PyObject **value)
{
    Entry *entry;
    *value = NULL;
    int found = cache_find(cache, call, &entry);
    return LIKELY(found == 1) ? entry_use(cache, entry, gone, value) : found;
}

/* Inserting */

/* Doubles the buckets if there are more entries than those. Without memory, chains get longer;
 * the first bucket must be there. */
static int
cache_grow(Cache *cache)
{
    if (cache->buckets != NULL && cache->count < (Py_ssize_t)1 << cache->log2) {
        return 0;
    }
    uint8_t log2 = cache->buckets == NULL ? 0 : (uint8_t)(cache->log2 + 1);
    Entry **buckets = PyMem_Calloc((size_t)1 << log2, sizeof(Entry *));
    if (buckets == NULL) {
        if (cache->buckets == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        return 0;
    }
    Cache grown = {.buckets = buckets, .log2 = log2};
    FOR_ENTRIES(cache, entry) {
        Entry **bucket = bucket_of(&grown, entry->hash);
        entry->chain = *bucket;
        *bucket = entry;
    }
    PyMem_Free(cache->buckets);
    cache->buckets = buckets;
    cache->log2 = log2;
    searches_disturb_all(cache);
    return 0;
}

static PyObject *cache_hear_death(PyObject *self, PyObject *const *args, size_t nargsf,
                                  PyObject *kwnames);

/* The caches that have ever had entries with weak items are a list (ephemeron.h). */

static void
caches_add(Cache *cache)
{
    State *state = cache->state;
    cache->listed = true;  /* first: the lock can let other threads into the cache */
    MUTEX_LOCK(state, ephemeral_mutex);
    cache->newer = NULL;
    cache->older = state->newest_cache;
    if (cache->older != NULL) {
        cache->older->newer = cache;
    }
    SHARED_STORE_PTR(&state->newest_cache, cache);
    MUTEX_UNLOCK(state, ephemeral_mutex);
}

static void
caches_remove(Cache *cache)
{
    State *state = cache->state;
    MUTEX_LOCK(state, ephemeral_mutex);
    SHARED_STORE_PTR(cache->newer == NULL ? &state->newest_cache : &cache->newer->older,
                     cache->older);
    if (cache->older != NULL) {
        cache->older->newer = cache->newer;
    }
    MUTEX_UNLOCK(state, ephemeral_mutex);
}

/* A new entry, not in the cache yet; NULL with an exception set. Can run any code. */
static Entry *
entry_new(Cache *cache, const Call *call, PyObject *value)
{
    bool weak = false;
    for (Py_ssize_t i = 0; !cache->weak_values && i < call->count; i++) {
        weak |= is_referenceable(Py_TYPE(call->args[i]));
    }
    bool weak_value = cache->weak_values && is_referenceable(Py_TYPE(value));
    if (cache->callback == NULL && (weak || weak_value)) {
        cache->callback = death_callback_new(cache->state, cache, cache_hear_death);
        if (cache->callback == NULL) {
            return NULL;
        }
    }
    if (weak && !cache->listed) {
        caches_add(cache);
    }
    if ((weak || COLLECTOR_SKIPS_CALLBACKS) && collector_arm(cache->state) < 0) {
        return NULL;
    }
    Entry *entry = PyMem_Malloc(sizeof(Entry) + (size_t)call->count * sizeof(Item));
    if (entry == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    *entry = (Entry){
        .hash = call->hash,
        .value = Py_NewRef(value),
        .names = Py_XNewRef(call->names),
        .expires = INFINITY,
        .weight = 1,
        .segment = OUTSIDE,
        .has_weak_items = weak,
    };
    for (; entry->count < call->count; entry->count++) {
        PyObject *argument = call->args[entry->count];
        Item item = {argument, NULL};
        if (!cache->weak_values && is_referenceable(Py_TYPE(argument))) {
            item.ref = call_ref_new(cache, argument, call->hash);
            if (item.ref == NULL) {
                entry_free(entry);
                return NULL;
            }
        }
        else {
            Py_INCREF(argument);
        }
        entry->items[entry->count] = item;
    }
    if (weak_value) {
        entry->value_ref = call_ref_new(cache, value, call->hash);
        if (entry->value_ref == NULL) {
            entry_free(entry);
            return NULL;
        }
    }
    return entry;
}

/* Puts a new entry, which is taken over, into the cache. With `absent_only`, a live value that is
 * there already wins. Returns the value that is stored then, as a new reference, which keeps
 * it alive; NULL with an exception set and the cache unchanged. */
static PyObject *
cache_put(Cache *cache, const Call *call, Entry *entry, bool absent_only, Gone *gone)
{
    PyObject *value;
    /* Expired entries that nobody asks for: all are looked for once there can be as many
     * again. */
    if (cache->earliest < INFINITY && ++cache->unswept > cache->count / 2
        && cache->earliest <= monotonic_seconds()) {
        (void)cache_sweep(cache, gone);
    }
    if (cache_grow(cache) < 0) {
        gone_add(cache, gone, entry, UNTOLD);
        return NULL;
    }
    Entry *old = NULL;
    int found = cache_find(cache, call, &old);
    if (found < 0 || (found == 1 && absent_only && entry_use(cache, old, gone, &value) == 1)) {
        gone_add(cache, gone, entry, UNTOLD);
        return found < 0 ? NULL : value;
    }
    if (found == 1 && !absent_only) {
        if (cache->weak_values) {  /* as in dict, the key stays */
            PyObject *key = entry->items[0].object;
            entry->items[0].object = old->items[0].object;
            old->items[0].object = key;
        }
        bool same = old->value == entry->value
                    || (old->value == NULL && ref_address(old->value_ref) == entry->value);
        cache_drop(cache, old, gone, entry_is_dead(old) ? DEAD : entry_has_expired(old) ? EXPIRED
                                     : same ? UNTOLD : REPLACED);
    }
    cache->traced |= PyType_IS_GC(Py_TYPE(entry->value));
    for (Py_ssize_t i = 0; i < entry->count; i++) {
        cache->traced |= entry->items[i].ref == NULL && PyType_IS_GC(Py_TYPE(call->args[i]));
        cache->odd_keys |= entry->items[i].ref != NULL && !gc_is_tracked(call->args[i]);
    }
    if (cache->buckets == NULL && cache_grow(cache) < 0) {  /* emptied by an __eq__ */
        gone_add(cache, gone, entry, UNTOLD);
        return NULL;
    }
    value = Py_NewRef(entry->value);
    Entry **bucket = bucket_of(cache, entry->hash);
    entry->chain = *bucket;
    *bucket = entry;
    cache->count++;
    searches_disturb(cache, entry->hash);
    cache->suspect |= is_collecting(cache->state);
    if (entry->expires < cache->earliest) {
        cache->earliest = entry->expires;
    }
    if (cache->window != NULL) {
        window_insert(cache, entry, gone);
    }
    return value;
}

/* Hears of a death: called with what was a reference of a cache, or with anything by anybody. */
static PyObject *
cache_hear_death(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (PyVectorcall_NARGS(nargsf) != 1 || kwnames != NULL) {
        PyErr_SetString(PyExc_TypeError, "a death callback takes one weak reference");
        return NULL;
    }
    DeathCallback *callback = (DeathCallback *)self;
    PyObject *ref = args[0];
    Gone gone = {NULL};
    MUTEX_LOCK(callback, mutex);
    Cache *cache = callback->owner;
    if (cache != NULL && Py_IS_TYPE(ref, cache->state->call_ref_type)) {
        Py_BEGIN_CRITICAL_SECTION(cache);
        Entry *entry = cache->buckets == NULL || ref_address(ref) != Py_None
                           ? NULL : *bucket_of(cache, ((CallRef *)ref)->entry_hash);
        for (; entry != NULL; entry = entry->chain) {
            bool is_of = entry->value_ref == ref && entry->value == NULL;
            for (Py_ssize_t i = 0; !is_of && i < entry->count; i++) {
                is_of = entry->items[i].ref == ref;
            }
            if (is_of) {
                cache_drop(cache, entry, &gone, DEAD);
                break;
            }
        }
        Py_END_CRITICAL_SECTION();
    }
    MUTEX_UNLOCK(callback, mutex);
    gone_release(&gone);
    Py_RETURN_NONE;
}

/* What a cache owns, but without `all` not what is owned by entries with weak items: those are
 * for ephemeron.h to decide on. */
static int
cache_visit(Cache *cache, visitproc visit, void *arg, bool all)
{
    Py_VISIT(Py_TYPE(cache));
    Py_VISIT(cache->module);
    Py_VISIT(cache->weak_values ? cache->weigh : cache->dict);
    Py_VISIT(cache->weak_values ? cache->on_evict : cache->miss);
    if (!cache->traced) {
        return 0;
    }
    FOR_ENTRIES(cache, entry) {
        if (all || !entry->has_weak_items) {
            for (Py_ssize_t i = 0; i < entry->count; i++) {
                if (entry->items[i].ref == NULL) {
                    Py_VISIT(entry->items[i].object);
                }
            }
            Py_VISIT(entry->value);
        }
    }
    return 0;
}

/* NULL if every invariant of the cache holds, else what is wrong. */
static const char *
cache_fault(Cache *cache)
{
    Py_ssize_t count = 0;
    FOR_ENTRIES(cache, entry) {
        count++;
        if (bucket_of(cache, entry->hash) != bucket_) {
            return "an entry in a wrong bucket";
        }
        if (entry->value == NULL && entry->value_ref == NULL) {
            return "an entry without a value";
        }
        if (cache->window != NULL && (entry->segment == OUTSIDE) != (entry->value == NULL)) {
            return "a value outside of the window that is held, or inside and not";
        }
        if (entry->expires < cache->earliest) {
            return "an entry that expires too early";
        }
    }
    return count == cache->count ? NULL : "entries counted wrongly";
}

#endif
