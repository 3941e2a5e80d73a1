"""The elements of a set, and their order by key where they are bounds of intervals or have ranges.

They lie in chunks, so that entering or removing one moves few, however many there are. Where keys are equal, an end
comes before a beginning.

A place is a number: that of a chunk, and an index in it. It holds until the order changes.

Invariants: no chunk is empty, and none has more than CHUNK elements.
Context: never sleeps.
"""

from typing import Final

from kernel.lang import final
from kernel.net.nftables.expression import Stateful
from kernel.net.nftables.model import StatefulObject, Versioned
from kernel.net.nftables.values import Decision

# Flags of an element (NFT_SET_ELEM_*).
ELEMENT_END: Final = 0x1  # an interval ends before it
ELEMENT_CATCH_ALL: Final = 0x2

NEVER: Final = 0
NO_PLACE: Final = -1
CHUNK: Final = 128  # elements
_HALF: Final = CHUNK // 2
_FEW: Final = CHUNK // 4
_SHIFT: Final = 8  # of a chunk's number in a place
_INDEX: Final = (1 << _SHIFT) - 1


@final
class Element(Versioned):
    """An element."""

    def __init__(self, key: bytes, flags: int) -> None:
        super().__init__()
        self.key: bytes = key
        self.name: bytes = key  # its key in the dictionary
        self.last: bytes = b""  # with ranges of concatenated fields: their ends
        self.flags: int = flags
        self.data: bytes = b""
        self.decision: Decision | None = None
        self.object: StatefulObject | None = None
        self.expressions: list[Stateful] | None = None
        self.timeout_ms: int = 0  # 0: none
        self.expires_ns: int = NEVER
        self.userdata: bytes = b""
        self.older: Element | None = None  # one with the same key, absent from the next generation
        self.place: int = 0  # in a plain set: its place in the order of arrival

    def is_expired(self, now_ns: int) -> bool:
        """Whether it has expired."""
        return self.expires_ns != NEVER and self.expires_ns <= now_ns

    def take(self) -> None:
        """It is present: count the references that it holds."""
        decision = self.decision
        if decision is not None:
            decision.take()
        found = self.object
        if found is not None:
            found.uses += 1

    def release(self) -> None:
        """It is gone: drop them."""
        decision = self.decision
        if decision is not None:
            decision.release()
        found = self.object
        if found is not None:
            found.uses -= 1

    def is_like(self, other: "Element") -> bool:
        """Whether both have the same data."""
        if self.data != other.data or self.object is not other.object:
            return False
        mine = self.decision
        others = other.decision
        if mine is None or others is None:
            return mine is others
        return mine.equals(others)


def _is_before(element: Element, key: bytes, flags: int) -> bool:
    """The order: by key, and ends before beginnings."""
    if element.key == key:
        return element.flags & ELEMENT_END != 0 and flags & ELEMENT_END == 0
    return element.key < key


@final
class ElementOrder:
    """Elements by key."""

    def __init__(self) -> None:
        self.chunks: list[list[Element]] = []

    # ---- Places ---------------------------------------------------------------------------------------------------

    def at(self, place: int) -> Element | None:
        """The element at a place; None at the end."""
        number = place >> _SHIFT
        return self.chunks[number][place & _INDEX] if 0 <= number < len(self.chunks) else None

    def next(self, place: int) -> int:
        """The place after that of an element."""
        if (place & _INDEX) + 1 < len(self.chunks[place >> _SHIFT]):
            return place + 1
        return (place >> _SHIFT) + 1 << _SHIFT

    def previous(self, place: int) -> int:
        """The place before one; NO_PLACE before the first."""
        if place & _INDEX > 0:
            return place - 1
        number = (place >> _SHIFT) - 1
        return NO_PLACE if number < 0 else number << _SHIFT | len(self.chunks[number]) - 1

    def place_of(self, key: bytes, flags: int) -> int:
        """The first place that is not before that of an element with a key."""
        chunks = self.chunks
        low = 0
        high = len(chunks)
        while low < high:
            middle = (low + high) // 2
            if _is_before(chunks[middle][-1], key, flags):
                low = middle + 1
            else:
                high = middle
        number = low
        if number == len(chunks):
            return number << _SHIFT
        chunk = chunks[number]
        low = 0
        high = len(chunk) - 1
        while low < high:
            middle = (low + high) // 2
            if _is_before(chunk[middle], key, flags):
                low = middle + 1
            else:
                high = middle
        return number << _SHIFT | low

    def place_above(self, key: bytes) -> int:
        """The place of the first element that is above a key."""
        chunks = self.chunks
        low = 0
        high = len(chunks)
        while low < high:
            middle = (low + high) // 2
            if chunks[middle][-1].key <= key:
                low = middle + 1
            else:
                high = middle
        number = low
        if number == len(chunks):
            return number << _SHIFT
        chunk = chunks[number]
        low = 0
        high = len(chunk) - 1
        while low < high:
            middle = (low + high) // 2
            if chunk[middle].key <= key:
                low = middle + 1
            else:
                high = middle
        return number << _SHIFT | low

    # ---- Changes --------------------------------------------------------------------------------------------------

    def append(self, element: Element) -> None:
        """Enter the last element. Raises MemoryError, with nothing changed."""
        chunks = self.chunks
        if len(chunks) > 0 and len(chunks[-1]) < CHUNK:
            chunks[-1].append(element)
        else:
            chunks.append([element])

    def insert(self, element: Element) -> None:
        """Enter an element, before others with its key. Raises MemoryError, with no element entered."""
        place = self.place_of(element.key, element.flags)
        chunks = self.chunks
        number = place >> _SHIFT
        index = place & _INDEX
        if number == len(chunks):
            self.append(element)
            return
        chunk = chunks[number]
        if len(chunk) >= CHUNK:
            chunks.insert(number + 1, chunk[_HALF:])
            del chunk[_HALF:]
            if index > _HALF:
                chunk = chunks[number + 1]
                index -= _HALF
        chunk.insert(index, element)

    def remove(self, element: Element) -> None:
        """Take an element out, if it is there. Needs no memory."""
        place = self.place_of(element.key, element.flags)
        while (found := self.at(place)) is not element:
            if found is None or found.key != element.key:
                return
            place = self.next(place)
        number = place >> _SHIFT
        chunk = self.chunks[number]
        del chunk[place & _INDEX]
        if len(chunk) < _FEW:
            self._merge(number)

    def _merge(self, number: int) -> None:
        """A chunk has few elements: they move to the one before if it has room; it goes if it has none."""
        chunk = self.chunks[number]
        if len(chunk) > 0:
            if number == 0 or len(self.chunks[number - 1]) + len(chunk) > CHUNK:
                return
            before = self.chunks[number - 1]
            kept = len(before)
            try:
                before.extend(chunk)
            except MemoryError:
                del before[kept:]
                return
        del self.chunks[number]
