"""Simulators of cache policies: what each would have kept, for a trace of keys.

A policy is made with the number of entries that it may keep; `request(key)` says whether the
key was there, and has it there from now on, if the policy thinks it worth that. They are
written for the reader and take about a microsecond a request.
"""

import heapq
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol


class Policy(Protocol):
    """What decides which entries stay."""

    def __init__(self, size: int) -> None: ...
    def request(self, key: int) -> bool: ...


class Lru:
    """The least recently used leaves: `functools.lru_cache` with a bound."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.entries: OrderedDict[int, None] = OrderedDict()

    def request(self, key: int) -> bool:
        if key in self.entries:
            self.entries.move_to_end(key)
            return True
        self.entries[key] = None
        if len(self.entries) > self.size:
            self.entries.popitem(last=False)
        return False


class Lfu:
    """The least often used since it came leaves, of equals the one not used for longest."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.time = 0
        self.uses: dict[int, tuple[int, int]] = {}  # how many, and when last
        self.heap: list[tuple[int, int, int]] = []  # the same with the key; and stale ones

    def request(self, key: int) -> bool:
        self.time += 1
        known = self.uses.get(key)
        while known is None and len(self.uses) >= self.size:
            count, time, victim = heapq.heappop(self.heap)
            if self.uses.get(victim) == (count, time):
                del self.uses[victim]
        count = known[0] + 1 if known else 1
        self.uses[key] = (count, self.time)
        heapq.heappush(self.heap, (count, self.time, key))
        return known is not None


class Sieve:
    """SIEVE (Zhang, Yang, Yue, Vigfusson and Rashmi, NSDI 2024): a hand goes from the oldest
    entry to the newest and takes the first that was not used since it last came by."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.used: dict[int, bool] = {}
        self.newer: dict[int | None, int | None] = {None: None}  # None: before the oldest
        self.older: dict[int | None, int | None] = {None: None}  # None: behind the newest
        self.hand: int | None = None

    def request(self, key: int) -> bool:
        if key in self.used:
            self.used[key] = True
            return True
        if len(self.used) >= self.size:
            self._evict()
        newest = self.older[None]
        self.used[key] = False
        self.newer[newest], self.older[key] = key, newest
        self.newer[key], self.older[None] = None, key
        return False

    def _evict(self) -> None:
        at = self._onwards(self.hand)
        while self.used[at]:
            self.used[at] = False
            at = self._onwards(self.newer[at])
        self.hand = self.newer[at]
        self.newer[self.older[at]] = self.newer[at]
        self.older[self.newer[at]] = self.older[at]
        del self.used[at], self.newer[at], self.older[at]

    def _onwards(self, at: int | None) -> int:
        found = self.newer[None] if at is None else at
        assert found is not None
        return found


class S3Fifo:
    """S3-FIFO (Yang, Zhang, Qiu, Yue and Rashmi, SOSP 2023): a small queue for new entries, a
    main one for those used again or asked for again soon after they left the small one."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.small_size = max(1, size // 10)
        self.small: OrderedDict[int, int] = OrderedDict()
        self.main: OrderedDict[int, int] = OrderedDict()
        self.ghosts: OrderedDict[int, None] = OrderedDict()

    def request(self, key: int) -> bool:
        for queue in (self.small, self.main):
            if key in queue:
                queue[key] = min(3, queue[key] + 1)
                return True
        while len(self.small) + len(self.main) >= self.size:
            self._evict()
        if key in self.ghosts:
            del self.ghosts[key]
            self.main[key] = 0
        else:
            self.small[key] = 0
        return False

    def _evict(self) -> None:
        if len(self.small) >= self.small_size or not self.main:
            key, uses = self.small.popitem(last=False)
            if uses:
                self.main[key] = 0
                return
            self.ghosts[key] = None
            if len(self.ghosts) > self.size:
                self.ghosts.popitem(last=False)
        else:
            key, uses = self.main.popitem(last=False)
            if uses:
                self.main[key] = uses - 1


class Arc:
    """ARC (Megiddo and Modha, FAST 2003): two LRU lists, of entries used once and used again,
    whose sizes follow what was missed of either."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.aim = 0  # for the size of `once`
        self.once: OrderedDict[int, None] = OrderedDict()
        self.again: OrderedDict[int, None] = OrderedDict()
        self.once_ghosts: OrderedDict[int, None] = OrderedDict()
        self.again_ghosts: OrderedDict[int, None] = OrderedDict()

    def request(self, key: int) -> bool:
        for entries in (self.once, self.again):
            if key in entries:
                del entries[key]
                self.again[key] = None
                return True
        once, again = len(self.once_ghosts), len(self.again_ghosts)
        if key in self.once_ghosts:
            self.aim = min(self.size, self.aim + max(1, again // once))
            self._evict(False)
            del self.once_ghosts[key]
            self.again[key] = None
        elif key in self.again_ghosts:
            self.aim = max(0, self.aim - max(1, once // again))
            self._evict(True)
            del self.again_ghosts[key]
            self.again[key] = None
        else:
            self._make_room()
            self.once[key] = None
        return False

    def _make_room(self) -> None:
        held = len(self.once) + len(self.again)
        known = held + len(self.once_ghosts) + len(self.again_ghosts)
        if len(self.once) == self.size:
            self.once.popitem(last=False)
        elif len(self.once) + len(self.once_ghosts) == self.size:
            self.once_ghosts.popitem(last=False)
            self._evict(False)
        elif known >= self.size:
            if known >= 2 * self.size:
                self.again_ghosts.popitem(last=False)
            self._evict(False)

    def _evict(self, known_again: bool) -> None:
        if len(self.once) + len(self.again) < self.size:
            return
        over = len(self.once) - self.aim
        if self.once and (over > 0 or (known_again and over == 0) or not self.again):
            self.once_ghosts[self.once.popitem(last=False)[0]] = None
        else:
            self.again_ghosts[self.again.popitem(last=False)[0]] = None


_FACTORS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)
_WORD = 2**64 - 1
_HALVES = bytes(count // 2 for count in range(256))


class Sketch:
    """How often keys were asked for lately, roughly: four rows of small counters, found by
    hashes, of which the least counts; all are halved now and then."""

    def __init__(self) -> None:
        self.width = 16
        self.rows = [bytearray(16) for _ in _FACTORS]
        self.adds = 0
        self.places: dict[int, list[int]] = {}  # of each key, to save time

    def reserve(self, entries: int) -> bool:
        """Makes it wide enough; returns whether it was not."""
        enough = self.width >= 2 * entries
        while self.width < 2 * entries:
            self.width *= 2
            self.rows = [row + row for row in self.rows]
            self.places.clear()
        return not enough

    def _places(self, key: int) -> list[int]:
        if key not in self.places:
            mixed = [hash(key) * factor & _WORD for factor in _FACTORS]
            self.places[key] = [(x ^ x >> 32) & (self.width - 1) for x in mixed]
        return self.places[key]

    def count(self, key: int) -> int:
        return min(row[place] for row, place in zip(self.rows, self._places(key), strict=True))

    def add(self, key: int) -> None:
        least = self.count(key)
        if least < 15:
            for row, place in zip(self.rows, self._places(key), strict=True):
                if row[place] == least:
                    row[place] += 1
        self.adds += 1
        if self.adds >= 5 * self.width:
            self.rows = [row.translate(_HALVES) for row in self.rows]
            self.adds //= 2


class TinyLfu:
    """W-TinyLFU (Einziger, Friedman and Manes, ACM Transactions on Storage, 2017), with a tenth
    for new entries: one that is to move on must have been asked for more often than the one
    that has to leave for it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.fresh: OrderedDict[int, None] = OrderedDict()
        self.probation: OrderedDict[int, None] = OrderedDict()
        self.protected: OrderedDict[int, None] = OrderedDict()
        self.sketch = Sketch()
        self._share(max(1, size // 10))

    def _share(self, fresh: int) -> None:
        self.fresh_size = fresh
        self.protected_size = (self.size - fresh) * 80 // 100

    def request(self, key: int) -> bool:
        self.sketch.add(key)
        if key in self.fresh:
            self.fresh.move_to_end(key)
        elif key in self.protected:
            self.protected.move_to_end(key)
        elif key in self.probation:
            del self.probation[key]
            self._protect(key)
        else:
            self._insert(key)
            return False
        return True

    def _protect(self, key: int) -> None:
        self.protected[key] = None
        while len(self.protected) > self.protected_size:
            self.probation[self.protected.popitem(last=False)[0]] = None

    def _insert(self, key: int) -> None:
        self.sketch.reserve(self._held() + 1)
        self.fresh[key] = None
        while len(self.fresh) > self.fresh_size and len(self.fresh) > 1:
            candidate, _ = self.fresh.popitem(last=False)
            if self._has_room(candidate, key):
                self.probation[candidate] = None

    def _held(self) -> int:
        return len(self.fresh) + len(self.probation) + len(self.protected)

    def _has_room(self, candidate: int, key: int) -> bool:
        """Whether the candidate may stay; makes room for it."""
        while self._held() + 1 > self.size:
            main = self.probation or self.protected
            victim = next(iter(main), None)
            if victim is None or not self._wins(candidate, victim, key):
                return False
            del main[victim]
        return True

    def _wins(self, candidate: int, victim: int, key: int) -> bool:
        return self.sketch.count(candidate) > self.sketch.count(victim)


_REFUSED, _EVICTED = 1, 2


class Window(TinyLfu):
    """That of `WeakCache`: W-TinyLFU that learns how much recency counts.

    It remembers the hashes of entries that left (the ghosts), and why: refused, because they
    were asked for too rarely, or evicted, because they were not asked for lately. When one
    comes back, that was a mistake, and the next time the other way is taken a little more
    often: `recency`, in 1,024ths, is the share of the window for new entries and of the
    refusals that are passed over. A mistake counts more, the fewer of its kind there were. The
    entry that comes back need not prove itself again, unless recency counts for nothing.
    """

    def __init__(self, size: int) -> None:
        self.recency = 512
        self.credit = 0
        self.ghosts = [(0, 0)] * 8  # (why, hash), found by the hash; why is 0 where is none
        self.ghost_counts = [0, 0, 0]  # of each why
        super().__init__(size)
        self._learn(0)

    def _learn(self, change: int) -> None:
        self.recency = min(1024, max(16, self.recency + change))
        self._share(max(1, self.size * self.recency >> 10))

    def _insert(self, key: int) -> None:
        if self.sketch.reserve(self._held() + 1):
            self._more_ghosts()
        if self._comes_back(key) and self.recency >= 64 and self.protected_size >= 1:
            self._protect(key)
        else:
            self.fresh[key] = None
        while len(self.fresh) > self.fresh_size and len(self.fresh) > 1:
            candidate, _ = self.fresh.popitem(last=False)
            if self._has_room(candidate, key):
                self.probation[candidate] = None
            elif not (self.probation or self.protected):
                self._remember(_EVICTED, candidate)
        while self._held() > self.size:
            others = len(self.protected) - (key in self.protected)
            source = self.probation or (self.protected if others else self.fresh)
            oldest, _ = source.popitem(last=False)
            self._remember(_EVICTED, oldest)

    def _wins(self, candidate: int, victim: int, key: int) -> bool:
        if victim != key:
            if super()._wins(candidate, victim, key):
                return True
            self.credit += self.recency
            if self.credit >= 1024:
                self.credit -= 1024
                self._remember(_EVICTED, victim)
                return True
        self._remember(_REFUSED, candidate)
        return False

    def _place(self, hashed: int) -> int:
        mixed = hashed * _FACTORS[0] & _WORD
        return (mixed ^ mixed >> 32) & (len(self.ghosts) - 1)

    def _remember(self, why: int, key: int) -> None:
        self._put(why, hash(key) & _WORD)

    def _put(self, why: int, hashed: int) -> None:
        place = self._place(hashed)
        self.ghost_counts[self.ghosts[place][0]] -= 1
        self.ghost_counts[why] += 1
        self.ghosts[place] = (why, hashed)

    def _more_ghosts(self) -> None:
        old, self.ghosts = self.ghosts, [(0, 0)] * (self.sketch.width // 2)
        self.ghost_counts = [0, 0, 0]
        for why, hashed in old:
            if why:
                self._put(why, hashed)

    def _comes_back(self, key: int) -> bool:
        hashed = hash(key) & _WORD
        place = self._place(hashed)
        why, remembered = self.ghosts[place]
        if not why or remembered != hashed:
            return False
        every = self.ghost_counts[_REFUSED] + self.ghost_counts[_EVICTED]
        step = min(25, max(1, 5 * every // (2 * self.ghost_counts[why])))
        self.ghosts[place] = (0, 0)
        self.ghost_counts[why] -= 1
        self._learn(step if why == _REFUSED else -step)
        return True


def optimum(trace: Sequence[int], size: int) -> int:
    """The most hits that any policy can have, knowing the future (Belady 1966): that entry
    leaves which is asked for again last; the newest may be it."""
    never = len(trace)
    following = [never] * len(trace)
    last: dict[int, int] = {}
    for at in range(len(trace) - 1, -1, -1):
        following[at] = last.get(trace[at], never)
        last[trace[at]] = at
    kept: dict[int, int] = {}  # when it is asked for again
    heap: list[tuple[int, int]] = []
    hits = 0
    for key, next_time in zip(trace, following, strict=True):
        hits += key in kept
        kept[key] = next_time
        heapq.heappush(heap, (-next_time, key))
        while len(kept) > size:
            time, victim = heapq.heappop(heap)
            if kept.get(victim) == -time:
                del kept[victim]
    return hits
