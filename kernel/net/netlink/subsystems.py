"""Subsystems of NETLINK_NETFILTER: a message's type is the subsystem's number and that of its own message.

Each subsystem enters itself here when it is imported; the socket dispatches by the number, after it has seen that the
caller has CAP_NET_ADMIN, which all of them ask for.

Context: system calls.
Source: libmnl's and libnfnetlink's description of the protocol (struct nfgenmsg).
"""

from typing import Final

from kernel.lang import EINVAL, Errno
from kernel.net.netlink.messages import MessageWriter, Request

NFNL_SUBSYS_CTNETLINK: Final = 1
NFNL_SUBSYS_CTNETLINK_EXP: Final = 2
NETFILTER_HEADER: Final = 4  # bytes of struct nfgenmsg

_NUMBERS: Final = 16


class Subsystem:
    """One. Base class."""

    def wants_dump(self, request: Request) -> bool:
        """Whether a request is for all there is."""
        return False

    def dump(self, request: Request, writer: MessageWriter) -> int:
        """Write all there is; 0, or the errno that the end reports. Raises Errno, MemoryError. Sleeps."""
        raise Errno(EINVAL)

    def carry_out(self, request: Request, writer: MessageWriter) -> None:
        """Carry out another request, and write its answer, if it has one. Raises Errno, MemoryError. Sleeps."""
        raise Errno(EINVAL)


SUBSYSTEMS: Final[list[Subsystem | None]] = [None] * _NUMBERS


def register_subsystem(number: int, subsystem: Subsystem) -> None:
    """While the kernel is built."""
    SUBSYSTEMS[number] = subsystem


def subsystem_of(request: Request) -> Subsystem | None:
    """Which subsystem a request is for; None for one that there is not."""
    number = request.kind >> 8
    return SUBSYSTEMS[number] if number < _NUMBERS else None


def message_of(request: Request) -> int:
    """The number of a request's message in its subsystem."""
    return request.kind & 0xFF


def begin_message(writer: MessageWriter, subsystem: int, message: int, family: int, resource: int = 0) -> None:
    """Start a message with its struct nfgenmsg."""
    writer.begin(subsystem << 8 | message)
    writer.u8(family)
    writer.u8(0)
    writer.u8(resource >> 8)
    writer.u8(resource)
