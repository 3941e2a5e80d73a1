"""Batches of changes to a network's firewall, and the context in which a message is read.

A message makes its change in the next generation at once, as a `Step`; packets see none of it. At the end everything
that can fail is done: chains are checked, the packets' view is prepared, hooks are registered. Then one assignment
makes the next generation the present one, and each step cleans up after itself. A batch that fails undoes its steps,
last one first.

Context: batches hold the firewall's lock, and sleep.
"""

from collections import deque
from typing import Final

from kernel.lang import EINTR, EINVAL, EMLINK, ENOENT, Errno, final
from kernel.lib.long_list import LongList
from kernel.lib.pace import is_dying, pace
from kernel.net.link.network import Network
from kernel.net.netlink.messages import MessageWriter, Request
from kernel.net.nftables.attributes import Attributes
from kernel.net.nftables.base_chains import register_chain, unregister_chain
from kernel.net.nftables.evaluate import DEPTH, ChainHook
from kernel.net.nftables.expression import LOADERS, Expression
from kernel.net.nftables.model import (
    NAME_LIMIT,
    NOWHERE,
    Chain,
    Firewall,
    Rule,
    RuleList,
    StatefulObject,
    Table,
    count_alike,
)
from kernel.net.nftables.sets import SET_ANONYMOUS, DataSet

_WORD: Final = 0xFFFF_FFFF
_STEP_COST: Final = 300  # instructions
_RULE_COST: Final = 100
_LIKE_COST: Final = 60
_FILTER_COST: Final = 10
_REGISTER_COST: Final = 12_000  # for a base chain, after up to 1,023 others at each of two places
_NUMBER_COST: Final = 20
_EXPRESSION_NAME_LIMIT: Final = 31


class Step:
    """A change. Base class."""

    def __init__(self, request: Request) -> None:
        self.request: Request = request  # the request for it

    def report(self, writer: MessageWriter, firewall: Firewall) -> None:
        """Write the message that notifies listeners of it, if there is one."""

    def complete(self) -> None:
        """It has taken effect: release the old state."""

    def undo(self) -> None:
        """Take the change back."""


@final
class Batch:
    """The changes so far."""

    def __init__(self, first: Request, firewall: Firewall) -> None:
        self.network: Network = first.network
        self.firewall: Firewall = firewall
        self.port: int = first.port  # of the socket that sends it
        self.steps: LongList[Step] = LongList()
        self.chains: dict[Chain, bool] = {}  # whose rules have changed
        self.sets: dict[DataSet, bool] = {}  # whose elements have changed
        self.new_chains: list[Chain] = []
        self.new_sets: list[DataSet] = []
        self.new_rules: dict[int, Rule] = {}  # by the numbers that the batch gave them
        self.tables: dict[Table, bool] = {}  # tables to be checked
        self.linking: Request | None = None  # the last message that may have closed a cycle
        self.culprit: Request | None = None  # the message that makes `commit` fail
        self.policies: list[Chain] = []  # of which the policy changes
        self.registered: list[ChainHook] = []  # which see packets from the end of the batch on
        self.generation: int = firewall.next_cursor()

    def add(self, step: Step) -> None:
        """Add a step. Raises MemoryError: then the caller must undo the change."""
        self.steps.append(step)

    def add_made(self, step: Step) -> None:
        """The same for a change already made: it is undone if there is no memory."""
        try:
            self.steps.append(step)
        except MemoryError:
            step.undo()
            raise

    def commit(self) -> None:
        """Check and apply all changes. Raises EINVAL, EMLINK, EOPNOTSUPP, E2BIG, MemoryError: then `abort` follows."""
        if self.steps.count == 0:
            return
        for made in self.new_sets:
            if made.flags & SET_ANONYMOUS != 0 and made.uses == 0 and made.is_in(self.generation):
                self.culprit = made.request
                raise Errno(EINVAL)
        self.culprit = self.linking
        for table in self.tables.keys():
            _check(table, self.generation)
        self.culprit = None
        for chain in self.chains.keys():
            self._prepare(chain)
        for changed in self.sets.keys():
            changed.prepare(self.generation)
        for table in self.firewall.tables:
            if table.flags != table.next_flags and table.is_in(self.generation):
                for chain in table.chains.all_in(self.generation):
                    self._register(chain)
            pace(_FILTER_COST)
        for chain in self.new_chains:
            self._register(chain)
        self._take_effect()
        for chain in self.chains.keys():
            chain.settle_rules()
            pace(_FILTER_COST)
        for changed in self.sets.keys():
            changed.settle_order()
            pace(_FILTER_COST)
        for part in self.steps.parts:
            for step in part:
                step.complete()
                pace(_STEP_COST)

    def _prepare(self, chain: Chain) -> None:
        """List the rules that packets will see."""
        prepared: list[Rule] = []
        alike = bytearray(len(chain.rules))
        before: Rule | None = None
        for rule in list(chain.rules):
            if rule.is_in(self.generation):
                count = count_alike(rule, before)
                alike[len(prepared)] = count
                prepared.append(rule)
                before = rule
                pace(count * _LIKE_COST)
            pace(_RULE_COST)
        chain.kept = prepared[:]
        chain.prepared = RuleList(prepared, alike)
        chain.prepared_for = self.generation

    def _register(self, chain: Chain) -> None:
        """Register a base chain that is new, or whose table is no longer dormant. It sees no packets yet: others
        run before the batch takes effect. Raises E2BIG, MemoryError.
        """
        table = chain.table
        if chain.base is None or table is None or not table.is_in(self.generation) or not chain.is_in(self.generation):
            pace(_FILTER_COST)
            return
        hook = register_chain(self.network, self.firewall, table, chain)
        if hook is not None:
            self.registered.append(hook)
        pace(_REGISTER_COST)

    def _take_effect(self) -> None:
        """Switch to the next generation. Nothing sleeps, and nothing fails."""
        firewall = self.firewall
        firewall.cursor = self.generation
        firewall.generation = firewall.generation % _WORD + 1
        for chain in self.policies:
            chain.policy = chain.next_policy
        for hook in self.registered:
            hook.is_awake = True
        self.new_chains.clear()  # `abort` no longer removes them

    def abort(self) -> None:
        """Undo everything. Needs no memory."""
        while (step := self.steps.take_last()) is not None:
            step.undo()
            pace(_STEP_COST)
        for chain in self.chains.keys():
            chain.prepared = None
            chain.kept = None
            _drop_undone(chain)
        for changed in self.sets.keys():
            changed.prepared = None
        for chain in self.new_chains:
            unregister_chain(self.network, chain)
            pace(_FILTER_COST)

    def forget_steps(self) -> None:
        """Drop the steps: nothing is left to undo."""
        while self.steps.take_last() is not None:
            pace(_STEP_COST)


def _drop_undone(chain: Chain) -> None:
    """Remove rules that are in no generation from a chain, in place."""
    rules = chain.rules
    kept = 0
    for i in range(len(rules)):
        if rules[i].absent != NOWHERE:
            rules[kept] = rules[i]
            kept += 1
        pace(_FILTER_COST)
    while len(rules) > kept:
        rules.pop()
        pace(_FILTER_COST)


class Loading:
    """Resolves the names in a message, which is about a table, in the generation that a batch creates."""

    def __init__(self, batch: Batch, table: Table) -> None:
        self.batch: Batch = batch
        self.table: Table = table
        self.generation: int = batch.generation
        self.chain: Chain | None = None  # of a rule: where it will be …
        self.protocol: Attributes | None = None  # … and the protocol it declares (NFTA_RULE_COMPAT)

    def find_set(self, attributes: Attributes, name_kind: int, number_kind: int) -> DataSet:
        """The set that attributes name. Raises ENOENT."""
        found = self.table.sets.find(attributes.text(name_kind, NAME_LIMIT), self.generation)
        if found is None and attributes.has(number_kind):
            number = attributes.be32(number_kind)
            pace(len(self.batch.new_sets) * _NUMBER_COST)
            for made in reversed(self.batch.new_sets):  # usually it is the last one
                if made.number == number and made.is_in(self.generation) and made.table is self.table:
                    return made
        if found is None or not isinstance(found, DataSet):
            attributes.blame(name_kind)
            raise Errno(ENOENT)
        return found

    def chain_by_number(self, number: int) -> Chain | None:
        """A chain that this batch created. Sleeps."""
        pace(len(self.batch.new_chains) * _NUMBER_COST)
        for chain in self.batch.new_chains:
            if chain.number == number and chain.is_in(self.generation) and chain.table is self.table:
                return chain
        return None

    def find_object(self, name: bytes, kind: int) -> StatefulObject | None:
        """A named object of a kind."""
        return self.table.objects.find(name + bytes([kind & 0xFF]), self.generation)

    def load_expression(self, attributes: Attributes) -> Expression:
        """Read an expression: its name, and its attributes. Raises EINVAL, ENOENT for an unknown kind, and what
        the kind raises.
        """
        if not attributes.has(1):
            raise Errno(EINVAL)
        loader = LOADERS.get(attributes.text(1, _EXPRESSION_NAME_LIMIT))
        if loader is None:
            attributes.blame(1)
            raise Errno(ENOENT)
        inner = attributes.nested(2)
        return loader.load(inner, self)


# ---- Checks -----------------------------------------------------------------------------------------------------


@final
class CheckNumber:
    """Numbers checks, so that each knows which chains it has visited."""

    def __init__(self) -> None:
        self.last: int = 0

    def take(self) -> int:
        """The next number."""
        self.last += 1
        return self.last


_NUMBER: Final = CheckNumber()


@final
class Visit:
    """A chain whose rules are being checked, at this depth of jumps."""

    def __init__(self, chain: Chain, depth: int) -> None:
        self.chain: Chain = chain
        self.depth: int = depth
        self.rules: list[Rule] = list(chain.rules)
        self.rule: int = 0  # the next one …
        self.expression: int = 0  # … and its next expression
        self.waiting: deque[Chain] = deque()  # the targets of the last expression

    def next_target(self, base: Chain, family: int, generation: int) -> Chain | None:
        """Examine expressions, until one leads to another chain; None at the end. Raises EOPNOTSUPP, MemoryError.
        Sleeps.
        """
        while True:
            if len(self.waiting) > 0:
                return self.waiting.popleft()
            if self.rule >= len(self.rules):
                return None
            rule = self.rules[self.rule]
            if not rule.is_in(generation) or self.expression >= len(rule.expressions):
                self.rule += 1
                self.expression = 0
                pace(_RULE_COST)
                continue
            expression = rule.expressions[self.expression]
            self.expression += 1
            expression.check(base, family)
            for target in expression.targets(generation):
                self.waiting.append(target)
                pace(_NUMBER_COST)
            pace(_RULE_COST)
            if is_dying():
                raise Errno(EINTR)


def _check(table: Table, generation: int) -> None:
    """Check that every rule reachable from a base chain may be used there, and that no path of jumps is too long, so
    there is no cycle. A chain is visited at most once for each depth. Raises EMLINK, EOPNOTSUPP, MemoryError.
    """
    if not table.is_in(generation):
        return
    for base in table.chains.all_in(generation):
        if base.base is not None:
            _check_from(base, table.family, generation)


def _check_from(base: Chain, family: int, generation: int) -> None:
    """Check in the order of a packet's path: so the first mistake is the one that Linux finds."""
    number = _NUMBER.take()
    way: list[Visit] = [Visit(base, 0)]
    while len(way) > 0:
        visit = way[len(way) - 1]
        target = visit.next_target(base, family, generation)
        if target is None:
            way.pop()
            continue
        depth = visit.depth + 1
        if depth >= DEPTH:
            raise Errno(EMLINK)
        if target.checked_for == number and target.checked_depth >= depth:
            continue
        target.checked_for = number
        target.checked_depth = depth
        way.append(Visit(target, depth))
