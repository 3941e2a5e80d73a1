"""The form of large dictionaries: no operation takes long, however many entries there are.

Entries have the numbers from 0 without a gap, and lie in chunks, so nothing is ever copied to a larger array but the
lists of chunks. `EntryIndex` knows their hashes, in as many buckets as there are entries: each added entry splits one
bucket, each removed one joins two (linear hashing; W. Litwin, 1980). It also links the entries in the order of their
insertion. `LargeTable` has the keys and values. When an entry leaves, the last one takes its number.

Whoever is asked for memory may remove entries from the very table that needs it: a cache gives up pages and names. So
`add` makes room for everything first.

Invariants: the chain of a bucket has exactly the entries whose hash belongs there; the links of order run through all
entries once. No number, so no walk over entries, survives a removal.

A link is the number of an entry plus 1, or 0 for none. Context: nothing sleeps; only what says so needs memory.

Rejected: moving entries to a larger table a few at a time. The larger table must be zeroed and found in one piece
first, which takes a million instructions for 100,000 entries and does not work at all for 300,000.
"""

from __future__ import annotations

from typing import Final, Generic, Literal, TypeVar

from kernel.lang import Array, final, i32, inline, noinline

K = TypeVar("K")
V = TypeVar("V")

CHUNK_SHIFT: Final = 8
CHUNK: Final = 1 << CHUNK_SHIFT  # entries, and buckets
CHUNK_MASK: Final = CHUNK - 1
SPARE_CHUNKS: Final = 2  # kept beyond what the entries need, so that one that comes and goes is free
# Entries in one bucket. More with the same hash mean an attack: a look-up that passes them all would take too long.
MOST_IN_BUCKET: Final = 4096

_WORDS: Final = 4 * CHUNK
_NEXT: Final = CHUNK  # where the four kinds of words begin; hashes are at 0
_OLDER: Final = 2 * CHUNK
_NEWER: Final = 3 * CHUNK


@final
class IndexChunk:
    """For `CHUNK` entries: the hash of each, links to the next in its bucket, the older and the newer one. And the
    first entry of as many buckets.
    """

    words: Array[i32, Literal[1024]]
    heads: Array[i32, Literal[256]]


assert len(IndexChunk().words) == _WORDS and len(IndexChunk().heads) == CHUNK


@final
class EntryIndex:
    """Hashes, buckets and order of entries."""

    def __init__(self) -> None:
        self.chunks: list[IndexChunk] = []
        self.count: int = 0
        self.buckets: int = 1  # as many as entries, but at least one; `begin` makes more
        self.mask: int = 0  # the least power of two not below `buckets`, minus 1
        self.oldest: int = 0  # a link
        self.newest: int = 0
        self.passed: int = 0  # entries that the last search passed in its bucket

    # Looking
    # ------------------------------------------------------------------------------------------------------------

    @inline
    def hash_of(self, number: int) -> int:
        return self.chunks[number >> CHUNK_SHIFT].words[number & CHUNK_MASK]

    @inline
    def first_with(self, hash_value: int) -> int:
        """The first entry with a hash, or -1. There has been an entry."""
        bucket = self._bucket_of(hash_value)
        return self._seek(self.chunks[bucket >> CHUNK_SHIFT].heads[bucket & CHUNK_MASK], hash_value, 0)

    @noinline
    def next_with(self, number: int, hash_value: int) -> int:
        """The entry after `number`, which the last search found."""
        return self._seek(self._word(_NEXT, number), hash_value, self.passed + 1)

    @inline
    def _seek(self, link: int, hash_value: int, passed: int) -> int:
        """The first entry with a hash from `link` on in the chain of its bucket, or -1."""
        found = -1
        while link != 0:
            chunk = self.chunks[(link - 1) >> CHUNK_SHIFT]
            place = (link - 1) & CHUNK_MASK
            if chunk.words[place] == hash_value:
                found = link - 1
                break
            link = chunk.words[_NEXT + place]
            passed += 1
        self.passed = passed
        return found

    @noinline
    def newer_than(self, number: int) -> int:
        """The entry that was inserted after an entry, or -1; of -1, the oldest."""
        if number < 0:
            return self.oldest - 1
        return self._word(_NEWER, number) - 1

    # Changing
    # -----------------------------------------------------------------------------------------------------------

    def begin(self, count: int) -> None:
        """Make buckets for the entries that an empty index gets next. Raises MemoryError."""
        while len(self.chunks) << CHUNK_SHIFT < count:
            self._add_chunk()
        self.buckets = count
        while self.mask < count - 1:
            self.mask = self.mask * 2 + 1

    @inline
    def reserve(self) -> None:
        """Make sure that `add` finds room. Raises MemoryError, also where the bucket that was searched last is full."""
        if self.passed >= MOST_IN_BUCKET:
            raise MemoryError
        if self.count == len(self.chunks) << CHUNK_SHIFT:
            self._add_chunk()

    @noinline
    def _add_chunk(self) -> None:
        self.chunks.append(IndexChunk())

    @noinline
    def add(self, hash_value: int) -> None:
        """Add the entry `count`, as the newest. Needs no memory after `reserve`."""
        number = self.count
        self.count = number + 1
        if number >= self.buckets:
            self._split()
        bucket = self._bucket_of(hash_value)
        of_bucket = self.chunks[bucket >> CHUNK_SHIFT]
        chunk = self.chunks[number >> CHUNK_SHIFT]
        place = number & CHUNK_MASK
        chunk.words[place] = i32(hash_value)
        chunk.words[_NEXT + place] = of_bucket.heads[bucket & CHUNK_MASK]
        of_bucket.heads[bucket & CHUNK_MASK] = i32(number + 1)
        chunk.words[_OLDER + place] = i32(self.newest)
        chunk.words[_NEWER + place] = 0
        if self.newest != 0:
            self._set_word(_NEWER, self.newest - 1, number + 1)
        else:
            self.oldest = number + 1
        self.newest = number + 1

    @noinline
    def remove(self, number: int) -> None:
        """Remove an entry; the last one gets its number."""
        self._refer_in_bucket(number, self._word(_NEXT, number))
        older = self._word(_OLDER, number)
        newer = self._word(_NEWER, number)
        self._refer_in_order(older, newer, newer, older)
        last = self.count - 1
        if number != last:
            self._renumber(last, number)
        self.count = last
        if last > 0:
            self._join()
        if len(self.chunks) > (last >> CHUNK_SHIFT) + SPARE_CHUNKS:
            self.chunks.pop()

    def _renumber(self, number: int, to: int) -> None:
        self._refer_in_bucket(number, to + 1)
        older = self._word(_OLDER, number)
        newer = self._word(_NEWER, number)
        self._refer_in_order(older, to + 1, newer, to + 1)
        self._set_word(0, to, self.hash_of(number))
        self._set_word(_NEXT, to, self._word(_NEXT, number))
        self._set_word(_OLDER, to, older)
        self._set_word(_NEWER, to, newer)

    def _refer_in_bucket(self, number: int, link: int) -> None:
        """Have what refers to an entry in its bucket's chain refer to `link` instead."""
        bucket = self._bucket_of(self.hash_of(number))
        at = self._head(bucket) - 1
        if at == number:
            self._set_head(bucket, link)
            return
        following = self._next_of(at)
        while following != number:
            at = following
            following = self._next_of(at)
        self._set_word(_NEXT, at, link)

    def _refer_in_order(self, older: int, newer_link: int, newer: int, older_link: int) -> None:
        """Let the entry of the link `older` be followed by `newer_link`, and that of `newer` follow `older_link`."""
        if older != 0:
            self._set_word(_NEWER, older - 1, newer_link)
        else:
            self.oldest = newer_link
        if newer != 0:
            self._set_word(_OLDER, newer - 1, older_link)
        else:
            self.newest = older_link

    # Buckets
    # ------------------------------------------------------------------------------------------------------------

    @inline
    def _bucket_of(self, hash_value: int) -> int:
        bucket = hash_value & self.mask
        return bucket if bucket < self.buckets else bucket & (self.mask >> 1)

    def _split(self) -> None:
        """One bucket more: it takes over its entries from the one whose number lacks the highest bit."""
        added = self.buckets
        if added > self.mask:
            self.mask = self.mask * 2 + 1
        self.buckets = added + 1
        bucket = added & (self.mask >> 1)
        number = self._head(bucket) - 1
        self._set_head(bucket, 0)
        while number >= 0:
            following = self._next_of(number)
            self._push(self.hash_of(number) & self.mask, number)
            number = following

    def _join(self) -> None:
        """One bucket less: its entries go back."""
        taken = self.buckets - 1
        number = self._head(taken) - 1
        self._set_head(taken, 0)
        self.buckets = taken
        bucket = taken & (self.mask >> 1)
        if taken == (self.mask >> 1) + 1:
            self.mask >>= 1
        while number >= 0:
            following = self._next_of(number)
            self._push(bucket, number)
            number = following

    @inline
    def _next_of(self, number: int) -> int:
        """The next entry in the same bucket, or -1."""
        return self._word(_NEXT, number) - 1

    @inline
    def _push(self, bucket: int, number: int) -> None:
        self._set_word(_NEXT, number, self._head(bucket))
        self._set_head(bucket, number + 1)

    # Words
    # --------------------------------------------------------------------------------------------------------------

    @inline
    def _word(self, kind: int, number: int) -> int:
        return self.chunks[number >> CHUNK_SHIFT].words[kind + (number & CHUNK_MASK)]

    @inline
    def _set_word(self, kind: int, number: int, value: int) -> None:
        self.chunks[number >> CHUNK_SHIFT].words[kind + (number & CHUNK_MASK)] = i32(value)

    @inline
    def _head(self, bucket: int) -> int:
        return self.chunks[bucket >> CHUNK_SHIFT].heads[bucket & CHUNK_MASK]

    @inline
    def _set_head(self, bucket: int, link: int) -> None:
        self.chunks[bucket >> CHUNK_SHIFT].heads[bucket & CHUNK_MASK] = i32(link)


@final
class LargeTable(Generic[K, V]):
    """Entries with keys and values."""

    def __init__(self) -> None:
        self.index: EntryIndex = EntryIndex()
        self.keys: list[list[K]] = []  # of each chunk
        self.values: list[list[V]] = []

    @inline
    def key(self, number: int) -> K:
        return self.keys[number >> CHUNK_SHIFT][number & CHUNK_MASK]

    @inline
    def value(self, number: int) -> V:
        return self.values[number >> CHUNK_SHIFT][number & CHUNK_MASK]

    def set_value(self, number: int, value: V) -> None:
        self.values[number >> CHUNK_SHIFT][number & CHUNK_MASK] = value

    def find(self, key: K, hash_value: int) -> int:
        """The number of a key's entry, or -1."""
        index = self.index
        number = index.first_with(hash_value)
        while number >= 0:
            if self.key(number) == key:
                return number
            number = index.next_with(number, hash_value)
        return -1

    @noinline
    def add(self, key: K, hash_value: int, value: V) -> None:
        """Add an entry for a key for which the last search found none. Raises MemoryError, with nothing changed."""
        index = self.index
        index.reserve()
        while True:
            chunk = index.count >> CHUNK_SHIFT
            if chunk < len(self.keys) and chunk < len(self.values):
                break
            # Whoever is asked for memory may remove entries, so what follows must need none.
            if chunk == len(self.keys):
                self.keys.append(_with_room(key))
            else:
                self.values.append(_with_room(value))
            index.reserve()
        self.keys[chunk].append(key)
        self.values[chunk].append(value)
        index.add(hash_value)

    def remove(self, number: int) -> None:
        """Remove an entry; the last one gets its number."""
        last = self.index.count - 1
        key = self.keys[last >> CHUNK_SHIFT].pop()
        value = self.values[last >> CHUNK_SHIFT].pop()
        if number != last:
            self.keys[number >> CHUNK_SHIFT][number & CHUNK_MASK] = key
            self.values[number >> CHUNK_SHIFT][number & CHUNK_MASK] = value
        self.index.remove(number)
        kept = (last >> CHUNK_SHIFT) + SPARE_CHUNKS
        if len(self.keys) > kept:
            self.keys.pop()
        if len(self.values) > kept:
            self.values.pop()


def _with_room(value: K) -> list[K]:
    """An empty list in which a chunk finds room. Raises MemoryError."""
    room = [value] * CHUNK
    room.clear()
    return room
