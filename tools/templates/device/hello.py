"""/dev/hello: greets whom the last writer named."""

from typing import Final

from kernel.fs.devices.filesystem import register_char_device
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.lang import final
from kernel.lib.user import Buffer

_MAJOR_LOCAL: Final = 240  # the first number for local and experimental drivers
_LONGEST: Final = 64  # bytes of a name


@final
class Greeting:
    """Whom to greet."""

    def __init__(self) -> None:
        self.name: bytes = b"nobody"


GREETING: Final = Greeting()


@final
class HelloFile(File):
    """An open /dev/hello. A read from the beginning gives the greeting as it is then."""

    def __init__(self, path: Path, flags: int) -> None:
        super().__init__(path, flags)
        self._text: bytes = b""

    def read(self, buffer: Buffer) -> int:
        if self.position == 0:
            self._text = b"Hello, " + GREETING.name + b"\n"
        count = buffer.put_bytes(self._text[self.position :])
        self.position += count
        return count

    def write(self, buffer: Buffer) -> int:
        name = buffer.take_bytes(_LONGEST)
        GREETING.name = name.strip()
        return len(name)


def _open(path: Path, flags: int) -> File:
    return HelloFile(path, flags)


register_char_device(_MAJOR_LOCAL, 0, b"hello", _open)
