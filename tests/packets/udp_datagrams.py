"""UDP: datagrams, right and wrong (RFC 768, RFC 1122 section 4.1)."""

from __future__ import annotations

import socket as constants
import time

from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from tests.packets.internet import BROADCAST_LINK, PEER_PORT, Peer, counted, letters, receive, sendto
from tests.packets.scenarios import scenario
from tests.packets.session import Session
from tests.packets.wire import GUEST, PEER_LINK


@scenario()
def udp_checksums(session: Session) -> None:
    with counted(session) as peer:
        socket = peer.receiver()
        for description, checksum in (("none", 0), ("wrong", 0x1234), ("0xffff", 0xFFFF)):
            header = UDP(sport=PEER_PORT, dport=peer.port, chksum=checksum)
            peer.ask(peer.ip() / header / Raw(b"hello"), f"checksum {description}")
            receive(socket)
        peer.ask(peer.udp(b"odd"), "an odd number of bytes")
        receive(socket)


@scenario()
def udp_lengths(session: Session) -> None:
    with counted(session) as peer:
        socket = peer.receiver()
        for length in (0, 7, 8, 9, 18, 19, 28, 65535):
            datagram = peer.ip() / UDP(sport=PEER_PORT, dport=peer.port, len=length, chksum=0) / Raw(letters(10))
            peer.ask(datagram, f"18 bytes that say they are {length}")
            receive(socket)
        for count in (0, 4, 7):
            peer.ask(peer.ip(proto=17) / Raw(bytes(count)), f"a header of {count} bytes")
        peer.ask(peer.udp(b""), "without data")
        receive(socket)


@scenario()
def udp_ports(session: Session) -> None:
    with counted(session) as peer:
        socket = peer.receiver()
        peer.ask(peer.ip() / UDP(sport=0, dport=peer.port) / Raw(b"x"), "from port 0")
        receive(socket)
        peer.ask(peer.ip() / UDP(sport=PEER_PORT, dport=0) / Raw(b"x"), "to port 0")
        sendto(socket, b"x", peer.address, 0)
        sendto(socket, b"x", peer.address)
        session.answers()
        socket.connect(PEER_PORT)
        peer.ask(peer.udp(b"from the right one"), "from the peer")
        receive(socket)
        peer.ask(peer.ip() / UDP(sport=PEER_PORT + 1, dport=peer.port) / Raw(b"x"), "from another port")
        receive(socket)
        peer.ask(peer.udp(src="10.9.197.1"), "from another host")
        receive(socket)


@scenario()
def udp_to_many(session: Session) -> None:
    """Broadcasts and groups reach each socket that wants them."""
    with counted(session) as peer:
        sockets = [peer.receiver(), peer.receiver(), peer.receiver("10.9.255.255"), peer.receiver(GUEST)]
        sockets[1].set(constants.IPPROTO_IP, 35, bytes([239, 1, 1, 1, 10, 9, 0, 1]), "IP_ADD_MEMBERSHIP 239.1.1.1")
        for target in ("10.9.255.255", "255.255.255.255", "239.1.1.1", "239.1.1.2", "224.0.0.1"):
            link = BROADCAST_LINK if target.endswith("255") else f"01:00:5e:{int(target.split('.')[1]) & 127:02x}:01:01"
            link = "01:00:5e:00:00:01" if target == "224.0.0.1" else link
            peer.ask_frame(Ether(src=PEER_LINK, dst=link) / peer.udp(dst=target), f"to {target}")
            for socket in sockets:
                receive(socket)
        closed = peer.udp(dst="10.9.255.255", port=9)
        peer.ask_frame(Ether(src=PEER_LINK, dst=BROADCAST_LINK) / closed, "to a closed port")


@scenario()
def udp_large_datagrams(session: Session) -> None:
    """What the guest sends in fragments."""
    with counted(session) as peer:
        socket = peer.receiver()
        for size in (1472, 1473, 3000, 65507, 65508):
            sendto(socket, size, peer.address)
            time.sleep(0.2 if size > 3000 else 0)  # many frames may lie in queues on their way
            frames = session.barrier()
            ends = [frame.packet.frag * 8 + frame.packet.len - 20 for frame in frames]
            session.say(f"  {len(frames)} frames, up to {max(ends, default=0)}")
            if len(frames) <= 3:
                for frame in frames:
                    session.tell(frame.packet)


@scenario()
def udp_receive_buffer(session: Session) -> None:
    """What does not fit into the socket's buffer is dropped without a report. How much fits is up to the kernel."""
    peer = Peer(session)
    socket = peer.receiver()
    socket.set(constants.SOL_SOCKET, constants.SO_RCVBUF, 1, "SO_RCVBUF")
    for number in range(100):
        session.send(peer.udp(letters(1000 + number)), "")
    session.answers()
    receive(socket)
    session.ask(f"read {socket.slot} 65536 0")
    session.ask(f"read {socket.slot} 65536 0")
    receive(socket)
    peer.ask(peer.udp(b"room again"), "one more")
    receive(socket)
