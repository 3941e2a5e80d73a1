"""The groups that one socket is in, each with the senders that it includes or excludes (RFC 3376 section 3.1).

An INCLUDE filter names the senders that are heard, an EXCLUDE filter those that are not; a group that was joined
without naming senders excludes none. The order of checks is Linux's.

Context: system calls; nothing sleeps. Reports to routers do not name senders: the filter is
applied when a datagram is delivered.
"""

from typing import Final

from kernel.lang import EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENOBUFS, ENOMEM, Errno, final, noraise
from kernel.lib.order import Order
from kernel.lib.pace import pace
from kernel.net.internet.addresses import is_multicast
from kernel.net.internet.membership import Membership, join, leave
from kernel.net.internet.sysctl import CORE
from kernel.net.link.device import NetworkDevice
from kernel.net.link.network import Network

_MOST_GROUPS: Final = 20  # igmp_max_memberships
_GROUP_BYTES4: Final = 48  # what a group counts against net.core.optmem_max
_GROUP_BYTES6: Final = 56
_MOST_SOURCES4: Final = 10  # igmp_max_msf
_MOST_SOURCES6: Final = 64  # mld_max_msf

# All groups of all sockets, for /proc/net/mcfilter.
JOINED: Final[Order["JoinedGroup"]] = Order()

@final
class GroupNumbers:
    """Numbers the joined groups in their order."""

    def __init__(self) -> None:
        self.last: int = 0

    def next(self) -> int:
        self.last += 1
        return self.last


NUMBERS: Final = GroupNumbers()
_LEAVE_COST: Final = 2000  # instructions, besides what a report spends
EXCLUDE: Final = 0  # MCAST_EXCLUDE
INCLUDE: Final = 1


@final
class JoinedGroup:
    """One group on one device."""

    def __init__(self, membership: Membership, mode: int) -> None:
        self.membership: Membership = membership
        self.mode: int = mode  # EXCLUDE or INCLUDE
        self.number: int = NUMBERS.next()  # in `JOINED`
        self.has_filter: bool = False  # sources were named once: the mode stays, even without any
        self.sources: list[bytes] = []

    def hears(self, source: bytes) -> bool:
        """Whether datagrams from `source` are wanted."""
        return (source in self.sources) == (self.mode == INCLUDE)


@final
class JoinedGroups:
    """All groups of a socket."""

    def __init__(self, network: Network) -> None:
        self.network: Network = network
        self.groups: list[JoinedGroup] = []

    def find(self, group: bytes, device_index: int) -> JoinedGroup | None:
        """The group on a device, or with index 0 on the first one."""
        for joined in self.groups:
            membership = joined.membership
            if membership.group == group and (device_index == 0 or membership.device.index == device_index):
                return joined
        return None

    def accepts(self, group: bytes, device: NetworkDevice | None, source: bytes, hears_all: bool) -> bool:
        """Whether a datagram for a group is wanted; `hears_all` decides for groups that were not joined."""
        for joined in self.groups:
            if joined.membership.group == group and joined.membership.device is device:
                return joined.hears(source)
        return hears_all

    def join(self, group: bytes, device: NetworkDevice, mode: int) -> None:
        """Join a group. EINVAL if it is not one, EADDRINUSE if the socket is in it, ENOBUFS (IPv4) or ENOMEM for too
        many.
        """
        if not is_multicast(group):
            raise Errno(EINVAL)
        if self.find(group, device.index) is not None:
            raise Errno(EADDRINUSE)
        most_bytes = CORE.optmem(self.network)
        if len(group) == 4:
            if len(self.groups) >= _MOST_GROUPS or (len(self.groups) + 1) * _GROUP_BYTES4 >= most_bytes:
                raise Errno(ENOBUFS)
        elif (len(self.groups) + 1) * _GROUP_BYTES6 >= most_bytes:
            raise Errno(ENOMEM)
        membership = join(device, group)
        try:
            joined = JoinedGroup(membership, mode)
            self.groups.append(joined)
        except MemoryError:
            leave(membership)
            raise
        try:
            JOINED.put(joined.number, joined)
        except MemoryError:
            self.groups.pop()
            leave(membership)
            raise

    def leave(self, group: bytes, device_index: int) -> None:
        """Leave a group. EADDRNOTAVAIL if the socket is not in it."""
        joined = self.find(group, device_index)
        if joined is None:
            raise Errno(EADDRNOTAVAIL)
        self.groups.remove(joined)
        _forget(joined)

    def change_source(self, group: bytes, device_index: int, source: bytes, mode: int, is_adding: bool) -> None:
        """Add a source to a filter of this mode, or remove it. EINVAL for a group that was not joined, or whose
        filter has the other mode; EADDRNOTAVAIL, ENOBUFS.
        """
        joined = self.find(group, device_index)
        if joined is None:
            raise Errno(EINVAL)
        if joined.mode != mode:
            if joined.has_filter:
                raise Errno(EINVAL)
            joined.mode = mode
        is_there = source in joined.sources
        if is_adding == is_there:
            raise Errno(EADDRNOTAVAIL)
        if is_adding:
            if len(joined.sources) >= (_MOST_SOURCES4 if len(group) == 4 else _MOST_SOURCES6):
                raise Errno(ENOBUFS)
            joined.has_filter = True
            joined.sources.append(source)
        elif mode == INCLUDE and len(joined.sources) == 1:
            self.leave(group, device_index)  # a socket that includes no sender is not in the group
        else:
            joined.sources.remove(source)

    def set_filter(self, group: bytes, device_index: int, mode: int, sources: list[bytes]) -> None:
        """Replace the whole filter. EINVAL, EADDRNOTAVAIL."""
        if not is_multicast(group) or (mode != INCLUDE and mode != EXCLUDE):
            raise Errno(EINVAL)
        if mode == INCLUDE and len(sources) == 0:
            self.leave(group, device_index)
            return
        joined = self.find(group, device_index)
        if joined is None:
            raise Errno(EINVAL)
        joined.mode = mode
        joined.sources = sources
        joined.has_filter = len(sources) > 0

    @noraise
    def leave_all(self) -> None:
        """Leave all groups: the socket is being closed. With safe points between: each report to routers takes long."""
        while len(self.groups) > 0:
            _forget(self.groups.pop())
            pace(_LEAVE_COST)


@noraise
def _forget(joined: JoinedGroup) -> None:
    JOINED.remove(joined.number)
    leave(joined.membership)


def most_sources(size: int) -> int:
    """The largest number of sources in a filter of addresses of `size` bytes."""
    return _MOST_SOURCES4 if size == 4 else _MOST_SOURCES6
