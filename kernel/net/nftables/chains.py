"""Requests about chains (nft(8) "CHAINS").

Context: batches; dumps hold the firewall's lock as well.
"""

from typing import Final

from kernel.lang import EBUSY, EEXIST, EINVAL, ENOENT, EOPNOTSUPP, Errno
from kernel.lib.pace import pace_or_end
from kernel.mm.keeping import check_room_to_keep
from kernel.net.link.hooks import OUTPUT, POINTS, PRIORITY_CONNECTIONS
from kernel.net.netlink.messages import NLM_F_EXCL, NLM_F_REPLACE, MessageWriter
from kernel.net.nftables.attributes import Attributes
from kernel.net.nftables.base_chains import NAT
from kernel.net.nftables.batch import Batch
from kernel.net.nftables.message import DESTROY_CHAIN, NEW_CHAIN, NLM_F_NONRECURSIVE, USERDATA_LIMIT, Message
from kernel.net.nftables.model import (
    ACCEPT,
    DROP,
    NAME_LIMIT,
    TYPE_FILTER,
    TYPE_NAT,
    TYPE_ROUTE,
    BasePart,
    Chain,
    Firewall,
    Table,
)
from kernel.net.nftables.removal import delete_chain, delete_rules
from kernel.net.nftables.shown import CHAIN_TYPES, count_uses, put_chain
from kernel.net.nftables.steps import ChangeChain, NewChain, RenameChain

_HANDLE: Final = 2
_NAME: Final = 3
_HOOK: Final = 4
_POLICY: Final = 5
_TYPE: Final = 7
_COUNTERS: Final = 8
_FLAGS: Final = 10
_NUMBER: Final = 11
_USERDATA: Final = 12

_HOOK_POINT: Final = 1
_HOOK_PRIORITY: Final = 2
_HOOK_DEVICE: Final = 3
_HOOK_DEVICES: Final = 4

_COUNTER_BYTES: Final = 1
_COUNTER_PACKETS: Final = 2
_SHOW_COST: Final = 2000  # instructions

_BASE: Final = 1
_TYPE_LIMIT: Final = 31
_NAT_POINTS: Final = 0x1B  # all but FORWARD


def find_chain(message: Message, table: Table, generation: int, kind: int) -> Chain:
    """The chain that an attribute names. Raises EINVAL, ENOENT."""
    attributes = message.attributes
    if not attributes.has(kind):
        raise Errno(EINVAL)
    chain = table.chains.find(attributes.text(kind, NAME_LIMIT), generation)
    if chain is None:
        attributes.blame(kind)
        raise Errno(ENOENT)
    return chain


def new_chain(message: Message, batch: Batch) -> None:
    """Raises EINVAL, ENOENT, EEXIST, EOPNOTSUPP, MemoryError."""
    attributes = message.attributes
    table = message.table(batch.firewall, batch.generation)
    chain: Chain | None = None
    kind = _NAME
    if attributes.has(_HANDLE):
        kind = _HANDLE
        chain = table.chains.find_handle(attributes.be64(_HANDLE), batch.generation)
        if chain is None:
            attributes.blame(_HANDLE)
            raise Errno(ENOENT)
    elif attributes.has(_NAME):
        chain = table.chains.find(attributes.text(_NAME, NAME_LIMIT), batch.generation)
    elif not attributes.has(_NUMBER):
        raise Errno(EINVAL)
    policy = -1
    if attributes.has(_POLICY):
        if (chain is not None and chain.base is None) or (chain is None and not attributes.has(_HOOK)):
            attributes.blame(_POLICY)
            raise Errno(EOPNOTSUPP)
        policy = attributes.be32(_POLICY)
        if policy != DROP and policy != ACCEPT:
            raise Errno(EINVAL)
    if attributes.be32(_FLAGS) & ~_BASE != 0:
        raise Errno(EOPNOTSUPP)
    if chain is None:
        _make(message, batch, table, policy)
        return
    if message.has(NLM_F_EXCL):
        attributes.blame(kind)
        raise Errno(EEXIST)
    if message.has(NLM_F_REPLACE):
        raise Errno(EOPNOTSUPP)
    _change(message, batch, table, chain, policy)


def _make(message: Message, batch: Batch, table: Table, policy: int) -> None:
    attributes = message.attributes
    check_room_to_keep()
    base = _read_hook(attributes) if attributes.has(_HOOK) else None
    if base is None and attributes.be32(_FLAGS) & _BASE != 0:
        raise Errno(EINVAL)
    if not attributes.has(_NAME):
        raise Errno(EOPNOTSUPP)  # chains without names, which belong to a rule
    if base is None and attributes.has(_COUNTERS):
        raise Errno(EOPNOTSUPP)
    chain = Chain(attributes.text(_NAME, NAME_LIMIT))
    chain.base = base
    chain.flags = _BASE if base is not None else 0
    chain.number = attributes.be32(_NUMBER, -1)
    chain.policy = ACCEPT if policy < 0 else policy
    chain.next_policy = chain.policy
    chain.userdata = attributes.payload(_USERDATA)
    if len(chain.userdata) > USERDATA_LIMIT:
        raise Errno(EINVAL)
    if attributes.has(_COUNTERS):
        counters = _counters_in(attributes)
        chain.has_counters = True
        chain.packets = counters.be64(_COUNTER_PACKETS)
        chain.bytes = counters.be64(_COUNTER_BYTES)
    chain.absent = batch.firewall.cursor
    chain.handle = table.take_handle()
    step = NewChain(message.request, batch, table, chain)
    table.chains.add(chain)
    chain.table = table
    batch.add_made(step)
    batch.new_chains.append(chain)


def _counters_in(attributes: Attributes) -> Attributes:
    """Raises EINVAL."""
    counters = attributes.nested(_COUNTERS)
    if not counters.has(_COUNTER_BYTES) or not counters.has(_COUNTER_PACKETS):
        raise Errno(EINVAL)
    return counters


def _read_hook(attributes: Attributes) -> BasePart:
    """Read where a base chain is to be. Raises EINVAL, ENOENT for an unknown type, EOPNOTSUPP for a point that it
    cannot be at.
    """
    hook = attributes.nested(_HOOK)
    if not hook.has(_HOOK_POINT) or not hook.has(_HOOK_PRIORITY):
        attributes.blame(_NAME)
        raise Errno(ENOENT)
    point = hook.be32(_HOOK_POINT)
    priority = hook.be32(_HOOK_PRIORITY)
    if priority >> 31 != 0:
        priority -= 1 << 32
    kind = TYPE_FILTER
    if attributes.has(_TYPE):
        name = attributes.text(_TYPE, _TYPE_LIMIT)
        kind = TYPE_NAT
        if name == CHAIN_TYPES[TYPE_FILTER]:
            kind = TYPE_FILTER
        elif name == CHAIN_TYPES[TYPE_ROUTE]:
            kind = TYPE_ROUTE
        if name != CHAIN_TYPES[kind] or (kind == TYPE_NAT and not NAT.chains.is_there()):
            attributes.blame(_TYPE)
            raise Errno(ENOENT)
    is_possible = point < POINTS
    if kind == TYPE_ROUTE:
        is_possible = point == OUTPUT
    elif kind == TYPE_NAT:
        is_possible = point < POINTS and _NAT_POINTS >> point & 1 != 0
    if not is_possible:
        raise Errno(EOPNOTSUPP)
    if kind == TYPE_NAT and priority <= PRIORITY_CONNECTIONS:
        raise Errno(EOPNOTSUPP)
    if hook.has(_HOOK_DEVICE) or hook.has(_HOOK_DEVICES):
        raise Errno(EOPNOTSUPP)
    return BasePart(point, priority, kind)


def _change(message: Message, batch: Batch, table: Table, chain: Chain, policy: int) -> None:
    attributes = message.attributes
    if attributes.has(_HOOK):
        base = chain.base
        if base is None:
            attributes.blame(_HOOK)
            raise Errno(EEXIST)
        if attributes.has(_TYPE) and attributes.text(_TYPE, _TYPE_LIMIT) != CHAIN_TYPES[base.kind]:
            attributes.blame(_NAME)
            raise Errno(EEXIST)
        wanted = _read_hook(attributes)
        if wanted.point != base.point or wanted.priority != base.priority:
            raise Errno(EOPNOTSUPP)
    if attributes.has(_HANDLE) and attributes.has(_NAME):
        name = attributes.text(_NAME, NAME_LIMIT)
        if table.chains.find(name, batch.generation) is not None:
            attributes.blame(_NAME)
            raise Errno(EEXIST)
        rename = RenameChain(message.request, table, chain)
        batch.add(rename)
        table.chains.rename(chain, name)
    counters = _counters_in(attributes) if attributes.has(_COUNTERS) else None
    if counters is not None and chain.base is None:
        raise Errno(EOPNOTSUPP)
    if policy < 0 and counters is None:
        return
    step = ChangeChain(message.request, table, chain)
    if counters is not None:
        step.sets_counters = True
        step.packets = counters.be64(_COUNTER_PACKETS)
        step.bytes = counters.be64(_COUNTER_BYTES)
    batch.add(step)  # what follows cannot leave anything half done: a policy stays the present one until the end
    if policy >= 0:
        chain.next_policy = policy
        batch.policies.append(chain)


def delete_chains(message: Message, batch: Batch) -> None:
    """DELCHAIN, DESTROYCHAIN. Raises EINVAL, ENOENT, EBUSY, MemoryError."""
    attributes = message.attributes
    table = message.table(batch.firewall, batch.generation)
    kind = _HANDLE if attributes.has(_HANDLE) else _NAME
    chain: Chain | None = None
    if attributes.has(_HANDLE):
        chain = table.chains.find_handle(attributes.be64(_HANDLE), batch.generation)
    elif attributes.has(_NAME):
        chain = table.chains.find(attributes.text(_NAME, NAME_LIMIT), batch.generation)
    else:
        raise Errno(EINVAL)
    if chain is None:
        if message.kind == DESTROY_CHAIN:
            return
        attributes.blame(kind)
        raise Errno(ENOENT)
    if message.has(NLM_F_NONRECURSIVE) and count_uses(chain, batch.generation) > 0:
        raise Errno(EBUSY)
    delete_rules(message.request, batch, table, chain)
    if chain.uses > 0:
        attributes.blame(kind)
        raise Errno(EBUSY)
    delete_chain(message.request, batch, table, chain)


def get_chain(message: Message, firewall: Firewall, writer: MessageWriter) -> None:
    """Raises EINVAL, ENOENT."""
    table = message.table(firewall, firewall.cursor)
    put_chain(writer, NEW_CHAIN, table, find_chain(message, table, firewall.cursor, _NAME), firewall)


def dump_chains(message: Message, firewall: Firewall, writer: MessageWriter) -> None:
    """Write all chains of a family, or all."""
    for table in firewall.tables:
        if table.is_in(firewall.cursor) and message.family in (0, table.family):
            for chain in table.chains.all_in(firewall.cursor):
                put_chain(writer, NEW_CHAIN, table, chain, firewall)
                writer.cut()
                pace_or_end(_SHOW_COST)
