"""Packets as the other end of the wire makes them."""

import struct

from tests.unit.net.conftest import OUR_MAC, PEER_MAC

OURS = b"\x0a\x00\x00\x01"
PEER = b"\x0a\x00\x00\x02"


def internet_sum(data: bytes) -> int:
    """The Internet checksum, as the textbook has it."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ip4(
    payload: bytes,
    protocol: int,
    source: bytes = PEER,
    destination: bytes = OURS,
    identification: int = 1,
    fields: int = 0,
    ttl: int = 64,
    options: bytes = b"",
) -> bytes:
    """An IPv4 datagram."""
    header = struct.pack(
        ">BBHHHBBH4s4s",
        0x45 + len(options) // 4,
        0,
        20 + len(options) + len(payload),
        identification,
        fields,
        ttl,
        protocol,
        0,
        source,
        destination,
    )
    header += options
    return header[:10] + struct.pack(">H", internet_sum(header)) + header[12:] + payload


def frame(payload: bytes, ethertype: int = 0x0800, to: bytes = OUR_MAC) -> bytes:
    """An Ethernet frame from the peer."""
    return to + PEER_MAC + struct.pack(">H", ethertype) + payload


def echo(data: bytes = b"ping", identifier: int = 7, sequence: int = 1, kind: int = 8) -> bytes:
    """An ICMP echo message."""
    head = struct.pack(">BBHHH", kind, 0, 0, identifier, sequence)
    return struct.pack(">BBHHH", kind, 0, internet_sum(head + data), identifier, sequence) + data


def arp(
    operation: int, sender: bytes, target: bytes, sender_mac: bytes = PEER_MAC, target_mac: bytes = bytes(6)
) -> bytes:
    """An ARP packet."""
    return struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + sender_mac + sender + target_mac + target


def udp4(data: bytes, source_port: int, port: int, source: bytes = PEER, destination: bytes = OURS) -> bytes:
    """A UDP datagram with its checksum."""
    pseudo = source + destination + struct.pack(">BBH", 0, 17, 8 + len(data))
    head = struct.pack(">HHHH", source_port, port, 8 + len(data), 0)
    return struct.pack(">HHHH", source_port, port, 8 + len(data), internet_sum(pseudo + head + data) or 0xFFFF) + data
