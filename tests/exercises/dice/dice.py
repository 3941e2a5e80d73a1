"""/dev/dice: each read throws a die; /proc/sys/kernel/dice_sides says how many sides it has."""

from typing import Final

from kernel.fs.devices.filesystem import register_char_device
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.lang import final
from kernel.lib import random
from kernel.lib.settings import SystemSetting
from kernel.lib.user import Buffer

_MAJOR_LOCAL: Final = 240
SIDES: Final = SystemSetting(b"kernel/dice_sides", [6], 2, 100)


@final
class DiceFile(File):
    """An open /dev/dice."""

    def read(self, buffer: Buffer) -> int:
        number = (random.word() & 0xFFFF_FFFF) % SIDES.value + 1
        return buffer.put_bytes(f"{number}\n".encode())


def _open(path: Path, flags: int) -> File:
    return DiceFile(path, flags)


register_char_device(_MAJOR_LOCAL, 1, b"dice", _open)
