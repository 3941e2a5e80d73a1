"""The normal form of what lies below TCP and UDP: ARP, ICMP, IGMP, ICMPv6, fragments, headers that IPv6 puts between.

Read from the bytes themselves: what is wrong in them must show. Addresses of the two hosts are shown by name, because
each scenario has a peer of its own.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP
from scapy.packet import Packet

from tests.packets.wire import GUEST, GUEST6, GUEST_LINK, PEER_LINK

PEERS = ip_network("10.9.0.0/17")
PEERS6 = ip_network("fd09::1:0/112")
LINK_LOCAL6 = ip_network("fe80::/10")
GUEST_LOCAL6 = "fe80::5054:ff:fe12:3456"
TCP_NUMBER, UDP_NUMBER, ICMP_NUMBER, IGMP_NUMBER, ICMP6_NUMBER = 6, 17, 1, 2, 58
SHOWN_BYTES = 24

ICMP_NAMES = {
    0: "echo reply", 3: "unreachable", 5: "redirect", 8: "echo", 11: "time exceeded", 12: "parameter problem",
    13: "timestamp", 14: "timestamp reply", 17: "mask request", 18: "mask reply",
}
ICMP6_NAMES = {
    1: "unreachable", 2: "too big", 3: "time exceeded", 4: "parameter problem", 128: "echo", 129: "echo reply",
    130: "mld query", 131: "mld report", 132: "mld done", 133: "router solicitation", 134: "router advertisement",
    135: "neighbour solicitation", 136: "neighbour advertisement", 137: "redirect", 143: "mld2 report",
}
RECORD_KINDS = {1: "is_include", 2: "is_exclude", 3: "to_include", 4: "to_exclude", 5: "allow", 6: "block"}
EXTENSIONS = {0: "hop-by-hop", 43: "routing", 60: "destination"}
FRAGMENT = 44


def address_name(text: str) -> str:
    """An IP address as it is shown."""
    address = ip_address(text)
    if text == GUEST or str(address) == GUEST6:
        return "guest"
    if str(address) == GUEST_LOCAL6:
        return "guest-local"
    if isinstance(address, IPv4Address):
        return "peer" if address in PEERS else text
    return "peer" if address in PEERS6 else str(address)


def link_name(address: bytes) -> str:
    """A link address as it is shown."""
    text = address.hex(":")
    return {GUEST_LINK: "guest", PEER_LINK: "peer", "ff:ff:ff:ff:ff:ff": "all"}.get(text, text)


def is_internet(packet: Packet) -> bool:
    """Whether a packet is shown by `internet_text`: all but whole datagrams of TCP and UDP."""
    if ARP in packet:
        return True
    if IP in packet:
        ip = packet[IP]
        return ip.proto not in (TCP_NUMBER, UDP_NUMBER) or ip.frag != 0 or "MF" in ip.flags
    return IPv6 in packet and packet[IPv6].nh not in (TCP_NUMBER, UDP_NUMBER)


def internet_text(packet: Packet) -> str:
    """A packet from the guest, without what its IPv4 header says."""
    if ARP in packet:
        return f"{_arp_text(bytes(packet[ARP]))} in a frame to {link_name(bytes.fromhex(packet.dst.replace(':', '')))}"
    if IP in packet:
        ip = packet[IP]
        data = bytes(ip)[: ip.len]
        return _ip4_body(data, data[9], data[ip.ihl * 4 :])
    return ip6_text(bytes(packet[IPv6])[: 40 + packet[IPv6].plen])


def _arp_text(data: bytes) -> str:
    kind = {1: "request", 2: "reply"}.get(data[7], str(data[7]))
    sender, target = str(IPv4Address(data[14:18])), str(IPv4Address(data[24:28]))
    return (
        f"arp {kind} from {link_name(data[8:14])} {address_name(sender)}"
        f" to {link_name(data[18:24])} {address_name(target)}"
    )


def data_words(data: bytes) -> str:
    if not data:
        return ""
    if len(data) > SHOWN_BYTES:
        same = all(byte == 97 + at % 26 for at, byte in enumerate(data))
        return f" data {len(data)}{' letters' if same else ''}"
    return f" data {len(data)} {data.decode('latin-1')!r}"


def ones_sum(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _ip4_body(header: bytes, protocol: int, body: bytes) -> str:
    fields = int.from_bytes(header[6:8], "big")
    offset = (fields & 0x1FFF) * 8
    if fields & 0x3FFF:
        return f"fragment of protocol {protocol}{data_words(body) if offset else f' data {len(body)}'}"
    if protocol == ICMP_NUMBER:
        return _icmp_text(body)
    if protocol == IGMP_NUMBER:
        return _igmp_text(body)
    return f"protocol {protocol}{data_words(body)}"


def _icmp_text(body: bytes) -> str:
    kind, code = body[0], body[1]
    words = [f"icmp {ICMP_NAMES.get(kind, str(kind))}"]
    if code:
        words.append(f"code {code}")
    if kind in (3, 5, 11, 12):
        second = int.from_bytes(body[4:8], "big")
        if kind == 5:
            words.append(f"gateway {address_name(str(IPv4Address(body[4:8])))}")
        elif kind == 12:
            words.append(f"pointer {body[4]}")
        elif second:
            words.append(f"info {second}")
        words.append(f"about {quoted4(body[8:])}")
        text = " ".join(words)
    elif kind in (13, 14):
        stamps = [int.from_bytes(body[at : at + 4], "big") for at in (8, 12, 16)]
        sane = "set" if stamps[1] < 86_400_000 and stamps[1] == stamps[2] else f"{stamps[1]} {stamps[2]}"
        text = f"{' '.join(words)} id {int.from_bytes(body[4:6], 'big')} originate {stamps[0]} others {sane}"
    else:
        text = f"{' '.join(words)} id {int.from_bytes(body[4:6], 'big')} seq {int.from_bytes(body[6:8], 'big')}"
        text += data_words(body[8:])
    return text + ("" if ones_sum(body) == 0xFFFF else " BAD CHECKSUM")


def quoted4(data: bytes) -> str:
    """The datagram that an error quotes: what it was, how much of it there is, whether it was changed on the way."""
    if len(data) < 20:
        return f"{len(data)} bytes"
    length = (data[0] & 15) * 4
    body = data[length:]
    words = [f"{{{address_name(str(IPv4Address(data[12:16])))} > {address_name(str(IPv4Address(data[16:20])))}"]
    words.append(f"protocol {data[9]} ttl {data[8]} length {int.from_bytes(data[2:4], 'big')}, quoted {len(data)}")
    if data[9] == UDP_NUMBER and len(body) >= 4:
        words.append(f"port {port_name(int.from_bytes(body[2:4], 'big'))}")
    return " ".join(words) + ("}" if ones_sum(data[:length]) == 0xFFFF else " bad sum}")


def port_name(number: int) -> str:
    """A port as it is shown: each scenario has one of its own."""
    return "ours" if 2000 < number < 4000 else str(number)


def _igmp_text(body: bytes) -> str:
    good = "" if ones_sum(body) == 0xFFFF else " BAD CHECKSUM"
    if body[0] == 0x22:
        records, at = [], 8
        for _ in range(int.from_bytes(body[6:8], "big")):
            sources = int.from_bytes(body[at + 2 : at + 4], "big")
            group = str(IPv4Address(body[at + 4 : at + 8]))
            records.append(f"{RECORD_KINDS.get(body[at], body[at])} {group}{f' of {sources}' if sources else ''}")
            at += 8 + 4 * sources
        return f"igmp3 report {', '.join(records)}{good}"
    name = {0x11: "query", 0x12: "report", 0x16: "igmp2 report", 0x17: "leave"}.get(body[0], hex(body[0]))
    return f"igmp {name} {IPv4Address(body[4:8])}{good}"


# ---- IPv6 -----------------------------------------------------------------------------------------------------------


def ip6_words(header: bytes) -> str:
    """What of an IPv6 header differs from the usual."""
    words = []
    if header[7] != 64:
        words.append(f"hop limit {header[7]}")
    traffic_class = int.from_bytes(header[0:2], "big") >> 4 & 0xFF
    if traffic_class:
        words.append(f"class {traffic_class:#x}")
    return f" ({', '.join(words)})" if words else ""


def ip6_text(data: bytes) -> str:
    """An IPv6 packet."""
    source, target = address_name(str(IPv6Address(data[8:24]))), address_name(str(IPv6Address(data[24:40])))
    ends = "" if (source, target) == ("guest", "peer") else f"{source} > {target} "
    next_header, body, words = data[6], data[40:], []
    while next_header in EXTENSIONS or next_header == FRAGMENT:
        if next_header == FRAGMENT:
            fields = int.from_bytes(body[2:4], "big")
            words.append(f"fragment {fields & 0xFFF8}{'+' if fields & 1 else ''}")
            next_header, body = body[0], body[8:]
            if fields & 0xFFF9:
                words.append(f"of protocol {next_header} data {len(body)}")
                return f"{ends}{' '.join(words)}{ip6_words(data)}"
        else:
            length = 8 + body[1] * 8
            words.append(f"{EXTENSIONS[next_header]} {body[2:length].hex()}")
            next_header, body = body[0], body[length:]
    words.append(_icmp6_text(data, body) if next_header == ICMP6_NUMBER else f"next {next_header}{data_words(body)}")
    return f"{ends}{' '.join(words)}{ip6_words(data)}"


def _icmp6_text(header: bytes, body: bytes) -> str:
    kind, code = body[0], body[1]
    pseudo = header[8:40] + len(body).to_bytes(4, "big") + bytes([0, 0, 0, ICMP6_NUMBER])
    good = "" if ones_sum(pseudo + body) == 0xFFFF else " BAD CHECKSUM"
    words = [f"icmp6 {ICMP6_NAMES.get(kind, str(kind))}"]
    if code:
        words.append(f"code {code}")
    if kind < 128:
        second = int.from_bytes(body[4:8], "big")
        if second or kind == 4:
            words.append(f"{'pointer' if kind == 4 else 'info'} {second}")
        words.append(f"about {quoted6(body[8:])}")
    elif kind in (128, 129):
        words.append(f"id {int.from_bytes(body[4:6], 'big')} seq {int.from_bytes(body[6:8], 'big')}")
        words.append(data_words(body[8:]).strip())
    elif kind in (135, 136):
        words.append(f"of {address_name(str(IPv6Address(body[8:24])))}")
        if kind == 136:
            names = ((0x80, "router"), (0x40, "solicited"), (0x20, "override"))
            words.append(" ".join(name for bit, name in names if body[4] & bit))
        words.extend(_nd_options(body[24:]))
    elif kind == 133:
        words.extend(_nd_options(body[8:]))
    elif kind == 143:
        words.append(", ".join(_mld_records(body)))
    elif kind in (131, 132):
        words.append(str(IPv6Address(body[8:24])))
    return " ".join(word for word in words if word) + good


def _nd_options(data: bytes) -> list[str]:
    found = []
    while len(data) >= 8 and data[1]:
        name = {1: "source", 2: "target", 14: "nonce"}.get(data[0], f"option {data[0]}")
        found.append(f"{name} {'set' if data[0] == 14 else link_name(data[2:8])}")
        data = data[data[1] * 8 :]
    return found


def _mld_records(body: bytes) -> list[str]:
    found, at = [], 8
    for _ in range(int.from_bytes(body[6:8], "big")):
        sources = int.from_bytes(body[at + 2 : at + 4], "big")
        group = str(IPv6Address(body[at + 4 : at + 20]))
        found.append(f"{RECORD_KINDS.get(body[at], body[at])} {group}{f' of {sources}' if sources else ''}")
        at += 20 + 16 * sources
    return sorted(found)


def quoted6(data: bytes) -> str:
    """The packet that an error quotes."""
    if len(data) < 40:
        return f"{len(data)} bytes"
    source, target = address_name(str(IPv6Address(data[8:24]))), address_name(str(IPv6Address(data[24:40])))
    length = int.from_bytes(data[4:6], "big")
    return f"{{{source} > {target} next {data[6]} hop limit {data[7]} length {length}, quoted {len(data)}}}"
