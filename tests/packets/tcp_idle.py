"""TCP when little happens: keep-alive (RFC 9293 section 3.8.4), delayed acknowledgments (RFC 5681 section 4.2)."""

from __future__ import annotations

import socket

from tests.packets.flow import Flow
from tests.packets.scenarios import scenario
from tests.packets.session import Session, Socket
from tests.packets.tcp_closing import connected


def kept_alive(session: Session, probes: int, interval: int = 1) -> tuple[Flow, Socket]:
    """A connection that is probed after a second, and again after `interval` seconds."""
    flow, accepted = connected(session)
    accepted.set(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1, "TCP_KEEPIDLE")
    accepted.set(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval, "TCP_KEEPINTVL")
    accepted.set(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, probes, "TCP_KEEPCNT")
    accepted.set(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1, "SO_KEEPALIVE")
    return flow, accepted


@scenario(slow=True)
def nobody_answers_keep_alive_probes(session: Session) -> None:
    flow, accepted = kept_alive(session, 2)
    session.wait(3, timed=True)
    accepted.poll()
    accepted.error()
    flow.ask("A")


@scenario(slow=True)
def keep_alive_probes_are_answered(session: Session) -> None:
    flow, accepted = kept_alive(session, 1, 10)
    for _ in range(2):
        session.wait(1, timed=True)
        flow.ask("A")
    accepted.error()


@scenario(slow=True)
def a_reset_answers_a_keep_alive_probe(session: Session) -> None:
    flow, accepted = kept_alive(session, 3, 10)
    session.wait(1)
    flow.ask("R")
    accepted.error()


@scenario(slow=True)
def no_keep_alive_probes_while_data_are_on_their_way(session: Session) -> None:
    flow, accepted = kept_alive(session, 3)
    accepted.write(b"hello")
    session.answers()
    session.wait(3, timed=True)
    flow.ask("A", ack=6)


@scenario(slow=True)
def acknowledgments_are_delayed(session: Session) -> None:
    """TCP_QUICKACK off: a single segment waits for company."""
    flow, accepted = connected(session)
    flow.ask("PA", b"first")
    accepted.set(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0, "TCP_QUICKACK")
    flow.ask("PA", b"second")
    session.wait(1)


@scenario()
def two_full_segments_are_acknowledged(session: Session) -> None:
    flow, accepted = connected(session)
    flow.ask("A", b"x" * 1460)
    accepted.read()
    accepted.set(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0, "TCP_QUICKACK")
    flow.ask("A", b"x" * 1460)
    accepted.read()
    flow.ask("A", b"x" * 1460)


@scenario()
def data_take_the_acknowledgment_along(session: Session) -> None:
    flow, accepted = connected(session)
    flow.ask("PA", b"first")
    accepted.set(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0, "TCP_QUICKACK")
    flow.ask("PA", b"question")
    accepted.write(b"answer")
    session.answers()


@scenario()
def quick_acknowledgments_are_asked_for(session: Session) -> None:
    flow, accepted = connected(session)
    flow.ask("PA", b"first")
    accepted.set(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0, "TCP_QUICKACK")
    flow.ask("PA", b"second")
    accepted.read()
    accepted.set(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1, "TCP_QUICKACK")
    session.answers()
