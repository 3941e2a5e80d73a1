"""Settings under /proc/sys that are numbers: who obeys one makes it, and procfs shows them all (proc_sys(5)).

The network has a table of its own (`kernel.net.sysctl`).

Context: settings are made while the kernel is built and read anywhere.
"""

from typing import Final

NO_BOUND: Final = (1 << 63) - 1  # where Linux has an unsigned long
_INT_LEAST: Final = -(1 << 31)
_INT_MOST: Final = (1 << 31) - 1


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

    def check_writer(self) -> None:
        """Raise EPERM unless the running program may change it; the mode of the file is checked elsewhere."""

    def store(self, numbers: list[int]) -> None:
        """The first numbers of the row were written, and are within bounds. Raises EINVAL, where some are no use."""
        for i in range(len(numbers)):
            self.values[i] = numbers[i]


class Switch(SystemSetting):
    """On or off: shown as 1 or 0, and any number but 0 turns it on."""

    def __init__(self, path: bytes, is_on: bool) -> None:
        super().__init__(path, [1 if is_on else 0], _INT_LEAST, _INT_MOST)

    def store(self, numbers: list[int]) -> None:
        self.values[0] = 0 if numbers[0] == 0 else 1


SYSTEM_SETTINGS: Final[list[SystemSetting]] = []
