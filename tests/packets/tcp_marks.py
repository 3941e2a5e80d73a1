"""TCP: explicit congestion notification (RFC 3168)."""

from __future__ import annotations

from scapy.layers.inet import IP, TCP

from tests.packets.flow import SACK, Flow
from tests.packets.scenarios import scenario
from tests.packets.session import Session, Socket
from tests.packets.tcp_losses import SACK_1000, far_away

CAPABLE, MARKED = 2, 3


def marked(flow: Flow, flags: str, data: bytes, code: int) -> None:
    """A segment with a code in its IP header, and what the guest answers."""
    packet = flow.build(flags, data)
    packet[IP].tos = code
    flow.put(packet, flow.describe(packet[TCP], data) + f" (code {code})")
    flow.seq += len(data)
    flow.session.answers()


def agreed(session: Session) -> tuple[Flow, Socket]:
    """A connection on which both sides know of marks."""
    listener = session.listener()
    flow = session.flow()
    flow.ask("SEC", options=SACK)
    flow.ask("A")
    return flow, listener.accept()


@scenario()
def a_call_that_offers_marks(session: Session) -> None:
    """The guest agrees, and lets its data be marked; not its acknowledgments."""
    flow, accepted = agreed(session)
    accepted.write(b"hello")
    session.answers()
    flow.ask("PA", b"hello", ack=6)


def half_offered(session: Session, flags: str) -> None:
    """The guest answers as if nothing was offered."""
    listener = session.listener()
    flow = session.flow()
    flow.ask(flags, options=SACK)
    flow.ask("A")
    listener.accept().write(b"hello")
    session.answers()


@scenario()
def a_call_with_echo_alone(session: Session) -> None:
    half_offered(session, "SE")


@scenario()
def a_call_with_reduced_alone(session: Session) -> None:
    half_offered(session, "SC")


@scenario()
def a_call_that_may_be_marked(session: Session) -> None:
    """A SYN with a code is not what RFC 3168 asks for."""
    session.listener()
    flow = session.flow()
    packet = flow.build("SEC", options=SACK)
    packet[IP].tos = CAPABLE
    flow.put(packet, flow.describe(packet[TCP], b"") + " (code 2)")
    session.answers()


@scenario()
def marks_are_not_spoken_of(session: Session) -> None:
    session.setting("net/ipv4/tcp_ecn", "0")
    session.listener()
    session.flow().ask("SEC", options=SACK)


@scenario()
def a_mark_is_echoed(session: Session) -> None:
    """In each segment, until the peer says that it has slowed down."""
    flow, accepted = agreed(session)
    marked(flow, "PA", b"one", CAPABLE)
    marked(flow, "PA", b"two", MARKED)
    marked(flow, "PA", b"three", CAPABLE)
    accepted.write(b"hello")
    session.answers()
    marked(flow, "PAC", b"four", CAPABLE)
    marked(flow, "PA", b"five", CAPABLE)


@scenario()
def an_echo_slows_the_guest_down(session: Session) -> None:
    """It says so with its next data, once for a window."""
    flow, accepted = agreed(session)
    accepted.write(b"hello")
    session.answers()
    flow.ask("AE", ack=6)
    accepted.write(b"again")
    session.answers()
    flow.ask("AE", ack=11)
    accepted.write(b"and again")
    session.answers()
    flow.ask("A", ack=20)
    accepted.write(b"the end")
    session.answers()


@scenario()
def an_echo_without_an_agreement(session: Session) -> None:
    flow, accepted = far_away(session, SACK_1000, 3000)
    flow.ask("AE", ack=1001)
    flow.ask("AE", ack=3001)
    accepted.write(b"more")
    session.answers()
