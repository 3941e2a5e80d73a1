"""TCP: putting segments in order, and what the acknowledgments say (RFC 9293 section 3.10.7.4, RFC 2018, RFC 2883,
RFC 7323 section 5).
"""

from __future__ import annotations

import socket
from itertools import permutations

from tests.packets.flow import FULL, PLAIN, SACK, STAMPS
from tests.packets.scenarios import scenario
from tests.packets.session import Session
from tests.packets.tcp_closing import connected

SIOCATMARK = 0x8905
FIONREAD = 0x541B
TIMESTAMP_OLD = (("NOP", None), ("NOP", None), ("Timestamp", (500, 0)))


@scenario()
def one_segment_after_another(session: Session) -> None:
    flow, accepted = connected(session)
    for word in (b"one", b"two", b"three"):
        flow.ask("PA", word)
    accepted.ioctl(FIONREAD, "FIONREAD")
    accepted.read(4)
    accepted.read()
    accepted.read()


@scenario()
def a_gap_without_sack(session: Session) -> None:
    """A duplicate acknowledgment for each segment after it (RFC 5681 section 4.2)."""
    flow, accepted = connected(session)
    flow.ask("PA", b"two", seq=4)
    flow.ask("PA", b"three", seq=7)
    accepted.read()
    flow.ask("PA", b"one", seq=1)
    accepted.read()


@scenario()
def gaps_with_sack(session: Session) -> None:
    """The newest block is reported first (RFC 2018 section 4)."""
    flow, accepted = connected(session, SACK)
    for seq in (31, 51, 71, 91):
        flow.ask("PA", b"x" * 10, seq=seq)
    flow.ask("PA", b"x" * 10, seq=21)
    flow.ask("PA", b"x" * 10, seq=61)
    flow.ask("PA", b"x" * 20, seq=1)
    flow.ask("PA", b"x" * 40, seq=41)
    flow.ask("PA", b"x" * 10, seq=81)
    accepted.ioctl(FIONREAD, "FIONREAD")


@scenario()
def gaps_with_sack_and_timestamps(session: Session) -> None:
    """There is room for three blocks only."""
    flow, accepted = connected(session, FULL)
    for seq in (11, 31, 51, 71, 91):
        flow.stamp = 1001 + seq
        flow.ask("PA", b"x" * 10, seq=seq)
    flow.ask("PA", b"x" * 90, seq=1)
    accepted.ioctl(FIONREAD, "FIONREAD")


@scenario()
def gaps_filled_in_every_order(session: Session) -> None:
    listener = session.listener()
    for number, order in enumerate(permutations((0, 1, 2))):
        flow = session.flow("".join(map(str, order)), peer_port=41000 + number)
        accepted = flow.open(listener, SACK)
        for at in order:
            flow.ask("PA", b"abc"[at : at + 1] * 4, seq=1 + 4 * at)
        accepted.read()


@scenario()
def duplicates_with_sack(session: Session) -> None:
    """D-SACK: what came twice is reported (RFC 2883)."""
    flow, accepted = connected(session, SACK)
    flow.ask("PA", b"hello")
    flow.ask("PA", b"hello", seq=1)
    flow.ask("PA", b"lo wo", seq=4)
    accepted.read()
    flow.ask("PA", b"llo", seq=3)
    accepted.read()


@scenario()
def duplicates_beyond_a_gap(session: Session) -> None:
    flow, accepted = connected(session, SACK)
    flow.ask("PA", b"world", seq=11)
    flow.ask("PA", b"world", seq=11)
    flow.ask("PA", b"rl", seq=13)
    flow.ask("PA", b"ld and", seq=14)
    flow.ask("PA", b"hello, wow", seq=1)
    accepted.read()


@scenario()
def duplicates_without_sack(session: Session) -> None:
    flow, accepted = connected(session)
    flow.ask("PA", b"hello")
    flow.ask("PA", b"hello", seq=1)
    flow.ask("PA", b"he", seq=1)
    accepted.read()


@scenario()
def overlaps_in_order(session: Session) -> None:
    """What is acknowledged stays."""
    flow, accepted = connected(session)
    flow.ask("PA", b"AAAA", seq=1)
    flow.ask("PA", b"BBBBBB", seq=3)
    accepted.read()


@scenario()
def overlaps_beyond_a_gap(session: Session) -> None:
    """Which bytes win: for each way to overlap."""
    listener = session.listener()
    cases = {
        "the end": ((5, b"AAAA"), (7, b"BBBB")),
        "the start": ((7, b"AAAA"), (5, b"BBBB")),
        "all": ((6, b"AA"), (5, b"BBBB")),
        "inside": ((5, b"AAAA"), (6, b"BB")),
        "the same": ((5, b"AAAA"), (5, b"BBBB")),
        "longer": ((5, b"AA"), (5, b"BBBB")),
        "shorter": ((5, b"AAAA"), (5, b"BB")),
        "between two": ((5, b"AAA"), (10, b"CCC"), (6, b"BBBBBB")),
        "over two": ((5, b"AA"), (8, b"CC"), (5, b"BBBBBBB")),
    }
    for number, (name, pieces) in enumerate(cases.items()):
        flow = session.flow(name, peer_port=41000 + number)
        accepted = flow.open(listener)
        for seq, data in pieces:
            flow.ask("PA", data, seq=seq)
        flow.ask("PA", b"....", seq=1)
        accepted.read()
        accepted.drop()
        session.answers()


@scenario()
def an_overlap_that_fills_the_gap(session: Session) -> None:
    flow, accepted = connected(session, SACK)
    flow.ask("PA", b"AAAA", seq=5)
    flow.ask("PA", b"BBBBBB", seq=1)
    accepted.read()


@scenario()
def data_beyond_the_window(session: Session) -> None:
    flow, accepted = connected(session, SACK)
    flow.ask("PA", b"far", seq=10_000_000)
    flow.ask("PA", b"farther", seq=10_000_100)
    flow.ask("PA", b"old", seq=-10_000_000)
    accepted.read()
    flow.ask("PA", b"good", seq=1)
    accepted.read()


@scenario()
def a_reused_number_of_an_empty_segment(session: Session) -> None:
    """A keep-alive probe, with and without a byte: answered."""
    flow, accepted = connected(session)
    flow.ask("PA", b"hello")
    flow.ask("A", seq=5, note="probe")
    flow.ask("A", b"o", seq=5, note="probe with a byte")
    accepted.read()


@scenario()
def a_plain_acknowledgment_is_not_answered(session: Session) -> None:
    flow, accepted = connected(session)
    flow.ask("A")
    flow.ask("A", window=100)
    accepted.state()


# ---- Timestamps ------------------------------------------------------------------------------------------------


@scenario()
def an_old_timestamp(session: Session) -> None:
    """PAWS: an old duplicate with a number that would fit (RFC 7323 section 5)."""
    flow, accepted = connected(session, FULL)
    flow.ask("PA", b"hello")
    flow.stamp = 500
    flow.ask("PA", b"world")
    accepted.read()
    flow.stamp = 1002
    flow.ask("PA", b"world", seq=6)
    accepted.read()


@scenario()
def an_old_timestamp_of_a_reset(session: Session) -> None:
    """PAWS does not concern resets."""
    flow, accepted = connected(session, FULL)
    flow.stamp = 500
    flow.ask("R")
    accepted.error()


@scenario()
def an_old_timestamp_of_an_acknowledgment(session: Session) -> None:
    flow, accepted = connected(session, FULL)
    accepted.write(b"hello")
    session.answers()
    flow.stamp = 500
    flow.ask("A")
    flow.stamp = 1002
    flow.ask("A")
    accepted.write(b"world")
    session.answers()


@scenario()
def a_missing_timestamp(session: Session) -> None:
    """RFC 7323 section 3.2 lets such segments be dropped; Linux takes them."""
    flow, accepted = connected(session, STAMPS)
    flow.stamp = None
    flow.ask("PA", b"hello")
    accepted.read()


@scenario()
def timestamps_that_nobody_agreed_on(session: Session) -> None:
    flow, accepted = connected(session, PLAIN)
    flow.stamp = 77
    flow.ask("PA", b"hello")
    accepted.read()


@scenario()
def the_echo_of_timestamps(session: Session) -> None:
    """The one of the segment that moves the window's left edge (RFC 7323 section 4.3)."""
    flow, _ = connected(session, FULL)
    flow.stamp = 1010
    flow.ask("PA", b"two", seq=4)
    flow.stamp = 1020
    flow.ask("PA", b"three", seq=7)
    flow.stamp = 1015
    flow.ask("PA", b"one", seq=1)
    flow.stamp = 1030
    flow.ask("PA", b"four", seq=12)


@scenario()
def timestamps_that_wrap(session: Session) -> None:
    listener = session.listener()
    flow = session.flow()
    accepted = flow.open(listener, (("MSS", 1460), ("Timestamp", (0xFFFF_FFF0, 0))))
    flow.stamp = 0xFFFF_FFFF
    flow.ask("PA", b"one")
    flow.stamp = 3
    flow.ask("PA", b"two")
    flow.stamp = 0xFFFF_FFFE
    flow.ask("PA", b"old")
    accepted.read()


# ---- Urgent data -----------------------------------------------------------------------------------------------


@scenario()
def an_urgent_byte(session: Session) -> None:
    flow, accepted = connected(session)
    flow.ask("PAU", b"ab!cd", urgent=3)
    accepted.poll()
    accepted.read(65536, socket.MSG_OOB)
    accepted.read(65536, socket.MSG_OOB)
    accepted.ioctl(SIOCATMARK, "SIOCATMARK")
    accepted.read()
    accepted.ioctl(SIOCATMARK, "SIOCATMARK")
    accepted.read()


@scenario()
def an_urgent_byte_inline(session: Session) -> None:
    flow, accepted = connected(session)
    accepted.set(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1, "SO_OOBINLINE")
    flow.ask("PAU", b"ab!cd", urgent=3)
    accepted.read(65536, socket.MSG_OOB)
    accepted.read()
    accepted.ioctl(SIOCATMARK, "SIOCATMARK")
    accepted.read()


@scenario()
def an_urgent_byte_that_has_not_come(session: Session) -> None:
    flow, accepted = connected(session)
    flow.ask("PAU", b"ab", urgent=5)
    accepted.poll()
    accepted.read(65536, socket.MSG_OOB)
    accepted.read()
    flow.ask("PA", b"cd!ef")
    accepted.read(65536, socket.MSG_OOB)
    accepted.read()
    accepted.read()


@scenario()
def odd_urgent_pointers(session: Session) -> None:
    """Zero, without data, in the past, far away."""
    flow, accepted = connected(session)
    flow.ask("AU", urgent=0)
    flow.ask("PAU", b"a", urgent=0)
    accepted.read(65536, socket.MSG_OOB)
    accepted.read()
    flow.ask("AU", urgent=2)
    accepted.read(65536, socket.MSG_OOB)
    flow.ask("AU", urgent=65535)
    accepted.read(65536, socket.MSG_OOB)
    flow.ask("PA", b"bc")
    accepted.read()
    accepted.read()
    flow.ask("PAU", b"bc", seq=2, urgent=1, note="old")
    accepted.read(65536, socket.MSG_OOB)


@scenario()
def two_urgent_bytes(session: Session) -> None:
    """There is one at a time: the first becomes ordinary."""
    flow, accepted = connected(session)
    flow.ask("PAU", b"a!", urgent=2)
    flow.ask("PAU", b"b?", urgent=2)
    accepted.read(65536, socket.MSG_OOB)
    accepted.read()
    accepted.read()


@scenario()
def the_guest_sends_an_urgent_byte(session: Session) -> None:
    flow, accepted = connected(session)
    accepted.write(b"ab!", socket.MSG_OOB)
    session.answers()
    flow.ask("A")
    accepted.write(b"cd")
    session.answers()
