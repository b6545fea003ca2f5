/* Ephemerons: the entries of ephemeral tables and of caches whose keys live only by such entries.
 *
 * The contract: an entry lives while its key is reachable through strong references other than
 * values of ephemeral entries whose own keys are dead. (B. Hayes, Ephemerons: a new
 * finalization mechanism, OOPSLA 1997.) The interpreter's collector cannot know this: it takes
 * the values for references of the table. So before a full collection the entries that should
 * not live are dropped; what then is garbage is left to the collector.
 *
 * A walk needs to know only what the values reach:
 *
 *  1. Everything reachable from values gets a node, and of each object's reference count we
 *     subtract those references that come from objects with a node or from entries. What is
 *     left is held from outside. (The collector finds its garbage in the same way.)
 *  2. What is held from outside lives, and what that reaches. An object without a node is
 *     reached by no value: as a key, it lives. The value of an entry lives once its key and
 *     its table do; a key that is not known to live yet has its entries wait on its node, so
 *     that all is linear.
 *  3. Entries whose keys have no mark are dead. All are taken out of their tables before the
 *     first is released: no code that runs then sees half a decision.
 *
 * Until the release no Python code runs, nothing is allocated but raw memory, and no reference
 * count changes. Without memory, nothing is dropped.
 *
 * Some objects count as live without being entered, which keeps the walk near the user's
 * data and errs on the side of keeping: modules, code, static types, a function's globals.
 * What the collector does not track is never entered either; as keys, such objects have nodes
 * all the same (`odd_keys`), or their entries could never be found dead.
 *
 * The entry of a cache (cache.h) can have several keys, its weak items: it dies with any of them,
 * and what it owns lives once all do. It waits for one of them at a time.
 *
 * Two kinds of object can be outlived by a part of them that takes over what they hold, and
 * does not refer to them: a generator by its frame, and an object by its dict (compat.h). If
 * anybody else may have that part, the whole counts as held from outside. */

#ifndef WEAKLY_EPHEMERON_H
#define WEAKLY_EPHEMERON_H

#include "cache.h"
#include "nodes.h"
#include "table.h"

typedef struct {
    PyObject **row;             /* of a table, or NULL */
    Entry *entry;               /* of a cache, or NULL */
    uint32_t owner;             /* the table's or the cache's number */
    uint32_t next;              /* the next that waits for the same key, or NONE */
} Waiting;

typedef struct {
    State *state;
    Nodes nodes;
    Waiting *waiting;
    size_t waiting_count, waiting_room;
    uint32_t *stack;            /* live nodes that are still to be entered */
    size_t depth;
    Table **tables;             /* those with values that may reach something */
    size_t table_count;
    Cache **caches;
    size_t cache_count;
    uint32_t generator;         /* the number of the one that is being entered, or NONE */
    PyObject *globals, *builtins; /* of the function that is being entered */
    PyTypeObject *type;         /* the last type that was asked for, and what it is */
    bool is_leaf_type;
    Taken *dead;                /* the entries that were taken out of tables */
    Entry *dead_entries;        /* and of caches, a chain */
    Py_ssize_t dead_count, dropped, overcounted;
} Walk;

/* Does an object of this type live by itself, and is what it reaches left out? */
static NOINLINE bool
find_is_leaf_type(Walk *walk, PyTypeObject *type)
{
    walk->type = type;
    walk->is_leaf_type = type == &PyCode_Type || PyType_IsSubtype(type, &PyModule_Type);
    return walk->is_leaf_type;
}

/* Tuples and dicts of what the collector does not track are not tracked either, and may yet
 * hold an odd key. */
static inline bool
may_hold_odd_keys(PyObject *object)
{
    return PyTuple_CheckExact(object) || PyDict_CheckExact(object);
}

/* A new node; NONE if there is no memory. */
static uint32_t
new_node(Walk *walk, PyObject *object, bool tracked)
{
    PyTypeObject *type = Py_TYPE(object);
    bool is_leaf = tracked ? (type == walk->type ? walk->is_leaf_type
                                                 : find_is_leaf_type(walk, type))
                           : !may_hold_odd_keys(object);
    return node_new(&walk->nodes, object, tracked, is_leaf);
}

/* May objects like this have nodes for what they are, and not only as odd keys? */
ALWAYS_INLINE bool
is_walked(PyObject *object)
{
#ifdef Py_GIL_DISABLED
    if (PyType_Check(object)) {
        return false;  /* there, threads keep counts of a type's references apart */
    }
#endif
    return gc_is_tracked(object);
}

/* Step 1 */

/* Counts a reference to an object from within; the object gets a node if it has none. */
static int
count_visit(PyObject *object, void *arg)
{
    Walk *walk = arg;
    if (object == walk->globals || object == walk->builtins) {
        return 0;
    }
    /* Who has a generator's frame can reach what the generator holds, and takes it over. */
    if (UNLIKELY(walk->generator != NONE) && Py_IS_TYPE(object, &PyFrame_Type)
        && Py_REFCNT(object) > 1) {
        walk->nodes.at[walk->generator].outside = INT32_MAX;
    }
    bool tracked = is_walked(object);
    if (!tracked && LIKELY(walk->nodes.map_used == 0)) {
        return 0;
    }
    uint32_t number = node_of(&walk->nodes, object, tracked);
    if (number == NONE) {
        if (!tracked && !may_hold_odd_keys(object)) {
            return 0;
        }
        number = new_node(walk, object, tracked);
        if (number == NONE) {
            return -1;
        }
    }
    Node *node = &walk->nodes.at[number];
    if (GENERATORS_BORROW && UNLIKELY(walk->generator != NONE)) {
        if (node->link == walk->generator) {
            return 0;
        }
        node->link = walk->generator;
    }
    node->outside -= node->outside != INT32_MAX;
    return 0;
}

/* Visits what an object reaches in one step, but for what live entries alone decide. */
static void
node_enter(Walk *walk, uint32_t number, visitproc visit)
{
    PyObject *object = walk->nodes.at[number].object;
    PyTypeObject *type = Py_TYPE(object);
    if (walk->nodes.at[number].is_leaf) {
        return;
    }
    if (UNLIKELY(type == walk->state->rows_type) && ((Rows *)object)->ephemeral) {
        rows_visit_strong_refs((Rows *)object, visit, walk);
        return;
    }
    if (UNLIKELY(type == walk->state->memo_type)) {
        (void)cache_visit((Cache *)object, visit, walk, false);
        return;
    }
    if (type == &PyFunction_Type) {
        walk->globals = ((PyFunctionObject *)object)->func_globals;
        walk->builtins = ((PyFunctionObject *)object)->func_builtins;
    }
    if (type == &PyGen_Type || type == &PyCoro_Type || type == &PyAsyncGen_Type) {
        walk->generator = number;
    }
    PyObject *dict = unvisited_dict(object);
    if (UNLIKELY(dict != NULL) && Py_REFCNT(dict) > 1) {  /* as somebody has it: see above */
        walk->nodes.at[number].outside = INT32_MAX;
    }
    (void)type->tp_traverse(object, visit, walk);
    walk->globals = walk->builtins = NULL;
    walk->generator = NONE;
}

/* Is a row an entry to be decided on? Its value lives only while its key does, and can reach
 * something; or is, perhaps, an odd key. */
ALWAYS_INLINE bool
is_ephemeron(Walk *walk, PyObject **row)
{
    return row[REF] != NULL && (is_walked(row[STRONG]) || walk->nodes.map_used > 0)
           && ref_address(row[REF]) == row[SUBJECT] && !is_strong_ref(row[REF])
           && Py_REFCNT(row[SUBJECT]) > 0;
}

#define FOR_ROWS(table, row)                                                                 \
    for (PyObject **row = (table)->rows->words,                                              \
                  **end_ = row_at((table)->rows, KEY, (table)->rows->used);                  \
         row < end_; row += row_words(KEY))

/* As is_ephemeron(), for an entry of a cache. */
static bool
is_ephemeral_entry(Walk *walk, Entry *entry)
{
    bool walked = walk->nodes.map_used > 0 || is_walked(entry->value);
    for (Py_ssize_t i = 0; entry->has_weak_items && i < entry->count; i++) {
        Item *item = &entry->items[i];
        if (item->ref == NULL) {
            walked |= is_walked(item->object);
        }
        else if (ref_address(item->ref) != item->object || Py_REFCNT(item->object) <= 0) {
            return false;
        }
    }
    return entry->has_weak_items && walked;
}

/* Visits what an entry of a cache owns. */
static int
entry_visit(Entry *entry, visitproc visit, Walk *walk)
{
    int status = visit(entry->value, walk);
    for (Py_ssize_t i = 0; status == 0 && i < entry->count; i++) {
        if (entry->items[i].ref == NULL) {
            status = visit(entry->items[i].object, walk);
        }
    }
    return status;
}

/* Gives a key that the collector does not track a node. */
static void
odd_key_node(Walk *walk, PyObject *key)
{
    if (!is_walked(key) && !walk->nodes.failed && node_of(&walk->nodes, key, false) == NONE) {
        (void)new_node(walk, key, false);
    }
}

static void
count_from_caches(Walk *walk)
{
    for (size_t i = 0; i < walk->cache_count; i++) {
        FOR_ENTRIES(walk->caches[i], entry) {
            if (is_ephemeral_entry(walk, entry) && entry_visit(entry, count_visit, walk) < 0) {
                return;
            }
        }
    }
}

static void
find_odd_keys(Walk *walk)
{
    for (size_t i = 0; i < walk->table_count; i++) {
        if (walk->tables[i]->odd_keys) {
            FOR_ROWS(walk->tables[i], row) {
                PyObject *key = row[SUBJECT];
                if (row[REF] != NULL && ref_address(row[REF]) == key && !is_strong_ref(row[REF])) {
                    odd_key_node(walk, key);
                }
            }
        }
    }
    for (size_t i = 0; i < walk->cache_count; i++) {
        if (walk->caches[i]->odd_keys) {
            FOR_ENTRIES(walk->caches[i], entry) {
                for (Py_ssize_t j = 0; j < entry->count; j++) {
                    Item *item = &entry->items[j];
                    if (item->ref != NULL && ref_address(item->ref) == item->object) {
                        odd_key_node(walk, item->object);
                    }
                }
            }
        }
    }
}

static void
count_from_values(Walk *walk)
{
    find_odd_keys(walk);
    for (size_t i = 0; i < walk->table_count && !walk->nodes.failed; i++) {
        FOR_ROWS(walk->tables[i], row) {
            if (is_ephemeron(walk, row) && count_visit(row[STRONG], walk) < 0) {
                return;
            }
        }
    }
    count_from_caches(walk);
    for (size_t number = 0; number < walk->nodes.count && !walk->nodes.failed; number++) {
        node_enter(walk, (uint32_t)number, count_visit);
    }
}

/* Step 2 */

ALWAYS_INLINE bool
is_live(Walk *walk, uint32_t number)
{
    return number == NONE || walk->nodes.at[number].is_live;
}

ALWAYS_INLINE void
set_live(Walk *walk, uint32_t number)
{
    if (!is_live(walk, number)) {
        walk->nodes.at[number].is_live = true;
        walk->stack[walk->depth++] = number;
    }
}

static int
live_visit(PyObject *object, void *arg)
{
    Walk *walk = arg;
    bool tracked = is_walked(object);
    if (tracked || UNLIKELY(walk->nodes.map_used > 0)) {
        set_live(walk, node_of(&walk->nodes, object, tracked));
    }
    return 0;
}

ALWAYS_INLINE uint32_t
table_node(Walk *walk, uint32_t table)
{
    return node_of(&walk->nodes, (PyObject *)walk->tables[table],
                   is_walked((PyObject *)walk->tables[table]));
}

static uint32_t
cache_node(Walk *walk, uint32_t cache)
{
    return node_of(&walk->nodes, (PyObject *)walk->caches[cache],
                   is_walked((PyObject *)walk->caches[cache]));
}

/* Makes an entry wait for a key. */
static void
wait_for(Walk *walk, uint32_t key, Waiting entry)
{
    Waiting *waiting = with_room(walk->waiting, sizeof(Waiting), walk->waiting_count,
                                 &walk->waiting_room);
    if (waiting == NULL) {
        walk->nodes.failed = true;
        return;
    }
    walk->waiting = waiting;
    entry.next = walk->nodes.at[key].waiting;
    waiting[walk->waiting_count] = entry;
    walk->nodes.at[key].waiting = (uint32_t)walk->waiting_count++;
}

/* Of the entries of a table: if the table lives, so do the values whose keys do; those whose keys
 * are not known to live can be made to wait for them. */
static void
table_scan(Walk *walk, uint32_t table, bool lives, bool wait)
{
    FOR_ROWS(walk->tables[table], row) {
        if (!is_ephemeron(walk, row)) {
            continue;
        }
        uint32_t key = node_of(&walk->nodes, row[SUBJECT], is_walked(row[SUBJECT]));
        if (is_live(walk, key)) {
            if (lives) {
                live_visit(row[STRONG], walk);
            }
        }
        else if (wait) {
            wait_for(walk, key, (Waiting){.row = row, .owner = table});
        }
    }
}

/* The first key of an entry of a cache that is not known to live, or NONE. */
static uint32_t
entry_key(Walk *walk, Entry *entry)
{
    for (Py_ssize_t i = 0; i < entry->count; i++) {
        PyObject *key = entry->items[i].object;
        if (entry->items[i].ref != NULL) {
            uint32_t number = node_of(&walk->nodes, key, is_walked(key));
            if (!is_live(walk, number)) {
                return number;
            }
        }
    }
    return NONE;
}

/* As table_scan(), of a cache. */
static void
cache_scan(Walk *walk, uint32_t cache, bool lives, bool wait)
{
    FOR_ENTRIES(walk->caches[cache], entry) {
        if (!is_ephemeral_entry(walk, entry)) {
            continue;
        }
        uint32_t key = entry_key(walk, entry);
        if (key != NONE) {
            if (wait) {
                wait_for(walk, key, (Waiting){.entry = entry, .owner = cache});
            }
        }
        else if (lives) {
            (void)entry_visit(entry, live_visit, walk);
        }
    }
}

/* A key lives: so may what waits for it. */
static void
stop_waiting(Walk *walk, Node *node)
{
    for (uint32_t i = node->waiting, next; i != NONE; i = next) {
        Waiting *waiting = &walk->waiting[i];
        next = waiting->next;
        if (waiting->row != NULL) {
            if (is_live(walk, table_node(walk, waiting->owner))) {
                live_visit(waiting->row[STRONG], walk);
            }
            continue;
        }
        uint32_t key = entry_key(walk, waiting->entry);
        if (key != NONE) {
            waiting->next = walk->nodes.at[key].waiting;
            walk->nodes.at[key].waiting = i;
        }
        else if (is_live(walk, cache_node(walk, waiting->owner))) {
            (void)entry_visit(waiting->entry, live_visit, walk);
        }
    }
}

static void
find_live(Walk *walk)
{
    walk->stack = PyMem_RawMalloc((walk->nodes.count + 1) * sizeof(uint32_t));
    if (walk->stack == NULL) {
        walk->nodes.failed = true;
        return;
    }
    for (size_t i = 0; i < walk->nodes.count; i++) {
        Node *node = &walk->nodes.at[i];
        /* More references met than there are would be somebody's error: better to keep. */
        walk->overcounted += node->outside < 0;
        assert(node->outside >= 0);
        if (node->outside != 0 || (node->is_leaf && is_walked(node->object))) {
            set_live(walk, (uint32_t)i);
        }
    }
    for (uint32_t i = 0; i < walk->table_count; i++) {
        uint32_t number = table_node(walk, i);
        if (number != NONE) {
            walk->nodes.at[number].is_table = true;
            walk->nodes.at[number].link = i;
        }
        table_scan(walk, i, is_live(walk, number), true);
    }
    for (uint32_t i = 0; i < walk->cache_count; i++) {
        uint32_t number = cache_node(walk, i);
        if (number != NONE) {
            walk->nodes.at[number].is_cache = true;
            walk->nodes.at[number].link = i;
        }
        cache_scan(walk, i, is_live(walk, number), true);
    }
    while (walk->depth > 0 && !walk->nodes.failed) {
        uint32_t number = walk->stack[--walk->depth];
        Node *node = &walk->nodes.at[number];
        node_enter(walk, number, live_visit);
        if (node->is_table) {
            table_scan(walk, node->link, true, false);
        }
        if (node->is_cache) {
            cache_scan(walk, node->link, true, false);
        }
        stop_waiting(walk, node);
    }
}

/* Step 3 */

/* Is an entry that waited one of a table, and dead? */
ALWAYS_INLINE bool
is_dead(Walk *walk, size_t waiting)
{
    if (walk->waiting[waiting].row == NULL) {
        return false;
    }
    PyObject *key = walk->waiting[waiting].row[SUBJECT];
    return !is_live(walk, node_of(&walk->nodes, key, is_walked(key)));
}

static void
take_dead_from_caches(Walk *walk)
{
    for (size_t i = 0; i < walk->waiting_count; i++) {
        Entry *entry = walk->waiting[i].entry;
        if (entry != NULL && entry_key(walk, entry) != NONE) {
            cache_take(walk->caches[walk->waiting[i].owner], entry);
            entry->chain = walk->dead_entries;
            walk->dead_entries = entry;
            walk->dropped++;
        }
    }
}

/* Calls nobody; what was taken out is owned by the walk. */
static void
take_dead(Walk *walk)
{
    size_t count = 0;
    for (size_t i = 0; i < walk->waiting_count; i++) {
        count += is_dead(walk, i);
    }
    if (count == 0) {
        return;
    }
    walk->dead = PyMem_RawMalloc(count * sizeof(Taken));
    if (walk->dead == NULL) {
        return;
    }
    for (size_t i = 0; i < walk->waiting_count; i++) {
        Place at = {NULL, 0};
        if (is_dead(walk, i)) {
            Table *table = walk->tables[walk->waiting[i].owner];
            if (table_find_ref(table, KEY, walk->waiting[i].row[REF], &at)) {
                walk->dead[walk->dead_count++] = table_take(table, KEY, at);
                walk->dropped++;
            }
        }
    }
}

/* All three steps, with nothing else running. */
static void
walk_all(void *arg)
{
    Walk *walk = arg;
    size_t count = 0, cache_count = 0;
    bool odd_keys = false;
    for (Table *table = walk->state->newest_ephemeral; table != NULL; table = table->older) {
        count++;
        odd_keys |= table->odd_keys;
    }
    for (Cache *cache = walk->state->newest_cache; cache != NULL; cache = cache->older) {
        cache_count++;
        odd_keys |= cache->odd_keys;
    }
    walk->tables = PyMem_RawMalloc((count + 1) * sizeof(Table *));
    walk->caches = PyMem_RawMalloc((cache_count + 1) * sizeof(Cache *));
    if (walk->tables == NULL || walk->caches == NULL) {
        PyMem_RawFree(walk->tables);
        PyMem_RawFree(walk->caches);
        return;
    }
    for (Cache *cache = walk->state->newest_cache; cache != NULL; cache = cache->older) {
        if (cache->count > 0 && (cache->traced || odd_keys)) {
            walk->caches[walk->cache_count++] = cache;
        }
    }
    for (Table *table = walk->state->newest_ephemeral; table != NULL; table = table->older) {
        if (table->live > 0 && (table->rows->traced || odd_keys)) {
            walk->tables[walk->table_count++] = table;
        }
    }
    if (walk->table_count + walk->cache_count > 0 && walk->table_count < NONE
        && walk->cache_count < NONE) {
        count_from_values(walk);
        if (!walk->nodes.failed) {
            find_live(walk);
        }
        if (!walk->nodes.failed) {
            take_dead(walk);
            take_dead_from_caches(walk);
        }
        nodes_forget(&walk->nodes);
    }
    PyMem_RawFree(walk->tables);
    PyMem_RawFree(walk->caches);
    nodes_free(&walk->nodes);
    PyMem_RawFree(walk->waiting);
    PyMem_RawFree(walk->stack);
}

/* Drops the dead entries and returns how many there were. What is released can run any code. */
static Py_ssize_t
ephemerons_walk(State *state)
{
    Walk walk = {.state = state, .generator = NONE};
    double start = monotonic_seconds();
    while_nothing_runs(walk_all, &walk);
    double end = monotonic_seconds();
    MUTEX_LOCK(state, ephemeral_mutex);
    state->walks++;
    state->objects_walked += (Py_ssize_t)walk.nodes.count;
    state->entries_dropped += walk.dropped;
    state->overcounted += walk.overcounted;
    state->walk_seconds += end - start;
    state->last_walk_seconds = end - start;
    state->last_walk_end = end;
    MUTEX_UNLOCK(state, ephemeral_mutex);
    for (Py_ssize_t i = 0; i < walk.dead_count; i++) {
        taken_release(walk.dead[i], KEY);
    }
    PyMem_RawFree(walk.dead);
    while (walk.dead_entries != NULL) {
        Entry *entry = walk.dead_entries;
        walk.dead_entries = entry->chain;
        entry_free(entry);
    }
    return walk.dropped;
}

/* The collector is about to start. Before each full collection there is a walk, as the
 * interpreter sees to it that those are in proportion to the growth of the heap. Where the
 * collector does not say which are full, walks take no more than a twentieth of the time. */
static void
ephemerons_before_collection(State *state, long generation)
{
    MUTEX_LOCK(state, ephemeral_mutex);
    double due = state->last_walk_end + 20 * state->last_walk_seconds;
    MUTEX_UNLOCK(state, ephemeral_mutex);
    if (generation == 2 || (!collector_tells_full() && monotonic_seconds() >= due)) {
        (void)ephemerons_walk(state);
    }
}

/* For the module */

static PyObject *
collect_ephemerons(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromSsize_t(ephemerons_walk(state_of_module(module)));
}

static PyObject *
ephemeron_counts(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    State *state = state_of_module(module);
    Py_ssize_t tables = 0, entries = 0;
    MUTEX_LOCK(state, ephemeral_mutex);
    for (Table *table = state->newest_ephemeral; table != NULL; table = table->older) {
        tables++;
        entries += SHARED_COUNT(&table->live);
    }
    for (Cache *cache = state->newest_cache; cache != NULL; cache = cache->older) {
        tables++;
        entries += SHARED_COUNT(&cache->count);
    }
    Py_ssize_t walks = state->walks, objects = state->objects_walked;
    Py_ssize_t dropped = state->entries_dropped, overcounted = state->overcounted;
    double seconds = state->walk_seconds;
    MUTEX_UNLOCK(state, ephemeral_mutex);
    return Py_BuildValue("(nnnnndn)", tables, entries, walks, objects, dropped, seconds,
                         overcounted);
}

#endif
