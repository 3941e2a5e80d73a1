"""Requests about elements of sets and maps (nft(8) "SETS").

Context: batches; dumps hold the firewall's lock as well.
"""

from typing import Final

from kernel.lang import EBUSY, EEXIST, EINVAL, ENOENT, EOPNOTSUPP, ERANGE, Errno
from kernel.lib.pace import pace_or_end
from kernel.mm.keeping import check_room_to_keep
from kernel.net.netlink.messages import NLM_F_EXCL, MessageWriter
from kernel.net.nftables.attributes import ANY_KIND, Attributes
from kernel.net.nftables.batch import Batch, Loading
from kernel.net.nftables.element_order import ELEMENT_CATCH_ALL, ELEMENT_END, Element
from kernel.net.nftables.expression import Stateful
from kernel.net.nftables.lookups import MOST_TIMEOUT_MS, load_expressions
from kernel.net.nftables.message import DESTROY_ELEMENT, NEW_ELEMENT, RESET_ELEMENT, USERDATA_LIMIT, Message
from kernel.net.nftables.model import NAME_LIMIT, Firewall, Table
from kernel.net.nftables.set_requests import find_set
from kernel.net.nftables.sets import (
    SET_ANONYMOUS,
    SET_CONSTANT,
    SET_MAP,
    SET_OBJECT,
    SET_TIMEOUT,
    VERDICT_TYPE,
    DataSet,
)
from kernel.net.nftables.shown import begin_elements, end_elements, put_element
from kernel.net.nftables.steps import DeleteElement, NewElement
from kernel.net.nftables.values import DATA_LIMIT, load_bytes, load_value
from kernel.time import monotonic_ns

_SET: Final = 2
_ELEMENTS: Final = 3
_SET_NUMBER: Final = 4

_KEY: Final = 1
_DATA: Final = 2
_FLAGS: Final = 3
_TIMEOUT: Final = 4
_EXPIRATION: Final = 5
_USERDATA: Final = 6
_EXPRESSION: Final = 7
_OBJECT: Final = 9
_KEY_END: Final = 10
_EXPRESSIONS: Final = 11

_MILLISECOND_NS: Final = 1_000_000
_ELEMENT_COST: Final = 3000  # instructions
_LARGEST_LIST: Final = 4000  # bytes of elements in a message


def _set_of(message: Message, loading: Loading) -> DataSet:
    attributes = message.attributes
    if not attributes.has(_SET):
        raise Errno(EINVAL)
    return loading.find_set(attributes, _SET, _SET_NUMBER)


def new_elements(message: Message, batch: Batch) -> None:
    """Raises EINVAL, ENOENT, EEXIST, EBUSY, ENFILE, MemoryError."""
    attributes = message.attributes
    if not attributes.has(_ELEMENTS):
        raise Errno(EINVAL)
    table = message.table(batch.firewall, batch.generation)
    loading = Loading(batch, table)
    owner = _set_of(message, loading)
    if owner.uses > 0 and owner.flags & (SET_CONSTANT | SET_ANONYMOUS) != 0:
        raise Errno(EBUSY)
    batch.sets[owner] = True
    for each in attributes.nested(_ELEMENTS).elements(ANY_KIND):
        try:
            _add(message, batch, loading, owner, each)
        except (Errno, MemoryError):
            each.blame_all()
            raise
        pace_or_end(_ELEMENT_COST)


def _add(message: Message, batch: Batch, loading: Loading, owner: DataSet, attributes: Attributes) -> None:
    check_room_to_keep()
    element = _read(loading, owner, attributes)
    _read_data(loading, owner, attributes, element)
    now_ns = monotonic_ns()
    found = owner.find(element.key, element.last, element.flags, batch.generation, now_ns)
    if found is not None:
        if message.has(NLM_F_EXCL) or not found.is_like(element):
            raise Errno(EEXIST)
        return
    owner.check_overlap(element, batch.generation)
    owner.check_room()
    if element.timeout_ms == 0:
        element.timeout_ms = owner.timeout_ms
    if element.timeout_ms != 0 and element.flags & ELEMENT_END == 0:
        left_ms = attributes.be64(_EXPIRATION, element.timeout_ms)
        element.expires_ns = now_ns + min(left_ms, element.timeout_ms) * _MILLISECOND_NS
    element.absent = batch.firewall.cursor
    step = NewElement(message.request, loading.table, owner, element)
    owner.add(element)
    element.take()
    batch.add_made(step)
    owner.watch_time(element, now_ns)
    if element.decision is not None:
        batch.tables[loading.table] = True
        batch.linking = message.request


def _read(loading: Loading, owner: DataSet, attributes: Attributes) -> Element:
    """Read the key and the flags. Raises EINVAL, EOPNOTSUPP."""
    flags = attributes.be32(_FLAGS)
    if flags & ~(ELEMENT_END | ELEMENT_CATCH_ALL) != 0:
        raise Errno(EOPNOTSUPP)
    has_key = attributes.has(_KEY)
    if flags & ELEMENT_END != 0 and (not owner.has_intervals() or flags & ELEMENT_CATCH_ALL != 0):
        raise Errno(EINVAL)
    if has_key == (flags & ELEMENT_CATCH_ALL != 0):
        raise Errno(EINVAL)
    key = load_bytes(attributes, _KEY, loading, DATA_LIMIT) if has_key else b""
    if has_key and len(key) != owner.key_length:
        raise Errno(EINVAL)
    element = Element(key, flags)
    if attributes.has(_KEY_END):
        if not owner.has_ranges() or not has_key:
            raise Errno(EINVAL)
        element.last = load_bytes(attributes, _KEY_END, loading, DATA_LIMIT)
        if len(element.last) != owner.key_length:
            raise Errno(EINVAL)
        if element.last < key:
            raise Errno(EINVAL)
    return element


def _read_data(loading: Loading, owner: DataSet, attributes: Attributes, element: Element) -> None:
    """Read the key's data."""
    is_end = element.flags & ELEMENT_END != 0
    has_data = attributes.has(_DATA)
    has_object = attributes.has(_OBJECT)
    if (owner.flags & SET_MAP != 0 and not has_data and not is_end) or (owner.flags & SET_MAP == 0 and has_data):
        raise Errno(EINVAL)
    if (owner.flags & SET_OBJECT != 0 and not has_object and not is_end) or (
        owner.flags & SET_OBJECT == 0 and has_object
    ):
        raise Errno(EINVAL)
    if is_end and (
        has_data or has_object or attributes.has(_TIMEOUT) or attributes.has(_EXPIRATION)
        or attributes.has(_EXPRESSION) or attributes.has(_EXPRESSIONS)
    ):  # fmt: skip
        raise Errno(EINVAL)
    if (attributes.has(_TIMEOUT) or attributes.has(_EXPIRATION)) and owner.flags & SET_TIMEOUT == 0:
        raise Errno(EINVAL)
    element.timeout_ms = attributes.be64(_TIMEOUT)
    if element.timeout_ms > MOST_TIMEOUT_MS:
        raise Errno(ERANGE)
    element.userdata = attributes.payload(_USERDATA)
    if len(element.userdata) > USERDATA_LIMIT:
        raise Errno(EINVAL)
    if has_data:
        value = load_value(attributes, _DATA, loading, DATA_LIMIT)
        if (value.decision is not None) != (owner.data_type == VERDICT_TYPE):
            raise Errno(EINVAL)
        if value.decision is None and len(value.data) != owner.data_length:
            raise Errno(EINVAL)
        element.data = value.data
        element.decision = value.decision
    if has_object:
        named = loading.find_object(attributes.text(_OBJECT, NAME_LIMIT), owner.object_kind)
        if named is None:
            raise Errno(ENOENT)
        element.object = named
    if not is_end:
        _read_expressions(owner, attributes, element)


def _read_expressions(owner: DataSet, attributes: Attributes, element: Element) -> None:
    """Read the element's own stateful expressions, or copy those that the set prescribes for each element."""
    expressions = load_expressions(attributes, _EXPRESSION, _EXPRESSIONS)
    if len(expressions) > 0:
        if owner.fixed_templates and len(expressions) != len(owner.templates):
            raise Errno(EOPNOTSUPP)
        element.expressions = expressions
        return
    if len(owner.templates) > 0:
        copies: list[Stateful] = []
        for template in owner.templates:
            copies.append(template.copy())
        element.expressions = copies


def delete_elements(message: Message, batch: Batch) -> None:
    """DELSETELEM, DESTROYSETELEM: the named ones, or all. Raises EINVAL, ENOENT, EBUSY, MemoryError."""
    attributes = message.attributes
    table = message.table(batch.firewall, batch.generation)
    loading = Loading(batch, table)
    owner = _set_of(message, loading)
    if owner.flags & SET_ANONYMOUS != 0 and owner.uses > 0:
        raise Errno(EOPNOTSUPP)
    if owner.flags & SET_CONSTANT != 0 and owner.uses > 0:
        raise Errno(EBUSY)
    batch.sets[owner] = True
    if not attributes.has(_ELEMENTS):
        for part in owner.all_in(batch.generation).parts:
            for element in part:
                if element.is_in(batch.generation):  # or it has expired in the meantime
                    _delete(message, batch, table, owner, element)
                pace_or_end(_ELEMENT_COST)
        return
    for each in attributes.nested(_ELEMENTS).elements(ANY_KIND):
        wanted = _read(loading, owner, each)
        found = owner.find(wanted.key, wanted.last, wanted.flags, batch.generation, monotonic_ns())
        if found is None:
            if message.kind == DESTROY_ELEMENT:
                continue
            each.blame_all()
            raise Errno(ENOENT)
        _delete(message, batch, table, owner, found)
        pace_or_end(_ELEMENT_COST)


def _delete(message: Message, batch: Batch, table: Table, owner: DataSet, element: Element) -> None:
    batch.add(DeleteElement(message.request, batch, table, owner, element))
    element.absent |= batch.generation
    element.release()
    owner.count -= 1


def get_elements(message: Message, firewall: Firewall, writer: MessageWriter) -> None:
    """Write elements by their keys; of intervals, the one that contains a key. Raises EINVAL, ENOENT."""
    attributes = message.attributes
    table = message.table(firewall, firewall.cursor)
    owner = find_set(message, table, firewall.cursor, _SET)
    if not attributes.has(_ELEMENTS):
        raise Errno(EINVAL)
    now_ns = monotonic_ns()
    for each in attributes.nested(_ELEMENTS).elements(ANY_KIND):
        pace_or_end(_ELEMENT_COST)
        key = each.nested(_KEY).payload(1)
        flags = each.be32(_FLAGS)
        if len(key) != owner.key_length and flags & ELEMENT_CATCH_ALL == 0:
            raise Errno(EINVAL)
        if owner.has_intervals() and flags & ELEMENT_CATCH_ALL == 0:
            found = owner.bound_of(key, flags, now_ns)
        else:
            found = owner.find(key, each.nested(_KEY_END).payload(1), flags, firewall.cursor, now_ns)
        if found is None:
            each.blame_all()
            raise Errno(ENOENT)
        place = begin_elements(writer, NEW_ELEMENT, table, owner, firewall)
        put_element(writer, found)
        end_elements(writer, place)


def dump_elements(message: Message, firewall: Firewall, writer: MessageWriter) -> None:
    """Write all elements of a set. Raises EINVAL, ENOENT. Sleeps."""
    table = message.table(firewall, firewall.cursor)
    owner = find_set(message, table, firewall.cursor, _SET)
    now_ns = monotonic_ns()
    start = len(writer.data)
    place = begin_elements(writer, NEW_ELEMENT, table, owner, firewall)
    is_empty = True
    for part in owner.all_in(firewall.cursor).parts:
        for element in part:
            if element.is_expired(now_ns):
                continue
            is_empty = False
            if element.flags & ELEMENT_CATCH_ALL != 0:
                continue
            if len(writer.data) - start > _LARGEST_LIST:
                end_elements(writer, place)
                writer.cut()
                start = len(writer.data)
                place = begin_elements(writer, NEW_ELEMENT, table, owner, firewall)
            put_element(writer, element)
            expressions = element.expressions
            if message.kind == RESET_ELEMENT and expressions is not None:
                for expression in expressions:
                    expression.reset()
            pace_or_end(_ELEMENT_COST)
    end_elements(writer, place)
    if is_empty:
        return
    # The element for all other keys comes in a message of its own, after all others, as on Linux.
    place = begin_elements(writer, NEW_ELEMENT, table, owner, firewall)
    rest = owner.find(b"", b"", ELEMENT_CATCH_ALL, firewall.cursor, now_ns)
    if rest is not None:
        put_element(writer, rest)
    end_elements(writer, place)
