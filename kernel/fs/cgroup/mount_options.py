"""The options of the file system, which apply to the hierarchy, whoever mounts it
(Documentation/admin-guide/cgroup-v2.rst, "Mounting").

`favordynmods` and `memory_hugetlb_accounting` are accepted and shown; moving processes costs no more without the first,
and there are no huge pages.
"""

from typing import Final

from kernel.lang import EINVAL, Errno, final

NAMES: Final[list[bytes]] = [
    b"nsdelegate",
    b"favordynmods",
    b"memory_localevents",
    b"memory_recursiveprot",
    b"memory_hugetlb_accounting",
    b"pids_localevents",
]
_BY_NAMESPACE: Final = 1
_MEMORY_LOCAL: Final = 4
_MEMORY_BELOW: Final = 8
_NUMBERS_LOCAL: Final = 32


def parse_options(text: bytes) -> int:
    """Parse options into a bit each. Raises EINVAL."""
    chosen = 0
    for word in text.split(b","):
        if len(word) == 0:
            continue
        if word not in NAMES:
            raise Errno(EINVAL)
        chosen |= 1 << NAMES.index(word)
    return chosen


@final
class GroupOptions:
    """The current options."""

    def __init__(self) -> None:
        self.chosen: int = 0

    @property
    def delegates_by_namespace(self) -> bool:
        """nsdelegate: cgroup namespaces are borders of delegation."""
        return self.chosen & _BY_NAMESPACE != 0

    @property
    def memory_events_are_local(self) -> bool:
        """memory_localevents: memory.events leaves out those of groups below."""
        return self.chosen & _MEMORY_LOCAL != 0

    @property
    def memory_protects_below(self) -> bool:
        """memory_recursiveprot: groups that do not set memory.low and memory.min share the protection of those
        above.
        """
        return self.chosen & _MEMORY_BELOW != 0

    @property
    def number_events_are_local(self) -> bool:
        """pids_localevents: pids.events leaves out those of groups below."""
        return self.chosen & _NUMBERS_LOCAL != 0

    def text(self) -> bytes:
        """For /proc/mounts: a comma before each."""
        text = b""
        for index in range(len(NAMES)):
            if self.chosen >> index & 1 != 0:
                text += b"," + NAMES[index]
        return text


OPTIONS: Final = GroupOptions()
