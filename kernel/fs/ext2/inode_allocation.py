"""Allocating and freeing inodes.

A file goes to the group of its directory. Directories at the top go to the emptiest groups, so that each tree has room
around it; those below stay near their parents as long as there is room (the Orlov allocator).

Context: sleeps while a bitmap is read; a bit is found and set without a sleep in between.
"""

from kernel.fs.ext2 import bitmap
from kernel.fs.ext2.layout import ROOT_INODE
from kernel.fs.ext2.volume import Volume
from kernel.lang import ENOSPC, EROFS, Errno


def group_of_inode(volume: Volume, ino: int) -> int:
    return (ino - 1) // volume.geometry.inodes_per_group


def allocate_inode(volume: Volume, parent: int, is_directory: bool) -> int:
    """Take a free inode for a child of directory `parent`. Raises ENOSPC, EROFS, EIO."""
    if volume.read_only:
        raise Errno(EROFS)
    if volume.free_inodes == 0:
        raise Errno(ENOSPC)
    geometry = volume.geometry
    home = group_of_inode(volume, parent)
    if is_directory:
        start = _top_directory_group(volume, home) if parent == ROOT_INODE else _directory_group(volume, home)
    else:
        start = _file_group(volume, home, parent)
    for step in range(geometry.group_count):
        group = (start + step) % geometry.group_count
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
        _count_inodes(volume, group, -1, 1 if is_directory else 0)
        return group * geometry.inodes_per_group + index + 1
    raise Errno(ENOSPC)


def free_inode(volume: Volume, ino: int, is_directory: bool) -> None:
    """Give an inode back. Raises EUCLEAN if it was not in use."""
    geometry = volume.geometry
    group = group_of_inode(volume, ino)
    index = (ino - 1) % geometry.inodes_per_group
    with volume.blocks.block(volume.inode_bitmap(group)) as block:
        bits = block.span()
        if not bitmap.test_bit(bits, index):
            raise volume.damaged(f"inode {ino} is freed twice")
        bitmap.clear_bit(bits, index)
        volume.inode_hints[group] = min(volume.inode_hints[group], index)
        block.mark_dirty()
    _count_inodes(volume, group, 1, -1 if is_directory else 0)


def _count_inodes(volume: Volume, group: int, change: int, directories: int) -> None:
    """Change the counts, which a damaged disk may have got wrong, within their limits."""
    limit = volume.geometry.inodes_per_group
    descriptor = volume.descriptor(group)
    descriptor.free_inodes_count = max(0, min(descriptor.free_inodes_count + change, limit))
    descriptor.used_directories_count = max(0, min(descriptor.used_directories_count + directories, limit))
    volume.descriptor_block(group).mark_dirty()
    volume.free_inodes = max(0, volume.free_inodes + change)
    volume.directories = max(0, volume.directories + directories)


def _top_directory_group(volume: Volume, home: int) -> int:
    """The group with the fewest directories among those with more free inodes and blocks than most."""
    groups = volume.geometry.group_count
    inodes = volume.free_inodes // groups
    blocks = volume.free_blocks // groups
    best = home
    fewest = volume.geometry.inode_count + 1
    for group in range(groups):
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
