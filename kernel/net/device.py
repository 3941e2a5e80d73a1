"""Network devices as the stack sees them.

A driver derives from `NetworkDevice`: it sends what `transmit` gives it, and hands what comes in to
`kernel.net.receive`, in the network thread and never in an interrupt.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.net.packet import Packet

# Interface flags (netdevice(7)).
IFF_UP: Final = 0x1
IFF_BROADCAST: Final = 0x2
IFF_LOOPBACK: Final = 0x8
IFF_RUNNING: Final = 0x40
IFF_NOARP: Final = 0x80
IFF_PROMISC: Final = 0x100
IFF_ALLMULTI: Final = 0x200
IFF_MULTICAST: Final = 0x1000
IFF_LOWER_UP: Final = 0x10000

# What the device does by itself.
OFFLOAD_CHECKSUM: Final = 0x1  # completes CHECKSUM_PARTIAL
OFFLOAD_TCP4: Final = 0x2  # cuts TCP over IPv4 by `segment_size`
OFFLOAD_TCP6: Final = 0x4

ARPHRD_ETHER: Final = 1
ARPHRD_LOOPBACK: Final = 772


class NetworkDevice:
    """Base of all interfaces."""

    def __init__(self, name: bytes, kind: int, address: bytes, mtu: int) -> None:
        self.name: bytes = name  # lo, eth0
        self.index: int = 0  # from 1, given by `register_device`
        self.kind: int = kind  # ARPHRD_*
        self.address: bytes = address  # of the link: 6 bytes
        self.broadcast: bytes = b"\xff\xff\xff\xff\xff\xff" if kind == ARPHRD_ETHER else bytes(6)
        self.mtu: int = mtu
        self.flags: int = 0  # IFF_*
        self.offload: int = 0  # OFFLOAD_*
        self.queue_length: int = 1000
        self.has_carrier: bool = True
        self.received_packets: int = 0
        self.received_bytes: int = 0
        self.received_errors: int = 0
        self.received_dropped: int = 0
        self.sent_packets: int = 0
        self.sent_bytes: int = 0
        self.sent_errors: int = 0
        self.sent_dropped: int = 0

    def transmit(self, packet: Packet) -> bool:
        """Send a packet with its link header on. False: the device's queue is full and the packet is dropped."""
        return False

    def set_up(self) -> None:
        """The interface goes up. Raises Errno."""

    def set_down(self) -> None:
        """The interface goes down: nothing is received from now on."""
