"""Settings under /proc/sys/net (ip(7), tcp(7), udp(7), icmp(7), socket(7)); names as there.

Only what the stack obeys is here. Context: any.
"""

from typing import Final

from kernel.lang import final


@final
class CoreSettings:
    """/proc/sys/net/core."""

    def __init__(self) -> None:
        self.somaxconn: int = 4096
        self.rmem_default: int = 212992
        self.wmem_default: int = 212992
        self.rmem_max: int = 212992
        self.wmem_max: int = 212992
        self.optmem_max: int = 131072


@final
class Ip4Settings:
    """/proc/sys/net/ipv4."""

    def __init__(self) -> None:
        self.ip_forward: int = 0
        self.ip_default_ttl: int = 64
        self.local_port_first: int = 32768
        self.local_port_last: int = 60999
        self.unprivileged_port_start: int = 1024
        self.ip_nonlocal_bind: int = 0
        self.icmp_echo_ignore_all: int = 0
        self.icmp_echo_ignore_broadcasts: int = 1
        self.icmp_ratelimit_ms: int = 1000
        self.ping_group_first: int = 1  # nobody: the range is empty
        self.ping_group_last: int = 0
        self.ipfrag_high_bytes: int = 4 << 20
        self.ipfrag_time_s: int = 30


@final
class Ip6Settings:
    """/proc/sys/net/ipv6."""

    def __init__(self) -> None:
        self.forwarding: int = 0
        self.hop_limit: int = 64
        self.bindv6only: int = 0
        self.accept_ra: int = 1
        self.autoconf: int = 1
        self.dad_transmits: int = 1
        self.disable_ipv6: int = 0
        self.router_solicitations: int = 3


CORE: Final = CoreSettings()
IP4_SETTINGS: Final = Ip4Settings()
IP6_SETTINGS: Final = Ip6Settings()
