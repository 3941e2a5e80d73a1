"""Base chains are registered as hooks, at one point of each version of IP that their table's family covers.

Chains of type nat see only the first packet of a connection: connection tracking runs them. It registers itself here;
a kernel without it has no such chains.

Context: batches, and the end of networks; nothing sleeps.
"""

from typing import Final

from kernel.lang import E2BIG, ENOENT, Errno, final
from kernel.net.link.hooks import Hook, hooks_of, register_hook, unregister_hook
from kernel.net.link.network import Network
from kernel.net.nftables.evaluate import ChainHook
from kernel.net.nftables.model import TABLE_DORMANT, TYPE_NAT, Chain, Firewall, Table, families_of

_MOST_HOOKS: Final = 1024  # at a point, as on Linux


class NatChains:
    """Where chains of type nat are registered. Base class: nowhere."""

    def is_there(self) -> bool:
        """Whether such chains are possible."""
        return False

    def enter(self, network: Network, family: int, point: int, hook: Hook) -> None:
        """Have a chain decide about new connections. Raises ENOENT, E2BIG if there are too many already, MemoryError,
        with nothing done.
        """
        raise Errno(ENOENT)

    def leave(self, network: Network, family: int, point: int, hook: Hook) -> None:
        """The reverse."""


@final
class NatPlace:
    """The current implementation."""

    def __init__(self) -> None:
        self.chains: NatChains = NatChains()


NAT: Final = NatPlace()


def register_chain(network: Network, firewall: Firewall, table: Table, chain: Chain) -> ChainHook | None:
    """Have packets pass a base chain as soon as the returned hook is awake; None if its table is dormant.
    Raises E2BIG if too many hooks exist already, MemoryError, with nothing done.
    """
    base = chain.base
    if base is None or chain.hook is not None or table.next_flags & TABLE_DORMANT != 0:
        return None
    hook = ChainHook(chain, firewall, base.priority)
    done = 0
    families = families_of(table.family)
    try:
        for family in families:
            if base.kind == TYPE_NAT:
                NAT.chains.enter(network, family, base.point, hook)
            else:
                hooks = hooks_of(network, family)
                if hooks is not None and len(hooks.lists[base.point]) >= _MOST_HOOKS:
                    raise Errno(E2BIG)
                register_hook(network, family, base.point, hook)
            done += 1
    except (Errno, MemoryError):
        for i in range(done):
            _take_out(network, families[i], chain, hook)
        raise
    chain.families = families
    chain.hook = hook
    return hook


def _take_out(network: Network, family: int, chain: Chain, hook: Hook) -> None:
    base = chain.base
    if base is None:
        return
    if base.kind == TYPE_NAT:
        NAT.chains.leave(network, family, base.point, hook)
    else:
        unregister_hook(network, family, base.point, hook)


def unregister_chain(network: Network, chain: Chain) -> None:
    """Packets no longer pass the chain, if they did."""
    hook = chain.hook
    if hook is None:
        return
    for family in chain.families:
        _take_out(network, family, chain, hook)
    chain.hook = None
