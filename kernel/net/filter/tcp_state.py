"""What a middlebox knows about a TCP connection: its state, and what each end may send.

`TRANSITIONS` maps, for each direction and kind of segment, each state to its successor. It is Linux's machine, which
differs from that of an end: it sees a segment before it has arrived, and does not know whether it will.

The states: SYN_SENT after a SYN; SYN_RECV after its SYN/ACK; ESTABLISHED; FIN_WAIT after the first FIN; CLOSE_WAIT
after that was acknowledged; LAST_ACK after the second FIN; TIME_WAIT after that was acknowledged; CLOSE after a reset;
SYN_SENT2 after SYNs from both ends.

Context: any; pure.
Source: RFC 9293 section 3.3.2; conntrack(8); the states as programs see them (enum tcp_conntrack).
"""

from typing import Final

from kernel.lang import Span, final, u8

NONE: Final = 0
SYN_SENT: Final = 1
SYN_RECV: Final = 2
ESTABLISHED: Final = 3
FIN_WAIT: Final = 4
CLOSE_WAIT: Final = 5
LAST_ACK: Final = 6
TIME_WAIT: Final = 7
CLOSE: Final = 8
SYN_SENT2: Final = 9
INVALID: Final = 10  # not a state: such a segment cannot come here
IGNORED: Final = 11  # not a state: such a segment changes nothing, because the ends may know better
STATE_NAMES: Final[list[bytes]] = [
    b"NONE",
    b"SYN_SENT",
    b"SYN_RECV",
    b"ESTABLISHED",
    b"FIN_WAIT",
    b"CLOSE_WAIT",
    b"LAST_ACK",
    b"TIME_WAIT",
    b"CLOSE",
    b"SYN_SENT2",
]

# Kinds of segments.
KIND_SYN: Final = 0
KIND_SYNACK: Final = 1
KIND_FIN: Final = 2
KIND_ACK: Final = 3
KIND_RST: Final = 4
KIND_NONE: Final = 5

# Flags in a header.
FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10
URG: Final = 0x20

_LETTERS: Final = "0srefwltc2xi"
"""A letter for each state, in the order of their numbers, then INVALID and IGNORED."""


def _row(text: str) -> list[int]:
    """The successors of the ten states. Runs while the kernel is built."""
    return [_LETTERS.index(letter) for letter in text]


# In each row: the successors of 0, SYN_SENT, SYN_RECV, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSE
# and SYN_SENT2.
TRANSITIONS: Final[list[list[int]]] = [
    # Segments in the direction of the first one.
    _row("ssiiiiiss2"),  # SYN
    _row("xxrxxxxxxr"),  # SYN/ACK: of a simultaneous open
    _row("xxffllltcx"),  # FIN
    _row("exeewwttcx"),  # ACK
    _row("xccccccccc"),  # RST
    _row("xxxxxxxxxx"),  # none of these
    # Segments in the other direction.
    _row("x2xxxxxsx2"),
    _row("xriiiiiiir"),
    _row("xxffllltcx"),
    _row("xirewwttci"),
    _row("xccccccccc"),
    _row("xxxxxxxxxx"),
]
_KINDS: Final = 6

# What an end has announced or done.
SCALES: Final = 0x01  # it offered to scale windows
KNOWS_SACK: Final = 0x02
CLOSED_FIRST: Final = 0x04
LIBERAL: Final = 0x08  # its windows are not checked: the connection's beginning was not seen
UNACKNOWLEDGED: Final = 0x10  # it sent something that the other end has not acknowledged
ACKNOWLEDGED: Final = 0x20  # `highest_ack` is known
# In `TcpState.last_flags` alone.
CHALLENGE_EXPECTED: Final = 0x40
SIMULTANEOUS: Final = 0x80

_MOST_SCALE: Final = 14
_OPTION_END: Final = 0
_OPTION_NOTHING: Final = 1
_OPTION_SCALE: Final = 3
_OPTION_SACK_PERMITTED: Final = 4
_OPTION_SACK: Final = 5
_HEADER: Final = 20
_WORD: Final = 0xFFFF_FFFF

# Flags that come together, without PSH and those of RFC 3168.
_SOUND_FLAGS: Final[list[int]] = [
    SYN,
    SYN | URG,
    SYN | ACK,
    RST,
    RST | ACK,
    FIN | ACK,
    FIN | ACK | URG,
    ACK,
    ACK | URG,
]


@final
class TcpEnd:
    """One end, judged by the segments it sent."""

    def __init__(self) -> None:
        self.end: int = 0  # one past the highest sequence number that it used
        self.highest_end: int = 0  # how far the other end lets it send
        self.largest_window: int = 0  # that it offered; 0: no segment came from it yet
        self.highest_ack: int = 0
        self.scale: int = 0
        self.flags: int = 0

    def clear(self) -> None:
        self.end = 0
        self.highest_end = 0
        self.largest_window = 0
        self.highest_ack = 0
        self.scale = 0
        self.flags = 0


@final
class TcpState:
    """The state of a connection."""

    def __init__(self) -> None:
        self.state: int = NONE
        self.first: TcpEnd = TcpEnd()  # the sender of the first segment that was seen
        self.second: TcpEnd = TcpEnd()
        # The last segment, as far as it may matter for the next.
        self.last_is_reply: bool = False
        self.last_kind: int = KIND_NONE
        self.last_sequence: int = 0
        self.last_ack: int = 0
        self.last_end: int = 0
        self.last_window: int = 0
        self.last_scale: int = 0
        self.last_flags: int = 0
        self.repetitions: int = 0  # of that segment

    def end_of(self, is_reply: bool) -> TcpEnd:
        """The end that sends the segments of a direction."""
        return self.second if is_reply else self.first

    def is_closing(self) -> bool:
        """Whether the connection may be evicted when there is no room."""
        return FIN_WAIT <= self.state <= CLOSE


@final
class TcpSegment:
    """The fields of a header."""

    def __init__(self) -> None:
        self.kind: int = KIND_NONE
        self.flags: int = 0
        self.sequence: int = 0
        self.ack: int = 0
        self.window: int = 0
        self.end: int = 0  # the sequence number after it
        self.header_length: int = 0

    def read(self, segment: Span[u8]) -> bool:
        """Read a segment with its data. False: its header is malformed."""
        if len(segment) < _HEADER:
            return False
        length = (segment[12] >> 4) * 4
        if length < _HEADER or length > len(segment):
            return False
        flags = segment[13] & 0x3F
        if (flags & ~PSH) not in _SOUND_FLAGS:
            return False
        self.flags = flags
        self.sequence = segment.load_be32(4)
        self.ack = segment.load_be32(8)
        self.window = segment.load_be16(14)
        self.header_length = length
        count = len(segment) - length
        if flags & SYN != 0:
            count += 1
        if flags & FIN != 0:
            count += 1
        self.end = self.sequence + count & _WORD
        if flags & RST != 0:
            self.kind = KIND_RST
        elif flags & SYN != 0:
            self.kind = KIND_SYNACK if flags & ACK != 0 else KIND_SYN
        elif flags & FIN != 0:
            self.kind = KIND_FIN
        else:
            self.kind = KIND_ACK if flags & ACK != 0 else KIND_NONE
        return True


def next_state(state: int, kind: int, is_reply: bool) -> int:
    """The state after a segment; or INVALID, IGNORED."""
    return TRANSITIONS[(_KINDS if is_reply else 0) + kind][state]


def is_before(a: int, b: int) -> bool:
    """Whether a sequence number comes before another one."""
    return (a - b) & 0x8000_0000 != 0 and a != b


def is_after(a: int, b: int) -> bool:
    return is_before(b, a)


def read_offers(options: Span[u8], end: TcpEnd) -> None:
    """Note what the options of a SYN offer. `options` is the part of the header after the first 20 bytes."""
    end.scale = 0
    end.flags = 0
    at = 0
    while at < len(options):
        kind = options[at]
        if kind == _OPTION_END:
            return
        if kind == _OPTION_NOTHING:
            at += 1
            continue
        if at + 2 > len(options):
            return
        length = options[at + 1]
        if length < 2 or at + length > len(options):
            return
        if kind == _OPTION_SACK_PERMITTED and length == 2:
            end.flags |= KNOWS_SACK
        elif kind == _OPTION_SCALE and length == 3:
            end.scale = min(options[at + 2], _MOST_SCALE)
            end.flags |= SCALES
        at += length


def highest_selective_ack(options: Span[u8], ack: int) -> int:
    """The highest number that the options acknowledge, or `ack` (RFC 2018)."""
    highest = ack
    at = 0
    while at < len(options):
        kind = options[at]
        if kind == _OPTION_END:
            break
        if kind == _OPTION_NOTHING:
            at += 1
            continue
        if at + 2 > len(options):
            break
        length = options[at + 1]
        if length < 2 or at + length > len(options):
            break
        if kind == _OPTION_SACK and length >= 10 and (length - 2) % 8 == 0:
            for block in range(at + 2, at + length, 8):
                right = options.load_be32(block + 4)
                if is_after(right, highest):
                    highest = right
        at += length
    return highest
