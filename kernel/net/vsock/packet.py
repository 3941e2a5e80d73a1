"""The unit that the two ends of a connection exchange: a header, and with OP_DATA bytes.

The header is that of a virtio socket device; packets that stay in this machine have the same fields, but not
encoded. Fields that came from a device are checked by the code that uses them.

Source: Virtual I/O Device (VIRTIO) Version 1.2, 5.10.6 (device operation of the socket device).
"""

from typing import Final

from kernel.lang import Span, final, noraise, u8
from kernel.lib.linked import Linked, LinkedList
from kernel.net.vsock.memory import MEMORY, Budget

HEADER_SIZE: Final = 44
LARGEST_DATA: Final = 65536  # bytes of one packet
OVERHEAD_BYTES: Final = 192  # what a packet costs besides its storage

# Kinds of connections.
STREAM: Final = 1
SEQUENCED: Final = 2

# Operations.
OP_INVALID: Final = 0
OP_REQUEST: Final = 1
OP_RESPONSE: Final = 2
OP_RESET: Final = 3
OP_SHUTDOWN: Final = 4
OP_DATA: Final = 5
OP_CREDIT_UPDATE: Final = 6
OP_CREDIT_REQUEST: Final = 7

# Flags of OP_SHUTDOWN: the operations that the sender will no longer do.
STOPS_RECEIVING: Final = 1
STOPS_SENDING: Final = 2
# Flags of OP_DATA in a SEQUENCED connection.
END_OF_MESSAGE: Final = 1
END_OF_RECORD: Final = 2

_SOURCE_CID: Final = 0
_TARGET_CID: Final = 8
_SOURCE_PORT: Final = 16
_TARGET_PORT: Final = 20
_LENGTH: Final = 24
_KIND: Final = 28
_OPERATION: Final = 30
_FLAGS: Final = 32
_BUFFER_SIZE: Final = 36
_FORWARDED: Final = 40

_NOTHING: Final[bytearray] = bytearray(0)


@final
class Unsent:
    """How many bytes of a connection its transport still holds (SIOCOUTQ), and how much memory they take."""

    def __init__(self) -> None:
        self.bytes: int = 0
        self.memory: int = 0


@final
class VsockPacket(Linked["VsockPacket"]):
    """One packet. Bytes `start`…`end` of `storage` are its data. Their sender has charged them to a budget, and
    the packet carries that charge to its receiver.
    """

    def __init__(self, kind: int, operation: int) -> None:
        super().__init__()
        self.kind: int = kind
        self.operation: int = operation
        self.source_cid: int = 0
        self.source_port: int = 0
        self.target_cid: int = 0
        self.target_port: int = 0
        self.flags: int = 0
        self.buffer_size: int = 0  # how much the sender takes at once
        self.forwarded: int = 0  # how many bytes the sender's program has read so far, modulo 2**32
        self.storage: bytearray = _NOTHING
        self.start: int = 0
        self.end: int = 0
        self.unsent: Unsent | None = None  # of the connection that sends it
        self.is_waiting: bool = False  # a transport has it, and has not read its fields yet
        self.is_limited: bool = False  # a transport that has many of these may refuse it
        self.budget: Budget = MEMORY.host  # the host's, unless a program here sent the data
        self._charged: int = 0

    def this(self) -> "VsockPacket":
        return self

    def __len__(self) -> int:
        return self.end - self.start

    def charge(self) -> None:
        """Count the data among those that all connections hold."""
        if self._charged == 0:
            self._charged = self.memory()
            self.budget.used += self._charged

    def is_charged(self) -> bool:
        """Whether its data were counted by its sender."""
        return self._charged != 0

    @noraise
    def memory(self) -> int:
        """The number of bytes that it takes."""
        return len(self.storage) + OVERHEAD_BYTES

    @noraise
    def release(self) -> None:
        """The data are no longer held."""
        charged = self._charged
        self._charged = 0
        if charged != 0:
            self.budget.give_back(charged)

    @noraise
    def was_sent(self) -> None:
        """The transport is done with it."""
        unsent = self.unsent
        if unsent is not None:
            self.unsent = None
            unsent.bytes -= len(self)
            unsent.memory -= self.memory()

    def write_header(self, span: Span[u8]) -> None:
        """Write the header to the start of HEADER_SIZE bytes."""
        span.store_u32(_SOURCE_CID, self.source_cid)
        span.store_u32(_SOURCE_CID + 4, 0)
        span.store_u32(_TARGET_CID, self.target_cid)
        span.store_u32(_TARGET_CID + 4, 0)
        span.store_u32(_SOURCE_PORT, self.source_port)
        span.store_u32(_TARGET_PORT, self.target_port)
        span.store_u32(_LENGTH, len(self))
        span.store_u16(_KIND, self.kind)
        span.store_u16(_OPERATION, self.operation)
        span.store_u32(_FLAGS, self.flags)
        span.store_u32(_BUFFER_SIZE, self.buffer_size)
        span.store_u32(_FORWARDED, self.forwarded)


@final
class PacketQueue(LinkedList[VsockPacket]):
    """Packets in the order of arrival. Appending one takes no memory."""

    def __init__(self) -> None:
        super().__init__()
        self.count: int = 0

    @noraise
    def append(self, packet: VsockPacket) -> None:
        """Append a packet that is in no queue."""
        self.link_last(packet)
        self.count += 1

    @noraise
    def take(self) -> VsockPacket | None:
        """Remove and return the first packet, if there is one."""
        packet = self.first()
        if packet is not None:
            self.unlink(packet)
            self.count -= 1
        return packet


def read_header(span: Span[u8]) -> VsockPacket | None:
    """The packet that a header of HEADER_SIZE bytes announces, without its data; None for an invalid context. Raises
    MemoryError.
    """
    if span.load_u32(_SOURCE_CID + 4) != 0 or span.load_u32(_TARGET_CID + 4) != 0:
        return None
    packet = VsockPacket(span.load_u16(_KIND), span.load_u16(_OPERATION))
    packet.source_cid = span.load_u32(_SOURCE_CID)
    packet.target_cid = span.load_u32(_TARGET_CID)
    packet.source_port = span.load_u32(_SOURCE_PORT)
    packet.target_port = span.load_u32(_TARGET_PORT)
    packet.flags = span.load_u32(_FLAGS)
    packet.buffer_size = span.load_u32(_BUFFER_SIZE)
    packet.forwarded = span.load_u32(_FORWARDED)
    return packet


def announced_length(span: Span[u8]) -> int:
    """How many bytes of data a header announces: 0 … 2**32 - 1."""
    return span.load_u32(_LENGTH)
