"""How often programs run and for how long, counted while somebody asks for it, by BPF_ENABLE_STATS or by
kernel.bpf_stats_enabled.

Context: any.
Source: bpf(2); Linux's Documentation/admin-guide/sysctl/kernel.rst.
"""

from typing import Final

from kernel.lang import final
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.settings import SystemSetting


@final
class Statistics:
    """What is asked for."""

    def __init__(self) -> None:
        self.files: int = 0  # open ones that ask
        self.setting: SystemSetting = SystemSetting(b"kernel/bpf_stats_enabled", [0], 0, 1)
        self.setting.guard = CAP_SYS_ADMIN

    def is_wanted(self) -> bool:
        """Whether runs are counted."""
        return self.files > 0 or self.setting.value != 0


STATISTICS: Final = Statistics()
