"""The system's settings for core files, below /proc/sys (core(5), proc_sys_kernel(5), proc_sys_fs(5)).

The pattern says where a core file goes, or which program reads it. With fs.suid_dumpable 2, programs with privileges
dump too, for root, and only to a program or to an absolute path; other patterns cause a warning in the log.
"""

from typing import Final

from kernel.lang import final
from kernel.lib import log
from kernel.lib.proc_files import proc_line
from kernel.lib.settings import SystemSetting
from kernel.task.core_state import DUMPED_FOR_ROOT

_NAME_LIMIT: Final = 127  # bytes of a pattern
_INT_LEAST: Final = -(1 << 31)
_INT_MOST: Final = (1 << 31) - 1
_MIB: Final = 1 << 20


@final
class CorePattern:
    """The pattern that root has written."""

    def __init__(self) -> None:
        self.text: bytes = b"core"


CORE_PATTERN: Final = CorePattern()


def _warn_if_unsafe(dumpable: int) -> None:
    text = CORE_PATTERN.text
    if dumpable == DUMPED_FOR_ROOT and not text.startswith(b"/") and not text.startswith(b"|"):
        log.warn("with fs.suid_dumpable=2, kernel.core_pattern must be a program or a path from the root on")


@final
class _SuidDumpable(SystemSetting):
    def store(self, numbers: list[int]) -> None:
        super().store(numbers)
        _warn_if_unsafe(numbers[0])


SUID_DUMPABLE: Final = _SuidDumpable(b"fs/suid_dumpable", [0], 0, 2)
USES_PID: Final = SystemSetting(b"kernel/core_uses_pid", [0], _INT_LEAST, _INT_MOST)
PIPE_LIMIT: Final = SystemSetting(b"kernel/core_pipe_limit", [0], _INT_LEAST, _INT_MOST)  # 0: no limit, and no waiting
NOTE_LIMIT: Final = SystemSetting(b"kernel/core_file_note_size_limit", [4 * _MIB], 4 * _MIB, 16 * _MIB)  # bytes


def set_pattern(text: bytes) -> None:
    """Only the first line counts, up to 127 bytes."""
    end = min(_end(text.find(b"\n"), text), _end(text.find(b"\0"), text))
    CORE_PATTERN.text = text[: min(end, _NAME_LIMIT)]
    _warn_if_unsafe(SUID_DUMPABLE.value)


def _end(found: int, text: bytes) -> int:
    return len(text) if found < 0 else found


@proc_line("sys/kernel/core_pattern", set_pattern)
def core_pattern() -> bytes:
    """The path of core files, with % specifiers; or after a bar, the program that reads them."""
    return CORE_PATTERN.text + b"\n"
