"""Frames that packet sockets want an interface to hand up besides its own: PACKET_ADD_MEMBERSHIP (packet(7)).

Promiscuous and all-groups mode are counted on the device. The flags IFF_PROMISC and IFF_ALLMULTI, which programs set
and see, are separate, as on Linux.

Context: system calls; nothing sleeps.
"""

from typing import Final

from kernel.lang import EINVAL, Errno, final, noraise
from kernel.net.link.device import LinkGroup, NetworkDevice, want_all_frames

MULTICAST: Final = 0  # PACKET_MR_*
PROMISCUOUS: Final = 1
ALL_GROUPS: Final = 2
UNICAST: Final = 3


@final
class FrameMembership:
    """One request of a socket."""

    def __init__(self, index: int, kind: int, address: bytes) -> None:
        self.index: int = index
        self.kind: int = kind
        self.address: bytes = address
        self.users: int = 1
        self.device: NetworkDevice | None = None  # while it is in effect

    def is_like(self, other: "FrameMembership") -> bool:
        return self.index == other.index and self.kind == other.kind and self.address == other.address

    def apply(self, device: NetworkDevice) -> None:
        """Put it into effect. EINVAL for an address of another length; MemoryError. Unknown kinds have no effect."""
        if (self.kind == MULTICAST or self.kind == UNICAST) and len(self.address) != len(device.address):
            raise Errno(EINVAL)
        if self.kind == PROMISCUOUS:
            want_all_frames(device, 1)
        elif self.kind == UNICAST:
            device.promiscuous_users += 1  # our devices cannot filter single foreign addresses
        elif self.kind == ALL_GROUPS:
            device.all_groups_users += 1
        elif self.kind == MULTICAST:
            group = device.multicast.get(self.address)
            if group is None:
                group = LinkGroup()
                device.multicast[self.address] = group
            group.users += 1
        self.device = device
        device.multicast_changed()

    @noraise
    def undo(self) -> None:
        """End its effect."""
        device = self.device
        if device is None:
            return
        self.device = None
        if self.kind == PROMISCUOUS:
            want_all_frames(device, -1)
        elif self.kind == UNICAST:
            device.promiscuous_users -= 1
        elif self.kind == ALL_GROUPS:
            device.all_groups_users -= 1
        elif self.kind == MULTICAST:
            group = device.multicast.get(self.address)
            if group is not None:
                group.users -= 1
                if group.users == 0:
                    device.multicast.pop(self.address)
        device.multicast_changed()
