"""Bytes between programs and connections: the data side of TCP sockets (send(2), recv(2), tcp(7)).

One mutex for each direction keeps whole writes, and reads, separate across copies that sleep; it is not
held while waiting for room or data.

Context: system calls; sleeps.
"""

from typing import Final

from kernel.lang import EAGAIN, EINVAL, ENOTCONN, EPIPE, Errno, final, span_of
from kernel.net.internet.transport import PROTOCOL_TCP
from kernel.net.link.packet import Packet
from kernel.net.sockets.ancillary import WANTS_TIME, put_timestamps
from kernel.net.sockets.inet_options import int_bytes
from kernel.net.sockets.socket import (
    MSG_MORE,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    MSG_WAITALL,
    ControlMessage,
    Message,
    Socket,
)
from kernel.net.tcp import output
from kernel.net.tcp.channel import Channel
from kernel.net.tcp.connection import Connection, State
from kernel.net.tcp.memory import MEMORY, moderate_send_buffer
from kernel.net.tcp.send_queue import Chunk
from kernel.net.tcp.stack import run
from kernel.net.tcp.tcp_options import TCP_INQ
from kernel.sched import Mutex
from kernel.time import monotonic_ns, realtime_ns

_SMALL_CHUNK: Final = 2048


@final
class Stream:
    """The two directions of a socket with a connection."""

    def __init__(self, channel: Channel) -> None:
        self.channel: Channel = channel
        self.send_lock: Mutex = Mutex()
        self.receive_lock: Mutex = Mutex()


def take_error(c: Connection) -> int:
    """The errno that ended the connection, once."""
    error = c.error
    c.error = 0
    return error


# ---- Sending ------------------------------------------------------------------------------------------------------


def is_send_shut(c: Connection) -> bool:
    """Whether nothing more may be written."""
    return c.sender.fin_queued or c.state == State.CLOSED


def _check_sending(c: Connection) -> None:
    if c.error != 0:
        raise Errno(take_error(c))
    if is_send_shut(c):
        raise Errno(EPIPE)


def send(socket: Socket, stream: Stream, message: Message) -> int:
    """Send the buffer's data; returns how much was taken. EAGAIN, EPIPE, what ended the connection, ERESTARTSYS."""
    channel = stream.channel
    c = channel.connection
    assert c is not None
    deadline_ns = socket.send_deadline(message.flags)
    while c.state == State.SYN_SENT or c.state == State.SYN_RECEIVED:
        _check_sending(c)
        socket.wait(channel.write_queue, deadline_ns)
    buffer = message.buffer
    done = 0
    if buffer.remaining == 0:
        _check_sending(c)
        return 0
    while buffer.remaining > 0 and (done == 0 or c.error == 0):  # an error is for the next call, if this sends some
        try:
            _check_sending(c)
            if _has_no_room(channel, c):
                _flush(channel, c, more=False)
                if _has_no_room(channel, c):
                    socket.lacks_room = True
                    socket.wait(channel.write_queue, deadline_ns)
                continue
            done += _copy_in(stream, c, message)
        except (Errno, MemoryError):
            if done > 0:
                break
            raise
        if buffer.faulted:
            break
    if done > 0:
        if message.flags & MSG_OOB != 0:
            c.sender.urgent_end = c.queue.end
        _flush(channel, c, message.flags & MSG_MORE != 0)
    return done


def _has_no_room(channel: Channel, c: Connection) -> bool:
    if MEMORY.is_exhausted():
        moderate_send_buffer(c)
    limit = channel.options.not_sent_limit
    return c.send_room() <= 0 or (limit != 0 and c.queue.end - c.sender.nxt >= limit)


def _flush(channel: Channel, c: Connection, more: bool) -> None:
    c.sender.more_follows = more
    output.transmit(c, monotonic_ns())
    run(channel)


def _copy_in(stream: Stream, c: Connection, message: Message) -> int:
    """Copy a part of the program's bytes into the last chunk, and send full chunks."""
    buffer = message.buffer
    lock = stream.send_lock
    queue = c.queue
    lock.acquire_unless_dying()  # its holder copies from or to a program's memory
    try:
        if is_send_shut(c):
            return 0  # while this waited for the lock; `send` says why
        chunk = _tail(c, min(buffer.remaining, max(c.send_room(), 1)), message.flags & MSG_MORE != 0)
        queue.is_filling = True
        room = queue.room(chunk, buffer.remaining)
        moved = buffer.take(room)
        if moved < len(room):
            moved = 0  # as on Linux, a part that ends in a fault is not sent
        queue.is_filling = False
        if queue.tail is chunk:
            queue.filled(chunk, moved)
        else:
            moved = 0  # the connection has ended in the meantime
    finally:
        queue.is_filling = False
        lock.release()
    if chunk.room() == 0 and buffer.remaining > 0:
        _flush(stream.channel, c, more=True)
    return moved


def _tail(c: Connection, wanted: int, more: bool) -> Chunk:
    """A chunk with room at the end of the queue. Its size is that of the packet which it will probably become."""
    queue = c.queue
    tail = queue.tail
    if tail is not None and not tail.is_sent and tail.room() > 0:
        return tail
    goal = c.largest_payload()
    if wanted >= goal:
        return queue.append_chunk(goal)
    waiting = queue.end - c.sender.nxt
    if more or c.sender.is_corked or waiting > 0:
        # Later data will join it: the more is waiting, the more will follow. Whole segments, so that
        # the next chunk begins where a packet does.
        unit = min(c.sizes.mss, _SMALL_CHUNK)
        size = max(wanted, min(waiting, goal))
        return queue.append_chunk(min((size + unit - 1) // unit * unit, goal))
    return queue.append_chunk(wanted)


# ---- Receiving ----------------------------------------------------------------------------------------------------


def receive(socket: Socket, stream: Stream, message: Message) -> int:
    """Copy received data to the program: at least the low-water mark, or all with MSG_WAITALL, until the stream ends or
    something happens first. EAGAIN, ENOTCONN, what ended the connection, ERESTARTSYS.
    """
    channel = stream.channel
    c = channel.connection
    assert c is not None
    flags = message.flags
    if flags & MSG_OOB != 0:
        return _receive_urgent(c, message)
    buffer = message.buffer
    wanted = buffer.remaining
    # As on Linux, a call that wants no bytes still waits until there are some.
    target = max(1, wanted if flags & MSG_WAITALL != 0 else min(socket.receive_low_water, wanted))
    deadline_ns = socket.receive_deadline(flags)
    offset = 0
    if flags & MSG_PEEK != 0 and socket.peek_offset > 0:
        offset = socket.peek_offset
    done = 0
    while True:
        moved = _move(stream, c, message, wanted - done, offset, done > 0)
        done += moved
        if flags & MSG_PEEK != 0:
            offset += moved
        if buffer.faulted or (done >= wanted and (wanted > 0 or c.receive.bytes > 0)):
            break
        if moved > 0 and done < target:
            continue
        if done > 0 and (done >= target or _stops_at_urgent(c, offset if flags & MSG_PEEK != 0 else 0)):
            break
        # Nothing more has arrived.
        if done > 0:
            if c.error != 0 or _is_at_end(c):
                break
        else:
            if c.receiver.fin_received or c.receive_shut:
                break
            if c.error != 0:
                raise Errno(take_error(c))
            if c.state == State.CLOSED:
                break
        try:
            socket.wait(channel.read_queue, deadline_ns)
        except Errno:
            if done > 0:
                break
            raise
    if flags & MSG_PEEK != 0:
        if socket.peek_offset >= 0:
            socket.peek_offset += done
    elif socket.peek_offset > 0:
        socket.peek_offset = max(0, socket.peek_offset - done)
    if message.wants_control and (channel.options.tells_queued or socket.is_on(WANTS_TIME)):
        message.control = _control_of(socket, channel, c, done)
    return done


def _control_of(socket: Socket, channel: Channel, c: Connection, done: int) -> list[ControlMessage] | None:
    """When the newest of the data came, and how much is left."""
    found: list[ControlMessage] = []
    if done > 0:
        put_timestamps(socket, realtime_ns() - (monotonic_ns() - c.receiver.last_data_ns), found)
    if channel.options.tells_queued:
        left = c.receive.bytes
        if left == 0 and c.receiver.fin_received:
            left = 1  # the end is still to be read
        found.append(ControlMessage(PROTOCOL_TCP, TCP_INQ, int_bytes(left)))
    return found if len(found) > 0 else None


def _is_at_end(c: Connection) -> bool:
    return c.receiver.fin_received or c.state == State.CLOSED or c.receive_shut


def _stops_at_urgent(c: Connection, offset: int) -> bool:
    return c.receiver.urgent_sequence != 0 and c.receiver.copied + offset == c.receiver.urgent_sequence


def _move(stream: Stream, c: Connection, message: Message, limit: int, offset: int, has_some: bool) -> int:
    """Copy up to `limit` received bytes, from `offset` on when peeking."""
    if c.receive.bytes <= offset or limit == 0:
        return 0
    lock = stream.receive_lock
    lock.acquire_unless_dying()  # its holder copies from or to a program's memory
    try:
        peeks = message.flags & MSG_PEEK != 0
        done = _copy_out(c, message, limit, offset) if peeks else _take_out(c, message, limit, has_some)
    finally:
        lock.release()
    if done > 0 and not peeks:
        output.after_read(c, monotonic_ns())
        run(stream.channel)
    return done


def _take_out(c: Connection, message: Message, limit: int, has_some: bool) -> int:
    """Copy and consume. A read does not cross the urgent mark; the byte there is left out, unless it is inline."""
    buffer = message.buffer
    queue = c.receive
    done = 0
    while done < limit:
        head = queue.head
        if head is None:
            break
        count = min(len(head), limit - done)
        if c.receiver.urgent_sequence != 0:
            ahead = c.receiver.urgent_sequence - c.receiver.copied
            if ahead == 0:
                if done > 0 or has_some:
                    break
                if not c.receiver.urgent_inline:
                    _consume(c, 1)
                    continue
            elif 0 < ahead < count:
                count = ahead
        if message.flags & MSG_TRUNC != 0:
            moved = count
            buffer.remaining -= count
        else:
            moved = buffer.put(span_of(head.storage)[head.start : head.start + count])
        if queue.head is head:  # the connection may have ended in the meantime
            _consume(c, moved)
        done += moved
        if moved < count:
            break
    return done


def _consume(c: Connection, count: int) -> None:
    c.receive.consume(count)
    c.receiver.copied += count
    if c.receiver.urgent_sequence != 0 and c.receiver.copied > c.receiver.urgent_sequence:
        c.receiver.urgent_sequence = 0


def _copy_out(c: Connection, message: Message, limit: int, offset: int) -> int:
    """Copy without consuming."""
    buffer = message.buffer
    packet: Packet | None = c.receive.head
    position = c.receiver.copied
    skip = offset
    done = 0
    while packet is not None and done < limit:
        length = len(packet)
        if skip >= length:
            skip -= length
            position += length
            packet = packet.next
            continue
        start = skip
        skip = 0
        count = min(length - start, limit - done)
        ahead = c.receiver.urgent_sequence - (position + start)
        if c.receiver.urgent_sequence != 0 and 0 <= ahead < count and not c.receiver.urgent_inline:
            if ahead == 0:
                if done > 0:
                    break
                skip = start + 1
                continue
            count = ahead
        moved = buffer.put(span_of(packet.storage)[packet.start + start : packet.start + start + count])
        done += moved
        if moved < count:
            break
        length = len(packet)  # which may have grown in the meantime
        if start + count < length:
            skip = start + count
            continue
        position += length
        packet = packet.next
    return done


def _receive_urgent(c: Connection, message: Message) -> int:
    """MSG_OOB: the urgent byte. EINVAL if there is none, it was taken or is inline; EAGAIN if it has not come yet."""
    place = c.receiver.urgent_sequence
    if c.receiver.urgent_inline or place == 0 or c.receiver.urgent_taken:
        raise Errno(EINVAL)
    if c.state == State.CLOSED and c.receive.bytes == 0:
        raise Errno(ENOTCONN)
    if place < c.receiver.copied or place >= c.receive.next_sequence:
        if c.state == State.CLOSED or c.receive_shut:
            return 0
        raise Errno(EAGAIN)
    byte = bytearray(1)
    byte[0] = c.receive.byte_at(place - c.receiver.copied)
    if message.flags & MSG_PEEK == 0:
        c.receiver.urgent_taken = True
    message.result_flags |= MSG_OOB
    if message.buffer.remaining == 0:
        message.result_flags |= MSG_TRUNC
        return 0
    if message.flags & MSG_TRUNC != 0:
        return 1
    return message.buffer.put(span_of(byte))
