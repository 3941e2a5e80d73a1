"""Settings under /proc/sys/net. Names and meanings are those of ip(7), tcp(7), udp(7), icmp(7), socket(7); only what
the stack obeys is here.

Context: settings are read anywhere, and made while the kernel is built.
"""

from typing import Final

from kernel.lang import EINVAL, Errno, final
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.lib.settings import Setting

_INT_MAX: Final = 0x7FFF_FFFF


@final
class NetworkSetting(Setting):
    """A number, or two. CAP_NET_ADMIN may change it."""

    def __init__(self, path: bytes, value: int, least: int, most: int) -> None:
        super().__init__(b"net/" + path, least, most)  # below /proc/sys/net: ipv4/ip_forward
        self.is_of_network = True
        self.value: int = value
        self.second: int = 0  # of a pair
        self.is_pair: bool = False
        self.may_be_empty: bool = False  # of a pair: the second number may be less than the first

    def numbers(self) -> list[int]:
        return [self.value, self.second] if self.is_pair else [self.value]

    def takes(self, count: int) -> bool:
        return count == (2 if self.is_pair else 1)

    def store(self, numbers: list[int]) -> None:
        if self.is_pair:
            if numbers[1] < numbers[0] and not self.may_be_empty:
                raise Errno(EINVAL)
            self.second = numbers[1]
        self.value = numbers[0]


def _pair(path: bytes, first: int, second: int, least: int, most: int) -> NetworkSetting:
    setting = NetworkSetting(path, first, least, most)
    setting.second = second
    setting.is_pair = True
    return setting


@final
class CoreSettings:
    """/proc/sys/net/core."""

    def __init__(self) -> None:
        self.somaxconn: NetworkSetting = NetworkSetting(b"core/somaxconn", 4096, 0, _INT_MAX)
        self.rmem_default: NetworkSetting = NetworkSetting(b"core/rmem_default", 212992, 2304, _INT_MAX)
        self.wmem_default: NetworkSetting = NetworkSetting(b"core/wmem_default", 212992, 4608, _INT_MAX)
        self.rmem_max: NetworkSetting = NetworkSetting(b"core/rmem_max", 212992, 2304, _INT_MAX)
        self.optmem_max: NetworkSetting = NetworkSetting(b"core/optmem_max", 131072, 0, _INT_MAX)  # of each socket
        self.wmem_max: NetworkSetting = NetworkSetting(b"core/wmem_max", 212992, 4608, _INT_MAX)


@final
class Ip4Settings:
    """/proc/sys/net/ipv4."""

    def __init__(self) -> None:
        self.ip_forward: NetworkSetting = NetworkSetting(b"ipv4/ip_forward", 0, 0, 1)
        self.ip_forward.guard = CAP_NET_ADMIN
        self.ip_default_ttl: NetworkSetting = NetworkSetting(b"ipv4/ip_default_ttl", 64, 1, 255)
        self.local_ports: NetworkSetting = _pair(b"ipv4/ip_local_port_range", 32768, 60999, 1, 65535)
        self.unprivileged_ports: NetworkSetting = NetworkSetting(b"ipv4/ip_unprivileged_port_start", 1024, 0, 65535)
        self.ip_nonlocal_bind: NetworkSetting = NetworkSetting(b"ipv4/ip_nonlocal_bind", 0, 0, 1)
        self.icmp_echo_ignore_all: NetworkSetting = NetworkSetting(b"ipv4/icmp_echo_ignore_all", 0, 0, 1)
        self.icmp_echo_ignore_broadcasts: NetworkSetting = NetworkSetting(b"ipv4/icmp_echo_ignore_broadcasts", 1, 0, 1)
        self.icmp_ratelimit_ms: NetworkSetting = NetworkSetting(b"ipv4/icmp_ratelimit", 1000, 0, _INT_MAX)
        self.ping_groups: NetworkSetting = _pair(b"ipv4/ping_group_range", 1, 0, 0, _INT_MAX)  # empty: for nobody
        self.ping_groups.may_be_empty = True
        self.ipfrag_high_bytes: NetworkSetting = NetworkSetting(b"ipv4/ipfrag_high_thresh", 4 << 20, 0, _INT_MAX)
        self.ipfrag_time_s: NetworkSetting = NetworkSetting(b"ipv4/ipfrag_time", 30, 1, 3600)


@final
class Ip6Settings:
    """/proc/sys/net/ipv6."""

    def __init__(self) -> None:
        self.forwarding: NetworkSetting = NetworkSetting(b"ipv6/conf/all/forwarding", 0, 0, 1)
        self.hop_limit: NetworkSetting = NetworkSetting(b"ipv6/conf/all/hop_limit", 64, 1, 255)
        self.bindv6only: NetworkSetting = NetworkSetting(b"ipv6/bindv6only", 0, 0, 1)
        self.accept_ra: NetworkSetting = NetworkSetting(b"ipv6/conf/all/accept_ra", 1, 0, 2)
        self.autoconf: NetworkSetting = NetworkSetting(b"ipv6/conf/all/autoconf", 1, 0, 1)
        self.dad_transmits: NetworkSetting = NetworkSetting(b"ipv6/conf/all/dad_transmits", 1, 0, 255)
        self.disable_ipv6: NetworkSetting = NetworkSetting(b"ipv6/conf/all/disable_ipv6", 0, 0, 1)
        self.router_solicitations: NetworkSetting = NetworkSetting(b"ipv6/conf/all/router_solicitations", 3, 0, 255)
        self.frag_high_bytes: NetworkSetting = NetworkSetting(b"ipv6/ip6frag_high_thresh", 4 << 20, 0, _INT_MAX)
        self.frag_time_s: NetworkSetting = NetworkSetting(b"ipv6/ip6frag_time", 60, 1, 3600)
        self.icmp_ratelimit_ms: NetworkSetting = NetworkSetting(b"ipv6/icmp/ratelimit", 1000, 0, _INT_MAX)


CORE: Final = CoreSettings()
IP4_SETTINGS: Final = Ip4Settings()
IP6_SETTINGS: Final = Ip6Settings()
