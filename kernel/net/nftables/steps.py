"""The changes that make up a batch. Each is made in the next generation, and then recorded here.

Context: batches, which hold the firewall's lock, and sleep between two of them.
"""

from typing import Final

from kernel.lang import final
from kernel.lib.long_list import LongList
from kernel.lib.pace import pace
from kernel.net.netlink.messages import MessageWriter, Request
from kernel.net.nftables.base_chains import unregister_chain
from kernel.net.nftables.batch import Batch, Step
from kernel.net.nftables.element_order import Element
from kernel.net.nftables.expression import finish_all
from kernel.net.nftables.message import (
    DELETE_CHAIN,
    DELETE_ELEMENT,
    DELETE_OBJECT,
    DELETE_RULE,
    DELETE_SET,
    DELETE_TABLE,
    NEW_CHAIN,
    NEW_ELEMENT,
    NEW_OBJECT,
    NEW_RULE,
    NEW_SET,
    NEW_TABLE,
)
from kernel.net.nftables.model import (
    NOWHERE,
    TABLE_DORMANT,
    Chain,
    Firewall,
    Rule,
    StatefulObject,
    Table,
)
from kernel.net.nftables.sets import DataSet
from kernel.net.nftables.shown import (
    begin_elements,
    end_elements,
    position_of,
    put_chain,
    put_element,
    put_object,
    put_rule,
    put_set,
    put_table,
)

_UNREGISTER_COST: Final = 12_000  # instructions: the lists of two places are searched
_LOOK_COST: Final = 30
_TAKE_COST: Final = 100


@final
class NewTable(Step):
    """A table was created."""

    def __init__(self, request: Request, batch: Batch, table: Table) -> None:
        super().__init__(request)
        self.firewall: Firewall = batch.firewall
        self.table: Table = table

    def complete(self) -> None:
        self.table.settle()

    def undo(self) -> None:
        self.firewall.tables.remove(self.table)

    def report(self, writer: MessageWriter, firewall: Firewall) -> None:
        put_table(writer, NEW_TABLE, self.table, firewall)


@final
class TableFlags(Step):
    """A table becomes dormant, or active again."""

    def __init__(self, request: Request, batch: Batch, table: Table) -> None:
        super().__init__(request)
        self.batch: Batch = batch
        self.table: Table = table

    def complete(self) -> None:
        table = self.table
        table.flags = table.next_flags
        if table.flags & TABLE_DORMANT != 0:
            self._put_to_sleep()

    def undo(self) -> None:
        self.table.next_flags = self.table.flags
        if self.table.flags & TABLE_DORMANT != 0:
            self._put_to_sleep()

    def _put_to_sleep(self) -> None:
        """Make the table dormant. Needs no memory. Sleeps."""
        for found in self.table.chains.by_name.values():
            for chain in found:
                if chain.hook is not None:
                    unregister_chain(self.batch.network, chain)
                    pace(_UNREGISTER_COST)
            pace(_LOOK_COST)

    def report(self, writer: MessageWriter, firewall: Firewall) -> None:
        put_table(writer, NEW_TABLE, self.table, firewall)


@final
class DeleteTable(Step):
    """A table was deleted."""

    def __init__(self, request: Request, batch: Batch, table: Table) -> None:
        super().__init__(request)
        self.batch: Batch = batch
        self.table: Table = table

    def complete(self) -> None:
        self.batch.firewall.tables.remove(self.table)

    def undo(self) -> None:
        self.table.absent &= ~self.batch.generation

    def report(self, writer: MessageWriter, firewall: Firewall) -> None:
        put_table(writer, DELETE_TABLE, self.table, firewall)


@final
class NewChain(Step):
    """A chain was created."""

    def __init__(self, request: Request, batch: Batch, table: Table, chain: Chain) -> None:
        super().__init__(request)
        self.batch: Batch = batch
        self.table: Table = table
        self.chain: Chain = chain

    def complete(self) -> None:
        self.chain.settle()

    def undo(self) -> None:
        unregister_chain(self.batch.network, self.chain)
        self.table.chains.remove(self.chain)
        self.chain.table = None

    def report(self, writer: MessageWriter, firewall: Firewall) -> None:
        put_chain(writer, NEW_CHAIN, self.table, self.chain, firewall)


@final
class ChangeChain(Step):
    """A base chain gets another policy, or new counters."""

    def __init__(self, request: Request, table: Table, chain: Chain) -> None:
        super().__init__(request)
        self.table: Table = table
        self.chain: Chain = chain
        self.sets_counters: bool = False
        self.packets: int = 0
        self.bytes: int = 0

    def complete(self) -> None:
        chain = self.chain
        if self.sets_counters:
            chain.has_counters = True
            chain.packets = self.packets
            chain.bytes = self.bytes

    def undo(self) -> None:
        self.chain.next_policy = self.chain.policy

    def report(self, writer: MessageWriter, firewall: Firewall) -> None:
        put_chain(writer, NEW_CHAIN, self.table, self.chain, firewall)


@final
class RenameChain(Step):
    """A chain gets another name. This takes effect at once: packets do not see names."""

    def __init__(self, request: Request, table: Table, chain: Chain) -> None:
        super().__init__(request)
        self.table: Table = table
        self.chain: Chain = chain
        self.old_name: bytes = chain.name
        self.old_names: dict[bytes, list[Chain]] = table.chains.by_name

    def undo(self) -> None:
        """Later steps have been undone, so the names are as they were."""
        self.table.chains.by_name = self.old_names
        self.chain.name = self.old_name

    def report(self, writer: MessageWriter, firewall: Firewall) -> None:
        put_chain(writer, NEW_CHAIN, self.table, self.chain, firewall)


@final
class DeleteChain(Step):
    """A chain was deleted."""

    def __init__(self, request: Request, batch: Batch, table: Table, chain: Chain) -> None:
        super().__init__(request)
        self.batch: Batch = batch
        self.table: Table = table
        self.chain: Chain = chain

    def complete(self) -> None:
        unregister_chain(self.batch.network, self.chain)
        self.table.chains.remove(self.chain)
        self.chain.table = None

    def undo(self) -> None:
        self.chain.absent &= ~self.batch.generation

    def report(self, writer: MessageWriter, firewall: Firewall) -> None:
        put_chain(writer, DELETE_CHAIN, self.table, self.chain, firewall)


@final
class NewRule(Step):
    """A rule was created."""

    def __init__(self, request: Request, table: Table, chain: Chain, rule: Rule, replaced: Rule | None) -> None:
        super().__init__(request)
        self.table: Table = table
        self.chain: Chain = chain
        self.rule: Rule = rule
        self.replaced: Rule | None = replaced  # the one whose place and handle it took

    def complete(self) -> None:
        self.rule.settle()

    def undo(self) -> None:
        self.withdraw()
        finish_all(self.rule.expressions)

    def withdraw(self) -> None:
        """Remove the rule from both generations, with all its references."""
        rule = self.rule
        for expression in rule.expressions:
            expression.release()
        rule.absent = NOWHERE
        self.forget()

    def forget(self) -> None:
        """Take its handle away, and give it back to the rule that it replaced, if any."""
        replaced = self.replaced
        if replaced is None:
            self.chain.by_handle.pop(self.rule.handle, self.rule)
        else:
            self.chain.by_handle[replaced.handle] = replaced

    def report(self, writer: MessageWriter, firewall: Firewall) -> None:
        rules = self.chain.rules
        is_last = len(rules) > 0 and rules[len(rules) - 1] is self.rule
        position = 0 if is_last else position_of(self.chain, self.rule, firewall.cursor)
        put_rule(writer, NEW_RULE, self.table, self.chain, self.rule, position, firewall)


@final
class DeleteRule(Step):
    """A rule was deleted."""

    def __init__(self, request: Request, batch: Batch, table: Table, chain: Chain, rule: Rule) -> None:
        super().__init__(request)
        self.batch: Batch = batch
        self.table: Table = table
        self.chain: Chain = chain
        self.rule: Rule = rule

    def complete(self) -> None:
        rule = self.rule
        if self.chain.by_handle.get(rule.handle) is rule:
            del self.chain.by_handle[rule.handle]
        finish_all(rule.expressions)

    def undo(self) -> None:
        self.rule.absent &= ~self.batch.generation
        for expression in self.rule.expressions:
            expression.take()

    def report(self, writer: MessageWriter, firewall: Firewall) -> None:
        put_rule(writer, DELETE_RULE, self.table, self.chain, self.rule, 0, firewall)


@final
class NewSet(Step):
    """A set was created."""

    def __init__(self, request: Request, table: Table, made: DataSet) -> None:
        super().__init__(request)
        self.table: Table = table
        self.made: DataSet = made

    def complete(self) -> None:
        self.made.settle()
        self.made.request = None

    def undo(self) -> None:
        self.table.sets.remove(self.made)
        self.made.end()

    def report(self, writer: MessageWriter, firewall: Firewall) -> None:
        put_set(writer, NEW_SET, self.table, self.made, firewall)


@final
class DeleteSet(Step):
    """A set was deleted, with its elements."""

    def __init__(
        self, request: Request, batch: Batch, table: Table, gone: DataSet, elements: LongList[Element]
    ) -> None:
        super().__init__(request)
        self.batch: Batch = batch
        self.table: Table = table
        self.gone: DataSet = gone
        self.elements: LongList[Element] = elements  # whose references have been dropped

    def complete(self) -> None:
        self.table.sets.remove(self.gone)
        self.gone.end()

    def undo(self) -> None:
        self.gone.absent &= ~self.batch.generation
        for part in self.elements.parts:
            for element in part:
                element.take()
                pace(_TAKE_COST)

    def report(self, writer: MessageWriter, firewall: Firewall) -> None:
        put_set(writer, DELETE_SET, self.table, self.gone, firewall)


@final
class NewElement(Step):
    """An element was created."""

    def __init__(self, request: Request, table: Table, owner: DataSet, element: Element) -> None:
        super().__init__(request)
        self.table: Table = table
        self.owner: DataSet = owner
        self.element: Element = element

    def complete(self) -> None:
        self.element.settle()

    def undo(self) -> None:
        self.element.release()
        self.owner.remove(self.element)
        self.owner.count -= 1
        self.element.absent = NOWHERE

    def report(self, writer: MessageWriter, firewall: Firewall) -> None:
        place = begin_elements(writer, NEW_ELEMENT, self.table, self.owner, firewall)
        put_element(writer, self.element)
        end_elements(writer, place)


@final
class DeleteElement(Step):
    """An element was deleted."""

    def __init__(self, request: Request, batch: Batch, table: Table, owner: DataSet, element: Element) -> None:
        super().__init__(request)
        self.batch: Batch = batch
        self.table: Table = table
        self.owner: DataSet = owner
        self.element: Element = element

    def complete(self) -> None:
        self.owner.remove(self.element)
        self.element.absent = NOWHERE

    def undo(self) -> None:
        self.element.absent &= ~self.batch.generation
        self.element.take()
        self.owner.count += 1

    def report(self, writer: MessageWriter, firewall: Firewall) -> None:
        place = begin_elements(writer, DELETE_ELEMENT, self.table, self.owner, firewall)
        put_element(writer, self.element)
        end_elements(writer, place)


@final
class NewObject(Step):
    """A named object was created."""

    def __init__(self, request: Request, table: Table, made: StatefulObject) -> None:
        super().__init__(request)
        self.table: Table = table
        self.made: StatefulObject = made

    def complete(self) -> None:
        self.made.settle()

    def undo(self) -> None:
        self.table.objects.remove(self.made)

    def report(self, writer: MessageWriter, firewall: Firewall) -> None:
        put_object(writer, NEW_OBJECT, self.table, self.made, firewall)


@final
class DeleteObject(Step):
    """A named object was deleted."""

    def __init__(self, request: Request, batch: Batch, table: Table, gone: StatefulObject) -> None:
        super().__init__(request)
        self.batch: Batch = batch
        self.table: Table = table
        self.gone: StatefulObject = gone

    def complete(self) -> None:
        self.table.objects.remove(self.gone)

    def undo(self) -> None:
        self.gone.absent &= ~self.batch.generation

    def report(self, writer: MessageWriter, firewall: Firewall) -> None:
        put_object(writer, DELETE_OBJECT, self.table, self.gone, firewall)
