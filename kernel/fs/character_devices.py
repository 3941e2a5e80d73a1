"""Character devices: which driver opens which device number (mknod(2), devices.txt).

Drivers call `devfs.register_char_device(major, minor, name, open)`, which enters them here and shows a node in
devtmpfs.
"""

from collections.abc import Callable
from typing import Final

from kernel.fs.constants import device_number
from kernel.fs.file import File
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.lang import ENXIO, Errno

OpenDevice = Callable[[Path, int], File]


class CharDevice:
    """A driver's entry."""

    def __init__(self, number: int, name: bytes, open_device: OpenDevice) -> None:
        self.number: int = number
        self.name: bytes = name
        self.open: OpenDevice = open_device


CHAR_DEVICES: Final[dict[int, CharDevice]] = {}


def enter_device(major: int, minor: int, name: bytes, open_device: OpenDevice) -> CharDevice:
    number = device_number(major, minor)
    device = CharDevice(number, name, open_device)
    CHAR_DEVICES[number] = device
    return device


def open_device(path: Path, inode: Inode, flags: int) -> File:
    """ENXIO if there is no driver."""
    device = CHAR_DEVICES.get(inode.rdev)
    if device is None:
        raise Errno(ENXIO)
    return device.open(path, flags)
