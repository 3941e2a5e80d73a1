"""Very many objects in the order of numbers, for walks at whose safe points others come and go.

    order: Order[Key] = Order()
    order.put(7, key)
    walk = Walk(order)
    while (key := walk.next()) is not None: ...

They lie in chunks, so that adding or removing one moves few, however many there are.

Invariants: numbers grow from chunk to chunk and within each; no chunk is empty.

Context: never sleeps. `put` may raise MemoryError, `remove` does with less memory than it would like. Whoever is asked
for memory must not change the order that asks.
"""

from typing import Final, Generic, TypeVar

from kernel.lang import final

T = TypeVar("T")

CHUNK: Final = 128  # objects
_HALF: Final = CHUNK // 2
_FEW: Final = CHUNK // 4


@final
class _Chunk(Generic[T]):
    def __init__(self, numbers: list[int], values: list[T]) -> None:
        self.numbers: list[int] = numbers
        self.values: list[T] = values


@final
class Order(Generic[T]):
    """The objects."""

    def __init__(self) -> None:
        self._chunks: list[_Chunk[T]] = []

    def is_empty(self) -> bool:
        return len(self._chunks) == 0

    def chunk_count(self) -> int:
        """How many chunks there are: a measure of the memory that they take."""
        return len(self._chunks)

    def has(self, number: int) -> bool:
        """Whether there is an object of a number."""
        chunk = self.chunk(self.chunk_from(number))
        return chunk is not None and chunk.numbers[place_of(chunk.numbers, number)] == number

    def get(self, number: int) -> T | None:
        """The object of a number, if there is one."""
        chunk = self.chunk(self.chunk_from(number))
        if chunk is None:
            return None
        at = place_of(chunk.numbers, number)
        return chunk.values[at] if chunk.numbers[at] == number else None

    def chunk_from(self, number: int) -> int:
        """The index of the first chunk that ends at or after a number, or how many there are."""
        chunks = self._chunks
        low = 0
        high = len(chunks)
        while low < high:
            middle = (low + high) // 2
            if chunks[middle].numbers[-1] < number:
                low = middle + 1
            else:
                high = middle
        return low

    def chunk(self, index: int) -> _Chunk[T] | None:
        """A chunk, which is not to be changed; None after the last."""
        return self._chunks[index] if 0 <= index < len(self._chunks) else None

    def first_from(self, number: int) -> T | None:
        """The first object from a number on."""
        chunk = self.chunk(self.chunk_from(number))
        return None if chunk is None else chunk.values[place_of(chunk.numbers, number)]

    def last_to(self, number: int) -> T | None:
        """The last object up to a number."""
        index = self.chunk_from(number)
        chunk = self.chunk(index)
        if chunk is not None:
            at = place_of(chunk.numbers, number)
            if chunk.numbers[at] == number:
                return chunk.values[at]
            if at > 0:
                return chunk.values[at - 1]
        before = self.chunk(index - 1)
        return None if before is None else before.values[-1]

    def take_last(self) -> T | None:
        """Remove and return the last object. Needs no memory."""
        if len(self._chunks) == 0:
            return None
        chunk = self._chunks[-1]
        chunk.numbers.pop()
        value = chunk.values.pop()
        if len(chunk.numbers) == 0:
            self._chunks.pop()
        return value

    def put(self, number: int, value: T) -> None:
        """Enter an object, instead of another of that number if there is one: then no memory is needed. Raises
        MemoryError, with nothing changed.
        """
        chunks = self._chunks
        index = self.chunk_from(number)
        if index == len(chunks):
            if index == 0 or len(chunks[index - 1].numbers) >= CHUNK:
                chunks.append(_Chunk([number], [value]))
                return
            index -= 1
        chunk = chunks[index]
        at = place_of(chunk.numbers, number)
        if at < len(chunk.numbers) and chunk.numbers[at] == number:
            chunk.values[at] = value
            return
        if len(chunk.numbers) >= CHUNK:
            chunks.insert(index + 1, _Chunk(chunk.numbers[_HALF:], chunk.values[_HALF:]))
            del chunk.numbers[_HALF:]
            del chunk.values[_HALF:]
            if at > _HALF:
                chunk = chunks[index + 1]
                at -= _HALF
        chunk.numbers.insert(at, number)
        try:
            chunk.values.insert(at, value)
        except MemoryError:
            del chunk.numbers[at]
            raise

    def remove(self, number: int) -> None:
        """Take the object of a number out, if there is one."""
        index = self.chunk_from(number)
        if index == len(self._chunks):
            return
        chunk = self._chunks[index]
        at = place_of(chunk.numbers, number)
        if at == len(chunk.numbers) or chunk.numbers[at] != number:
            return
        del chunk.numbers[at]
        del chunk.values[at]
        if len(chunk.numbers) < _FEW:
            self._merge(index)

    def _merge(self, index: int) -> None:
        """A chunk has few objects: they move to the one before if it has room; it goes if it has none."""
        chunk = self._chunks[index]
        if len(chunk.numbers) > 0:
            if index == 0:
                return
            before = self._chunks[index - 1]
            kept = len(before.numbers)
            if kept + len(chunk.numbers) > CHUNK:
                return
            try:
                before.numbers.extend(chunk.numbers)
                before.values.extend(chunk.values)
            except MemoryError:
                del before.numbers[kept:]
                return
        del self._chunks[index]


@final
class Walk(Generic[T]):
    """A walk through an order, which others may change meanwhile: it meets all that stay."""

    def __init__(self, order: Order[T], start: int = 0) -> None:
        """From a number on."""
        self._order: Order[T] = order
        self.next_number: int = start

    def next(self) -> T | None:
        """The next object; None at the end."""
        chunk = self._order.chunk(self._order.chunk_from(self.next_number))
        if chunk is None:
            return None
        at = place_of(chunk.numbers, self.next_number)
        self.next_number = chunk.numbers[at] + 1
        return chunk.values[at]


def place_of(numbers: list[int], number: int) -> int:
    """The index of the first number of a sorted list at or after one."""
    low = 0
    high = len(numbers)
    while low < high:
        middle = (low + high) // 2
        if numbers[middle] < number:
            low = middle + 1
        else:
            high = middle
    return low
