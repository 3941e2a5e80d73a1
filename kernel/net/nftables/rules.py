"""Requests about rules (nft(8) "RULES").

Context: batches; dumps hold the firewall's lock as well.
"""

from typing import Final

from kernel.lang import EEXIST, EINVAL, ENOENT, EOPNOTSUPP, Errno
from kernel.lib.pace import pace_or_end
from kernel.mm.keeping import check_room_to_keep
from kernel.net.netlink.messages import (
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_MULTI,
    NLM_F_REPLACE,
    MessageWriter,
)
from kernel.net.nftables.attributes import Attributes
from kernel.net.nftables.batch import Batch, Loading
from kernel.net.nftables.chains import find_chain
from kernel.net.nftables.expression import Expression, Stateful, finish_all, start_all
from kernel.net.nftables.message import DESTROY_RULE, NEW_RULE, RESET_RULE, USERDATA_LIMIT, Message
from kernel.net.nftables.model import NAME_LIMIT, NOWHERE, Chain, Firewall, Rule, Table
from kernel.net.nftables.removal import delete_rule
from kernel.net.nftables.removal import delete_rules as delete_all_rules
from kernel.net.nftables.shown import position_of, put_rule
from kernel.net.nftables.steps import NewRule

_TABLE: Final = 1
_CHAIN: Final = 2
_HANDLE: Final = 3
_EXPRESSIONS: Final = 4
_PROTOCOL: Final = 5
_POSITION: Final = 6
_USERDATA: Final = 7
_NUMBER: Final = 9
_POSITION_NUMBER: Final = 10
_CHAIN_NUMBER: Final = 11
_EXPRESSIONS_LIMIT: Final = 128  # NFT_RULE_MAXEXPRS
_RULE_COST: Final = 3000  # instructions for showing one
_FIND_COST: Final = 10
_LOAD_COST: Final = 6000  # for decoding an expression; those of xtables hold most


def new_rule(message: Message, batch: Batch) -> None:
    """Raises EINVAL, ENOENT, EEXIST, EOPNOTSUPP, what expressions raise, MemoryError."""
    attributes = message.attributes
    table = message.table(batch.firewall, batch.generation)
    loading = Loading(batch, table)
    chain = _chain_of(message, loading)
    loading.chain = chain
    if attributes.has(_PROTOCOL):
        loading.protocol = attributes.nested(_PROTOCOL)
    replaced: Rule | None = None
    at = 0
    if attributes.has(_HANDLE):
        found = _find(chain, attributes.be64(_HANDLE), batch.generation)
        if found is None:
            attributes.blame(_HANDLE)
            raise Errno(ENOENT)
        if message.has(NLM_F_EXCL):
            attributes.blame(_HANDLE)
            raise Errno(EEXIST)
        if not message.has(NLM_F_REPLACE):
            raise Errno(EOPNOTSUPP)
        replaced = found
        handle = found.handle
        at = _index_of(chain, found) + 1
    else:
        if not message.has(NLM_F_CREATE) or message.has(NLM_F_REPLACE):
            raise Errno(EINVAL)
        handle = table.take_handle()
        at = _place(message, batch, chain)
    check_room_to_keep()
    rule = Rule(handle)
    rule.number = attributes.be32(_NUMBER, -1)
    rule.userdata = attributes.payload(_USERDATA)
    if len(rule.userdata) > USERDATA_LIMIT:
        raise Errno(EINVAL)
    rule.expressions = _load_all(attributes, loading)
    start_all(rule.expressions)
    try:
        _enter(message, batch, table, chain, rule, replaced, at)
    except (Errno, MemoryError):
        finish_all(rule.expressions)
        raise


def _enter(
    message: Message, batch: Batch, table: Table, chain: Chain, rule: Rule, replaced: Rule | None, at: int
) -> None:
    """Insert a rule in the next generation. Raises MemoryError, with nothing done."""
    rule.absent = batch.firewall.cursor
    step = NewRule(message.request, table, chain, rule, replaced)
    batch.chains[chain] = True
    batch.tables[table] = True
    batch.linking = message.request
    if replaced is not None:
        delete_rule(message.request, batch, table, chain, replaced)
    if rule.number >= 0:
        batch.new_rules[rule.number] = rule
    chain.by_handle[rule.handle] = rule
    try:
        chain.rules.insert(at, rule)
    except MemoryError:
        rule.absent = NOWHERE
        step.forget()
        raise
    for expression in rule.expressions:
        expression.take()
    try:
        batch.add(step)
    except MemoryError:
        step.withdraw()
        chain.rules.remove(rule)
        raise


def _chain_of(message: Message, loading: Loading) -> Chain:
    attributes = message.attributes
    if not attributes.has(_CHAIN) and attributes.has(_CHAIN_NUMBER):
        chain = loading.chain_by_number(attributes.be32(_CHAIN_NUMBER))
        if chain is None:
            attributes.blame(_CHAIN_NUMBER)
            raise Errno(ENOENT)
        return chain
    return find_chain(message, loading.table, loading.generation, _CHAIN)


def _find(chain: Chain, handle: int, generation: int) -> Rule | None:
    rule = chain.by_handle.get(handle)
    return rule if rule is not None and rule.is_in(generation) else None


def _index_of(chain: Chain, rule: Rule) -> int:
    pace_or_end(len(chain.rules) * _FIND_COST)
    return chain.rules.index(rule)


def _place(message: Message, batch: Batch, chain: Chain) -> int:
    """The index for a new rule: after or before another one, or at the end or the beginning."""
    attributes = message.attributes
    is_after = message.has(NLM_F_APPEND)
    other: Rule | None = None
    if attributes.has(_POSITION):
        other = _find(chain, attributes.be64(_POSITION), batch.generation)
        if other is None:
            attributes.blame(_POSITION)
            raise Errno(ENOENT)
    elif attributes.has(_POSITION_NUMBER):
        other = batch.new_rules.get(attributes.be32(_POSITION_NUMBER))
        if other is None or not other.is_in(batch.generation) or chain.by_handle.get(other.handle) is not other:
            attributes.blame(_POSITION_NUMBER)
            raise Errno(ENOENT)
    if other is not None:
        return _index_of(chain, other) + (1 if is_after else 0)
    return len(chain.rules) if is_after else 0


def _load_all(attributes: Attributes, loading: Loading) -> list[Expression]:
    loaded: list[Expression] = []
    if not attributes.has(_EXPRESSIONS):
        return loaded
    for each in attributes.nested(_EXPRESSIONS).elements():
        if len(loaded) == _EXPRESSIONS_LIMIT:
            raise Errno(EINVAL)
        pace_or_end(_LOAD_COST)
        try:
            loaded.append(loading.load_expression(each))
        except (Errno, MemoryError):
            each.blame_all()
            raise
    return loaded


def delete_rules(message: Message, batch: Batch) -> None:
    """DELRULE, DESTROYRULE: one, all of a chain, or all of a table. Raises ENOENT, MemoryError."""
    attributes = message.attributes
    table = message.table(batch.firewall, batch.generation)
    is_destroying = message.kind == DESTROY_RULE
    if not attributes.has(_CHAIN):
        if attributes.has(_HANDLE) or attributes.has(_NUMBER):
            raise Errno(EINVAL)
        for chain in table.chains.all_in(batch.generation):
            delete_all_rules(message.request, batch, table, chain)
        return
    if is_destroying and table.chains.find(attributes.text(_CHAIN, NAME_LIMIT), batch.generation) is None:
        return
    chain = find_chain(message, table, batch.generation, _CHAIN)
    rule: Rule | None = None
    kind = _HANDLE
    if attributes.has(_HANDLE):
        rule = _find(chain, attributes.be64(_HANDLE), batch.generation)
    elif attributes.has(_NUMBER):
        kind = _NUMBER
        rule = batch.new_rules.get(attributes.be32(_NUMBER))
        if rule is not None and (not rule.is_in(batch.generation) or chain.by_handle.get(rule.handle) is not rule):
            rule = None
    else:
        delete_all_rules(message.request, batch, table, chain)
        return
    if rule is None:
        if is_destroying:
            return
        attributes.blame(kind)
        raise Errno(ENOENT)
    delete_rule(message.request, batch, table, chain, rule)


def get_rule(message: Message, firewall: Firewall, writer: MessageWriter) -> None:
    """Raises EINVAL, ENOENT."""
    table = message.table(firewall, firewall.cursor)
    chain = find_chain(message, table, firewall.cursor, _CHAIN)
    if not message.attributes.has(_HANDLE):
        raise Errno(EINVAL)
    rule = _find(chain, message.attributes.be64(_HANDLE), firewall.cursor)
    if rule is None:
        message.attributes.blame(_HANDLE)
        raise Errno(ENOENT)
    put_rule(writer, NEW_RULE, table, chain, rule, position_of(chain, rule, firewall.cursor), firewall)
    if message.kind == RESET_RULE:
        _reset(rule)


def _reset(rule: Rule) -> None:
    for expression in rule.expressions:
        if isinstance(expression, Stateful):
            expression.reset()


def dump_rules(message: Message, firewall: Firewall, writer: MessageWriter) -> None:
    """Write all, or those of a family, a table, a chain. Sleeps."""
    attributes = message.attributes
    table_name = attributes.text(_TABLE, NAME_LIMIT)
    chain_name = attributes.text(_CHAIN, NAME_LIMIT)
    writer.answer_to(message.request.sequence, message.request.port, NLM_F_MULTI | NLM_F_APPEND)
    for table in firewall.tables:
        if not table.is_in(firewall.cursor) or message.family not in (0, table.family):
            continue
        if len(table_name) > 0 and table.name != table_name:
            continue
        for chain in table.chains.all_in(firewall.cursor):
            if len(chain_name) > 0 and chain.name != chain_name:
                continue
            last = 0
            for rule in chain.rules:
                put_rule(writer, NEW_RULE, table, chain, rule, last, firewall)
                last = rule.handle
                if message.kind == RESET_RULE:
                    _reset(rule)
                writer.cut()
                pace_or_end(_RULE_COST)
    writer.answer_to(message.request.sequence, message.request.port, NLM_F_MULTI)
