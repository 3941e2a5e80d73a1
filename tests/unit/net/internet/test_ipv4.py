"""IPv4 and ICMP over loopback and a wire."""

import struct

from kernel.lang import span_of
from kernel.net.internet import icmp, ipv4
from kernel.net.internet.output import resolve
from kernel.net.link import ethernet
from kernel.net.link.checksum import checksum
from kernel.net.link.device import NetworkDevice
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import Packet


def internet_sum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def test_checksum_is_the_textbook_one() -> None:
    for length in range(70):
        data = bytes((i * 37 + length * 11) & 0xFF for i in range(length))
        assert checksum(span_of(data)) == internet_sum(data)


def test_echo_over_loopback(loopback: NetworkDevice) -> None:
    before = FIRST_NETWORK.icmp4.in_types[icmp.ECHO_REPLY]
    message = struct.pack(">BBHHH", icmp.ECHO, 0, 0, 7, 1) + b"hello"
    packet = Packet(len(message))
    body = packet.put(len(message))
    body.copy_from(span_of(message))
    body.store_be16(2, checksum(body))
    hop = resolve(FIRST_NETWORK, b"\x7f\x00\x00\x01")
    ipv4.send(packet, hop, hop.source, 1)
    ethernet.drain()
    assert FIRST_NETWORK.icmp4.in_types[icmp.ECHO_REPLY] == before + 1
