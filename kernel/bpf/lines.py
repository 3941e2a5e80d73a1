"""Maps without keys that values wait in: queues and stacks.

Invariant: the values are in `_count` slots from `_oldest` on, around the end.

Context: nothing raises MemoryError but what the base class does.
Source: Linux's Documentation/bpf/map_queue_stack.rst.
"""

from kernel.bpf.maps import ALL_COPIES, EXIST, NO_EXIST, STACK, Map
from kernel.lang import E2BIG, EINVAL, ENOENT, Errno, Span, final, span_of, u8
from kernel.lib.pace import spend


@final
class LineMap(Map):
    """A queue, whose oldest value comes first, or a stack, whose newest does."""

    def __init__(self, kind: int, value_size: int, most: int, flags: int) -> None:
        super().__init__(kind, 0, value_size, most, flags)
        self.has_values = False
        self._oldest: int = 0
        self._count: int = 0

    def push(self, value: Span[u8], flags: int) -> None:
        """EXIST: the oldest makes room if there is none."""
        if flags & NO_EXIST != 0 or not 0 <= flags <= EXIST:
            raise Errno(EINVAL)
        if self._count == self.most:
            if flags != EXIST:
                raise Errno(E2BIG)
            self._drop_oldest()
        self._set_slot((self._oldest + self._count) % self.most, value)
        self._count += 1

    def peek(self, value: Span[u8]) -> None:
        """Without a value, what there was is cleared."""
        if self._count == 0:
            value.fill(0)
            raise Errno(ENOENT)
        slot = self._next()
        start = self.start(slot)
        value.copy_from(span_of(self.storage(slot))[start : start + self.value_size])
        spend(self.value_size)

    def pop(self, value: Span[u8]) -> None:
        self.peek(value)
        if self.kind == STACK:
            self._count -= 1
        else:
            self._drop_oldest()

    def _next(self) -> int:
        return (self._oldest + (self._count - 1 if self.kind == STACK else 0)) % self.most

    def _drop_oldest(self) -> None:
        self._oldest = (self._oldest + 1) % self.most
        self._count -= 1

    # System calls ---------------------------------------------------------------------------------------------------

    def look_up(self, key: bytes) -> bytes:
        found = bytearray(self.value_size)
        self.peek(span_of(found))
        return bytes(found)

    def take_out(self, key: bytes) -> bytes:
        found = bytearray(self.value_size)
        self.pop(span_of(found))
        return bytes(found)

    def update(self, key: bytes, value: Span[u8], flags: int, processor: int = ALL_COPIES) -> None:
        self.push(value, flags)

    def next_key(self, key: bytes | None) -> bytes:
        raise Errno(EINVAL)
