"""The peer's side below TCP: packets of IPv4, IPv6 and what lies beside them, and what the guest counts of them."""

from __future__ import annotations

import socket as constants
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv6Address

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from tests.packets.session import ANSWER_SECONDS, Session, Socket, errno_name
from tests.packets.text import data_text
from tests.packets.text_internet import address_name
from tests.packets.wire import GUEST, GUEST6, GUEST_LINK, PEER_LINK

FIRST_PEER6 = int(IPv6Address("fd09::1:0"))
PEER_PORT = 40000
BROADCAST_LINK = "ff:ff:ff:ff:ff:ff"
OTHER_HOST = "10.9.200.1"  # nobody has it

# What is recorded of the counters of /proc/net/snmp, netstat and snmp6: how packets got lost or were put together.
TOLD = (
    "Ip.InHdrErrors", "Ip.InAddrErrors", "Ip.InUnknownProtos", "Ip.InDiscards", "Ip.ReasmTimeout", "Ip.ReasmReqds",
    "Ip.ReasmOKs", "Ip.ReasmFails", "IpExt.InNoRoutes", "IpExt.InTruncatedPkts", "IpExt.InMcastPkts",
    "IpExt.InBcastPkts", "IpExt.InCsumErrors", "Icmp.InErrors", "Icmp.InCsumErrors", "Icmp.OutErrors",
    "Icmp.OutRateLimitHost", "Icmp.OutDestUnreachs", "Icmp.OutTimeExcds", "Icmp.OutParmProbs", "Udp.InDatagrams",
    "Udp.NoPorts", "Udp.InErrors", "Udp.InCsumErrors", "Udp.IgnoredMulti", "Ip6InHdrErrors", "Ip6InTooBigErrors",
    "Ip6InNoRoutes", "Ip6InAddrErrors", "Ip6InUnknownProtos", "Ip6InTruncatedPkts", "Ip6InDiscards", "Ip6ReasmTimeout",
    "Ip6ReasmReqds", "Ip6ReasmOKs", "Ip6ReasmFails", "Icmp6InErrors", "Icmp6InCsumErrors", "Icmp6OutErrors",
    "Udp6InDatagrams", "Udp6NoPorts", "Udp6InErrors", "Udp6InCsumErrors",
)


def layer(kind: Callable[..., Packet], fields: Mapping[str, object]) -> Packet:
    """A header of scapy with these fields."""
    return kind(**fields)


class Peer:
    """The peer of the guest. `description` is what the transcript says of a packet."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.address = session.address
        self.port = session.port
        self.address6 = str(IPv6Address(FIRST_PEER6 + session.port))

    # ---- IPv4 ---------------------------------------------------------------------------------------------------

    def ip(self, **fields: object) -> Packet:
        """An IPv4 header to the guest; `fields` as scapy calls them."""
        return layer(IP, {"src": self.address, "dst": GUEST, **fields})

    def echo(self, data: bytes = b"x", **fields: object) -> Packet:
        """An echo request."""
        return self.ip(**fields) / ICMP(id=7, seq=1) / Raw(data)

    def udp(self, data: bytes = b"x", port: int = 0, **fields: object) -> Packet:
        """A datagram to the scenario's port."""
        return self.ip(**fields) / UDP(sport=PEER_PORT, dport=port or self.port) / Raw(data)

    def ask(self, packet: Packet, description: str) -> list[Packet]:
        """Send an IP packet, and tell what the guest answers at once."""
        self.session.send(packet, description)
        return self.session.answers()

    def ask_frame(self, frame: Packet, description: str) -> list[Packet]:
        """The same with an Ethernet frame."""
        self.session.say(f"> {description}")
        self.session.send_frame(frame)
        return self.session.answers()

    def ask_bytes(self, data: bytes, description: str, kind: int = 0x0800) -> list[Packet]:
        """The same with the bytes after the Ethernet header."""
        return self.ask_frame(Ether(src=PEER_LINK, dst=GUEST_LINK, type=kind) / Raw(data), description)

    # ---- IPv6 ---------------------------------------------------------------------------------------------------

    def meet6(self) -> None:
        """Let both know one another by IPv6. Nothing is recorded."""
        self.session.listen_to(self.address6)
        self.session.send(self.ip6() / ICMPv6EchoRequest(id=1, seq=0), "")
        while True:
            frame = self.session.take(ANSWER_SECONDS)
            if frame is None:
                self.session.boot.guest.fail(f"{self.address6}: the guest does not answer pings")
            if IPv6 in frame.packet and frame.packet[IPv6].nh == 58 and bytes(frame.packet[IPv6])[40] == 129:
                return

    def ip6(self, **fields: object) -> Packet:
        """An IPv6 header to the guest."""
        return layer(IPv6, {"src": self.address6, "dst": GUEST6, **fields})

    def echo6(self, data: bytes = b"x", **fields: object) -> Packet:
        return self.ip6(**fields) / ICMPv6EchoRequest(id=7, seq=1, data=data)

    def udp6(self, data: bytes = b"x", port: int = 0, **fields: object) -> Packet:
        return self.ip6(**fields) / UDP(sport=PEER_PORT, dport=port or self.port) / Raw(data)

    # ---- The guest ------------------------------------------------------------------------------------------------

    def receiver(self, address: str = "", family: int = constants.AF_INET) -> Socket:
        """A UDP socket of the guest at the scenario's port."""
        socket = self.session.socket(family, constants.SOCK_DGRAM)
        default = "0.0.0.0" if family == constants.AF_INET else "::"
        socket.bind(address or default, self.port)
        return socket


def sendto(socket: Socket, data: bytes | int, address: str, port: int = PEER_PORT, flags: int = 0) -> int:
    """sendto(2) of a socket of the guest: bytes, or that many letters."""
    word = f"@{data}" if isinstance(data, int) else data.hex() or "-"
    description = f"{data if isinstance(data, int) else len(data)} bytes to {address_name(address)}"
    return socket.call("sendto", f"{word} {flags} {address} {port}", description)[0]


def receive(socket: Socket, flags: int = 0) -> None:
    """recvfrom(2): what came, and from whom."""
    result, code, given = socket.session.ask(f"recvfrom {socket.slot} 65536 {flags}")
    if code != 0:
        socket.session.say(f"$ receive {socket.number}: {errno_name(code)}")
        return
    words = given.split(" ")
    data = words[2] if len(words) > 2 else ""
    shown = f" {result} bytes {data}" if data.startswith("#") else data_text(bytes.fromhex(data)) or " nothing"
    socket.session.say(f"$ receive {socket.number}:{shown} from {address_name(words[0])} port {words[1]}")


def error_queue(socket: Socket) -> None:
    """One entry of the error queue."""
    result, code, given = socket.session.ask(f"errqueue {socket.slot}")
    if code != 0:
        socket.session.say(f"$ errqueue {socket.number}: {errno_name(code)}")
        return
    words = given.split(" ")
    for at, word in enumerate(words):
        if word.startswith("errno="):
            words[at] = f"errno={errno_name(int(word[6:]))}"
        elif at == 5 and word not in ("-", ""):
            words[at] = f"from {address_name(word)}"
    socket.session.say(f"$ errqueue {socket.number}: {' '.join(words[:6])} payload {result}")


def run(session: Session, command: str, *, is_shown: bool = True) -> str:
    """A command of the guest's shell: its output, which the transcript shows unless `is_shown` is false."""
    status, _, given = session.ask("run " + command.replace(" ", "+"))
    text = bytes.fromhex(given).decode()
    if is_shown:
        session.say(f"$ {command}: {status}")
        for line in text.splitlines():
            session.say(f"  {line.rstrip()}")
    return text


def _counters(session: Session) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in ("snmp", "netstat", "snmp6"):
        _, _, given = session.ask(f"getfile /proc/net/{name}")
        lines = bytes.fromhex(given).decode().splitlines()
        if name == "snmp6":
            found |= {words[0]: int(words[1]) for words in map(str.split, lines) if len(words) == 2}
            continue
        for names, values in zip(lines[::2], lines[1::2], strict=True):
            label, *rest = names.split()
            found |= {
                f"{label[:-1]}.{key}": int(value) for key, value in zip(rest, values.split()[1:], strict=True)
            }
    return found


@contextmanager
def counted(session: Session) -> Iterator[Peer]:
    """A peer; at the end the counters that have changed are recorded."""
    before = _counters(session)
    yield Peer(session)
    after = _counters(session)
    changed = [
        f"{name} {after.get(name, 0) - before.get(name, 0)}"
        for name in TOLD
        if after.get(name, 0) != before.get(name, 0)
    ]
    session.say(f"counted: {', '.join(changed) or 'nothing'}")


def letters(count: int) -> bytes:
    """That many letters of the alphabet in turn."""
    return bytes(97 + at % 26 for at in range(count))
