"""TCP sockets: those that socket(2) creates for SOCK_STREAM of AF_INET and AF_INET6 (tcp(7), socket(7)).

A socket has a `Listener`, or a `Stream` over the channel of its connection, or neither. After the last descriptor is
closed, the channel lives on until the connection has ended; it keeps its port until then.

Context: system calls; they sleep unless the socket is non-blocking.
"""

from enum import IntEnum
from typing import Final

from kernel.fs.constants import (
    FIONREAD,
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLOUT,
    POLLPRI,
    POLLRDHUP,
    POLLRDNORM,
    POLLWRNORM,
)
from kernel.lang import (
    EADDRINUSE,
    EADDRNOTAVAIL,
    EAGAIN,
    EALREADY,
    ECONNABORTED,
    ECONNRESET,
    EINPROGRESS,
    EINVAL,
    EISCONN,
    ENETUNREACH,
    ENOTCONN,
    EOPNOTSUPP,
    EPIPE,
    Errno,
    UserAddr,
    final,
    noraise,
)
from kernel.lib import random, user
from kernel.lib.credentials import Credentials
from kernel.lib.pace import pace, spend
from kernel.net.datagram.inet_family import STREAM
from kernel.net.internet import ip
from kernel.net.internet.addresses import is_link_local, is_multicast
from kernel.net.internet.output import NextHop
from kernel.net.internet.sysctl import IP4_SETTINGS
from kernel.net.internet.transport import PROTOCOL_TCP
from kernel.net.link.network import Network
from kernel.net.sockets.bpf import Filter
from kernel.net.sockets.error_queue import NOTHING_MORE, ZeroCopies
from kernel.net.sockets.inet import Binding, PortTable, family_of, pace_unbound, ports_of
from kernel.net.sockets.inet_options import InternetOptions
from kernel.net.sockets.inet_socket import InetSocket, check_own_family
from kernel.net.sockets.option_names import (
    NO_RATE,
    SO_KEEPALIVE,
    SO_MARK,
    SO_MAX_PACING_RATE,
    SO_OOBINLINE,
    SO_RCVBUF,
    SO_RCVBUFFORCE,
    SO_SNDBUF,
    SO_SNDBUFFORCE,
)
from kernel.net.sockets.sent_messages import mark_after
from kernel.net.sockets.socket import (
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_OOB,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SOCK_STREAM,
    SOL_SOCKET,
    SWITCH_KEEP_ALIVE,
    SWITCH_LINGER,
    SWITCH_OOB_INLINE,
    Message,
    Socket,
)
from kernel.net.tcp import closing, opening, option_calls, output, secrets, stream
from kernel.net.tcp.channel import Channel, PortHold, settle
from kernel.net.tcp.connection import Connection, State
from kernel.net.tcp.memory import account
from kernel.net.tcp.stack import new_channel, run
from kernel.net.tcp.stream import Stream
from kernel.net.tcp.table import TABLE, Listener, port_key
from kernel.net.tcp.tcp_options import TCP_CORK, TCP_NODELAY, TcpOptions
from kernel.net.tcp.tcp_settings import NS_PER_SECOND, SETTINGS
from kernel.sched import PollWaiter, WaitQueue, yield_now
from kernel.sched.kthread import KernelThread
from kernel.sched.scheduler import current_thread
from kernel.time import monotonic_ns

SIOCOUTQ: Final = 0x5411
SIOCOUTQNSD: Final = 0x894B
SIOCATMARK: Final = 0x8905
_CLOSE_COST: Final = 12_000  # instructions to close a connection with the packets that follow on this host, for `pace`
_SIGURG: Final = 23
_MSG_FASTOPEN: Final = 0x2000_0000


class Phase(IntEnum):
    """The progress of connect(2), as far as the program knows."""

    UNCONNECTED = 0
    CONNECTING = 1
    CONNECTED = 2


@final
class TcpSocket(InetSocket):
    """A TCP socket, as described above."""

    def __init__(
        self,
        family: int,
        credentials: Credentials,
        network: Network,
        hold: PortHold | None = None,
        channel: Channel | None = None,
    ) -> None:
        """A new socket; or an accepted one, with the port's hold and the channel of its connection."""
        binding = Binding(network) if hold is None else hold.binding
        options = InternetOptions(network) if channel is None else channel.options.internet
        # Those of the connection or the listener, once there is one: threads that waited before stay where they are.
        self.read_queue: WaitQueue = WaitQueue() if channel is None else channel.read_queue
        self.write_queue: WaitQueue = WaitQueue() if channel is None else channel.write_queue
        self.tcp: TcpOptions = TcpOptions(options) if channel is None else channel.options
        self.hold: PortHold = PortHold(binding) if hold is None else hold
        super().__init__(family, SOCK_STREAM, PROTOCOL_TCP, credentials, network, binding, options)
        if hold is None:
            self.claim(credentials)
        self.phase: Phase = Phase.UNCONNECTED
        self.listener: Listener | None = None
        self.stream: Stream | None = None
        self.disconnects: int = 0  # by connect(2)
        self.send_limit = SETTINGS.send_default
        self.receive_limit = SETTINGS.receive_default

    def is_in_table(self) -> bool:
        return self.listener is not None or self.stream is not None

    def state(self) -> int:
        if self.listener is not None:
            return State.LISTEN
        c = self.connection()
        return State.CLOSED if c is None else c.state

    def connection(self) -> Connection | None:
        """The connection, which may have ended."""
        found = self.stream
        return None if found is None else found.channel.connection

    # ---- Names ----------------------------------------------------------------------------------------------------

    def port_table(self) -> PortTable:
        return ports_of(self.network).tcp

    def bound(self) -> None:
        self.hold.users = 1

    @noraise
    def unbind(self) -> None:
        """Release the port; connections that borrow it keep it."""
        if self.binding.port != 0 and self.hold.users > 0:
            self.hold.release()

    def peer_address(self) -> bytes:
        c = self.connection()
        if c is None or self.phase == Phase.UNCONNECTED or c.state == State.SYN_SENT or c.state == State.CLOSED:
            raise Errno(ENOTCONN)
        return self.encode(self.remote, self.remote_port)

    # ---- Listening ------------------------------------------------------------------------------------------------

    def listen(self, backlog: int) -> None:
        """listen(2). EINVAL for a connected socket, EADDRINUSE."""
        listener = self.listener
        if listener is not None:
            listener.backlog = backlog
            return
        c = self.connection()
        if c is not None and c.state != State.CLOSED:
            raise Errno(EINVAL)
        if self.phase != Phase.UNCONNECTED:
            raise Errno(EINVAL)
        self.bind_automatically()
        listener = Listener(self.hold, self.tcp, backlog, self.family, self)
        binding = self.binding
        had_group = binding.has_port_group
        binding.is_listening = True
        binding.has_port_group = self.port_group is not None
        try:
            self._enter_listener(listener)
        except (Errno, MemoryError):
            binding.is_listening = False
            binding.has_port_group = had_group
            raise
        listener.queue = self.read_queue
        listener.port_group = self.port_group
        listener.mark = self.mark
        listener.filter = self.filter
        listener.group = self.group
        listener.creator = self.creator
        self.listener = listener
        self.is_listening = True

    def _enter_listener(self, listener: Listener) -> None:
        """Enter a new listener, and the socket in the group of those that share its port. Raises EADDRINUSE,
        MemoryError; then neither is entered.
        """
        binding = self.binding
        if self.port_table().conflicts(binding, binding.port):
            raise Errno(EADDRINUSE)
        group = TABLE.group_at(self) if binding.reuse_port else None
        TABLE.add_listener(listener)
        if binding.reuse_port:
            try:
                self.join_port_group(group)
            except MemoryError:
                TABLE.remove_listener(listener, monotonic_ns())
                raise

    def accept(self, flags: int) -> Socket:
        """accept(2). EINVAL unless it listens; EAGAIN, ERESTARTSYS, MemoryError."""
        listener = self.listener
        if listener is None:
            raise Errno(EINVAL)
        deadline_ns = self.receive_deadline(0)
        while listener.is_closed or len(listener.ready) == 0:
            if listener.is_closed:
                raise Errno(EINVAL)
            self.wait(listener.queue, deadline_ns)
        found = Stream(listener.ready[0])
        accepted = TcpSocket(
            self.family, self._accepting_credentials(listener), self.network, self.hold, found.channel
        )
        listener.ready.popleft()
        accepted.hold_network()
        accepted._adopt(found, self, flags)
        return accepted

    def _accepting_credentials(self, listener: Listener) -> Credentials:
        """The credentials of a listening socket's owner, kept for all its accepted sockets. Raises MemoryError."""
        inode = self.inode
        kept = listener.credentials
        if kept is not None and kept.fsuid == inode.uid and kept.fsgid == inode.gid:
            return kept
        credentials = Credentials()
        credentials.fsuid = inode.uid
        credentials.fsgid = inode.gid
        listener.credentials = credentials
        return credentials

    def _adopt(self, found: Stream, listening: "TcpSocket", flags: int) -> None:
        """Become the socket of an accepted connection."""
        channel = found.channel
        c = channel.connection
        assert c is not None
        channel.backlog = None
        channel.file = self
        self.stream = found
        self.phase = Phase.CONNECTED
        self.hold.acquire()
        self.local = c.local
        self.remote = c.remote
        self.remote_port = c.remote_port
        self.scope = listening.scope
        self.flags |= flags
        self.take_options(listening)
        channel.mark = self.mark
        filter_ = listening.filter
        if filter_ is not None:
            filter_.keep()  # the listening socket has it, so this takes no memory
        self.filter = filter_
        channel.filter = filter_
        self.group = listening.group
        channel.group = listening.group
        channel.creator = self.creator
        self.is_announced = True

    def _stop_listening(self) -> None:
        listener = self.listener
        if listener is not None:
            self.listener = None
            self.is_listening = False
            self.binding.is_listening = False
            self.leave_port_group()
            TABLE.remove_listener(listener, monotonic_ns())

    # ---- Connecting -----------------------------------------------------------------------------------------------

    def connect(self, address: bytes) -> None:
        """connect(2). EINVAL, EAFNOSUPPORT, EISCONN, EALREADY, EINPROGRESS, EADDRNOTAVAIL, ENETUNREACH, and why it
        failed: ECONNREFUSED, ETIMEDOUT …; ERESTARTSYS.
        """
        self._connect_or_end(address, 0)

    def connect_at_once(self, address: bytes) -> None:
        self._connect_or_end(address, MSG_DONTWAIT)

    def _connect_or_end(self, address: bytes, message_flags: int) -> None:
        pace(0)
        if family_of(address) == 0:
            self.disconnects += 1
            self._disconnect()
            return
        self._connect(address, message_flags)

    def _connect(self, address: bytes, message_flags: int) -> None:
        chosen = address
        if self.phase == Phase.UNCONNECTED and self.listener is None:
            chosen = self.judged_peer(address)  # another thread may have connected the socket meanwhile
        if self.phase == Phase.CONNECTED:
            raise Errno(EISCONN)
        deadline_ns = self.send_deadline(message_flags)
        if self.phase == Phase.UNCONNECTED:
            if self.listener is not None:
                raise Errno(EISCONN)
            check_own_family(chosen, self.family)
            self._start_connecting(chosen)
            if deadline_ns == 0:
                raise Errno(EINPROGRESS)  # even if the peer has already answered, as one on this host has
        found = self.stream
        assert found is not None
        channel = found.channel
        c = channel.connection
        assert c is not None
        disconnects = self.disconnects
        while c.state == State.SYN_SENT or c.state == State.SYN_RECEIVED:
            if deadline_ns == 0:
                raise Errno(EALREADY)
            self._wait_connected(channel, deadline_ns)
        if self.disconnects != disconnects:
            raise Errno(EPIPE)  # by another thread, which may be connecting the socket anew
        if c.state == State.CLOSED:
            error = 0
            if self.stream is None or self.stream is found:  # and not what another thread has begun since
                error = self.take_error()
                self._forget_connection()
            raise Errno(error if error != 0 else ECONNABORTED)
        self.phase = Phase.CONNECTED
        if TABLE.is_crowded:
            # A program that connects to this host never sleeps. The server must get a chance to accept before its
            # backlog overflows, which costs a second.
            TABLE.is_crowded = False
            yield_now()

    def _wait_connected(self, channel: Channel, deadline_ns: int) -> None:
        code = 0
        try:
            self.wait(channel.write_queue, deadline_ns)
        except Errno as error:
            code = error.code
        if code != 0:
            raise Errno(EINPROGRESS if code == EAGAIN else code)

    def _start_connecting(self, address: bytes) -> None:
        self._forget_connection()
        target = self.destination_of(address)
        remote = target.address
        if len(remote) == 4 and self.is_ip6_only():
            raise Errno(ENETUNREACH)
        if is_multicast(remote) or (len(remote) == 4 and ip.is_broadcast(self.network, remote)):
            raise Errno(ENETUNREACH)
        if is_link_local(remote) and len(remote) == 16 and target.scope == 0 and self.bound_device == 0:
            raise Errno(EINVAL)  # no link is named
        if len(self.local) != 0 and len(self.local) != len(remote):
            raise Errno(ENETUNREACH if len(remote) == 4 else EINVAL)
        hop = self.route_to(remote, self.local, target.scope)
        now_ns = monotonic_ns()
        local_port = self._port_for(hop, target.port, now_ns)
        channel = Channel(hop, self.tcp, self.family, self.read_queue, self.write_queue)
        channel.bound_device = target.scope if target.scope != 0 else self.bound_device
        try:
            found = Stream(channel)
            c = new_channel(channel, hop.source, local_port, hop.destination, target.port)
            number = c.network.number
            initial = secrets.initial_sequence(number, c.local, local_port, c.remote, target.port, now_ns)
            TABLE.insert(channel)
        except MemoryError:
            channel.abandon()
            raise
        wait = TABLE.find_wait(c.network, c.local, local_port, c.remote, target.port)
        if wait is not None:
            initial = wait.next_initial_sequence()
            TABLE.end_wait(wait)
        self.pending_error = 0
        channel.hold = self.hold.acquire()
        channel.file = self
        self._tell_copies()  # those of an earlier connection, whose numbers mean nothing in this one
        channel.mark = self.mark
        channel.filter = self.filter
        channel.group = self.group
        channel.creator = self.creator
        self.stream = found
        self.lacks_room = True
        self.local = c.local
        self.remote = c.remote
        self.remote_port = target.port
        self.scope = target.scope
        self.phase = Phase.CONNECTING
        self.network.tcp.active_opens += 1
        opening.connect(c, initial, now_ns)
        run(channel)

    def _port_for(self, hop: NextHop, remote_port: int, now_ns: int) -> int:
        """The local port, a free one if the socket has none. EADDRNOTAVAIL if this connection exists already."""
        if self.binding.port != 0:
            port = self.binding.port
            if not _is_free(hop, port, remote_port, now_ns):
                raise Errno(EADDRNOTAVAIL)
            return port
        taken = False
        try:
            self.bind_automatically()
        except Errno:
            taken = True
        if not taken and _is_free(hop, self.binding.port, remote_port, now_ns):
            return self.binding.port
        self.unbind()
        return self._shared_port(hop, remote_port, now_ns)

    def _shared_port(self, hop: NextHop, remote_port: int, now_ns: int) -> int:
        """Every port has a user: pick one that others use for other peers."""
        first = IP4_SETTINGS.local_ports.of(self.network)
        count = max(IP4_SETTINGS.local_ports.second_of(self.network) - first + 1, 1)
        start = random.word() % count
        for i in range(count):
            port = first + (start + i) % count
            if port_key(self.network, port) not in TABLE.listeners and _is_free(hop, port, remote_port, now_ns):
                self.port_table().insert(self.binding, port)
                self.bound()
                return port
            pace_unbound(self.binding)
        raise Errno(EADDRNOTAVAIL)

    def _disconnect(self) -> None:
        """connect(2) to AF_UNSPEC, or shutdown(2) before there is a connection: it ends by a reset, and the socket is
        as new.
        """
        self._stop_listening()
        found = self.stream
        if found is not None:
            channel = found.channel
            c = channel.connection
            if c is not None:
                if c.state != State.CLOSED:
                    self.pending_error = ECONNRESET  # until the next connect(2)
                c.is_orphan = True
                closing.abort(c, 0, monotonic_ns())
                run(channel)
        self._forget_connection()

    def _forget_connection(self) -> None:
        """The connection has ended: the socket may be used for another one."""
        found = self.stream
        if found is None:
            return
        self.stream = None
        channel = found.channel
        c = channel.connection
        if c is not None:
            c.receive.clear()
            account(c)
        channel.file = None
        channel.connection = None
        self.phase = Phase.UNCONNECTED
        self.remote = b""
        self.remote_port = 0
        if not self.is_address_fixed:
            self.local = b""
        if not self.binding.is_explicit:
            self.unbind()

    # ---- Data -----------------------------------------------------------------------------------------------------

    def send(self, message: Message) -> int:
        pace(0)  # so that no firewall drops it because of earlier packets
        if message.flags & _MSG_FASTOPEN != 0:
            # No peer has given us a cookie, so no data are sent with the SYN (RFC 7413, section 4.2.1).
            if len(message.address) >= 2 and family_of(message.address) == 0:
                raise Errno(EOPNOTSUPP)
            self._connect(message.address, message.flags)
        found = self.stream
        if found is None or found.channel.connection is None:
            if self.pending_error != 0:
                raise Errno(self.take_error())
            raise Errno(EPIPE)
        self._check_control(message)
        copies = self.copies_for(message, message.buffer.remaining)
        if copies is None:
            return stream.send(self, found, message)
        return self._send_told(found, copies, message)

    def _check_control(self, message: Message) -> None:
        """EINVAL for ancillary messages that make no sense, or that the program may not send."""
        is_sound = message.control_error == 0
        if is_sound and message.control is not None:
            try:
                for entry in message.control:
                    if entry.level == SOL_SOCKET:
                        mark_after(self, entry, 0)
            except Errno:
                is_sound = False
        if not is_sound:
            raise Errno(EINVAL)

    def _send_told(self, found: Stream, copies: ZeroCopies, message: Message) -> int:
        """Send with MSG_ZEROCOPY: there will be a notice. Raises what `stream.send` does; MemoryError."""
        channel = found.channel
        c = channel.connection
        assert c is not None
        channel.copies = copies
        sends = copies.begin(c.sender.nxt)
        count = 0
        try:
            count = stream.send(self, found, message)
        finally:
            if count > 0:
                copies.taken(sends, c.queue.end)
            else:
                copies.abandon(sends)
            settle(channel)
        return count

    def _tell_copies(self) -> None:
        """Give the notices for which there was no memory. Raises nothing."""
        found = self.stream
        if found is not None and found.channel.connection is not None:
            found.channel.tell_copies()
        elif self.copies is not None:
            self.copies.done(NOTHING_MORE)

    def receive(self, message: Message) -> int:
        pace(0)  # so that no firewall drops the acknowledgment because of earlier packets
        found = self.stream
        if message.flags & MSG_ERRQUEUE != 0:
            self._tell_copies()
            return self.receive_error(message)
        if found is None or found.channel.connection is None:
            if message.flags & MSG_OOB != 0 and self.listener is None:
                raise Errno(EINVAL)
            raise Errno(ENOTCONN)
        return stream.receive(self, found, message)

    def take_error(self) -> int:
        error = self.pending_error
        self.pending_error = 0
        c = self.connection()
        if error == 0 and c is not None:
            error = stream.take_error(c)
            if error == 0:
                error = c.soft_error  # an error that the network reported, although it ended nothing
                c.soft_error = 0
        return error

    def shut_down(self, how: int) -> None:
        """shutdown(2). EINVAL, ENOTCONN."""
        if not SHUT_RD <= how <= SHUT_RDWR:
            raise Errno(EINVAL)
        pace(0)  # as in `send`
        if self.listener is not None:
            if how != SHUT_WR:
                self._stop_listening()
            return
        found = self.stream
        c = self.connection()
        if found is None or c is None or c.state == State.CLOSED:
            raise Errno(ENOTCONN)
        if c.state == State.SYN_SENT:
            self._disconnect()  # whichever end is meant; who waits in connect(2) gets the error
            return
        if how != SHUT_WR:
            c.receive_shut = True
            found.channel.read_queue.wake_all()
        if how != SHUT_RD:
            with found.send_lock:  # a writer may be copying bytes, which come before the FIN
                closing.shut_send(c, monotonic_ns())
        run(found.channel)

    def input_queue(self) -> WaitQueue | None:
        return self.read_queue

    def output_queue(self) -> WaitQueue | None:
        return self.write_queue

    def poll(self, waiter: PollWaiter | None) -> int:
        if waiter is not None:
            waiter.wait_on(self.read_queue)
            waiter.wait_on(self.write_queue)
        return self._state_of_data() | (POLLERR if self.pending_error != 0 or self.has_errors() else 0)

    def _state_of_data(self) -> int:
        """POLL* but for errors that are pending or in a queue."""
        listener = self.listener
        if listener is not None:
            return POLLIN | POLLRDNORM if len(listener.ready) > 0 else 0
        found = self.stream
        c = self.connection()
        if found is None or c is None:
            return POLLOUT | POLLWRNORM | POLLHUP
        return _readiness(c, self.receive_low_water)

    def takes_ring_commands(self) -> bool:
        return True

    def readable_bytes(self) -> int:
        if self.listener is not None:
            raise Errno(EINVAL)
        c = self.connection()
        return 0 if c is None else c.readable_bytes()

    def unsent_bytes(self) -> int:
        return self._unsent_bytes(only_not_sent=False)

    def _unsent_bytes(self, *, only_not_sent: bool) -> int:
        if self.listener is not None:
            raise Errno(EINVAL)
        c = self.connection()
        return 0 if c is None else _unsent(c, only_not_sent)

    def ioctl(self, command: int, argument: int) -> int:
        c = self.connection()
        if command == FIONREAD:
            user.write_i32(UserAddr(argument), self.readable_bytes())
            return 0
        if command == SIOCATMARK:
            at_mark = (
                c is not None and c.receiver.urgent_sequence != 0 and c.receiver.copied == c.receiver.urgent_sequence
            )
            user.write_i32(UserAddr(argument), 1 if at_mark else 0)
            return 0
        if command == SIOCOUTQ or command == SIOCOUTQNSD:
            user.write_i32(UserAddr(argument), self._unsent_bytes(only_not_sent=command == SIOCOUTQNSD))
            return 0
        return super().ioctl(command, argument)

    def held_bytes(self) -> int:
        c = self.connection()
        return super().held_bytes() if c is None else super().held_bytes() + c.receive.memory + c.queue.memory

    def memory_use(self) -> tuple[int, int, int]:
        c = self.connection()
        return (0, 0, 0) if c is None else (c.receive.memory, c.queue.memory, 0)

    def low_water_limit(self, wanted: int) -> int:
        limit = self.receive_limit if self.buffer_locks & 2 != 0 else SETTINGS.receive_limit
        return min(wanted, limit >> 1)

    def set_peek_offset(self, offset: int) -> None:
        self.peek_offset = offset

    def set_filter(self, filter_: Filter | None) -> None:
        super().set_filter(filter_)
        found = self.stream
        if found is not None:
            found.channel.filter = self.filter
        listener = self.listener
        if listener is not None:
            listener.filter = self.filter

    # ---- Options --------------------------------------------------------------------------------------------------

    def option_changed(self, name: int) -> None:
        super().option_changed(name)
        tcp = self.tcp
        if name == SO_KEEPALIVE:
            tcp.keeps_alive = self.is_on(SWITCH_KEEP_ALIVE)
        elif name == SO_OOBINLINE:
            tcp.urgent_inline = self.is_on(SWITCH_OOB_INLINE)
        elif name == SO_SNDBUF or name == SO_SNDBUFFORCE:
            tcp.send_buffer = self.send_limit
        elif name == SO_RCVBUF or name == SO_RCVBUFFORCE:
            tcp.receive_buffer = self.receive_limit
        elif name == SO_MAX_PACING_RATE:
            values = self.device_values
            tcp.limit_rate(NO_RATE if values is None else values.most_rate)
        elif name == SO_MARK:
            self._take_mark()
            return
        else:
            return
        self._apply_options()

    def most_rate(self) -> int:
        return self.tcp.most_rate()

    def _take_mark(self) -> None:
        """SO_MARK: it is the mark of what is sent from now on."""
        found = self.stream
        if found is not None:
            found.channel.mark = self.mark
        listener = self.listener
        if listener is not None:
            listener.mark = self.mark

    def _apply_options(self) -> None:
        found = self.stream
        c = self.connection()
        if found is not None and c is not None:
            self.tcp.apply(c)
            if c.timers.keeps_alive:
                opening.start_keepalive(c, monotonic_ns())
            settle(found.channel)

    def check_level(self, level: int) -> None:
        if level != PROTOCOL_TCP:
            super().check_level(level)

    def least_of_value(self, level: int, name: int, length: int) -> int:
        if level != PROTOCOL_TCP:
            return super().least_of_value(level, name, length)
        return option_calls.least_of_value(name, length)

    def get_option(self, level: int, name: int, limit: int) -> bytes:
        if level != PROTOCOL_TCP:
            return super().get_option(level, name, limit)
        state = State.LISTEN if self.listener is not None else State.CLOSED
        return option_calls.get(self.tcp, self.connection(), state, name, limit)

    def set_option(self, level: int, name: int, value: bytes) -> None:
        if level != PROTOCOL_TCP:
            super().set_option(level, name, value)
            return
        found = self.stream
        c = self.connection()
        option_calls.set_option(self.tcp, c, name, value, self.listener is not None)
        if found is not None and c is not None:
            self._apply_options()
            if name == TCP_CORK or name == TCP_NODELAY:
                if not self.tcp.is_corked:
                    output.push_tail(c, monotonic_ns())
            run(found.channel)

    # ---- The end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        self.announce_end()
        self._stop_listening()
        found = self.stream
        if found is not None:
            self._close_connection(found.channel)
        self.stream = None
        super().close()

    def _close_connection(self, channel: Channel) -> None:
        c = channel.connection
        if c is None:
            channel.file = None
            return
        channel.copies = None  # nobody is left to notify
        now_ns = monotonic_ns()
        lingers = self.is_on(SWITCH_LINGER)
        if lingers and self.linger_seconds == 0 and c.state != State.CLOSED:
            c.is_orphan = True
            self.network.tcp_events.aborts_on_data.count += 1
            closing.abort(c, 0, now_ns)
        else:
            closing.close(c, now_ns)
        channel.file = None
        run(channel)
        spend(_CLOSE_COST)
        # A kernel thread that closes it for a program has others to serve (later.py): it does not wait.
        if lingers and self.linger_seconds > 0 and not isinstance(current_thread(), KernelThread):
            deadline_ns = now_ns + min(self.linger_seconds, 1 << 31) * NS_PER_SECOND
            while c.state == State.FIN_WAIT_1 or c.state == State.CLOSING or c.state == State.LAST_ACK:
                if not _wait_for_end(channel, deadline_ns):
                    break
        if c.state == State.CLOSED:
            channel.connection = None


def _wait_for_end(channel: Channel, deadline_ns: int) -> bool:
    """Wait for the next event of a lingering connection. False: the deadline passed, or a signal came."""
    woken = False
    try:
        woken = channel.read_queue.sleep_until(deadline_ns)
    except (Errno, MemoryError):
        woken = False
    return woken


def _is_free(hop: NextHop, port: int, remote_port: int, now_ns: int) -> bool:
    """Whether a connection from this port may begin."""
    if TABLE.find(hop.network, hop.source, port, hop.destination, remote_port) is not None:
        return False
    wait = TABLE.find_wait(hop.network, hop.source, port, hop.destination, remote_port)
    return wait is None or wait.may_be_reused(now_ns)


def _unsent(c: Connection, only_not_sent: bool) -> int:
    """SIOCOUTQ: unacknowledged bytes; SIOCOUTQNSD: unsent bytes."""
    if c.state == State.CLOSED or c.state == State.SYN_SENT:
        return 0
    return c.unsent() if only_not_sent else c.unacknowledged()


def _readiness(c: Connection, low_water: int) -> int:
    """The POLL* bits of a connection."""
    state = 0
    is_closed = c.state == State.CLOSED
    receive_shut = c.receive_shut or c.receiver.fin_received or is_closed
    send_shut = stream.is_send_shut(c)
    if is_closed or (receive_shut and send_shut):
        state |= POLLHUP
    if receive_shut:
        state |= POLLIN | POLLRDNORM | POLLRDHUP
    if c.state != State.SYN_SENT and c.state != State.SYN_RECEIVED:
        if c.is_readable(max(low_water, 1)):
            state |= POLLIN | POLLRDNORM
        if send_shut or c.is_writable():
            state |= POLLOUT | POLLWRNORM
        place = c.receiver.urgent_sequence
        if place != 0 and not c.receiver.urgent_taken and c.receiver.copied <= place < c.receive.next_sequence:
            state |= POLLPRI
    if c.error != 0:
        state |= POLLERR
    return state


def _make(family: int, credentials: Credentials, network: Network) -> Socket:
    return TcpSocket(family, credentials, network)


STREAM.maker = _make
