"""A bridge's forwarding table: the port that leads to each link address (IEEE 802.1D, section 7.9).

An entry is learned from the source of a frame, and forgotten when nothing has come from there for the ageing time; or a
program has entered it; or it is local: the address of a port, or of the bridge, whose frames are for this host.

As on Linux, whose bridges have a VLAN 1 even if they filter none, an address that was not learned is listed for
that VLAN as well, and programs are notified of both. Frames have no use for that.

A peer may invent addresses without end: from one port a table learns no more than `_MOST_OF_PORT`, and a new address
then evicts the oldest one of that port. In all it learns no more than `_MOST_LEARNED`, and all
tables of networks other than the first one share what `LEARNED` allows; where these are full, a port gives up one of
its own too. Frames for unknown addresses go to all ports, which is slower but otherwise the same.

Many entries are removed in turns, because programs may be notified of each: the first ones at once; the others are
marked, and the timer removes them. Look-ups ignore marked entries.

Invariants: `learned` counts entries that were learned, not entered since, and not marked; `of_ports` has these, by the
number of their port; the timer is armed while there are entries that age, or marked ones.
Context: thread context; nothing sleeps.
Source: IEEE 802.1D-2004, sections 7.8 and 7.9; bridge(8).
"""

from typing import Final

from kernel.lang import ENOSPC, Errno, final
from kernel.lib.pace import pace, spend
from kernel.net.link.device import NetworkDevice
from kernel.net.link.timers import NetworkTimer
from kernel.time import monotonic_ns

_DEFAULT_AGEING_NS: Final = 300_000_000_000
_MOST_LEARNED: Final = 4096  # of a bridge
_MOST_OF_PORT: Final = 1024
_MOST_ENTRIES: Final = 8192  # of a bridge, including those that programs enter; its own addresses aside
_MOST_OF_OTHERS: Final = 16_384  # of all bridges outside the first network
_MOST_FORGOTTEN: Final = 50  # in one turn: programs may be notified of each
_LOOK_COST: Final = 60  # instructions
_TELL_COST: Final = 6000
_FREE_COST: Final = 1500

# Where an address is listed; bits of `Entry.lists`.
PLAIN: Final = 1
IN_VLAN: Final = 2


@final
class Entry:
    """One address."""

    def __init__(self, address: bytes, device: NetworkDevice | None, now_ns: int) -> None:
        self.address: bytes = address
        self.device: NetworkDevice | None = device  # the port's; None: the bridge's own
        self.is_local: bool = False  # frames are for this host
        self.is_static: bool = False  # it does not age
        self.learned_by: int = 0  # the number of the port that counts it as learned; 0: none
        self.is_gone: bool = False  # marked: it is to be removed
        self.is_sticky: bool = False  # it does not move to another port
        self.lists: int = PLAIN
        self.updated_ns: int = now_ns
        self.used_ns: int = now_ns


def _local_entry(address: bytes, device: NetworkDevice | None, now_ns: int) -> Entry:
    """Of a port, or without one, of the bridge."""
    entry = Entry(address, device, now_ns)
    entry.is_local = True
    entry.is_static = True
    entry.lists = PLAIN | IN_VLAN
    return entry


class TableWatcher:
    """Is notified of changes of tables. Base class: every method does nothing."""

    def entry_changed(self, bridge: NetworkDevice, entry: Entry, where: int) -> None:
        """It is new, or has changed, in one list (PLAIN, IN_VLAN). Raises nothing."""

    def entry_deleted(self, bridge: NetworkDevice, entry: Entry, where: int) -> None:
        """It was removed from one. Raises nothing."""


TABLE_WATCHERS: Final[list[TableWatcher]] = []


@final
class Learned:
    """Entries that were learned outside the first network."""

    def __init__(self) -> None:
        self.count: int = 0


LEARNED: Final = Learned()


@final
class ForwardingTable(NetworkTimer):
    """The table of one bridge. The timer removes entries that are too old."""

    def __init__(self, in_first: bool) -> None:
        super().__init__()
        self.bridge: NetworkDevice | None = None  # the bridge sets it, until it ends
        self.in_first: bool = in_first  # a bridge never moves to another network
        self.entries: dict[bytes, Entry] = {}
        self.of_ports: dict[int, dict[bytes, Entry]] = {}  # learned entries, the oldest first
        self.ageing_ns: int = _DEFAULT_AGEING_NS
        self.learned: int = 0
        self.most_learned: int = 0  # a program's limit; 0: no limit but ours

    def find(self, address: bytes) -> Entry | None:
        entry = self.entries.get(address)
        return None if entry is None or entry.is_gone else entry

    def has_expired(self, entry: Entry, now_ns: int) -> bool:
        """Whether an entry is too old."""
        return not entry.is_static and entry.updated_ns + self.ageing_ns <= now_ns

    def learn(self, address: bytes, device: NetworkDevice, now_ns: int) -> None:
        """Learn the source address of a frame from this port. Raises MemoryError."""
        if self.ageing_ns == 0:
            return
        entry = self.entries.get(address)
        if entry is not None and not entry.is_gone:
            if entry.is_local:
                return
            entry.updated_ns = now_ns
            if entry.device is not device and not entry.is_sticky:
                if entry.learned_by != 0:
                    self._move(entry, device.number)
                entry.device = device
                self.tell(entry)
            return
        of_port = self.of_ports.get(device.number)
        count = 0 if of_port is None else len(of_port)
        if self.most_learned != 0 and self.learned >= self.most_learned:
            return
        if self._is_full():
            if count == 0:
                return
            self._drop_oldest(device.number)
        elif count >= _MOST_OF_PORT:
            self._drop_oldest(device.number)
        entry = Entry(address, device, now_ns)
        if not self.is_armed():
            self.start(now_ns + self.ageing_ns)
        self._note(entry, device.number)
        try:
            self.entries[address] = entry
        except MemoryError:
            self._forget(entry)
            raise
        self.learned += 1
        if not self.in_first:
            LEARNED.count += 1
        self.tell(entry)

    def _is_full(self) -> bool:
        if self.learned >= _MOST_LEARNED or len(self.entries) >= _MOST_ENTRIES:
            return True
        return not self.in_first and LEARNED.count >= _MOST_OF_OTHERS

    def _note(self, entry: Entry, number: int) -> None:
        """Count an entry as learned by a port. Raises MemoryError, with nothing done."""
        of_port = self.of_ports.get(number)
        if of_port is None:
            of_port = {entry.address: entry}
            self.of_ports[number] = of_port
        else:
            of_port[entry.address] = entry
        entry.learned_by = number

    def _forget(self, entry: Entry) -> None:
        number = entry.learned_by
        of_port = self.of_ports.get(number)
        if of_port is not None:
            of_port.pop(entry.address)
            if len(of_port) == 0:
                self.of_ports.pop(number)
        entry.learned_by = 0

    def _move(self, entry: Entry, number: int) -> None:
        """A learned address has moved to another port. Raises MemoryError, with nothing done that matters."""
        of_port = self.of_ports.get(number)
        if of_port is not None and len(of_port) >= _MOST_OF_PORT:
            self._drop_oldest(number)
        old = entry.learned_by
        self._note(entry, number)
        entry.learned_by = old
        self._forget(entry)
        entry.learned_by = number

    def _drop_oldest(self, number: int) -> None:
        """Forget the oldest of the addresses that a port has learned."""
        of_port = self.of_ports.get(number)
        if of_port is None:
            return
        oldest: Entry | None = None
        for entry in of_port.values():
            oldest = entry
            break
        if oldest is not None:
            self.remove_entry(oldest)

    def count_no_more(self, entry: Entry) -> None:
        """Stop counting an entry as learned."""
        if entry.learned_by != 0:
            self._forget(entry)
            self.learned -= 1
            if not self.in_first:
                LEARNED.count -= 1

    def enter(self, entry: Entry) -> None:
        """Insert a program's entry, under an address that has no other. Raises ENOSPC, MemoryError."""
        if len(self.entries) >= _MOST_ENTRIES and entry.address not in self.entries:
            raise Errno(ENOSPC)
        if not entry.is_static and not self.is_armed():
            self.start(entry.updated_ns + self.ageing_ns)
        self.entries[entry.address] = entry

    def remove_entry(self, entry: Entry) -> None:
        """Remove an entry."""
        self.count_no_more(entry)
        self.entries.pop(entry.address)
        self.tell_removed(entry, IN_VLAN)
        self.tell_removed(entry, PLAIN)

    def tell_removed(self, entry: Entry, where: int) -> None:
        """Notify watchers that an entry is no longer in a list, if it was there."""
        bridge = self.bridge
        if bridge is not None and entry.lists & where != 0:
            for watcher in TABLE_WATCHERS:
                watcher.entry_deleted(bridge, entry, where)
                spend(_TELL_COST)

    def tell(self, entry: Entry) -> None:
        """Notify watchers that an entry is new, or has changed."""
        self.tell_of(entry, PLAIN)
        self.tell_of(entry, IN_VLAN)

    def tell_of(self, entry: Entry, where: int) -> None:
        """The same, in a list, if it is there."""
        bridge = self.bridge
        if bridge is not None and entry.lists & where != 0:
            for watcher in TABLE_WATCHERS:
                watcher.entry_changed(bridge, entry, where)

    # ---- This host's addresses --------------------------------------------------------------------------------------

    def add_local(self, address: bytes, device: NetworkDevice | None, now_ns: int) -> None:
        """Add the address of a port, or without one, of the bridge. Several ports may have the same. MemoryError."""
        found = self.entries.get(address)
        if found is not None:
            if found.is_local:
                return
            self.remove_entry(found)
        entry = _local_entry(address, device, now_ns)
        self.entries[address] = entry
        self.tell(entry)

    def replace_own(self, old: bytes, new: bytes, heir: NetworkDevice | None, now_ns: int) -> None:
        """The bridge's own address changes, from or to none if that is empty; a port may have the old one, or the new
        one, too. Raises MemoryError.
        """
        made = _local_entry(new, None, now_ns)
        found = self.entries.get(new)
        if found is not None and not found.is_local:
            self.remove_entry(found)
        gone = self.entries.get(old)
        if gone is not None and (not gone.is_local or gone.device is not None):
            gone = None
        inherited = gone
        if heir is not None:
            gone = None
        is_new = len(new) > 0 and (new not in self.entries or (gone is not None and new == old))
        if is_new:
            self.entries[new] = made
        if gone is not None and new != old:
            self.entries.pop(old)
        if inherited is not None and heir is not None:
            inherited.device = heir
        for where in (PLAIN, IN_VLAN):
            if gone is not None:
                self.tell_removed(gone, where)
            if is_new:
                self.tell_of(made, where)

    def drop_local(self, address: bytes, device: NetworkDevice | None, heir: NetworkDevice | None) -> None:
        """Drop such an address. Another port with the same address, or the bridge, takes the entry over."""
        entry = self.entries.get(address)
        if entry is None or not entry.is_local or entry.device is not device:
            return
        if heir is None:
            self.remove_entry(entry)
        else:
            entry.device = None if heir is self.bridge else heir

    def look_cost(self) -> int:
        """What a look at all entries costs, in instructions."""
        return len(self.entries) * _LOOK_COST

    # ---- Forgetting -------------------------------------------------------------------------------------------------

    def forget_port(self, device: NetworkDevice) -> list[Entry]:
        """Remove a port's entries, except local and static ones. Returns the latter, for a port that ends: it need not
        look again. Raises MemoryError, with something still to do.
        """
        static: list[Entry] = []
        if len(self.entries) == 0:
            return static
        gone: list[Entry] = []
        for entry in self.entries.values():
            if entry.device is not device or entry.is_local or entry.is_gone:
                continue
            if entry.is_static:
                static.append(entry)
            else:
                gone.append(entry)
        spend(len(self.entries) * _LOOK_COST)
        self._remove_all(gone)
        return static

    def forget_static(self, entries: list[Entry]) -> None:
        """Remove these, which `forget_port` has left. Raises MemoryError, with something still to do."""
        self._remove_all(entries)

    def flush(self) -> None:
        """Remove the entries that are not permanent. Raises MemoryError."""
        gone: list[Entry] = []
        for entry in self.entries.values():
            if not entry.is_static and not entry.is_gone:
                gone.append(entry)
        spend(len(self.entries) * _LOOK_COST)
        self._remove_all(gone)

    def _remove_all(self, gone: list[Entry]) -> None:
        if len(gone) > _MOST_FORGOTTEN:
            self.start(monotonic_ns())
        for i in range(_MOST_FORGOTTEN, len(gone)):
            gone[i].is_gone = True
            self.count_no_more(gone[i])
        for i in range(min(len(gone), _MOST_FORGOTTEN)):
            self.remove_entry(gone[i])

    def set_ageing(self, ageing_ns: int, now_ns: int) -> None:
        """Change the ageing time. Raises MemoryError."""
        self.ageing_ns = ageing_ns
        if self.is_armed():
            self.start(now_ns)

    def expire(self, now_ns: int) -> None:
        """Remove old entries, a share in each turn."""
        next_ns = -1
        gone: list[Entry] = []
        for entry in self.entries.values():
            if entry.is_static and not entry.is_gone:
                continue
            end_ns = 0 if entry.is_gone else entry.updated_ns + self.ageing_ns
            if end_ns <= now_ns and len(gone) < _MOST_FORGOTTEN:
                gone.append(entry)
            elif next_ns < 0 or end_ns < next_ns:
                next_ns = end_ns
        if next_ns >= 0:
            self.start(max(next_ns, now_ns))
        spend(len(self.entries) * _LOOK_COST)
        self._remove_all(gone)

    def end(self) -> None:
        """The bridge has ended. Entries go with safe points between: nobody else uses them any more."""
        self.remove()
        self.bridge = None
        try:
            addresses = list(self.entries.keys())
        except MemoryError:
            for entry in self.entries.values():
                self.count_no_more(entry)
            self.entries.clear()
            return
        pace(len(addresses) * _LOOK_COST)
        for address in addresses:
            found = self.entries.get(address)
            if found is not None:
                self.entries.pop(address)
                self.count_no_more(found)
            pace(_FREE_COST)
