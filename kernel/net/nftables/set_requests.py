"""Requests about sets and maps (nft(8) "SETS", "MAPS").

Context: batches; dumps hold the firewall's lock as well.
"""

from typing import Final

from kernel.lang import E2BIG, EBUSY, EEXIST, EINVAL, ENOENT, EOPNOTSUPP, ERANGE, Errno
from kernel.lib.pace import pace_or_end
from kernel.mm.keeping import check_room_to_keep
from kernel.net.netlink.messages import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, MessageWriter
from kernel.net.nftables.attributes import LIST_ELEMENT, Attributes
from kernel.net.nftables.batch import Batch
from kernel.net.nftables.lookups import MOST_TIMEOUT_MS, load_expressions
from kernel.net.nftables.message import DESTROY_SET, NEW_SET, USERDATA_LIMIT, Message
from kernel.net.nftables.model import NAME_LIMIT, Firewall, Table
from kernel.net.nftables.removal import delete_set
from kernel.net.nftables.sets import (
    SET_ANONYMOUS,
    SET_CONCAT,
    SET_CONSTANT,
    SET_EVAL,
    SET_INTERVAL,
    SET_MAP,
    SET_OBJECT,
    SET_TIMEOUT,
    VERDICT_TYPE,
    DataSet,
)
from kernel.net.nftables.shown import put_set
from kernel.net.nftables.steps import NewSet
from kernel.net.nftables.values import DATA_LIMIT

_TABLE: Final = 1
_NAME: Final = 2
_FLAGS: Final = 3
_KEY_TYPE: Final = 4
_KEY_LENGTH: Final = 5
_DATA_TYPE: Final = 6
_DATA_LENGTH: Final = 7
_POLICY: Final = 8
_DESCRIPTION: Final = 9
_NUMBER: Final = 10
_TIMEOUT: Final = 11
_COLLECT: Final = 12
_USERDATA: Final = 13
_OBJECT_KIND: Final = 15
_HANDLE: Final = 16
_EXPRESSION: Final = 17
_EXPRESSIONS: Final = 18
_SIZE: Final = 1
_FIELDS: Final = 2
_FIELD_LENGTH: Final = 1
_KNOWN_FLAGS: Final = 0x1FF
_RESERVED_TYPES: Final = 0xFFFF_FF00
_VERDICT_LENGTH: Final = 16  # as Linux shows it
_FIELDS_LIMIT: Final = 16  # NFT_REG32_COUNT
_FIELD_LIMIT: Final = 16  # bytes
_MOST_OBJECT: Final = 10
_SHOW_COST: Final = 2000  # instructions
_NAME_COST: Final = 500
_NUMBERED: Final = b"%d"


def new_set(message: Message, batch: Batch) -> None:
    """Raises EINVAL, ENOENT, EEXIST, EOPNOTSUPP, MemoryError."""
    attributes = message.attributes
    for kind in (_TABLE, _NAME, _KEY_LENGTH, _NUMBER):
        if not attributes.has(kind):
            raise Errno(EINVAL)
    wanted = _read(attributes)
    table = message.table(batch.firewall, batch.generation)
    found = table.sets.find(wanted.name, batch.generation)
    if isinstance(found, DataSet):
        if message.has(NLM_F_EXCL):
            attributes.blame(_NAME)
            raise Errno(EEXIST)
        if message.has(NLM_F_REPLACE):
            raise Errno(EOPNOTSUPP)
        if not _is_like(found, wanted):
            attributes.blame(_NAME)
            raise Errno(EEXIST)
        return
    if not message.has(NLM_F_CREATE):
        raise Errno(ENOENT)
    check_room_to_keep()
    wanted.templates = load_expressions(attributes, _EXPRESSION, _EXPRESSIONS)
    wanted.fixed_templates = len(wanted.templates) > 0
    _complete_name(wanted, table, batch.generation)
    wanted.absent = batch.firewall.cursor
    wanted.handle = table.take_handle()
    step = NewSet(message.request, table, wanted)
    table.sets.add(wanted)
    wanted.table = table
    batch.add_made(step)
    batch.new_sets.append(wanted)
    wanted.request = message.request


def _read(attributes: Attributes) -> DataSet:
    flags = attributes.be32(_FLAGS)
    key_type = attributes.be32(_KEY_TYPE)
    if attributes.has(_KEY_TYPE) and key_type & _RESERVED_TYPES == _RESERVED_TYPES:
        raise Errno(EINVAL)
    key_length = attributes.be32(_KEY_LENGTH)
    if key_length == 0 or key_length > DATA_LIMIT:
        raise Errno(EINVAL)
    _check_flags(flags)
    made = DataSet(attributes.text(_NAME, NAME_LIMIT), flags, key_length)
    made.key_type = key_type
    made.number = attributes.be32(_NUMBER)
    if attributes.has(_DATA_TYPE):
        if flags & SET_MAP == 0:
            raise Errno(EINVAL)
        made.data_type = attributes.be32(_DATA_TYPE)
        is_reserved = made.data_type & _RESERVED_TYPES == _RESERVED_TYPES
        if is_reserved and made.data_type != VERDICT_TYPE:
            raise Errno(EINVAL)
        made.data_length = _VERDICT_LENGTH
        if made.data_type != VERDICT_TYPE:
            made.data_length = attributes.be32(_DATA_LENGTH)
            if made.data_length == 0 or made.data_length > DATA_LIMIT:
                raise Errno(EINVAL)
    elif flags & SET_MAP != 0:
        raise Errno(EINVAL)
    if attributes.has(_OBJECT_KIND):
        if flags & SET_OBJECT == 0:
            raise Errno(EINVAL)
        made.object_kind = attributes.be32(_OBJECT_KIND)
        if made.object_kind == 0 or made.object_kind > _MOST_OBJECT:
            raise Errno(EOPNOTSUPP)
    elif flags & SET_OBJECT != 0:
        raise Errno(EINVAL)
    if (attributes.has(_TIMEOUT) or attributes.has(_COLLECT)) and flags & SET_TIMEOUT == 0:
        raise Errno(EINVAL)
    made.timeout_ms = attributes.be64(_TIMEOUT)
    if made.timeout_ms > MOST_TIMEOUT_MS:
        raise Errno(ERANGE)
    made.collect_ms = attributes.be32(_COLLECT)
    made.policy = attributes.be32(_POLICY)
    if made.policy > 1:
        raise Errno(EOPNOTSUPP)
    made.userdata = attributes.payload(_USERDATA)
    if len(made.userdata) > USERDATA_LIMIT:
        raise Errno(EINVAL)
    _read_description(attributes.nested(_DESCRIPTION), made)
    if len(made.fields) <= 1 and flags & SET_CONCAT != 0:
        raise Errno(EINVAL)
    return made


def _check_flags(flags: int) -> None:
    if flags & ~_KNOWN_FLAGS != 0:
        raise Errno(EOPNOTSUPP)
    for pair in (
        SET_MAP | SET_OBJECT, SET_EVAL | SET_OBJECT, SET_ANONYMOUS | SET_TIMEOUT, SET_CONSTANT | SET_TIMEOUT,
        SET_EVAL | SET_INTERVAL,
    ):  # fmt: skip
        if flags & pair == pair:
            raise Errno(EOPNOTSUPP)


def _read_description(attributes: Attributes, made: DataSet) -> None:
    made.size = attributes.be32(_SIZE)
    if not attributes.has(_FIELDS):
        return
    total = 0
    for field in attributes.nested(_FIELDS).elements(LIST_ELEMENT):
        if len(made.fields) == _FIELDS_LIMIT:
            raise Errno(E2BIG)
        if not field.has(_FIELD_LENGTH):
            raise Errno(EINVAL)
        length = field.be32(_FIELD_LENGTH)
        if length == 0 or length > _FIELD_LIMIT:
            raise Errno(EINVAL)
        made.fields.append(length)
        total += (length + 3) & ~3
    if total != made.key_length:
        raise Errno(EINVAL)


def _is_like(found: DataSet, wanted: DataSet) -> bool:
    """Whether a set matches the one that a message asks for."""
    return (
        found.flags == wanted.flags
        and found.key_type == wanted.key_type
        and found.key_length == wanted.key_length
        and found.data_type == wanted.data_type
        and found.data_length == wanted.data_length
        and found.object_kind == wanted.object_kind
        and found.size == wanted.size
        and found.policy == wanted.policy
        and found.timeout_ms == wanted.timeout_ms
        and found.collect_ms == wanted.collect_ms
    )


def _complete_name(made: DataSet, table: Table, generation: int) -> None:
    """Replace a `%d` in the name by a number that no other has. Raises EINVAL, EEXIST."""
    at = made.name.find(b"%")
    if at < 0:
        return
    if made.name[at : at + 2] != _NUMBERED or b"%" in made.name[at + 1 :]:
        raise Errno(EINVAL)
    start = made.name[:at]
    end = made.name[at + 2 :]
    while True:
        made.name = start + f"{table.next_anonymous}".encode() + end
        table.next_anonymous += 1
        pace_or_end(_NAME_COST)
        if table.sets.find(made.name, generation) is None:
            return


def delete_sets(message: Message, batch: Batch) -> None:
    """DELSET, DESTROYSET. Raises EINVAL, ENOENT, EBUSY, MemoryError."""
    attributes = message.attributes
    table = message.table(batch.firewall, batch.generation)
    kind = _HANDLE if attributes.has(_HANDLE) else _NAME
    if attributes.has(_HANDLE):
        found = table.sets.find_handle(attributes.be64(_HANDLE), batch.generation)
    elif attributes.has(_NAME):
        found = table.sets.find(attributes.text(_NAME, NAME_LIMIT), batch.generation)
    else:
        raise Errno(EINVAL)
    if found is None or not isinstance(found, DataSet):
        if message.kind == DESTROY_SET:
            return
        attributes.blame(kind)
        raise Errno(ENOENT)
    if found.uses > 0:
        attributes.blame(kind)
        raise Errno(EBUSY)
    delete_set(message.request, batch, table, found)


def find_set(message: Message, table: Table, generation: int, kind: int) -> DataSet:
    """The set that an attribute names. Raises EINVAL, ENOENT."""
    attributes = message.attributes
    if not attributes.has(kind):
        raise Errno(EINVAL)
    found = table.sets.find(attributes.text(kind, NAME_LIMIT), generation)
    if found is None or not isinstance(found, DataSet):
        attributes.blame(kind)
        raise Errno(ENOENT)
    return found


def get_set(message: Message, firewall: Firewall, writer: MessageWriter) -> None:
    """Raises EINVAL, ENOENT."""
    table = message.table(firewall, firewall.cursor)
    put_set(writer, NEW_SET, table, find_set(message, table, firewall.cursor, _NAME), firewall)


def dump_sets(message: Message, firewall: Firewall, writer: MessageWriter) -> None:
    """Write all, or those of a family or a table. Raises ENOENT for an unknown table."""
    name = message.attributes.text(_TABLE, NAME_LIMIT)
    if message.attributes.has(_TABLE):
        message.table(firewall, firewall.cursor)
    for table in firewall.tables:
        if not table.is_in(firewall.cursor) or message.family not in (0, table.family):
            continue
        if len(name) > 0 and table.name != name:
            continue
        for each in table.sets.all_in(firewall.cursor):
            if isinstance(each, DataSet):
                put_set(writer, NEW_SET, table, each, firewall)
                writer.cut()
                pace_or_end(_SHOW_COST)
