"""Netlink sockets: datagrams between programs and the kernel (netlink(7)).

A request is carried out while it is sent; the answers are in the sender's queue when sendmsg(2) returns. A dump is
computed whole, then received in pieces. Members of a multicast group are notified of changes; a full queue loses
them, and the next call reports ENOBUFS.

Invariants: `queued_bytes` is what the queue holds; a network's `NetlinkSockets` have every bound socket.
Context: receiving, sending and dumps sleep; `enqueue` and `multicast` do not.
"""

from collections import deque
from typing import Final

from kernel.fs.constants import POLLERR, POLLWRBAND, READABLE, WRITABLE
from kernel.lang import (
    EADDRINUSE,
    ECONNREFUSED,
    EINVAL,
    EMSGSIZE,
    ENOBUFS,
    ENODATA,
    ENOPROTOOPT,
    EOPNOTSUPP,
    EPERM,
    Errno,
    final,
    noinline,
    span_of,
)
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.lib.credentials import Credentials
from kernel.lib.order import Order, Walk
from kernel.lib.pace import PACE, pace, spend
from kernel.net.link.handout import Crowd, Handout
from kernel.net.link.network import Network, PartMaker, register_part
from kernel.net.link.part import Part
from kernel.net.netlink.sent import SentData, take_sent
from kernel.net.sockets.ancillary import timestamp_message
from kernel.net.sockets.bpf import LOST
from kernel.net.sockets.socket import (
    AF_NETLINK,
    AF_UNSPEC,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    SCM_CREDENTIALS,
    SOL_SOCKET,
    SWITCH_PASS_CREDENTIALS,
    ControlMessage,
    Message,
    Socket,
)
from kernel.net.sockets.socket_options import int_bytes, int_of
from kernel.net.unix.identity import CREDENTIALS_SIZE, PeerIdentity, check_claim, own_identity
from kernel.sched import PollWaiter, WaitQueue
from kernel.task import current

NETLINK_ROUTE: Final = 0
NETLINK_SOCK_DIAG: Final = 4
NETLINK_NETFILTER: Final = 12
NETLINK_KOBJECT_UEVENT: Final = 15
NETLINK_GENERIC: Final = 16

SOL_NETLINK: Final = 270
NETLINK_ADD_MEMBERSHIP: Final = 1
NETLINK_DROP_MEMBERSHIP: Final = 2
NETLINK_PKTINFO: Final = 3
NETLINK_BROADCAST_ERROR: Final = 4
NETLINK_NO_ENOBUFS: Final = 5
NETLINK_LIST_MEMBERSHIPS: Final = 9
NETLINK_CAP_ACK: Final = 10
NETLINK_EXT_ACK: Final = 11
NETLINK_LISTEN_ALL_NSID: Final = 8
NETLINK_GET_STRICT_CHK: Final = 12
_SWITCHES: Final = (
    NETLINK_PKTINFO, NETLINK_BROADCAST_ERROR, NETLINK_NO_ENOBUFS, NETLINK_LISTEN_ALL_NSID, NETLINK_CAP_ACK,
    NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK,
)  # fmt: skip

_ADDRESS_SIZE: Final = 12  # struct sockaddr_nl
_OVERHEAD_BYTES: Final = 512
_HIGHEST_GROUP: Final = 64
_LEAVE_COST: Final = 500  # instructions
_LISTENER_COST: Final = 600  # instructions
_OVERRUN_COST: Final = 300
_PORT_COST: Final = 200
_LATEST: Final = -200_000  # instructions: how late a safe point may be for the sake of listeners …
_FEW_LISTENERS: Final = 16  # … beyond the first of them, whom no operation shall rob of its news
_LARGEST_PART: Final = 8192  # of a dump
_HIGHEST_PORT: Final = 0xFFFF_F000
_LOWEST_PORT: Final = 0x8000_0000


class Datagram:
    """What a netlink socket receives."""

    def __init__(self, data: bytes, port: int, group: int, sender: PeerIdentity | None = None) -> None:
        self.data: bytes = data
        self.sender: PeerIdentity | None = sender  # None: the kernel
        self.port: int = port  # of the sender; 0 is the kernel
        self.group: int = group  # 0: for this socket alone
        self.ends_dump: bool = False

    def copy(self) -> "Datagram":
        """One for another socket. Raises MemoryError."""
        return Datagram(self.data, self.port, self.group, self.sender)


class NetlinkSocket(Socket):
    """A netlink socket of one protocol."""

    def __init__(self, kind: int, protocol: int, credentials: Credentials, network: Network) -> None:
        self.opener: Credentials = credentials.without_rules()
        self.queue: deque[Datagram] = deque()
        self.read_queue: WaitQueue = WaitQueue()
        super().__init__(AF_NETLINK, kind, protocol, credentials.fsuid, credentials.fsgid, network)
        self.port: int = 0
        self.is_bound: bool = False
        self.groups: int = 0  # bit n - 1 for group n
        self.peer_port: int = 0
        self.peer_group: int = 0
        self.queued_bytes: int = 0
        self.is_dumping: bool = False
        self.reports_overruns: bool = True
        self.broadcast_errors: bool = False
        self.packet_information: bool = False
        self.caps_acknowledgements: bool = False
        self.extends_acknowledgements: bool = False

    # ---- Names ------------------------------------------------------------------------------------------------

    def bind(self, address: bytes) -> None:
        if len(address) < _ADDRESS_SIZE or span_of(address).load_u16(0) != AF_NETLINK:
            raise Errno(EINVAL)
        port = span_of(address).load_u32(4)
        was_bound = self.is_bound
        if was_bound:
            if port != self.port:
                raise Errno(EINVAL)
        elif port != 0:
            self._take_port(port)
        else:
            self._bind_to_any()
        try:
            self._set_groups((self.groups & ~0xFFFF_FFFF) | span_of(address).load_u32(8))
        except (Errno, MemoryError):
            if not was_bound:
                self._leave_port()
            raise

    def _take_port(self, port: int) -> None:
        netlink_sockets_of(self.network).insert(self, port)
        self.port = port
        self.is_bound = True
        try:
            self._enter_groups(self.groups, 0)
        except MemoryError:
            self._leave_port()
            raise

    def _leave_port(self) -> None:
        """Undo `_take_port`: the socket has no name, and is among no group's listeners."""
        netlink_sockets_of(self.network).take_out(self)
        self._leave_groups(self.groups)
        self.port = 0
        self.is_bound = False

    def _set_groups(self, groups: int) -> None:
        """Join these groups; a socket that is not bound receives nothing from them yet. Raises MemoryError, with
        nothing changed.
        """
        if self.is_bound:
            self._enter_groups(groups, self.groups)
            self._leave_groups(self.groups & ~groups)
        self.groups = groups

    def _enter_groups(self, groups: int, entered: int) -> None:
        """Become a listener of groups, of which it has entered some. Raises MemoryError, with nothing changed."""
        fresh = groups & ~entered
        if fresh == 0:
            return
        sockets = netlink_sockets_of(self.network)
        try:
            for group in range(1, _HIGHEST_GROUP):
                if fresh >> (group - 1) & 1 != 0:
                    sockets.enter(self, group)
        except MemoryError:
            self._leave_groups(fresh)
            raise

    def _leave_groups(self, groups: int) -> None:
        sockets = netlink_sockets_of(self.network)
        left = groups
        while left != 0:
            group = _lowest_group(left)
            sockets.leave(self, group)
            spend(_LEAVE_COST)
            left &= left - 1

    def _bind_to_any(self) -> None:
        """A process's first socket gets the process's number as its port; others get numbers that no process has."""
        port = current().own_pid
        by_port = netlink_sockets_of(self.network).by_port
        while by_port.has(port_key(self.protocol, port)):
            pace(_PORT_COST)
            if self.is_bound:
                return  # by another thread meanwhile
            port = NEXT_PORT.take()
        self._take_port(port)

    def connect(self, address: bytes) -> None:
        if len(address) < 2:
            raise Errno(EINVAL)
        family = span_of(address).load_u16(0)
        if family == AF_UNSPEC:
            self.peer_port = 0
            self.peer_group = 0
            return
        if family != AF_NETLINK or len(address) < _ADDRESS_SIZE:
            raise Errno(EINVAL)
        port = span_of(address).load_u32(4)
        group = _lowest_group(span_of(address).load_u32(8))
        if (port != 0 or group != 0) and not current().credentials.capable_in(self.network.owner, CAP_NET_ADMIN):
            raise Errno(EPERM)
        if not self.is_bound:
            self._bind_to_any()
        self.peer_port = port
        self.peer_group = group

    def local_address(self) -> bytes:
        return address_bytes(self.port, self.groups & 0xFFFF_FFFF)

    def peer_address(self) -> bytes:
        return address_bytes(self.peer_port, _group_mask(self.peer_group))

    def close(self) -> None:
        if self.is_bound:
            netlink_sockets_of(self.network).take_out(self)
            self._leave_groups(self.groups)
        self.queue.clear()
        super().close()

    def held_bytes(self) -> int:
        return super().held_bytes() + self.queued_bytes

    # ---- Sending ----------------------------------------------------------------------------------------------

    def send(self, message: Message) -> int:
        if message.flags & MSG_OOB != 0:
            raise Errno(EOPNOTSUPP)
        length = message.buffer.remaining
        if length == 0:
            raise Errno(ENODATA)
        _check_control(message)
        port = self.peer_port
        group = self.peer_group
        address = message.address
        if address:
            if len(address) < _ADDRESS_SIZE or span_of(address).load_u16(0) != AF_NETLINK:
                raise Errno(EINVAL)
            port = span_of(address).load_u32(4)
            group = _lowest_group(span_of(address).load_u32(8))
            if (port != 0 or group != 0) and not current().credentials.capable_in(self.network.owner, CAP_NET_ADMIN):
                raise Errno(EPERM)
        if not self.is_bound:
            self._bind_to_any()
        pace(0)  # so that no filter drops it for what was before
        if length > self.send_limit - 32:
            raise Errno(EMSGSIZE)
        sent = take_sent(message.buffer, length)
        if sent.length < length:
            message.buffer.faulted = True
            return 0
        data = sent.part(0, length) if group != 0 or port != 0 else b""
        if group != 0:
            multicast(self.network, self.protocol, group, data, self.port, self, own_identity())
        if port != 0:
            other = netlink_sockets_of(self.network).by_port.get(port_key(self.protocol, port))
            if other is None:
                raise Errno(ECONNREFUSED)
            datagram = Datagram(data, self.port, 0, own_identity())
            other.enqueue(datagram)
            return len(datagram.data)  # what its filter has left
        elif group == 0:
            self.handle(sent, None if len(address) > 0 else self.opener)
        return length

    def handle(self, data: SentData, opener: Credentials | None) -> None:
        """Carry out a program's requests to the kernel. Protocols that take no requests ignore them. May sleep.

        `opener`: the creator of the socket must have the right as well: the program may not know where it writes.
        """

    # ---- Receiving --------------------------------------------------------------------------------------------

    def enqueue(self, datagram: Datagram) -> None:
        """Put a datagram into the queue. One that does not fit is lost, as is one for whose filter there is no time;
        ENOBUFS is reported, unless unwanted.
        """
        wanted = self._cut_to_wanted(datagram)
        if wanted == LOST or (wanted > 0 and self.queued_bytes > self.receive_limit):
            self.report_overrun()
            return
        if wanted == 0:
            return
        self.queue.append(datagram)
        self.queued_bytes += len(datagram.data) + _OVERHEAD_BYTES
        self.read_queue.wake_all()

    def report_overrun(self) -> None:
        """Say that a datagram is lost, unless that is unwanted."""
        if self.reports_overruns:
            self.pending_error = ENOBUFS
            self.read_queue.wake_all()

    def _cut_to_wanted(self, datagram: Datagram) -> int:
        """How many bytes of a datagram the filter wants, or LOST; a positive number if there is no filter. Of one that
        is wanted in part the rest is cut off.
        """
        filter_ = self.filter
        if filter_ is None:
            return 1
        wanted = filter_.wanted_of(datagram.data, self)
        if 0 < wanted < len(datagram.data):
            datagram.data = datagram.data[:wanted]
        return wanted

    def enqueue_dump(self, data: bytearray, parts: list[bytes]) -> None:
        """Put the messages of a dump into the queue, whole ones in parts that a program has room for: `parts`, and then
        `data`, which is divided. Sleeps if there is a filter. Raises MemoryError.
        """
        for part in parts:
            self._append_part(part, is_last=False)
        start = 0
        position = 0
        while position < len(data):
            length = (span_of(data).load_u32(position) + 3) & ~3
            if position > start and position + length - start > _LARGEST_PART:
                self._append_part(bytes(data[start:position]), is_last=False)
                start = position
            position += length
        self._append_part(bytes(data[start:position]), is_last=True)
        self.read_queue.wake_all()

    def _append_part(self, part: bytes, is_last: bool) -> None:
        datagram = Datagram(part, 0, 0)
        datagram.ends_dump = is_last
        if self.filter is not None:
            pace(0)  # so that it drops no part for what was before
            wanted = self._cut_to_wanted(datagram)
            if wanted <= 0:
                if wanted == LOST:
                    self.report_overrun()
                self.is_dumping = self.is_dumping and not is_last
                return
            part = datagram.data
        self.queue.append(datagram)
        self.queued_bytes += len(part) + _OVERHEAD_BYTES

    def receive(self, message: Message) -> int:
        if message.flags & MSG_OOB != 0:
            raise Errno(EOPNOTSUPP)
        deadline_ns = self.receive_deadline(message.flags)
        while True:
            if self.pending_error != 0:
                raise Errno(self.take_error())
            if self.queue:
                break
            self.wait(self.read_queue, deadline_ns)
        datagram = self.queue[0]
        # What needs memory comes before the datagram leaves the queue.
        message.address = address_bytes(datagram.port, _group_mask(datagram.group))
        self._report_control(message, datagram)
        if message.flags & MSG_PEEK == 0:
            self.queue.popleft()
            self.queued_bytes -= len(datagram.data) + _OVERHEAD_BYTES
            if datagram.ends_dump:
                self.is_dumping = False
        length = len(datagram.data)
        size = min(length, message.buffer.remaining)
        if size < length:
            message.result_flags |= MSG_TRUNC
        if message.buffer.put(span_of(datagram.data)[0:size]) < size:
            message.buffer.faulted = True
            return 0
        return length if message.flags & MSG_TRUNC != 0 else size

    def _report_control(self, message: Message, datagram: Datagram) -> None:
        if not message.wants_control:
            return
        control: list[ControlMessage] = []
        stamp = timestamp_message(self, 0)
        if stamp is not None:
            control.append(stamp)
        if self.packet_information:
            control.append(ControlMessage(SOL_NETLINK, NETLINK_PKTINFO, int_bytes(datagram.group)))
        if self.is_on(SWITCH_PASS_CREDENTIALS):
            sender = datagram.sender
            shown = bytes(CREDENTIALS_SIZE) if sender is None else sender.shown()
            control.append(ControlMessage(SOL_SOCKET, SCM_CREDENTIALS, shown))
        message.control = control

    # ---- Options and readiness --------------------------------------------------------------------------------

    def check_level(self, level: int) -> None:
        if level != SOL_NETLINK:
            raise Errno(ENOPROTOOPT)

    def least_of_value(self, level: int, name: int, length: int) -> int:
        self.check_level(level)
        return 4 if length >= 4 else 0

    def get_option(self, level: int, name: int, limit: int) -> bytes:
        if level != SOL_NETLINK:
            raise Errno(ENOPROTOOPT)
        if name == NETLINK_LIST_MEMBERSHIPS:
            return b"" if self.groups == 0 else int_bytes(self.groups) + int_bytes(self.groups >> 32)
        if name in _SWITCHES and limit < 4:
            raise Errno(EINVAL)
        if name == NETLINK_EXT_ACK:
            return int_bytes(1 if self.extends_acknowledgements else 0)
        if name == NETLINK_PKTINFO:
            return int_bytes(1 if self.packet_information else 0)
        if name == NETLINK_BROADCAST_ERROR:
            return int_bytes(1 if self.broadcast_errors else 0)
        if name == NETLINK_NO_ENOBUFS:
            return int_bytes(0 if self.reports_overruns else 1)
        if name == NETLINK_CAP_ACK:
            return int_bytes(1 if self.caps_acknowledgements else 0)
        if name in _SWITCHES:
            return int_bytes(0)  # those that cannot be turned on here
        raise Errno(ENOPROTOOPT)

    def set_option(self, level: int, name: int, value: bytes) -> None:
        if level != SOL_NETLINK:
            raise Errno(ENOPROTOOPT)
        number = int_of(value) if len(value) >= 4 else 0
        if name == NETLINK_ADD_MEMBERSHIP or name == NETLINK_DROP_MEMBERSHIP:
            if not 1 <= number < _HIGHEST_GROUP:
                raise Errno(EINVAL)
            bit = 1 << (number - 1)
            self._set_groups(self.groups | bit if name == NETLINK_ADD_MEMBERSHIP else self.groups & ~bit)
        elif name == NETLINK_PKTINFO:
            self.packet_information = number != 0
        elif name == NETLINK_BROADCAST_ERROR:
            self.broadcast_errors = number != 0
        elif name == NETLINK_NO_ENOBUFS:
            self.reports_overruns = number == 0
        elif name == NETLINK_EXT_ACK:
            # Errors may come with attributes that say more; ours have none.
            self.extends_acknowledgements = number != 0
        elif name == NETLINK_CAP_ACK:
            self.caps_acknowledgements = number != 0
        else:
            raise Errno(ENOPROTOOPT)

    def input_queue(self) -> WaitQueue | None:
        return self.read_queue

    def poll(self, waiter: PollWaiter | None) -> int:
        if waiter is not None:
            waiter.wait_on(self.read_queue)
        state = WRITABLE | POLLWRBAND
        if self.pending_error != 0:
            state |= POLLERR
        if len(self.queue) > 0:
            state |= READABLE
        return state


def _check_control(message: Message) -> None:
    """EINVAL for ancillary messages of level SOL_SOCKET other than the sender's identity; what is wrong with that."""
    control = message.sent_control()
    if control is not None:
        for entry in control:
            if entry.level == SOL_SOCKET:
                if entry.kind != SCM_CREDENTIALS:
                    raise Errno(EINVAL)
                check_claim(entry.data)


@final
class _NextPort:
    """Chooses a port for a socket that has none: keeps the place of the search, because thousands may be taken."""

    def __init__(self) -> None:
        self.port: int = _HIGHEST_PORT

    def take(self) -> int:
        """A port that is not a process's number."""
        port = self.port
        self.port = port - 1 if port > _LOWEST_PORT else _HIGHEST_PORT
        return port


NEXT_PORT: Final = _NextPort()


@final
class Listeners:
    """The bound sockets that are in a group."""

    def __init__(self) -> None:
        self.sockets: Order[NetlinkSocket] = Order()  # by port
        self.crowd: Crowd = Crowd()
        self.overrun: Overrun | None = None  # of which they are being notified


@final
class News(Handout):
    """A datagram for listeners. The walk meets all that stay."""

    def __init__(self, walk: Walk[NetlinkSocket], datagram: Datagram, sender: NetlinkSocket | None) -> None:
        super().__init__(len(datagram.data) + _OVERHEAD_BYTES)
        self.walk: Walk[NetlinkSocket] = walk
        self.datagram: Datagram = datagram
        self.sender: NetlinkSocket | None = sender

    def serve(self) -> bool:
        socket = self.walk.next()
        if socket is None:
            return False
        spend(_LISTENER_COST)
        if socket is not self.sender:
            socket.enqueue(self.datagram.copy())
        return True


@final
class Overrun(Handout):
    """Tells listeners that something is lost. If more is lost before all have been told, it begins anew."""

    def __init__(self, listeners: Listeners) -> None:
        super().__init__(0)
        self.listeners: Listeners = listeners
        self.following: int = 0  # the port from which on they are still to be told

    def serve(self) -> bool:
        socket = self.listeners.sockets.first_from(self.following)
        if socket is None:
            self.listeners.overrun = None
            return False
        self.following = socket.port + 1
        spend(_OVERRUN_COST)
        socket.report_overrun()
        return True


@final
class NetlinkSockets(Part):
    """A network's bound sockets, by protocol and port; and the members of each group among them."""

    def __init__(self) -> None:
        super().__init__()
        self.by_port: Order[NetlinkSocket] = Order()  # by `port_key`
        self.count: int = 0
        self.listeners: dict[int, Listeners] = {}  # by protocol and group; none is empty

    def insert(self, socket: NetlinkSocket, port: int) -> None:
        """Enter a socket at a port. Raises EADDRINUSE, MemoryError."""
        key = port_key(socket.protocol, port)
        if self.by_port.has(key):
            raise Errno(EADDRINUSE)
        self.by_port.put(key, socket)
        self.count += 1

    def take_out(self, socket: NetlinkSocket) -> None:
        """Take a bound socket out, if it is in."""
        key = port_key(socket.protocol, socket.port)
        if self.by_port.get(key) is socket:
            self.by_port.remove(key)
            self.count -= 1

    def enter(self, socket: NetlinkSocket, group: int) -> None:
        """Enter a socket, in a group. Raises MemoryError."""
        key = port_key(socket.protocol, group)
        found = self.listeners.get(key)
        if found is None:
            found = Listeners()
            found.sockets.put(socket.port, socket)
            self.listeners[key] = found
        else:
            found.sockets.put(socket.port, socket)

    def leave(self, socket: NetlinkSocket, group: int) -> None:
        """Take it out, if it was there."""
        key = port_key(socket.protocol, group)
        found = self.listeners.get(key)
        if found is not None:
            found.sockets.remove(socket.port)
            if found.sockets.is_empty():
                self.listeners.pop(key)


@final
class _Maker(PartMaker):
    def make(self, network: Network) -> None:
        network.netlink_sockets = NetlinkSockets()


register_part(_Maker())


def netlink_sockets_of(network: Network) -> NetlinkSockets:
    """The bound sockets of a network."""
    part = network.netlink_sockets
    assert isinstance(part, NetlinkSockets)
    return part


def port_key(protocol: int, port: int) -> int:
    """The key of a protocol's port, or group."""
    return protocol << 32 | port


def address_bytes(port: int, groups: int) -> bytes:
    """A struct sockaddr_nl."""
    return b"\x10\x00\x00\x00" + int_bytes(port) + int_bytes(groups)


def _lowest_group(mask: int) -> int:
    """The number of the lowest group in a mask; 0 for none."""
    group = 0
    while mask != 0:
        group += 1
        if mask & 1 != 0:
            return group
        mask >>= 1
    return 0


def _group_mask(group: int) -> int:
    return 1 << (group - 1) if 1 <= group <= 32 else 0


def has_listener(network: Network, protocol: int, group: int) -> bool:
    """Whether any socket joined a group."""
    return port_key(protocol, group) in netlink_sockets_of(network).listeners


def multicast(
    network: Network,
    protocol: int,
    group: int,
    data: bytes,
    port: int,
    sender: NetlinkSocket | None,
    identity: PeerIdentity | None = None,
) -> None:
    """Send a datagram to all members of the group except its sender; without an identity the kernel is the sender.
    Very many are served by the network thread, as is what comes while it does that. What is too much then becomes an
    overrun for them. Raises MemoryError.
    """
    listeners = netlink_sockets_of(network).listeners.get(port_key(protocol, group))
    if listeners is None:
        return
    datagram = Datagram(data, port, group, identity)
    following = 0
    if not listeners.crowd.is_busy():
        walk = Walk(listeners.sockets)
        served = 0
        socket = walk.next()
        while socket is not None and (served < _FEW_LISTENERS or PACE.left >= _LATEST):
            spend(_LISTENER_COST)
            if socket is not sender:
                socket.enqueue(datagram.copy())
            served += 1
            socket = walk.next()
        if socket is None:
            return
        following = socket.port
    _leave_rest(listeners, following, datagram, sender)


@noinline  # what runs for each listener goes deep: nothing of this should lie on the stack then
def _leave_rest(listeners: Listeners, following: int, datagram: Datagram, sender: NetlinkSocket | None) -> None:
    """Leave a datagram for the listeners from a port on to the network thread. Raises MemoryError."""
    if listeners.overrun is None and listeners.crowd.has_room(len(datagram.data) + _OVERHEAD_BYTES):
        listeners.crowd.put(News(Walk(listeners.sockets, following), datagram, sender))
    else:
        _report_overrun(listeners)


def report_overrun(network: Network, protocol: int, group: int) -> None:
    """A change could not be reported for lack of memory: report an overrun to all members of the group."""
    listeners = netlink_sockets_of(network).listeners.get(port_key(protocol, group))
    if listeners is not None:
        _report_overrun(listeners)


def _report_overrun(listeners: Listeners) -> None:
    """Have all listeners be told, after what they still get. Without memory for that, those that come first are."""
    overrun = listeners.overrun
    if overrun is not None:
        overrun.following = 0
        return
    try:
        overrun = Overrun(listeners)
    except MemoryError:
        socket = listeners.sockets.first_from(0)
        while socket is not None and PACE.left >= _LATEST:
            spend(_OVERRUN_COST)
            socket.report_overrun()
            socket = listeners.sockets.first_from(socket.port + 1)
        return
    listeners.overrun = overrun
    listeners.crowd.put(overrun)
