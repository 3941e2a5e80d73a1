"""Character devices: which driver opens which device number (mknod(2), devices.txt).

Drivers call `register_char_device(major, minor, name, open)` (`devices/filesystem.py`), which enters them here, shows a
node in devtmpfs, and makes /sys show them.
"""

from collections.abc import Callable
from typing import Final

from kernel.fs.constants import device_number
from kernel.fs.file import File
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.lang import EINVAL, ENXIO, Errno
from kernel.lib.bus import BusDevice

OpenDevice = Callable[[Path, int], File]

_READ_WRITE_FOR_ALL: Final[list[bytes]] = [
    b"null", b"zero", b"full", b"random", b"urandom", b"tty", b"ptmx",
]  # fmt: skip


class DeviceAttributes:
    """The files in a device's directory of /sys, besides those that all devices have. Base class."""

    def names(self) -> list[bytes]:
        """Their names."""
        return []

    def mode(self, name: bytes) -> int:
        """The permissions of one."""
        return 0o444

    def text(self, name: bytes) -> bytes:
        """Its contents. Raises Errno."""
        return b""

    def store(self, name: bytes, text: bytes) -> None:
        """Handle a write to it. Raises Errno."""
        raise Errno(EINVAL)


class CharDevice:
    """A driver's entry."""

    def __init__(self, number: int, name: bytes, open_device: OpenDevice) -> None:
        self.number: int = number
        self.name: bytes = name  # of the node, which may lie in one sub-directory; empty: there is none
        self.sys_name: bytes = name  # in /sys
        self.class_name: bytes = b""  # in /sys; empty: that of its major number
        self.attributes: DeviceAttributes | None = None  # more files in /sys than all have
        self.open: OpenDevice = open_device
        self.place: BusDevice | None = None  # the device on a bus behind it; None: it exists in software only

    def usual_mode(self) -> int:
        """The mode of its node if that is not the usual 0600; 0 otherwise."""
        if self.name in _READ_WRITE_FOR_ALL:
            return 0o666
        return 0o644 if self.name == b"kmsg" or self.name == b"autofs" else 0


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
