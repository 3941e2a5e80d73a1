"""Tuples: the source and the destination of the packets of one direction of a connection.

Ports distinguish connections between the same hosts. ICMP's questions have an identifier in
place of the source's port, and their type and code in place of the destination's; unknown protocols have
nothing.

Context: any; nothing sleeps.
Source: RFC 792, RFC 4443, RFC 4620 (node information), conntrack(8).
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import Span, final, span_of, u8
from kernel.lib.half_sip_hash import HalfSipHash
from kernel.net.internet.transport import PROTOCOL_ICMP, PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP

if TYPE_CHECKING:
    from kernel.net.filter.connection import Connection

PROTOCOL_UDP_LITE: Final = 136

# Questions of ICMP, and the answers that belong to them.
_QUESTIONS4: Final[list[int]] = [8, 13, 15, 17]
_ANSWERS4: Final[list[int]] = [0, 14, 16, 18]
_QUESTIONS6: Final[list[int]] = [128, 139]
_ANSWERS6: Final[list[int]] = [129, 140]

_PORTS: Final = 4  # bytes of a transport header that hold both ports
_ICMP_IDENTIFIED: Final = 8  # bytes of a message with an identifier


@final
class Tuple:
    """One direction. Also holds what the table records about it."""

    def __init__(self) -> None:
        self.source: bytes = b""
        self.destination: bytes = b""
        self.protocol: int = 0
        self.source_port: int = 0
        self.destination_port: int = 0
        self.hash: int = 0
        self.next: Tuple | None = None  # in the table: the next one with the same hash
        self.connection: Connection | None = None  # while it is in the table
        self.is_reply: bool = False

    def take(self, other: "Tuple") -> None:
        """Copy the direction from another tuple; the table's fields stay as they are."""
        self.source = other.source
        self.destination = other.destination
        self.protocol = other.protocol
        self.source_port = other.source_port
        self.destination_port = other.destination_port

    def take_inverse(self, other: "Tuple") -> None:
        """Become the direction of the answers to another tuple."""
        self.source = other.destination
        self.destination = other.source
        self.protocol = other.protocol
        if other.protocol == PROTOCOL_ICMP or other.protocol == PROTOCOL_ICMP6:
            self.source_port = other.source_port
            self.destination_port = inverse_kind(other.protocol, other.destination_port)
        else:
            self.source_port = other.destination_port
            self.destination_port = other.source_port

    def equals(self, other: "Tuple") -> bool:
        """Whether both describe the same packets."""
        return (
            self.source_port == other.source_port
            and self.destination_port == other.destination_port
            and self.protocol == other.protocol
            and self.source == other.source
            and self.destination == other.destination
        )

    def compute_hash(self) -> None:
        """Set `hash`: 32 bits, with a secret key."""
        _HASHER.start()
        _add_address(self.source)
        _add_address(self.destination)
        _HASHER.add(self.source_port << 16 | self.destination_port)
        _HASHER.add(self.protocol)
        self.hash = _HASHER.finish()


_HASHER: Final = HalfSipHash()


def _add_address(address: bytes) -> None:
    words = span_of(address)
    for at in range(0, len(address) & ~3, 4):
        _HASHER.add(words.load_be32(at))


def source_hash(source: bytes, port: int, protocol: int) -> int:
    """The hash of one end of a connection."""
    _HASHER.start()
    _add_address(source)
    _HASHER.add(port << 16 | protocol)
    return _HASHER.finish()


def _place_of(kinds: list[int], kind: int) -> int:
    for i in range(len(kinds)):
        if kinds[i] == kind:
            return i
    return -1


def inverse_kind(protocol: int, kind_and_code: int) -> int:
    """The type and code of the answer for those of a question, and the reverse; -1 where there is none."""
    kind = kind_and_code >> 8
    questions = _QUESTIONS4 if protocol == PROTOCOL_ICMP else _QUESTIONS6
    answers = _ANSWERS4 if protocol == PROTOCOL_ICMP else _ANSWERS6
    place = _place_of(questions, kind)
    if place >= 0:
        return answers[place] << 8 | kind_and_code & 0xFF
    place = _place_of(answers, kind)
    return questions[place] << 8 | kind_and_code & 0xFF if place >= 0 else -1


def is_question(protocol: int, kind_and_code: int) -> bool:
    """Whether an ICMP message of this type begins a connection."""
    return _place_of(_QUESTIONS4 if protocol == PROTOCOL_ICMP else _QUESTIONS6, kind_and_code >> 8) >= 0


def has_ports(protocol: int) -> bool:
    """Whether the transport header begins with the source's and the destination's port."""
    return protocol == PROTOCOL_TCP or protocol == PROTOCOL_UDP or protocol == PROTOCOL_UDP_LITE


def read_tuple(tuple_: Tuple, source: bytes, destination: bytes, protocol: int, transport: Span[u8]) -> bool:
    """Set a tuple from a packet, whose transport header `transport` starts with. False: it is truncated, or
    belongs to nothing.
    """
    tuple_.source = source
    tuple_.destination = destination
    tuple_.protocol = protocol
    tuple_.source_port = 0
    tuple_.destination_port = 0
    if has_ports(protocol):
        if len(transport) < _PORTS:
            return False
        tuple_.source_port = transport.load_be16(0)
        tuple_.destination_port = transport.load_be16(2)
    elif protocol == (PROTOCOL_ICMP if len(source) == 4 else PROTOCOL_ICMP6):
        if len(transport) < _ICMP_IDENTIFIED:
            return False
        tuple_.destination_port = transport.load_be16(0)
        tuple_.source_port = transport.load_be16(4)
        return inverse_kind(protocol, tuple_.destination_port) >= 0
    return True
