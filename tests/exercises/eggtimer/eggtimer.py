"""/dev/eggtimer: write milliseconds, and a read comes back when they are over."""

from typing import Final

from kernel.fs.devices.filesystem import register_char_device
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.lang import EINVAL, Errno, final
from kernel.lib.user import Buffer
from kernel.sched import WaitQueue
from kernel.time.clock import NS_PER_MS, monotonic_ns

_MAJOR_LOCAL: Final = 240
_LONGEST_MS: Final = 3_600_000


def milliseconds(text: bytes) -> int:
    """A number in decimal digits. Raises EINVAL."""
    digits = text.strip()
    if not 0 < len(digits) <= 7:
        raise Errno(EINVAL)
    value = 0
    for digit in digits:
        if not 0x30 <= digit <= 0x39:
            raise Errno(EINVAL)
        value = 10 * value + digit - 0x30
    if value > _LONGEST_MS:
        raise Errno(EINVAL)
    return value


@final
class EggTimerFile(File):
    """An open /dev/eggtimer, which has a time of its own."""

    def __init__(self, path: Path, flags: int) -> None:
        super().__init__(path, flags)
        self._deadline_ns: int = 0
        self._nobody: WaitQueue = WaitQueue()  # nobody wakes: only time does, or a signal

    def write(self, buffer: Buffer) -> int:
        text = buffer.take_bytes(32)
        self._deadline_ns = monotonic_ns() + milliseconds(text) * NS_PER_MS
        return len(text)

    def read(self, buffer: Buffer) -> int:
        while monotonic_ns() < self._deadline_ns:
            self._nobody.sleep_until(self._deadline_ns)
        return buffer.put_bytes(b"ping\n")


def _open(path: Path, flags: int) -> File:
    return EggTimerFile(path, flags)


register_char_device(_MAJOR_LOCAL, 4, b"eggtimer", _open)
