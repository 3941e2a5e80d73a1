"""The form of messages of NETLINK_NETFILTER's subsystems (`filter_socket.py` dispatches them): a message's type is the
subsystem's number and its own, and it begins with a struct nfgenmsg.

Context: any; nothing sleeps.
Source: linux/netfilter/nfnetlink.h (numbers).
"""

from typing import Final

from kernel.net.netlink.messages import MessageWriter, Request

NFNL_SUBSYS_CTNETLINK: Final = 1
NFNL_SUBSYS_CTNETLINK_EXP: Final = 2
NETFILTER_HEADER: Final = 4  # bytes of struct nfgenmsg


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
