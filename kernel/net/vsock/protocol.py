"""Connections between endpoints: the meaning of each packet, and what opening and ending send.

A connection is opened by a request and a response; the side that accepts is connected from then on, and its endpoint
waits in the listener. It ends when one side has shut down both directions and the other has answered with a reset,
which it does when its program has read all data. An end that knows nothing of a connection answers with a reset.

An endpoint whose program has gone waits for the peer's reset, as an orphan, for at most eight seconds.

Deviations from Linux: a peer that sends more than it may has its connection reset, instead of losing those bytes
silently; so has one whose messages are too many to keep (MOST_PACKETS), which Linux detects much earlier; above
MOST_ORPHANS an orphan is reset at once.

A packet that belongs to a connection is matched by both ports and the peer's context; a REQUEST for an existing
connection is dropped before any of it is examined.

A report for which an endpoint finds no memory is not lost: OP_RESET is sent with the endpoint's spare packet, all
others are owed, and the network thread sends them later (`Debts`). Only an answer to an unknown peer may be lost.
Context: thread context; only `transport_lost` sleeps.
Source: Virtual I/O Device (VIRTIO) Version 1.2, 5.10.6; vsock(7).
"""

from typing import Final

from kernel.lang import ECONNRESET, ENODEV, EPROTO, ESOCKTNOSUPPORT, ETIMEDOUT, Errno, final, noraise
from kernel.lib.pace import pace, spend
from kernel.net.link.thread import Work, schedule_work
from kernel.net.link.timers import NetworkTimer
from kernel.net.vsock.addresses import CID_ANY
from kernel.net.vsock.endpoint import BOTH, OWES_END, OWES_UPDATE, Endpoint, Phase, State
from kernel.net.vsock.memory import MEMORY, MOST_ORPHANS, MemoryHook
from kernel.net.vsock.packet import (
    OP_CREDIT_REQUEST,
    OP_CREDIT_UPDATE,
    OP_DATA,
    OP_INVALID,
    OP_REQUEST,
    OP_RESET,
    OP_RESPONSE,
    OP_SHUTDOWN,
    SEQUENCED,
    VsockPacket,
)
from kernel.net.vsock.table import TABLE, Cursor
from kernel.net.vsock.transport import TRANSPORTS, VsockTransport
from kernel.time import monotonic_ns

_CLOSE_TIMEOUT_NS: Final = 8_000_000_000
_TURN: Final = 64  # endpoints that the network thread examines in one turn
_LOOK_COST: Final = 500  # instructions for one of them
_LOSS_COST: Final = 5000  # … for one whose connection ends


# ---- Sending --------------------------------------------------------------------------------------------------------


def send(endpoint: Endpoint, operation: int, flags: int = 0) -> None:
    """Send a packet without data. Raises ENODEV, ENOBUFS (OP_REQUEST and OP_RESPONSE), MemoryError."""
    packet = VsockPacket(endpoint.kind, operation)
    packet.is_limited = operation == OP_REQUEST or operation == OP_RESPONSE
    if operation == OP_CREDIT_UPDATE:
        endpoint.reports.update = packet
    send_packet(endpoint, packet, flags)


def send_packet(endpoint: Endpoint, packet: VsockPacket, flags: int) -> None:
    """Send a packet to the peer. Raises ENODEV, ENOBUFS for a limited one; then its data are still the caller's."""
    transport = endpoint.transport
    if transport is None:
        raise Errno(ENODEV)
    packet.flags = flags
    packet.source_cid = transport.cid()
    packet.source_port = endpoint.local.port
    packet.target_cid = endpoint.remote.cid
    packet.target_port = endpoint.remote.port
    reported = endpoint.flow.reported
    endpoint.stamp(packet)
    is_sent = False
    try:
        transport.send(packet)
        is_sent = True
        if packet is not endpoint.reports.update:
            endpoint.reports.update = None  # updated, it would be ahead of this one, which would take that back
    finally:
        if not is_sent:
            endpoint.flow.reported = reported


@noraise
def tell(endpoint: Endpoint, operation: int, flags: int = 0) -> None:
    """The same if no caller can handle a failure: OP_CREDIT_UPDATE, OP_SHUTDOWN, OP_RESET. Without memory it
    is sent later.
    """
    waiting = _waiting_packet(endpoint, operation)
    if waiting is not None:
        if waiting.flags & flags == flags:
            if operation == OP_CREDIT_UPDATE:
                endpoint.stamp(waiting)
            return
        flags |= waiting.flags
    packet = _packet_to_tell(endpoint, operation)
    if packet is None:
        if operation != OP_RESET:
            DEBTS.owe(endpoint, OWES_END if operation == OP_SHUTDOWN else OWES_UPDATE)
        return
    if operation == OP_CREDIT_UPDATE:
        endpoint.reports.update = packet
    elif operation == OP_SHUTDOWN:
        endpoint.reports.end = packet
    try:
        send_packet(endpoint, packet, flags)
    except Errno:
        return  # the device is gone, and the connection with it


@noraise
def _waiting_packet(endpoint: Endpoint, operation: int) -> VsockPacket | None:
    """A packet of the same kind that still waits in the transport, if there is one; an OP_CREDIT_UPDATE only if
    nothing waits after it.
    """
    packet: VsockPacket | None = None
    if operation == OP_CREDIT_UPDATE:
        packet = endpoint.reports.update
    elif operation == OP_SHUTDOWN:
        packet = endpoint.reports.end
    return packet if packet is not None and packet.is_waiting else None


@noraise
def _packet_to_tell(endpoint: Endpoint, operation: int) -> VsockPacket | None:
    """A new packet, without memory the spare one for OP_RESET; None if there is none."""
    try:
        return VsockPacket(endpoint.kind, operation)
    except MemoryError:
        packet = endpoint.reports.spare if operation == OP_RESET else None
        if packet is not None:
            endpoint.reports.spare = None
            packet.operation = operation
        return packet


@final
class Debts(Work):
    """Endpoints with reports for which there was no memory, oldest first. Those that are
    discarded in the meantime owe nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self._first: Endpoint | None = None
        self._last: Endpoint | None = None

    @noraise
    def owe(self, endpoint: Endpoint, what: int) -> None:
        """Record a pending report."""
        endpoint.reports.owed |= what
        if not endpoint.reports.is_listed:
            endpoint.reports.is_listed = True
            last = self._last
            if last is None:
                self._first = endpoint
            else:
                last.reports.next_debtor = endpoint
            self._last = endpoint
        schedule_work(self)

    def run(self, now_ns: int) -> None:
        for _ in range(_TURN):
            endpoint = self._first
            if endpoint is None:
                return
            _pay(endpoint)
            self._first = endpoint.reports.next_debtor
            if self._first is None:
                self._last = None
            endpoint.reports.next_debtor = None
            endpoint.reports.is_listed = False
            spend(_LOSS_COST)
        schedule_work(self)


DEBTS: Final = Debts()


def _pay(endpoint: Endpoint) -> None:
    """Send what the endpoint owes. Raises MemoryError; then it still owes what was not sent."""
    transport = endpoint.transport
    goes_on = endpoint.state == State.ESTABLISHED and not endpoint.closing.is_done
    if endpoint.reports.owed != 0 and transport is not None and goes_on:
        try:
            if endpoint.reports.owed & OWES_END != 0:
                send(endpoint, OP_SHUTDOWN, endpoint.closing.ended)
                endpoint.reports.owed &= ~OWES_END
            if endpoint.reports.owed & OWES_UPDATE != 0:
                send(endpoint, OP_CREDIT_UPDATE)
            transport.deliver_later()
        except Errno:
            endpoint.reports.owed = 0  # the device is gone
    endpoint.reports.owed = 0


@final
class MemoryWaker(Work):
    """Wakes senders that waited while the memory of all connections was used up."""

    def __init__(self) -> None:
        super().__init__()
        self._cursor: Cursor = Cursor()
        self._again: bool = False

    @noraise
    def wake(self) -> None:
        """Memory is available."""
        if self._cursor.is_walking:
            self._again = True
        else:
            self._cursor.start()
        schedule_work(self)

    def run(self, now_ns: int) -> None:
        for _ in range(_TURN):
            endpoint = self._cursor.take()
            if endpoint is None:
                self._cursor.end()
                if self._again:
                    self._again = False
                    self.wake()
                return
            if endpoint.state == State.ESTABLISHED and endpoint.room() > 0:
                endpoint.write_queue.wake_all()
            spend(_LOOK_COST)
        schedule_work(self)


_WAKER: Final = MemoryWaker()


@final
class _Hook(MemoryHook):
    @noraise
    def has_room(self) -> None:
        _WAKER.wake()


MEMORY.programs.hook = _Hook()


@noraise
def refuse(transport: VsockTransport, packet: VsockPacket) -> None:
    """Answer a packet that belongs to no connection."""
    if packet.operation == OP_RESET:
        return
    try:
        answer = VsockPacket(packet.kind, OP_RESET)
        answer.is_limited = True
        answer.source_cid = packet.target_cid
        answer.source_port = packet.target_port
        answer.target_cid = packet.source_cid
        answer.target_port = packet.source_port
        transport.send(answer)
    except (Errno, MemoryError):
        return  # the peer's own timeout will end it


# ---- Opening --------------------------------------------------------------------------------------------------------


def choose_transport(endpoint: Endpoint) -> None:
    """Choose the transport that leads to the peer. Raises ESOCKTNOSUPPORT if it has no connections of this kind."""
    transport = TRANSPORTS.leading_to(endpoint.remote.cid)
    endpoint.generation = transport.generation
    if endpoint.transport is transport:
        return
    endpoint.transport = None
    endpoint.state = State.CLOSED
    endpoint.closing.peer_ended = 0
    endpoint.closing.is_done = False
    if endpoint.kind == SEQUENCED and not transport.takes_sequences():
        raise Errno(ESOCKTNOSUPPORT)
    endpoint.transport = transport


def connection_timed_out(endpoint: Endpoint) -> None:
    """A connection that is being opened without waiting has taken too long."""
    if endpoint.state == State.CONNECTING and endpoint.closing.ended != BOTH:
        endpoint.state = State.CLOSED
        endpoint.phase = Phase.UNCONNECTED
        endpoint.error = ETIMEDOUT
        endpoint.wake()


@final
class EndpointTimer(NetworkTimer):
    """Ends an endpoint's wait: for its connection to open, or, for an orphan, for the answer to its end."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self.endpoint: Endpoint = endpoint

    def expire(self, now_ns: int) -> None:
        endpoint = self.endpoint
        if not endpoint.closing.is_orphan:
            connection_timed_out(endpoint)
        elif not endpoint.closing.is_done:
            transport = endpoint.transport
            tell(endpoint, OP_RESET)
            _end(endpoint)
            if transport is not None:
                transport.deliver_later()


def start_timer(endpoint: Endpoint, delay_ns: int) -> None:
    """Raises MemoryError."""
    timer = endpoint.timer
    if timer is None:
        timer = EndpointTimer(endpoint)
        endpoint.timer = timer
    timer.start(monotonic_ns() + delay_ns)


@noraise
def stop_timer(endpoint: Endpoint) -> None:
    """The endpoint no longer waits for anything."""
    timer = endpoint.timer
    if timer is not None:
        endpoint.timer = None  # they refer to each other
        timer.remove()


# ---- Ending ---------------------------------------------------------------------------------------------------------


@noraise
def _end(endpoint: Endpoint) -> None:
    """End the connection. Received data can still be read."""
    endpoint.closing.is_done = True
    endpoint.closing.peer_ended = BOTH
    if endpoint.received.bytes <= 0:
        endpoint.state = State.CLOSING
    endpoint.wake()
    if endpoint.closing.is_orphan:
        discard(endpoint)


@noraise
def discard(endpoint: Endpoint) -> None:
    """Remove the endpoint."""
    if endpoint.closing.is_orphan:
        endpoint.closing.is_orphan = False
        MEMORY.orphans -= 1
    stop_timer(endpoint)
    endpoint.closing.is_done = True
    endpoint.reports.owed = 0
    endpoint.forget_data()
    TABLE.remove(endpoint)


@noraise
def close(endpoint: Endpoint) -> None:
    """The program has gone: end the connection, or discard an endpoint that has none."""
    endpoint.phase = Phase.UNCONNECTED
    is_open = endpoint.state == State.ESTABLISHED or endpoint.state == State.CLOSING
    reported = endpoint.closing.ended
    endpoint.closing.ended = BOTH
    if endpoint.transport is None or not is_open:
        discard(endpoint)
        return
    if endpoint.closing.peer_ended == BOTH:
        tell(endpoint, OP_RESET)
        discard(endpoint)
        return
    if MEMORY.orphans >= MOST_ORPHANS or not _wait_for_answer(endpoint):
        tell(endpoint, OP_RESET)
        discard(endpoint)
        return
    endpoint.closing.is_orphan = True
    MEMORY.orphans += 1
    endpoint.forget_data()
    if reported != BOTH:
        tell(endpoint, OP_SHUTDOWN, BOTH)


@noraise
def _wait_for_answer(endpoint: Endpoint) -> bool:
    try:
        start_timer(endpoint, _CLOSE_TIMEOUT_NS)
        return True
    except MemoryError:
        return False


_LOSS: Final = Cursor()


def transport_lost(transport: VsockTransport) -> None:
    """The device is gone, or the machine has moved to another host: every present connection ends. For the
    device's thread, with safe points.
    """
    transport.generation += 1
    generation = transport.generation
    _LOSS.start()
    found = _LOSS.take()
    while found is not None:
        if found.transport is transport and found.generation != generation:
            _lose(found)
            spend(_LOSS_COST)
        pace(_LOOK_COST)
        found = _LOSS.take()
    _LOSS.end()


@noraise
def _lose(endpoint: Endpoint) -> None:
    if endpoint.state == State.CONNECTING or endpoint.state == State.ESTABLISHED or endpoint.closing.is_orphan:
        endpoint.state = State.CLOSED
        endpoint.error = ECONNRESET
        TABLE.disconnect(endpoint)
        endpoint.wake()
        if endpoint.closing.is_orphan:
            discard(endpoint)


# ---- Receiving ------------------------------------------------------------------------------------------------------


@noraise
def receive(transport: VsockTransport, packet: VsockPacket) -> None:
    """Take a packet from a transport. Its data are complete; all other fields are the peer's claims."""
    endpoint = TABLE.find_connected(packet.source_cid, packet.source_port, packet.target_port)
    if endpoint is None:
        endpoint = TABLE.find_bound(packet.target_cid, packet.target_port)
        if endpoint is not None and endpoint.state != State.LISTENING and not _is_peer(endpoint, transport, packet):
            endpoint = None
    if endpoint is None or endpoint.kind != packet.kind or endpoint.closing.is_done:
        _refuse_and_drop(transport, packet)
        return
    if endpoint.state == State.LISTENING:
        if not _was_accepted(endpoint, transport, packet):
            refuse(transport, packet)
        packet.release()
        return
    if endpoint.transport is not transport:
        _refuse_and_drop(transport, packet)
        return
    if endpoint.state == State.ESTABLISHED and packet.operation == OP_REQUEST:
        packet.release()  # from a peer that has the port by another context, or that lies
        return
    endpoint.note_credit(packet)
    if endpoint.local.cid != CID_ANY:
        endpoint.local.cid = packet.target_cid  # which a device may have changed
    if endpoint.room() > 0:
        endpoint.write_queue.wake_all()
    if endpoint.state == State.ESTABLISHED:
        _receive_connected(endpoint, transport, packet)
        return
    if endpoint.state == State.CONNECTING:
        _receive_connecting(endpoint, packet)
    elif endpoint.state == State.CLOSING:
        if packet.operation == OP_RESET:
            _end(endpoint)
    else:
        refuse(transport, packet)
    packet.release()


@noraise
def _is_peer(endpoint: Endpoint, transport: VsockTransport, packet: VsockPacket) -> bool:
    """Whether a packet comes from the address to which an endpoint connects. In this machine all come from CID_LOCAL,
    whichever of its numbers the endpoint has connected to.
    """
    if packet.source_port != endpoint.remote.port:
        return False
    return packet.source_cid == endpoint.remote.cid or transport is TRANSPORTS.local


@noraise
def _refuse_and_drop(transport: VsockTransport, packet: VsockPacket) -> None:
    refuse(transport, packet)
    packet.release()


@noraise
def _was_accepted(listener: Endpoint, transport: VsockTransport, packet: VsockPacket) -> bool:
    """Create a connection for a request, if it may be answered."""
    if packet.operation != OP_REQUEST or len(listener.waiting) > listener.backlog or listener.closing.ended == BOTH:
        return False
    if TRANSPORTS.leading_to(packet.source_cid) is not transport:
        return False
    if listener.kind == SEQUENCED and not transport.takes_sequences():
        return False
    try:
        child = Endpoint(listener.kind, listener.network)
        child.inherit(listener)
        child.transport = transport
        child.generation = transport.generation
        child.local.cid = packet.target_cid
        child.local.port = packet.target_port
        child.remote.cid = packet.source_cid
        child.remote.port = packet.source_port
        child.note_credit(packet)
        child.state = State.ESTABLISHED
        listener.await_acceptance(child)
    except MemoryError:
        return False
    TABLE.add(child)
    try:
        TABLE.connect(child)
        send(child, OP_RESPONSE)
    except (Errno, MemoryError):
        listener.waiting.pop()
        child.was_taken()
        TABLE.remove(child)
        return False
    listener.read_queue.wake_all()
    return True


@noraise
def _receive_connecting(endpoint: Endpoint, packet: VsockPacket) -> None:
    operation = packet.operation
    if operation == OP_INVALID:
        return
    error = ECONNRESET
    if operation == OP_RESPONSE:
        TABLE.connect(endpoint)
        endpoint.state = State.ESTABLISHED
        endpoint.phase = Phase.CONNECTED
        stop_timer(endpoint)
        endpoint.wake()
        return
    if operation != OP_RESET:
        error = EPROTO
        tell(endpoint, OP_RESET)
    stop_timer(endpoint)
    endpoint.state = State.CLOSED
    endpoint.error = error
    endpoint.wake()


@noraise
def _receive_connected(endpoint: Endpoint, transport: VsockTransport, packet: VsockPacket) -> None:
    operation = packet.operation
    if operation == OP_DATA:
        _receive_data(endpoint, packet)
        return
    packet.release()
    if operation == OP_CREDIT_REQUEST:
        tell(endpoint, OP_CREDIT_UPDATE)
    elif operation == OP_RESET:
        _end(endpoint)
    elif operation == OP_SHUTDOWN and packet.flags & BOTH != 0:
        endpoint.closing.peer_ended |= packet.flags & BOTH
        if endpoint.closing.peer_ended == BOTH:
            TABLE.disconnect(endpoint)  # the peer may use its port for another connection from now on
            if endpoint.received.bytes <= 0 and not endpoint.closing.is_done:
                tell(endpoint, OP_RESET)
                _end(endpoint)
                return
        endpoint.wake()


@noraise
def _receive_data(endpoint: Endpoint, packet: VsockPacket) -> None:
    length = len(packet)
    if endpoint.closing.is_orphan:
        endpoint.count_forwarded(length)
        packet.release()
        return
    if endpoint.can_take(packet):
        endpoint.enqueue(packet)
    else:
        packet.release()
        tell(endpoint, OP_RESET)
        _end(endpoint)
        return
    if endpoint.is_ready_to_read():
        endpoint.read_queue.wake_all()
