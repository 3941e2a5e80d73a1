"""Settings under /proc/sys that are numbers: the code that uses one creates it, and procfs shows them all
(proc_sys(5)).

A setting is declared where it is used, with its path, its value and its bounds; nothing else is needed. Texts are
declared with `@proc_file` (proc_files.py).

Context: settings are created while the kernel is built and read anywhere.
"""

from typing import Final

from kernel.lang import EPERM, Errno
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.lib.credentials import Credentials, caller_credentials

NO_BOUND: Final = (1 << 63) - 1  # where Linux has an unsigned long
_INT_LEAST: Final = -(1 << 31)
_INT_MOST: Final = (1 << 31) - 1
NO_GUARD: Final = -1


class Setting:
    """Numbers that root may change within bounds. Base class."""

    def __init__(self, path: bytes, least: int, most: int, is_listed: bool = True) -> None:
        self.path: bytes = path  # below /proc/sys: fs/inotify/max_queued_events
        self.least: int = least
        self.most: int = most
        self.is_of_network: bool = False  # CAP_NET_ADMIN may change it as well as root
        self.guard: int = NO_GUARD  # a capability without which nobody may change it, not even root
        if is_listed:
            SETTINGS.append(self)

    def for_opener(self) -> "Setting":
        """What the running program opens: the same object, unless each program has its own. Raises MemoryError."""
        return self

    def held_bytes(self) -> int:
        """Memory that exists only because the setting is open."""
        return 0

    def numbers(self) -> list[int]:
        """The numbers to show, in a row. Raises MemoryError."""
        return []

    def takes(self, count: int) -> bool:
        """Whether that many numbers may be written at once."""
        return count == 1

    def store(self, numbers: list[int]) -> None:
        """Numbers were written: as many as it takes, within bounds. Raises EINVAL if some are unusable."""

    def may_be_changed_by(self, who: Credentials) -> bool:
        """Whether users other than root may change it."""
        return self.is_of_network and who.capable(CAP_NET_ADMIN)

    def is_for_root(self) -> bool:
        """Whether root may change it; else only those whom `may_be_changed_by` permits."""
        return True

    def check_writer(self) -> None:
        """Raise EPERM unless the running program may change it; the mode of the file is checked elsewhere."""
        who = caller_credentials()
        if self.guard != NO_GUARD and who is not None and not who.capable(self.guard):
            raise Errno(EPERM)


class SystemSetting(Setting):
    """One number, or a row of them of which the first may be written alone."""

    def __init__(self, path: bytes, values: list[int], least: int, most: int) -> None:
        super().__init__(path, least, most)
        self.values: list[int] = values

    @property
    def value(self) -> int:
        """The value of a single number."""
        return self.values[0]

    def prepare(self) -> None:
        """Called before the values are shown: for those that depend on the machine."""

    def numbers(self) -> list[int]:
        self.prepare()
        return self.values

    def takes(self, count: int) -> bool:
        return 0 < count <= len(self.values)

    def store(self, numbers: list[int]) -> None:
        for i in range(len(numbers)):
            self.values[i] = numbers[i]


class Switch(SystemSetting):
    """On or off: shown as 1 or 0, and any number but 0 turns it on."""

    def __init__(self, path: bytes, is_on: bool) -> None:
        super().__init__(path, [1 if is_on else 0], _INT_LEAST, _INT_MOST)

    def store(self, numbers: list[int]) -> None:
        self.values[0] = 0 if numbers[0] == 0 else 1


SETTINGS: Final[list[Setting]] = []
