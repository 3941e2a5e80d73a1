"""The settings in /proc/sys/net/ipv4/tcp_*, with Linux's defaults (tcp(7))."""

from typing import Final

from kernel.lang import final
from kernel.lib.settings import INT_LEAST, INT_MOST, SECONDS_MOST
from kernel.net.internet.sysctl import NetworkSetting
from kernel.net.link.network import Network

NS_PER_SECOND: Final = 1_000_000_000
COOKIES_ALWAYS: Final = 2  # a value of tcp_syncookies


@final
class Settings:
    """The settings of all connections; buffers are the same in all networks. Times are seconds, sizes bytes."""

    def __init__(self) -> None:
        self.syn_retries: NetworkSetting = NetworkSetting(b"ipv4/tcp_syn_retries", 6, 1, 127)
        self.synack_retries: NetworkSetting = NetworkSetting(b"ipv4/tcp_synack_retries", 5, 0, 255)
        self.retries: NetworkSetting = NetworkSetting(b"ipv4/tcp_retries2", 15, 0, 255)
        self.orphan_retries: NetworkSetting = NetworkSetting(b"ipv4/tcp_orphan_retries", 0, 0, 255)  # 0: eight
        self.fin_timeout: NetworkSetting = NetworkSetting(b"ipv4/tcp_fin_timeout", 60, -SECONDS_MOST, SECONDS_MOST)
        self.keepalive_time: NetworkSetting = NetworkSetting(
            b"ipv4/tcp_keepalive_time", 7200, -SECONDS_MOST, SECONDS_MOST
        )
        self.keepalive_interval: NetworkSetting = NetworkSetting(
            b"ipv4/tcp_keepalive_intvl", 75, -SECONDS_MOST, SECONDS_MOST
        )
        self.keepalive_probes: NetworkSetting = NetworkSetting(b"ipv4/tcp_keepalive_probes", 9, 0, 255)
        self.timestamps: NetworkSetting = NetworkSetting(b"ipv4/tcp_timestamps", 1, 0, 255)
        self.window_scaling: NetworkSetting = NetworkSetting(b"ipv4/tcp_window_scaling", 1, 0, 255)
        self.sack: NetworkSetting = NetworkSetting(b"ipv4/tcp_sack", 1, 0, 255)
        self.ecn: NetworkSetting = NetworkSetting(b"ipv4/tcp_ecn", 2, 0, 2)  # 0: never, 1: asked for, 2: agreed to
        self.syn_cookies: NetworkSetting = NetworkSetting(b"ipv4/tcp_syncookies", 1, 0, 255)
        self.max_syn_backlog: NetworkSetting = NetworkSetting(b"ipv4/tcp_max_syn_backlog", 512, INT_LEAST, INT_MOST)
        self.max_time_wait: NetworkSetting = NetworkSetting(b"ipv4/tcp_max_tw_buckets", 16_384, INT_LEAST, INT_MOST)
        self.receive_default: int = 131_072  # tcp_rmem
        self.receive_limit: int = 6_291_456
        self.send_default: int = 16_384  # tcp_wmem
        self.send_limit: int = 4_194_304

    def tries_of_orphans(self, network: Network, is_alive: bool, has_error: bool) -> int:
        """How often an orphan's data are sent again. A connection is alive as long as its timeout grows; once
        it is not, an error that the network reported decides.
        """
        tries = 0 if has_error and not is_alive else self.orphan_retries.of(network)
        return 8 if tries == 0 and is_alive else tries


SETTINGS: Final = Settings()
