"""The groups that the host listens to, per interface: each counts its listeners (RFC 1112, RFC 4291).

Joining sets the device's filter and informs the group protocol (IGMP, MLD), which reports it to routers.

Context: thread context; nothing sleeps, but where an interface leaves its network there are safe points.
"""

from typing import Final

from kernel.lang import ENOBUFS, Errno, final, noraise
from kernel.lib.pace import pace
from kernel.net.internet.addresses import ALL_HOSTS4, ALL_NODES6, multicast_link_address
from kernel.net.link.device import ARPHRD_ETHER, DeviceWatcher, LinkGroup, NetworkDevice, check_stays, watch_devices
from kernel.net.link.network import FIRST_NETWORK, Network, PartMaker, register_part
from kernel.net.link.part import Part

_LIMIT: Final = 4096  # groups of the first network
_LIMIT_OF_OTHERS: Final = 512
_STOP_COST: Final = 1500  # instructions for each group that an interface leaves with its network


@final
class Membership:
    """A group on a device."""

    def __init__(self, device: NetworkDevice, group: bytes) -> None:
        self.device: NetworkDevice = device
        self.network: Network = device.network
        self.is_listed: bool = True  # until the last listener leaves, or the device leaves the network
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
    def dropped(self, membership: Membership) -> None:
        """Its reports are to stop."""

    @noraise
    def left(self, membership: Membership) -> None:
        """The host no longer listens."""


@final
class Memberships:
    """The registered group protocols."""

    def __init__(self) -> None:
        self.igmp: GroupProtocol = GroupProtocol()
        self.mld: GroupProtocol = GroupProtocol()


MEMBERSHIPS: Final = Memberships()


@final
class Groups(Part):
    """The groups that a network listens to."""

    def __init__(self) -> None:
        super().__init__()
        self.by_key: dict[bytes, Membership] = {}

    def end(self) -> None:
        super().end()
        self.by_key.clear()


@final
class _Maker(PartMaker):
    def make(self, network: Network) -> None:
        network.groups = Groups()


register_part(_Maker())


def groups_of(network: Network) -> Groups:
    """The groups that a network listens to."""
    part = network.groups
    assert isinstance(part, Groups)
    return part


def _key(device: NetworkDevice, group: bytes) -> bytes:
    return device.number.to_bytes(8, "little") + group


def is_member(device: NetworkDevice, group: bytes) -> bool:
    """Whether packets for the group received there are for this host."""
    if group == ALL_HOSTS4 or group == ALL_NODES6:
        return True
    return _key(device, group) in groups_of(device.network).by_key


def join(device: NetworkDevice, group: bytes) -> Membership:
    """Begin to listen, or count one more listener. ENOBUFS for too many groups, ENODEV for a device that is leaving its
    network, MemoryError, with nothing done.
    """
    check_stays(device)
    by_key = groups_of(device.network).by_key
    found = by_key.get(_key(device, group))
    if found is None:
        if len(by_key) >= (_LIMIT if device.network is FIRST_NETWORK else _LIMIT_OF_OTHERS):
            raise Errno(ENOBUFS)
        found = Membership(device, group)
        by_key[found.key] = found
        try:
            if device.kind == ARPHRD_ETHER:
                _listen(device, found.link_address)
            _protocol_of(found).joined(found)
        except MemoryError:
            _stop_listening(found)
            raise
    found.users += 1
    return found


def find_membership(device: NetworkDevice, group: bytes) -> Membership | None:
    """The group on the device, if the host listens to it there."""
    return groups_of(device.network).by_key.get(_key(device, group))


def _listen(device: NetworkDevice, address: bytes) -> None:
    """Set the device's filter. Raises MemoryError, with nothing done: then the address has no listener."""
    filter_ = device.multicast.get(address)
    if filter_ is None:
        filter_ = LinkGroup()
        device.multicast[address] = filter_
    filter_.users += 1
    device.multicast_changed()


@noraise
def leave(membership: Membership) -> None:
    """One listener stops."""
    membership.users -= 1
    if membership.users > 0 or not membership.is_listed:
        return
    _stop_listening(membership)
    _protocol_of(membership).left(membership)


@noraise
def _protocol_of(membership: Membership) -> GroupProtocol:
    return MEMBERSHIPS.igmp if len(membership.group) == 4 else MEMBERSHIPS.mld


@noraise
def _stop_listening(membership: Membership) -> None:
    membership.is_listed = False
    groups_of(membership.network).by_key.pop(membership.key)
    _protocol_of(membership).dropped(membership)
    device = membership.device
    filter_ = device.multicast.get(membership.link_address)
    if filter_ is not None:
        filter_.users -= 1
        if filter_.users == 0:
            device.multicast.pop(membership.link_address)
            device.multicast_changed()


def list_memberships(device: NetworkDevice, size: int) -> list[Membership]:
    """The device's groups of `size` bytes, 4 or 16."""
    found: list[Membership] = []
    for membership in groups_of(device.network).by_key.values():
        if membership.device is device and len(membership.group) == size:
            found.append(membership)
    return found


@final
class _FollowDevices(DeviceWatcher):
    def device_removed(self, device: NetworkDevice) -> None:
        """Sockets keep their groups, but nothing arrives for them there. With safe points between groups."""
        for size in (4, 16):
            for membership in list_memberships(device, size):
                if membership.is_listed:
                    _stop_listening(membership)
                    pace(_STOP_COST)


watch_devices(_FollowDevices())
