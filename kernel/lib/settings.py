"""Settings under /proc/sys that are numbers: who obeys one makes it, and procfs shows them all (proc_sys(5)).

The network has a table of its own (`kernel.net.sysctl`).

Context: settings are made while the kernel is built and read anywhere.
"""

from typing import Final

NO_BOUND: Final = (1 << 63) - 1  # where Linux has an unsigned long


class SystemSetting:
    """One number, or a row of them, that root may change within bounds."""

    def __init__(self, path: bytes, values: list[int], least: int, most: int) -> None:
        self.path: bytes = path  # below /proc/sys: fs/inotify/max_queued_events
        self.values: list[int] = values
        self.least: int = least
        self.most: int = most
        SYSTEM_SETTINGS.append(self)

    @property
    def value(self) -> int:
        """Of a single number."""
        return self.values[0]

    def prepare(self) -> None:
        """Called before the values are shown: for those that depend on the machine."""

    def store(self, numbers: list[int]) -> None:
        """The first numbers of the row were written, and are within bounds. Raises EINVAL, where some are no use."""
        for i in range(len(numbers)):
            self.values[i] = numbers[i]


SYSTEM_SETTINGS: Final[list[SystemSetting]] = []
