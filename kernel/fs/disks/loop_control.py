"""The commands of loop devices, and /dev/loop-control (loop(4)).

Context: sleeps.
"""

from typing import Final, Literal

from kernel.block.registry import remove_device, tell_change
from kernel.cache.devices import forget_device
from kernel.fs.devices.filesystem import register_char_device
from kernel.fs.disks.block_file import COMMANDS, BlockFile, DeviceCommands
from kernel.fs.disks.loop import (
    DEVICE_LIMIT,
    FIRST_DEVICES,
    LO_FLAGS_AUTOCLEAR,
    LO_FLAGS_DIRECT_IO,
    LO_FLAGS_PARTSCAN,
    LO_FLAGS_READ_ONLY,
    LoopDevice,
    add_loop_device,
    free_index,
    loop_device,
)
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.lang import (
    EACCES,
    EBADF,
    EBUSY,
    EEXIST,
    EINVAL,
    ENODEV,
    ENOTTY,
    ENXIO,
    EOVERFLOW,
    EPERM,
    Array,
    Errno,
    UserAddr,
    bytes_of,
    final,
    struct,
    u8,
    u32,
)
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.ids import ROOT_USER
from kernel.mm.frames import PAGE_SIZE
from kernel.task import current

LOOP_SET_FD: Final = 0x4C00
LOOP_CLR_FD: Final = 0x4C01
LOOP_SET_STATUS64: Final = 0x4C04
LOOP_GET_STATUS64: Final = 0x4C05
LOOP_CHANGE_FD: Final = 0x4C06
LOOP_SET_CAPACITY: Final = 0x4C07
LOOP_SET_DIRECT_IO: Final = 0x4C08
LOOP_SET_BLOCK_SIZE: Final = 0x4C09
LOOP_CONFIGURE: Final = 0x4C0A
LOOP_CTL_ADD: Final = 0x4C80
LOOP_CTL_REMOVE: Final = 0x4C81
LOOP_CTL_GET_FREE: Final = 0x4C82

_SETTABLE: Final = LO_FLAGS_AUTOCLEAR | LO_FLAGS_PARTSCAN
_CONFIGURABLE: Final = _SETTABLE | LO_FLAGS_READ_ONLY | LO_FLAGS_DIRECT_IO
_MISC_MAJOR: Final = 10
_CONTROL_MINOR: Final = 237


@struct
class RawLoopInfo:
    """struct loop_info64."""

    device: int
    inode: int
    backing_device: int
    offset: int
    size_limit: int
    number: u32
    encrypt_type: u32
    encrypt_key_size: u32
    flags: u32
    file_name: Array[u8, Literal[64]]
    crypt_name: Array[u8, Literal[64]]
    encrypt_key: Array[u8, Literal[32]]
    init: Array[int, Literal[2]]


@struct
class RawLoopConfiguration:
    """struct loop_config."""

    descriptor: u32
    block_size: u32
    info: RawLoopInfo
    reserved: Array[int, Literal[8]]


def loop_command(file: BlockFile, device: LoopDevice, command: int, argument: int) -> int:
    """A command of an open loop device."""
    if command == LOOP_SET_FD:
        _bind(file, device, argument & 0xFFFF_FFFF, 0)
        tell_change(device, b"")
        return 0
    if command == LOOP_CONFIGURE:
        return _configure(file, device, argument)
    if command not in (
        LOOP_CLR_FD,
        LOOP_SET_STATUS64,
        LOOP_GET_STATUS64,
        LOOP_CHANGE_FD,
        LOOP_SET_CAPACITY,
        LOOP_SET_DIRECT_IO,
        LOOP_SET_BLOCK_SIZE,
    ):
        raise Errno(ENOTTY if command & 0xFF00 != 0x4C00 else EINVAL)
    backing = device.file
    if backing is None or device.is_leaving or device.is_closing:
        raise Errno(ENXIO)
    if command == LOOP_GET_STATUS64:
        _tell_status(device, backing, argument)
        return 0
    if not file.writable and not current().credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    if command == LOOP_CLR_FD:
        device.unbind()
    elif command == LOOP_CHANGE_FD:
        # No sleep may come between the look at the chain of devices and the change: two changes at once could close it
        # into a circle.
        device.wait_until_idle()
        fresh = _backing_file(device, argument & 0xFFFF_FFFF)
        device.exchange_file(fresh, backing_size(fresh))
    elif command == LOOP_SET_STATUS64:
        raw = RawLoopInfo()
        user.read_struct(UserAddr(argument), bytes_of(raw))
        _set_status(device, raw, _SETTABLE)
    elif command == LOOP_SET_CAPACITY:
        device.resize(backing_size(backing))
    elif command == LOOP_SET_BLOCK_SIZE:
        _set_block_size(device, argument)
    else:
        device.set_direct(argument != 0)
    return 0


def backing_size(file: File) -> int:
    """Bytes of a file or device."""
    if isinstance(file, BlockFile):
        return file.size_bytes()
    return file.inode.size


def _bind(file: BlockFile, device: LoopDevice, descriptor: int, flags: int) -> None:
    if device.file is not None:
        current().files.get(descriptor)
        raise Errno(EBUSY)
    backing = _backing_file(device, descriptor)
    read_only = not backing.writable or not file.writable or flags & LO_FLAGS_READ_ONLY != 0
    device.bind(backing, backing_size(backing), read_only)


def _backing_file(device: LoopDevice, descriptor: int) -> File:
    """The file to bind a device to. Raises EBADF, EINVAL."""
    backing = current().files.get(descriptor)
    if isinstance(backing, BlockFile):
        _check_chain(device, backing)
    elif not backing.inode.is_regular():
        raise Errno(EINVAL)
    if not backing.readable:
        raise Errno(EBADF)
    return backing


def _check_chain(device: LoopDevice, backing: BlockFile) -> None:
    """A loop device must not lead to itself: EBADF."""
    below: File | None = backing
    while isinstance(below, BlockFile):
        disk = below.device
        if disk.whole is not None:
            disk = disk.whole
        if disk is device:
            raise Errno(EBADF)
        below = disk.file if isinstance(disk, LoopDevice) else None


def _set_block_size(device: LoopDevice, size: int) -> None:
    if size < 512 or size > PAGE_SIZE or size & (size - 1) != 0:
        raise Errno(EINVAL)
    if device.claimed or device.openers > 1:
        raise Errno(EBUSY)
    device.logical_block_size = size
    device.physical_block_size = size
    device.find_way(wanted=False)


def _set_status(device: LoopDevice, raw: RawLoopInfo, settable: int) -> None:
    if raw.encrypt_type != 0 or raw.encrypt_key_size > 32:
        raise Errno(EINVAL)
    if raw.offset < 0 or raw.size_limit < 0:
        raise Errno(EOVERFLOW)
    device.move(raw.offset, raw.size_limit)
    device.file_name = raw.file_name.span().to_bytes()
    had_partitions = device.flags & LO_FLAGS_PARTSCAN != 0
    device.flags = device.flags & ~_SETTABLE | raw.flags & _SETTABLE & settable
    if device.flags & LO_FLAGS_PARTSCAN != 0 and not had_partitions:
        device.look_for_partitions()


def _configure(file: BlockFile, device: LoopDevice, argument: int) -> int:
    raw = RawLoopConfiguration()
    user.read_struct(UserAddr(argument), bytes_of(raw))
    if raw.info.flags & ~_CONFIGURABLE != 0:
        raise Errno(EINVAL)
    if raw.block_size != 0 and (
        raw.block_size < 512 or raw.block_size > PAGE_SIZE or raw.block_size & (raw.block_size - 1) != 0
    ):
        raise Errno(EINVAL)
    _bind(file, device, raw.descriptor, raw.info.flags)
    bound = False
    try:
        size = raw.block_size if raw.block_size != 0 else 512
        device.logical_block_size = size
        device.physical_block_size = size
        device.show_part(raw.info.offset, raw.info.size_limit)
        tell_change(device, b"")
        _set_status(device, raw.info, _SETTABLE)
        device.find_way(raw.info.flags & LO_FLAGS_DIRECT_IO != 0)
        bound = True
    finally:
        if not bound:
            device.clear()
    return 0


def _tell_status(device: LoopDevice, backing: File, argument: int) -> None:
    raw = RawLoopInfo()
    raw.device = backing.inode.file_system.device
    raw.inode = backing.inode.ino
    raw.backing_device = backing.inode.rdev if isinstance(backing, BlockFile) else 0
    raw.offset = device.offset
    raw.size_limit = device.size_limit
    raw.number = device.index
    raw.flags = device.flags
    for i in range(64):
        raw.file_name[i] = device.file_name[i]
    user.write_from(UserAddr(argument), bytes_of(raw))


@final
class LoopControl(File):
    """An open /dev/loop-control."""

    def ioctl(self, command: int, argument: int) -> int:
        if command == LOOP_CTL_GET_FREE:
            return free_index()
        if command == LOOP_CTL_ADD:
            if argument < 0:
                return free_index()
            if argument >= DEVICE_LIMIT:
                raise Errno(EINVAL)
            if loop_device(argument) is not None:
                raise Errno(EEXIST)
            add_loop_device(argument)
            return argument
        if command == LOOP_CTL_REMOVE:
            device = loop_device(argument) if 0 <= argument < DEVICE_LIMIT else None
            if device is None:
                raise Errno(ENODEV)
            if device.file is not None or device.openers > 0 or device.claimed:
                raise Errno(EBUSY)
            remove_device(device)
            forget_device(device)
            return 0
        raise Errno(ENOTTY)


def _open_control(path: Path, flags: int) -> File:
    if current().credentials.euid != ROOT_USER:
        raise Errno(EACCES)
    return LoopControl(path, flags)


@final
class LoopCommands(DeviceCommands):
    """Tells loop devices from other devices."""

    def run(self, file: BlockFile, command: int, argument: int) -> int:
        device = file.device
        if isinstance(device, LoopDevice):
            return loop_command(file, device, command, argument)
        return device.ioctl(command, argument)


def start() -> None:
    """Create the first devices. Raises MemoryError."""
    for index in range(FIRST_DEVICES):
        add_loop_device(index)


register_char_device(_MISC_MAJOR, _CONTROL_MINOR, b"loop-control", _open_control)
COMMANDS.handler = LoopCommands()
