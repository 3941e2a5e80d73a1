"""Requests about tables (nft(8) "TABLES").

Context: batches; dumps hold the firewall's lock as well.
"""

from typing import Final

from kernel.lang import EBUSY, EEXIST, EINVAL, ENOENT, EOPNOTSUPP, Errno
from kernel.lib.pace import pace_or_end
from kernel.mm.keeping import check_room_to_keep
from kernel.net.link.hooks import FAMILY_IP4, FAMILY_IP6
from kernel.net.netlink.messages import NLM_F_EXCL, NLM_F_REPLACE, MessageWriter
from kernel.net.nftables.batch import Batch
from kernel.net.nftables.message import DESTROY_TABLE, NEW_TABLE, NLM_F_NONRECURSIVE, USERDATA_LIMIT, Message
from kernel.net.nftables.model import FAMILY_INET, NAME_LIMIT, TABLE_DORMANT, Firewall, Table
from kernel.net.nftables.removal import delete_whole_table
from kernel.net.nftables.shown import put_table
from kernel.net.nftables.steps import NewTable, TableFlags

_NAME: Final = 1
_FLAGS: Final = 2
_HANDLE: Final = 4
_USERDATA: Final = 6
_ANY_FAMILY: Final = 0
_SHOW_COST: Final = 4000  # instructions


def new_table(message: Message, batch: Batch) -> None:
    """Raises EINVAL, EOPNOTSUPP, EEXIST, MemoryError."""
    attributes = message.attributes
    family = message.family
    if family != FAMILY_INET and family != FAMILY_IP4 and family != FAMILY_IP6:
        raise Errno(EOPNOTSUPP)
    if not attributes.has(_NAME):
        raise Errno(EINVAL)
    flags = attributes.be32(_FLAGS)
    if flags & ~TABLE_DORMANT != 0:
        raise Errno(EOPNOTSUPP)
    name = attributes.text(_NAME, NAME_LIMIT)
    firewall = batch.firewall
    table = firewall.find_table(family, name, batch.generation)
    if table is not None:
        if message.has(NLM_F_EXCL):
            attributes.blame(_NAME)
            raise Errno(EEXIST)
        if message.has(NLM_F_REPLACE):
            raise Errno(EOPNOTSUPP)
        if attributes.has(_FLAGS) and flags != table.next_flags:
            batch.add(TableFlags(message.request, batch, table))
            table.next_flags = flags
        return
    check_room_to_keep()
    firewall.last_table += 1
    table = Table(family, name, firewall.last_table)
    table.absent = firewall.cursor
    table.flags = flags
    table.next_flags = flags
    table.userdata = attributes.payload(_USERDATA)
    if len(table.userdata) > USERDATA_LIMIT:
        raise Errno(EINVAL)
    step = NewTable(message.request, batch, table)
    firewall.tables.append(table)
    batch.add_made(step)


def delete_table(message: Message, batch: Batch) -> None:
    """DELTABLE, DESTROYTABLE: one by name or number, or all of a family, or all. Raises ENOENT, EBUSY, MemoryError."""
    attributes = message.attributes
    firewall = batch.firewall
    if message.family == _ANY_FAMILY or (not attributes.has(_NAME) and not attributes.has(_HANDLE)):
        for table in firewall.tables[:]:
            is_meant = message.family == _ANY_FAMILY or table.family == message.family
            if is_meant and attributes.has(_NAME) and table.name != attributes.text(_NAME, NAME_LIMIT):
                continue
            if is_meant and table.is_in(batch.generation):
                delete_whole_table(message.request, batch, table)
        return
    if attributes.has(_HANDLE):
        kind = _HANDLE
        handle = attributes.be64(_HANDLE)
        found: Table | None = None
        for table in firewall.tables:
            if table.handle == handle and table.family == message.family and table.is_in(batch.generation):
                found = table
    else:
        kind = _NAME
        found = firewall.find_table(message.family, attributes.text(_NAME, NAME_LIMIT), batch.generation)
    if found is None:
        if message.kind == DESTROY_TABLE:
            return
        attributes.blame(kind)
        raise Errno(ENOENT)
    if message.has(NLM_F_NONRECURSIVE) and found.uses(batch.generation) > 0:
        raise Errno(EBUSY)
    delete_whole_table(message.request, batch, found)


def get_table(message: Message, firewall: Firewall, writer: MessageWriter) -> None:
    """Raises EINVAL, ENOENT."""
    put_table(writer, NEW_TABLE, message.table(firewall, firewall.cursor), firewall)


def dump_tables(message: Message, firewall: Firewall, writer: MessageWriter) -> None:
    """Write all of a family, or all."""
    for table in firewall.tables:
        if table.is_in(firewall.cursor) and message.family in (_ANY_FAMILY, table.family):
            put_table(writer, NEW_TABLE, table, firewall)
            writer.cut()
            pace_or_end(_SHOW_COST)
