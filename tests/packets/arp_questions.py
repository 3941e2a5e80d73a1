"""ARP: who gets an answer, and from whom the guest learns (RFC 826, RFC 5227)."""

from __future__ import annotations

from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from tests.packets.internet import BROADCAST_LINK, OTHER_HOST, Peer, layer
from tests.packets.scenarios import scenario
from tests.packets.session import Session
from tests.packets.wire import GUEST, GUEST_LINK, PEER_LINK

OTHER_LINK = "02:00:00:00:00:77"


def _frame(peer: Peer, to: str = BROADCAST_LINK, **fields: object) -> Packet:
    """An ARP packet of the peer: a question for the guest unless the fields say otherwise."""
    chosen: dict[str, object] = {
        "op": 1, "hwsrc": PEER_LINK, "psrc": peer.address, "hwdst": "00:00:00:00:00:00", "pdst": GUEST, **fields
    }
    return Ether(src=PEER_LINK, dst=to) / layer(ARP, chosen)


@scenario()
def arp_questions(session: Session) -> None:
    peer = Peer(session)
    session.listen_to("0.0.0.0")
    session.listen_to("192.0.2.9")
    peer.ask_frame(_frame(peer), "a question to all")
    peer.ask_frame(_frame(peer, GUEST_LINK, hwdst=GUEST_LINK), "a question to the guest alone")
    peer.ask_frame(_frame(peer, pdst=OTHER_HOST), "for somebody else")
    peer.ask_frame(_frame(peer, pdst="127.0.0.1"), "for 127.0.0.1")
    peer.ask_frame(_frame(peer, pdst="224.0.0.1"), "for a group")
    peer.ask_frame(_frame(peer, pdst="10.9.255.255"), "for the broadcast address")
    peer.ask_frame(_frame(peer, pdst="0.0.0.0"), "for 0.0.0.0")
    peer.ask_frame(_frame(peer, psrc="0.0.0.0"), "a probe")
    peer.ask_frame(_frame(peer, psrc="192.0.2.9"), "from another network")
    peer.ask_frame(_frame(peer, psrc="127.0.0.1"), "from 127.0.0.1")
    peer.ask_frame(_frame(peer, psrc="224.0.0.9"), "from a group")
    peer.ask_frame(_frame(peer, psrc="255.255.255.255"), "from a broadcast address")
    peer.ask_frame(_frame(peer, psrc=GUEST), "from the guest's own address: a conflict")
    peer.ask_frame(_frame(peer, OTHER_LINK), "in a frame for somebody else")


@scenario()
def arp_malformed(session: Session) -> None:
    peer = Peer(session)
    peer.ask_frame(_frame(peer, hwtype=6), "hardware IEEE 802")
    peer.ask_frame(_frame(peer, hwtype=7), "hardware ARCnet")
    peer.ask_frame(_frame(peer, ptype=0x86DD), "protocol IPv6")
    for operation in (0, 3, 4, 8, 9, 10, 256):
        peer.ask_frame(_frame(peer, op=operation), f"operation {operation}")
    whole = bytes(_frame(peer))
    for length in (14, 22, 30, 41):
        peer.ask_frame(Raw(whole[:length]), f"cut to {length - 14} bytes")
    for at, value, what in ((18, 8, "link addresses of 8 bytes"), (19, 16, "addresses of 16 bytes"), (18, 0, "of 0")):
        peer.ask_frame(Raw(whole[:at] + bytes([value]) + whole[at + 1 :]), what)
    peer.ask_frame(Raw(whole + bytes(200)), "with 200 bytes after it")


@scenario()
def arp_link_addresses(session: Session) -> None:
    """Whom the guest believes: the answer to a ping goes to the link address that it holds for the peer."""
    peer = Peer(session)

    def speak(description: str) -> None:
        session.say(f"> {description}")
        for packet in peer.ask(peer.echo(), "echo"):
            session.say(f"  in a frame to {'the peer' if packet.dst == PEER_LINK else packet.dst}")

    speak("as it is")
    session.send_frame(_frame(peer, GUEST_LINK, op=2, hwsrc=OTHER_LINK, hwdst=GUEST_LINK))
    speak("an answer that nobody asked for, from another link address")
    session.send_frame(_frame(peer, op=1, hwsrc=OTHER_LINK, pdst=peer.address))
    speak("a gratuitous question")
    session.send_frame(_frame(peer, op=2, hwsrc=PEER_LINK, pdst=peer.address, hwdst=BROADCAST_LINK))
    speak("a gratuitous answer")
    session.send_frame(_frame(peer, op=1, hwsrc=OTHER_LINK, pdst=OTHER_HOST))
    speak("a question for somebody else")


@scenario(unlike_linux="no host has a group's link address, and nobody is to believe one that says so: RFC 1812, 3.3.2")
def arp_from_a_group(session: Session) -> None:
    peer = Peer(session)
    peer.ask_frame(_frame(peer, hwsrc="01:00:5e:00:00:01"), "a question from a group's link address")
    for packet in peer.ask(peer.echo(), "echo"):
        session.say(f"  in a frame to {'the peer' if packet.dst == PEER_LINK else packet.dst}")


@scenario()
def arp_unknown_neighbours(session: Session) -> None:
    """An address that speaks without having been asked for, and gratuitous ARP of one that is unknown."""
    peer = Peer(session)
    stranger = "10.9.199.1"
    session.listen_to(stranger)
    session.boot.wire.be_silent(stranger, True)
    session.send_frame(_frame(peer, psrc=stranger, pdst=stranger))
    peer.ask(peer.echo(src=stranger), "echo from a stranger that has announced itself")
    session.wait(1)
    session.send_frame(_frame(peer, GUEST_LINK, op=2, psrc=stranger, hwdst=GUEST_LINK))
    session.answers()
    session.boot.wire.be_silent(stranger, False)
