"""TCP: resets, and numbers that are guessed (RFC 9293 section 3.10.7.4, RFC 5961)."""

from __future__ import annotations

import socket

from tests.packets.flow import FULL, PLAIN
from tests.packets.scenarios import scenario
from tests.packets.session import Session
from tests.packets.tcp_closing import connected, in_fin_wait_2


@scenario()
def a_reset_at_the_edge(session: Session) -> None:
    flow, accepted = connected(session)
    flow.ask("R")
    accepted.poll()
    accepted.error()
    accepted.read()
    accepted.state()
    flow.ask("A")


@scenario()
def a_reset_with_an_acknowledgment(session: Session) -> None:
    flow, accepted = connected(session)
    flow.ask("RA", ack=7777)
    accepted.error()


@scenario()
def a_reset_elsewhere_in_the_window(session: Session) -> None:
    """A challenge acknowledgment: a peer that has the numbers sends the right reset then."""
    flow, accepted = connected(session)
    flow.ask("R", seq=2)
    accepted.error()
    flow.ask("R", seq=1)
    accepted.error()


@scenario()
def a_reset_outside_of_the_window(session: Session) -> None:
    flow, accepted = connected(session)
    flow.ask("R", seq=0)
    flow.ask("R", seq=-1000)
    flow.ask("R", seq=10_000_000)
    accepted.error()
    accepted.state()


@scenario()
def a_reset_at_the_end_of_what_sack_reported(session: Session) -> None:
    """RFC 5961's rule with RFC 2018's numbers: Linux takes it, since a peer with a gap may know only that."""
    flow, accepted = connected(session, FULL)
    flow.ask("PA", b"world", seq=6)
    flow.ask("R", seq=8)
    flow.ask("R", seq=11)
    accepted.error()


@scenario()
def a_reset_with_the_number_of_a_fin(session: Session) -> None:
    """Some systems send it: the FIN was the last thing they sent."""
    flow, accepted = connected(session)
    flow.send("FA")
    session.wait(1)
    flow.ask("R", seq=1)
    accepted.error()


@scenario()
def a_reset_with_data(session: Session) -> None:
    flow, accepted = connected(session)
    flow.ask("RPA", b"why")
    accepted.error()
    accepted.read()


@scenario()
def data_before_a_reset(session: Session) -> None:
    """What came in order is gone for the program, as on Linux."""
    flow, accepted = connected(session)
    flow.ask("PA", b"hello")
    flow.ask("R")
    accepted.poll()
    accepted.read()
    accepted.read()


@scenario()
def writing_after_a_reset(session: Session) -> None:
    flow, accepted = connected(session)
    flow.ask("R")
    accepted.write(b"one")
    accepted.write(b"two")
    accepted.read()


@scenario()
def a_reset_in_every_state(session: Session) -> None:
    listener = session.listener()
    flow = session.flow("close wait", peer_port=41000)
    accepted = flow.open(listener)
    flow.send("FA")
    session.wait(1)
    flow.ask("R")
    accepted.error()
    accepted.read()
    flow = session.flow("fin wait 1", peer_port=41001)
    accepted = flow.open(listener)
    accepted.shutdown(socket.SHUT_WR)
    session.answers()
    flow.ask("R")
    accepted.error()
    flow = session.flow("fin wait 2", peer_port=41002)
    accepted = flow.open(listener)
    accepted.shutdown(socket.SHUT_WR)
    session.answers()
    flow.ask("A")
    flow.ask("R")
    accepted.error()
    flow = session.flow("closing", peer_port=41003)
    accepted = flow.open(listener)
    accepted.shutdown(socket.SHUT_WR)
    session.answers()
    flow.ask("FA", ack=1)
    flow.ask("R")
    accepted.error()
    flow = session.flow("last ack", peer_port=41004)
    accepted = flow.open(listener)
    flow.send("FA")
    session.wait(1)
    accepted.shutdown(socket.SHUT_WR)
    session.answers()
    flow.ask("R")
    accepted.error()


@scenario()
def a_syn_in_a_connection(session: Session) -> None:
    """A challenge acknowledgment, wherever its number lies (RFC 5961, section 4)."""
    flow, accepted = connected(session)
    flow.ask("S", seq=1)
    accepted.state()


@scenario()
def a_syn_outside_of_the_window(session: Session) -> None:
    flow, accepted = connected(session)
    flow.ask("S", seq=-100_000)
    accepted.state()


@scenario()
def a_syn_ack_in_a_connection(session: Session) -> None:
    """The peer has lost our last acknowledgment."""
    caller = session.socket()
    caller.bind("10.9.0.1", session.port)
    caller.connect()
    flow = session.flow()
    session.answers()
    flow.answer_call(PLAIN)
    flow.ask("SA", seq=0, ack=1, options=PLAIN)
    flow.ask("SA", seq=0, ack=1, options=PLAIN)
    caller.state()


@scenario()
def a_syn_in_every_state(session: Session) -> None:
    listener = session.listener()
    flow = session.flow("close wait", peer_port=41000)
    accepted = flow.open(listener)
    flow.send("FA")
    session.wait(1)
    flow.ask("S", seq=2)
    accepted.state()
    accepted.drop()
    session.answers()
    flow = session.flow("fin wait 1", peer_port=41001)
    accepted = flow.open(listener)
    accepted.shutdown(socket.SHUT_WR)
    session.answers()
    flow.ask("S", seq=1)
    accepted.state()
    accepted.drop()
    session.answers()
    flow = session.flow("fin wait 2", peer_port=41002)
    accepted = flow.open(listener)
    accepted.shutdown(socket.SHUT_WR)
    session.answers()
    flow.ask("A")
    flow.ask("S", seq=1)
    accepted.state()
    accepted.drop()
    session.answers()
    flow = session.flow("closing", peer_port=41003)
    accepted = flow.open(listener)
    accepted.shutdown(socket.SHUT_WR)
    session.answers()
    flow.ask("FA", ack=1)
    flow.ask("S", seq=2)
    accepted.state()
    accepted.drop()
    session.answers()
    flow = session.flow("last ack", peer_port=41004)
    accepted = flow.open(listener)
    flow.send("FA")
    session.wait(1)
    accepted.shutdown(socket.SHUT_WR)
    session.answers()
    flow.ask("S", seq=2)
    accepted.state()
    accepted.drop()
    session.answers()


@scenario(unlike_linux="RFC 9293 section 3.10.7.4 wants an acknowledgment in answer; Linux is silent")
def acknowledgments_of_what_was_not_sent(session: Session) -> None:
    flow, accepted = connected(session)
    flow.ask("A", ack=2)
    flow.ask("PA", b"hello", ack=1000, seq=1)
    accepted.read()
    flow.ask("PA", b"hello", seq=1)
    accepted.read()


@scenario()
def old_acknowledgments(session: Session) -> None:
    """Data with an old acknowledgment are taken; with one older than any window they are not (RFC 5961, section 5)."""
    flow, accepted = connected(session)
    accepted.write(b"hello")
    session.answers()
    flow.ask("A")
    flow.ask("PA", b"old", ack=1)
    accepted.read()
    flow.ask("PA", b"ancient", ack=-100_000, seq=4)
    accepted.read()


@scenario()
def challenges_are_limited(session: Session) -> None:
    """Not more than one in half a second for a connection."""
    flow, accepted = connected(session)
    for _ in range(3):
        flow.ask("S", seq=1)
    flow.ask("A", seq=-50_000)
    flow.ask("R", seq=100)
    flow.ask("PA", b"old", seq=-50_000, note="data are answered always")
    accepted.state()


@scenario()
def a_segment_without_ack(session: Session) -> None:
    """Every segment of a connection has one: others are dropped."""
    flow, accepted = connected(session)
    flow.ask("P", b"hello", seq=1)
    flow.ask("F", seq=1)
    flow.ask("U", b"x", seq=1, urgent=1)
    accepted.read()
    accepted.state()


@scenario()
def a_reset_when_half_is_closed(session: Session) -> None:
    flow, accepted = in_fin_wait_2(session)
    flow.ask("PA", b"hello")
    flow.ask("RA")
    accepted.read()
    accepted.error()
