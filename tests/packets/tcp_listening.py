"""TCP: listeners with more callers than they take (listen(2), RFC 4987)."""

from __future__ import annotations

import socket

from scapy.layers.inet import IP

from tests.packets.flow import FULL, PLAIN, SACK
from tests.packets.scenarios import scenario
from tests.packets.session import Session


@scenario()
def a_full_backlog(session: Session) -> None:
    """One more than was asked for is taken; then SYNs are not answered, until a program accepts."""
    listener = session.listener(1)
    for number in range(3):
        flow = session.flow(f"{number}", peer_port=41000 + number)
        flow.ask("S", options=PLAIN)
        flow.ask("A", seq=1, ack=1)
    listener.accept()
    flow.ask("S", seq=0, options=PLAIN)
    flow.ask("A", seq=1, ack=1)
    listener.accept()
    listener.accept()
    listener.accept()


@scenario()
def a_backlog_of_zero(session: Session) -> None:
    listener = session.listener(0)
    for number in range(2):
        flow = session.flow(f"{number}", peer_port=41000 + number)
        flow.ask("S", options=PLAIN)
        flow.ask("A", seq=1, ack=1)
    listener.accept()
    listener.accept()


@scenario()
def half_open_ones_when_the_backlog_fills(session: Session) -> None:
    """The last acknowledgment finds no room: it is dropped, and what comes later counts."""
    listener = session.listener(1)
    flows = [session.flow(f"{number}", peer_port=41000 + number) for number in range(3)]
    for flow in flows:
        flow.ask("S", options=PLAIN)
    for flow in flows:
        flow.ask("A")
    listener.accept()
    flows[2].ask("PA", b"hello")
    listener.accept()
    accepted = listener.accept()
    accepted.read()


@scenario(slow=True)
def a_flood_and_a_genuine_client(session: Session) -> None:
    """SYNs from nowhere fill the backlog. Then answers are cookies, and whoever can return one is served."""
    listener = session.listener(8)
    for number in range(200):
        packet = session.flow("flood", peer_port=20000 + number).build("S", options=PLAIN)
        packet[IP].src = f"10.9.220.{1 + number % 250}"
        session.send(packet, "")
    session.say("> 200 SYNs from others")
    session.answers()
    flow = session.flow()
    flow.ask("S", options=PLAIN)
    flow.ask("A")
    accepted = listener.accept()
    flow.ask("PA", b"hello")
    accepted.read()
    accepted.write(b"world")
    session.answers()


@scenario()
def cookies_always(session: Session) -> None:
    """tcp_syncookies 2: for every SYN. Options survive in the timestamp, if there is one."""
    session.setting("net/ipv4/tcp_syncookies", "2")
    listener = session.listener()
    for number, (name, options) in enumerate({"plain": PLAIN, "sack": SACK, "full": FULL}.items()):
        flow = session.flow(name, peer_port=41000 + number)
        accepted = flow.open(listener, options)
        accepted.get(socket.IPPROTO_TCP, socket.TCP_MAXSEG, "TCP_MAXSEG")
        flow.ask("PA", b"two", seq=4)
        flow.ask("PA", b"one", seq=1)
        accepted.read()
        accepted.write(b"hello")
        session.answers()


@scenario()
def segment_sizes_in_cookies(session: Session) -> None:
    session.setting("net/ipv4/tcp_syncookies", "2")
    listener = session.listener()
    for number, mss in enumerate((100, 536, 1000, 1300, 1400, 1440, 1460, 9000)):
        flow = session.flow(f"{mss}", peer_port=41000 + number)
        accepted = flow.open(listener, (("MSS", mss),))
        accepted.get(socket.IPPROTO_TCP, socket.TCP_MAXSEG, "TCP_MAXSEG")


@scenario()
def cookies_that_are_wrong(session: Session) -> None:
    session.setting("net/ipv4/tcp_syncookies", "2")
    listener = session.listener()
    flow = session.flow()
    flow.ask("S", options=PLAIN)
    flow.ask("A", ack=2)
    flow.ask("A", ack=1 + (1 << 24))
    flow.ask("A", seq=2, ack=1)
    flow.ask("SA", seq=1, ack=1)
    flow.ask("PA", b"hello", seq=1, ack=1)
    accepted = listener.accept()
    accepted.read()


@scenario()
def accepting_is_deferred(session: Session) -> None:
    """TCP_DEFER_ACCEPT: not before there are data."""
    listener = session.listener()
    listener.set(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 10, "TCP_DEFER_ACCEPT")
    flow = session.flow()
    flow.ask("S", options=PLAIN)
    flow.ask("A")
    listener.poll()
    listener.accept()
    flow.ask("PA", b"hello")
    listener.poll()
    accepted = listener.accept()
    accepted.read()


@scenario()
def accepting_is_deferred_and_the_peer_closes(session: Session) -> None:
    listener = session.listener()
    listener.set(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 10, "TCP_DEFER_ACCEPT")
    flow = session.flow()
    flow.ask("S", options=PLAIN)
    flow.ask("A")
    flow.send("FA")
    session.wait(1)
    accepted = listener.accept()
    accepted.read()


@scenario(slow=True)
def accepting_is_deferred_for_a_while(session: Session) -> None:
    listener = session.listener()
    listener.set(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1, "TCP_DEFER_ACCEPT")
    flow = session.flow()
    flow.ask("S", options=PLAIN)
    flow.ask("A")
    listener.accept()
    session.wait(1, timed=True)
    flow.ask("A")
    listener.accept()


@scenario()
def a_peer_that_has_gone_before_accept(session: Session) -> None:
    listener = session.listener()
    reset = session.flow("reset", peer_port=41000)
    reset.shake()
    reset.ask("R")
    closed = session.flow("closed", peer_port=41001)
    closed.shake()
    closed.ask("PA", b"hello")
    closed.send("FA")
    session.wait(1)
    accepted = listener.accept()
    accepted.error()
    accepted.read()
    accepted = listener.accept()
    accepted.read()
    accepted.read()


@scenario()
def two_listeners_on_a_port(session: Session) -> None:
    """The one that is bound to the address goes before the one that is bound to all."""
    everywhere = session.socket()
    everywhere.bind("0.0.0.0", session.port)
    everywhere.set(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1, "SO_REUSEPORT")
    everywhere.listen(8)
    flow = session.flow()
    flow.shake()
    everywhere.accept()
    here = session.socket()
    here.set(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1, "SO_REUSEPORT")
    here.bind("10.9.0.1", session.port)
    here.listen(8)
    flow = session.flow("second", peer_port=41000)
    flow.shake()
    here.accept()
    everywhere.accept()
