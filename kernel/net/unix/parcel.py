"""The unit that unix sockets exchange: bytes and their attachments.

A parcel of a stream holds the bytes of one call, or a part of them; a parcel of the other types is one datagram. It is
charged to its sender (SO_SNDBUF) until it is received.
"""

from typing import TYPE_CHECKING, Final

from kernel.cache.eviction import SHRINKERS, Shrinker
from kernel.fs.file import File
from kernel.lang import Span, final, span_of, u8
from kernel.lib.ids import NO_GROUP, NO_USER, KernelGid, KernelUid
from kernel.lib.user_account import UserAccount
from kernel.net.link.packet import StoragePool
from kernel.task import Process

if TYPE_CHECKING:
    from kernel.net.unix.base import UnixSocket

# The cost of a parcel besides its bytes.
OVERHEAD_BYTES: Final = 768
_OBJECT_BYTES: Final = 160
LARGEST_PARCEL: Final = 32_768  # of a stream
_KEPT_STORAGES: Final = 6  # as many as a socket may have in transit

# Storages of largest parcels that were read: clearing a fresh one for the next sender, which overwrites it, took a
# third of the time of sending.
STORAGES: Final = StoragePool(_KEPT_STORAGES)


@final
class _StorageShrinker(Shrinker):
    """Frees the storages when memory is short."""

    def shrink(self, pages: int) -> None:
        STORAGES.drop()


SHRINKERS.append(_StorageShrinker())


class Parcel:
    """Bytes `start`…`end` of `storage` are still to be received."""

    def __init__(self, capacity: int, sender: "UnixSocket") -> None:
        kept = STORAGES.take() if capacity == LARGEST_PARCEL else None
        self.storage: bytearray = bytearray(capacity) if kept is None else kept
        self.start: int = 0
        self.end: int = 0
        self.sender: UnixSocket = sender
        self.files: list[File] | None = None  # each with a reference of its own
        self.files_user: UserAccount | None = None  # the user charged for them
        self.process: Process | None = None  # the sender's identity, if the receiver wants it
        self.uid: KernelUid = NO_USER
        self.gid: KernelGid = NO_GROUP
        self.time_ns: int = 0  # when it was sent, if the receiver wants it
        self.next: Parcel | None = None  # among those whose files are to be dropped

    def __len__(self) -> int:
        return self.end - self.start

    def room(self) -> Span[u8]:
        return span_of(self.storage)

    def memory(self) -> int:
        """The memory that it takes, in bytes."""
        return _OBJECT_BYTES + len(self.storage)

    def cost(self) -> int:
        return OVERHEAD_BYTES + len(self.storage)

    def set_identity(self, process: Process | None, uid: KernelUid, gid: KernelGid) -> None:
        self.process = process
        self.uid = uid
        self.gid = gid

    def same_identity(self, other: "Parcel") -> bool:
        return self.process is other.process and self.uid == other.uid and self.gid == other.gid

    def renew(self, sender: "UnixSocket") -> None:
        """Prepare a received parcel to be sent again."""
        self.start = 0
        self.end = 0
        self.sender = sender
        self.time_ns = 0
        self.set_identity(None, NO_USER, NO_GROUP)
