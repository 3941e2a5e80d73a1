"""How networks name each other in messages of rtnetlink: each numbers the others with small ids (ip-netns(8), "nsid").

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import EEXIST, Errno, final
from kernel.net.link.network import Network

NOT_ASSIGNED: Final = -1
_MOST: Final = 4096  # that one network names


@final
class Ids:
    """The ids that one network has given to others."""

    def __init__(self) -> None:
        self.of_network: dict[int, int] = {}  # ids by the networks' numbers
        self.networks: dict[int, int] = {}  # their numbers, by id
        self.lowest: int = 0  # none below is free

    def remove(self, number: int) -> None:
        """Forget the network with this number."""
        identifier = self.of_network.pop(number, NOT_ASSIGNED)
        if identifier != NOT_ASSIGNED:
            self.networks.pop(identifier)
            self.lowest = min(self.lowest, identifier)


@final
class NetworkIds:
    """Ids by the number of the naming network; and which networks name a network, so that they can forget it."""

    def __init__(self) -> None:
        self.by_owner: dict[int, Ids] = {}
        self.owners: dict[int, dict[int, bool]] = {}  # by the number of the named one

    def find(self, owner: Network, other: Network) -> int:
        """The id of another network; NOT_ASSIGNED."""
        ids = self.by_owner.get(owner.number)
        return NOT_ASSIGNED if ids is None else ids.of_network.get(other.number, NOT_ASSIGNED)

    def assign(self, owner: Network, other: Network, wanted: int) -> int:
        """Give a network an id, the lowest free one or a requested one, from 0. Raises EEXIST if it has one,
        or another has that id; MemoryError.
        """
        ids = self.by_owner.get(owner.number)
        if ids is None:
            ids = Ids()
            self.by_owner[owner.number] = ids
        if other.number in ids.of_network or wanted in ids.networks or len(ids.networks) >= _MOST:
            raise Errno(EEXIST)
        chosen = wanted
        if chosen < 0:
            while ids.lowest in ids.networks:
                ids.lowest += 1
            chosen = ids.lowest
        owners = self.owners.get(other.number)
        if owners is None:
            owners = {}
            self.owners[other.number] = owners
        owners[owner.number] = True
        ids.networks[chosen] = other.number
        try:
            ids.of_network[other.number] = chosen
        except MemoryError:
            ids.networks.pop(chosen)
            raise
        return chosen

    def find_or_assign(self, owner: Network, other: Network) -> int:
        """The network's id, assigned if it has none; NOT_ASSIGNED where there is no room."""
        found = self.find(owner, other)
        if found != NOT_ASSIGNED:
            return found
        try:
            return self.assign(owner, other, NOT_ASSIGNED)
        except Errno:
            return NOT_ASSIGNED

    def network_named(self, owner: Network, identifier: int) -> int:
        """The number of the network with this id; 0 for none."""
        ids = self.by_owner.get(owner.number)
        return 0 if ids is None else ids.networks.get(identifier, 0)

    def list_ids(self, owner: Network) -> list[int]:
        """All ids that a network has given, in the order of assignment. Raises MemoryError."""
        ids = self.by_owner.get(owner.number)
        return [] if ids is None else list(ids.of_network.values())

    def forget(self, network: Network) -> None:
        """Forget a network that has ended. Raises MemoryError: then it can be tried again."""
        number = network.number
        owners = self.owners.get(number)
        if owners is not None:
            for owner in owners.keys():
                ids = self.by_owner.get(owner)
                if ids is not None:
                    ids.remove(number)
            self.owners.pop(number)
        own = self.by_owner.get(number)
        if own is not None:
            for other in own.of_network.keys():
                named_by = self.owners.get(other)
                if named_by is not None:
                    named_by.pop(number, False)
                    if len(named_by) == 0:
                        self.owners.pop(other)
            self.by_owner.pop(number)


NETWORK_IDS: Final = NetworkIds()
