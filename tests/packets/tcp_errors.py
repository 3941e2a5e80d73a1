"""TCP: errors that ICMP reports (RFC 5461, RFC 5927, RFC 1191; RFC 9293 section 3.9.2.2)."""

from __future__ import annotations

import socket

from scapy.layers.inet import ICMP, IP, TCP
from scapy.packet import Packet, Raw

from tests.packets.flow import FULL, PLAIN, Flow
from tests.packets.scenarios import scenario
from tests.packets.session import Session
from tests.packets.tcp_closing import connected, in_fin_wait_2
from tests.packets.tcp_handshake import calling
from tests.packets.wire import GUEST

ROUTER = "10.9.254.254"
UNREACHABLE = {0: "network", 1: "host", 2: "protocol", 3: "port", 5: "source route", 9: "prohibited", 13: "filtered"}


def report(flow: Flow, kind: int, code: int, told: str, *, mtu: int = 0, about: Packet | None = None) -> list[Packet]:
    """A router tells of the last segment that the guest sent, or of another one; what the guest answers."""
    packet = (flow.seen[-1] if about is None else about)[IP]
    quoted = bytes(packet)[:28]
    icmp = ICMP(type=kind, code=code)
    if mtu:
        icmp.nexthopmtu = mtu
    flow.put(IP(src=ROUTER, dst=GUEST) / icmp / Raw(quoted), f"icmp {told}")
    return flow.session.answers()


def altered(packet: Packet, sequence: int) -> Packet:
    """The segment with a number that lies elsewhere by that much."""
    copy: Packet = packet[IP].copy()
    copy[TCP].seq = (copy[TCP].seq + sequence) & 0xFFFF_FFFF
    return copy


@scenario()
def a_call_to_where_there_is_no_way(session: Session) -> None:
    """Every kind of unreachable ends a call at once."""
    for number, (code, name) in enumerate(UNREACHABLE.items()):
        caller = session.socket()
        caller.connect(41000 + number)
        (frame,) = session.barrier()
        flow = session.flow(name, port=frame.packet[TCP].sport, peer_port=41000 + number)
        flow.note(frame.packet)
        report(flow, 3, code, f"{name} unreachable")
        caller.poll()
        caller.error()


@scenario()
def other_errors_for_a_call(session: Session) -> None:
    cases = ((11, 0, "time exceeded"), (12, 0, "parameter problem"), (4, 0, "source quench"), (5, 1, "redirect"))
    for number, (kind, code, name) in enumerate(cases):
        caller = session.socket()
        caller.connect(41000 + number)
        (frame,) = session.barrier()
        flow = session.flow(name, port=frame.packet[TCP].sport, peer_port=41000 + number)
        flow.note(frame.packet)
        report(flow, kind, code, name)
        caller.poll()
        caller.error()


@scenario()
def an_error_with_a_wrong_number_for_a_call(session: Session) -> None:
    """Somebody who has not seen the SYN does not know its number (RFC 5927 section 4.1)."""
    flow, caller = calling(session)
    report(flow, 3, 3, "port unreachable, wrong number", about=altered(flow.seen[-1], 1000))
    caller.state()
    report(flow, 3, 3, "port unreachable, right number")
    caller.error()


@scenario()
def unreachable_in_a_connection(session: Session) -> None:
    """A soft error: nothing ends, and nothing is reported unless the connection times out."""
    flow, accepted = connected(session)
    accepted.write(b"hello")
    session.answers()
    for code, name in UNREACHABLE.items():
        report(flow, 3, code, f"{name} unreachable")
    report(flow, 11, 0, "time exceeded")
    report(flow, 12, 0, "parameter problem")
    report(flow, 4, 0, "source quench")
    accepted.error()
    accepted.state()
    flow.ask("A", ack=6)


@scenario()
def unreachable_in_a_connection_that_wants_to_know(session: Session) -> None:
    """IP_RECVERR makes errors hard, where Linux says so, but for those of connections."""
    flow, accepted = connected(session)
    accepted.set(socket.IPPROTO_IP, 11, 1, "IP_RECVERR")
    accepted.write(b"hello")
    session.answers()
    report(flow, 3, 3, "port unreachable")
    accepted.poll()
    accepted.error()
    accepted.state()
    flow.ask("A", ack=6)


@scenario()
def unreachable_while_half_open(session: Session) -> None:
    listener = session.listener()
    for code, name in UNREACHABLE.items():
        flow = session.flow(name, peer_port=41000 + code)
        flow.ask("S", options=PLAIN)
        report(flow, 3, code, f"{name} unreachable")
        flow.ask("A")
        listener.accept()
    for number, (kind, name) in enumerate({11: "time exceeded", 12: "parameter problem", 4: "source quench"}.items()):
        flow = session.flow(name, peer_port=42000 + number)
        flow.ask("S", options=PLAIN)
        report(flow, kind, 0, name)
        flow.ask("A")
        listener.accept()


@scenario()
def unreachable_when_closed_on_one_side(session: Session) -> None:
    flow, accepted = in_fin_wait_2(session)
    report(flow, 3, 1, "host unreachable")
    accepted.state()
    accepted.error()
    flow.ask("FA")


@scenario()
def unreachable_for_nobody(session: Session) -> None:
    flow, accepted = connected(session)
    accepted.write(b"hello")
    session.answers()
    other = flow.seen[-1][IP].copy()
    other[TCP].dport = 7
    report(flow, 3, 3, "port unreachable, of no connection", about=other)
    other[TCP].sport = 7
    report(flow, 3, 3, "port unreachable, of no port", about=other)
    short = bytes(flow.seen[-1][IP])[:22]
    flow.put(IP(src=ROUTER, dst=GUEST) / ICMP(type=3, code=3) / Raw(short), "icmp port unreachable, cut short")
    session.answers()
    accepted.error()
    flow.ask("A", ack=6)


@scenario()
def a_smaller_path(session: Session) -> None:
    """Fragmentation needed: the segment is sent again in pieces that fit (RFC 1191)."""
    flow, accepted = connected(session)
    accepted.write(2000)
    session.answers()
    first = next(packet for packet in flow.seen if len(bytes(packet[TCP].payload)) > 1000)
    report(flow, 3, 4, "fragmentation needed, mtu 1000", mtu=1000, about=first)
    accepted.get(socket.IPPROTO_TCP, socket.TCP_MAXSEG, "TCP_MAXSEG")
    flow.ask("A", ack=2001)
    accepted.write(2000)
    session.answers()


@scenario()
def a_smaller_path_with_timestamps(session: Session) -> None:
    flow, accepted = connected(session, FULL)
    accepted.write(2000)
    session.answers()
    first = next(packet for packet in flow.seen if len(bytes(packet[TCP].payload)) > 1000)
    report(flow, 3, 4, "fragmentation needed, mtu 1000", mtu=1000, about=first)
    accepted.get(socket.IPPROTO_TCP, socket.TCP_MAXSEG, "TCP_MAXSEG")


@scenario()
def odd_sizes_of_paths(session: Session) -> None:
    """Larger than ours, too small to be true, and not stated at all."""
    listener = session.listener()
    for number, mtu in enumerate((1500, 9000, 600, 100, 68, 20, 0)):
        flow = session.flow(f"{mtu}", peer_port=41000 + number)
        accepted = flow.open(listener)
        accepted.write(1200)
        session.answers()
        report(flow, 3, 4, f"fragmentation needed, mtu {mtu}", mtu=mtu)
        accepted.get(socket.IPPROTO_TCP, socket.TCP_MAXSEG, "TCP_MAXSEG")
        flow.ask("A", ack=1201)
        accepted.drop()
        session.answers()


@scenario()
def a_smaller_path_with_a_wrong_number(session: Session) -> None:
    flow, accepted = connected(session)
    accepted.write(1400)
    session.answers()
    report(flow, 3, 4, "fragmentation needed, mtu 600", mtu=600, about=altered(flow.seen[-1], 100_000))
    accepted.get(socket.IPPROTO_TCP, socket.TCP_MAXSEG, "TCP_MAXSEG")
    flow.ask("A", ack=1401)


@scenario()
def a_smaller_path_in_a_call(session: Session) -> None:
    flow, caller = calling(session)
    report(flow, 3, 4, "fragmentation needed, mtu 1000", mtu=1000)
    caller.state()
    flow.answer_call(PLAIN)
    caller.write(1500)
    session.answers()
