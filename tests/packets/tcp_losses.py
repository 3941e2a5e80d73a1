"""TCP: what the guest does about losses (RFC 5681, 6298, 6582, 6675, 3042, 8985, 2883).

The peer of most of these is far away, or seems so: it takes a tenth of a second to answer the guest's SYN-ACK. So no
timer of the guest runs out between two steps of a scenario.
"""

from __future__ import annotations

import socket

from tests.packets.flow import Flow, Option
from tests.packets.scenarios import scenario
from tests.packets.session import Session, Socket
from tests.packets.tcp_closing import connected

ROUND_TRIP = 0.1
MSS_1000: tuple[Option, ...] = (("MSS", 1000),)
SACK_1000: tuple[Option, ...] = (("MSS", 1000), ("NOP", None), ("NOP", None), ("SAckOK", b""))
FULL_1012: tuple[Option, ...] = (("MSS", 1012), ("SAckOK", b""), ("Timestamp", (1000, 0)), ("NOP", None), ("WScale", 7))


def far_away(session: Session, options: tuple[Option, ...], size: int) -> tuple[Flow, Socket]:
    """A connection with a long round trip, on which the guest has written `size` bytes."""
    listener = session.listener()
    flow = session.flow()
    flow.ask("S", options=options)
    session.hesitate(ROUND_TRIP)
    if any(name == "Timestamp" for name, _ in options):
        flow.stamp = 1001
    flow.ask("A")
    accepted = listener.accept()
    accepted.write(size)
    session.answers()
    return flow, accepted


@scenario(slow=True)
def nobody_acknowledges_data(session: Session) -> None:
    """A fifth of a second, then twice as long each time (RFC 6298 section 5)."""
    flow, accepted = connected(session)
    accepted.write(b"hello")
    session.answers()
    session.wait(2, timed=True, alone=True)
    flow.ask("A", ack=6)
    accepted.write(b"again")
    session.answers()


@scenario(slow=True)
def a_timeout_and_slow_start(session: Session) -> None:
    """After a timeout everything on its way counts as lost, and two segments follow each acknowledgment."""
    flow, _ = far_away(session, MSS_1000, 6000)
    session.wait(1, alone=True)
    flow.ask("A", ack=1001)
    flow.ask("A", ack=2001)
    flow.ask("A", ack=6001)


@scenario(slow=True)
def a_timeout_of_something_that_came(session: Session) -> None:
    flow, accepted = far_away(session, MSS_1000, 3000)
    session.wait(1, alone=True)
    flow.ask("A", ack=3001)
    accepted.write(500)
    session.answers()


@scenario(slow=True)
def three_duplicate_acknowledgments(session: Session) -> None:
    """Fast retransmit (RFC 5681 section 3.2), and partial acknowledgments (RFC 6582)."""
    flow, _ = far_away(session, MSS_1000, 8000)
    flow.ask("A", ack=1001)
    for _ in range(4):
        flow.ask("A", ack=1001)
    flow.ask("A", ack=4001, note="partial")
    flow.ask("A", ack=8001)


@scenario(slow=True)
def limited_transmit(session: Session) -> None:
    """New data for the first two duplicates (RFC 3042)."""
    flow, _ = far_away(session, MSS_1000, 14000)
    flow.ask("A", ack=1)
    flow.ask("A", ack=1)
    flow.ask("A", ack=1)


@scenario(slow=True)
def what_is_no_duplicate_acknowledgment(session: Session) -> None:
    """One with data, with another window, or of something older."""
    flow, _ = far_away(session, MSS_1000, 5000)
    flow.ask("A", ack=2001)
    for _ in range(3):
        flow.ask("PA", b"data", ack=2001)
    for number in range(3):
        flow.ask("A", ack=2001, window=65000 + number)
    for _ in range(3):
        flow.ask("A", ack=1001)
    flow.ask("A", ack=5001)


@scenario(slow=True)
def sack_tells_of_one_loss(session: Session) -> None:
    """Three segments after the gap: it is sent again, once (RFC 6675)."""
    flow, _ = far_away(session, SACK_1000, 8000)
    flow.ask("A", ack=1, options=[flow.sack(1001, 2001)])
    flow.ask("A", ack=1, options=[flow.sack(1001, 3001)])
    flow.ask("A", ack=1, options=[flow.sack(1001, 4001)])
    flow.ask("A", ack=1, options=[flow.sack(1001, 5001)])
    flow.ask("A", ack=8001)


@scenario(slow=True)
def sack_tells_of_two_losses(session: Session) -> None:
    flow, _ = far_away(session, SACK_1000, 8000)
    flow.ask("A", ack=1, options=[flow.sack(1001, 2001)])
    flow.ask("A", ack=1, options=[flow.sack(3001, 4001, 1001, 2001)])
    flow.ask("A", ack=1, options=[flow.sack(3001, 5001, 1001, 2001)])
    flow.ask("A", ack=1, options=[flow.sack(3001, 6001, 1001, 2001)])
    flow.ask("A", ack=1, options=[flow.sack(3001, 7001, 1001, 2001)])
    flow.ask("A", ack=2001, options=[flow.sack(3001, 7001)])
    flow.ask("A", ack=8001)


@scenario(slow=True)
def one_sack_that_tells_of_much(session: Session) -> None:
    """A single acknowledgment is enough, if many bytes lie after the gap."""
    flow, _ = far_away(session, SACK_1000, 8000)
    flow.ask("A", ack=1, options=[flow.sack(1001, 6001)])
    flow.ask("A", ack=8001)


@scenario(slow=True)
def sack_with_timestamps(session: Session) -> None:
    flow, _ = far_away(session, FULL_1012, 8000)
    flow.ask("A", ack=1, options=[flow.sack(1001, 5001)])
    flow.ask("A", ack=8001)


@scenario(slow=True)
def sack_blocks_that_make_no_sense(session: Session) -> None:
    """Not sent yet, acknowledged long ago, empty, turned round."""
    flow, _ = far_away(session, SACK_1000, 4000)
    for edges in ((9001, 10001), (-5000, -4000), (2001, 2001), (3001, 2001), (1, 4001, 8001, 2001)):
        flow.ask("A", ack=1, options=[flow.sack(*edges)])
    flow.ask("A", ack=4001)


@scenario(slow=True)
def sack_that_nobody_agreed_on(session: Session) -> None:
    flow, _ = far_away(session, MSS_1000, 6000)
    flow.ask("A", ack=1, options=[flow.sack(1001, 5001)])
    flow.ask("A", ack=1, options=[flow.sack(1001, 5001)])
    flow.ask("A", ack=6001)


@scenario(slow=True, unlike_linux="on Linux this is found by RACK, which is turned off; then both losses are repaired")
def the_tail_is_lost(session: Session) -> None:
    """Tail loss probe: the last segment comes again, long before the timeout (RFC 8985 section 7)."""
    flow, _ = far_away(session, SACK_1000, 3000)
    session.wait(1, timed=True, alone=True)
    session.hesitate(ROUND_TRIP)
    flow.send("A", ack=1, options=[flow.sack(2001, 3001)])
    session.wait(2, alone=True)
    flow.ask("A", ack=3001)


@scenario(slow=True)
def the_only_segment_is_lost(session: Session) -> None:
    flow, _ = far_away(session, SACK_1000, 500)
    session.wait(2, timed=True, alone=True)
    flow.ask("A", ack=501)


@scenario(slow=True)
def the_tail_probe_was_not_needed(session: Session) -> None:
    flow, accepted = far_away(session, SACK_1000, 3000)
    session.wait(1, timed=True, alone=True)
    flow.ask("A", ack=3001, options=[flow.sack(2001, 3001)])
    accepted.write(500)
    session.answers()


@scenario(slow=True)
def nothing_answers_the_tail_probe(session: Session) -> None:
    flow, _ = far_away(session, SACK_1000, 3000)
    session.wait(3, timed=True)
    flow.ask("A", ack=3001)


@scenario(slow=True)
def the_retransmission_is_lost_too(session: Session) -> None:
    flow, _ = far_away(session, SACK_1000, 5000)
    flow.ask("A", ack=1, options=[flow.sack(1001, 5001)])
    session.wait(1, timed=True, alone=True)
    flow.ask("A", ack=5001)


@scenario(slow=True)
def a_fin_is_lost_with_the_data(session: Session) -> None:
    flow, accepted = far_away(session, MSS_1000, 2500)
    accepted.close()
    session.answers()
    flow.ask("A", ack=1001)
    session.wait(1, alone=True)
    flow.ask("A", ack=2502)


@scenario(slow=True)
def an_acknowledgment_of_half_a_segment(session: Session) -> None:
    flow, _ = far_away(session, MSS_1000, 2000)
    flow.ask("A", ack=501)
    session.wait(1, alone=True)
    flow.ask("A", ack=2001)


@scenario(slow=True)
def slow_start(session: Session) -> None:
    """Ten segments at first (RFC 6928), then one more for each that is acknowledged."""
    flow, _ = far_away(session, MSS_1000, 15000)
    flow.ask("A", ack=2001)
    flow.ask("A", ack=4001)
    flow.ask("A", ack=10001)


@scenario(slow=True)
def a_user_timeout(session: Session) -> None:
    """RFC 5482: the connection ends without a word."""
    flow, accepted = connected(session)
    accepted.set(socket.IPPROTO_TCP, 18, 500, "TCP_USER_TIMEOUT")
    accepted.write(b"hello")
    session.answers()
    session.wait_for(accepted, "HUP", 4.0)
    accepted.error()
    flow.ask("A")


