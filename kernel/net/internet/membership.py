"""Which groups the host listens to: per interface, counted over all who asked (RFC 1112, RFC 4291).

Joining sets the device's filter and informs the group protocol (IGMP, MLD), which reports it to routers.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import ENOBUFS, Errno, final, noraise
from kernel.net.internet.addresses import ALL_HOSTS4, ALL_NODES6, multicast_link_address
from kernel.net.link.device import ARPHRD_ETHER, LinkGroup, NetworkDevice

_LIMIT: Final = 4096


@final
class Membership:
    """A group on a device."""

    def __init__(self, device: NetworkDevice, group: bytes) -> None:
        self.device: NetworkDevice = device
        self.group: bytes = group
        self.key: bytes = _key(device, group)
        self.link_address: bytes = multicast_link_address(group)
        self.users: int = 0
        self.reports_left: int = 0
        self.report_at_ns: int = 0
        self.was_last_reporter: bool = False


class GroupProtocol:
    """Reports groups to routers. Base class."""

    def joined(self, membership: Membership) -> None:
        """The host has just begun to listen."""

    @noraise
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
    return device.index.to_bytes(4, "little") + group


def is_member(device: NetworkDevice, group: bytes) -> bool:
    """Whether packets for the group that come in there are for this host."""
    if group == ALL_HOSTS4 or group == ALL_NODES6:
        return True
    return _key(device, group) in MEMBERSHIPS.by_key


def join(device: NetworkDevice, group: bytes) -> Membership:
    """Begin to listen, or count one more who does. ENOBUFS for too many groups, MemoryError."""
    found = MEMBERSHIPS.by_key.get(_key(device, group))
    if found is None:
        if len(MEMBERSHIPS.by_key) >= _LIMIT:
            raise Errno(ENOBUFS)
        found = Membership(device, group)
        if device.kind == ARPHRD_ETHER:
            _listen(device, found.link_address)
        MEMBERSHIPS.by_key[found.key] = found
        protocol = MEMBERSHIPS.igmp if len(group) == 4 else MEMBERSHIPS.mld
        protocol.joined(found)
    found.users += 1
    return found


def find_membership(device: NetworkDevice, group: bytes) -> Membership | None:
    """The group on the device, if the host listens to it there."""
    return MEMBERSHIPS.by_key.get(_key(device, group))


def _listen(device: NetworkDevice, address: bytes) -> None:
    filter_ = device.multicast.get(address)
    if filter_ is None:
        filter_ = LinkGroup()
        device.multicast[address] = filter_
    filter_.users += 1
    device.multicast_changed()


@noraise
def leave(membership: Membership) -> None:
    """One who listened stops."""
    membership.users -= 1
    if membership.users > 0:
        return
    MEMBERSHIPS.by_key.pop(membership.key)
    device = membership.device
    filter_ = device.multicast.get(membership.link_address)
    if filter_ is not None:
        filter_.users -= 1
        if filter_.users == 0:
            device.multicast.pop(membership.link_address)
            device.multicast_changed()
    protocol = MEMBERSHIPS.igmp if len(membership.group) == 4 else MEMBERSHIPS.mld
    protocol.left(membership)


def list_memberships(device: NetworkDevice, size: int) -> list[Membership]:
    """The device's groups of `size` bytes, 4 or 16."""
    found: list[Membership] = []
    for membership in MEMBERSHIPS.by_key.values():
        if membership.device is device and len(membership.group) == size:
            found.append(membership)
    return found
