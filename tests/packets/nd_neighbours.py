"""Neighbour discovery: questions and answers (RFC 4861 section 7), addresses that prove to be taken (RFC 4862)."""

from __future__ import annotations

from ipaddress import IPv6Address

from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from tests.packets.internet import Peer, counted, layer, run
from tests.packets.scenarios import scenario
from tests.packets.session import Session
from tests.packets.wire import GUEST6, GUEST_LINK, PEER_LINK

GROUP = "ff02::1:ff00:1"  # of those whose addresses end like the guest's
GROUP_LINK = "33:33:ff:00:00:01"
OTHER_LINK = "02:00:00:00:00:77"


def _question(
    peer: Peer, *, to: str = GROUP, link: str = GROUP_LINK, option: str = PEER_LINK, **fields: object
) -> Packet:
    """A question for the guest's link address."""
    header: dict[str, object] = {"src": peer.address6, "dst": to, "hlim": 255}
    body: dict[str, object] = {"tgt": GUEST6}
    for name, value in fields.items():
        (header if name in ("src", "hlim") else body)[name] = value
    packet = Ether(src=PEER_LINK, dst=link) / layer(IPv6, header) / layer(ICMPv6ND_NS, body)
    return packet / ICMPv6NDOptSrcLLAddr(lladdr=option) if option else packet


def _answer(peer: Peer, *, link: str = PEER_LINK, option: bool = True, **fields: object) -> Packet:
    header: dict[str, object] = {"src": peer.address6, "dst": GUEST6, "hlim": 255}
    body: dict[str, object] = {"tgt": peer.address6, "R": 0, "S": 1, "O": 1}
    for name, value in fields.items():
        (header if name in ("src", "dst", "hlim") else body)[name] = value
    packet = Ether(src=PEER_LINK, dst=GUEST_LINK) / layer(IPv6, header) / layer(ICMPv6ND_NA, body)
    return packet / ICMPv6NDOptDstLLAddr(lladdr=link) if option else packet


@scenario()
def nd_questions(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        session.listen_to("ff02::1")
        peer.ask_frame(_question(peer), "a question to the group")
        peer.ask_frame(_question(peer, to=GUEST6, link=GUEST_LINK), "a question to the guest alone")
        peer.ask_frame(_question(peer, to=GUEST6, link=GUEST_LINK, option=""), "the same without a link address")
        peer.ask_frame(_question(peer, option=""), "to the group without a link address")
        peer.ask_frame(_question(peer, tgt="fd09::77"), "for somebody else")
        peer.ask_frame(_question(peer, tgt="ff02::1"), "for a group")
        peer.ask_frame(_question(peer, tgt="::1"), "for ::1")
        peer.ask_frame(_question(peer, to="ff02::1", link="33:33:00:00:00:01"), "to all nodes")
        peer.ask_frame(_question(peer, src="::", option=""), "from somebody who would like the address")
        peer.ask_frame(_question(peer, src="::"), "the same, with a link address")
        peer.ask_frame(_question(peer, src="::", option="", to=GUEST6, link=GUEST_LINK), "the same, to the guest alone")
        peer.ask_frame(_question(peer, src=GUEST6), "from the guest's own address")
        peer.ask_frame(_question(peer, src="ff02::9"), "from a group")


@scenario()
def nd_questions_malformed(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        for limit in (0, 1, 64, 254):
            peer.ask_frame(_question(peer, hlim=limit), f"hop limit {limit}")
        peer.ask_frame(_question(peer, code=1), "code 1")
        peer.ask_frame(_question(peer, cksum=0x1234), "a wrong checksum")
        for description, option in (
            ("an option of length 0", b"\x01\x00" + bytes(6)), ("an option that is cut", b"\x01\x01" + bytes(4)),
            ("an option beyond the end", b"\x01\x02" + bytes(6)), ("an unknown option", b"\xfd\x01" + bytes(6)),
        ):
            frame = _question(peer, option="")
            frame = frame / Raw(option)
            peer.ask_frame(Ether(bytes(frame)), description)
        header = IPv6(src=peer.address6, dst=GROUP, hlim=255, nh=58)
        cut = Raw(bytes.fromhex("87001234") + bytes(12))
        peer.ask_frame(Ether(src=PEER_LINK, dst=GROUP_LINK) / header / cut, "cut")
        peer.ask_frame(_question(peer, option="01:00:5e:00:00:01"), "a group's link address")


@scenario()
def nd_answers(session: Session) -> None:
    """Whom the guest believes: the answer to a ping goes to the link address that it holds for the peer."""
    peer = Peer(session)
    peer.meet6()

    def attempt(frame: Packet, description: str) -> None:
        session.send_frame(frame)
        session.say(f"> {description}")
        for packet in peer.ask(peer.echo6(), "echo"):
            session.say(f"  in a frame to {'the peer' if packet.dst == PEER_LINK else packet.dst}")

    attempt(_answer(peer), "an answer that changes nothing")
    attempt(_answer(peer, link=OTHER_LINK, O=0), "another link address, not to override")
    attempt(_answer(peer, link=OTHER_LINK, S=0), "another link address, unasked, to override")
    attempt(_answer(peer, hlim=64), "hop limit 64")
    attempt(_answer(peer, code=3), "code 3")
    attempt(_answer(peer, dst="ff02::1"), "solicited, to all")
    attempt(_answer(peer, dst="ff02::1", S=0, O=1), "unasked, to all")
    attempt(_answer(peer, tgt="ff02::1", link=OTHER_LINK), "for a group")
    attempt(_answer(peer, option=False), "without a link address")
    attempt(_answer(peer, src="fd09::1:ffff", link=OTHER_LINK), "from somebody else")
    attempt(_answer(peer), "back again")


@scenario()
def nd_duplicate_addresses(session: Session) -> None:
    """An address that somebody has already, and one that somebody else is asking for."""
    peer = Peer(session)
    for tail, description in ((0xAA01, "an answer"), (0xAA02, "a question"), (0xAA03, "nothing")):
        address = f"fd09::2:{tail:x}"
        group = str(IPv6Address(int(IPv6Address("ff02::1:ff02:0")) | tail))
        link = f"33:33:ff:02:{tail >> 8:02x}:{tail & 255:02x}"
        session.listen_to(group)
        run(session, f"ip -6 addr add {address}/64 dev eth0")
        session.wait(1)
        session.say(f"> {description}")
        if tail == 0xAA01:
            session.send_frame(_answer(peer, src=address, dst="ff02::1", tgt=address, S=0))
        elif tail == 0xAA02:
            session.send_frame(_question(peer, src="::", option="", to=group, link=link, tgt=address))
        else:
            session.pause(1.3)
        session.answers()
        shown = run(session, f"ip -6 addr show dev eth0 to {address}", is_shown=False)
        known_words = ("tentative", "dadfailed", "global", f"{address}/64")
        words = [word for word in shown.split() if word in known_words]
        session.say(f"  {' '.join(words)}")
        run(session, f"ip -6 addr del {address}/64 dev eth0")


@scenario()
def nd_silent_neighbours(session: Session) -> None:
    """A reply to somebody who does not answer questions."""
    with counted(session) as peer:
        stranger = "fd09::3:1"
        group = "ff02::1:ff03:1"
        session.boot.wire.be_silent(stranger, True)
        session.listen_to(stranger)
        session.listen_to(group)
        session.send(peer.echo6(src=stranger), "echo from a stranger")
        session.wait(3)
        session.send_frame(_answer(peer, src=stranger, tgt=stranger))
        session.say("> an answer at last")
        session.wait(1, 0.3)
        session.boot.wire.be_silent(stranger, False)
