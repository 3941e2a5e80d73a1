"""A network card whose cable ends in the caller's hands: frames go in and come out as bytes."""

from __future__ import annotations

from kernel.lang import span_of
from kernel.net.internet.addresses import InterfaceAddress, add_address, broadcast_of
from kernel.net.link import ethernet
from kernel.net.link.device import (
    ARPHRD_ETHER,
    IFF_BROADCAST,
    IFF_MULTICAST,
    NetworkDevice,
    bring_up,
    register_device,
)
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import Packet

OUR_MAC = b"\x02\x00\x00\x00\x00\x01"


class Wire(NetworkDevice):
    """An Ethernet interface; `sent` holds the frames that it sent."""

    def __init__(self, name: bytes = b"eth%d", mtu: int = 1500) -> None:
        super().__init__(FIRST_NETWORK, name, ARPHRD_ETHER, OUR_MAC, mtu)
        self.flags = IFF_BROADCAST | IFF_MULTICAST
        self.sent: list[bytes] = []

    def transmit(self, packet: Packet) -> bool:
        self.sent.append(packet.span().to_bytes())
        return True

    def inject(self, frame: bytes) -> None:
        """A frame comes in."""
        packet = Packet(len(frame))
        packet.put(len(frame)).copy_from(span_of(frame))
        packet.device = self
        ethernet.receive(packet)
        ethernet.drain()

    def take(self) -> list[bytes]:
        """What was sent since the last call."""
        sent = self.sent
        self.sent = []
        return sent


def give_address(device: NetworkDevice, address: bytes, prefix_length: int) -> InterfaceAddress:
    """Let an interface have an address, of four or sixteen bytes."""
    entry = InterfaceAddress(device, address, prefix_length)
    if len(address) == 4 and prefix_length < 31:
        entry.broadcast = broadcast_of(address, prefix_length)
    add_address(entry)
    return entry


def attach_wire(address: bytes, prefix_length: int) -> Wire:
    """A new interface that is up and has an address."""
    wire = Wire()
    register_device(wire)
    bring_up(wire)
    give_address(wire, address, prefix_length)
    return wire
