"""Dummy interfaces: they have addresses and routes, and drop the packets they should send (ip-link(8), type dummy).

Context: thread context; nothing sleeps.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import final
from kernel.net.link.device import ARPHRD_ETHER, IFF_BROADCAST, IFF_NOARP, NetworkDevice
from kernel.net.link.packet import Packet

if TYPE_CHECKING:
    from kernel.net.link.network import Network

_MTU: Final = 1500
_MOST_MTU: Final = 65535


@final
class DummyDevice(NetworkDevice):
    """A dummy interface."""

    def __init__(self, network: "Network", name: bytes, address: bytes) -> None:
        super().__init__(network, name, ARPHRD_ETHER, address, _MTU)
        self.flags = IFF_BROADCAST | IFF_NOARP
        self.max_mtu = _MOST_MTU
        self.virtual_kind = b"dummy"

    def transmit(self, packet: Packet) -> bool:
        return True
