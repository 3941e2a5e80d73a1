"""Stream sockets: bytes without boundaries, in order.

The bytes of one call form a parcel, or several if they are many. A read may take from several parcels, but never past
attached files, nor past a change of the sender's identity if the receiver asked for it, nor past an urgent byte.
The last parcel read is kept and used for the next send: two partners that take turns allocate nothing.

Context: a mutex separates readers, because a copy to a program may sleep.
"""

from typing import Final

from kernel.fs.constants import POLLPRI
from kernel.lang import EAGAIN, EFAULT, EINVAL, EISCONN, ENOTCONN, EOPNOTSUPP, EPIPE, Errno, recursion, span_of
from kernel.lib.credentials import Credentials
from kernel.net.link.network import Network
from kernel.net.sockets.socket import (
    MSG_OOB,
    MSG_PEEK,
    MSG_WAITALL,
    SOCK_STREAM,
    SWITCH_OOB_INLINE,
    SWITCH_PASS_CREDENTIALS,
    SWITCH_PASS_PIDFD,
    ControlMessage,
    Message,
    release_files,
)
from kernel.net.unix.addresses import address_with
from kernel.net.unix.base import CONNECTED, NOT_YET, RECEIVING, SENDING, UnixSocket
from kernel.net.unix.connection import ConnectedSocket
from kernel.net.unix.parcel import LARGEST_PARCEL, STORAGES, Parcel
from kernel.net.unix.rights import SOCKETS
from kernel.sched import Mutex, PollWaiter
from kernel.task.async_io import signal_urgent

_SMALLEST_PARCEL: Final = 64


class StreamSocket(ConnectedSocket):
    """SOCK_STREAM."""

    def __init__(self, protocol: int, credentials: Credentials, network: Network) -> None:
        self.read_lock: Mutex = Mutex()
        super().__init__(SOCK_STREAM, protocol, credentials, network)
        self.spare: Parcel | None = None
        self.urgent: Parcel | None = None  # in the queue: the latest byte sent with MSG_OOB
        SOCKETS.add(self)

    def new_end(self, credentials: Credentials) -> ConnectedSocket:
        return StreamSocket(0, credentials, self.network)

    # ---- Sending ----------------------------------------------------------------------------------------------

    def send(self, message: Message) -> int:
        claim = self.check_control(message)
        urgent = message.flags & MSG_OOB
        if urgent != 0 and message.buffer.remaining == 0:
            raise Errno(EOPNOTSUPP)
        if message.address:
            raise Errno(EISCONN if self.state == CONNECTED else EOPNOTSUPP)
        peer = self.peer
        if peer is None:
            raise Errno(ENOTCONN)
        if self.ended & SENDING != 0:
            raise Errno(EPIPE)
        buffer = message.buffer
        deadline_ns = NOT_YET
        done = 0
        try:
            while buffer.remaining > 0 and not buffer.faulted:
                if self.used >= self.send_limit or self.pending_error != 0 or self.ended & SENDING != 0:
                    if deadline_ns == NOT_YET:
                        deadline_ns = self.send_deadline(message.flags)
                    self.wait_for_room(deadline_ns)
                # An urgent byte, the last one of its call, is sent alone.
                ordinary = buffer.remaining - urgent
                if ordinary > 0:
                    done += self._send_part(message, peer, claim, ordinary)
                else:
                    done += self._send_part(message, peer, claim, 1)
                    if isinstance(peer, StreamSocket) and not buffer.faulted:
                        peer.take_urgent()
        except (Errno, MemoryError):
            if done == 0:
                raise
        return done

    def take_urgent(self) -> None:
        """The last received byte is urgent. An earlier urgent one becomes an ordinary byte."""
        self.urgent = self.queue[len(self.queue) - 1]
        signal_urgent(self)

    def _send_part(self, message: Message, peer: UnixSocket, claim: bytes, most: int) -> int:
        """Send one parcel; returns the number of bytes taken."""
        length = min(most, LARGEST_PARCEL, max(self.send_limit // 2, _SMALLEST_PARCEL))
        parcel = self._parcel(length)
        taken = message.buffer.take(parcel.room()[0:length])
        if taken < length:
            return 0  # as on Linux, a part that ends in a fault is not sent at all
        parcel.end = length
        if peer.ended & RECEIVING != 0:
            raise Errno(EPIPE)
        self.post(parcel, message, claim, peer)
        return length

    def _parcel(self, length: int) -> Parcel:
        """A parcel with room for that many bytes: the last one read, if it fits."""
        spare = self.spare
        if spare is not None:
            capacity = len(spare.storage)
            if length <= capacity <= max(length * 4, _SMALLEST_PARCEL):
                self.spare = None
                spare.renew(self)
                return spare
        return Parcel(max(length, _SMALLEST_PARCEL), self)

    # ---- Receiving --------------------------------------------------------------------------------------------

    def receive(self, message: Message) -> int:
        if self.state != CONNECTED:
            raise Errno(EINVAL)
        self.read_lock.acquire_unless_dying()  # its holder copies to a program's memory
        try:
            return self._receive_urgent(message) if message.flags & MSG_OOB != 0 else self._receive(message)
        finally:
            self.read_lock.release()

    def _receive_urgent(self, message: Message) -> int:
        """Receive the urgent byte, out of turn. EINVAL if there is none, or it is read in turn (SO_OOBINLINE). The
        caller has the lock.
        """
        parcel = self.urgent
        if parcel is None or self.is_on(SWITCH_OOB_INLINE):
            raise Errno(EINVAL)
        start = parcel.start
        if message.flags & MSG_PEEK == 0:
            # Before the copy, in which another may become urgent; as on Linux, a fault loses it.
            self.urgent = None
            parcel.start += 1  # an empty one marks the place
        if message.buffer.put(span_of(parcel.storage)[start : start + 1]) < 1:
            raise Errno(EFAULT)
        message.result_flags |= MSG_OOB
        return 1

    def is_at_mark(self) -> bool:
        count = len(self.queue)
        if count == 0:
            return False
        head = self.queue[0]
        if head is self.urgent:
            return True
        return len(head) == 0 and (self.urgent is None or (count > 1 and self.queue[1] is self.urgent))

    def poll(self, waiter: PollWaiter | None) -> int:
        state = super().poll(waiter)
        return state | POLLPRI if self.urgent is not None else state

    def _receive(self, message: Message) -> int:
        buffer = message.buffer
        wanted = buffer.remaining
        target = max(1, wanted if message.flags & MSG_WAITALL != 0 else min(self.receive_low_water, wanted))
        peeking = message.flags & MSG_PEEK != 0
        skip = max(0, self.peek_offset) if peeking else 0
        index = 0  # a peeker moves along the queue, a reader takes from its front
        deadline_ns = NOT_YET
        first: Parcel | None = None
        done = 0
        while True:
            while peeking and index < len(self.queue) and skip >= len(self.queue[index]) > 0:
                skip -= len(self.queue[index])
                index += 1
            if index >= len(self.queue):
                if done >= target:
                    break
                error = self.take_error()
                if error != 0:
                    if done > 0:
                        break
                    raise Errno(error)
                if self.ended & RECEIVING != 0:
                    break
                if deadline_ns == NOT_YET:
                    deadline_ns = self.receive_deadline(message.flags)
                try:
                    self._wait_for_data(deadline_ns)
                except Errno:
                    if done > 0:
                        break
                    raise
                continue
            parcel = self.queue[index]
            if len(parcel) == 0:
                # An urgent byte was taken here; a read does not cross this place unless another one follows.
                if done > 0 and self.urgent is None:
                    break
                index = self._pass_over(parcel, index, peeking)
                continue
            if parcel is self.urgent:
                if done > 0:
                    break
                is_inline = self.is_on(SWITCH_OOB_INLINE)
                if not peeking:
                    self.urgent = None
                if not is_inline:
                    index = self._pass_over(parcel, index, peeking)
                    continue
            if first is None:
                first = parcel
                if parcel.sender.name:
                    message.address = address_with(parcel.sender.name)
            elif self.is_on(SWITCH_PASS_CREDENTIALS | SWITCH_PASS_PIDFD) and not first.same_identity(parcel):
                break
            had_files = parcel.files is not None
            control: list[ControlMessage] | None = None
            if had_files or done == 0:
                try:
                    control = self.prepare_control(message, parcel, peeking)
                except (Errno, MemoryError):
                    if done > 0:
                        break  # what was read so far is not lost
                    raise
            chunk = min(len(parcel) - skip, buffer.remaining)
            start = parcel.start + skip
            if buffer.put(span_of(parcel.storage)[start : start + chunk]) < chunk:
                release_files(control)
                break  # bytes cut off by a fault count as unread
            done += chunk
            if control is not None:
                self.hand_over(message, parcel, control, peeking)
            if peeking:
                self._peeked(chunk)
                skip = 0
                index += 1
            elif not self._consume(parcel, chunk):
                break
            if had_files or buffer.remaining == 0:
                break
        return done

    def _pass_over(self, parcel: Parcel, index: int, peeking: bool) -> int:
        """Go on past a parcel that is not read; it is dropped unless the reader peeks. Returns the index of the next
        one.
        """
        if peeking:
            return index + 1
        self.take_first()
        self.discard(parcel)
        return index

    def _wait_for_data(self, deadline_ns: int) -> None:
        """Sleep, and let others read in the meantime."""
        if deadline_ns == 0:
            raise Errno(EAGAIN)
        self.read_lock.release()
        try:
            self.wait(self.read_queue, deadline_ns)
        finally:
            self.read_lock.acquire()

    def _peeked(self, count: int) -> None:
        if self.peek_offset >= 0:
            self.peek_offset += count

    def _consume(self, parcel: Parcel, count: int) -> bool:
        """Take bytes off the first parcel; returns whether it is empty, and gone."""
        if self.peek_offset > 0:
            self.peek_offset = max(0, self.peek_offset - count)
        parcel.start += count
        if parcel.start < parcel.end:
            return False
        self.take_first()
        self.uncharge(parcel)
        if self.spare is None or len(self.spare.storage) < len(parcel.storage):
            self.spare = parcel
        elif len(parcel.storage) == LARGEST_PARCEL:
            STORAGES.give(parcel.storage)
        return True

    @recursion(4)  # a listening one, one that waits there, and the same for a socket whose descriptor was in transit
    def close(self) -> None:
        super().close()
        self.spare = None
        self.urgent = None
