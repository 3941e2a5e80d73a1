"""How networks name each other in messages of rtnetlink: each gives the others small numbers (ip-netns(8), "nsid").

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import EEXIST, Errno, final
from kernel.net.link.network import Network

NOT_ASSIGNED: Final = -1
_MOST: Final = 4096  # that one network names


@final
class NetworkIds:
    """By the number of the network that names, and then by that of the named one."""

    def __init__(self) -> None:
        self.by_owner: dict[int, dict[int, int]] = {}

    def find(self, owner: Network, other: Network) -> int:
        """What a network calls another; NOT_ASSIGNED."""
        ids = self.by_owner.get(owner.number)
        return NOT_ASSIGNED if ids is None else ids.get(other.number, NOT_ASSIGNED)

    def assign(self, owner: Network, other: Network, wanted: int) -> int:
        """Give a network an id, the lowest that is free or the one that is wanted, from 0. Raises EEXIST if it has one,
        or another has that; MemoryError.
        """
        ids = self.by_owner.get(owner.number)
        if ids is None:
            ids = {}
            self.by_owner[owner.number] = ids
        taken: dict[int, bool] = {}
        for used in ids.values():
            taken[used] = True
        if other.number in ids or wanted in taken or len(ids) >= _MOST:
            raise Errno(EEXIST)
        chosen = wanted
        if chosen < 0:
            chosen = 0
            while chosen in taken:
                chosen += 1
        ids[other.number] = chosen
        return chosen

    def find_or_assign(self, owner: Network, other: Network) -> int:
        """Either; NOT_ASSIGNED where there is no room."""
        found = self.find(owner, other)
        if found != NOT_ASSIGNED:
            return found
        try:
            return self.assign(owner, other, NOT_ASSIGNED)
        except Errno:
            return NOT_ASSIGNED

    def network_named(self, owner: Network, identifier: int) -> int:
        """The number of the network that is called so; 0 for none."""
        ids = self.by_owner.get(owner.number)
        if ids is not None:
            for number in ids.keys():
                if ids[number] == identifier:
                    return number
        return 0

    def forget(self, network: Network) -> None:
        """It has ended."""
        self.by_owner.pop(network.number, {})
        for ids in self.by_owner.values():
            ids.pop(network.number, 0)


NETWORK_IDS: Final = NetworkIds()
