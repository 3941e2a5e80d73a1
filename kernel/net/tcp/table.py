"""Finding the owner of a segment: connections by both addresses and ports, TIME_WAIT, listeners by port.

Invariants: a channel is in the table from its SYN until its connection is CLOSED. `Listener.half_open` counts its
channels in SYN_RECEIVED.
Context: thread context; nothing sleeps, but `remove_listener` takes safe points.
"""

from typing import Final

from kernel.fs.file import File
from kernel.lang import deque, final, inline
from kernel.lib.credentials import Credentials
from kernel.lib.order import Order
from kernel.lib.pace import pace, spend
from kernel.lib.socket_group import SocketGroup
from kernel.net.link import ethernet
from kernel.net.link.network import FIRST_NETWORK, Network
from kernel.net.link.packet import Packet
from kernel.net.link.timers import NetworkTimer
from kernel.net.sockets.bpf import Filter
from kernel.net.sockets.inet import IP4_BIT, IP6_BIT, listed_ports
from kernel.net.sockets.inet_socket import InetSocket
from kernel.net.sockets.port_group import PortGroup
from kernel.net.tcp import timers
from kernel.net.tcp.channel import HOOK, NOWHERE, Channel, PortHold, SettleHook, settle
from kernel.net.tcp.closing import abort
from kernel.net.tcp.connection import Connection
from kernel.net.tcp.index import BucketWalk, ConnectionIndex, key_of
from kernel.net.tcp.memory import account
from kernel.net.tcp.secrets import table_hash
from kernel.net.tcp.tcp_options import TcpOptions
from kernel.net.tcp.tcp_settings import SETTINGS
from kernel.net.tcp.time_wait import TimeWait
from kernel.sched import WaitQueue
from kernel.task.async_io import signal_urgent
from kernel.time import monotonic_ns

_LOOK_COST: Final = 60  # instructions for each listener at a port
_COUNT_COST: Final = 30  # and to count it
_BUCKET_COST: Final = 400  # for a place of the table, and those in it
_DROP_COST: Final = 10_000  # instructions for ending a connection, besides what its packets report to have spent
_EXPIRED_AT_ONCE: Final = 128  # states of TIME_WAIT: more follow
_EXPIRE_COST: Final = 1000


@final
class Listener:
    """A socket in state LISTEN."""

    def __init__(self, hold: PortHold, options: TcpOptions, backlog: int, family: int, file: File) -> None:
        self.hold: PortHold = hold
        self.network: Network = hold.binding.network
        self.options: TcpOptions = options
        self.backlog: int = backlog
        self.family: int = family
        self.file: File | None = file  # the socket
        self.ready: deque[Channel] = deque()  # may be accepted
        self.half_open: list[Channel] = []
        self.queue: WaitQueue = WaitQueue()
        self.is_closed: bool = False
        self.filter: Filter | None = None  # SO_ATTACH_FILTER
        self.mark: int = 0  # of its packets
        self.group: SocketGroup | None = None  # the socket's: programs judge its packets
        self.creator: Credentials | None = None  # its opener
        self.credentials: Credentials | None = None  # for accepted sockets
        self.port_group: PortGroup | None = None  # SO_REUSEPORT

    def is_full(self) -> bool:
        """Whether no further connection may become ready. As on Linux, one more than requested is let in."""
        return len(self.ready) > self.backlog

    def fits(self, destination: bytes, device_index: int) -> int:
        """How well the listener fits a segment; 0: it does not."""
        binding = self.hold.binding
        if binding.versions & (IP4_BIT if len(destination) == 4 else IP6_BIT) == 0:
            return 0
        score = 1
        if len(binding.address) != 0:
            if binding.address != destination:
                return 0
            score += 4
        if binding.device_index != 0:
            if binding.device_index != device_index:
                return 0
            score += 4
        if binding.versions != IP4_BIT | IP6_BIT:
            score += 1
        return score


@final
class PortTimeWait(TimeWait):
    """A TIME_WAIT that uses a port."""

    def __init__(self, c: Connection, family: int, now_ns: int, hold: PortHold, number: int) -> None:
        super().__init__(c, family, now_ns)
        self.hold: PortHold = hold
        self.number: int = number  # in the queue


@final
class Table:
    """All of TCP's state, in all networks."""

    def __init__(self) -> None:
        self.connections: ConnectionIndex = ConnectionIndex()
        self.is_crowded: bool = False  # a listener's queue is half full: connecting programs should let others run
        self.listeners: dict[int, list[Listener]] = {}  # by `port_key`
        self.waits: dict[int, list[PortTimeWait]] = {}
        self.wait_queue: Order[PortTimeWait] = Order()  # in the order of entering
        self.last_wait: int = 0  # the number that was given last
        self.wait_count: int = 0
        self.timer: WaitTimer = WaitTimer()

    # ---- Connections ------------------------------------------------------------------------------------------

    def insert(self, channel: Channel) -> None:
        """Enter a channel, whose connection has addresses and ports. May raise MemoryError."""
        self.connections.add(channel)
        channel.network.acquire()

    def remove(self, channel: Channel) -> None:
        """Take a channel out, if it is in."""
        if channel.is_listed:
            self.connections.remove(channel)
            channel.network.release()

    @inline
    def find(self, network: Network, local: bytes, local_port: int, remote: bytes, remote_port: int) -> Channel | None:
        """The connection with these ends."""
        return self.connections.find(network, local, local_port, remote, remote_port)

    # ---- Listeners --------------------------------------------------------------------------------------------

    def add_listener(self, listener: Listener) -> None:
        """Enter a listener at its port. Raises MemoryError, with nothing changed."""
        port = port_key(listener.network, listener.hold.binding.port)
        found = self.listeners.get(port)
        if found is None:
            self.listeners[port] = [listener]
        else:
            found.append(listener)

    def group_at(self, socket: InetSocket) -> PortGroup | None:
        """The group of the listeners with which a socket that is about to listen shares its port."""
        found = self.listeners.get(port_key(socket.network, socket.binding.port))
        if found is not None:
            spend(len(found) * _COUNT_COST)
            for listener in found:
                other = listener.file
                if isinstance(other, InetSocket) and socket.shares_port_with(other):
                    return listener.port_group
        return None

    def remove_listener(self, listener: Listener, now_ns: int) -> None:
        """End the listener, and the connections waiting to be accepted. Takes safe points between these: meanwhile
        none is added to them, and none is accepted.
        """
        port = port_key(listener.network, listener.hold.binding.port)
        found = self.listeners.get(port)
        if found is not None and listener in found:
            spend(len(found) * _LOOK_COST)
            found.remove(listener)
            if len(found) == 0:
                del self.listeners[port]
        listener.is_closed = True
        listener.file = None
        listener.queue.wake_all()
        while len(listener.half_open) > 0:
            _drop_unaccepted(listener.half_open.pop(), now_ns)
            ethernet.drain()
            pace(_DROP_COST)
        while len(listener.ready) > 0:
            _drop_unaccepted(listener.ready.popleft(), now_ns)
            ethernet.drain()
            pace(_DROP_COST)

    def find_listener(
        self,
        network: Network,
        local: bytes,
        local_port: int,
        remote: bytes,
        remote_port: int,
        device_index: int,
        packet: Packet,
    ) -> Listener | None:
        """The listener that fits best; among those that share a port by SO_REUSEPORT, the one that a program chooses,
        or else one by hash. May raise MemoryError.
        """
        found = self.listeners.get(port_key(network, local_port))
        if found is None:
            return None
        best: Listener | None = None
        best_score = 0
        equals = 0
        spend((len(found) - 1) * _LOOK_COST)
        for listener in found:
            score = listener.fits(local, device_index)
            if score > best_score:
                best = listener
                best_score = score
                equals = 1
            elif score == best_score and score > 0 and listener.hold.binding.reuse_port:
                equals += 1
                if table_hash(network.number, local_port, remote, remote_port) % equals == 0:
                    best = listener
        group = None if best is None else best.port_group
        if equals > 1 and group is not None and group.chooser is not None:
            wanted = group.choose(packet)
            for listener in found:
                if listener.file is wanted and wanted is not None:
                    return listener
        return best

    def listened_ports(self, network: Network) -> list[int]:
        """The keys of `listeners`, or at least of those in a network. Takes safe points if they are many."""
        return listed_ports(self.listeners, port_key(network, 0))

    def count_sockets(self, network: Network, family: int) -> int:
        """About how many listeners and connections there are, with safe points; TIME_WAIT does not count."""
        count = 0
        for port in self.listened_ports(network):
            listeners = self.listeners.get(port)
            if listeners is not None:
                for listener in listeners:
                    count += 1 if listener.family == family and listener.network is network else 0
                spend(len(listeners) * _COUNT_COST)
            pace(_COUNT_COST)
        walk = BucketWalk(self.connections)
        channels = walk.next()
        while channels is not None:
            for channel in channels:
                count += 1 if channel.family == family and channel.network is network else 0
            pace(_BUCKET_COST)
            channels = walk.next()
        return count

    # ---- TIME_WAIT --------------------------------------------------------------------------------------------

    def begin_wait(self, channel: Channel, now_ns: int) -> None:
        """Keep the necessary state of a connection that has ended. Excess ones are not kept."""
        c = channel.connection
        hold = channel.hold
        if c is None or hold is None or self._has_enough_waits(c.network):
            return
        try:
            wait = PortTimeWait(c, channel.family, now_ns, hold, self.last_wait + 1)
            self.wait_queue.put(wait.number, wait)
        except MemoryError:
            return  # without memory the ports are free at once
        self.last_wait = wait.number
        hold.acquire()
        self.wait_count += 1
        wait.network.time_waits += 1
        try:
            key = key_of(c.network, c.local, c.local_port, c.remote, c.remote_port)
            chain = self.waits.get(key)
            if chain is None:
                chain = []
                self.waits[key] = chain
            chain.append(wait)
            if not self.timer.is_armed():
                self.timer.start(wait.deadline_ns)
        except MemoryError:
            self.end_wait(wait)

    def _has_enough_waits(self, network: Network) -> bool:
        """Whether no more are kept: there is a limit for each network, and one for all but the first together, because
        those of an ended network stay until they expire.
        """
        if network.time_waits >= SETTINGS.max_time_wait.of(network):
            return True
        others = self.wait_count - FIRST_NETWORK.time_waits
        return network is not FIRST_NETWORK and others >= SETTINGS.max_time_wait.of(FIRST_NETWORK)

    def find_wait(
        self, network: Network, local: bytes, local_port: int, remote: bytes, remote_port: int
    ) -> PortTimeWait | None:
        """The remaining state of an ended connection with these ends."""
        if self.wait_count == 0:
            return None
        chain = self.waits.get(key_of(network, local, local_port, remote, remote_port))
        if chain is None:
            return None
        for wait in chain:
            if (
                wait.network is network
                and wait.local_port == local_port
                and wait.remote_port == remote_port
                and wait.remote == remote
                and wait.local == local
            ):
                return wait
        return None

    def end_wait(self, wait: PortTimeWait) -> None:
        """Forget it, and release its port. Needs no memory."""
        if not wait.is_listed:
            return
        wait.is_listed = False
        self.wait_queue.remove(wait.number)
        wait.hold.release()
        self.wait_count -= 1
        wait.network.time_waits -= 1
        key = key_of(wait.network, wait.local, wait.local_port, wait.remote, wait.remote_port)
        chain = self.waits.get(key)
        if chain is None:
            return
        if wait in chain:
            chain.remove(wait)
        if len(chain) == 0:
            del self.waits[key]

    def expire_waits(self, now_ns: int) -> int:
        """Forget some that have expired; returns when to do so again, 0 for never. One that was prolonged goes to the
        end, so that no other waits for it.
        """
        for _ in range(_EXPIRED_AT_ONCE):
            wait = self.wait_queue.first_from(0)
            if wait is None:
                return 0
            spend(_EXPIRE_COST)
            if wait.deadline_ns <= now_ns:
                wait.network.tcp_events.time_waits.count += 1
                self.end_wait(wait)
            elif wait.is_prolonged:
                self._queue_again(wait)
            else:
                return wait.deadline_ns
        return now_ns

    def _queue_again(self, wait: PortTimeWait) -> None:
        """It goes to the end of the queue, or ends if there is no memory for that."""
        self.wait_queue.remove(wait.number)
        self.last_wait += 1
        wait.number = self.last_wait
        wait.is_prolonged = False
        try:
            self.wait_queue.put(wait.number, wait)
        except MemoryError:
            self.end_wait(wait)


@final
class WaitTimer(NetworkTimer):
    """Expires when the oldest TIME_WAIT is over."""

    def expire(self, now_ns: int) -> None:
        next_ns = TABLE.expire_waits(now_ns)
        if next_ns != 0:
            try:
                self.start(next_ns)
            except MemoryError:
                return  # the next connection that ends arms it


def port_key(network: Network, port: int) -> int:
    """The key of a network's listeners at a port."""
    return network.number << 16 | port


TABLE: Final = Table()


def _drop_unaccepted(channel: Channel, now_ns: int) -> None:
    channel.backlog = None
    c = channel.connection
    if c is not None:
        c.is_orphan = True
        abort(c, 0, now_ns)
        c.receive.clear()
        account(c)
        HOOK.target.closed(channel)


def find_owner(channel: Channel) -> Listener | None:
    """The listener that created a channel, while it listens."""
    queue = channel.backlog
    c = channel.connection
    if queue is None or c is None:
        return None
    found = TABLE.listeners.get(port_key(c.network, c.local_port))
    if found is not None:
        for listener in found:
            if listener.queue is queue:
                return listener
    return None


@final
class TableHook(SettleHook):
    """Handles the events that `settle` reports."""

    def established(self, channel: Channel) -> None:
        listener = find_owner(channel)
        if listener is None:
            return
        channel.network.tcp.passive_opens += 1
        if channel in listener.half_open:
            listener.half_open.remove(channel)
        try:
            listener.ready.append(channel)
        except MemoryError:
            _drop_unaccepted(channel, monotonic_ns())
            return
        if 2 * len(listener.ready) > listener.backlog:
            TABLE.is_crowded = True
        listener.queue.wake_all()

    def closed(self, channel: Channel) -> None:
        listener = find_owner(channel)
        if listener is not None and channel in listener.half_open:
            listener.half_open.remove(channel)
        TABLE.remove(channel)
        channel.timer.remove()
        channel.timer.channel = None
        c = channel.connection
        if c is None or c.wire is NOWHERE:
            return
        c.wire = NOWHERE
        if c.rests_in_time_wait:
            TABLE.begin_wait(channel, monotonic_ns())
        hold = channel.hold
        channel.hold = None
        if hold is not None:
            hold.release()

    def urgent(self, channel: Channel) -> None:
        file = channel.file
        if file is not None:
            signal_urgent(file)

    def expire(self, channel: Channel, now_ns: int) -> None:
        c = channel.connection
        if c is not None:
            timers.expire(c, now_ns)
            settle(channel)


HOOK.target = TableHook()
