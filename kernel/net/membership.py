"""Which groups the host listens to: per interface, counted over all who asked (RFC 1112, RFC 4291).

Joining sets the device's filter and tells the group protocol (IGMP, MLD), which reports it to routers.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import ENOBUFS, Errno, final
from kernel.net.addresses import ALL_HOSTS4, ALL_NODES6, multicast_link_address
from kernel.net.device import ARPHRD_ETHER, NetworkDevice

_LIMIT: Final = 4096


@final
class Membership:
    """A group on a device."""

    def __init__(self, device: NetworkDevice, group: bytes) -> None:
        self.device: NetworkDevice = device
        self.group: bytes = group
        self.users: int = 0
        self.reports_left: int = 0
        self.report_at_ns: int = 0
        self.was_last_reporter: bool = False


class GroupProtocol:
    """Reports groups to routers. Base class."""

    def joined(self, membership: Membership) -> None:
        """The host has just begun to listen. May raise MemoryError: then nothing is reported yet."""

    def left(self, membership: Membership) -> None:
        """The host no longer listens."""


@final
class Memberships:
    """All groups of all devices."""

    def __init__(self) -> None:
        self.by_key: dict[bytes, Membership] = {}
        self.igmp: GroupProtocol = GroupProtocol()
        self.mld: GroupProtocol = GroupProtocol()


MEMBERSHIPS: Final = Memberships()


def _key(device: NetworkDevice, group: bytes) -> bytes:
    return bytes([device.index & 0xFF]) + group


def is_member(device: NetworkDevice, group: bytes) -> bool:
    """Whether packets for the group that come in there are for this host."""
    if group == ALL_HOSTS4 or group == ALL_NODES6:
        return True
    return _key(device, group) in MEMBERSHIPS.by_key


def join(device: NetworkDevice, group: bytes) -> None:
    """Begin to listen, or count one more who does. ENOBUFS for too many groups."""
    found = MEMBERSHIPS.by_key.get(_key(device, group))
    if found is None:
        if len(MEMBERSHIPS.by_key) >= _LIMIT:
            raise Errno(ENOBUFS)
        found = Membership(device, group)
        MEMBERSHIPS.by_key[_key(device, group)] = found
        _filter(device, group, 1)
        protocol = MEMBERSHIPS.igmp if len(group) == 4 else MEMBERSHIPS.mld
        protocol.joined(found)
    found.users += 1


def leave(device: NetworkDevice, group: bytes) -> None:
    """One who listened stops."""
    found = MEMBERSHIPS.by_key.get(_key(device, group))
    if found is None:
        return
    found.users -= 1
    if found.users > 0:
        return
    del MEMBERSHIPS.by_key[_key(device, group)]
    _filter(device, group, -1)
    protocol = MEMBERSHIPS.igmp if len(group) == 4 else MEMBERSHIPS.mld
    protocol.left(found)


def _filter(device: NetworkDevice, group: bytes, change: int) -> None:
    if device.kind != ARPHRD_ETHER:
        return
    address = multicast_link_address(group)
    users = device.multicast.get(address, 0) + change
    if users > 0:
        device.multicast[address] = users
    else:
        device.multicast.pop(address)
    device.multicast_changed()


def list_memberships(device: NetworkDevice, size: int) -> list[Membership]:
    """The device's groups of `size` bytes, 4 or 16."""
    found: list[Membership] = []
    for membership in MEMBERSHIPS.by_key.values():
        if membership.device is device and len(membership.group) == size:
            found.append(membership)
    return found
