"""Settings under /proc/sys/net, and the tables under /proc/net: who has some enters them here.

`kernel.fs.procfs.network` shows them. Names and meanings are those of ip(7), tcp(7), udp(7), icmp(7), socket(7); only
what the stack obeys is here.

Context: settings are read anywhere; entering happens while the kernel is built.
"""

from collections.abc import Callable
from typing import Final

from kernel.lang import final

MakeTable = Callable[[], bytes]


class TableLines:
    """The text of a file of /proc/net that may be long, in pieces: each is made when a reader comes to it. Base class.
    What is remembered from piece to piece keeps no socket.
    """

    def next(self) -> bytes | None:
        """The next piece, which may be empty; None after the last one."""
        return None


MakeLines = Callable[[], TableLines]

_INT_MAX: Final = 0x7FFF_FFFF


@final
class Setting:
    """A number, or two, that root may change within bounds."""

    def __init__(self, path: bytes, value: int, least: int, most: int) -> None:
        self.path: bytes = path  # below /proc/sys/net: ipv4/ip_forward
        self.value: int = value
        self.least: int = least
        self.most: int = most
        self.second: int = 0  # of a pair
        self.is_pair: bool = False
        self.may_be_empty: bool = False  # of a pair: the second number may be less than the first
        SETTINGS.append(self)


@final
class Table:
    """A file of /proc/net."""

    def __init__(self, name: bytes, make: MakeTable | None, lines: MakeLines | None) -> None:
        self.name: bytes = name
        self.make: MakeTable | None = make
        self.lines: MakeLines | None = lines


SETTINGS: Final[list[Setting]] = []
TABLES: Final[list[Table]] = []


def register_table(name: bytes, make: MakeTable) -> None:
    """Enter a file of /proc/net, whose text `make` makes."""
    TABLES.append(Table(name, make, None))


def register_lines(name: bytes, lines: MakeLines) -> None:
    """Enter a file of /proc/net, whose text comes in pieces."""
    TABLES.append(Table(name, None, lines))


def _pair(path: bytes, first: int, second: int, least: int, most: int) -> Setting:
    setting = Setting(path, first, least, most)
    setting.second = second
    setting.is_pair = True
    return setting


@final
class CoreSettings:
    """/proc/sys/net/core."""

    def __init__(self) -> None:
        self.somaxconn: Setting = Setting(b"core/somaxconn", 4096, 0, _INT_MAX)
        self.rmem_default: Setting = Setting(b"core/rmem_default", 212992, 2304, _INT_MAX)
        self.wmem_default: Setting = Setting(b"core/wmem_default", 212992, 4608, _INT_MAX)
        self.rmem_max: Setting = Setting(b"core/rmem_max", 212992, 2304, _INT_MAX)
        self.optmem_max: Setting = Setting(b"core/optmem_max", 131072, 0, _INT_MAX)  # bytes, of each socket
        self.wmem_max: Setting = Setting(b"core/wmem_max", 212992, 4608, _INT_MAX)


@final
class Ip4Settings:
    """/proc/sys/net/ipv4."""

    def __init__(self) -> None:
        self.ip_forward: Setting = Setting(b"ipv4/ip_forward", 0, 0, 1)
        self.ip_default_ttl: Setting = Setting(b"ipv4/ip_default_ttl", 64, 1, 255)
        self.local_ports: Setting = _pair(b"ipv4/ip_local_port_range", 32768, 60999, 1, 65535)
        self.unprivileged_port_start: Setting = Setting(b"ipv4/ip_unprivileged_port_start", 1024, 0, 65535)
        self.ip_nonlocal_bind: Setting = Setting(b"ipv4/ip_nonlocal_bind", 0, 0, 1)
        self.icmp_echo_ignore_all: Setting = Setting(b"ipv4/icmp_echo_ignore_all", 0, 0, 1)
        self.icmp_echo_ignore_broadcasts: Setting = Setting(b"ipv4/icmp_echo_ignore_broadcasts", 1, 0, 1)
        self.icmp_ratelimit_ms: Setting = Setting(b"ipv4/icmp_ratelimit", 1000, 0, _INT_MAX)
        self.ping_groups: Setting = _pair(b"ipv4/ping_group_range", 1, 0, 0, _INT_MAX)  # empty: for nobody
        self.ping_groups.may_be_empty = True
        self.ipfrag_high_bytes: Setting = Setting(b"ipv4/ipfrag_high_thresh", 4 << 20, 0, _INT_MAX)
        self.ipfrag_time_s: Setting = Setting(b"ipv4/ipfrag_time", 30, 1, 3600)


@final
class Ip6Settings:
    """/proc/sys/net/ipv6."""

    def __init__(self) -> None:
        self.forwarding: Setting = Setting(b"ipv6/conf/all/forwarding", 0, 0, 1)
        self.hop_limit: Setting = Setting(b"ipv6/conf/all/hop_limit", 64, 1, 255)
        self.bindv6only: Setting = Setting(b"ipv6/bindv6only", 0, 0, 1)
        self.accept_ra: Setting = Setting(b"ipv6/conf/all/accept_ra", 1, 0, 2)
        self.autoconf: Setting = Setting(b"ipv6/conf/all/autoconf", 1, 0, 1)
        self.dad_transmits: Setting = Setting(b"ipv6/conf/all/dad_transmits", 1, 0, 255)
        self.disable_ipv6: Setting = Setting(b"ipv6/conf/all/disable_ipv6", 0, 0, 1)
        self.router_solicitations: Setting = Setting(b"ipv6/conf/all/router_solicitations", 3, 0, 255)
        self.frag_high_bytes: Setting = Setting(b"ipv6/ip6frag_high_thresh", 4 << 20, 0, _INT_MAX)
        self.frag_time_s: Setting = Setting(b"ipv6/ip6frag_time", 60, 1, 3600)
        self.icmp_ratelimit_ms: Setting = Setting(b"ipv6/icmp/ratelimit", 1000, 0, _INT_MAX)


CORE: Final = CoreSettings()
IP4_SETTINGS: Final = Ip4Settings()
IP6_SETTINGS: Final = Ip6Settings()
