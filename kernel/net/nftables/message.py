"""A message of nf_tables: its operation, its family, and its attributes (linux/netfilter/nf_tables.h).

Context: system calls; nothing sleeps.
"""

from typing import Final

from kernel.lang import EINVAL, ENOENT, Errno, final
from kernel.net.netlink.filter_socket import HEADER
from kernel.net.netlink.messages import HEADER_SIZE, MessageWriter, Request
from kernel.net.nftables.attributes import Attributes
from kernel.net.nftables.model import NAME_LIMIT, Firewall, Table

SUBSYSTEM: Final = 10  # NFNL_SUBSYS_NFTABLES
GROUP: Final = 7  # NFNLGRP_NFTABLES

# Types of messages (NFT_MSG_*).
NEW_TABLE: Final = 0
GET_TABLE: Final = 1
DELETE_TABLE: Final = 2
NEW_CHAIN: Final = 3
GET_CHAIN: Final = 4
DELETE_CHAIN: Final = 5
NEW_RULE: Final = 6
GET_RULE: Final = 7
DELETE_RULE: Final = 8
NEW_SET: Final = 9
GET_SET: Final = 10
DELETE_SET: Final = 11
NEW_ELEMENT: Final = 12
GET_ELEMENT: Final = 13
DELETE_ELEMENT: Final = 14
NEW_GENERATION: Final = 15
GET_GENERATION: Final = 16
NEW_OBJECT: Final = 18
GET_OBJECT: Final = 19
DELETE_OBJECT: Final = 20
RESET_OBJECT: Final = 21
GET_FLOWTABLE: Final = 23
RESET_RULE: Final = 25
DESTROY_TABLE: Final = 26
DESTROY_CHAIN: Final = 27
DESTROY_RULE: Final = 28
DESTROY_SET: Final = 29
DESTROY_ELEMENT: Final = 30
DESTROY_OBJECT: Final = 31
RESET_ELEMENT: Final = 33

NLM_F_ECHO: Final = 0x8
NLM_F_NONRECURSIVE: Final = 0x100
USERDATA_LIMIT: Final = 256
_TABLE_NAME: Final = 1  # in messages about anything in a table


@final
class Message:
    """A message."""

    def __init__(self, request: Request) -> None:
        self.request: Request = request
        self.kind: int = request.kind & 0xFF
        self.family: int = request.raw[HEADER_SIZE]
        self.attributes: Attributes = Attributes(request, HEADER_SIZE + HEADER, len(request.raw))

    def has(self, flags: int) -> bool:
        """Whether one of the NLM_F_* is set."""
        return self.request.has(flags)

    def table(self, firewall: Firewall, generation: int) -> Table:
        """The table that the first attribute names. Raises EINVAL, ENOENT."""
        attributes = self.attributes
        if not attributes.has(_TABLE_NAME):
            raise Errno(EINVAL)
        name = attributes.text(_TABLE_NAME, NAME_LIMIT)
        found = firewall.find_table(self.family, name, generation)
        if found is None:
            attributes.blame(_TABLE_NAME)
            raise Errno(ENOENT)
        return found


def begin(writer: MessageWriter, kind: int, family: int, generation: int) -> None:
    """Start a message about something in a family; `generation` is the number that programs know."""
    writer.begin(SUBSYSTEM << 8 | kind)
    writer.u8(family)
    writer.u8(0)
    writer.u8(generation >> 8 & 0xFF)
    writer.u8(generation & 0xFF)
