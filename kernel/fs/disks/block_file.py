"""Open block devices: /dev/vda as a file of its device's size, through the device's page cache.

Context: everything sleeps.
Source: ioctl_list(2), linux/fs.h for the commands' numbers.
"""

from typing import Final

from kernel.block.device import BLOCK_DEVICES, SECTOR_SHIFT, SECTOR_SIZE, SWAP_DEVICES, BlockDevice, Operation, flush
from kernel.block.ranges import discard, zero_out
from kernel.cache import FileCache, Readahead, SyncScope, device_cache, file_io
from kernel.cache.devices import sync_device
from kernel.cache.direct import read_direct, write_direct
from kernel.cache.dirty_pages import LAST_PAGE
from kernel.fs.cache_count import count_pages
from kernel.fs.constants import (
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    FALLOC_FL_ZERO_RANGE,
    O_APPEND,
    O_DIRECT,
    O_DSYNC,
    O_EXCL,
    SEEK_CUR,
    SEEK_END,
    SEEK_SET,
)
from kernel.fs.direct_io import advise, check_alignment
from kernel.fs.disks.partition_commands import change_partition
from kernel.fs.disks.scan import scan_again
from kernel.fs.file import File, add_offset
from kernel.fs.inode import CachedPages
from kernel.fs.open import SPECIAL
from kernel.fs.path import Path
from kernel.lang import (
    EACCES,
    EBADF,
    EINVAL,
    ENOSPC,
    ENOTTY,
    ENXIO,
    EOPNOTSUPP,
    EPERM,
    ETXTBSY,
    Errno,
    UserAddr,
    final,
)
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.saturation import end_page_of
from kernel.lib.user import Buffer
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT
from kernel.mm.objects import MemoryObject
from kernel.task import current

HDIO_GETGEO: Final = 0x0301
BLKROSET: Final = 0x125D
BLKPG: Final = 0x1269
BLKRRPART: Final = 0x125F
BLKFLSBUF: Final = 0x1261
BLKRASET: Final = 0x1262
BLKFRASET: Final = 0x1264
BLKBSZSET: Final = 0x4008_1271
BLKDISCARD: Final = 0x1277
BLKSECDISCARD: Final = 0x127D
BLKZEROOUT: Final = 0x127F

_READAHEAD_LIMIT: Final = 1 << 20  # sectors that BLKRASET may ask for


def open_block_device(path: Path, flags: int) -> File:
    """Raises ENXIO (no such device), EBUSY (O_EXCL, and it is in use)."""
    device = BLOCK_DEVICES.get(path.inode().rdev)
    if device is None:
        raise Errno(ENXIO)
    exclusive = flags & O_EXCL != 0
    if exclusive:
        device.claim()
    opened = False
    try:
        file = BlockFile(path, flags & ~O_EXCL, device, exclusive)
        opened = True
    finally:
        if exclusive and not opened:
            device.unclaim()
    return file


@final
class BlockFile(File):
    """An open description of a device."""

    def __init__(self, path: Path, flags: int, device: BlockDevice, exclusive: bool) -> None:
        self.cache: FileCache = device_cache(device)
        self.readahead: Readahead = Readahead()
        super().__init__(path, flags)
        self.seekable = True
        self.device: BlockDevice = device
        self.exclusive: bool = exclusive
        self.seen_failures: int = self.cache.told_failures
        device.opened()

    def close(self) -> None:
        if self.exclusive:
            self.device.unclaim()
        self.device.closed()

    def is_swap_area(self) -> bool:
        return len(SWAP_DEVICES) > 0 and self.device.number in SWAP_DEVICES

    def size_bytes(self) -> int:
        return self.device.sectors << SECTOR_SHIFT

    # ---- Data -------------------------------------------------------------------------------------------------

    def read(self, buffer: Buffer) -> int:
        offset = self.position
        done = self.pread(buffer, offset)
        self.position = offset + done  # fits: what was read lies on the device
        return done

    def pread(self, buffer: Buffer, offset: int) -> int:
        if self.flags & O_DIRECT != 0:
            return self.pread_direct(buffer, offset)
        return file_io.read_at(self.cache, buffer, offset, self.readahead)

    def pread_direct(self, buffer: Buffer, offset: int) -> int:
        if buffer.remaining > 0 and offset < self.size_bytes():
            check_alignment(self.device, buffer, offset)
        return read_direct(self.cache, buffer, offset)

    def write(self, buffer: Buffer) -> int:
        offset = self.size_bytes() if self.flags & O_APPEND != 0 else self.position
        done = self.pwrite(buffer, offset)
        self.position = offset + done  # fits: what was written lies on the device
        return done

    def pwrite(self, buffer: Buffer, offset: int) -> int:
        return self._pwrite(buffer, offset, self.flags & O_DIRECT != 0)

    def pwrite_direct(self, buffer: Buffer, offset: int) -> int:
        return self._pwrite(buffer, offset, is_direct=True)

    def _pwrite(self, buffer: Buffer, offset: int, is_direct: bool) -> int:
        if self.device.read_only:
            raise Errno(EPERM)
        if self.is_swap_area():
            raise Errno(ETXTBSY)
        if buffer.remaining == 0:
            return 0
        if offset >= self.size_bytes():
            raise Errno(ENOSPC)
        buffer.remaining = min(buffer.remaining, self.size_bytes() - offset)  # fits: 0 <= offset < size
        if is_direct:
            check_alignment(self.device, buffer, offset)
            done = write_direct(self.cache, buffer, offset)
        else:
            done = file_io.write_at(self.cache, buffer, offset)
        if done > 0 and self.flags & O_DSYNC != 0:
            self.cache.write_range(offset >> PAGE_SHIFT, end_page_of(offset, done))
            flush(self.device)
        return done

    def seek(self, offset: int, whence: int) -> int:
        if whence == SEEK_SET:
            target = offset
        elif whence == SEEK_CUR:
            target = add_offset(self.position, offset)
        elif whence == SEEK_END:
            target = add_offset(self.size_bytes(), offset)
        else:
            raise Errno(EINVAL)
        if target < 0 or target > self.size_bytes():
            raise Errno(EINVAL)
        self.position = target
        return target

    def fsync(self) -> None:
        try:
            self.cache.sync_for(self.seen_failures, 0, LAST_PAGE, SyncScope.ALL)
        finally:
            self.seen_failures = self.cache.failures

    def sync_range(self, first_page: int, end_page: int, flags: int) -> None:
        self.cache.sync_range(first_page, end_page, flags)

    def advise(self, advice: int, offset: int, length: int) -> None:
        advise(self.cache, self.readahead, advice, offset, length)

    def cached_pages(self, first: int, end: int) -> CachedPages:
        return count_pages(self.cache, first, end)

    def allocate(self, mode: int, offset: int, length: int) -> None:
        """fallocate(2): zeros, or a hole, which reads as zeros too."""
        size = self.size_bytes()
        keeps_size = mode & FALLOC_FL_KEEP_SIZE != 0
        kind = mode & ~FALLOC_FL_KEEP_SIZE
        if kind not in (0, FALLOC_FL_ZERO_RANGE, FALLOC_FL_PUNCH_HOLE):
            raise Errno(EOPNOTSUPP)
        if offset < 0 or offset >= size or (length > size - offset and not keeps_size):
            raise Errno(EINVAL)
        length = min(length, size - offset)
        if (offset | length) & (self.device.logical_block_size - 1) != 0:
            raise Errno(EINVAL)
        if kind == 0 or (kind == FALLOC_FL_PUNCH_HOLE and not keeps_size):
            raise Errno(EOPNOTSUPP)
        if kind == FALLOC_FL_PUNCH_HOLE and self.device.zeroes_limit == 0:
            raise Errno(EOPNOTSUPP)
        clear_range(self, Operation.WRITE_ZEROES, offset, length)

    def memory_object(self) -> MemoryObject:
        return self.cache

    # ---- Commands ---------------------------------------------------------------------------------------------

    def ioctl(self, command: int, argument: int) -> int:
        device = self.device
        match command:
            case 0x1260:  # BLKGETSIZE
                user.write_i64(UserAddr(argument), device.sectors)
            case 0x8008_1272:  # BLKGETSIZE64
                user.write_i64(UserAddr(argument), device.sectors << SECTOR_SHIFT)
            case 0x1268:  # BLKSSZGET
                user.write_i32(UserAddr(argument), device.logical_block_size)
            case 0x127B | 0x1278:  # BLKPBSZGET, BLKIOMIN
                user.write_i32(UserAddr(argument), device.physical_block_size)
            case 0x1279 | 0x127A | 0x127C:  # BLKIOOPT, BLKALIGNOFF, BLKDISCARDZEROES
                user.write_i32(UserAddr(argument), 0)
            case 0x127E:  # BLKROTATIONAL
                user.write_u16(UserAddr(argument), 1)
            case 0x1267:  # BLKSECTGET
                user.write_u16(
                    UserAddr(argument), min(device.largest_joined_transfer << (PAGE_SHIFT - SECTOR_SHIFT), 0xFFFF)
                )
            case 0x8008_1270:  # BLKBSZGET
                user.write_i32(UserAddr(argument), device.soft_block_size)
            case 0x1263 | 0x1265:  # BLKRAGET, BLKFRAGET
                if argument == 0:
                    raise Errno(EINVAL)
                user.write_i64(UserAddr(argument), device.readahead_pages << (PAGE_SHIFT - SECTOR_SHIFT))
            case 0x8008_1280:  # BLKGETDISKSEQ
                whole = device.whole
                user.write_i64(UserAddr(argument), device.sequence if whole is None else whole.sequence)
            case 0x125E:  # BLKROGET
                user.write_i32(UserAddr(argument), 1 if device.read_only else 0)
            case _:
                return self._change(command, argument)
        return 0

    def _change(self, command: int, argument: int) -> int:
        """Commands that change something: root only."""
        device = self.device
        if command == HDIO_GETGEO:
            return self._geometry(argument)
        if command in (BLKDISCARD, BLKSECDISCARD, BLKZEROOUT):
            self._clear(command, argument)
            return 0
        if command not in (BLKROSET, BLKPG, BLKRRPART, BLKFLSBUF, BLKRASET, BLKFRASET, BLKBSZSET):
            return COMMANDS.handler.run(self, command, argument)
        if not current().credentials.capable(CAP_SYS_ADMIN):
            raise Errno(EACCES)
        if command == BLKROSET:
            device.set_read_only(user.read_i32(UserAddr(argument)) != 0)
        elif command == BLKRRPART:
            if device.partition_number != 0 or not device.may_have_partitions():
                raise Errno(EINVAL)
            scan_again(device)
        elif command == BLKPG:
            change_partition(device, argument)
        elif command == BLKFLSBUF:
            sync_device(device)
            self.cache.invalidate(0, LAST_PAGE)
        elif command == BLKBSZSET:
            size = user.read_i32(UserAddr(argument))
            if size < device.logical_block_size or size > PAGE_MASK + 1 or size & (size - 1) != 0:
                raise Errno(EINVAL)
            if not self.exclusive:
                device.claim()
                device.unclaim()
            device.soft_block_size = size
        else:
            if argument < 0 or argument > _READAHEAD_LIMIT:
                raise Errno(EINVAL)
            device.readahead_pages = argument >> (PAGE_SHIFT - SECTOR_SHIFT)
        return 0

    def _clear(self, command: int, argument: int) -> None:
        """BLKDISCARD, BLKSECDISCARD, BLKZEROOUT: each checks for errors in an order of its own."""
        if command != BLKDISCARD and not self.writable:
            raise Errno(EBADF)
        if command == BLKSECDISCARD:
            raise Errno(EOPNOTSUPP)
        start = user.read_i64(UserAddr(argument))
        length = user.read_i64(user.at(UserAddr(argument), 8))
        if command == BLKDISCARD:
            self.discard(start, length)
            return
        self._check_range(start, length, SECTOR_SIZE)
        clear_range(self, Operation.WRITE_ZEROES, start, length)

    def discard(self, start: int, length: int) -> None:
        """What the range holds is of no use any more. Raises EOPNOTSUPP, EBADF, EPERM, EINVAL, EIO, MemoryError."""
        if self.device.discard_limit == 0:
            raise Errno(EOPNOTSUPP)
        if not self.writable:
            raise Errno(EBADF)
        self._check_range(start, length, self.device.logical_block_size)
        clear_range(self, Operation.DISCARD, start, length)

    def _check_range(self, start: int, length: int, unit: int) -> None:
        """Raises EPERM, EINVAL unless a range of whole units may be cleared."""
        if self.device.read_only:
            raise Errno(EPERM)
        size = self.size_bytes()
        if start < 0 or length <= 0 or (start | length) & (unit - 1) != 0 or start > size or length > size - start:
            raise Errno(EINVAL)

    def _geometry(self, argument: int) -> int:
        """struct hd_geometry: heads, sectors, cylinders, first sector."""
        device = self.device
        whole = device.whole if device.whole is not None else device
        geometry = whole.geometry
        if geometry is None or geometry.heads == 0:
            raise Errno(ENOTTY)
        user.write_u8(UserAddr(argument), geometry.heads)
        user.write_u8(user.at(UserAddr(argument), 1), geometry.sectors)
        user.write_u16(user.at(UserAddr(argument), 2), geometry.cylinders & 0xFFFF)
        user.write_i64(user.at(UserAddr(argument), 8), device.first_sector)
        return 0


def clear_range(file: BlockFile, operation: Operation, start: int, length: int) -> None:
    """Discard bytes of a device, or fill them with zeros; drops what its cache has of them. Raises EIO."""
    first = start >> PAGE_SHIFT
    end = end_page_of(start, length)
    file.cache.write_range(first, end)
    if operation == Operation.DISCARD:
        discard(file.device, start >> SECTOR_SHIFT, length >> SECTOR_SHIFT)
    else:
        zero_out(file.device, start >> SECTOR_SHIFT, length >> SECTOR_SHIFT)
    file.cache.renounce(first, end)


class DeviceCommands:
    """Commands that not all devices have. Base class: only those of the device itself."""

    def run(self, file: BlockFile, command: int, argument: int) -> int:
        """Raises ENOTTY for unknown commands."""
        return file.device.ioctl(command, argument)


class Commands:
    """Holds what runs them; entered by loop devices."""

    def __init__(self) -> None:
        self.handler: DeviceCommands = DeviceCommands()


COMMANDS: Final = Commands()
SPECIAL.open_block_device = open_block_device
