"""The error queue of an Internet socket, which recvmsg(2) with MSG_ERRQUEUE reads: errors that the network reported
(IP_RECVERR), and notices that sends with MSG_ZEROCOPY are over (Linux's networking/msg_zerocopy.rst).

A program that sends without a copy may use its buffer again after the notice. Krait always copies what is sent, and
every notice says so, as Linux's do for packets that stay on the machine. A datagram's notice comes when it has been
sent, a stream's once the peer has the data, or nobody will send them again.

Invariants: sends are numbered from 0; each number, modulo 2**32, is in one notice.
Context: nothing sleeps. May raise MemoryError.
"""

from typing import Final

from kernel.lang import ENOBUFS, Errno, final, span_of
from kernel.net.internet.addresses import ANY4, ANY6, is_link_local, mapped
from kernel.net.internet.sysctl import CORE
from kernel.net.internet.transport import ORIGIN_ICMP6, ORIGIN_LOCAL, ORIGIN_ZERO_COPY, NetworkError
from kernel.net.link.network import Network
from kernel.net.sockets import inet_names
from kernel.net.sockets.inet import encode_inet, encode_inet6
from kernel.net.sockets.socket import ControlMessage

_WORD: Final = 0xFFFF_FFFF
_COPIED: Final = 1  # SO_EE_CODE_ZEROCOPY_COPIED
_OPEN: Final = (1 << 63) - 1  # an end that is not known yet
NOTHING_MORE: Final = _OPEN - 1  # of a stream that has ended: it is past all data
_NOTICE_BYTES: Final = 768  # what one counts against net.core.optmem_max, about


@final
class QueuedError:
    """What happened, and to which datagram."""

    def __init__(self, error: NetworkError, payload: bytes, destination: bytes, port: int) -> None:
        self.error: NetworkError = error
        self.payload: bytes = payload
        self.destination: bytes = destination
        self.port: int = port

    def is_notice(self) -> bool:
        """Whether it is no error."""
        return self.error.origin == ORIGIN_ZERO_COPY


def control_of_error(error: NetworkError, *, is_ip4: bool) -> list[ControlMessage]:
    """A struct sock_extended_err, with the address of the reporter, for a socket of AF_INET or AF_INET6."""
    head = bytearray(16)
    span = span_of(head)
    span.store_u32(0, error.errno)
    span[4] = error.origin
    span[5] = error.type
    span[6] = error.code
    span.store_u32(8, error.info)
    span.store_u32(12, error.data)
    level = inet_names.SOL_IP if is_ip4 else inet_names.SOL_IPV6
    kind = inet_names.IP_RECVERR if is_ip4 else inet_names.IPV6_RECVERR
    return [ControlMessage(level, kind, bytes(head) + _offender(error, is_ip4))]


def _offender(error: NetworkError, is_ip4: bool) -> bytes:
    """The struct sockaddr of the reporter of an error; without a family if it was this host."""
    if error.origin == ORIGIN_LOCAL or len(error.reporter) == 0:
        return bytes(16 if is_ip4 else 28)
    if is_ip4:
        return encode_inet(error.reporter if len(error.reporter) == 4 else ANY4, 0)
    scope = error.device_index if error.origin == ORIGIN_ICMP6 and is_link_local(error.reporter) else 0
    return encode_inet6(mapped(error.reporter) if len(error.reporter) > 0 else ANY6, 0, 0, scope)


@final
class Sends:
    """Sends of a stream that follow each other: their notice, and where their data end."""

    def __init__(self, notice: QueuedError) -> None:
        self.notice: QueuedError = notice
        self.end: int = _OPEN  # a sequence number
        self.end_before: int = 0  # while the last send goes on: of those before it


@final
class ZeroCopies:
    """The sends with MSG_ZEROCOPY of one socket, whose error queue is `errors`."""

    def __init__(self, errors: list[QueuedError]) -> None:
        self.errors: list[QueuedError] = errors
        self.next_number: int = 0
        self.untold: int = 0  # datagrams that were sent, before which there was no memory for a notice
        self.pending: list[Sends] = []  # of a stream

    def check_room(self, network: Network) -> None:
        """ENOBUFS if too many notices wait already, or are to come."""
        if (len(self.errors) + len(self.pending) + 1) * _NOTICE_BYTES > CORE.optmem(network):
            raise Errno(ENOBUFS)

    def sent(self, count: int) -> None:
        """Datagrams were sent. Raises nothing: without memory, the notice comes later."""
        self.untold += count
        self.tell_late()

    def tell_late(self) -> None:
        """Give the notices of datagrams for which there was no memory."""
        if self.untold == 0:
            return
        try:
            self._tell(_notice(self.next_number, self.next_number + self.untold - 1 & _WORD))
        except MemoryError:
            return
        self.next_number = self.next_number + self.untold & _WORD
        self.untold = 0

    def begin(self, sent_to: int) -> Sends:
        """A stream is about to take a program's data; it has sent everything before the number `sent_to`. The send
        joins the one before it, if some of whose data are still to be sent, as on Linux: one notice is for both. Raises
        MemoryError.
        """
        number = self.next_number
        last = self.pending[-1] if len(self.pending) > 0 else None
        if last is None or last.end == _OPEN or last.end <= sent_to:
            last = Sends(_notice(number, number))
            self.pending.append(last)
        else:
            last.end_before = last.end
            last.end = _OPEN
        last.notice.error.data = number
        self.next_number = number + 1 & _WORD
        return last

    def taken(self, sends: Sends, end: int) -> None:
        """The last of these sends has put its data into the stream, up to the number `end`."""
        sends.end = end

    def abandon(self, sends: Sends) -> None:
        """Nothing was taken: the last of these sends did not happen. Its number is the next one's, unless another
        thread's send has begun.
        """
        number = sends.notice.error.data
        sends.end = sends.end_before
        if number + 1 & _WORD != self.next_number:
            return
        self.next_number = number
        if sends.notice.error.info == number:
            self.pending.remove(sends)
        else:
            sends.notice.error.data = number - 1 & _WORD

    def are_due(self, sequence: int) -> bool:
        """Whether `done` has something to do."""
        return len(self.pending) > 0 and self.pending[0].end <= sequence

    def done(self, sequence: int) -> bool:
        """The peer has everything before this number, or nobody will send it again. Whether there are new notices.
        Those for which there is no memory stay due.
        """
        found = False
        while self.are_due(sequence):
            try:
                self._tell(self.pending[0].notice)
            except MemoryError:
                return found
            self.pending.pop(0)
            found = True
        return found

    def _tell(self, notice: QueuedError) -> None:
        """Queue a notice. It joins an unread one of the sends just before."""
        if len(self.errors) > 0:
            last = self.errors[-1]
            if last.is_notice() and last.error.data + 1 & _WORD == notice.error.info:
                last.error.data = notice.error.data
                return
        self.errors.append(notice)


def _notice(first: int, last: int) -> QueuedError:
    """The notice of the sends with these numbers."""
    error = NetworkError(0, is_hard=False)
    error.origin = ORIGIN_ZERO_COPY
    error.code = _COPIED
    error.info = first
    error.data = last
    return QueuedError(error, b"", b"", 0)
