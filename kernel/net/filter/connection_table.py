"""The connections of a network, indexed by both their tuples.

A tuple is found by a keyed hash of 32 bits; tuples with the same hash form a chain. All connections are in a list in
the order in which they were entered. Each has a timer, which ends it; a new packet only moves its deadline.

There are at most nf_conntrack_max in a network, and no more than leave an eighth of memory free. When there is no
room, an unanswered or closing connection is evicted; a bounded number of them is examined.

Invariants: a connection is in the table from its confirmation until it is DYING; no two have a tuple in common; `count`
of them are linked. A cursor points to a connection of the list, or to its end.
Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import EBUSY, Errno, final
from kernel.lib.pace import spend
from kernel.mm.keeping import has_room_to_keep
from kernel.net.filter.connection import (
    EVENT_DESTROY,
    EVENT_NEW,
    STATUS_ASSURED,
    STATUS_CONFIRMED,
    STATUS_DYING,
    STATUS_SRC_NAT,
    Connection,
)
from kernel.net.filter.nat_chain_lists import NatChains
from kernel.net.filter.tracking_settings import SETTINGS
from kernel.net.filter.tuples import Tuple, source_hash
from kernel.net.link.network import Network
from kernel.net.link.part import Part
from kernel.net.link.thread import Work, schedule_work
from kernel.net.link.timers import NEVER_NS, NetworkTimer
from kernel.time import monotonic_ns, realtime_ns

_LOOKED_AT: Final = 16  # connections examined when room is needed
_TAKEN_APART: Final = 64  # connections of a network that has ended, per turn
_MOST_WALKS: Final = 256
_END_COST: Final = 1000  # instructions for taking a connection out of the tables


class ConnectionWatcher:
    """Is notified of connections: ctnetlink. Base class."""

    def has_listener(self, network: Network) -> bool:
        """Whether anyone wants to be notified of connections that begin from now on."""
        return False

    def changed(self, network: Network, connection: Connection, changes: int) -> None:
        """EVENT_* happened to a reported connection. Raises nothing."""


@final
class Watch:
    """The registered watchers."""

    def __init__(self) -> None:
        self.watcher: ConnectionWatcher = ConnectionWatcher()


WATCH: Final = Watch()


@final
class Cursor:
    """The position of a walk over all connections, which may pause."""

    def __init__(self) -> None:
        self.at: Connection | None = None


@final
class Statistics:
    """The counters of /proc/net/stat/nf_conntrack."""

    def __init__(self) -> None:
        self.found: int = 0
        self.invalid: int = 0
        self.inserted: int = 0
        self.insert_failed: int = 0
        self.dropped: int = 0
        self.dropped_early: int = 0
        self.errors: int = 0


@final
class _Expiry(NetworkTimer):
    """Ends a connection."""

    def __init__(self, table: "ConnectionTable", connection: Connection) -> None:
        super().__init__()
        self.table: ConnectionTable = table
        self.connection: Connection = connection

    def expire(self, now_ns: int) -> None:
        self.table.drop(self.connection)


@final
class ConnectionTable(Part):
    """The connections of one network."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network: Network | None = network  # None: it has ended
        self.by_hash: dict[int, Tuple] = {}
        self.by_source: dict[int, Connection] = {}
        self.first: Connection | None = None
        self.last: Connection | None = None
        self.count: int = 0
        self.cursors: list[Cursor] = []
        self.next_victim: Cursor = Cursor()  # always among `cursors`
        self.statistics: Statistics = Statistics()
        self.last_serial: int = 0
        self.users4: int = 0  # of tracking, by family
        self.users6: int = 0
        self.chains4: NatChains = NatChains()
        self.chains6: NatChains = NatChains()
        self.cursors.append(self.next_victim)

    def end(self) -> None:
        super().end()
        self.network = None
        LEFT.add(self)

    # ---- Looking up -------------------------------------------------------------------------------------------

    def find(self, wanted: Tuple) -> Tuple | None:
        """The tuple in the table that equals this one, whose `hash` is set."""
        found = self.by_hash.get(wanted.hash)
        while found is not None and not found.equals(wanted):
            found = found.next
        return found

    def is_taken(self, wanted: Tuple) -> bool:
        """Whether a connection has this tuple. Sets its `hash`."""
        wanted.compute_hash()
        return self.find(wanted) is not None

    def find_by_source(self, source: bytes, port: int, protocol: int) -> Connection | None:
        """The first of the translated connections whose sources have this hash; `next_of_source` links the others."""
        return self.by_source.get(source_hash(source, port, protocol))

    # ---- Beginning and end ------------------------------------------------------------------------------------

    def make_room(self) -> bool:
        """Make sure that there is room for another connection. False: there is none."""
        most = SETTINGS.most.value
        if (most == 0 or self.count < most) and has_room_to_keep():
            return True
        if self._drop_early():
            self.statistics.dropped_early += 1
            return True
        self.statistics.dropped += 1
        return False

    def _drop_early(self) -> bool:
        """Evict one connection that is no loss, from among the next few."""
        cursor = self.next_victim
        for _ in range(min(_LOOKED_AT, self.count)):
            connection = cursor.at
            if connection is None:
                connection = self.first
                if connection is None:
                    return False
            cursor.at = connection.next
            tcp = connection.tcp
            if not connection.has(STATUS_ASSURED) or (tcp is not None and tcp.is_closing()):
                self.drop(connection)
                return True
        return False

    def confirm(self, connection: Connection) -> bool:
        """The first packet of a connection has passed all hooks: enter it. False: it is dying, or another one has
        one of its tuples. Raises MemoryError, with nothing done.
        """
        original = connection.original
        reply = connection.reply
        if self.network is None or connection.has(STATUS_DYING):
            return False
        if self.is_taken(original) or self.is_taken(reply):
            self.statistics.insert_failed += 1
            return False
        timer = _Expiry(self, connection)
        entered = 0
        try:
            timer.start(monotonic_ns() + connection.timeout_ns)
            self._enter_tuple(original)
            entered = 1
            self._enter_tuple(reply)
            entered = 2
            if connection.has(STATUS_SRC_NAT):
                self._enter_source(connection)
        except MemoryError:
            if entered > 1:
                self._leave_tuple(reply)
            if entered > 0:
                self._leave_tuple(original)
            timer.remove()
            raise
        original.connection = connection
        reply.connection = connection
        connection.timer = timer
        connection.status |= STATUS_CONFIRMED
        if connection.is_timed:
            connection.started_ns = realtime_ns()
        self.last_serial += 1
        connection.serial = self.last_serial
        self._link(connection)
        self.statistics.inserted += 1
        connection.note(EVENT_NEW)
        return True

    def drop(self, connection: Connection) -> None:
        """End a connection, if it has not ended. Reports that, unless it has been reported already."""
        if connection.has(STATUS_DYING):
            return
        connection.status |= STATUS_DYING
        timer = connection.timer
        if timer is None:
            return  # it was never entered
        spend(_END_COST)
        connection.stopped_ns = realtime_ns() if connection.is_timed else 0
        deadline_ns = timer.deadline_ns
        connection.timeout_ns = 0 if deadline_ns == NEVER_NS else max(deadline_ns - monotonic_ns(), 0)
        timer.remove()
        connection.timer = None
        network = self.network
        if network is not None and connection.is_reported:
            WATCH.watcher.changed(network, connection, EVENT_DESTROY)
        self._leave_tuple(connection.original)
        self._leave_tuple(connection.reply)
        if connection.is_by_source:
            self._leave_source(connection)
        self._unlink(connection)

    def report(self, connection: Connection) -> None:
        """Tell listeners what has changed."""
        changes = connection.changes
        connection.changes = 0
        network = self.network
        if network is not None and changes != 0 and not connection.has(STATUS_DYING):
            WATCH.watcher.changed(network, connection, changes)

    # ---- Links ------------------------------------------------------------------------------------------------

    def _enter_tuple(self, tuple_: Tuple) -> None:
        """Link a tuple into its chain. Raises MemoryError, with nothing done."""
        head = self.by_hash.get(tuple_.hash)
        if head is None:
            self.by_hash[tuple_.hash] = tuple_
        else:
            tuple_.next = head.next
            head.next = tuple_

    def _leave_tuple(self, tuple_: Tuple) -> None:
        head = self.by_hash.get(tuple_.hash)
        following = tuple_.next
        tuple_.next = None
        tuple_.connection = None
        if head is None:
            return
        if head is tuple_:
            if following is None:
                self.by_hash.pop(tuple_.hash)
            else:
                self.by_hash[tuple_.hash] = following  # an existing key: no memory is needed
            return
        while head.next is not None and head.next is not tuple_:
            head = head.next
        if head.next is tuple_:
            head.next = following

    def _enter_source(self, connection: Connection) -> None:
        """Link a connection by the hash of its source. Raises MemoryError, with nothing done."""
        original = connection.original
        key = source_hash(original.source, original.source_port, original.protocol)
        head = self.by_source.get(key)
        if head is None:
            self.by_source[key] = connection
        else:
            following = head.next_of_source
            connection.next_of_source = following
            connection.previous_of_source = head
            if following is not None:
                following.previous_of_source = connection
            head.next_of_source = connection
        connection.source_key = key
        connection.is_by_source = True

    def _leave_source(self, connection: Connection) -> None:
        key = connection.source_key
        following = connection.next_of_source
        previous = connection.previous_of_source
        connection.next_of_source = None
        connection.previous_of_source = None
        connection.is_by_source = False
        if following is not None:
            following.previous_of_source = previous
        if previous is not None:
            previous.next_of_source = following
        elif following is None:
            self.by_source.pop(key, connection)
        else:
            self.by_source[key] = following  # an existing key: no memory is needed

    def _link(self, connection: Connection) -> None:
        last = self.last
        connection.previous = last
        if last is None:
            self.first = connection
        else:
            last.next = connection
        self.last = connection
        self.count += 1

    def _unlink(self, connection: Connection) -> None:
        following = connection.next
        previous = connection.previous
        for cursor in self.cursors:
            if cursor.at is connection:
                cursor.at = following
        if previous is None:
            self.first = following
        else:
            previous.next = following
        if following is None:
            self.last = previous
        else:
            following.previous = previous
        connection.next = None
        connection.previous = None
        self.count -= 1


# ---- Networks ---------------------------------------------------------------------------------------------------


def find_table(network: Network) -> ConnectionTable | None:
    """The connections of a network; None if no one has ever asked for them there."""
    part = network.connections
    return part if isinstance(part, ConnectionTable) else None


def table_of(network: Network) -> ConnectionTable:
    """The same; creates an empty table if there is none. Raises MemoryError."""
    part = network.connections
    if isinstance(part, ConnectionTable):
        return part
    table = ConnectionTable(network)
    network.connections = table
    return table


@final
class LeftTables(Work):
    """Takes apart the tables of networks that have ended, a share in each turn."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[ConnectionTable] = []

    def add(self, table: ConnectionTable) -> None:
        """Queue a table. Raises MemoryError: then it can be added again."""
        if table not in self.tables:
            self.tables.append(table)
        schedule_work(self)

    def run(self, now_ns: int) -> None:
        while len(self.tables) > 0:
            table = self.tables[len(self.tables) - 1]
            for _ in range(_TAKEN_APART):
                connection = table.first
                if connection is None:
                    break
                table.drop(connection)
            if table.first is not None:
                break
            self.tables.pop()
        if len(self.tables) > 0:
            schedule_work(self)


LEFT: Final = LeftTables()


@final
class Walk:
    """A walk over a network's connections, with pauses: `with walk:`, then `next` until None. Raises EBUSY if too many
    walks are open, because whatever ends a connection must look at all of them.
    """

    def __init__(self, table: ConnectionTable | None) -> None:
        self.table: ConnectionTable | None = table
        self.cursor: Cursor = Cursor()

    def __enter__(self) -> "Walk":
        table = self.table
        if table is not None:
            if len(table.cursors) >= _MOST_WALKS:
                raise Errno(EBUSY)
            table.cursors.append(self.cursor)
            self.cursor.at = table.first
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        table = self.table
        if table is not None:
            table.cursors.remove(self.cursor)

    def next(self) -> Connection | None:
        """The next connection. Nothing sleeps here."""
        connection = self.cursor.at
        if connection is not None:
            self.cursor.at = connection.next
        return connection
