"""Deleting: a rule with its anonymous sets, a set with its elements, a table with everything.

Context: batches, which hold the firewall's lock, and sleep.
"""

from typing import Final

from kernel.lib.long_list import LongList
from kernel.lib.pace import pace_or_end
from kernel.net.netlink.messages import Request
from kernel.net.nftables.batch import Batch
from kernel.net.nftables.element_order import Element
from kernel.net.nftables.lookups import SetUser
from kernel.net.nftables.model import Chain, Rule, StatefulObject, Table
from kernel.net.nftables.sets import SET_ANONYMOUS, DataSet
from kernel.net.nftables.steps import DeleteChain, DeleteObject, DeleteRule, DeleteSet, DeleteTable

_RULE_COST: Final = 300  # instructions
_ELEMENT_COST: Final = 30


def delete_rules(request: Request, batch: Batch, table: Table, chain: Chain) -> None:
    """Delete all rules of a chain. Raises MemoryError."""
    for rule in chain.rules[:]:
        if rule.is_in(batch.generation):
            delete_rule(request, batch, table, chain, rule)
        pace_or_end(_RULE_COST)


def delete_rule(request: Request, batch: Batch, table: Table, chain: Chain, rule: Rule) -> None:
    """Delete a rule. Raises MemoryError."""
    batch.chains[chain] = True
    batch.add(DeleteRule(request, batch, table, chain, rule))
    rule.absent |= batch.generation
    for expression in rule.expressions:
        expression.release()
    for expression in rule.expressions:
        if isinstance(expression, SetUser):
            found = expression.found
            if found.flags & SET_ANONYMOUS != 0 and found.uses == 0 and found.is_in(batch.generation):
                delete_set(request, batch, table, found)


def delete_set(request: Request, batch: Batch, table: Table, gone: DataSet) -> None:
    """Delete an unused set. Raises MemoryError."""
    elements: LongList[Element] = LongList()
    batch.add(DeleteSet(request, batch, table, gone, elements))
    gone.absent |= batch.generation  # from here on no other code removes elements
    for part in gone.all_in(batch.generation).parts:
        for element in part:
            elements.append(element)
            element.release()
            pace_or_end(_ELEMENT_COST)


def delete_chain(request: Request, batch: Batch, table: Table, chain: Chain) -> None:
    """Delete a chain without rules. Raises MemoryError."""
    batch.add(DeleteChain(request, batch, table, chain))
    chain.absent |= batch.generation


def delete_object(request: Request, batch: Batch, table: Table, gone: StatefulObject) -> None:
    """Delete an unused named object. Raises MemoryError."""
    batch.add(DeleteObject(request, batch, table, gone))
    gone.absent |= batch.generation


def delete_whole_table(request: Request, batch: Batch, table: Table) -> None:
    """Delete a table with all its contents: rules first, because they refer to the rest."""
    chains = table.chains.all_in(batch.generation)
    for chain in chains:
        delete_rules(request, batch, table, chain)
    for each in table.sets.all_in(batch.generation):
        if isinstance(each, DataSet) and each.is_in(batch.generation):
            delete_set(request, batch, table, each)
    for named in table.objects.all_in(batch.generation):
        delete_object(request, batch, table, named)
    for chain in chains:
        delete_chain(request, batch, table, chain)
    batch.add(DeleteTable(request, batch, table))
    table.absent |= batch.generation
