"""Connections between endpoints: what each packet means, and what opening and ending send.

A connection is opened by a request and a response; the side that accepts is connected from then on, and its endpoint
waits in the listener. It ends when one side has shut down both directions and the other has answered with a reset,
which it does when its program has read what came. Whoever knows nothing of a connection answers with a reset.

An endpoint whose program has gone waits for the peer's reset, as an orphan, for eight seconds at most.

Deviations from Linux: a peer that sends more than it may has its connection reset, instead of losing those bytes
silently; so has one whose messages are too many to keep (MOST_PACKETS), which Linux finds much earlier; beyond
MOST_ORPHANS an orphan is reset at once.
Context: thread context; nothing sleeps. What answers a packet and finds no memory is not sent.
Source: Virtual I/O Device (VIRTIO) Version 1.2, 5.10.6; vsock(7).
"""

from typing import Final

from kernel.lang import ECONNRESET, ENODEV, EPROTO, ESOCKTNOSUPPORT, ETIMEDOUT, Errno, final, noraise
from kernel.net.link.timers import NetworkTimer
from kernel.net.vsock.addresses import CID_ANY
from kernel.net.vsock.endpoint import BOTH, Endpoint, Phase, State
from kernel.net.vsock.memory import MEMORY, MOST_ORPHANS
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
from kernel.net.vsock.table import TABLE
from kernel.net.vsock.transport import TRANSPORTS, VsockTransport
from kernel.time import monotonic_ns

_CLOSE_TIMEOUT_NS: Final = 8_000_000_000


# ---- Sending --------------------------------------------------------------------------------------------------------


def send(endpoint: Endpoint, operation: int, flags: int = 0) -> None:
    """Send a packet without data. Raises ENODEV, MemoryError."""
    send_packet(endpoint, VsockPacket(endpoint.kind, operation), flags)


def send_packet(endpoint: Endpoint, packet: VsockPacket, flags: int) -> None:
    """Send a packet to the peer. Raises ENODEV, MemoryError; then its data are still the caller's."""
    transport = endpoint.transport
    if transport is None:
        raise Errno(ENODEV)
    packet.flags = flags
    packet.source_cid = transport.cid()
    packet.source_port = endpoint.local_port
    packet.target_cid = endpoint.remote_cid
    packet.target_port = endpoint.remote_port
    told = endpoint.told_forwarded
    endpoint.stamp(packet)
    is_sent = False
    try:
        transport.send(packet)
        is_sent = True
    finally:
        if not is_sent:
            endpoint.told_forwarded = told


@noraise
def tell(endpoint: Endpoint, operation: int, flags: int = 0) -> None:
    """The same where nobody can do anything about a failure."""
    try:
        send(endpoint, operation, flags)
    except (Errno, MemoryError):
        return  # the peer finds out when its own time is up, or by the next packet


@noraise
def refuse(transport: VsockTransport, packet: VsockPacket) -> None:
    """Answer a packet that belongs to no connection."""
    if packet.operation == OP_RESET:
        return
    try:
        answer = VsockPacket(packet.kind, OP_RESET)
        answer.source_cid = packet.target_cid
        answer.source_port = packet.target_port
        answer.target_cid = packet.source_cid
        answer.target_port = packet.source_port
        transport.send(answer)
    except (Errno, MemoryError):
        return  # the peer finds out when its own time is up


# ---- Opening --------------------------------------------------------------------------------------------------------


def choose_transport(endpoint: Endpoint) -> None:
    """Take the transport that leads to the peer. Raises ESOCKTNOSUPPORT where it has no connections of this kind."""
    transport = TRANSPORTS.leading_to(endpoint.remote_cid)
    if endpoint.transport is transport:
        return
    endpoint.transport = None
    endpoint.state = State.CLOSED
    endpoint.peer_ended = 0
    endpoint.is_done = False
    if endpoint.kind == SEQUENCED and not transport.takes_sequences():
        raise Errno(ESOCKTNOSUPPORT)
    endpoint.transport = transport


def connection_timed_out(endpoint: Endpoint) -> None:
    """A connection that is opened without waiting has taken too long."""
    if endpoint.state == State.CONNECTING and endpoint.ended != BOTH:
        endpoint.state = State.CLOSED
        endpoint.phase = Phase.UNCONNECTED
        endpoint.error = ETIMEDOUT
        endpoint.wake()


@final
class EndpointTimer(NetworkTimer):
    """Ends what an endpoint waits for: its connection to be opened, or, for an orphan, the answer to its end."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self.endpoint: Endpoint = endpoint

    def expire(self, now_ns: int) -> None:
        endpoint = self.endpoint
        if not endpoint.is_orphan:
            connection_timed_out(endpoint)
        elif not endpoint.is_done:
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
    """The endpoint waits for nothing any more."""
    timer = endpoint.timer
    if timer is not None:
        endpoint.timer = None  # they refer to each other
        timer.remove()


# ---- Ending ---------------------------------------------------------------------------------------------------------


@noraise
def _end(endpoint: Endpoint) -> None:
    """The connection has ended. What came can still be read."""
    endpoint.is_done = True
    endpoint.peer_ended = BOTH
    if endpoint.received <= 0:
        endpoint.state = State.CLOSING
    endpoint.wake()
    if endpoint.is_orphan:
        discard(endpoint)


@noraise
def discard(endpoint: Endpoint) -> None:
    """The endpoint exists no more."""
    if endpoint.is_orphan:
        endpoint.is_orphan = False
        MEMORY.orphans -= 1
    stop_timer(endpoint)
    endpoint.is_done = True
    endpoint.forget_data()
    TABLE.remove(endpoint)


@noraise
def close(endpoint: Endpoint) -> None:
    """The program has gone: end the connection, or discard an endpoint that has none."""
    endpoint.phase = Phase.UNCONNECTED
    is_open = endpoint.state == State.ESTABLISHED or endpoint.state == State.CLOSING
    told = endpoint.ended
    endpoint.ended = BOTH
    if endpoint.transport is None or not is_open:
        discard(endpoint)
        return
    if endpoint.peer_ended == BOTH:
        tell(endpoint, OP_RESET)
        discard(endpoint)
        return
    if MEMORY.orphans >= MOST_ORPHANS or not _wait_for_answer(endpoint):
        tell(endpoint, OP_RESET)
        discard(endpoint)
        return
    endpoint.is_orphan = True
    MEMORY.orphans += 1
    endpoint.forget_data()
    if told != BOTH:
        tell(endpoint, OP_SHUTDOWN, BOTH)


@noraise
def _wait_for_answer(endpoint: Endpoint) -> bool:
    try:
        start_timer(endpoint, _CLOSE_TIMEOUT_NS)
        return True
    except MemoryError:
        return False


@noraise
def transport_lost(transport: VsockTransport) -> None:
    """The device is gone, or the machine has moved to another host: no connection goes on."""
    found = TABLE.all.first()
    while found is not None:
        following = found.after()
        is_open = found.state == State.CONNECTING or found.state == State.ESTABLISHED
        if found.transport is transport and (is_open or found.is_orphan):
            found.state = State.CLOSED
            found.error = ECONNRESET
            TABLE.disconnect(found)
            found.wake()
            if found.is_orphan:
                discard(found)
        found = following


# ---- Receiving ------------------------------------------------------------------------------------------------------


@noraise
def receive(transport: VsockTransport, packet: VsockPacket) -> None:
    """A packet came by a transport. Its data are whole, and all other fields what the peer says."""
    endpoint = TABLE.find_connected(packet.source_cid, packet.source_port, packet.target_port)
    if endpoint is None:
        endpoint = TABLE.find_bound(packet.target_cid, packet.target_port)
    if endpoint is None or endpoint.kind != packet.kind or endpoint.is_done:
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
    endpoint.note_credit(packet)
    if endpoint.local_cid != CID_ANY:
        endpoint.local_cid = packet.target_cid  # which a device may have changed
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
def _refuse_and_drop(transport: VsockTransport, packet: VsockPacket) -> None:
    refuse(transport, packet)
    packet.release()


@noraise
def _was_accepted(listener: Endpoint, transport: VsockTransport, packet: VsockPacket) -> bool:
    """Make a connection of a request, if it is one that may be answered."""
    if packet.operation != OP_REQUEST or len(listener.waiting) > listener.backlog or listener.ended == BOTH:
        return False
    if TRANSPORTS.leading_to(packet.source_cid) is not transport:
        return False
    if listener.kind == SEQUENCED and not transport.takes_sequences():
        return False
    try:
        child = Endpoint(listener.kind, listener.network)
        child.inherit(listener)
        child.transport = transport
        child.local_cid = packet.target_cid
        child.local_port = packet.target_port
        child.remote_cid = packet.source_cid
        child.remote_port = packet.source_port
        child.note_credit(packet)
        child.state = State.ESTABLISHED
        listener.waiting.append(child)
    except MemoryError:
        return False
    TABLE.add(child)
    try:
        TABLE.connect(child)
        send(child, OP_RESPONSE)
    except (Errno, MemoryError):
        listener.waiting.pop()
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
        endpoint.peer_ended |= packet.flags & BOTH
        if endpoint.peer_ended == BOTH:
            TABLE.disconnect(endpoint)  # the peer may use its port for another connection from now on
            if endpoint.received <= 0 and not endpoint.is_done:
                tell(endpoint, OP_RESET)
                _end(endpoint)
                return
        endpoint.wake()


@noraise
def _receive_data(endpoint: Endpoint, packet: VsockPacket) -> None:
    length = len(packet)
    if endpoint.is_orphan:
        endpoint.count_forwarded(length)
        packet.release()
        return
    is_lost = True
    if endpoint.can_take(length):
        try:
            endpoint.enqueue(packet)
            is_lost = False
        except MemoryError:
            is_lost = True
    if is_lost:
        packet.release()
        tell(endpoint, OP_RESET)
        _end(endpoint)
    elif endpoint.is_ready_to_read():
        endpoint.read_queue.wake_all()
