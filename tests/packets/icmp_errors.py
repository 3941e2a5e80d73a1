"""ICMP: errors that come in, and what sockets hear of them (RFC 1122 section 3.2.2, RFC 1191, ip(7))."""

from __future__ import annotations

import socket as constants

from scapy.layers.inet import ICMP, IP, UDP
from scapy.packet import Packet, Raw

from tests.packets.internet import PEER_PORT, Peer, counted, error_queue, layer, letters, receive, run, sendto
from tests.packets.scenarios import scenario
from tests.packets.session import Session, Socket
from tests.packets.wire import GUEST

IP_MTU_DISCOVER, IP_RECVERR, IP_MTU = 10, 11, 14
ROUTER = "10.9.200.254"  # who reports errors


def _quoted(peer: Peer, **fields: object) -> Packet:
    """A datagram of the scenario's socket to the peer, as an error quotes it."""
    header = layer(IP, {"src": GUEST, "dst": peer.address, "len": 36, "id": 1, "proto": 17, **fields})
    return header / UDP(sport=peer.port, dport=PEER_PORT, len=16, chksum=0x1234) / Raw(letters(8))


def _error(peer: Peer, kind: int, code: int, quoted: Packet | None = None, **fields: object) -> Packet:
    message = layer(ICMP, {"type": kind, "code": code, **fields})
    return peer.ip(src=ROUTER) / message / Raw(bytes(quoted if quoted is not None else _quoted(peer)))


def _connected(peer: Peer, *, recverr: bool = False) -> Socket:
    socket = peer.receiver(GUEST)
    socket.connect(PEER_PORT)
    if recverr:
        socket.set(constants.IPPROTO_IP, IP_RECVERR, 1, "IP_RECVERR")
    return socket


@scenario()
def icmp_unreachable_codes(session: Session) -> None:
    """A connected socket without IP_RECVERR hears of hard errors alone."""
    with counted(session) as peer:
        socket = _connected(peer)
        for code in range(17):
            peer.ask(_error(peer, 3, code), f"unreachable, code {code}")
            socket.error()
        for kind, code in ((11, 0), (11, 1), (12, 0), (12, 1), (4, 0), (5, 1), (31, 0)):
            peer.ask(_error(peer, kind, code), f"type {kind} code {code}")
            socket.error()


@scenario()
def icmp_error_queue(session: Session) -> None:
    with counted(session) as peer:
        socket = _connected(peer, recverr=True)
        for kind, code in ((3, 0), (3, 1), (3, 2), (3, 3), (3, 5), (3, 9), (3, 13), (3, 15), (11, 0), (12, 0), (4, 0)):
            peer.ask(_error(peer, kind, code, ptr=21 if kind == 12 else 0), f"type {kind} code {code}")
            socket.poll()
            error_queue(socket)
            socket.poll()
            socket.error()
        session.say("--- two at once")
        peer.ask(_error(peer, 3, 1), "host unreachable")
        peer.ask(_error(peer, 3, 3), "port unreachable")
        receive(socket)
        receive(socket)
        error_queue(socket)
        socket.error()
        error_queue(socket)
        error_queue(socket)
        socket.error()


@scenario()
def icmp_errors_of_unconnected_sockets(session: Session) -> None:
    with counted(session) as peer:
        socket = peer.receiver(GUEST)
        peer.ask(_error(peer, 3, 3), "port unreachable")
        socket.error()
        socket.set(constants.IPPROTO_IP, IP_RECVERR, 1, "IP_RECVERR")
        peer.ask(_error(peer, 3, 3), "port unreachable")
        socket.poll()
        receive(socket)
        error_queue(socket)
        sendto(socket, b"x", peer.address)
        peer.ask(_error(peer, 3, 3), "port unreachable")
        sendto(socket, b"x", peer.address)
        sendto(socket, b"x", peer.address)
        error_queue(socket)


@scenario()
def icmp_errors_about_others(session: Session) -> None:
    """Quotes that name no socket of the guest, or do not hold what they should."""
    with counted(session) as peer:
        socket = _connected(peer, recverr=True)

        def attempt(quoted: Packet, description: str, **fields: object) -> None:
            peer.ask(_error(peer, 3, 3, quoted, **fields), description)
            error_queue(socket)

        whole = bytes(_quoted(peer))
        for count in (0, 8, 19, 20, 24, 27, 28):
            attempt(Raw(whole[:count]), f"{count} bytes are quoted")
        attempt(_quoted(peer, src="10.9.0.77"), "from another source")
        attempt(_quoted(peer, dst="10.9.0.77"), "to another destination")
        attempt(_quoted(peer, proto=6), "of TCP")
        attempt(_quoted(peer, proto=253), "of an unknown protocol")
        attempt(_quoted(peer, version=6), "of version 6")
        attempt(_quoted(peer, ihl=15), "with a header that is longer than the quote")
        attempt(_quoted(peer, ihl=4), "with a header that is too short")
        attempt(_quoted(peer, frag=3), "a later fragment")
        attempt(_quoted(peer, chksum=1), "with a wrong checksum")
        attempt(_quoted(peer, len=20), "with a length of 20")
        attempt(_quoted(peer), "a checksum of ICMP that is wrong", chksum=1)
        peer.ask(peer.ip(dst="10.9.255.255", src=ROUTER) / ICMP(type=3, code=3) / _quoted(peer), "to a broadcast")
        error_queue(socket)


@scenario()
def icmp_path_mtu(session: Session) -> None:
    """Reports that datagrams are too big (RFC 1191), and what is sent afterwards."""
    with counted(session) as peer:
        socket = _connected(peer)
        quoted = _quoted(peer, len=1500, flags="DF")
        socket.get(constants.IPPROTO_IP, IP_MTU, "IP_MTU")
        for mtu in (2000, 1500, 1400, 1450, 1000):
            peer.ask(_error(peer, 3, 4, quoted, nexthopmtu=mtu), f"fragmentation needed, mtu {mtu}")
            socket.error()
            socket.get(constants.IPPROTO_IP, IP_MTU, "IP_MTU")
            socket.write(1200)
            session.answers()


@scenario()
def icmp_path_mtu_extremes(session: Session) -> None:
    with counted(session) as peer:
        socket = _connected(peer)
        for mtu, length in ((0, 1500), (68, 1500), (1, 1500), (552, 600), (551, 560)):
            peer.ask(
                _error(peer, 3, 4, _quoted(peer, len=length, flags="DF"), nexthopmtu=mtu),
                f"fragmentation needed, mtu {mtu}, of {length} bytes",
            )
            socket.error()
            socket.get(constants.IPPROTO_IP, IP_MTU, "IP_MTU")
        socket.write(700)
        session.answers()


@scenario()
def icmp_mtu_discover_modes(session: Session) -> None:
    """IP_MTU_DISCOVER: don't, want, do, probe, interface, omit."""
    with counted(session) as peer:
        socket = _connected(peer, recverr=True)
        peer.ask(_error(peer, 3, 4, _quoted(peer, len=1500, flags="DF"), nexthopmtu=1000), "mtu 1000")
        error_queue(socket)
        for mode, description in enumerate(("dont", "want", "do", "probe", "interface", "omit")):
            socket.set(constants.IPPROTO_IP, IP_MTU_DISCOVER, mode, f"IP_MTU_DISCOVER {description}")
            for size in (500, 1200, 1600):
                socket.write(size)
                session.answers()
                error_queue(socket)
            peer.ask(_error(peer, 3, 4, _quoted(peer, len=1000, flags="DF"), nexthopmtu=900), "mtu 900")
            error_queue(socket)
            socket.error()


@scenario()
def icmp_raw_sockets(session: Session) -> None:
    """A raw socket of ICMP gets messages, and errors about its own."""
    with counted(session) as peer:
        socket = session.socket(constants.AF_INET, constants.SOCK_RAW, 1)
        socket.bind(GUEST, 0)
        socket.connect(0)
        quoted = IP(src=GUEST, dst=peer.address, proto=1, len=29) / ICMP(id=3, seq=4) / Raw(b"x")
        peer.ask(_error(peer, 3, 1, quoted), "host unreachable")
        socket.error()
        peer.ask(_error(peer, 3, 2, quoted), "protocol unreachable")
        socket.error()
        socket.set(constants.IPPROTO_IP, IP_RECVERR, 1, "IP_RECVERR")
        peer.ask(_error(peer, 3, 1, quoted), "host unreachable")
        error_queue(socket)
        peer.ask(_error(peer, 11, 0, quoted), "time exceeded")
        error_queue(socket)


@scenario()
def icmp_silent_neighbours(session: Session) -> None:
    """Nobody answers ARP: the guest tells itself that the host is unreachable."""
    with counted(session):
        nobody = "10.9.198.1"
        session.boot.wire.be_silent(nobody, True)
        session.listen_to(nobody)
        socket = session.socket(constants.AF_INET, constants.SOCK_DGRAM)
        socket.set(constants.IPPROTO_IP, IP_RECVERR, 1, "IP_RECVERR")
        sendto(socket, b"x", nobody)
        session.wait(3)
        session.pause(1.3)
        error_queue(socket)
        socket.error()


@scenario()
def icmp_redirects(session: Session) -> None:
    """A better gateway is announced (RFC 1122 section 3.2.2.2): whose word counts, and what is sent afterwards."""
    with counted(session) as peer:
        better, far = "10.9.200.253", "198.51.100.7"
        run(session, f"route add -net 198.51.100.0 netmask 255.255.255.0 gw {ROUTER}", is_shown=False)
        socket = session.socket(constants.AF_INET, constants.SOCK_DGRAM)
        socket.bind(GUEST, session.port)
        socket.connect(PEER_PORT, far)
        session.listen_to(far)
        session.listen_to(better)
        session.listen_to(ROUTER)
        quoted = IP(src=GUEST, dst=far, len=36, proto=17) / UDP(sport=peer.port, dport=PEER_PORT, len=16)

        def attempt(description: str, packet: Packet) -> None:
            peer.ask(packet, description)
            socket.write(b"x")
            session.answers()
            session.answers()  # ARP needs a turn
            socket.error()

        def redirect(source: str = ROUTER, gateway: str = better, code: int = 1) -> Packet:
            return peer.ip(src=source) / ICMP(type=5, code=code, gw=gateway) / quoted

        attempt("nothing", peer.echo())
        attempt("from somebody else", redirect(source=peer.address))
        attempt("to a gateway beyond", redirect(gateway="192.0.2.1"))
        attempt("to the guest itself", redirect(gateway=GUEST))
        attempt("to a broadcast address", redirect(gateway="10.9.255.255"))
        attempt("code 4", redirect(code=4))
        session.setting("net/ipv4/conf/all/accept_redirects", "0")
        session.setting("net/ipv4/conf/eth0/accept_redirects", "0")
        attempt("while none is accepted", redirect())
        session.setting("net/ipv4/conf/all/accept_redirects", "1")
        session.setting("net/ipv4/conf/eth0/accept_redirects", "1")
        attempt("as it should be", redirect())
        attempt("the same, now that the gateway is known", redirect())
        attempt("nothing more", peer.echo())
        run(session, f"route del -net 198.51.100.0 netmask 255.255.255.0 gw {ROUTER}", is_shown=False)
