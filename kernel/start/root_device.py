"""The root file system on a disk: which device `root=` names, and mounting it.

    root=/dev/vda1  root=vda1  root=254:1         a device
    root=UUID=…     root=LABEL=…                  an ext2, ext3 or ext4 file system
    root=PARTUUID=… root=PARTLABEL=…              a partition

On Linux the initial RAM disk handles UUID= and LABEL=; here the kernel does, so that none is needed.

Context: the boot thread; sleeps.
"""

from typing import Final

from kernel.block.device import BLOCK_DEVICES, BlockDevice
from kernel.fs.constants import MS_RDONLY, device_major, device_minor
from kernel.fs.disks.scan import PartitionDevice
from kernel.fs.ext2.probe import label_of, uuid_of
from kernel.fs.filesystem import FILE_SYSTEM_TYPES, FileSystem, FileSystemType, make_filesystem
from kernel.fs.mount_device import filesystem_on
from kernel.fs.mounts import attach_root, mount_filesystem
from kernel.fs.path import FsContext
from kernel.fs.walk import DIRECTORY, resolve
from kernel.lang import EACCES, EBADMSG, EINVAL, EIO, EROFS, EUCLEAN, Errno, panic
from kernel.lib import log
from kernel.lib.credentials import Credentials
from kernel.sched.wait import sleep_until
from kernel.start import command_line
from kernel.time.clock import NS_PER_SECOND, monotonic_ns

_RETRY_NS: Final = 100_000_000
FOREVER_S: Final = 1_000_000_000


def mount_disk_root(line: bytes) -> FsContext:
    """Mount what the command line's `root=` names as the first file system; returns the context of the first process.

    A root that cannot be mounted is a panic that lists the devices. Raises MemoryError.
    """
    name = command_line.value_of(line, b"root")
    if name is None:
        panic("no root= on the command line")
    device = find_root_device(name)
    if device is None and command_line.has_word(line, b"rootwait"):
        log.info("Waiting for root device " + log.printable(name))
        limit_s = command_line.number_of(line, b"rootwait", FOREVER_S)
        deadline_ns = monotonic_ns() + limit_s * NS_PER_SECOND
        while device is None and monotonic_ns() < deadline_ns:
            _pause()
            device = find_root_device(name)
    if device is None:
        panic(f"root={log.printable(name)}: there is no such device. {_devices_text()}")
    file_system = _mount(line, device)
    context = attach_root(file_system, Credentials())
    log.info(f"root: {log.printable(device.name)}, {log.printable(file_system.type_name)}")
    _mount_devices(context)
    return context


def _pause() -> None:
    try:
        sleep_until(monotonic_ns() + _RETRY_NS, interruptible=False)
    except Errno as error:
        panic(f"waiting for the root device: error {error.code}")


# ---- Which device ---------------------------------------------------------------------------------------------


def find_root_device(name: bytes) -> BlockDevice | None:
    """The device that a value of `root=` names, if it exists."""
    for device in BLOCK_DEVICES.values():
        if _is_named(device, name):
            return device
    return None


def _is_named(device: BlockDevice, name: bytes) -> bool:
    if name.startswith(b"UUID="):
        return device.sectors > 0 and uuid_of(device) == lower(unquoted(name[5:]))
    if name.startswith(b"LABEL="):
        label = unquoted(name[6:])
        return len(label) > 0 and device.sectors > 0 and label_of(device) == label
    if name.startswith(b"PARTUUID="):
        return isinstance(device, PartitionDevice) and device.uuid == lower(unquoted(name[9:]))
    if name.startswith(b"PARTLABEL="):
        return isinstance(device, PartitionDevice) and device.label == unquoted(name[10:])
    if name.startswith(b"/dev/"):
        return device.name == name[5:]
    if device.name == name:
        return True
    return f"{device_major(device.number)}:{device_minor(device.number)}".encode() == name


def unquoted(text: bytes) -> bytes:
    """Without the quotation marks that some boot loaders' files have."""
    if len(text) >= 2 and text[0] == ord('"') and text[len(text) - 1] == ord('"'):
        return text[1 : len(text) - 1]
    return text


def lower(text: bytes) -> bytes:
    """Hexadecimal digits in small letters."""
    result = bytearray()
    for byte in text:
        result.append(byte | 0x20 if ord("A") <= byte <= ord("Z") else byte)
    return bytes(result)


def _devices_text() -> str:
    if len(BLOCK_DEVICES) == 0:
        return "There are no disks"
    text = b""
    for device in BLOCK_DEVICES.values():
        if device.sectors > 0:
            text += b" " + device.name + f" ({device.sectors >> 11} MiB)".encode()
    return f"There are:{log.printable(text)}"


# ---- Mounting -------------------------------------------------------------------------------------------------


def _mount(line: bytes, device: BlockDevice) -> FileSystem:
    """Try the types that the command line allows; writable if it says `rw`, else read-only."""
    given = command_line.value_of(line, b"rootflags")
    options = given if given is not None else b""
    read_only = not command_line.last_of(line, b"rw", b"ro")
    if not read_only and device.read_only:
        log.warn("root: the device is read-only")
        read_only = True
    flags = MS_RDONLY if read_only else 0
    failure = 0
    for kind in _allowed_types(line):
        try:
            return filesystem_on(device, kind, b"/dev/" + device.name, options, flags)
        except Errno as error:
            failure = error.code
        if failure == EROFS or failure == EACCES:
            try:
                found = filesystem_on(device, kind, b"/dev/" + device.name, options, MS_RDONLY)
                log.warn("root: mounted read-only, because it cannot be written")
                return found
            except Errno as error:
                failure = error.code
    panic(f"root: {log.printable(device.name)} cannot be mounted: {_reason(failure)}. {_devices_text()}")


def _reason(failure: int) -> str:
    if failure == EIO:
        return "the disk cannot be read"
    if failure == EUCLEAN or failure == EBADMSG:
        return "the file system is damaged"
    if failure == EINVAL:
        return "it holds no file system of an allowed type, or an option of rootflags= is wrong"
    return f"error {failure}"


def _allowed_types(line: bytes) -> list[FileSystemType]:
    """Types for devices: those of `rootfstype=`, a list with commas, or all."""
    names = command_line.value_of(line, b"rootfstype")
    found: list[FileSystemType] = []
    for kind in FILE_SYSTEM_TYPES:
        if kind.needs_device and (names is None or kind.name in names.split(b",")):
            found.append(kind)
    return found


def _mount_devices(context: FsContext) -> None:
    """devtmpfs on /dev, as Linux does it, so that there is a console."""
    try:
        place = resolve(context, None, b"/dev", DIRECTORY)
        mount_filesystem(context, make_filesystem(b"devtmpfs", b"devtmpfs", b""), place, 0)
    except Errno as error:
        log.warn(f"root: no devices in /dev: error {error.code}")
