"""The end of a network's firewall.

Context: the network thread; nothing sleeps.
"""

from typing import Final

from kernel.lang import final
from kernel.lib.pace import spend
from kernel.net.link.network import Network
from kernel.net.link.thread import Work, schedule_work
from kernel.net.nftables.base_chains import unregister_chain
from kernel.net.nftables.expression import finish_all
from kernel.net.nftables.model import Chain, Firewall, RuleList, Table, firewall_of
from kernel.net.nftables.sets import DataSet

_RULES: Final = 200  # per turn
_RULE_COST: Final = 300  # instructions


@final
class Demolition(Work):
    """Takes apart the tables of an ended network, a share in each turn: rules refer to the network, and chains
    and sets to their tables.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network: Network | None = network

    def run(self, now_ns: int) -> None:
        network = self.network
        if network is None:
            return
        firewall = firewall_of(network)
        left = _RULES
        while left > 0 and len(firewall.tables) > 0:
            left -= _take_apart(network, firewall, firewall.tables[len(firewall.tables) - 1], left)
        if len(firewall.tables) > 0:
            schedule_work(self)
        else:
            self.network = None


def _take_apart(network: Network, firewall: Firewall, table: Table, share: int) -> int:
    """Take apart a share of a table; returns how much it was, at least 1."""
    done = 1
    while done < share:
        done += 1
        spend(_RULE_COST)
        chain = table.chains.any_one()
        if chain is not None:
            unregister_chain(network, chain)
            if len(chain.rules) > 0:
                finish_all(chain.rules.pop().expressions)
            else:
                _empty(chain)
                table.chains.remove(chain)
            continue
        found = table.sets.any_one()
        if found is None:
            firewall.tables.pop()
            return done
        if isinstance(found, DataSet):
            found.end()
        table.sets.remove(found)
    return done


def _empty(chain: Chain) -> None:
    chain.active = RuleList([], bytearray())
    chain.by_handle.clear()
    chain.table = None


def end_firewall(network: Network) -> None:
    """Take an ended network's firewall apart. Raises MemoryError, with nothing done."""
    if len(firewall_of(network).tables) > 0:
        schedule_work(Demolition(network))
