"""A message under way to a server, and its answer.

A request owns its memory, so its waiting thread may be killed at any time: the request is then *left*, and its answer,
which may come years later, frees it. What the answer to a left request provides (a node to be forgotten, a handle to be
released) is given back at that point.

Context: never sleeps.
"""

from enum import IntEnum
from typing import Final

from kernel.fs.fuse import protocol
from kernel.fs.fuse.protocol import IN_HEADER_SIZE, Answer, Message
from kernel.lang import final, span_of
from kernel.lib.credentials import Actor
from kernel.lib.linked import Linked, LinkedList
from kernel.sched import WaitQueue

_NOTHING: Final = bytearray()


class Stage(IntEnum):
    """How far a request has come."""

    WAITING = 0  # the server has not taken it
    TAKEN = 1
    DONE = 2


@final
class Request(Linked["Request"]):
    """`answer_limit`: the most bytes that may follow the answer's header; `is_exact`: no fewer either."""

    def __init__(self, kind: int, node: int, message: Message, answer_limit: int, *, is_exact: bool) -> None:
        super().__init__()
        self.kind: int = kind
        self.node: int = node
        self.unique: int = 0  # once it is sent
        self.message: bytearray = message.data
        self.payload: bytearray | None = None  # what WRITE writes, after the message
        self.answer: bytearray | None = None  # the answer's bytes
        self.answer_length: int = 0  # how many of them are used
        self.answer_limit: int = answer_limit
        self.is_exact: bool = is_exact
        self.creator: Actor | None = None  # for whom it creates something, as the server knows them
        self.error: int = 0  # that the server reported
        self.stage: Stage = Stage.WAITING
        self.is_left: bool = False  # nobody waits
        self.is_interrupted: bool = False  # the waiting thread got a signal, or has gone
        self.is_interrupt_due: bool = False  # the server must be notified: on the chain for that
        self.is_told: bool = False  # the server was notified
        self.next_to_interrupt: Request | None = None
        self.reader: Reader | None = None  # through whom the server took it
        self.done: WaitQueue = WaitQueue()

    def this(self) -> "Request":
        return self

    def length(self) -> int:
        """Bytes of the whole message."""
        payload = self.payload
        return len(self.message) + (len(payload) if payload is not None else 0)

    def held_bytes(self) -> int:
        """About how much memory it takes."""
        answer = self.answer
        return 512 + self.length() + (len(answer) if answer is not None else 0)

    def address(self, unique: int, uid: int, gid: int, process: int) -> None:
        """Fill in the header."""
        self.unique = unique
        header = span_of(self.message)[0:IN_HEADER_SIZE]
        header.store_u32(0, self.length())
        header.store_u32(4, self.kind)
        header.store_u32(8, unique & 0xFFFF_FFFF)
        header.store_u32(12, unique >> 32 & 0xFFFF_FFFF)
        header.store_u32(16, self.node & 0xFFFF_FFFF)
        header.store_u32(20, self.node >> 32 & 0xFFFF_FFFF)
        header.store_u32(24, uid & 0xFFFF_FFFF)
        header.store_u32(28, gid & 0xFFFF_FFFF)
        header.store_u32(32, process & 0xFFFF_FFFF)

    def accepts(self, length: int) -> bool:
        """Whether an answer may have `length` bytes after its header."""
        return length <= self.answer_limit and (not self.is_exact or length == self.answer_limit)

    def reading(self) -> Answer:
        """The answer, to be read."""
        answer = self.answer
        return Answer(_NOTHING, 0) if answer is None else Answer(answer, self.answer_length)

    def gives_entry(self) -> bool:
        """Whether an answer without error counts as a look-up of a node."""
        return self.kind in (
            protocol.LOOKUP, protocol.CREATE, protocol.MKNOD, protocol.MKDIR, protocol.SYMLINK, protocol.LINK,
        )  # fmt: skip

    def gives_handle(self) -> bool:
        """Whether an answer without error has opened something."""
        return self.kind in (protocol.OPEN, protocol.OPENDIR, protocol.CREATE)

    def shed(self) -> None:
        """The server has all of the message, and nobody waits for the answer: keep no more than is needed to undo it.
        """
        self.payload = None
        if self.stage != Stage.WAITING:
            self.message = _NOTHING


class Reader:
    """One of the ways in which the server takes requests. Base class: see device.py, and drivers/virtio/fs.py."""

    def __init__(self) -> None:
        self.taken: LinkedList[Request] = LinkedList()

    def wake(self) -> None:
        """There is something to take, or the connection has ended. Never sleeps or raises."""

    def wake_later(self) -> None:
        """The same where memory may be exhausted, because the request comes from an eviction. Allocates nothing."""
        self.wake()


@final
class Forgotten:
    """A node that the kernel no longer knows, and how many look-ups of it the server counts. Allocated with the inode,
    so that forgetting needs no memory.
    """

    def __init__(self, node: int) -> None:
        self.node: int = node
        self.lookups: int = 0
        self.next: Forgotten | None = None
