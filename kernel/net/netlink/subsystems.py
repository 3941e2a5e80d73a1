"""Subsystems of NETLINK_NETFILTER: a message's type is the subsystem's number and that of its own message.

Each subsystem registers itself here when it is imported; the socket dispatches by the number, after checking that the
caller has CAP_NET_ADMIN, which all of them require.

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
    """A subsystem. Base class."""

    def wants_dump(self, request: Request) -> bool:
        """Whether a request asks for everything."""
        return False

    def dump(self, request: Request, writer: MessageWriter) -> int:
        """Write everything; 0, or the errno that the end reports. Raises Errno, MemoryError. Sleeps."""
        raise Errno(EINVAL)

    def carry_out(self, request: Request, writer: MessageWriter) -> None:
        """Carry out another request, and write its answer, if it has one. Raises Errno, MemoryError. Sleeps."""
        raise Errno(EINVAL)


SUBSYSTEMS: Final[list[Subsystem | None]] = [None] * _NUMBERS


def register_subsystem(number: int, subsystem: Subsystem) -> None:
    """While the kernel is built."""
    SUBSYSTEMS[number] = subsystem


def subsystem_of(request: Request) -> Subsystem | None:
    """The subsystem that a request is for; None for an unknown one."""
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
