"""The layer above IP: the registry of protocols by number, and how errors of the network reach them.

Context: thread context; nothing sleeps.
Source: RFC 1122 section 3.2.2, RFC 4443 section 2.4, IANA's protocol numbers.
"""

from typing import Final

from kernel.lang import final
from kernel.net.link.packet import Packet

PROTOCOL_ICMP: Final = 1
PROTOCOL_IGMP: Final = 2
PROTOCOL_TCP: Final = 6
PROTOCOL_UDP: Final = 17
PROTOCOL_ICMP6: Final = 58
PROTOCOL_RAW: Final = 255

# SO_EE_ORIGIN_*: the source of an error.
ORIGIN_LOCAL: Final = 1
ORIGIN_ICMP: Final = 2
ORIGIN_ICMP6: Final = 3
ORIGIN_ZERO_COPY: Final = 5  # no error: sends with MSG_ZEROCOPY are over


@final
class NetworkError:
    """An error that the network reported about a packet of ours."""

    def __init__(self, code_number: int, is_hard: bool) -> None:
        self.errno: int = code_number
        self.is_hard: bool = is_hard  # a connection should end; else the error may be transient
        self.origin: int = ORIGIN_LOCAL
        self.type: int = 0  # of the ICMP message
        self.code: int = 0
        self.info: int = 0  # the path's MTU with EMSGSIZE; the number of a send …
        self.data: int = 0  # … and of the last one, with ORIGIN_ZERO_COPY
        self.reporter: bytes = b""  # the sender of the message
        self.device_index: int = 0  # the interface it came in on


class Transport:
    """Base of protocols on IP."""

    def receive(self, packet: Packet) -> bool:
        """Take a packet for this host from its transport header on. `source`, `destination`, `hop_limit` … are set; the
        IP header is at `network_start`. False: no handler here knows the protocol. May raise MemoryError.
        """
        return False

    def has_sender(self, packet: Packet) -> bool:
        """Whether a quoted packet, as for `report_error`, can have been sent by a socket that still exists."""
        return False

    def report_error(self, packet: Packet, error: NetworkError) -> None:
        """Take an error about a packet of ours. `packet` starts with the quoted transport header, of which at least
        8 bytes are there; its `source` is the quoted source (ours), its `destination` the quoted destination.
        May raise MemoryError.
        """


@final
class TransportTable:
    """By protocol number; the same for both versions of IP."""

    def __init__(self) -> None:
        self.by_number: list[Transport | None] = [None] * 256


TRANSPORTS: Final = TransportTable()


def register_transport(protocol: int, transport: Transport) -> None:
    """Enter a protocol. Called while the kernel is built."""
    TRANSPORTS.by_number[protocol] = transport
