"""Character devices in /sys/devices, by the classes that Linux has them in: mem, tty, misc, virtio-ports,
watchdog.

Terminals of devpts are not listed, as on Linux.

Context: thread context.
Source: Linux's Documentation/ABI/testing/sysfs-tty for `active`.
"""

from typing import Final

from kernel.fs.character_devices import CHAR_DEVICES, CharDevice
from kernel.fs.constants import device_major, device_minor
from kernel.fs.sysfs.events import DeviceKobject
from kernel.fs.sysfs.kobject import KobjectLink
from kernel.lang import EINVAL, Errno, final
from kernel.tty.console import console_name

CLASSES: Final[list[bytes]] = [b"mem", b"misc", b"tty", b"virtio-ports", b"watchdog"]
_MEM_MAJOR: Final = 1
_TTY_MAJORS: Final = (4, 5)
_MISC_MAJOR: Final = 10
_FIRST_INO: Final = 1 << 44


def class_of(device: CharDevice) -> bytes:
    """The name of a device's class; empty for one that /sys does not show."""
    if len(device.name) == 0:
        return b""
    if len(device.class_name) > 0:
        return device.class_name
    major = device_major(device.number)
    if major == _MEM_MAJOR:
        return b"mem"
    if major in _TTY_MAJORS:
        return b"tty"
    return b"misc" if major == _MISC_MAJOR else b"virtio-ports"


def character_path(device: CharDevice) -> bytes:
    """Where a device is, below /sys/devices."""
    place = device.place
    return (b"virtual" if place is None else place.path) + b"/" + class_of(device) + b"/" + device.sys_name


@final
class CharacterKobject(DeviceKobject):
    """A character device."""

    def __init__(self, device: CharDevice) -> None:
        super().__init__(character_path(device), _FIRST_INO | device.number << 8)
        self.subsystem = b"class/" + class_of(device)
        self.device: CharDevice = device

    def attributes(self) -> list[bytes]:
        names = [b"active", b"dev"] if self.device.name == b"console" else [b"dev"]
        more = self.device.attributes
        if more is not None:
            names.extend(more.names())
        return names

    def mode(self, attribute: bytes) -> int:
        more = self.device.attributes
        return 0o444 if more is None or attribute == b"dev" else more.mode(attribute)

    def text(self, attribute: bytes) -> bytes:
        if attribute == b"dev":
            return numbers_of(self.device.number) + b"\n"
        more = self.device.attributes
        return console_name() + b"\n" if more is None else more.text(attribute)

    def store(self, attribute: bytes, text: bytes) -> None:
        more = self.device.attributes
        if more is None:
            raise Errno(EINVAL)
        more.store(attribute, text)

    def properties(self) -> bytes:
        device = self.device
        number = device.number
        text = f"MAJOR={device_major(number)}\nMINOR={device_minor(number)}\nDEVNAME=".encode() + device.name + b"\n"
        mode = device.usual_mode()
        return text if mode == 0 else text + f"DEVMODE=0{mode:o}\n".encode()

    def links(self) -> list[KobjectLink]:
        place = self.device.place
        return [] if place is None else [KobjectLink(b"device", b"devices/" + place.path)]


def numbers_of(number: int) -> bytes:
    """A device number as /sys has it."""
    return f"{device_major(number)}:{device_minor(number)}".encode()


def characters_of(class_name: bytes) -> list[CharDevice]:
    """The devices of a class."""
    found: list[CharDevice] = []
    for device in CHAR_DEVICES.values():
        if class_of(device) == class_name:
            found.append(device)
    return found
