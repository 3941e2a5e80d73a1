"""Routing rules in rtnetlink: RTM_GETRULE. The rules are the defaults of every system, and cannot be changed."""

from typing import Final

from kernel.net.internet.routes import TABLE_LOCAL, TABLE_MAIN
from kernel.net.netlink.messages import MessageWriter
from kernel.net.sockets.socket import AF_INET, AF_INET6

RTM_NEWRULE: Final = 32
RTM_DELRULE: Final = 33
RTM_GETRULE: Final = 34

_FRA_PRIORITY: Final = 6
_FRA_SUPPRESS_PREFIXLEN: Final = 14
_FRA_TABLE: Final = 15
_FRA_PROTOCOL: Final = 21
_TABLE_DEFAULT: Final = 253
_TO_TABLE: Final = 1
_PROTOCOL_KERNEL: Final = 2


def dump_rules(writer: MessageWriter, family: int) -> None:
    """Write the rules of a family; AF_UNSPEC: of both."""
    for each in (AF_INET, AF_INET6):
        if family == 0 or family == each:
            _put_rule(writer, each, 0, TABLE_LOCAL)
            _put_rule(writer, each, 32_766, TABLE_MAIN)
            if each == AF_INET:
                _put_rule(writer, each, 32_767, _TABLE_DEFAULT)


def _put_rule(writer: MessageWriter, family: int, priority: int, table: int) -> None:
    writer.begin(RTM_NEWRULE)
    writer.u32(family)
    writer.u8(table)
    writer.u16(0)
    writer.u8(_TO_TABLE)
    writer.u32(0)
    writer.attribute_u32(_FRA_TABLE, table)
    writer.attribute_u32(_FRA_SUPPRESS_PREFIXLEN, 0xFFFF_FFFF)
    writer.attribute_u8(_FRA_PROTOCOL, _PROTOCOL_KERNEL)
    if priority != 0:
        writer.attribute_u32(_FRA_PRIORITY, priority)
    writer.end()
