"""/dev/rot13: what is written to it can be read from it, turned by thirteen letters. Each open file has its own text.
"""

from typing import Final

from kernel.fs.devices.filesystem import register_char_device
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.lang import ENOSPC, Errno, final
from kernel.lib.user import Buffer

_MAJOR_LOCAL: Final = 240
_ROOM: Final = 4096  # bytes that wait for a reader


def turned(byte: int) -> int:
    """A letter, thirteen letters on."""
    if 0x41 <= byte <= 0x5A:
        return (byte - 0x41 + 13) % 26 + 0x41
    if 0x61 <= byte <= 0x7A:
        return (byte - 0x61 + 13) % 26 + 0x61
    return byte


@final
class Rot13File(File):
    """An open /dev/rot13."""

    def __init__(self, path: Path, flags: int) -> None:
        super().__init__(path, flags)
        self._text: bytearray = bytearray()

    def read(self, buffer: Buffer) -> int:
        count = buffer.put_bytes(bytes(self._text))
        self._text = self._text[count:]
        return count

    def write(self, buffer: Buffer) -> int:
        room = _ROOM - len(self._text)
        if room == 0 and buffer.remaining > 0:
            raise Errno(ENOSPC)
        data = buffer.take_bytes(room)
        for byte in data:
            self._text.append(turned(byte))
        return len(data)


def _open(path: Path, flags: int) -> File:
    return Rot13File(path, flags)


register_char_device(_MAJOR_LOCAL, 2, b"rot13", _open)
