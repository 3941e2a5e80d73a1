"""Settings under /proc/sys/net. Names and meanings are those of ip(7), tcp(7), udp(7), icmp(7), socket(7); only those
that the stack obeys are here.

A descriptor of one stands for the network of the task that opened it, whichever task holds the descriptor later.

Context: settings are read anywhere, and created while the kernel is built.
"""

from typing import Final

from kernel.lang import EINVAL, EPERM, Errno, final
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.lib.credentials import Credentials, caller_credentials, caller_namespace
from kernel.lib.ids import NO_GROUP, KernelGid
from kernel.lib.namespace import FIRST_USER
from kernel.lib.settings import INT_LEAST, NO_BOUND, NO_GUARD, SECONDS_MOST, Setting
from kernel.net.link.network import DEFAULT_SETTINGS, FIRST_NETWORK, LIMBO, NETWORK_BYTES, Network, caller_network

INT_MAX: Final = 0x7FFF_FFFF
_BACKLOG: Final = 4096
_FRAGMENTS_LOW: Final = 3 << 20  # bytes: ipfrag_low_thresh
_MOST_GROUP: Final = 0xFFFF_FFFE
_FIRST_OF_NONE: Final = 1  # the start of an empty range of groups; it ends with 0


class SettingFollower:
    """Acts on a change of a network's setting. Base class."""

    def changed(self, network: Network, value: int) -> None:
        """The setting has this value now. May raise MemoryError."""


_NOBODY: Final = SettingFollower()


@final
class NetworkSetting(Setting):
    """A number, or two, with a value for each network. CAP_NET_ADMIN over a network allows changing it."""

    def __init__(self, path: bytes, value: int, least: int, most: int, alias_of: int = -1) -> None:
        """`alias_of` is the place of another setting that holds the same number."""
        super().__init__(b"net/" + path, least, most)  # below /proc/sys/net: ipv4/ip_forward
        self.place: int = _new_place(value) if alias_of < 0 else alias_of
        # On Linux these are bytes.
        self.passes_rest = least >= 0 and most <= 0xFF and path.find(b"/conf/") < 0
        self.follower: SettingFollower = _NOBODY
        self.place_of_second: int = -1  # of a pair
        self.floor: NetworkSetting | None = None  # nothing below its number is taken
        self.ceiling: NetworkSetting | None = None  # nor above that one
        self.holds_groups: bool = False  # the numbers are groups, which each user namespace numbers differently

    def of(self, network: Network) -> int:
        """The number in a network; the first of a pair."""
        return network.settings[self.place]

    def second_of(self, network: Network) -> int:
        """The second number of a pair."""
        return network.settings[self.place_of_second]

    def set(self, network: Network, value: int) -> None:
        """Set the number, within bounds. May raise MemoryError."""
        is_new = value != network.settings[self.place]
        network.settings[self.place] = value
        if is_new:
            self.follower.changed(network, value)

    def for_opener(self) -> Setting:
        return OpenedSetting(self, caller_network())

    def may_be_changed_by(self, who: Credentials) -> bool:
        return who.capable_in(caller_network().owner, CAP_NET_ADMIN)

    def is_for_root(self) -> bool:
        return caller_network().owner is FIRST_USER

    def set_default(self, value: int) -> None:
        """Set the value that networks begin with, and that the first one has now."""
        DEFAULT_SETTINGS[self.place] = value
        self.set(FIRST_NETWORK, value)

    def numbers(self) -> list[int]:
        return self.numbers_in(caller_network())

    def numbers_in(self, network: Network) -> list[int]:
        """The numbers that a network's file shows. Raises MemoryError."""
        if self.place_of_second < 0:
            return [self.of(network)]
        found = [self.of(network), self.second_of(network)]
        if self.holds_groups:
            inside = caller_namespace()
            return [inside.shown_gid(KernelGid(found[0])), inside.shown_gid(KernelGid(found[1]))]
        return found

    def most_numbers(self) -> int:
        return 1 if self.place_of_second < 0 else 2

    def store(self, numbers: list[int]) -> None:
        self.store_in(caller_network(), numbers)

    def store_in(self, network: Network, numbers: list[int]) -> None:
        """Store numbers written to a network's file. Raises EINVAL."""
        floor = self.floor
        ceiling = self.ceiling
        if (floor is not None and numbers[0] < floor.of(network)) or (
            ceiling is not None and numbers[0] > ceiling.of(network)
        ):
            raise Errno(EINVAL)
        if self.place_of_second < 0:
            self.set(network, numbers[0])
            return
        first = numbers[0]
        second = numbers[1] if len(numbers) > 1 else self.numbers_in(network)[1]
        if self.holds_groups:
            inside = caller_namespace()
            low = inside.kernel_gid(first)
            high = inside.kernel_gid(second)
            if low == NO_GROUP or high == NO_GROUP:
                raise Errno(EINVAL)
            is_empty = second < first or int(high) < int(low)
            first = _FIRST_OF_NONE if is_empty else int(low)
            second = 0 if is_empty else int(high)
        elif second < first:
            raise Errno(EINVAL)
        self.set(network, first)
        network.settings[self.place_of_second] = second


@final
class OpenedSetting(Setting):
    """A setting of one network, in an open file."""

    def __init__(self, setting: NetworkSetting, network: Network) -> None:
        super().__init__(setting.path, setting.least, setting.most, is_listed=False)
        self.setting: NetworkSetting = setting
        self.network: Network = network
        self.guard = setting.guard
        self.passes_rest = setting.passes_rest

    def held_bytes(self) -> int:
        return NETWORK_BYTES if self.network.is_over() else 0

    def numbers(self) -> list[int]:
        return self.setting.numbers_in(self.network)

    def most_numbers(self) -> int:
        return self.setting.most_numbers()

    def store(self, numbers: list[int]) -> None:
        self.setting.store_in(self.network, numbers)

    def may_be_changed_by(self, who: Credentials) -> bool:
        return who.capable_in(self.network.owner, CAP_NET_ADMIN)

    def is_for_root(self) -> bool:
        return self.network.owner is FIRST_USER

    def check_writer(self) -> None:
        who = caller_credentials()
        if self.guard != NO_GUARD and who is not None and not who.capable_in(self.network.owner, self.guard):
            raise Errno(EPERM)


@final
class MachineSetting(Setting):
    """A number that holds for all networks. Only the first one can change it."""

    def __init__(self, path: bytes, value: int, least: int) -> None:
        super().__init__(b"net/" + path, least, INT_MAX)
        self.value: int = value

    def numbers(self) -> list[int]:
        return [self.value]

    def store(self, numbers: list[int]) -> None:
        self.value = numbers[0]

    def may_be_changed_by(self, who: Credentials) -> bool:
        return caller_network() is FIRST_NETWORK and who.capable(CAP_NET_ADMIN)

    def is_for_root(self) -> bool:
        return caller_network() is FIRST_NETWORK


def _new_place(value: int) -> int:
    """Allocate a place among the settings of all networks. While the kernel is built."""
    for settings in (DEFAULT_SETTINGS, FIRST_NETWORK.settings, LIMBO.settings):
        settings.append(value)
    return len(DEFAULT_SETTINGS) - 1


def network_pair(path: bytes, first: int, second: int, least: int, most: int) -> NetworkSetting:
    setting = NetworkSetting(path, first, least, most)
    setting.place_of_second = _new_place(second)
    return setting


@final
class CoreSettings:
    """/proc/sys/net/core."""

    def __init__(self) -> None:
        self.somaxconn: NetworkSetting = NetworkSetting(b"core/somaxconn", _BACKLOG, 0, INT_MAX)
        self.rmem_default: MachineSetting = MachineSetting(b"core/rmem_default", 212992, 2304)
        self.wmem_default: MachineSetting = MachineSetting(b"core/wmem_default", 212992, 4608)
        self.rmem_max: MachineSetting = MachineSetting(b"core/rmem_max", 212992, 2304)
        self.wmem_max: MachineSetting = MachineSetting(b"core/wmem_max", 212992, 4608)
        self.busy_read: MachineSetting = MachineSetting(b"core/busy_read", 0, 0)  # us
        self.txrehash: NetworkSetting = NetworkSetting(b"core/txrehash", 1, 0, 1)
        self.optmem_max: NetworkSetting = NetworkSetting(b"core/optmem_max", 131072, 0, INT_MAX)  # of each socket

    def longest_backlog(self, network: Network) -> int:
        """somaxconn in a network: its administrator may set at most the first network's value, or the usual one."""
        return min(self.somaxconn.of(network), max(self.somaxconn.of(FIRST_NETWORK), _BACKLOG))

    def optmem(self, network: Network) -> int:
        """The value in a network: its administrator may set less than the first network's value, as it is memory."""
        return min(self.optmem_max.of(network), self.optmem_max.of(FIRST_NETWORK))


@final
class Ip4Settings:
    """/proc/sys/net/ipv4."""

    def __init__(self) -> None:
        self.ip_forward: NetworkSetting = NetworkSetting(b"ipv4/ip_forward", 0, INT_LEAST, INT_MAX)
        self.ip_forward.guard = CAP_NET_ADMIN
        self.ip_default_ttl: NetworkSetting = NetworkSetting(b"ipv4/ip_default_ttl", 64, 1, 255)
        self.local_ports: NetworkSetting = network_pair(b"ipv4/ip_local_port_range", 32768, 60999, 1, 65535)
        self.unprivileged_ports: NetworkSetting = NetworkSetting(b"ipv4/ip_unprivileged_port_start", 1024, 0, 65535)
        self.local_ports.floor = self.unprivileged_ports
        self.unprivileged_ports.ceiling = self.local_ports
        self.ip_nonlocal_bind: NetworkSetting = NetworkSetting(b"ipv4/ip_nonlocal_bind", 0, 0, 255)
        self.icmp_echo_ignore_all: NetworkSetting = NetworkSetting(b"ipv4/icmp_echo_ignore_all", 0, 0, 1)
        self.icmp_echo_ignore_broadcasts: NetworkSetting = NetworkSetting(b"ipv4/icmp_echo_ignore_broadcasts", 1, 0, 1)
        self.icmp_ratelimit_ms: NetworkSetting = NetworkSetting(b"ipv4/icmp_ratelimit", 1000, 0, INT_MAX)
        # Empty: for no group. Kernel numbers.
        self.ping_groups: NetworkSetting = network_pair(b"ipv4/ping_group_range", _FIRST_OF_NONE, 0, 0, _MOST_GROUP)
        self.ping_groups.holds_groups = True
        self.ipfrag_high_bytes: NetworkSetting = NetworkSetting(
            b"ipv4/ipfrag_high_thresh", 4 << 20, _FRAGMENTS_LOW, NO_BOUND
        )
        self.ipfrag_time_s: NetworkSetting = NetworkSetting(b"ipv4/ipfrag_time", 30, -SECONDS_MOST, SECONDS_MOST)


@final
class Ip6Settings:
    """/proc/sys/net/ipv6."""

    def __init__(self) -> None:
        self.forwarding: NetworkSetting = NetworkSetting(b"ipv6/conf/all/forwarding", 0, INT_LEAST, INT_MAX)
        self.hop_limit: NetworkSetting = NetworkSetting(b"ipv6/conf/all/hop_limit", 64, 1, 255)
        self.bindv6only: NetworkSetting = NetworkSetting(b"ipv6/bindv6only", 0, 0, 255)
        self.disable_ipv6: NetworkSetting = NetworkSetting(b"ipv6/conf/all/disable_ipv6", 0, INT_LEAST, INT_MAX)
        self.frag_high_bytes: NetworkSetting = NetworkSetting(
            b"ipv6/ip6frag_high_thresh", 4 << 20, _FRAGMENTS_LOW, NO_BOUND
        )
        self.frag_time_s: NetworkSetting = NetworkSetting(b"ipv6/ip6frag_time", 60, -SECONDS_MOST, SECONDS_MOST)
        self.icmp_ratelimit_ms: NetworkSetting = NetworkSetting(b"ipv6/icmp/ratelimit", 1000, 0, INT_MAX)


CORE: Final = CoreSettings()
IP4_SETTINGS: Final = Ip4Settings()
IP6_SETTINGS: Final = Ip6Settings()
