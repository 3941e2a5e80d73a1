"""Settings of connection tracking, /proc/sys/net/netfilter (nf_conntrack-sysctl of Linux's documentation).

Times are in seconds. nf_conntrack_max is machine-wide: each network may have that many connections.

Context: settings are read anywhere, and created while the kernel is built.
"""

from typing import Final

from kernel.lang import final
from kernel.lib.settings import SECONDS_MOST, Setting
from kernel.net.filter import tcp_state
from kernel.net.internet.sysctl import MachineSetting, NetworkSetting
from kernel.net.link.network import Network

_PAGE_SHIFT: Final = 12
_BYTES_PER_BUCKET: Final = 16384 * 8
_PAGE_OF_BUCKETS: Final = 512
_LEAST: Final = 1024
_MANY: Final = 65536  # with more than 1 GiB of memory
_MOST: Final = 262144  # with more than 4 GiB
_GIGABYTE_PAGES: Final = 1 << 18
_SECOND_NS: Final = 1_000_000_000


def _seconds(name: bytes, value: int) -> NetworkSetting:
    return NetworkSetting(b"netfilter/nf_conntrack_" + name, value, -SECONDS_MOST, SECONDS_MOST)


def _switch(name: bytes, value: int) -> NetworkSetting:
    return NetworkSetting(b"netfilter/nf_conntrack_" + name, value, 0, 1)


@final
class TrackingSettings:
    """All of them."""

    def __init__(self) -> None:
        self.most: MachineSetting = MachineSetting(b"netfilter/nf_conntrack_max", _MANY, 0)
        self.buckets: MachineSetting = MachineSetting(b"netfilter/nf_conntrack_buckets", _MANY, 1)
        self.acct: NetworkSetting = _switch(b"acct", 0)
        self.checksum: NetworkSetting = _switch(b"checksum", 1)
        self.events: NetworkSetting = NetworkSetting(b"netfilter/nf_conntrack_events", 2, 0, 2)
        self.timestamp: NetworkSetting = _switch(b"timestamp", 0)
        self.generic: NetworkSetting = _seconds(b"generic_timeout", 600)
        self.icmp4: NetworkSetting = _seconds(b"icmp_timeout", 30)
        self.icmp6: NetworkSetting = _seconds(b"icmpv6_timeout", 30)
        self.udp: NetworkSetting = _seconds(b"udp_timeout", 30)
        self.udp_stream: NetworkSetting = _seconds(b"udp_timeout_stream", 120)
        self.tcp_be_liberal: NetworkSetting = _switch(b"tcp_be_liberal", 0)
        self.tcp_loose: NetworkSetting = _switch(b"tcp_loose", 1)
        self.tcp_ignore_invalid_rst: NetworkSetting = _switch(b"tcp_ignore_invalid_rst", 0)
        self.tcp_max_retrans: NetworkSetting = NetworkSetting(b"netfilter/nf_conntrack_tcp_max_retrans", 3, 0, 255)
        self.tcp_many_repetitions: NetworkSetting = _seconds(b"tcp_timeout_max_retrans", 300)
        self.tcp_unacknowledged: NetworkSetting = _seconds(b"tcp_timeout_unacknowledged", 300)
        syn_sent = _seconds(b"tcp_timeout_syn_sent", 120)
        self.tcp: list[NetworkSetting] = [  # by state
            syn_sent,  # no connection stays in NONE for long
            syn_sent,
            _seconds(b"tcp_timeout_syn_recv", 60),
            _seconds(b"tcp_timeout_established", 432_000),
            _seconds(b"tcp_timeout_fin_wait", 120),
            _seconds(b"tcp_timeout_close_wait", 60),
            _seconds(b"tcp_timeout_last_ack", 30),
            _seconds(b"tcp_timeout_time_wait", 120),
            _seconds(b"tcp_timeout_close", 10),
            syn_sent,
        ]

    def tcp_seconds(self, network: Network, state: int) -> int:
        """How long a connection lives in a state."""
        return self.tcp[state].of(network)

    def configure(self, page_count: int) -> None:
        """Derive the largest number of connections from the machine's memory."""
        count = max((page_count << _PAGE_SHIFT) // _BYTES_PER_BUCKET, _LEAST)
        count = (count + _PAGE_OF_BUCKETS - 1) // _PAGE_OF_BUCKETS * _PAGE_OF_BUCKETS
        if page_count > 4 * _GIGABYTE_PAGES:
            count = _MOST
        elif page_count > _GIGABYTE_PAGES:
            count = _MANY
        self.most.value = count
        self.buckets.value = count


@final
class _OldName(Setting):
    """net.nf_conntrack_max, an alias for the same number."""

    def __init__(self, meaning: MachineSetting) -> None:
        super().__init__(b"net/nf_conntrack_max", meaning.least, meaning.most)
        self.meaning: MachineSetting = meaning

    def numbers(self) -> list[int]:
        return self.meaning.numbers()

    def store(self, numbers: list[int]) -> None:
        self.meaning.store(numbers)


SETTINGS: Final = TrackingSettings()
_ = _OldName(SETTINGS.most)
assert len(SETTINGS.tcp) == len(tcp_state.STATE_NAMES)


def in_ns(seconds: int) -> int:
    return seconds * _SECOND_NS
