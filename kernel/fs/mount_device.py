"""mount(2) of file systems that lie on block devices: from a name like /dev/vda1 to an instance.

A device holds one instance, however often it is mounted. Meanwhile it is claimed: opens with O_EXCL, loop devices and
other types of file systems get EBUSY.

Context: sleeps (the file system reads its superblock).
"""

from kernel.block.device import BLOCK_DEVICES, BlockDevice
from kernel.fs.constants import MS_NODEV, S_IFBLK, S_IFMT
from kernel.fs.filesystem import FileSystem, FileSystemType
from kernel.fs.path import MOUNTS, FsContext
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import EACCES, EBUSY, EINVAL, ENOTBLK, ENXIO, Errno


def find_block_device(context: FsContext, name: bytes) -> BlockDevice:
    """The device that a node stands for. Raises what a walk raises, ENOTBLK, EACCES (nodev), ENXIO."""
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


def filesystem_on(
    device: BlockDevice, kind: FileSystemType, source: bytes, options: bytes, read_only: bool
) -> FileSystem:
    """The instance of a type on a device: the one that is mounted already, or a new one, which has claimed the device.

    Raises EBUSY (somebody else uses the device, or it is mounted writable and should not be, or the reverse), EACCES
    (the device is read-only), and what the type raises.
    """
    for mount in MOUNTS.values():
        existing = mount.file_system
        if existing.block_device is device:
            if existing.type_name != kind.name or existing.read_only != read_only:
                raise Errno(EBUSY)
            return existing
    make = kind.mount_device
    if make is None:
        raise Errno(EINVAL)
    if device.read_only and not read_only:
        raise Errno(EACCES)
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
    file_system.lie_on(device)
    return file_system
