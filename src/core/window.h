/* The window of a cache: which entries it keeps.
 *
 * By W-TinyLFU (G. Einziger, R. Friedman, B. Manes, TinyLFU: A Highly Efficient Cache Admission
 * Policy, ACM Transactions on Storage 13, 2017). New entries are FRESH, in the order of their
 * use. The one that is pushed out from there may take the place of the oldest on PROBATION if
 * it was asked for more often, lately: so what is asked for once does not displace what is
 * asked for time and again. Who is used on PROBATION gets PROTECTED. How often an entry was
 * asked for is counted, about, in a sketch (G. Cormode, S. Muthukrishnan, An Improved Data
 * Stream Summary, 2005), whose counts are halved now and then.
 *
 * Where what was used last is what is used next, this is much worse than to let the least
 * recently used go. So the share of the FRESH adapts itself, as in ARC (N. Megiddo, D. Modha,
 * FAST 2003): the hashes of what has left are remembered for a while (ghosts). If one that was
 * refused is asked for again, recency is worth more than was thought; if one that was evicted
 * is, less. The same share of those that lose against the oldest on PROBATION wins all the
 * same. docs/caching.md has the hit rates.
 *
 * A bound of a memoised function is the same with nothing but FRESH entries: the least recently
 * used goes.
 *
 * Entries that leave the window of a CacheTable stay in the cache for as long as somebody else
 * has the value. All steps here run nobody's code. */

#ifndef WEAKLY_WINDOW_H
#define WEAKLY_WINDOW_H

#include "cache.h"

#define PROTECTED_SHARE 80      /* of what is not for the FRESH, in percent */

/* Recency: the share of the FRESH, in 1/1024. */
#define RECENCY_WHOLE 1024
#define RECENCY_LEAST 16
#define RECENCY_STEP 5          /* for a ghost, if there are as many of either kind */
#define RECENCY_TRUSTS 64       /* from here on, who was a ghost comes back PROTECTED */

#define SKETCH_ROWS 4
#define SKETCH_MAX 15
#define SKETCH_SPAN 5           /* additions for each counter of a row until all are halved */

typedef enum { NO_GHOST, REFUSED, EVICTED } GhostKind;

typedef struct {
    Entry *oldest, *newest;
    Py_ssize_t weight;
} EntryList;

struct Window {
    EntryList segments[OUTSIDE];
    Py_ssize_t maxsize, fresh_cap, protected_cap;
    Py_ssize_t count;           /* of the entries in the window */
    bool adapts;                /* or does the least recently used go? */
    int recency, credit;
    uint8_t *counters;          /* of the sketch: four rows; NULL before the first insertion */
    size_t width, additions;    /* a power of two; 0 without counters */
    Py_hash_t *ghosts;          /* by hash, half as many as there are counters in a row */
    uint8_t *ghost_kinds;
    size_t ghost_counts[EVICTED + 1];
};

static void
window_share(Window *window)
{
    Py_ssize_t maxsize = window->maxsize;
    Py_ssize_t fresh = maxsize / RECENCY_WHOLE * window->recency
                       + maxsize % RECENCY_WHOLE * window->recency / RECENCY_WHOLE;
    window->fresh_cap = fresh > 0 ? fresh : 1;
    Py_ssize_t rest = maxsize - window->fresh_cap;
    window->protected_cap = rest / 100 * PROTECTED_SHARE + rest % 100 * PROTECTED_SHARE / 100;
}

static Window *
window_new(Py_ssize_t maxsize, bool adapts)
{
    Window *window = PyMem_Calloc(1, sizeof(Window));
    if (window == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    window->maxsize = maxsize;
    window->adapts = adapts;
    window->recency = adapts ? RECENCY_WHOLE / 2 : RECENCY_WHOLE;
    window_share(window);
    return window;
}

static void
window_free(Window *window)
{
    if (window != NULL) {
        PyMem_Free(window->counters);
        PyMem_Free(window->ghosts);
        PyMem_Free(window->ghost_kinds);
        PyMem_Free(window);
    }
}

/* The sketch */

static inline size_t
spread(Py_hash_t hash, int row)
{
    static const uint64_t factors[SKETCH_ROWS] = {
        0x9E3779B97F4A7C15u, 0xC2B2AE3D27D4EB4Fu, 0x165667B19E3779F9u, 0xD6E8FEB86659FD93u,
    };
    uint64_t mixed = (uint64_t)(int64_t)hash * factors[row];
    return (size_t)(mixed ^ mixed >> 32);
}

static inline uint8_t *
sketch_counter(Window *window, int row, Py_hash_t hash)
{
    return &window->counters[(size_t)row * window->width + (spread(hash, row) & (window->width - 1))];
}

/* How often a hash was added lately, about; rather too often than too rarely. */
static int
sketch_count(Window *window, Py_hash_t hash)
{
    int least = SKETCH_MAX;
    for (int row = 0; window->width > 0 && row < SKETCH_ROWS; row++) {
        int count = *sketch_counter(window, row, hash);
        least = count < least ? count : least;
    }
    return least;
}

/* Counts a use; of the hash's counters only the lowest (C. Estan, G. Varghese, New Directions in
 * Traffic Measurement and Accounting, 2002). */
static void
sketch_add(Window *window, Py_hash_t hash)
{
    if (window->width == 0) {
        return;
    }
    uint8_t *counters[SKETCH_ROWS];
    uint8_t least = SKETCH_MAX;
    for (int row = 0; row < SKETCH_ROWS; row++) {
        counters[row] = sketch_counter(window, row, hash);
        least = *counters[row] < least ? *counters[row] : least;
    }
    for (int row = 0; least < SKETCH_MAX && row < SKETCH_ROWS; row++) {
        *counters[row] = (uint8_t)(*counters[row] + (*counters[row] == least));
    }
    if (UNLIKELY(++window->additions >= window->width * SKETCH_SPAN)) {
        for (size_t i = 0; i < SKETCH_ROWS * window->width; i++) {
            window->counters[i] >>= 1;
        }
        window->additions /= 2;
    }
}

/* The ghosts */

static inline size_t
ghost_slot(Window *window, Py_hash_t hash)
{
    return spread(hash, 0) & (window->width / 2 - 1);
}

/* Remembers the hash of an entry that leaves, in place of another one. */
static void
ghost_add(Window *window, Py_hash_t hash, GhostKind kind)
{
    if (window->width > 0) {
        size_t slot = ghost_slot(window, hash);
        window->ghost_counts[window->ghost_kinds[slot]]--;
        window->ghost_counts[kind]++;
        window->ghost_kinds[slot] = (uint8_t)kind;
        window->ghosts[slot] = hash;
    }
}

/* Is there a ghost of an entry that comes in? If so, it is forgotten, and recency adapted. */
static bool
ghost_take(Window *window, Py_hash_t hash)
{
    size_t slot = window->width == 0 ? 0 : ghost_slot(window, hash);
    if (window->width == 0 || window->ghost_kinds[slot] == NO_GHOST
        || window->ghosts[slot] != hash) {
        return false;
    }
    GhostKind kind = window->ghost_kinds[slot];
    /* The rarer a kind is, the more it says. */
    size_t ghosts = window->ghost_counts[REFUSED] + window->ghost_counts[EVICTED];
    size_t step = RECENCY_STEP * ghosts / (2 * window->ghost_counts[kind]);
    int change = step < 1 ? 1 : step > 5 * RECENCY_STEP ? 5 * RECENCY_STEP : (int)step;
    int recency = window->recency + (kind == REFUSED ? change : -change);
    window->recency = recency < RECENCY_LEAST ? RECENCY_LEAST
                      : recency > RECENCY_WHOLE ? RECENCY_WHOLE : recency;
    window->ghost_kinds[slot] = NO_GHOST;
    window->ghost_counts[kind]--;
    window_share(window);
    return true;
}

/* Makes the sketch twice as wide as there are entries, or nearly so. Counters double by being
 * copied: each hash then finds its count at either place. Without memory, all stays as it is. */
static NOINLINE void
sketch_grow(Window *window, size_t width)
{
    while (window->width < width) {
        Window old = *window;
        size_t wider = old.width == 0 ? 16 : old.width * 2;
        uint8_t *counters = PyMem_Calloc(SKETCH_ROWS, wider);
        Py_hash_t *ghosts = PyMem_Calloc(wider / 2, sizeof(Py_hash_t));
        uint8_t *kinds = PyMem_Calloc(wider / 2, 1);
        if (counters == NULL || ghosts == NULL || kinds == NULL) {
            PyMem_Free(counters);
            PyMem_Free(ghosts);
            PyMem_Free(kinds);
            return;
        }
        for (size_t i = 0; old.width > 0 && i < SKETCH_ROWS * 2; i++) {
            memcpy(counters + i * old.width, old.counters + i / 2 * old.width, old.width);
        }
        window->counters = counters;
        window->ghosts = ghosts;
        window->ghost_kinds = kinds;
        window->width = wider;
        memset(window->ghost_counts, 0, sizeof window->ghost_counts);
        for (size_t slot = 0; slot < old.width / 2; slot++) {
            if (old.ghost_kinds[slot] != NO_GHOST) {
                ghost_add(window, old.ghosts[slot], old.ghost_kinds[slot]);
            }
        }
        PyMem_Free(old.counters);
        PyMem_Free(old.ghosts);
        PyMem_Free(old.ghost_kinds);
    }
}

/* The segments */

static inline void
segment_append(Window *window, Entry *entry, Segment segment)
{
    EntryList *list = &window->segments[segment];
    entry->segment = (uint8_t)segment;
    entry->newer = NULL;
    entry->older = list->newest;
    *(list->newest == NULL ? &list->oldest : &list->newest->newer) = entry;
    list->newest = entry;
    list->weight += entry->weight;
    window->count++;
}

/* Takes an entry out of its segment. */
static void
window_remove(Window *window, Entry *entry)
{
    EntryList *list = &window->segments[entry->segment];
    *(entry->older == NULL ? &list->oldest : &entry->older->newer) = entry->newer;
    *(entry->newer == NULL ? &list->newest : &entry->newer->older) = entry->older;
    list->weight -= entry->weight;
    window->count--;
    entry->segment = OUTSIDE;
}

static void
window_move(Window *window, Entry *entry, Segment segment)
{
    window_remove(window, entry);
    segment_append(window, entry, segment);
}

static Py_ssize_t
window_weight(Window *window)
{
    return window->segments[FRESH].weight + window->segments[PROBATION].weight
           + window->segments[PROTECTED].weight;
}

/* The one that is next to leave, but not this one (NULL: any): of those on PROBATION, else of the
 * PROTECTED, else with `fresh_too` of the FRESH; or NULL. */
static Entry *
window_coldest(Window *window, bool fresh_too, Entry *but)
{
    static const Segment order[] = {PROBATION, PROTECTED, FRESH};
    for (int i = 0; i < (fresh_too ? 3 : 2); i++) {
        Entry *oldest = window->segments[order[i]].oldest;
        if (oldest != NULL && oldest == but) {
            oldest = oldest->newer;
        }
        if (oldest != NULL) {
            return oldest;
        }
    }
    return NULL;
}

/* An entry, in no segment any more, is not held by the window from now on. It stays in the
 * cache if anybody else has its value. */
static void
window_let_go(Cache *cache, Entry *entry, Gone *gone)
{
    if (entry->value_ref == NULL || Py_REFCNT(entry->value) == 1
        || ref_address(entry->value_ref) == Py_None) {  /* cleared by the collector: revived */
        cache_drop(cache, entry, gone, SIZE);
        return;
    }
    PyObject *value = entry->value;
    entry->value = NULL;
    gone_add_value(gone, value);
}

static void
window_evict(Cache *cache, Entry *entry, Gone *gone)
{
    window_remove(cache->window, entry);
    window_let_go(cache, entry, gone);
}

/* What is PROTECTED beyond its share is on PROBATION again. */
static void
window_demote(Window *window)
{
    EntryList *protected = &window->segments[PROTECTED];
    while (protected->weight > window->protected_cap) {
        window_move(window, protected->oldest, PROBATION);
    }
}

/* An entry in the window was used. */
static void
window_hit(Cache *cache, Entry *entry)
{
    Window *window = cache->window;
    sketch_add(window, entry->hash);
    if (entry->segment == PROBATION) {
        window_move(window, entry, PROTECTED);
        window_demote(window);
    }
    else if (entry->newer != NULL) {
        window_move(window, entry, entry->segment);
    }
}

/* Makes room for an entry that was pushed out of the FRESH: returns whether it may stay. Does
 * not do so at the cost of the entry that is just coming in. */
static bool
window_admit(Cache *cache, Entry *candidate, Entry *newcomer, Gone *gone)
{
    Window *window = cache->window;
    while (candidate->weight > window->maxsize - window_weight(window)) {
        Entry *victim = window_coldest(window, false, NULL);
        if (victim == NULL) {
            ghost_add(window, candidate->hash, EVICTED);
            return false;
        }
        bool loses = victim == newcomer
                     || sketch_count(window, candidate->hash) <= sketch_count(window, victim->hash);
        if (loses && victim != newcomer && (window->credit += window->recency) >= RECENCY_WHOLE) {
            window->credit -= RECENCY_WHOLE;
            ghost_add(window, victim->hash, EVICTED);
            loses = false;
        }
        if (loses) {
            ghost_add(window, candidate->hash, REFUSED);
            return false;
        }
        window_evict(cache, victim, gone);
    }
    return true;
}

/* Takes an entry of the cache into the window; it has a value and is in no segment. */
static void
window_insert(Cache *cache, Entry *entry, Gone *gone)
{
    Window *window = cache->window;
    EntryList *fresh = &window->segments[FRESH];
    bool was_ghost = false;
    if (window->adapts) {
        if (window->width == 0) {
            sketch_grow(window, 1);
        }
        sketch_add(window, entry->hash);
    }
    if (entry->weight > window->maxsize) {
        window_let_go(cache, entry, gone);
        return;
    }
    if (window->adapts) {
        sketch_grow(window, 2 * ((size_t)window->count + 1));
        was_ghost = ghost_take(window, entry->hash);
    }
    if (was_ghost && window->recency >= RECENCY_TRUSTS && entry->weight <= window->protected_cap) {
        segment_append(window, entry, PROTECTED);
        window_demote(window);
    }
    else {
        segment_append(window, entry, FRESH);
    }
    while (fresh->weight > window->fresh_cap && fresh->oldest != fresh->newest) {
        Entry *candidate = fresh->oldest;
        window_remove(window, candidate);
        if (window_admit(cache, candidate, entry, gone)) {
            segment_append(window, candidate, PROBATION);
        }
        else {
            window_let_go(cache, candidate, gone);
        }
    }
    while (window_weight(window) > window->maxsize) {
        Entry *coldest = window_coldest(window, true, entry);
        ghost_add(window, coldest->hash, EVICTED);
        window_evict(cache, coldest, gone);
    }
}

/* Lets the coldest leave until the window weighs no more than that; returns how many did. */
static Py_ssize_t
window_shrink(Cache *cache, Py_ssize_t weight, Gone *gone)
{
    Py_ssize_t count = 0;
    while (window_weight(cache->window) > weight) {
        window_evict(cache, window_coldest(cache->window, true, NULL), gone);
        count++;
    }
    return count;
}

/* NULL if every invariant of the window holds, else what is wrong. */
static const char *
window_fault(Window *window)
{
    Py_ssize_t count = 0;
    for (int segment = FRESH; segment < OUTSIDE; segment++) {
        Entry *older = NULL;
        Py_ssize_t weight = 0;
        for (Entry *entry = window->segments[segment].oldest; entry != NULL; entry = entry->newer) {
            if (entry->older != older || entry->segment != segment) {
                return "entries of the window linked wrongly";
            }
            weight += entry->weight;
            count++;
            older = entry;
        }
        if (window->segments[segment].newest != older
            || window->segments[segment].weight != weight) {
            return "a segment of the window counted wrongly";
        }
    }
    if (window_weight(window) > window->maxsize) {
        return "a window that weighs too much";
    }
    return count == window->count ? NULL : "entries of the window counted wrongly";
}

#endif
