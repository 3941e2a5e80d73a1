"""TIME_WAIT: the rest of a connection that was closed here first (RFC 9293 section 3.10.7.4, RFC 1122 4.2.2.13).

It answers segments of the old connection, and lets a new one with the same ports begin when the two cannot be
confused: by a higher sequence number or a newer timestamp (RFC 6191).
"""

from enum import IntEnum
from typing import Final

from kernel.net.link.network import Network
from kernel.net.tcp.connection import Connection
from kernel.net.tcp.header import ACK, FIN, RST, SYN, Segment
from kernel.net.tcp.sequence import HALF, MASK
from kernel.net.tcp.tcp_settings import NS_PER_SECOND

TIME_WAIT_NS: Final = 60 * NS_PER_SECOND
# A program that reconnects again and again may reuse the ports once a timestamp is sure to differ.
REUSE_AFTER_NS: Final = NS_PER_SECOND

# How often segments without data are answered.
ANSWER_PAUSE_NS: Final = NS_PER_SECOND >> 1


class Verdict(IntEnum):
    """What to do with a segment for a connection in TIME_WAIT."""

    DROP = 0
    ACKNOWLEDGE = 1
    FORGET = 2  # the old connection, and drop the segment
    BEGIN = 3  # forget the old connection, and take the segment as the SYN of a new one


class TimeWait:
    """The old connection: sequence numbers of 32 bits."""

    def __init__(self, c: Connection, family: int, now_ns: int) -> None:
        self.network: Network = c.network
        self.family: int = family
        self.local: bytes = c.local
        self.local_port: int = c.local_port
        self.remote: bytes = c.remote
        self.remote_port: int = c.remote_port
        self.snd_nxt: int = c.sender.nxt & MASK
        self.rcv_nxt: int = c.receiver.nxt & MASK
        self.window: int = (
            min((c.receiver.edge - c.receiver.nxt) >> c.agreed.receive_scale, 0xFFFF)
            if (c.receiver.edge > c.receiver.nxt)
            else 0
        )
        self.timestamps: bool = c.agreed.timestamps
        self.timestamp_recent: int = c.agreed.timestamp_recent
        self.timestamp_offset: int = c.agreed.timestamp_offset
        self.since_ns: int = now_ns
        self.deadline_ns: int = now_ns + TIME_WAIT_NS
        self.last_answer_ns: int = now_ns - ANSWER_PAUSE_NS
        self.is_prolonged: bool = False  # its deadline has moved since it entered the queue
        self.is_listed: bool = True

    def judge(self, segment: Segment, payload: int, now_ns: int) -> Verdict:
        """What to do with a segment of `payload` bytes."""
        flags = segment.flags
        is_old = (
            self.timestamps and segment.has_timestamp and (segment.timestamp - self.timestamp_recent) & MASK >= HALF
        )
        distance = (segment.sequence - self.rcv_nxt) & MASK  # how far past the received data
        if flags & RST != 0:
            return Verdict.FORGET if distance == 0 and not is_old else Verdict.DROP
        if flags & (SYN | ACK) == SYN and not is_old:
            newer = self.timestamps and segment.has_timestamp and segment.timestamp != self.timestamp_recent
            if 0 < distance < HALF or newer:
                return Verdict.BEGIN
        is_bare = payload == 0 and flags & (SYN | FIN) == 0
        if is_bare and distance == 0 and not is_old:
            return Verdict.DROP
        if flags & FIN != 0 and not is_old:
            self.is_prolonged = True
            self.deadline_ns = now_ns + TIME_WAIT_NS  # our acknowledgment was lost: the peer's clock starts again
        if is_bare or flags & SYN != 0:
            # Perhaps an answer to our answer: these are limited in number.
            if now_ns - self.last_answer_ns < ANSWER_PAUSE_NS:
                return Verdict.DROP
            self.last_answer_ns = now_ns
        return Verdict.ACKNOWLEDGE

    def next_initial_sequence(self) -> int:
        """Where a new connection with these ports starts: past everything that the old one has sent."""
        return (self.snd_nxt + 65_535 + 2) & MASK

    def may_be_reused(self, now_ns: int) -> bool:
        """Whether a program that connects from here may reuse the ports."""
        return self.timestamps and now_ns - self.since_ns > REUSE_AFTER_NS
