"""Messages that show tables, chains, rules, sets, elements and objects to programs, when they ask and
when something changes.

Context: batches and dumps, which hold the firewall's lock, and sleep.
Source: linux/netfilter/nf_tables.h.
"""

from typing import Final

from kernel.lib.pace import pace
from kernel.net.netlink.messages import MessageWriter
from kernel.net.nftables.attributes import LIST_ELEMENT, put32, put64, put_text
from kernel.net.nftables.element_order import Element
from kernel.net.nftables.lookups import put_expression, put_expressions
from kernel.net.nftables.message import DELETE_CHAIN, DELETE_RULE, DELETE_SET, DELETE_TABLE, NEW_OBJECT, begin
from kernel.net.nftables.model import Chain, Firewall, Rule, StatefulObject, Table
from kernel.net.nftables.sets import SET_MAP, SET_OBJECT, DataSet
from kernel.net.nftables.values import put_bytes, put_decision
from kernel.time import monotonic_ns

_OWNER: Final = 1  # the table, in messages about its contents

_TABLE_NAME: Final = 1
_TABLE_FLAGS: Final = 2
_TABLE_USE: Final = 3
_TABLE_HANDLE: Final = 4
_TABLE_USERDATA: Final = 6

_CHAIN_HANDLE: Final = 2
_CHAIN_NAME: Final = 3
_CHAIN_HOOK: Final = 4
_CHAIN_POLICY: Final = 5
_CHAIN_USE: Final = 6
_CHAIN_TYPE: Final = 7
_CHAIN_COUNTERS: Final = 8
_CHAIN_FLAGS: Final = 10
_CHAIN_USERDATA: Final = 12
_HOOK_POINT: Final = 1
_HOOK_PRIORITY: Final = 2
_COUNTER_BYTES: Final = 1
_COUNTER_PACKETS: Final = 2
CHAIN_TYPES: Final[list[bytes]] = [b"filter", b"route", b"nat"]

_RULE_CHAIN: Final = 2
_RULE_HANDLE: Final = 3
_RULE_EXPRESSIONS: Final = 4
_RULE_POSITION: Final = 6
_RULE_USERDATA: Final = 7

_SET_NAME: Final = 2
_SET_FLAGS: Final = 3
_SET_KEY_TYPE: Final = 4
_SET_KEY_LENGTH: Final = 5
_SET_DATA_TYPE: Final = 6
_SET_DATA_LENGTH: Final = 7
_SET_POLICY: Final = 8
_SET_DESCRIPTION: Final = 9
_SET_TIMEOUT: Final = 11
_SET_COLLECT: Final = 12
_SET_USERDATA: Final = 13
_SET_OBJECT_KIND: Final = 15
_SET_HANDLE: Final = 16
_SET_EXPRESSION: Final = 17
_SET_EXPRESSIONS: Final = 18
_DESCRIPTION_SIZE: Final = 1
_DESCRIPTION_FIELDS: Final = 2
_FIELD_LENGTH: Final = 1

_LIST_SET: Final = 2
_LIST_ELEMENTS: Final = 3
_ELEMENT_KEY: Final = 1
_ELEMENT_DATA: Final = 2
_ELEMENT_FLAGS: Final = 3
_ELEMENT_TIMEOUT: Final = 4
_ELEMENT_EXPIRATION: Final = 5
_ELEMENT_USERDATA: Final = 6
_ELEMENT_EXPRESSION: Final = 7
_ELEMENT_OBJECT: Final = 9
_ELEMENT_KEY_END: Final = 10
_ELEMENT_EXPRESSIONS: Final = 11
_MILLISECOND_NS: Final = 1_000_000
_FIND_COST: Final = 10  # instructions

_OBJECT_NAME: Final = 2
_OBJECT_TYPE: Final = 3
_OBJECT_DATA: Final = 4
_OBJECT_USE: Final = 5
_OBJECT_HANDLE: Final = 6
_OBJECT_USERDATA: Final = 8


def put_table(writer: MessageWriter, kind: int, table: Table, firewall: Firewall) -> None:
    """A message about a table."""
    begin(writer, kind, table.family, firewall.generation)
    put_text(writer, _TABLE_NAME, table.name)
    put32(writer, _TABLE_USE, table.uses(firewall.cursor))
    put64(writer, _TABLE_HANDLE, table.handle)
    if kind == DELETE_TABLE:
        writer.end()
        return
    put32(writer, _TABLE_FLAGS, table.flags)
    if len(table.userdata) > 0:
        writer.attribute(_TABLE_USERDATA, table.userdata)
    writer.end()


def count_uses(chain: Chain, generation: int) -> int:
    """The number of its rules and of the jumps to it. Sleeps."""
    count = chain.uses
    for rule in chain.rules:
        pace(_FIND_COST)
        if rule.is_in(generation):
            count += 1
    return count


def put_chain(writer: MessageWriter, kind: int, table: Table, chain: Chain, firewall: Firewall) -> None:
    """A message about a chain."""
    begin(writer, kind, table.family, firewall.generation)
    put_text(writer, _OWNER, table.name)
    put_text(writer, _CHAIN_NAME, chain.name)
    put64(writer, _CHAIN_HANDLE, chain.handle)
    base = chain.base
    if kind == DELETE_CHAIN:
        writer.end()
        return
    if base is not None:
        hook = writer.begin_attribute(_CHAIN_HOOK)
        put32(writer, _HOOK_POINT, base.point)
        put32(writer, _HOOK_PRIORITY, base.priority)
        writer.end_attribute(hook)
        put32(writer, _CHAIN_POLICY, chain.policy)
        put_text(writer, _CHAIN_TYPE, CHAIN_TYPES[base.kind])
        if chain.has_counters:
            counters = writer.begin_attribute(_CHAIN_COUNTERS)
            put64(writer, _COUNTER_PACKETS, chain.packets)
            put64(writer, _COUNTER_BYTES, chain.bytes)
            writer.end_attribute(counters)
    if chain.flags != 0:
        put32(writer, _CHAIN_FLAGS, chain.flags)
    put32(writer, _CHAIN_USE, count_uses(chain, firewall.cursor))
    if len(chain.userdata) > 0:
        writer.attribute(_CHAIN_USERDATA, chain.userdata)
    writer.end()


def put_rule(
    writer: MessageWriter, kind: int, table: Table, chain: Chain, rule: Rule, position: int, firewall: Firewall
) -> None:
    """A message about a rule; `position`: the one before it, 0 if it is the first or the position does not matter."""
    begin(writer, kind, table.family, firewall.generation)
    put_text(writer, _OWNER, table.name)
    put_text(writer, _RULE_CHAIN, chain.name)
    put64(writer, _RULE_HANDLE, rule.handle)
    if position != 0:
        put64(writer, _RULE_POSITION, position)
    if kind == DELETE_RULE:
        writer.end()
        return
    expressions = writer.begin_attribute(_RULE_EXPRESSIONS)
    for expression in rule.expressions:
        put_expression(writer, LIST_ELEMENT, expression)
    writer.end_attribute(expressions)
    if len(rule.userdata) > 0:
        writer.attribute(_RULE_USERDATA, rule.userdata)
    writer.end()


def position_of(chain: Chain, rule: Rule, generation: int) -> int:
    """The handle of the rule before one; 0 if it is the first. Sleeps."""
    last = 0
    for each in chain.rules:
        pace(_FIND_COST)
        if each is rule:
            return last
        if each.is_in(generation):
            last = each.handle
    return 0


def put_set(writer: MessageWriter, kind: int, table: Table, shown: DataSet, firewall: Firewall) -> None:
    """A message about a set."""
    begin(writer, kind, table.family, firewall.generation)
    put_text(writer, _OWNER, table.name)
    put_text(writer, _SET_NAME, shown.name)
    put64(writer, _SET_HANDLE, shown.handle)
    if kind == DELETE_SET:
        writer.end()
        return
    if shown.flags != 0:
        put32(writer, _SET_FLAGS, shown.flags)
    put32(writer, _SET_KEY_TYPE, shown.key_type)
    put32(writer, _SET_KEY_LENGTH, shown.key_length)
    if shown.flags & SET_MAP != 0:
        put32(writer, _SET_DATA_TYPE, shown.data_type)
        put32(writer, _SET_DATA_LENGTH, shown.data_length)
    if shown.flags & SET_OBJECT != 0:
        put32(writer, _SET_OBJECT_KIND, shown.object_kind)
    if shown.timeout_ms != 0:
        put64(writer, _SET_TIMEOUT, shown.timeout_ms)
    if shown.collect_ms != 0:
        put32(writer, _SET_COLLECT, shown.collect_ms)
    if shown.policy != 0:
        put32(writer, _SET_POLICY, shown.policy)
    if len(shown.userdata) > 0:
        writer.attribute(_SET_USERDATA, shown.userdata)
    description = writer.begin_attribute(_SET_DESCRIPTION)
    if shown.size != 0:
        put32(writer, _DESCRIPTION_SIZE, shown.size)
    if len(shown.fields) > 1:
        fields = writer.begin_attribute(_DESCRIPTION_FIELDS)
        for length in shown.fields:
            field = writer.begin_attribute(LIST_ELEMENT)
            put32(writer, _FIELD_LENGTH, length)
            writer.end_attribute(field)
        writer.end_attribute(fields)
    writer.end_attribute(description)
    put_expressions(writer, shown.templates, _SET_EXPRESSION, _SET_EXPRESSIONS)
    writer.end()


def begin_elements(writer: MessageWriter, kind: int, table: Table, shown: DataSet, firewall: Firewall) -> int:
    """Start a message about elements of a set; they follow, and `end_elements` with what this returns."""
    begin(writer, kind, table.family, firewall.generation)
    put_text(writer, _OWNER, table.name)
    put_text(writer, _LIST_SET, shown.name)
    return writer.begin_attribute(_LIST_ELEMENTS)


def end_elements(writer: MessageWriter, place: int) -> None:
    """The message is complete."""
    writer.end_attribute(place)
    writer.end()


def put_element(writer: MessageWriter, element: Element) -> None:
    """Add an element to such a message."""
    place = writer.begin_attribute(LIST_ELEMENT)
    if len(element.key) > 0:
        put_bytes(writer, _ELEMENT_KEY, element.key)
    if len(element.last) > 0:
        put_bytes(writer, _ELEMENT_KEY_END, element.last)
    decision = element.decision
    if decision is not None:
        put_decision(writer, _ELEMENT_DATA, decision)
    elif len(element.data) > 0:
        put_bytes(writer, _ELEMENT_DATA, element.data)
    expressions = element.expressions
    if expressions is not None:
        put_expressions(writer, expressions, _ELEMENT_EXPRESSION, _ELEMENT_EXPRESSIONS)
    named = element.object
    if named is not None:
        put_text(writer, _ELEMENT_OBJECT, named.title)
    if element.flags != 0:
        put32(writer, _ELEMENT_FLAGS, element.flags)
    if element.timeout_ms != 0:
        put64(writer, _ELEMENT_TIMEOUT, element.timeout_ms)
        put64(writer, _ELEMENT_EXPIRATION, max(element.expires_ns - monotonic_ns(), 0) // _MILLISECOND_NS)
    if len(element.userdata) > 0:
        writer.attribute(_ELEMENT_USERDATA, element.userdata)
    writer.end_attribute(place)


def put_object(writer: MessageWriter, kind: int, table: Table, shown: StatefulObject, firewall: Firewall) -> None:
    """A message about a named object."""
    begin(writer, kind, table.family, firewall.generation)
    put_text(writer, _OWNER, table.name)
    put_text(writer, _OBJECT_NAME, shown.title)
    put64(writer, _OBJECT_HANDLE, shown.handle)
    put32(writer, _OBJECT_TYPE, shown.kind)
    if kind == NEW_OBJECT:
        put32(writer, _OBJECT_USE, shown.uses)
        data = writer.begin_attribute(_OBJECT_DATA)
        shown.expression.put_state(writer)
        writer.end_attribute(data)
        if len(shown.userdata) > 0:
            writer.attribute(_OBJECT_USERDATA, shown.userdata)
    writer.end()
