"""A TCP segment seen by a middlebox: whether it can belong to a connection, and what it changes.

A segment that cannot is INVALID; the firewall's rules decide what happens to it. Windows are checked as far as a
host in the middle can: what it saw may not arrive, and what it did not see may have. The four bounds are those of G.
van Rooij, "Real stateful TCP packet filtering in IP Filter" (2000), section 4; the rest follows Linux for ends that
agree with each other but not with our view of the connection.

Context: thread context; nothing sleeps.
Source: RFC 9293 sections 3.3.2 and 3.4, RFC 7323, RFC 5961 (challenge ACKs), nf_conntrack-sysctl.
"""

from enum import IntEnum
from typing import Final

from kernel.lang import Span, final, u8
from kernel.net.filter.connection import (
    EVENT_ASSURED,
    EVENT_PROTOCOL,
    STATUS_ASSURED,
    STATUS_FIXED_TIMEOUT,
    STATUS_SEEN_REPLY,
    Connection,
)
from kernel.net.filter.tcp_state import (
    ACK,
    ACKNOWLEDGED,
    CHALLENGE_EXPECTED,
    CLOSE,
    CLOSED_FIRST,
    ESTABLISHED,
    FIN_WAIT,
    IGNORED,
    INVALID,
    KIND_ACK,
    KIND_FIN,
    KIND_RST,
    KIND_SYN,
    KIND_SYNACK,
    KNOWS_SACK,
    LAST_ACK,
    LIBERAL,
    NONE,
    RST,
    SCALES,
    SIMULTANEOUS,
    SYN,
    SYN_RECV,
    SYN_SENT,
    SYN_SENT2,
    TIME_WAIT,
    UNACKNOWLEDGED,
    TcpEnd,
    TcpSegment,
    TcpState,
    highest_selective_ack,
    is_after,
    is_before,
    next_state,
    read_offers,
)
from kernel.net.filter.tracking_settings import SETTINGS, in_ns
from kernel.net.link.network import Network

_WORD: Final = 0xFFFF_FFFF
_LEAST_ACK_WINDOW: Final = 66000  # an acknowledgment may be at least this old
_HEADER: Final = 20
_LONG_NS: Final = 120_000_000_000


class Outcome(IntEnum):
    """What a packet means for its connection."""

    GOOD = 0
    INVALID = 1  # it does not belong to it
    REPEAT = 2  # the connection has ended, and the packet begins a new one
    IDLE = 3  # good, but it does not count
    RESET = 4  # good, and ends the connection: the only answer ever was a reset


class _Fit(IntEnum):
    """How a segment fits the windows."""

    GOOD = 0
    ODD = 1  # it belongs to the connection, but says nothing reliable
    INVALID = 2


def begin(network: Network, connection: Connection, segment: TcpSegment, options: Span[u8]) -> bool:
    """Take the first segment of a connection that is not in the table yet; `options` is the part of the header after
    the first 20 bytes. False: no connection can begin with it. Raises MemoryError.
    """
    state = next_state(NONE, segment.kind, is_reply=False)
    if state == INVALID:
        return False
    tcp = TcpState()
    first = tcp.first
    first.end = segment.end
    first.largest_window = max(segment.window, 1)
    first.highest_end = segment.end
    if state == SYN_SENT:
        read_offers(options, first)
    elif SETTINGS.tcp_loose.of(network) == 0:
        return False
    else:
        # Its history is lost: the window scales will never be known.
        first.highest_end = segment.end + first.largest_window & _WORD
        first.flags = KNOWS_SACK | LIBERAL
        tcp.second.flags = KNOWS_SACK | LIBERAL
    connection.tcp = tcp
    return True


def take(
    network: Network,
    connection: Connection,
    segment: TcpSegment,
    options: Span[u8],
    is_reply: bool,
    now_ns: int,
) -> Outcome:
    """Take a segment of a connection that has begun."""
    tcp = connection.tcp
    if tcp is None:
        return Outcome.INVALID
    tracker = _Tracker(network, connection, tcp, segment, is_reply, now_ns)
    return tracker.take(options)


@final
class _Tracker:
    """One segment, and the connection that it belongs to. It does not outlive the call."""

    def __init__(
        self,
        network: Network,
        connection: Connection,
        tcp: TcpState,
        segment: TcpSegment,
        is_reply: bool,
        now_ns: int,
    ) -> None:
        self.network: Network = network
        self.connection: Connection = connection
        self.tcp: TcpState = tcp
        self.segment: TcpSegment = segment
        self.is_reply: bool = is_reply
        self.now_ns: int = now_ns
        self.sender: TcpEnd = tcp.end_of(is_reply)
        self.receiver: TcpEnd = tcp.end_of(not is_reply)
        self.old: int = tcp.state
        self.new: int = next_state(tcp.state, segment.kind, is_reply)

    def take(self, options: Span[u8]) -> Outcome:
        tcp = self.tcp
        new = self.new
        is_checked = True
        if new == INVALID:
            return Outcome.INVALID
        if new == SYN_SENT and self.old >= TIME_WAIT:
            if self._may_reopen():
                return Outcome.REPEAT
            new = IGNORED
        if new == IGNORED:
            if not self._is_answer_to_ignored():
                self._remember_ignored(options)
                return Outcome.IDLE
            self._follow_ignored()
        elif new == TIME_WAIT:
            if self._is_challenge():
                tcp.last_flags &= ~CHALLENGE_EXPECTED
                return Outcome.IDLE
        elif new == SYN_SENT2:
            tcp.last_flags |= SIMULTANEOUS
        elif new == SYN_RECV:
            if self.is_reply and self.segment.kind == KIND_ACK and tcp.last_flags & SIMULTANEOUS != 0:
                self.new = ESTABLISHED
        elif new == CLOSE and self.segment.kind == KIND_RST:
            if self._is_wrong_reset():
                self._note_invalid_end()
                return Outcome.INVALID
            is_checked = not self._resets_without_window()
        if is_checked:
            fit = self._check_windows(options)
            if fit == _Fit.ODD:
                return Outcome.IDLE
            if fit == _Fit.INVALID:
                self._note_invalid_end()
                return Outcome.INVALID
        return self._enter()

    # ---- Segments that are special ----------------------------------------------------------------------------

    def _may_reopen(self) -> bool:
        """Whether a SYN may reopen a connection that was closed (RFC 1122, section 4.2.2.13) or reset."""
        tcp = self.tcp
        if (tcp.first.flags | tcp.second.flags) & CLOSED_FIRST != 0:
            return True
        return tcp.last_is_reply == self.is_reply and tcp.last_kind == KIND_RST

    def _is_answer_to_ignored(self) -> bool:
        """Whether a SYN/ACK answers a SYN that was ignored: then both ends agree, and our view is wrong."""
        tcp = self.tcp
        return (
            self.segment.kind == KIND_SYNACK
            and tcp.last_kind == KIND_SYN
            and tcp.last_is_reply != self.is_reply
            and self.segment.ack == tcp.last_end
        )

    def _follow_ignored(self) -> None:
        """Start over with the SYN that was ignored."""
        tcp = self.tcp
        self.old = SYN_SENT
        self.new = SYN_RECV
        tcp.last_flags &= ~CHALLENGE_EXPECTED
        other = self.receiver
        other.end = tcp.last_end
        other.highest_end = tcp.last_end
        other.largest_window = max(tcp.last_window, 1)
        other.scale = tcp.last_scale
        other.flags = tcp.last_flags
        self.sender.clear()

    def _remember_ignored(self, options: Span[u8]) -> None:
        tcp = self.tcp
        segment = self.segment
        tcp.last_kind = segment.kind
        tcp.last_is_reply = self.is_reply
        tcp.last_sequence = segment.sequence
        tcp.last_end = segment.end
        tcp.last_window = segment.window
        if segment.kind == KIND_SYN and not self.is_reply:
            offers = TcpEnd()
            read_offers(options, offers)
            tcp.last_flags = offers.flags
            tcp.last_scale = offers.scale
            if self.old == LAST_ACK:
                tcp.last_flags |= CHALLENGE_EXPECTED  # it would look like the ACK of the last FIN
        if self.old == SYN_SENT and segment.kind == KIND_ACK and self.is_reply:
            tcp.last_ack = segment.ack  # perhaps a challenge, which a reset would answer

    def _is_challenge(self) -> bool:
        """Whether an ACK only rejects a SYN (RFC 5961, section 4)."""
        tcp = self.tcp
        return (
            self.old == LAST_ACK
            and self.segment.kind == KIND_ACK
            and tcp.last_is_reply != self.is_reply
            and tcp.last_kind == KIND_SYN
            and tcp.last_flags & CHALLENGE_EXPECTED != 0
        )

    def _is_open(self) -> bool:
        return self.tcp.state == ESTABLISHED and self.connection.has(STATUS_ASSURED)

    def _is_wrong_reset(self) -> bool:
        """Whether the other end will ignore a reset. One that it may answer by a challenge leaves the state alone."""
        tcp = self.tcp
        sequence = self.segment.sequence
        if tcp.is_closing() or self.receiver.flags & ACKNOWLEDGED == 0 or tcp.last_kind == KIND_SYN:
            return False
        if sequence == 0 and not self._is_open():
            return False  # most likely it answers a SYN that was let through
        highest = self.receiver.highest_ack
        if is_before(sequence, highest) and SETTINGS.tcp_ignore_invalid_rst.of(self.network) == 0:
            return True
        if not self._is_open() or sequence == highest:
            return False
        if tcp.last_kind == KIND_ACK and tcp.last_is_reply == self.is_reply and sequence == tcp.last_end:
            return False  # it follows the data before it
        self.new = self.old
        return False

    def _resets_without_window(self) -> bool:
        """Whether a reset is accepted whatever the windows say."""
        tcp = self.tcp
        segment = self.segment
        if tcp.is_closing():
            return True  # the ends may be in their next connection
        connection = self.connection
        had_syn = connection.has(STATUS_SEEN_REPLY) and tcp.last_kind == KIND_SYN
        had_ack = not connection.has(STATUS_ASSURED) and tcp.last_kind == KIND_ACK
        if (had_syn or had_ack) and segment.ack == tcp.last_end:
            return True  # it answers a SYN or an ACK that was ignored
        was_challenged = tcp.last_kind == KIND_ACK and tcp.last_is_reply
        return self.old == SYN_SENT and was_challenged and segment.sequence == tcp.last_ack

    def _note_invalid_end(self) -> None:
        """Note an end outside its window: if the other end acknowledges it, they know better, and the connection
        does not live for days.
        """
        tcp = self.tcp
        kind = self.segment.kind
        connection = self.connection
        if not connection.has(STATUS_ASSURED) or connection.has(STATUS_FIXED_TIMEOUT):
            return
        if kind != KIND_RST and kind != KIND_FIN:
            return
        if tcp.last_is_reply != self.is_reply and (tcp.last_kind == KIND_FIN or tcp.last_kind == KIND_RST):
            left_ns = connection.left_ns(self.now_ns)
            shorter_ns = in_ns(SETTINGS.tcp_unacknowledged.of(self.network))
            if left_ns >= _LONG_NS and left_ns > shorter_ns:
                connection.refresh(shorter_ns, self.now_ns)
        else:
            tcp.last_kind = kind
            tcp.last_is_reply = self.is_reply

    # ---- Windows ----------------------------------------------------------------------------------------------

    def _check_windows(self, options: Span[u8]) -> _Fit:
        segment = self.segment
        sender = self.sender
        receiver = self.receiver
        sequence = segment.sequence
        end = segment.end
        ack = segment.ack
        highest = ack
        window = segment.window
        if receiver.flags & KNOWS_SACK != 0:
            highest = highest_selective_ack(options, ack)
        has_ack = segment.flags & ACK != 0
        if sender.largest_window == 0:
            if segment.flags & SYN != 0:
                self._begin_sender(options)
                if not has_ack:
                    return _Fit.GOOD  # SYNs from both ends
            else:
                sender.end = end
                scaled = window << sender.scale
                sender.largest_window = max(scaled, 1)
                sender.highest_end = end + sender.largest_window & _WORD
                if receiver.largest_window == 0:
                    receiver.end = highest
                    receiver.highest_end = highest
                elif highest == receiver.end + 1 & _WORD:
                    receiver.end = highest  # an answer to a keepalive, most likely
        elif (
            segment.flags & SYN != 0
            and is_after(end, sender.end)
            and (self.tcp.state == SYN_SENT or self.tcp.state == SYN_RECV)
        ):
            self._begin_sender(options)
            if self.is_reply and not has_ack:
                return _Fit.GOOD
        if not has_ack or (segment.flags & RST != 0 and ack == 0):
            ack = receiver.end
            highest = ack
        if segment.flags & RST != 0 and sequence == 0 and self.tcp.state == SYN_SENT:
            sequence = sender.end  # it answers a SYN
            end = sequence
        fit = self._judge(sequence, end, highest)
        if fit != _Fit.GOOD:
            is_liberal = sender.flags & LIBERAL != 0 or SETTINGS.tcp_be_liberal.of(self.network) != 0
            return _Fit.GOOD if is_liberal else fit
        if segment.flags & SYN == 0:
            window <<= sender.scale
        self._note(sequence, end, ack, highest, window, has_ack)
        return _Fit.GOOD

    def _begin_sender(self, options: Span[u8]) -> None:
        """Take the first SYN of an end, or another one."""
        sender = self.sender
        sender.end = self.segment.end
        sender.highest_end = self.segment.end
        sender.largest_window = max(self.segment.window, 1)
        read_offers(options, sender)
        if self.is_reply and sender.flags & self.receiver.flags & SCALES == 0:
            sender.scale = 0
            self.receiver.scale = 0

    def _judge(self, sequence: int, end: int, highest: int) -> _Fit:
        """Compare a segment with the four bounds."""
        sender = self.sender
        receiver = self.receiver
        lowest_ack = receiver.end - max(sender.largest_window, _LEAST_ACK_WINDOW) - 1
        is_new = receiver.largest_window == 0 or is_after(end, sender.end - receiver.largest_window - 1)
        is_ack_known = is_before(highest, receiver.end + 1)
        is_ack_recent = is_after(highest, lowest_ack)
        if not is_before(sequence, sender.highest_end + 1):
            beyond = end - sender.highest_end + 1 & _WORD
            if is_new and is_ack_recent and beyond <= receiver.largest_window and is_ack_known:
                # More than the window allows. If the other end accepts it nevertheless, its ACK should fit.
                sender.end = end
                sender.flags |= UNACKNOWLEDGED
                return _Fit.ODD
            return _Fit.INVALID
        if not is_ack_known:
            return _Fit.INVALID
        return _Fit.GOOD if is_new and is_ack_recent else _Fit.ODD

    def _note(self, sequence: int, end: int, ack: int, highest: int, window: int, has_ack: bool) -> None:
        """Learn from a segment that fits."""
        tcp = self.tcp
        sender = self.sender
        receiver = self.receiver
        offered = window + (highest - ack & _WORD)
        sender.largest_window = max(sender.largest_window, offered)
        if is_after(end, sender.end):
            sender.end = end
            sender.flags |= UNACKNOWLEDGED
        if has_ack:
            if sender.flags & ACKNOWLEDGED == 0:
                sender.highest_ack = ack
                sender.flags |= ACKNOWLEDGED
            elif is_after(ack, sender.highest_ack):
                sender.highest_ack = ack
        if receiver.largest_window != 0 and is_after(end, sender.highest_end):
            receiver.largest_window = receiver.largest_window + end - sender.highest_end & _WORD
        if is_after(highest + window, receiver.highest_end - 1):
            receiver.highest_end = highest + window + (1 if window == 0 else 0) & _WORD
        if ack == receiver.end:
            receiver.flags &= ~UNACKNOWLEDGED
        if self.segment.kind != KIND_ACK:
            return
        if (
            tcp.last_is_reply == self.is_reply
            and tcp.last_sequence == sequence
            and tcp.last_ack == ack
            and tcp.last_end == end
            and tcp.last_window == window
        ):
            tcp.repetitions += 1
            return
        tcp.last_is_reply = self.is_reply
        tcp.last_sequence = sequence
        tcp.last_ack = ack
        tcp.last_end = end
        tcp.last_window = window
        tcp.repetitions = 0

    # ---- The new state ----------------------------------------------------------------------------------------

    def _enter(self) -> Outcome:
        """The segment fits: change the state."""
        tcp = self.tcp
        connection = self.connection
        new = self.new
        old = self.old
        tcp.last_kind = self.segment.kind
        tcp.last_is_reply = self.is_reply
        tcp.state = new
        if old != new:
            if new == FIN_WAIT:
                self.sender.flags |= CLOSED_FIRST
            connection.note(EVENT_PROTOCOL)
        timeout_s = self._timeout_s(new)
        if not connection.has(STATUS_SEEN_REPLY):
            if self.segment.flags & RST != 0:
                return Outcome.RESET
            if self.segment.kind == KIND_SYN and old == SYN_SENT:
                return Outcome.IDLE  # repeating a SYN does not extend the lifetime
            if new == ESTABLISHED:
                timeout_s = min(timeout_s, SETTINGS.tcp_unacknowledged.of(self.network))
        elif not connection.has(STATUS_ASSURED) and (old == SYN_RECV or old == ESTABLISHED) and new == ESTABLISHED:
            connection.status |= STATUS_ASSURED
            connection.note(EVENT_ASSURED)
        connection.refresh(in_ns(timeout_s), self.now_ns)
        return Outcome.GOOD

    def _timeout_s(self, state: int) -> int:
        tcp = self.tcp
        settings = SETTINGS
        network = self.network
        usual = settings.tcp_seconds(network, state)
        repeated = settings.tcp_many_repetitions.of(network)
        unacknowledged = settings.tcp_unacknowledged.of(network)
        if tcp.repetitions >= settings.tcp_max_retrans.of(network) and usual > repeated:
            return repeated
        if self.segment.kind == KIND_RST:
            return settings.tcp_seconds(network, CLOSE)
        if (tcp.first.flags | tcp.second.flags) & UNACKNOWLEDGED != 0 and usual > unacknowledged:
            return unacknowledged
        if tcp.last_window == 0 and usual > repeated:
            return repeated
        return usual


