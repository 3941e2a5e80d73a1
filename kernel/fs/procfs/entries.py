"""The parts of /proc: directories of fixed entries, files whose text is produced when it is read, links.

A file's text is produced at the first read of an open description, and again at each read from offset 0; in between, a
reader sees one text, whatever happens meanwhile. So reading in small pieces gives a consistent answer, as Linux's
seq_file does.

Context: making a text may sleep where it reads user memory. Sizes are 0, as on Linux.
"""

from typing import Final

from kernel.cache.store import SyncScope
from kernel.fs.constants import (
    MAY_EXEC,
    MAY_READ,
    MAY_WRITE,
    O_ACCMODE,
    O_RDONLY,
    O_WRONLY,
    PROC_SUPER_MAGIC,
    S_IFDIR,
    S_IFLNK,
    S_IFREG,
    SEEK_CUR,
    SEEK_DATA,
    SEEK_END,
    SEEK_SET,
)
from kernel.fs.file import DESCRIPTION_BYTES, DirectorySink, File, InodeFile, add_offset
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.lang import EACCES, EFAULT, EFBIG, EINVAL, EIO, ENXIO, EPERM, ESPIPE, Errno, final, span_of
from kernel.lib.credentials import Actor, Credentials, caller_credentials
from kernel.lib.ids import ROOT_GROUP, ROOT_USER
from kernel.lib.pace import is_dying, pace
from kernel.lib.proc_files import MakeText, StoreText
from kernel.lib.saturation import sum_of
from kernel.lib.user import Buffer
from kernel.sched import Mutex

FIRST_POSITION: Final = 2
_WRITE_LIMIT: Final = 4096
_LARGEST_SIZE: Final = (1 << 31) - 1
_PIECE_COST: Final = 3000  # instructions


class TextInode(Inode):
    """Base of files that hold a text."""

    def __init__(self, file_system: FileSystem, ino: int, mode: int) -> None:
        super().__init__(file_system, ino, mode)
        self.reads_alone: bool = False  # is_only_read

    def is_only_read(self) -> bool:
        return self.reads_alone

    def make_text(self) -> bytes:
        """The text as it is now. Raises Errno when its subject is gone."""
        raise Errno(EIO)

    def store_text(self, text: bytes, offset: int) -> int:
        """Handle a write at that offset, for files whose mode allows writing; returns how much of it was taken. Most
        take it for the whole text.
        """
        raise Errno(EINVAL)

    def write_limit(self) -> int:
        """How many bytes may be written at once."""
        return _WRITE_LIMIT

    def holds_numbers(self) -> bool:
        """Whether it is a setting that is read and written as a whole: reads past its start find nothing, and writes
        there are ignored (Documentation/admin-guide/sysctl/kernel.rst, "sysctl_writes_strict").
        """
        return False

    def has_offsets_to_write(self) -> bool:
        """Whether pwrite(2) works: not where reading alone has a position."""
        return self.holds_numbers() or self.file_system.has_fixed_names

    def seeks_from_end(self) -> bool:
        return self.has_offsets_to_write()

    def can_be_watched(self) -> bool:
        """Whether epoll(7) accepts its files, which report no changes unless they override this: yes for files about
        the system, no for those about a process.
        """
        return True

    def check_reader(self) -> None:
        """Raise Errno if the running task may not open the file, beyond what the mode says."""

    def open(self, path: Path, flags: int) -> File:
        self.check_reader()
        if self.file_system.heeds_modes():
            check_mode(self.mode, flags)
        return TextFile(path, flags, self)

    def truncate(self, size: int) -> None:
        """O_TRUNC, as from the shell's redirection, has no effect here."""
        check_new_size(size)


def check_mode(mode: int, flags: int) -> None:
    """Check that somebody may use a file as the flags of open(2) say. In /sys, root alone cannot. Raises EACCES."""
    access = flags & O_ACCMODE
    if access == O_ACCMODE:
        return  # such a description can do neither
    if (access != O_RDONLY and mode & 0o222 == 0) or (access != O_WRONLY and mode & 0o444 == 0):
        raise Errno(EACCES)


def check_new_size(size: int) -> None:
    """Check the size that truncate(2) is to give a file of /proc or /sys, which keeps its own. Raises EFBIG."""
    if size > _LARGEST_SIZE:
        raise Errno(EFBIG)


class PositionedFile(File):
    """An open file of /proc with a position from which reads continue. Base class."""

    def __init__(self, path: Path, flags: int) -> None:
        super().__init__(path, flags)
        self.seekable = True

    def read(self, buffer: Buffer) -> int:
        offset = self.position
        done = self.pread(buffer, offset)
        self.position = offset + done
        return done

    def seek(self, offset: int, whence: int) -> int:
        if whence == SEEK_SET:
            target = offset
        elif whence == SEEK_CUR:
            target = add_offset(self.position, offset)
        else:
            raise Errno(EINVAL)
        if target < 0:
            raise Errno(EINVAL)
        self.position = target
        return target

    def truncate(self, size: int) -> None:
        self.inode.truncate(size)


class OpenedText(PositionedFile):
    """An open text whose writes use the opener's rights, not the writer's. Base class."""

    def __init__(self, path: Path, flags: int, opener: Credentials) -> None:
        opener = opener.without_rules()
        super().__init__(path, flags)
        self.opener: Credentials = opener
        self.text: bytes | None = None  # what was read from the start last

    def make_text(self) -> bytes:
        """The text as it is now."""
        return b""

    def pread(self, buffer: Buffer, offset: int) -> int:
        text = self.text
        if text is None or offset == 0:
            text = self.make_text()
            self.text = text
        return 0 if offset >= len(text) else buffer.put(span_of(text)[offset : len(text)])

    def take_text(self, buffer: Buffer, limit: int) -> bytes:
        """The written text, which must come in one piece: less than `limit` bytes, at the start. Raises EINVAL,
        EFAULT.
        """
        count = buffer.remaining
        if self.position != 0 or count >= limit:
            raise Errno(EINVAL)
        text = buffer.take_bytes(count)
        if len(text) != count:
            raise Errno(EFAULT)
        return text


class PiecesFile(PositionedFile):
    """An open text that is produced in pieces as it is read: the whole would take megabytes, and long. A sequential
    reader sees each piece as it is when it is reached; reading elsewhere starts over and skips. Base class.
    """

    def __init__(self, path: Path, flags: int) -> None:
        self.reading: Mutex = Mutex()  # held for a whole read: the reader's memory may have to be waited for
        super().__init__(path, flags)
        self.rest: bytes = b""  # of the last piece
        self.offset: int = 0  # where the rest begins

    def held_bytes(self) -> int:
        return DESCRIPTION_BYTES + len(self.rest)

    def begin(self) -> None:
        """The next piece is the first one."""

    def next_piece(self) -> bytes | None:
        """The next piece, which may be empty; None at the end. May sleep."""
        return None

    def pread(self, buffer: Buffer, offset: int) -> int:
        self.reading.acquire_unless_dying()
        try:
            return self._read_pieces(buffer, offset)
        finally:
            self.reading.release()

    def _read_pieces(self, buffer: Buffer, offset: int) -> int:
        if offset < self.offset or offset == 0:
            self.begin()
            self.rest = b""
            self.offset = 0
        done = 0
        while buffer.remaining > 0 and not buffer.faulted and not is_dying():
            rest = self.rest
            if len(rest) == 0:
                piece = self.next_piece()
                if piece is None:
                    break
                rest = piece
                pace(_PIECE_COST)
            taken = min(len(rest), offset + done - self.offset)  # to be skipped
            if taken == 0 and len(rest) > 0:
                taken = buffer.put(span_of(rest))
                done += taken
            self.rest = rest[taken:]
            self.offset += taken
        return done


class TextFile(PositionedFile):
    """An open text."""

    def __init__(self, path: Path, flags: int, source: TextInode) -> None:
        super().__init__(path, flags)
        self.source: TextInode = source
        self.text: bytes | None = None

    def held_bytes(self) -> int:
        text = self.text
        return DESCRIPTION_BYTES + self.source.held_bytes() + (0 if text is None else len(text))

    def has_offsets_to_write(self) -> bool:
        source = self.source
        return source.has_offsets_to_write() and (self.writable or not source.file_system.has_fixed_names)

    def seek(self, offset: int, whence: int) -> int:
        if whence == SEEK_SET or whence == SEEK_CUR or not self.source.seeks_from_end():
            return super().seek(offset, whence)
        target = self.inode.size
        if whence == SEEK_END:
            target = add_offset(target, offset)
        elif not 0 <= offset < target:
            raise Errno(ENXIO)
        elif whence == SEEK_DATA:
            target = offset
        if target < 0:
            raise Errno(EINVAL)
        self.position = target
        return target

    def fsync(self) -> None:
        if not self.source.file_system.has_fixed_names:
            raise Errno(EINVAL)

    def make_text(self) -> bytes:
        """Produce the text for the reader."""
        return self.source.make_text()

    def pread(self, buffer: Buffer, offset: int) -> int:
        if offset != 0 and self.source.holds_numbers():
            return 0
        text = self.text
        if text is None or offset == 0:
            text = self.make_text()
            self.text = text
        if offset >= len(text):
            return 0
        return buffer.put(span_of(text)[offset : len(text)])

    def can_be_watched(self) -> bool:
        return self.source.can_be_watched()

    def write(self, buffer: Buffer) -> int:
        offset = self.position
        done = self.write_at(buffer, offset)
        self.position = sum_of(offset, done)
        return done

    def pwrite(self, buffer: Buffer, offset: int) -> int:
        if not self.has_offsets_to_write():
            raise Errno(ESPIPE)
        return self.write_at(buffer, offset)

    def write_at(self, buffer: Buffer, offset: int) -> int:
        """Hand a text to whoever handles it."""
        count = buffer.remaining
        if count > self.source.write_limit():
            raise Errno(EINVAL)
        text = buffer.take_bytes(count)
        return self.source.store_text(text, offset) if len(text) == count else len(text)


def _may_access_setting(mode: int, credentials: Credentials, mask: int) -> bool:
    granted = mode
    if credentials.euid == ROOT_USER:
        granted = mode >> 6
    elif credentials.in_effective_group(ROOT_GROUP):
        granted = mode >> 3
    return mask & ~granted & (MAY_READ | MAY_WRITE | MAY_EXEC) == 0


def check_setting_access(mode: int, credentials: Credentials, mask: int) -> None:
    """Check that a file of /proc/sys may be opened: an effective root has the owner's rights, and capabilities give
    none. Raises EACCES.
    """
    if not _may_access_setting(mode, credentials, mask):
        raise Errno(EACCES)


def check_setting_writer(mode: int, is_privileged: bool = False) -> None:
    """The same at each write: a descriptor opened by root is useless to others. Raises EPERM."""
    who = caller_credentials()
    if who is not None and not is_privileged and not _may_access_setting(mode, who, MAY_WRITE):
        raise Errno(EPERM)


@final
class FixedText(TextInode):
    """A file about the system. `store` is None for one that can't be written. A setting is below /proc/sys; one that
    `is_number` is read and written as a whole.
    """

    def __init__(
        self,
        file_system: FileSystem,
        ino: int,
        mode: int,
        make: MakeText,
        store: StoreText | None,
        is_setting: bool = False,
        is_number: bool = False,
    ) -> None:
        super().__init__(file_system, ino, S_IFREG | mode)
        self.make: MakeText = make
        self.store: StoreText | None = store
        self.is_setting: bool = is_setting
        self.is_number: bool = is_number

    def make_text(self) -> bytes:
        make = self.make
        return make()

    def store_text(self, text: bytes, offset: int) -> int:
        """A line, which ends with a newline, can be continued from any place in it."""
        store = self.store
        if store is None:
            raise Errno(EIO if self.file_system.magic == PROC_SUPER_MAGIC else EINVAL)
        if self.is_setting:
            check_setting_writer(self.mode)
        if len(text) == 0:
            return 0
        if offset == 0:
            store(text)
        elif not self.is_number:
            line = self.make_text()[:-1]
            if offset <= len(line):
                store(line[:offset] + text)
        return len(text)

    def holds_numbers(self) -> bool:
        return self.is_number

    def has_offsets_to_write(self) -> bool:
        return self.is_setting or self.file_system.has_fixed_names

    def check_permission(self, actor: Actor, mask: int) -> None:
        if self.is_setting:
            check_setting_access(self.mode, actor, mask)
        else:
            super().check_permission(actor, mask)

    def keeps_mode(self) -> bool:
        return self.is_setting

    def keeps_owner(self) -> bool:
        return self.is_setting


@final
class FixedLink(Inode):
    """A symbolic link with a text that never changes. `size` is what stat(2) says: 0 in /sys."""

    def __init__(self, file_system: FileSystem, ino: int, target: bytes, size: int = -1) -> None:
        super().__init__(file_system, ino, S_IFLNK | 0o777)
        self.target: bytes = target
        self.size = len(target) if size < 0 else size

    def read_link(self) -> bytes:
        return self.target


@final
class Entry:
    """A name in a fixed directory."""

    def __init__(self, name: bytes, inode: Inode) -> None:
        self.name: bytes = name
        self.inode: Inode = inode


class FixedDirectory(Inode):
    """A directory whose entries are created with the file system."""

    def __init__(self, file_system: FileSystem, ino: int) -> None:
        super().__init__(file_system, ino, S_IFDIR | 0o555)
        self.entries: list[Entry] = []
        self.nlink = 2

    def add(self, name: bytes, inode: Inode) -> None:
        """Enter a child."""
        self.entries.append(Entry(name, inode))
        if inode.is_directory():
            self.nlink += 1

    def lookup(self, name: bytes) -> Inode | None:
        for entry in self.entries:
            if entry.name == name:
                return entry.inode
        return None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        index = max(0, position - FIRST_POSITION)
        while index < len(self.entries):
            entry = self.entries[index]
            index += 1
            if not sink.emit(entry.name, entry.inode.ino, entry.inode.directory_entry_type(), index + FIRST_POSITION):
                return
            sink.position = index + FIRST_POSITION

    def open(self, path: Path, flags: int) -> File:
        return InodeFile(path, flags)

    def sync(self, scope: SyncScope) -> None:
        raise Errno(EINVAL)


class SettingsDirectory(FixedDirectory):
    """A directory of /proc/sys, which its mode alone protects. Its links are not counted."""

    def add(self, name: bytes, inode: Inode) -> None:
        super().add(name, inode)
        self.nlink = 1

    def check_permission(self, actor: Actor, mask: int) -> None:
        check_setting_access(self.mode, actor, mask)

    def keeps_mode(self) -> bool:
        return True

    def keeps_owner(self) -> bool:
        return True


@final
class MountPlace(FixedDirectory):
    """A mount point that is always empty: a mount there hides nothing."""

    def stays_empty(self) -> bool:
        return True

    def check_changeable(self) -> None:
        raise Errno(EPERM)

    def sync(self, scope: SyncScope) -> None:
        """There is nothing."""


class ComputedDirectory(Inode):
    """A directory whose children are created at each look-up: nothing of them is cached."""

    def __init__(self, file_system: FileSystem, ino: int, mode: int) -> None:
        super().__init__(file_system, ino, S_IFDIR | mode)
        self.caches_children = False
        self.nlink = 2

    def open(self, path: Path, flags: int) -> File:
        return InodeFile(path, flags)

    def sync(self, scope: SyncScope) -> None:
        raise Errno(EINVAL)
