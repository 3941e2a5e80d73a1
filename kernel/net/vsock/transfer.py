"""Sending and receiving through a connected endpoint: streams of bytes, and messages with boundaries.

Bytes are copied once from the sender's memory into a packet, and once from there to the receiver's. Both copies may
sleep; conditions are checked again after them. A lock lets senders take turns, and another one receivers: it is not
held while one waits for room or for data.

The order of checks and the errors are Linux's: a sender's bad address is ENOMEM.
Context: system calls; they sleep.
"""

from typing import Final

from kernel.lang import (
    EAGAIN,
    EFAULT,
    EMSGSIZE,
    ENOMEM,
    EPIPE,
    Errno,
    final,
    span_of,
)
from kernel.lib.pace import pace
from kernel.net.sockets.socket import MSG_EOR, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, Message, Socket
from kernel.net.vsock.endpoint import RECEIVING, SENDING, Endpoint, State
from kernel.net.vsock.loopback import deliver
from kernel.net.vsock.memory import MEMORY
from kernel.net.vsock.packet import (
    END_OF_MESSAGE,
    END_OF_RECORD,
    LARGEST_DATA,
    OP_CREDIT_UPDATE,
    OP_DATA,
    SEQUENCED,
    VsockPacket,
)
from kernel.net.vsock.protocol import send_packet, tell
from kernel.sched import Mutex, WaitQueue

NOT_YET: Final = -1  # a deadline not yet computed
_PART_COST: Final = 500  # instructions for a packet of the queue, besides the copy


@final
class Turns:
    """The locks of senders and receivers."""

    def __init__(self) -> None:
        self.sending: Mutex = Mutex()
        self.receiving: Mutex = Mutex()


# ---- Sending --------------------------------------------------------------------------------------------------------


def send_data(socket: Socket, endpoint: Endpoint, turns: Turns, message: Message) -> int:
    """Send bytes to the peer of a connected endpoint. EAGAIN, EMSGSIZE, ENOMEM, EPIPE, ERESTARTSYS, the pending error.
    A stream reports what was sent before an error; a message that was not sent whole is an error. Then, and if the
    sender has to wait for room, another sender may continue its message, as on Linux.
    """
    buffer = message.buffer
    length = buffer.remaining
    deadline_ns = NOT_YET
    done = 0
    try:
        while done < length:
            while endpoint.room() == 0 and not _is_over(endpoint):
                if deadline_ns == NOT_YET:
                    deadline_ns = socket.send_deadline(message.flags)
                socket.lacks_room = True
                _wait(socket, endpoint.write_queue, deadline_ns)
            if endpoint.error != 0:
                raise Errno(endpoint.error)
            if _is_over(endpoint):
                raise Errno(EPIPE)
            if endpoint.kind == SEQUENCED and length - done > endpoint.peer_limit():
                raise Errno(EMSGSIZE)
            try:
                turns.sending.acquire_unless_dying()
                try:
                    part = _send_part(endpoint, message)
                    done += part
                    while endpoint.kind == SEQUENCED and part > 0 and done < length:  # without room others come between
                        part = _send_part(endpoint, message)
                        done += part
                finally:
                    turns.sending.release()
            finally:
                deliver()
    except (Errno, MemoryError):
        if done == 0 or endpoint.kind == SEQUENCED:
            raise
    return done


def _is_over(endpoint: Endpoint) -> bool:
    """Whether nothing can be sent any more."""
    return endpoint.error != 0 or endpoint.closing.ended & SENDING != 0 or endpoint.closing.peer_ended & RECEIVING != 0


def _wait(socket: Socket, queue: WaitQueue, deadline_ns: int) -> None:
    if deadline_ns == 0:
        raise Errno(EAGAIN)
    socket.wait(queue, deadline_ns)


def _send_part(endpoint: Endpoint, message: Message) -> int:
    """Send one packet, as large as there is room for; 0 if another was faster, or the connection is over. The caller
    has the lock. Raises ENOMEM, ENODEV, MemoryError.
    """
    buffer = message.buffer
    length = min(buffer.remaining, endpoint.room(), LARGEST_DATA)
    if length <= 0:
        return 0
    packet = VsockPacket(endpoint.kind, OP_DATA)
    packet.storage = bytearray(length)
    taken = buffer.take(span_of(packet.storage))
    if taken < length:
        raise Errno(ENOMEM)
    packet.end = length
    if endpoint.error != 0:
        raise Errno(endpoint.error)
    if _is_over(endpoint) or endpoint.state != State.ESTABLISHED:
        raise Errno(EPIPE)
    flags = 0
    if endpoint.kind == SEQUENCED and buffer.remaining == 0:
        flags = END_OF_MESSAGE if message.flags & MSG_EOR == 0 else END_OF_MESSAGE | END_OF_RECORD
    packet.budget = MEMORY.programs
    packet.charge()
    endpoint.count_sent(packet)
    is_sent = False
    try:
        send_packet(endpoint, packet, flags)
        is_sent = True
    finally:
        if not is_sent:
            endpoint.flow.sent = (endpoint.flow.sent - length) & 0xFFFF_FFFF
            packet.was_sent()
            packet.release()
    endpoint.is_half_sent = endpoint.kind == SEQUENCED and flags == 0
    return length


# ---- Receiving ------------------------------------------------------------------------------------------------------


def receive_bytes(socket: Socket, endpoint: Endpoint, turns: Turns, message: Message) -> int:
    """Receive from a stream: the available bytes, or as many as SO_RCVLOWAT or MSG_WAITALL want. 0 at the end. EAGAIN,
    EFAULT, ERESTARTSYS, the pending error; ENOMEM for more at once than the buffer ever holds.
    """
    buffer = message.buffer
    wanted = buffer.remaining
    target = max(1, wanted if message.flags & MSG_WAITALL != 0 else min(endpoint.received.low_water, wanted))
    if target >= endpoint.credit():
        raise Errno(ENOMEM)
    is_peek = message.flags & MSG_PEEK != 0
    deadline_ns = NOT_YET
    done = 0
    try:
        while True:
            while endpoint.received.bytes == 0 and not _has_nothing_to_come(endpoint):
                if deadline_ns == NOT_YET:
                    deadline_ns = socket.receive_deadline(message.flags)
                _wait(socket, endpoint.read_queue, deadline_ns)
            if endpoint.received.bytes == 0:
                break
            turns.receiving.acquire_unless_dying()
            try:
                moved = _peek_bytes(endpoint, message) if is_peek else _take_bytes(endpoint, message)
            finally:
                turns.receiving.release()
            deliver()
            done += moved
            if buffer.faulted:
                raise Errno(EFAULT)
            if is_peek or moved >= target or buffer.remaining == 0:
                break
            target -= moved
        if done == 0 and endpoint.error != 0:
            raise Errno(endpoint.error)
    except (Errno, MemoryError):
        if done == 0:
            raise
    return done if done > 0 or endpoint.closing.ended & RECEIVING == 0 else 0


def _has_nothing_to_come(endpoint: Endpoint) -> bool:
    return endpoint.error != 0 or endpoint.closing.ended & RECEIVING != 0 or endpoint.closing.peer_ended & SENDING != 0


def _take_bytes(endpoint: Endpoint, message: Message) -> int:
    """Copy available bytes, as many as fit; bytes cut off by a fault count as unread. The caller has the lock."""
    buffer = message.buffer
    done = 0
    while buffer.remaining > 0 and not buffer.faulted:
        packet = endpoint.queue.first()
        if packet is None:
            break
        part = min(len(packet), buffer.remaining)
        moved = buffer.put(span_of(packet.storage)[packet.start : packet.start + part])
        if moved < part:
            break
        packet.start += part
        done += part
        endpoint.received.bytes -= part
        if len(packet) == 0:
            endpoint.drop_first()
        pace(_PART_COST)
    if endpoint.owes_update() and endpoint.state == State.ESTABLISHED:
        tell(endpoint, OP_CREDIT_UPDATE)
    return done


def _peek_bytes(endpoint: Endpoint, message: Message) -> int:
    """The same, but they stay unread. The caller has the lock, so nothing leaves the queue in the meantime."""
    buffer = message.buffer
    done = 0
    packet = endpoint.queue.first()
    while packet is not None and buffer.remaining > 0 and not buffer.faulted:
        part = min(len(packet), buffer.remaining)
        moved = buffer.put(span_of(packet.storage)[packet.start : packet.start + part])
        if moved < part:
            break
        done += part
        pace(_PART_COST)
        packet = packet.after()
    return done


def receive_message(socket: Socket, endpoint: Endpoint, turns: Turns, message: Message) -> int:
    """Receive one message; what does not fit is lost (MSG_TRUNC). 0 at the end. EAGAIN, EFAULT, ERESTARTSYS, the
    pending error.
    """
    deadline_ns = NOT_YET
    room = message.buffer.remaining
    while True:
        while endpoint.received.messages == 0 and not _has_nothing_to_come(endpoint):
            if deadline_ns == NOT_YET:
                deadline_ns = socket.receive_deadline(message.flags)
            _wait(socket, endpoint.read_queue, deadline_ns)
        if endpoint.received.messages == 0:
            if endpoint.error != 0:
                raise Errno(endpoint.error)
            return 0
        turns.receiving.acquire_unless_dying()
        try:
            if endpoint.received.messages == 0:
                continue  # another was faster
            if message.flags & MSG_PEEK != 0:
                length = _peek_message(endpoint, message)
            else:
                length = _take_message(endpoint, message)
        finally:
            turns.receiving.release()
        break
    deliver()
    if message.buffer.faulted:
        raise Errno(EFAULT)
    if endpoint.error != 0:
        raise Errno(endpoint.error)
    if endpoint.closing.ended & RECEIVING != 0:
        return 0
    if length > room:
        message.result_flags |= MSG_TRUNC
    return length if message.flags & MSG_TRUNC != 0 else min(length, room)


def _take_message(endpoint: Endpoint, message: Message) -> int:
    """Take the first message out of the queue; returns its length. The caller has the lock."""
    buffer = message.buffer
    length = 0
    while True:
        packet = endpoint.queue.first()
        if packet is None:
            return length
        part = min(len(packet), buffer.remaining)
        if part > 0 and not buffer.faulted:
            buffer.put(span_of(packet.storage)[packet.start : packet.start + part])
        length += len(packet)
        flags = packet.flags
        endpoint.received.bytes -= len(packet)
        endpoint.drop_first()
        pace(_PART_COST)
        if flags & END_OF_MESSAGE != 0:
            break
    if flags & END_OF_RECORD != 0:
        message.result_flags |= MSG_EOR
    if endpoint.state == State.ESTABLISHED:
        tell(endpoint, OP_CREDIT_UPDATE)
    return length


def _peek_message(endpoint: Endpoint, message: Message) -> int:
    """The same, but it stays in the queue."""
    buffer = message.buffer
    length = 0
    packet = endpoint.queue.first()
    while packet is not None:
        part = min(len(packet), buffer.remaining)
        if part > 0 and not buffer.faulted:
            buffer.put(span_of(packet.storage)[packet.start : packet.start + part])
        length += len(packet)
        if packet.flags & END_OF_MESSAGE != 0:
            return length
        pace(_PART_COST)
        packet = packet.after()
    return length
