"""The peer's side of a TCP connection: segments as the scenario wants them, right or wrong.

All numbers are counted from the start of the connection, so 0 is the SYN and 1 the first byte, on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Raw

from tests.packets.text import MASK, Numbers, data_text, payload_of
from tests.packets.wire import GUEST, GUEST6

if TYPE_CHECKING:
    from tests.packets.session import Session, Socket

Option = tuple[str, object]
UNKNOWN_START = 0x0BAD_0000  # what a peer that has not seen the guest's SYN takes for its number
PLAIN: tuple[Option, ...] = (("MSS", 1460),)
FULL: tuple[Option, ...] = (("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1000, 0)), ("NOP", None), ("WScale", 7))
SACK: tuple[Option, ...] = (("MSS", 1460), ("NOP", None), ("NOP", None), ("SAckOK", b""))
STAMPS: tuple[Option, ...] = (("MSS", 1460), ("Timestamp", (1000, 0)))


class Flow:
    """One connection. `seq` is the next byte that the peer sends, `ack` the next one that it expects."""

    def __init__(self, session: Session, name: str, port: int, peer_port: int, start: int) -> None:
        self.session = session
        self.label = f"[{name}] " if name else ""
        self.port = port
        self.peer_port = peer_port
        self.numbers = Numbers(peer=start)
        self.seq = 0
        self.ack = 0
        self.window = 65535
        self.source6 = ""  # the peer's address, if the connection is one of IPv6
        self.stamp: int | None = None  # the peer's timestamp, once both sides use them
        self.stamp_echo = 0  # the last one from the guest
        self.seen: list[Packet] = []  # everything from the guest

    def owns(self, packet: Packet) -> bool:
        """Whether a packet from the guest belongs to it."""
        if self.source6:
            is_tcp = IPv6 in packet and packet[IPv6].nh == 6
        else:
            is_tcp = IP in packet and packet[IP].proto == 6
        return is_tcp and TCP in packet and (packet[TCP].sport, packet[TCP].dport) == (self.port, self.peer_port)

    def note(self, packet: Packet) -> None:
        """A segment came from the guest: remember its numbers."""
        tcp = packet[TCP]
        self.seen.append(packet)
        for name, value in tcp.options:
            if name == "Timestamp":
                self.stamp_echo = value[0]
        if self.numbers.guest is None:
            return
        begin = (tcp.seq - self.numbers.guest) & MASK
        flags = str(tcp.flags)
        end = begin + len(payload_of(tcp)) + ("S" in flags) + ("F" in flags)
        if begin <= self.ack < end:
            self.ack = end

    # ---- Segments -----------------------------------------------------------------------------------------------

    def build(
        self, flags: str, data: bytes = b"", *, seq: int | None = None, ack: int | None = None,
        window: int | None = None, options: Iterable[Option] = (), urgent: int = 0,
    ) -> Packet:
        """An IP packet with a segment. What is not given follows from what passed before. `seq` does not move."""
        start = self.numbers.guest if self.numbers.guest is not None else UNKNOWN_START
        chosen = list(options)
        if self.stamp is not None and not any(name == "Timestamp" for name, _ in chosen):
            chosen = [("NOP", None), ("NOP", None), ("Timestamp", (self.stamp, self.stamp_echo)), *chosen]
        tcp = TCP(
            sport=self.peer_port, dport=self.port, flags=flags, options=chosen, urgptr=urgent,
            seq=((self.numbers.peer or 0) + (self.seq if seq is None else seq)) & MASK,
            ack=(start + (self.ack if ack is None else ack)) & MASK if "A" in flags or ack is not None else 0,
            window=self.window if window is None else window,
        )
        network = (
            IPv6(src=self.source6, dst=GUEST6) if self.source6 else IP(src=self.session.address, dst=GUEST, flags="DF")
        )
        packet = network / tcp
        return packet / Raw(data) if data else packet

    def send(
        self, flags: str, data: bytes = b"", *, seq: int | None = None, ack: int | None = None,
        window: int | None = None, options: Iterable[Option] = (), urgent: int = 0, note: str = "",
    ) -> None:
        """Send a segment. Without `seq` it is the next one. `note` goes into the transcript."""
        chosen = list(options)
        packet = self.build(flags, data, seq=seq, ack=ack, window=window, options=chosen, urgent=urgent)
        self.put(packet, self.describe(packet[TCP], data) + (f" ({note})" if note else ""))
        if seq is None:
            self.seq += len(data) + ("S" in flags) + ("F" in flags)

    def put(self, packet: Packet, description: str) -> None:
        """Send a packet that the scenario has built."""
        self.session.send(packet, self.label + description)

    def ask(
        self, flags: str, data: bytes = b"", *, seq: int | None = None, ack: int | None = None,
        window: int | None = None, options: Iterable[Option] = (), urgent: int = 0, note: str = "",
    ) -> list[Packet]:
        """Send a segment, and tell what the guest answers at once."""
        self.send(flags, data, seq=seq, ack=ack, window=window, options=options, urgent=urgent, note=note)
        return self.session.answers()

    def describe(self, tcp: Packet, data: bytes) -> str:
        """A segment of the peer, for the transcript."""
        flags = str(tcp.flags)
        start = self.numbers.guest if self.numbers.guest is not None else UNKNOWN_START
        words = [flags or "-", f"seq {_signed(tcp.seq - (self.numbers.peer or 0))}"]
        if "A" in flags:
            words.append(f"ack {_signed(tcp.ack - start)}")
        if tcp.window != 65535:
            words.append(f"win {tcp.window}")
        if "U" in flags:
            words.append(f"urg {tcp.urgptr}")
        options = []
        for name, value in tcp.options:
            if name == "Timestamp":
                options.append(f"ts {value[0]}")
            elif name == "SAck":
                edges = [_signed(edge - start) for edge in value]
                options.append("sack " + " ".join(f"{a}:{b}" for a, b in zip(edges[::2], edges[1::2], strict=True)))
            elif name == "SAckOK":
                options.append("sackok")
            elif name not in ("NOP", "EOL"):
                options.append(f"{str(name).lower()} {value!r}")
        return " ".join(words) + data_text(data) + (f" <{', '.join(options)}>" if options else "")

    def sack(self, *edges: int) -> Option:
        """A SACK option: left and right edges of what the peer holds, as numbers of the guest's bytes."""
        start = self.numbers.guest or 0
        return "SAck", tuple((start + edge) & MASK for edge in edges)

    # ---- Handshakes -----------------------------------------------------------------------------------------------

    def open(self, listener: Socket, options: Iterable[Option] = PLAIN) -> Socket:
        """Call the guest and be accepted."""
        self.shake(options)
        return listener.accept()

    def shake(self, options: Iterable[Option] = PLAIN) -> None:
        """Call the guest, up to the last step of the handshake."""
        chosen = list(options)
        self.ask("S", options=chosen)
        self._agree(chosen)
        self.ask("A")

    def answer_call(self, options: Iterable[Option] = PLAIN) -> None:
        """The guest has sent a SYN, and it was recorded: take it."""
        chosen = list(options)
        self.ask("SA", options=chosen)
        self._agree(chosen)

    def _agree(self, options: list[Option]) -> None:
        ours = [value for name, value in options if name == "Timestamp"]
        theirs = any(name == "Timestamp" for packet in self.seen for name, _ in packet[TCP].options)
        if ours and theirs:
            self.stamp = 1001


def _signed(number: int) -> int:
    number &= MASK
    return number if number < 1 << 31 else number - (1 << 32)
