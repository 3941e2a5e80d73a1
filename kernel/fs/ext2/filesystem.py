"""Mounting ext2, ext3 and ext4; the mounted instance.

ext2 is read and written. So is a file system with an empty journal (ext3) that is mounted as ext2: as in Linux's ext2,
the journal is left alone. File systems with further features are read-only: mounting them writable fails with EROFS. A
journal that must be replayed is not replayed: with `noload` the file system can be read as it stands.

While it is written, the super block says "not clean"; that is the first block to reach the device after mounting, and
"clean" is the last one before unmounting.

Context: sleeps.
"""

from typing import Final

from kernel.block.device import SECTOR_SHIFT, BlockDevice, flush
from kernel.cache import BlockCache, Plug, SyncScope
from kernel.cache.dirty_pages import LAST_PAGE
from kernel.fs.constants import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG
from kernel.fs.ext2.attributes_block import drop_attributes
from kernel.fs.ext2.block_allocation import discard_freed, free_blocks, free_metadata, trim_group
from kernel.fs.ext2.block_map import BlockMap
from kernel.fs.ext2.directory import Ext2Directory
from kernel.fs.ext2.file import Ext2File
from kernel.fs.ext2.geometry import Geometry, read_geometry
from kernel.fs.ext2.inode import Ext2Inode, end_inode, inode_block, inode_place
from kernel.fs.ext2.inode_allocation import allocate_inode, give_inode_back
from kernel.fs.ext2.instance import Ext2, Ext2Node
from kernel.fs.ext2.layout import (
    FLAG_DIRSYNC,
    FLAG_NOATIME,
    FLAG_NODUMP,
    INHERITED_FLAGS,
    ROOT_INODE,
    SUPER_BLOCK_SIZE,
    RawInode,
)
from kernel.fs.ext2.mount_options import Ext2Options
from kernel.fs.ext2.owed import Debtor, OwedKind
from kernel.fs.ext2.special import Ext2Special, Ext2Symlink
from kernel.fs.ext2.volume import Volume
from kernel.fs.filesystem import FILE_HANDLE_TYPE, FileSystem, Statistics, register_disk_filesystem
from kernel.fs.inode import Inode
from kernel.fs.marks import tell_damage
from kernel.fs.path import FsContext
from kernel.lang import EINVAL, EOPNOTSUPP, EROFS, ESTALE, Errno, struct_at
from kernel.lib import log
from kernel.lib.credentials import Credentials
from kernel.lib.linked import FIRST, NEXT
from kernel.lib.pace import pace
from kernel.mm.frames import SHORTAGE
from kernel.sched import Mutex, yield_now

_EXT2: Final = b"ext2"
_EXT3: Final = b"ext3"
_EXT4: Final = b"ext4"
_HANDLE_SIZE: Final = 8
_HANDLE_WITH_PARENT: Final = 2  # the same, then the directory
_MOST_SECTORS: Final = 1 << 40  # more than a file has
_LAST_TRIES: Final = 50  # to write everything before unmounting, if memory is short
# Instructions for an inode, for `pace`
_WAIT_COST: Final = 60  # instructions
_STORE_COST: Final = 1000  # to copy it to the inode table
_DROP_COST: Final = 1500  # to give it back
_DEPTH_LIMIT: Final = 4096  # of directories, in a tree that may be damaged


class Ext2FileSystem(Ext2):
    """A mounted instance."""

    def __init__(self, type_name: bytes, device: BlockDevice, volume: Volume, options: Ext2Options) -> None:
        super().__init__(type_name, b"/dev/" + device.name, volume, options)
        self.lie_on(device)
        self.disk: BlockDevice = device
        self.default_errors: int = volume.error_policy
        self.top: Ext2Directory | None = None
        self.sync_lock: Mutex = Mutex()
        self.settle_lock: Mutex = Mutex()
        self.read_only = True
        self.has_access_lists = True
        self.maps_owners = type_name == b"ext4"
        self.block_size = volume.geometry.block_size
        volume.holder = self
        self._use_options()

    def identity(self) -> bytes:
        return self.volume.super().uuid.span().to_bytes()

    def _use_options(self) -> None:
        options = self.mount_options
        volume = self.volume
        volume.error_policy = options.errors if options.errors >= 0 else self.default_errors
        if options.reserved_uid >= 0:
            volume.reserved_uid = options.reserved_uid
        if options.reserved_gid >= 0:
            volume.reserved_gid = options.reserved_gid
        volume.has_narrow_owners = options.has_narrow_owners
        volume.largest_directory_kib = options.largest_directory_kib

    def load_root(self) -> None:
        """Raises EUCLEAN unless there is a root directory."""
        node = self.inode(ROOT_INODE)
        if not isinstance(node, Ext2Directory):
            raise self.volume.refuse("the root is no directory")
        node.parent_ino = ROOT_INODE
        self.top = node

    def root(self) -> Inode:
        top = self.top
        if top is None:
            raise Errno(EINVAL)
        return top

    # ---- Inodes -----------------------------------------------------------------------------------------------

    def inode(self, ino: int) -> Ext2Node:
        known = self.find_known(ino)
        if known is not None:
            return known
        self.retire_some()
        volume = self.volume
        geometry = volume.geometry
        if not geometry.is_inode(ino) or (ino < geometry.first_inode and ino != ROOT_INODE):
            raise volume.damaged(f"a name leads to inode {ino}, which cannot have one")
        number, offset = inode_place(volume, ino)
        with inode_block(volume, number, ino) as block:
            # Somebody else may have loaded it during the sleep; from here on there is none.
            known = self.find_known(ino)
            if known is not None:
                return known
            raw_bytes = block.span()[offset : offset + geometry.inode_size]
            node = self._new_node(ino, struct_at(RawInode, raw_bytes, 0).mode)
            node.load(raw_bytes)
            node.is_needed = block.is_unwritten()
            if self.lost_track:
                node.lose_track()
            self.enter(node)
            return node

    def drops_inodes(self) -> bool:
        return True

    def report_damage(self, code: int, ino: int, generation: int) -> None:
        if self.marks is None:
            return
        if generation < 0 and ino != 0:
            known = self.find_known(ino)
            generation = 0 if known is None else known.version()
        handle = b"" if ino == 0 else ino.to_bytes(4, "little") + generation.to_bytes(4, "little")
        tell_damage(self, handle, code)

    def handle_of(self, inode: Inode) -> bytes:
        generation = inode.version()
        return inode.ino.to_bytes(4, "little") + generation.to_bytes(4, "little")

    def find_by_handle(self, kind: int, handle: bytes) -> Inode:
        if len(handle) < _HANDLE_SIZE or not FILE_HANDLE_TYPE <= kind <= _HANDLE_WITH_PARENT:
            raise Errno(ESTALE)
        ino = int.from_bytes(handle[:4], "little")
        generation = int.from_bytes(handle[4:8], "little")
        volume = self.volume
        geometry = volume.geometry
        if not geometry.is_inode(ino) or (ino < geometry.first_inode and ino != ROOT_INODE):
            raise Errno(ESTALE)
        node = self.find_known(ino)
        if node is None:
            number, offset = inode_place(volume, ino)
            with volume.blocks.block(number) as block:
                raw = struct_at(RawInode, block.span(), offset)
                if raw.links_count == 0 or raw.mode == 0:
                    raise Errno(ESTALE)
            node = self.inode(ino)
        # Without name or user it is about to be deleted, which sleeps. Generation 0 matches any: old programs, and NFS
        # for roots, pass it.
        is_ending = node.is_gone or (node.nlink == 0 and node.users == 0)
        if is_ending or (generation != 0 and node.version() != generation):
            raise Errno(ESTALE)
        return node

    def names_to(self, inode: Inode) -> list[bytes] | None:
        if not isinstance(inode, Ext2Directory):
            return None
        names: list[bytes] = []
        place = inode
        while place is not self.top:
            if place.nlink == 0 or len(names) > _DEPTH_LIMIT:
                raise Errno(ESTALE)
            above = self.inode(place.number_above())
            if not isinstance(above, Ext2Directory):
                raise Errno(ESTALE)
            names.append(above.name_of(place.ino))
            place = above
        names.reverse()
        return names

    def _new_node(self, ino: int, mode: int) -> Ext2Inode:
        kind = mode & S_IFMT
        if kind == S_IFREG:
            return Ext2File(self, ino, mode)
        if kind == S_IFDIR:
            return Ext2Directory(self, ino, mode)
        if kind == S_IFLNK:
            return Ext2Symlink(self, ino, mode)
        return Ext2Special(self, ino, mode)

    def new_inode(self, parent: Ext2Node, mode: int, credentials: Credentials) -> Ext2Node:
        volume = self.volume
        kind = mode & S_IFMT
        self.retire_some()
        ino = allocate_inode(volume, parent.ino, kind == S_IFDIR)
        try:
            known = self.find_known(ino)
        except MemoryError:
            give_inode_back(volume, ino, kind == S_IFDIR)
            raise
        if known is not None:
            raise volume.damaged(f"inode {ino} is in use but marked as free")
        try:
            node = self._new_node(ino, mode)
            self.enter(node)
        except MemoryError:
            give_inode_back(volume, ino, kind == S_IFDIR)
            raise
        node.generation = volume.new_generation()
        if isinstance(parent, Ext2Inode):
            node.flags = parent.flags & INHERITED_FLAGS
            if kind == S_IFREG:
                node.flags &= ~FLAG_DIRSYNC
            elif kind != S_IFDIR:
                node.flags &= FLAG_NODUMP | FLAG_NOATIME
        return node

    # ---- Writing ----------------------------------------------------------------------------------------------

    def write_back(self) -> None:
        try:
            if self.volume.read_only or not self.has_unsettled():
                self._write_inodes()
            else:
                self.settle()
        except Errno:
            log.error("ext2: inodes could not be written: the device fails")
        except MemoryError:
            log.error("ext2: inodes could not be written: no memory")

    def _dirty_nodes(self) -> list[Ext2Node]:
        """The inodes on the dirty list. Raises MemoryError."""
        found: list[Ext2Node] = []
        node = self.dirty[FIRST]
        while node is not None:
            found.append(node)
            node = node.dirty_links[NEXT]
        return found

    def _nodes_with_dirty_pages(self) -> list[Ext2Node]:
        """Inodes whose contents are not all on the device, the oldest first. Has safe points. Raises MemoryError."""
        found: list[Ext2Node] = []
        for node in self.known_nodes():
            if node.cache.dirty_count > 0 or node.cache.writing_count > 0:
                found.append(node)
        found.reverse()
        return found

    def _write_inodes(self) -> None:
        """Copy all changed inodes and counts to the block cache. Raises EIO."""
        if self.volume.read_only:
            return
        # The number of rounds is bounded: others go on changing inodes while this sleeps.
        for node in self._dirty_nodes():
            node.write_back()
            pace(_STORE_COST)
        self.volume.write_super()

    def sync(self) -> None:
        if self.volume.read_only:
            return
        nodes = self._nodes_with_dirty_pages()
        plug = Plug()
        try:
            for node in nodes:
                node.cache.write_back(0, LAST_PAGE, LAST_PAGE, plug)
        finally:
            plug.flush()
        for node in nodes:
            node.cache.wait_for_writes()
            pace(_WAIT_COST)
        if self.has_unsettled():
            self.settle()
        with self.sync_lock:
            self._sync_metadata()
        flush(self.disk)

    def settle(self) -> None:
        """Write all metadata to the disk, which makes what was freed before usable. Inodes whose name was taken by a
        rename come first: they are freed once the name leads elsewhere on the disk, too.
        """
        with self.settle_lock:
            volume = self.volume
            if len(self.replaced) > 0:
                self._settle_names()
            self._give_back_owed()
            volume.freed_blocks.begin()
            volume.freed_inodes.begin()
            self._store_metadata()
            if self.mount_options.discards and self.disk.discard_limit > 0:
                discard_freed(volume)
            volume.release_freed()

    def _give_back_owed(self) -> None:
        """Give back what could not be given back for lack of memory. If memory is still short, it is owed again. Raises
        EIO, EUCLEAN.
        """
        node = self.first_owed
        self.first_owed = None
        while node is not None:
            following = node.next_owed
            node.next_owed = None
            node.is_owed = False
            if node.users == 0 and node.nlink == 0:
                node.evict()
            node = following
        owed = self.volume.owed
        for _ in range(owed.count):
            owed.count -= 1
            debtor = owed.debtors[owed.count]
            owed.debtors[owed.count] = None
            self._give_back(owed.kinds[owed.count], owed.numbers[owed.count], owed.counts[owed.count], debtor)

    def _give_back(self, kind: OwedKind, number: int, count: int, debtor: Debtor | None) -> None:
        volume = self.volume
        match kind:
            case OwedKind.BLOCKS:
                free_blocks(volume, number, count)
            case OwedKind.METADATA:
                free_metadata(volume, number, count)
            case OwedKind.INODE:
                end_inode(volume, number, count == 1)
            case OwedKind.TREE | OwedKind.METADATA_TREE | OwedKind.ATTRIBUTES:
                try:
                    map_ = BlockMap(volume, 0)
                except MemoryError:
                    volume.owed.add(kind, number, count, debtor)
                    return
                map_.holds_metadata = kind == OwedKind.METADATA_TREE
                if kind == OwedKind.ATTRIBUTES:
                    drop_attributes(volume, map_, number, self.attribute_blocks)
                else:
                    self._free_tree(map_, number, count, debtor)

    def _free_tree(self, map_: BlockMap, number: int, level: int, debtor: Debtor | None) -> None:
        """Free an owed tree through a map of its own. The file it was cut from, if it lives, then has fewer sectors."""
        map_.debtor = debtor
        map_.sectors = _MOST_SECTORS
        try:
            map_.free_tree(number, level)
        finally:
            node = self.inodes.get(debtor.ino) if isinstance(debtor, BlockMap) else None
            if isinstance(node, Ext2Inode) and node.map is debtor:
                node.map.sectors = max(0, node.map.sectors - (_MOST_SECTORS - map_.sectors))
                node.map.changed = True
                node.map_changed()

    def _settle_names(self) -> None:
        """Write all metadata to the disk, and stop keeping inodes whose name was taken before that. Only one thread at
        a time, because others may be replaced meanwhile: the caller holds `settle_lock`.
        """
        count = len(self.replaced)
        self._store_metadata()
        for _ in range(count):
            self.replaced.popleft().end_replaced()

    def _store_metadata(self) -> None:
        with self.sync_lock:
            self._sync_metadata()
        flush(self.disk)

    def sync_inode(self, node: Ext2Node, scope: SyncScope) -> None:
        self.check_alive()
        # One thread at a time: a second one must not find nothing left to do and return before the first is done.
        with self.sync_lock:
            done = False
            try:
                self._sync_inode(node, scope)
                done = True
            finally:
                if not done:
                    node.lose_track()

    def sync_directory(self) -> None:
        with self.settle_lock:
            self._settle_names()

    def _sync_inode(self, node: Ext2Node, scope: SyncScope) -> None:
        # The inode and its indirect blocks; where its name is new, the directory's block and inode, and so on up.
        # Bitmaps and counts can wait: e2fsck computes them from these. So can times, except the file's own for fsync.
        numbers: list[int] = []
        place = node
        while isinstance(place, Ext2Inode) and not place.map.touched_more:
            if place.is_needed or (place is node and scope == SyncScope.ALL):
                place.is_needed = False
                place.write_back()
                numbers.append(inode_place(self.volume, place.ino)[0])
            numbers.extend(place.map.touched)
            place.map.touched.clear()
            if not place.has_new_name or place is self.top:
                self.volume.blocks.write(numbers)
                return
            place.has_new_name = False
            parent = self.inodes.get(place.parent_ino)
            if parent is None:
                break
            place = parent
        self._sync_metadata()

    def _sync_metadata(self) -> None:
        # What changes from here on is not this sync's business, so first forget what fsync would have to write of names
        # and blocks: an inode with a new name may be clean while the directory that has grown for it is not.
        self.lost_track = False
        done = False
        try:
            for node in self.known_nodes():
                node.note_storing()
            self._write_inodes()
            for node in self.known_nodes():
                node.note_stored()
            self.volume.blocks.sync()
            done = True
        finally:
            if not done:
                self.lost_track = True
                for node in self.known_nodes():
                    node.lose_track()

    def trim(self, start: int, length: int, smallest: int) -> int:
        volume = self.volume
        geometry = volume.geometry
        shift = geometry.block_shift
        if self.disk.discard_limit == 0:
            raise Errno(EOPNOTSUPP)
        first = start >> shift
        least = max(smallest, self.disk.discard_alignment << SECTOR_SHIFT)
        least = (least + geometry.block_size - 1) >> shift
        if smallest >> shift > geometry.blocks_per_group or first >= geometry.block_count:
            raise Errno(EINVAL)
        if length < geometry.block_size:
            raise Errno(EINVAL)
        if self.read_only:
            raise Errno(EROFS)
        self.check_alive()
        end = min(geometry.block_count, first + (length >> shift))
        done = 0
        for group in range(geometry.group_count):
            begin = geometry.first_block_of_group(group)
            lower = max(0, first - begin)
            upper = min(geometry.blocks_in_group(group), end - begin)
            if lower < upper:
                done += trim_group(volume, group, lower, upper, least)
        return done << shift

    # ---- Mounting and unmounting ------------------------------------------------------------------------------

    def start_writing(self) -> None:
        """Become writable. Raises EROFS, EIO."""
        if self.volume.geometry.has_unknown_ro_compat():
            raise Errno(EROFS)
        require_writable(self.volume.geometry, self.type_name, self.disk)
        self.volume.begin_writing()
        self.volume.blocks.sync()
        flush(self.disk)
        self.read_only = False

    def stop_writing(self) -> None:
        """Write everything, then mark the file system as clean. Raises EIO, MemoryError; a further call continues."""
        if not self.volume.read_only:
            self.sync()
            self.read_only = True
            self.volume.end_writing()
        self.volume.blocks.sync()
        flush(self.disk)

    def remount(self, read_only: bool, options: bytes) -> None:
        fresh = self.mount_options.copy()
        fresh.parse(options, again=True)
        if read_only and not self.read_only:
            if self.volume.is_aborted:
                raise Errno(EROFS)  # whatever was changed before must not be written now
            self._end_changes()
        elif not read_only and self.volume.read_only and not self.volume.is_aborted:
            self.start_writing()
        self.mount_options = fresh
        self._use_options()
        if fresh.aborts and not self.read_only:
            self.volume.abort()

    def _end_changes(self) -> None:
        """Refuse changes, then write everything: what came while that sleeps would be missing on a disk that counts as
        clean. Raises what `stop_writing` raises; then it is writable as before.
        """
        self.read_only = True
        done = False
        try:
            with self.names:
                pass  # a change of names that is under way has ended; those that wait are refused
            self.stop_writing()
            done = True
        finally:
            if not done and not self.volume.read_only:
                self.read_only = False

    def shut_down(self) -> None:
        self._shut_down()
        owed = self.volume.owed
        if owed.count + owed.lost > 0 or self.first_owed is not None:
            log.error("ext2: not all that was deleted could be freed: no memory")

    def _shut_down(self) -> None:
        # If it was damaged and became read-only: the mark of damage, and what was changed before that.
        is_left = not self.volume.read_only or (self.volume.is_damaged and not self.disk.read_only)
        tries = _LAST_TRIES if is_left else 0
        while tries > 0:
            tries -= 1
            try:
                self.stop_writing()
                tries = 0
            except Errno:
                log.error("ext2: not everything could be written before unmounting: the device fails")
                tries = 0
            except MemoryError:
                if tries == 0:
                    log.error("ext2: not everything could be written before unmounting: no memory")
                else:
                    _wait_for_memory()
        try:
            self.drop()
        except Errno:
            log.error("ext2: caches could not be given back: the device fails")
        except MemoryError:
            log.error("ext2: caches could not be given back: no memory")

    def drop(self) -> None:
        """Free everything in memory. Needs no memory. Has safe points."""
        while len(self.nodes) > 0:
            node = self.nodes[-1]
            node.end()
            self.unlist_dirty(node)
            self.forget(node)
            pace(_DROP_COST)
        self.replaced.clear()
        self.retired.clear()
        self.top = None
        self.volume.holder = None
        self.volume.close()
        # Files were written past the device's own cache, which may have old contents of their blocks.
        self.volume.blocks.cache.forget(0, LAST_PAGE)

    # ---- What programs see ------------------------------------------------------------------------------------

    def statistics(self) -> Statistics:
        volume = self.volume
        result = Statistics()
        result.block_size = volume.geometry.block_size
        result.blocks = volume.geometry.block_count
        if not self.mount_options.minix_df:
            result.blocks -= volume.overhead_blocks
        result.blocks_free = volume.free_blocks
        result.blocks_reserved = volume.reserved_blocks
        result.files = volume.geometry.inode_count
        result.files_free = volume.free_inodes
        return result

    def options(self) -> bytes:
        return self.mount_options.shown(self.default_errors)


def _wait_for_memory() -> None:
    """Give write-back, and threads killed for lack of memory, time to free some."""
    waited = False
    try:
        waited = SHORTAGE.helper.wait_for_room()
    except (Errno, MemoryError):
        waited = False
    if not waited:
        yield_now()


def require_writable(geometry: Geometry, type_name: bytes, device: BlockDevice) -> None:
    """Raise EROFS unless we write such a file system; EINVAL for one with unknown features."""
    if device.read_only:
        raise Errno(EROFS)
    if geometry.has_unknown_ro_compat():
        log.error("ext2: it has features that allow reading only")
        raise Errno(EINVAL)
    if not geometry.is_ext2() or (type_name != _EXT2 and geometry.has_journal()):
        log.error("ext2: ext3 and ext4 are mounted read-only")
        raise Errno(EROFS)


def mount_device(type_name: bytes, device: BlockDevice, options_text: bytes, read_only: bool) -> FileSystem:
    """Mount the file system on a device as one of the three types."""
    options = Ext2Options(type_name == _EXT2)
    options.parse(options_text)
    geometry = _read_super_block(device, options)
    if type_name == _EXT2 and not (geometry.is_ext2() or (read_only and geometry.reads_as_ext2())):
        log.error("ext2: it has features of ext4")
        raise Errno(EINVAL)
    if type_name == _EXT3 and not geometry.has_journal():
        log.error("ext3: it has no journal")
        raise Errno(EINVAL)
    if geometry.needs_recovery() and not options.without_journal:
        log.error("ext4: the journal must be replayed first; with the option noload it can be read as it stands")
        raise Errno(EROFS)
    if not read_only:
        require_writable(geometry, type_name, device)
    blocks = BlockCache(device, geometry.block_size)
    volume = Volume(blocks, geometry, device.name, options.super_block_kib * SUPER_BLOCK_SIZE)
    file_system = Ext2FileSystem(type_name, device, volume, options)
    try:
        file_system.load_root()
        if not read_only:
            file_system.start_writing()
    except (Errno, MemoryError):
        file_system.drop()
        raise
    return file_system


def _read_super_block(device: BlockDevice, options: Ext2Options) -> Geometry:
    blocks = BlockCache(device, SUPER_BLOCK_SIZE)
    if options.super_block_kib >= blocks.block_count:
        raise Errno(EINVAL)
    with blocks.block(options.super_block_kib) as block:
        return read_geometry(block.span(), device.sectors << SECTOR_SHIFT, quiet=False)


def mount_ext2(device: BlockDevice, options: bytes, read_only: bool) -> FileSystem:
    return mount_device(_EXT2, device, options, read_only)


def mount_ext3(device: BlockDevice, options: bytes, read_only: bool) -> FileSystem:
    return mount_device(_EXT3, device, options, read_only)


def mount_ext4(device: BlockDevice, options: bytes, read_only: bool) -> FileSystem:
    return mount_device(_EXT4, device, options, read_only)


def check_options(context: FsContext, options: bytes) -> None:
    """Raise EINVAL for what none of the three types knows."""
    Ext2Options(is_ext2=False).parse(options)


register_disk_filesystem(_EXT3, mount_ext3, check_options)
register_disk_filesystem(_EXT2, mount_ext2, check_options)
register_disk_filesystem(_EXT4, mount_ext4, check_options)
