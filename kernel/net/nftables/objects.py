"""Requests about named objects (nft(8) "STATEFUL OBJECTS").

Context: batches; dumps hold the firewall's lock as well.
"""

from typing import Final

from kernel.lang import EBUSY, EEXIST, EINVAL, ENOENT, EOPNOTSUPP, Errno
from kernel.lib.pace import pace_or_end
from kernel.mm.keeping import check_room_to_keep
from kernel.net.netlink.messages import NLM_F_APPEND, NLM_F_EXCL, NLM_F_MULTI, NLM_F_REPLACE, MessageWriter
from kernel.net.nftables.batch import Batch, Loading
from kernel.net.nftables.counting import OBJECT_COUNTER, OBJECT_LIMIT, OBJECT_QUOTA
from kernel.net.nftables.expression import STATEFUL_LOADERS, StatefulLoader
from kernel.net.nftables.message import DESTROY_OBJECT, NEW_OBJECT, RESET_OBJECT, USERDATA_LIMIT, Message
from kernel.net.nftables.model import NAME_LIMIT, Firewall, StatefulObject, Table
from kernel.net.nftables.removal import delete_object
from kernel.net.nftables.shown import put_object
from kernel.net.nftables.steps import NewObject

_TABLE: Final = 1
_NAME: Final = 2
_TYPE: Final = 3
_DATA: Final = 4
_HANDLE: Final = 6
_USERDATA: Final = 8
_SHOW_COST: Final = 2000  # instructions


def _loader_of(kind: int) -> StatefulLoader | None:
    """The loader for the expressions of a kind of objects."""
    if kind == OBJECT_COUNTER:
        return STATEFUL_LOADERS.get(b"counter")
    if kind == OBJECT_QUOTA:
        return STATEFUL_LOADERS.get(b"quota")
    if kind == OBJECT_LIMIT:
        return STATEFUL_LOADERS.get(b"limit")
    return None


def new_object(message: Message, batch: Batch) -> None:
    """Raises EINVAL, ENOENT for an unknown kind, EEXIST, EOPNOTSUPP, MemoryError."""
    attributes = message.attributes
    for needed in (_TABLE, _NAME, _TYPE, _DATA):
        if not attributes.has(needed):
            raise Errno(EINVAL)
    table = message.table(batch.firewall, batch.generation)
    kind = attributes.be32(_TYPE)
    title = attributes.text(_NAME, NAME_LIMIT)
    loading = Loading(batch, table)
    if loading.find_object(title, kind) is not None:
        if message.has(NLM_F_EXCL):
            attributes.blame(_NAME)
            raise Errno(EEXIST)
        if message.has(NLM_F_REPLACE):
            raise Errno(EOPNOTSUPP)
        return
    loader = _loader_of(kind)
    if loader is None:
        raise Errno(ENOENT)
    check_room_to_keep()
    made = StatefulObject(title, kind, loader.load_state(attributes.nested(_DATA)))
    made.userdata = attributes.payload(_USERDATA)
    if len(made.userdata) > USERDATA_LIMIT:
        raise Errno(EINVAL)
    made.absent = batch.firewall.cursor
    made.handle = table.take_handle()
    step = NewObject(message.request, table, made)
    table.objects.add(made)
    batch.add_made(step)


def delete_objects(message: Message, batch: Batch) -> None:
    """DELOBJ, DESTROYOBJ. Raises EINVAL, ENOENT, EBUSY, MemoryError."""
    attributes = message.attributes
    if not attributes.has(_TYPE) or (not attributes.has(_NAME) and not attributes.has(_HANDLE)):
        raise Errno(EINVAL)
    table = message.table(batch.firewall, batch.generation)
    kind = _HANDLE if attributes.has(_HANDLE) else _NAME
    if attributes.has(_HANDLE):
        found = table.objects.find_handle(attributes.be64(_HANDLE), batch.generation)
    else:
        found = Loading(batch, table).find_object(attributes.text(_NAME, NAME_LIMIT), attributes.be32(_TYPE))
    if found is None or found.kind != attributes.be32(_TYPE):
        if message.kind == DESTROY_OBJECT:
            return
        attributes.blame(kind)
        raise Errno(ENOENT)
    if found.uses > 0:
        attributes.blame(kind)
        raise Errno(EBUSY)
    delete_object(message.request, batch, table, found)


def get_object(message: Message, firewall: Firewall, writer: MessageWriter) -> None:
    """Raises EINVAL, ENOENT."""
    attributes = message.attributes
    if not attributes.has(_NAME) or not attributes.has(_TYPE):
        raise Errno(EINVAL)
    table = message.table(firewall, firewall.cursor)
    name = attributes.text(_NAME, NAME_LIMIT) + bytes([attributes.be32(_TYPE) & 0xFF])
    found = table.objects.find(name, firewall.cursor)
    if found is None:
        attributes.blame(_NAME)
        raise Errno(ENOENT)
    _put(message, table, found, firewall, writer)


def _put(message: Message, table: Table, shown: StatefulObject, firewall: Firewall, writer: MessageWriter) -> None:
    put_object(writer, NEW_OBJECT, table, shown, firewall)
    if message.kind == RESET_OBJECT:
        shown.expression.reset()


def dump_objects(message: Message, firewall: Firewall, writer: MessageWriter) -> None:
    """Write all, or those of a family, a table, a kind. Sleeps."""
    attributes = message.attributes
    name = attributes.text(_TABLE, NAME_LIMIT)
    kind = attributes.be32(_TYPE)
    writer.answer_to(message.request.sequence, message.request.port, NLM_F_MULTI | NLM_F_APPEND)
    for table in firewall.tables:
        if not table.is_in(firewall.cursor) or message.family not in (0, table.family):
            continue
        if len(name) > 0 and table.name != name:
            continue
        for each in table.objects.all_in(firewall.cursor):
            if kind in (0, each.kind):
                _put(message, table, each, firewall, writer)
                writer.cut()
                pace_or_end(_SHOW_COST)
    writer.answer_to(message.request.sequence, message.request.port, NLM_F_MULTI)
