/* The dominator tree of a graph: of each object, the nearest that every way from a root to it goes
 * through. What an object dominates would go with it.
 *
 * The method is semi-NCA: semidominators by path compression, then nearest common ancestors
 * (L. Georgiadis, R. Tarjan, R. Werneck, Finding dominators in practice, 2006). It takes
 * almost linear time in practice, and 28 bytes for an object and 4 for a reference.
 *
 * Objects are numbered anew, in the order in which a search depth first comes to them; number 0
 * is a root above all roots. */

#ifndef WEAKLY_DOMINATORS_H
#define WEAKLY_DOMINATORS_H

#include "graph.h"

typedef struct {
    size_t count;               /* with number 0 */
    uint32_t *order;            /* of the numbers: the nodes; [0] is not one */
    uint32_t *numbers;          /* of the nodes: the numbers, NONE where no root leads */
    uint32_t *dominators;       /* of the numbers, each less than what it dominates */
} Dominators;

typedef struct {
    Graph *graph;
    Dominators *tree;
    uint32_t *parents;          /* in the search depth first; then: where the forest leads */
    uint32_t *semi, *labels;
    uint32_t *stack;
    uint32_t *into, *into_first; /* the references, sorted by what they lead to */
} DominatorSearch;

/* Numbers what the starts lead to. */
static void
dominators_number(DominatorSearch *search, uint32_t const *starts, size_t start_count)
{
    Graph *graph = search->graph;
    Dominators *tree = search->tree;
    /* Where each number on the way is with its references. */
    uint32_t *at = search->semi, *next = search->labels;
    memset(tree->numbers, 0xff, graph->nodes.count * sizeof(uint32_t));
    tree->count = 1;
    for (size_t i = 0; i < start_count; i++) {
        size_t depth = 0;
        uint32_t node = starts[i], parent = 0;
        while (true) {
            if (tree->numbers[node] == NONE) {
                uint32_t number = (uint32_t)tree->count++;
                tree->numbers[node] = number;
                tree->order[number] = node;
                search->parents[number] = parent;
                at[depth] = number;
                next[depth++] = graph->nodes.at[node].first_edge;
            }
            while (depth > 0 && next[depth - 1] == EDGES_END(graph, tree->order[at[depth - 1]])) {
                depth--;
            }
            if (depth == 0) {
                break;
            }
            parent = at[depth - 1];
            node = graph->edges[next[depth - 1]++];
        }
    }
}

/* Sorts the references by what they lead to: two passes of counting. */
static void
dominators_sort_references(DominatorSearch *search, uint32_t const *starts, size_t start_count)
{
    Graph *graph = search->graph;
    Dominators *tree = search->tree;
    uint32_t *first = search->into_first;
    memset(first, 0, (tree->count + 2) * sizeof(uint32_t));
    for (size_t i = 0; i < start_count; i++) {
        first[tree->numbers[starts[i]] + 2]++;
    }
    for (size_t from = 1; from < tree->count; from++) {
        FOR_EDGES(graph, tree->order[from], to) {
            first[tree->numbers[to] + 2]++;
        }
    }
    for (size_t i = 2; i < tree->count + 2; i++) {
        first[i] += first[i - 1];
    }
    for (size_t i = 0; i < start_count; i++) {
        search->into[first[tree->numbers[starts[i]] + 1]++] = 0;
    }
    for (size_t from = 1; from < tree->count; from++) {
        FOR_EDGES(graph, tree->order[from], to) {
            search->into[first[tree->numbers[to] + 1]++] = (uint32_t)from;
        }
    }
}

/* The number with the least semidominator on the way from one up to its root in the forest of
 * those from `linked` on. */
static uint32_t
dominators_least(DominatorSearch *search, uint32_t number, uint32_t linked)
{
    uint32_t *parents = search->parents, *labels = search->labels;
    if (number < linked) {
        return number;
    }
    size_t depth = 0;
    uint32_t at = number;
    while (parents[at] >= linked) {
        search->stack[depth++] = at;
        at = parents[at];
    }
    uint32_t root = parents[at], least = labels[at];
    while (depth > 0) {
        at = search->stack[--depth];
        if (search->semi[labels[at]] < search->semi[least]) {
            least = labels[at];
        }
        labels[at] = least;
        parents[at] = root;
    }
    return labels[number];
}

static void
dominators_find(DominatorSearch *search)
{
    Dominators *tree = search->tree;
    uint32_t *dominators = tree->dominators;
    for (size_t i = 0; i < tree->count; i++) {
        search->semi[i] = search->labels[i] = (uint32_t)i;
        dominators[i] = i == 0 ? 0 : search->parents[i];
    }
    for (uint32_t to = (uint32_t)tree->count; to-- > 1;) {
        uint32_t semi = dominators[to];
        for (uint32_t i = search->into_first[to]; i < search->into_first[to + 1]; i++) {
            uint32_t from = dominators_least(search, search->into[i], to + 1);
            semi = search->semi[from] < semi ? search->semi[from] : semi;
        }
        search->semi[to] = semi;
    }
    for (uint32_t to = 1; to < tree->count; to++) {
        while (dominators[to] > search->semi[to]) {
            dominators[to] = dominators[dominators[to]];
        }
    }
}

static void
dominators_free(Dominators *tree)
{
    PyMem_RawFree(tree->order);
    PyMem_RawFree(tree->numbers);
    PyMem_RawFree(tree->dominators);
}

/* Makes the tree of what the starts, of which none is there twice, lead to: to be freed in any case.
 * False without memory. */
static bool
dominators_make(Dominators *tree, Graph *graph, uint32_t const *starts, size_t start_count)
{
    size_t room = (graph->nodes.count + 3) * sizeof(uint32_t);
    size_t edges = (graph->edge_count + start_count + 1) * sizeof(uint32_t);
    *tree = (Dominators){0, PyMem_RawMalloc(room), PyMem_RawMalloc(room), PyMem_RawMalloc(room)};
    DominatorSearch search = {
        graph,
        tree,
        PyMem_RawMalloc(room),
        PyMem_RawMalloc(room),
        PyMem_RawMalloc(room),
        PyMem_RawMalloc(room),
        PyMem_RawMalloc(edges),
        PyMem_RawMalloc(room),
    };
    bool made = tree->order != NULL && tree->numbers != NULL && tree->dominators != NULL
                && search.parents != NULL && search.semi != NULL && search.labels != NULL
                && search.stack != NULL && search.into != NULL && search.into_first != NULL;
    if (made) {
        dominators_number(&search, starts, start_count);
        dominators_sort_references(&search, starts, start_count);
        dominators_find(&search);
    }
    PyMem_RawFree(search.parents);
    PyMem_RawFree(search.semi);
    PyMem_RawFree(search.labels);
    PyMem_RawFree(search.stack);
    PyMem_RawFree(search.into);
    PyMem_RawFree(search.into_first);
    return made;
}

#endif
