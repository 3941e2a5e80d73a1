"""Sockets of AF_VSOCK (vsock(7)): streams, and messages with boundaries.

A socket has an endpoint, which holds the state of the protocol and outlives it until the peer has answered its end.
Between calls, everything sent on the loopback transport has arrived: each call delivers it at its end.

There is no SOCK_DGRAM, because no transport carries datagrams, as with Linux's virtio.

Context: system calls; they sleep unless the socket is non-blocking.
"""

from typing import Final

from kernel.fs.constants import POLLERR, POLLHUP, POLLRDHUP, READABLE, WRITABLE
from kernel.lang import (
    EACCES,
    EADDRINUSE,
    EADDRNOTAVAIL,
    EAGAIN,
    EALREADY,
    EINPROGRESS,
    EINVAL,
    EISCONN,
    ENOMEM,
    ENOTCONN,
    EOPNOTSUPP,
    EPIPE,
    ETIMEDOUT,
    Errno,
    UserAddr,
    final,
)
from kernel.lib import user
from kernel.lib.capabilities import CAP_NET_BIND_SERVICE
from kernel.lib.credentials import Credentials
from kernel.lib.pace import pace
from kernel.net.link.network import Network
from kernel.net.sockets.option_names import SO_RCVLOWAT
from kernel.net.sockets.socket import (
    MSG_ERRQUEUE,
    MSG_OOB,
    SHUT_RD,
    SHUT_RDWR,
    SOCK_STREAM,
    SWITCH_LINGER,
    Message,
    Socket,
)
from kernel.net.vsock.addresses import (
    AF_VSOCK,
    CID_ANY,
    CID_LOCAL,
    LAST_PRIVILEGED_PORT,
    PORT_ANY,
    cid_of,
    encode,
    is_address,
    port_of,
)
from kernel.net.vsock.endpoint import BOTH, RECEIVING, SENDING, Endpoint, Phase, State
from kernel.net.vsock.loopback import deliver
from kernel.net.vsock.packet import OP_CREDIT_UPDATE, OP_REQUEST, OP_SHUTDOWN, SEQUENCED, STREAM, VsockPacket
from kernel.net.vsock.protocol import choose_transport, close, send, start_timer, stop_timer, tell
from kernel.net.vsock.socket_options import get_vsock_option, set_vsock_option
from kernel.net.vsock.table import TABLE
from kernel.net.vsock.transfer import Turns, receive_bytes, receive_message, send_data
from kernel.net.vsock.transport import TRANSPORTS
from kernel.sched import KernelThread, PollWaiter, WaitQueue, current_thread
from kernel.task import current
from kernel.time import monotonic_ns

_SIOCOUTQ: Final = 0x5411
_NS: Final = 1_000_000_000
_PART_COST: Final = 20_000  # instructions, for packets that are dropped in one turn
_CLOSE_COST: Final = 5000  # … for the end of a connection


@final
class VsockSocket(Socket):
    """A socket, as described above. With an endpoint it is that of an accepted connection."""

    def __init__(
        self, kind: int, credentials: Credentials, network: Network, accepted: Endpoint | None = None
    ) -> None:
        self.turns: Turns = Turns()
        if accepted is not None:
            self.endpoint: Endpoint = accepted
        else:
            self.endpoint = Endpoint(STREAM if kind == SOCK_STREAM else SEQUENCED, network)
        super().__init__(AF_VSOCK, kind, 0, credentials.fsuid, credentials.fsgid, network)
        if accepted is None:
            TABLE.add(self.endpoint)
        self.endpoint.inode_number = self.inode.ino

    # ---- Names ------------------------------------------------------------------------------------------------------

    def bind(self, address: bytes) -> None:
        """bind(2). EINVAL, EADDRNOTAVAIL, EACCES, EADDRINUSE."""
        if not is_address(address):
            raise Errno(EINVAL)
        self._bind(cid_of(address), port_of(address))

    def _bind(self, cid: int, port: int) -> None:
        endpoint = self.endpoint
        if endpoint.has_name():
            raise Errno(EINVAL)
        if cid != CID_ANY and not TRANSPORTS.is_own(cid):
            raise Errno(EADDRNOTAVAIL)
        if port <= LAST_PRIVILEGED_PORT and not current().credentials.capable(CAP_NET_BIND_SERVICE):
            raise Errno(EACCES)
        TABLE.bind(endpoint, cid, port)

    def local_address(self) -> bytes:
        return encode(self.endpoint.local.cid, self.endpoint.local.port)

    def peer_address(self) -> bytes:
        endpoint = self.endpoint
        if endpoint.phase != Phase.CONNECTED:
            raise Errno(ENOTCONN)
        return encode(endpoint.remote.cid, endpoint.remote.port)

    # ---- Connections ------------------------------------------------------------------------------------------------

    def listen(self, backlog: int) -> None:
        endpoint = self.endpoint
        if endpoint.phase != Phase.UNCONNECTED or not endpoint.has_name():
            raise Errno(EINVAL)
        endpoint.backlog = backlog
        endpoint.state = State.LISTENING
        self.is_listening = True

    def accept(self, flags: int) -> Socket:
        """accept(2). EINVAL unless it listens; EAGAIN, ERESTARTSYS, MemoryError."""
        endpoint = self.endpoint
        if endpoint.state != State.LISTENING:
            raise Errno(EINVAL)
        deadline_ns = self.receive_deadline(0)
        while len(endpoint.waiting) == 0:
            self.wait(endpoint.read_queue, deadline_ns)
        child = endpoint.waiting[0]
        accepted = VsockSocket(self.kind, current().credentials, self.network, child)
        endpoint.waiting.popleft()
        child.was_taken()
        child.phase = Phase.CONNECTED
        accepted.flags |= flags
        accepted.hold_network()
        return accepted

    def connect(self, address: bytes) -> None:
        """connect(2). EISCONN, EINVAL, EALREADY, EINPROGRESS, ENODEV, ECONNRESET, ETIMEDOUT …"""
        self._connect(address, waits=not self.is_nonblocking(0))

    def connect_at_once(self, address: bytes) -> None:
        self._connect(address, waits=False)

    def _connect(self, address: bytes, *, waits: bool) -> None:
        endpoint = self.endpoint
        if endpoint.phase == Phase.CONNECTED:
            raise Errno(EISCONN)
        if endpoint.phase == Phase.DISCONNECTING:
            raise Errno(EINVAL)
        if endpoint.phase != Phase.CONNECTING:
            self._ask(address, waits=waits)
            deliver()
            if not waits:
                raise Errno(EINPROGRESS)  # even if the peer has already answered
        elif not waits:
            raise Errno(EALREADY)
        self._wait_connected()
        if endpoint.error != 0:
            endpoint.state = State.CLOSED
            endpoint.phase = Phase.UNCONNECTED
            raise Errno(self.take_error())

    def _ask(self, address: bytes, *, waits: bool) -> None:
        """Send the request for a connection; if the caller does not wait, a timer limits the time for the answer."""
        endpoint = self.endpoint
        if endpoint.state == State.LISTENING or not is_address(address):
            raise Errno(EINVAL)
        TABLE.disconnect(endpoint)
        endpoint.remote.cid = cid_of(address)
        endpoint.remote.port = port_of(address)
        choose_transport(endpoint)
        if not endpoint.has_name():
            self._bind(CID_ANY, PORT_ANY)
        if _has_connection_already(endpoint):
            raise Errno(EADDRINUSE)
        endpoint.reports.update = None
        endpoint.reports.end = None
        endpoint.is_half_sent = False
        if endpoint.reports.spare is None:
            endpoint.reports.spare = VsockPacket(endpoint.kind, OP_CREDIT_UPDATE)
        if not waits:
            start_timer(endpoint, endpoint.options.connect_timeout_ns)
        endpoint.state = State.CONNECTING
        is_sent = False
        try:
            send(endpoint, OP_REQUEST)
            is_sent = True
        finally:
            if not is_sent:
                stop_timer(endpoint)
        endpoint.error = 0
        endpoint.phase = Phase.CONNECTING

    def _wait_connected(self) -> None:
        """Wait for the answer, or until the timeout."""
        endpoint = self.endpoint
        deadline_ns = monotonic_ns() + endpoint.options.connect_timeout_ns  # fits: `_timeout_of` bounds it
        while not _is_answered(endpoint):
            code = 0
            try:
                self.wait(endpoint.write_queue, deadline_ns)
            except Errno as error:
                code = error.code
            except MemoryError:
                code = ENOMEM
            if endpoint.state == State.ESTABLISHED:
                return
            if code != 0:
                endpoint.state = State.CLOSED
                endpoint.phase = Phase.UNCONNECTED
                stop_timer(endpoint)
                raise Errno(ETIMEDOUT if code == EAGAIN else code)

    def shut_down(self, how: int) -> None:
        if how < SHUT_RD or how > SHUT_RDWR:
            raise Errno(EINVAL)
        endpoint = self.endpoint
        if endpoint.phase == Phase.UNCONNECTED:
            raise Errno(ENOTCONN)
        endpoint.phase = Phase.DISCONNECTING
        endpoint.closing.ended |= how + 1
        endpoint.closing.is_done = False
        endpoint.wake()
        if endpoint.state != State.CONNECTING:  # a request, and what follows it, may yet reach another endpoint
            tell(endpoint, OP_SHUTDOWN, how + 1)
            deliver()

    def close(self) -> None:
        super().close()
        endpoint = self.endpoint
        endpoint.inode_number = 0
        waiting = endpoint.waiting
        endpoint.state = State.CLOSED if endpoint.state == State.LISTENING else endpoint.state
        _let_go(endpoint)
        while waiting:
            child = waiting.popleft()
            child.was_taken()
            _let_go(child)
        if self.is_on(SWITCH_LINGER) and not isinstance(current_thread(), KernelThread):
            _linger(endpoint, monotonic_ns() + min(self.linger_seconds, 1 << 31) * _NS)

    # ---- Transfer ---------------------------------------------------------------------------------------------------

    def send(self, message: Message) -> int:
        """EOPNOTSUPP, EISCONN, EPIPE, ENOTCONN, and what `send_data` raises."""
        endpoint = self.endpoint
        if message.flags & MSG_OOB != 0:
            raise Errno(EOPNOTSUPP)
        if message.address:
            raise Errno(EISCONN if endpoint.state == State.ESTABLISHED else EOPNOTSUPP)
        if endpoint.closing.ended & SENDING != 0 or endpoint.closing.peer_ended & RECEIVING != 0:
            raise Errno(self._broken())
        if endpoint.transport is None or endpoint.state != State.ESTABLISHED:
            raise Errno(ENOTCONN)
        return send_data(self, endpoint, self.turns, message)

    def _broken(self) -> int:
        """Why nothing can be sent any more: on a stream the pending error comes first."""
        error = self.take_error() if self.kind == SOCK_STREAM else 0
        return error if error != 0 else EPIPE

    def receive(self, message: Message) -> int:
        """ENOTCONN, EOPNOTSUPP, and what `receive_bytes` or `receive_message` raise."""
        endpoint = self.endpoint
        if message.flags & MSG_ERRQUEUE != 0:
            raise Errno(EAGAIN)
        if endpoint.transport is None or endpoint.state != State.ESTABLISHED:
            if endpoint.closing.is_done:
                return 0
            raise Errno(ENOTCONN)
        if message.flags & MSG_OOB != 0:
            raise Errno(EOPNOTSUPP)
        if endpoint.closing.ended & RECEIVING != 0 or message.buffer.remaining == 0:
            return 0
        if self.kind == SOCK_STREAM:
            return receive_bytes(self, endpoint, self.turns, message)
        return receive_message(self, endpoint, self.turns, message)

    # ---- Readiness and the rest -------------------------------------------------------------------------------------

    def poll(self, waiter: PollWaiter | None) -> int:
        endpoint = self.endpoint
        if waiter is not None:
            waiter.wait_on(endpoint.read_queue)
            waiter.wait_on(endpoint.write_queue)
        ended = endpoint.closing.ended
        peer_ended = endpoint.closing.peer_ended
        state = POLLERR if endpoint.error != 0 else 0
        if ended == BOTH or (ended & SENDING != 0 and peer_ended & SENDING != 0):
            state |= POLLHUP
        if ended & RECEIVING != 0 or peer_ended & SENDING != 0:
            state |= POLLRDHUP | READABLE
        if endpoint.state == State.LISTENING:
            return state | READABLE if len(endpoint.waiting) > 0 else state
        if endpoint.transport is not None and ended & RECEIVING == 0 and endpoint.is_ready_to_read():
            state |= READABLE
        if ended & SENDING == 0 and self._can_send():
            state |= WRITABLE
        return state

    def _can_send(self) -> bool:
        """Whether sending does not wait; it fails at once if there is no connection."""
        endpoint = self.endpoint
        if endpoint.state == State.ESTABLISHED:
            return endpoint.transport is not None and endpoint.room() > 0
        return endpoint.state == State.CLOSED or endpoint.state == State.CLOSING

    def input_queue(self) -> WaitQueue | None:
        return self.endpoint.read_queue

    def output_queue(self) -> WaitQueue | None:
        return self.endpoint.write_queue

    def take_error(self) -> int:
        error = self.endpoint.error
        self.endpoint.error = 0
        return error

    def held_bytes(self) -> int:
        return super().held_bytes() + self.endpoint.held_bytes()

    def has_level(self, level: int) -> bool:
        return True

    def get_option(self, level: int, name: int, limit: int) -> bytes:
        return get_vsock_option(self.endpoint, level, name, limit)

    def set_option(self, level: int, name: int, value: bytes) -> None:
        set_vsock_option(self.endpoint, level, name, value)

    def low_water_limit(self, wanted: int) -> int:
        if self.kind == SOCK_STREAM and wanted > self.endpoint.options.buffer_size:
            raise Errno(EINVAL)
        return wanted

    def option_changed(self, name: int) -> None:
        if name == SO_RCVLOWAT:
            endpoint = self.endpoint
            endpoint.received.low_water = self.receive_low_water
            if endpoint.state == State.ESTABLISHED and endpoint.owes_update():
                tell(endpoint, OP_CREDIT_UPDATE)
                deliver()

    def ioctl(self, command: int, argument: int) -> int:
        if command != _SIOCOUTQ:
            return super().ioctl(command, argument)
        endpoint = self.endpoint
        if endpoint.transport is None:
            raise Errno(EOPNOTSUPP)
        if endpoint.state == State.LISTENING:
            raise Errno(EINVAL)
        user.write_i32(UserAddr(argument), endpoint.unsent.bytes)
        return 0


def _has_connection_already(endpoint: Endpoint) -> bool:
    """Whether another socket here, which has the same port by another context, is connected to the same peer:
    within this machine their packets would be indistinguishable.
    """
    if endpoint.transport is not TRANSPORTS.local:
        return False
    other = TABLE.find_connected(CID_LOCAL, endpoint.local.port, endpoint.remote.port)
    return other is not None and not other.closing.is_done


def _let_go(endpoint: Endpoint) -> None:
    """End a connection whose program has gone: its unread data are dropped, with safe points."""
    while endpoint.forget_part():
        pace(_PART_COST)
    close(endpoint)
    pace(_CLOSE_COST)
    deliver()


def _is_answered(endpoint: Endpoint) -> bool:
    """Whether connect(2) has nothing left to wait for."""
    return endpoint.state == State.ESTABLISHED or endpoint.state == State.CLOSING or endpoint.error != 0


def _linger(endpoint: Endpoint, deadline_ns: int) -> None:
    """Wait until the peer has answered the end of the connection, or the timeout, or a signal."""
    while endpoint.closing.is_orphan:
        woken = False
        try:
            woken = endpoint.read_queue.sleep_until(deadline_ns)
        except (Errno, MemoryError):
            woken = False
        if not woken:
            return
