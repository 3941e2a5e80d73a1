"""mount(2) of file systems that lie on block devices: from a name like /dev/vda1 to an instance.

A device holds one instance, however often it is mounted, and also while only open files or fspick(2) hold it. Until it
ends, the device is claimed: opens with O_EXCL, loop devices and other types of file systems get EBUSY.

Context: sleeps (the file system reads its superblock).
"""

from kernel.block.device import BLOCK_DEVICES, BlockDevice
from kernel.cgroup.programs import DEVICE_PROGRAMS
from kernel.fs.constants import MAY_READ, MAY_WRITE, MS_NODEV, MS_RDONLY, S_IFBLK, S_IFMT
from kernel.fs.device_guard import check_device
from kernel.fs.filesystem import FileSystem, FileSystemType
from kernel.fs.path import ON_DEVICES, FsContext, end_filesystem
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import EACCES, EBUSY, EINVAL, ENOTBLK, ENXIO, Errno, noinline


def find_block_device(context: FsContext, name: bytes) -> BlockDevice:
    """The device of a device node. Raises what a walk raises, ENOTBLK, EACCES (nodev), ENXIO."""
    if len(name) == 0:
        raise Errno(EINVAL)
    path = resolve(context, None, name, FOLLOW)
    inode = path.inode()
    if inode.mode & S_IFMT != S_IFBLK:
        raise Errno(ENOTBLK)
    if path.mount.flags & MS_NODEV != 0 or not inode.file_system.opens_devices:
        raise Errno(EACCES)
    device = BLOCK_DEVICES.get(inode.rdev)
    if device is None:
        raise Errno(ENXIO)
    return device


def filesystem_on(device: BlockDevice, kind: FileSystemType, source: bytes, options: bytes, flags: int) -> FileSystem:
    """The instance of a type on a device: the mounted one, or a new one, which has claimed the device and has the flags
    (MS_RDONLY, MS_SYNCHRONOUS, MS_DIRSYNC).

    Raises EBUSY (somebody else uses the device, or it is mounted writable and should not be, or the reverse), EACCES
    (the device is read-only), EPERM (the thread's control group may not use it), and what the type raises.
    """
    read_only = flags & MS_RDONLY != 0
    existing = ON_DEVICES.get(device.number)
    if existing is not None and existing.block_device is device and existing.mounts > 0:
        if existing.type_name != kind.name or existing.read_only != read_only:
            raise Errno(EBUSY)
        return existing
    make = kind.mount_device
    if make is None:
        raise Errno(EINVAL)
    if device.read_only and not read_only:
        raise Errno(EACCES)
    if DEVICE_PROGRAMS.count != 0:
        _ask_group(device, read_only)
    device.claim()
    device.opened()
    made = False
    try:
        file_system = make(device, options, read_only)
        made = True
    finally:
        if not made:
            device.unclaim()
            device.closed()
    file_system.source = source
    file_system.read_only = read_only
    file_system.take_flags(flags)
    file_system.lie_on(device)
    try:
        ON_DEVICES[device.number] = file_system
    except MemoryError:
        end_filesystem(file_system)
        raise
    return file_system


@noinline
def _ask_group(device: BlockDevice, read_only: bool) -> None:
    """Check that the programs of the thread's control group permit it to use a device. They take safe points, in which
    the device may vanish. Raises EPERM, ENXIO, MemoryError.
    """
    check_device(S_IFBLK, device.number, MAY_READ if read_only else MAY_READ | MAY_WRITE)
    if BLOCK_DEVICES.get(device.number) is not device:
        raise Errno(ENXIO)
