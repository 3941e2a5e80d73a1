"""The normal form of packets: a line of text that is the same on every run and on every correct kernel.

Left out is what is random or a kernel's own choice: link addresses, IP identifications, checksums that are right,
timestamps' values, and windows that are open (a scenario may ask for them). Sequence numbers are counted from the start
of the connection. What a packet says of itself that is not true (a checksum, a length) is shown.
"""

from __future__ import annotations

from dataclasses import dataclass

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import NoPayload, Packet

from tests.packets.text_internet import internet_text, ip6_words, is_internet, port_name

MASK = 0xFFFF_FFFF
FLAG_LETTERS = "FSRPAUEC"
SHOWN_BYTES = 24  # longer payloads are shown by length alone


@dataclass
class Numbers:
    """From what the sequence numbers of a connection are counted; None: not known yet, or no connection."""

    guest: int | None = None
    peer: int | None = None
    shows_window: bool = False
    shows_push: bool = False  # where PSH stands between writes is a kernel's own choice


def relative(number: int, start: int | None) -> str:
    """A sequence number as it is shown."""
    if start is None:
        return f"raw:{number}"
    distance = (number - start) & MASK
    return str(distance if distance < 1 << 31 else distance - (1 << 32))


def data_text(data: bytes) -> str:
    """A payload."""
    if not data:
        return ""
    if len(data) > SHOWN_BYTES:
        return f" data {len(data)}"
    return f" data {len(data)} {data.decode('latin-1')!r}"


def options_text(tcp: Packet, numbers: Numbers) -> str:
    """TCP's options in their order, padding left out."""
    words = []
    for name, value in tcp.options:
        if name in ("NOP", "EOL"):
            continue
        if name == "Timestamp":
            words.append(f"ts ecr {value[1]}")
        elif name == "SAck":
            edges = [relative(edge, numbers.peer) for edge in value]
            words.append("sack " + " ".join(f"{a}:{b}" for a, b in zip(edges[::2], edges[1::2], strict=True)))
        elif name == "SAckOK":
            words.append("sackok")
        elif name in ("MSS", "WScale"):
            words.append(f"{name.lower()} {value}")
        else:
            words.append(f"{name} {value!r}")
    return f" <{', '.join(words)}>" if words else ""


def tcp_text(packet: Packet, numbers: Numbers) -> str:
    """A TCP segment that the guest sent."""
    tcp = packet[TCP]
    flags = str(tcp.flags)
    again = ""
    if "S" in flags and numbers.guest != tcp.seq:
        again = "" if numbers.guest is None else " (a new start)"
        numbers.guest = tcp.seq
    if not numbers.shows_push and payload_of(tcp):
        flags = flags.replace("P", "")
    # A reset that answers a segment without ACK has the number 0 itself.
    start = None if "R" in flags and tcp.seq == 0 else numbers.guest
    words = [flags or "-", f"seq {relative(tcp.seq, start)}{again}"]
    if "A" in flags:
        words.append(f"ack {relative(tcp.ack, numbers.peer)}")
    elif tcp.ack != 0:
        words.append("ack without a flag")
    if "U" in flags:
        words.append(f"urg {tcp.urgptr}")
    elif tcp.urgptr != 0:
        words.append("urg without a flag")
    if numbers.shows_window:
        words.append(f"win {tcp.window}")
    elif tcp.window == 0 and "R" not in flags:
        words.append("win 0")
    return " ".join(words) + data_text(payload_of(tcp)) + options_text(tcp, numbers) + checksum_text(packet, tcp)


def payload_of(layer: Packet) -> bytes:
    """The bytes above a layer, without what pads a short frame."""
    if isinstance(layer.payload, NoPayload):
        return b""
    data = bytes(layer.payload)
    padding = layer.getlayer("Padding")
    return data[: len(data) - len(padding.load)] if padding is not None else data


def checksum_text(packet: Packet, layer: Packet) -> str:
    """Empty if the checksum of a transport's header is what it should be."""
    said = layer.chksum
    again = packet[IP if IP in packet else IPv6].copy()
    padding = again.getlayer("Padding")
    if padding is not None:
        padding.underlayer.remove_payload()
    del again[type(layer)].chksum
    expected = type(again)(bytes(again))[type(layer)].chksum
    return "" if said == expected else f" BAD CHECKSUM {said:#06x}, not {expected:#06x}"


def ip_text(packet: Packet) -> str:
    """What of an IPv4 header differs from the usual: its options, TTL, type of service, fragments, checksum."""
    ip = packet[IP]
    words = []
    if ip.ttl != 64:
        words.append(f"ttl {ip.ttl}")
    if ip.tos != 0:
        words.append(f"tos {ip.tos:#x}")
    if ip.frag or "MF" in ip.flags:
        words.append(f"fragment {ip.frag * 8}{'+' if 'MF' in ip.flags else ''}")
    if "DF" not in ip.flags:
        words.append("df off")
    header = bytearray(bytes(ip)[: ip.ihl * 4])
    total = sum(int.from_bytes(header[at : at + 2], "big") for at in range(0, len(header), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    if total != 0xFFFF:
        words.append("BAD IP CHECKSUM")
    if ip.ihl > 5:
        words.append(f"options {header[20:].hex()}")
    return f" ({', '.join(words)})" if words else ""


def packet_text(packet: Packet, numbers: Numbers) -> str:
    """Any packet from the guest."""
    outer = ip_text(packet) if IP in packet else ip6_words(bytes(packet[IPv6])) if IPv6 in packet else ""
    if is_internet(packet):
        return internet_text(packet) + (outer if IP in packet else "")
    if TCP in packet:
        return tcp_text(packet, numbers) + outer.replace(" (df off)", "")
    if UDP in packet:
        udp = packet[UDP]
        ports = f"{port_name(udp.sport)} > {port_name(udp.dport)}"
        return f"udp {ports}{data_text(payload_of(udp))}{checksum_text(packet, udp)}{outer}"
    raise AssertionError(f"the guest sent {packet.summary()}")
