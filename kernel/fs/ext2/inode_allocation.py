"""Allocating and freeing inodes.

A file goes to the group of its directory. Directories at the top go to the emptiest groups, so that each tree has room
around it; those below stay near their parents as long as there is room (the Orlov allocator).

Context: sleeps while a bitmap is read; a bit is found and set without a sleep in between.
"""

from kernel.fs.ext2 import bitmap
from kernel.fs.ext2.layout import ROOT_INODE
from kernel.fs.ext2.owed import OwedKind
from kernel.fs.ext2.volume import GROUP_COST, Volume
from kernel.lang import EIO, ENOSPC, EROFS, Errno
from kernel.lib.pace import pace


def group_of_inode(volume: Volume, ino: int) -> int:
    return (ino - 1) // volume.geometry.inodes_per_group


def allocate_inode(volume: Volume, parent: int, is_directory: bool) -> int:
    """Take a free inode for a child of directory `parent`. Raises ENOSPC, EROFS, EIO."""
    while True:
        if volume.read_only:
            raise Errno(EIO if volume.is_aborted else EROFS)
        if volume.free_inodes == 0:
            raise Errno(ENOSPC)
        ino = _take_inode(volume, parent, is_directory)
        if ino != 0:
            return ino
        if not volume.settle():
            raise Errno(ENOSPC)


def _take_inode(volume: Volume, parent: int, is_directory: bool) -> int:
    """As `allocate_inode`; 0 if all bits are set."""
    geometry = volume.geometry
    home = group_of_inode(volume, parent)
    if is_directory:
        start = _top_directory_group(volume, home) if parent == ROOT_INODE else _directory_group(volume, home)
    else:
        start = _file_group(volume, home, parent)
    for step in range(geometry.group_count):
        group = (start + step) % geometry.group_count
        pace(GROUP_COST)
        if volume.descriptor(group).free_inodes_count == 0:
            continue
        with volume.blocks.block(volume.inode_bitmap(group)) as block:
            bits = block.span()
            first = max(geometry.first_inode - 1 if group == 0 else 0, volume.inode_hints[group])
            index = bitmap.find_clear_bit(bits, first, geometry.inodes_per_group)
            if index == bitmap.NONE:
                continue
            bitmap.set_bit(bits, index)
            volume.inode_hints[group] = index + 1
            block.mark_dirty()
        descriptor = volume.descriptor(group)
        descriptor.free_inodes_count = max(0, descriptor.free_inodes_count - 1)
        volume.free_inodes = max(0, volume.free_inodes - 1)
        if is_directory:
            _count_directories(volume, group, 1)
        volume.descriptor_block(group).mark_dirty()
        return group * geometry.inodes_per_group + index + 1
    return 0


def give_inode_back(volume: Volume, ino: int, is_directory: bool) -> None:
    """`free_inode`, or later if there is no memory. Raises EIO, EUCLEAN."""
    try:
        free_inode(volume, ino, is_directory)
    except MemoryError:
        volume.owed.add(OwedKind.INODE, ino, int(is_directory))


def free_inode(volume: Volume, ino: int, is_directory: bool) -> None:
    """Give an inode back, to be used once that has settled. Raises EUCLEAN if it was not in use, MemoryError."""
    geometry = volume.geometry
    group = group_of_inode(volume, ino)
    index = (ino - 1) % geometry.inodes_per_group
    with volume.blocks.block(volume.inode_bitmap(group)) as block:
        if not bitmap.test_bit(block.span(), index) or not volume.freed_inodes.add(group, index):
            raise volume.damaged(f"inode {ino} is freed twice")
    volume.free_inodes += 1
    if is_directory:
        _count_directories(volume, group, -1)
        volume.descriptor_block(group).mark_dirty()


def _count_directories(volume: Volume, group: int, change: int) -> None:
    """Change the counts, which may be wrong on a damaged disk, within their limits."""
    limit = volume.geometry.inodes_per_group
    descriptor = volume.descriptor(group)
    descriptor.used_directories_count = max(0, min(descriptor.used_directories_count + change, limit))
    volume.directories = max(0, volume.directories + change)


def _top_directory_group(volume: Volume, home: int) -> int:
    """The group with the fewest directories among those with more free inodes and blocks than most."""
    groups = volume.geometry.group_count
    inodes = volume.free_inodes // groups
    blocks = volume.free_blocks // groups
    best = home
    fewest = volume.geometry.inode_count + 1
    for group in range(groups):
        pace(GROUP_COST)
        descriptor = volume.descriptor(group)
        if descriptor.free_inodes_count == 0 or descriptor.used_directories_count >= fewest:
            continue
        if descriptor.free_inodes_count >= inodes and descriptor.free_blocks_count >= blocks:
            best = group
            fewest = descriptor.used_directories_count
    return best


def _directory_group(volume: Volume, home: int) -> int:
    """The nearest group from `home` on that is not much fuller than the average."""
    geometry = volume.geometry
    groups = geometry.group_count
    inodes = max(1, volume.free_inodes // groups - geometry.inodes_per_group // 4)
    blocks = max(1, volume.free_blocks // groups - geometry.blocks_per_group // 4)
    directories = volume.directories // groups + geometry.inodes_per_group // 16
    for step in range(groups):
        pace(GROUP_COST)
        group = (home + step) % groups
        descriptor = volume.descriptor(group)
        if descriptor.used_directories_count >= directories or descriptor.free_inodes_count < inodes:
            continue
        if descriptor.free_blocks_count >= blocks:
            return group
    return home


def _file_group(volume: Volume, home: int, parent: int) -> int:
    """The directory's group, or one with room that depends on the directory, so that its files stay together."""
    groups = volume.geometry.group_count
    group = home
    if _has_room(volume, group):
        return group
    group = (home + parent) % groups
    step = 1
    while step < groups:
        group = (group + step) % groups
        if _has_room(volume, group):
            return group
        step *= 2
    return home


def _has_room(volume: Volume, group: int) -> bool:
    descriptor = volume.descriptor(group)
    return descriptor.free_inodes_count > 0 and descriptor.free_blocks_count > 0
