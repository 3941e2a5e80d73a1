"""What /proc/sys/net/ipv4/tcp_* sets, with Linux's defaults."""

from typing import Final

from kernel.lang import final

NS_PER_SECOND: Final = 1_000_000_000


@final
class Settings:
    """The settings of all connections. Times are seconds, sizes bytes."""

    def __init__(self) -> None:
        self.syn_retries: int = 6
        self.synack_retries: int = 5
        self.retries: int = 15  # tcp_retries2
        self.orphan_retries: int = 8
        self.fin_timeout: int = 60
        self.keepalive_time: int = 7200
        self.keepalive_interval: int = 75
        self.keepalive_probes: int = 9
        self.receive_default: int = 131_072  # tcp_rmem
        self.receive_limit: int = 6_291_456
        self.send_default: int = 16_384  # tcp_wmem
        self.send_limit: int = 4_194_304
        self.timestamps: bool = True
        self.window_scaling: bool = True
        self.sack: bool = True
        self.syn_cookies: bool = True
        self.max_syn_backlog: int = 512
        self.max_orphans: int = 4096
        self.max_time_wait: int = 16_384
        self.memory_limit: int = 64 << 20  # of the buffers of all connections


SETTINGS: Final = Settings()
