"""Buffers that a program provides in groups, and that requests take when they have something to put there.

That is what IOSQE_BUFFER_SELECT asks for.

A group is a list that IORING_OP_PROVIDE_BUFFERS fills, or a ring of its own in memory of the program or of the kernel,
whose tail the program moves (IORING_REGISTER_PBUF_RING). The kernel keeps the head, and reads each word once. Buffers
of such a ring may be used up bit by bit (IOU_PBUF_RING_INC): the rest of one stays the ring's first buffer.

Context: sleeps where a ring lies in the program's memory.
Source: io_uring_register(2), io_uring_enter(2).
"""

from collections import deque
from typing import Final, Literal

from kernel.lang import Array, Errno, UserAddr, final, noinline, noraise, u8
from kernel.lib import user
from kernel.mm.ring_memory import RingMemory
from kernel.task.words import load_i64, store_i64

ENTRY_SIZE: Final = 16  # of struct io_uring_buf: address, length, number; in the first, the tail comes after these
_TAIL: Final = 14
_TAIL_WORD: Final = 12  # of 32 bits, whose upper half is the tail
_TAIL_MASK: Final = 0xFFFF
_GROUP_BYTES: Final = 250
BUFFER_BYTES: Final = 56


@final
class ProvidedBuffer:
    """One buffer."""

    def __init__(self, address: int, length: int, number: int) -> None:
        self.address: int = address
        self.length: int = length
        self.number: int = number  # 0 to 65,535, by which the program knows it


@final
class Chosen:
    """A buffer that a request has taken."""

    def __init__(self, group: "BufferGroup", buffer: ProvidedBuffer, length: int) -> None:
        self.group: BufferGroup = group
        self.head: int = group.head  # of a ring, after this one
        self.buffer: ProvidedBuffer = buffer
        self.address: int = buffer.address
        self.length: int = length  # no more than the request asks for


@final
class BufferGroup:
    """Buffers with one group number."""

    def __init__(self, address: UserAddr, entry_count: int, memory: RingMemory | None) -> None:
        """A list if `entry_count` is 0; else a ring of that many entries (a power of two), at `address` or in
        `memory`.
        """
        self.address: UserAddr = address
        self.entry_count: int = entry_count
        self.memory: RingMemory | None = memory
        self.head: int = 0  # of a ring, modulo 2**16
        self.keeps_rest: bool = False  # a ring whose buffers are used up bit by bit
        self.buffers: deque[ProvidedBuffer] = deque()

    def is_ring(self) -> bool:
        """Whether it is a ring."""
        return self.entry_count != 0

    def held_bytes(self) -> int:
        """About how much memory it frees when it goes."""
        memory = self.memory
        return _GROUP_BYTES + len(self.buffers) * BUFFER_BYTES + (0 if memory is None else memory.size_bytes())

    @noraise
    def give_back(self) -> None:
        """It is of no use any more."""
        memory = self.memory
        self.memory = None
        if memory is not None:
            memory.free()

    def take(self) -> ProvidedBuffer | None:
        """The next buffer; nobody else gets it from now on. Raises EFAULT, MemoryError. May sleep."""
        if self.entry_count == 0:
            return self.buffers.popleft() if len(self.buffers) > 0 else None
        while True:
            head = self._head()
            if self._tail() == head:
                return None
            entry = self._entry((head & (self.entry_count - 1)) * ENTRY_SIZE)
            if self._head() == head:
                self.head = (head + 1) & _TAIL_MASK
                return entry

    def keep_rest(self, taken: ProvidedBuffer, head: int, used: int) -> bool:
        """The first bytes of a buffer were used: the rest stays in the ring, whose head was `head` after it. False, and
        the buffer is used up, if there is none, or others have taken a further one. Sleeps.
        """
        rest = taken.length - used  # fits: lengths have 32 bits
        if not self.keeps_rest or rest <= 0 or self._head() != head:
            return False
        try:
            at = (head - 1 & (self.entry_count - 1)) * ENTRY_SIZE  # fits: an index of 16 bits
            self._store(at, user.within(UserAddr(taken.address), used), rest)
        except Errno:
            return False  # the program has taken the ring's memory away
        if self._head() != head:
            return False
        self.head = (head - 1) & _TAIL_MASK
        return True

    def is_empty(self) -> bool:
        """Whether a ring has no buffer for the next one who asks. Raises EFAULT. May sleep."""
        head = self._head()
        return self._tail() == head

    def put_back(self, taken: ProvidedBuffer, head: int) -> None:
        """Nothing was put there. In a ring, whose head was `head` after it, it can be given again only as long as no
        further one was taken; else it stays taken. Raises MemoryError.
        """
        if self.entry_count == 0:
            self.buffers.appendleft(taken)
        elif self.head == head:
            self.head = (head - 1) & _TAIL_MASK

    def _head(self) -> int:
        """`head`, asked anew after a sleep."""
        return self.head

    @noinline
    def _tail(self) -> int:
        memory = self.memory
        if memory is not None:
            return memory.load(_TAIL_WORD) >> 16
        return user.read_u16(user.at(self.address, _TAIL))

    def _store(self, at: int, address: int, length: int) -> None:
        """Change an entry's address and length. Raises EFAULT."""
        storage: Array[u8, Literal[12]] = Array()
        fields = storage.span()
        store_i64(fields, 0, address)
        fields.store_u32(8, length)
        memory = self.memory
        if memory is not None:
            memory.write(at, fields)
        else:
            user.write_from(user.at(self.address, at), fields)

    def _entry(self, at: int) -> ProvidedBuffer:
        storage: Array[u8, Literal[16]] = Array()
        fields = storage.span()
        memory = self.memory
        if memory is not None:
            memory.read(at, fields)
        else:
            user.read_into(fields, user.at(self.address, at))
        return ProvidedBuffer(load_i64(fields, 0), fields.load_u32(8), fields.load_u16(12))
