"""TCP over IPv6: what differs from IPv4 (RFC 8200, RFC 8201, RFC 4443)."""

from __future__ import annotations

import socket

from scapy.layers.inet import TCP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6TimeExceeded, IPv6
from scapy.packet import Packet, Raw

from tests.packets.flow import FULL, PLAIN, Flow, Option
from tests.packets.internet import Peer
from tests.packets.scenarios import scenario
from tests.packets.session import Session, Socket
from tests.packets.wire import GUEST6

ROUTER6 = "fd09::fffe"
UNREACHABLE = {0: "no route", 1: "prohibited", 2: "beyond scope", 3: "address", 4: "port", 5: "policy", 6: "reject"}
LARGE: tuple[Option, ...] = (("MSS", 1440),)


def flow6(session: Session, peer: Peer, name: str = "", port: int | None = None, peer_port: int = 40000) -> Flow:
    flow = session.flow(name, port=port, peer_port=peer_port)
    flow.source6 = peer.address6
    return flow


def listening(session: Session, address: str = GUEST6, only6: bool = True) -> tuple[Peer, Socket]:
    """Both know each other, and the guest listens."""
    peer = Peer(session)
    peer.meet6()
    listener = session.socket(socket.AF_INET6)
    listener.set(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(only6), "IPV6_V6ONLY")
    listener.bind(address, session.port)
    listener.listen(8)
    return peer, listener


def report(flow: Flow, message: Packet, description: str, about: Packet | None = None) -> list[Packet]:
    """A router tells of the last segment from the guest, or of another one."""
    quoted = bytes((flow.seen[-1] if about is None else about)[IPv6])[:100]
    flow.put(IPv6(src=ROUTER6, dst=GUEST6) / message / Raw(quoted), f"icmpv6 {description}")
    return flow.session.answers()


@scenario()
def a_connection_by_ip6(session: Session) -> None:
    peer, listener = listening(session)
    flow = flow6(session, peer)
    accepted = flow.open(listener, FULL)
    flow.ask("PA", b"hello")
    accepted.read()
    accepted.get(socket.IPPROTO_TCP, socket.TCP_MAXSEG, "TCP_MAXSEG")
    accepted.write(2000)
    session.answers()
    flow.send("FA")
    session.wait(1)
    accepted.read()
    accepted.close()
    session.answers()
    flow.ask("A")


@scenario()
def a_closed_port_by_ip6(session: Session) -> None:
    peer = Peer(session)
    peer.meet6()
    flow = flow6(session, peer)
    flow.ask("S", options=PLAIN)
    flow.ask("A", seq=5, ack=7)


@scenario()
def the_guest_calls_by_ip6(session: Session) -> None:
    peer = Peer(session)
    peer.meet6()
    caller = session.socket(socket.AF_INET6)
    caller.bind(GUEST6, session.port)
    caller.call("connect", f"{peer.address6} 40000")
    flow = flow6(session, peer)
    session.answers()
    flow.answer_call(())
    caller.get(socket.IPPROTO_TCP, socket.TCP_MAXSEG, "TCP_MAXSEG")
    caller.write(1000)
    session.answers()


@scenario()
def a_listener_for_both_versions(session: Session) -> None:
    peer, listener = listening(session, "::", only6=False)
    six = flow6(session, peer, "six")
    six.open(listener)
    four = session.flow("four")
    accepted = four.open(listener)
    four.ask("PA", b"hello")
    accepted.read()


@scenario()
def a_listener_for_ip6_alone(session: Session) -> None:
    peer, _ = listening(session, "::")
    flow6(session, peer, "six").ask("S", options=PLAIN)
    session.flow("four").ask("S", options=PLAIN)


@scenario()
def checksums_that_are_wrong_by_ip6(session: Session) -> None:
    peer, _ = listening(session)
    flow = flow6(session, peer)
    for value in (0x1234, 0, 0xFFFF):
        packet = flow.build("S", options=PLAIN)
        packet[TCP].chksum = value
        flow.put(packet, f"S, checksum {value:#06x}")
        session.answers()


@scenario()
def sources_that_are_no_hosts_by_ip6(session: Session) -> None:
    peer, _ = listening(session)
    flow = flow6(session, peer)
    for source in ("::", "::1", "ff02::1", GUEST6):
        packet = flow.build("S", options=PLAIN)
        packet[IPv6].src = source
        flow.put(packet, f"S from {'the guest' if source == GUEST6 else source}")
        session.answers()
    flow.ask("S", options=PLAIN, note="as it should be")


@scenario()
def a_smaller_path_by_ip6(session: Session) -> None:
    """Packet too big (RFC 8201). Never less than 1280."""
    peer, listener = listening(session)
    flow = flow6(session, peer)
    accepted = flow.open(listener, LARGE)
    accepted.write(2000)
    session.answers()
    first = next(packet for packet in flow.seen if len(bytes(packet[TCP].payload)) > 1000)
    report(flow, ICMPv6PacketTooBig(mtu=1400), "too big, mtu 1400", first)
    accepted.get(socket.IPPROTO_TCP, socket.TCP_MAXSEG, "TCP_MAXSEG")
    report(flow, ICMPv6PacketTooBig(mtu=600), "too big, mtu 600")
    accepted.get(socket.IPPROTO_TCP, socket.TCP_MAXSEG, "TCP_MAXSEG")
    flow.ask("A", ack=2001)


@scenario()
def a_call_to_where_there_is_no_way_by_ip6(session: Session) -> None:
    peer = Peer(session)
    peer.meet6()
    messages: list[tuple[Packet, str]] = [(ICMPv6DestUnreach(code=code), name) for code, name in UNREACHABLE.items()]
    messages += [(ICMPv6TimeExceeded(), "time exceeded"), (ICMPv6ParamProblem(code=1), "parameter problem")]
    for number, (message, name) in enumerate(messages):
        caller = session.socket(socket.AF_INET6)
        caller.call("connect", f"{peer.address6} {41000 + number}")
        (frame,) = session.barrier()
        flow = flow6(session, peer, name, frame.packet[TCP].sport, 41000 + number)
        flow.note(frame.packet)
        report(flow, message, name)
        caller.poll()
        caller.error()


@scenario()
def errors_in_a_connection_by_ip6(session: Session) -> None:
    peer, listener = listening(session)
    flow = flow6(session, peer)
    accepted = flow.open(listener)
    accepted.write(b"hello")
    session.answers()
    for code, name in UNREACHABLE.items():
        report(flow, ICMPv6DestUnreach(code=code), name)
        accepted.error()
    report(flow, ICMPv6TimeExceeded(), "time exceeded")
    accepted.error()
    report(flow, ICMPv6ParamProblem(code=1), "parameter problem")
    accepted.error()
    accepted.state()
    flow.ask("A", ack=6)


@scenario()
def errors_while_half_open_by_ip6(session: Session) -> None:
    peer, listener = listening(session)
    for code, name in UNREACHABLE.items():
        flow = flow6(session, peer, name, peer_port=41000 + code)
        flow.ask("S", options=PLAIN)
        report(flow, ICMPv6DestUnreach(code=code), name)
        flow.ask("A")
        listener.accept()


@scenario()
def cookies_by_ip6(session: Session) -> None:
    session.setting("net/ipv4/tcp_syncookies", "2")
    peer, listener = listening(session)
    for number, (name, options) in enumerate({"plain": LARGE, "full": FULL}.items()):
        flow = flow6(session, peer, name, peer_port=41000 + number)
        accepted = flow.open(listener, options)
        accepted.get(socket.IPPROTO_TCP, socket.TCP_MAXSEG, "TCP_MAXSEG")
