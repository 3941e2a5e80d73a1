"""The initial root file system: cpio archives in memory, unpacked into the root (cpio(5), format "newc").

The image may be several archives one after the other, plain or gzip, with zero bytes in between. An archive that is
damaged or hostile ends the unpacking with a message; what was unpacked stays. Entries that cannot be created are
skipped with a message.

The archive comes in pieces of any size (`Unpacker.accept`), because the decompressor delivers it so. Hard links are
found by device and inode number; the contents come with one of the links. Directories get their times at the end, since
filling them changes those.
"""

from typing import Final

from kernel.fs.constants import O_CREAT, O_WRONLY, PATH_MAX, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, device_number
from kernel.fs.file import File
from kernel.fs.inode import Inode
from kernel.fs.names import make_directory, make_link, make_node, make_symlink, unlink
from kernel.fs.open import open_file
from kernel.fs.path import FsContext
from kernel.fs.walk import EMPTY_PATH, resolve
from kernel.lang import ENOENT, ENOMEM, ENOSPC, Errno, KernelError, Span, span_of, u8
from kernel.lib import log
from kernel.lib.ids import KernelGid, KernelUid
from kernel.lib.inflate import InflateError, Inflater, InflateSink
from kernel.lib.user import KernelBuffer

_HEADER_SIZE: Final = 110
_TRAILER: Final = b"TRAILER!!!"
_BITE: Final = 1 << 14  # of a file, copied and written at a time

# States of the unpacker.
_BETWEEN: Final = 0  # zeros, or the next header
_HEADER: Final = 1
_NAME: Final = 2
_BODY: Final = 3  # of a regular file
_TARGET: Final = 4  # of a symbolic link
_SKIP: Final = 5  # padding, or the body of an entry that was not created

# Fields of the header, each eight hexadecimal digits after the magic number.
_INO: Final = 0
_MODE: Final = 1
_UID: Final = 2
_GID: Final = 3
_NLINK: Final = 4
_MTIME: Final = 5
_FILE_SIZE: Final = 6
_RDEV_MAJOR: Final = 9
_RDEV_MINOR: Final = 10
_NAME_SIZE: Final = 11
_FIELDS: Final = 13


class ArchiveError(KernelError):
    """The archive is damaged."""


class DirectoryTime:
    """A directory's time of change, to be set at the end."""

    def __init__(self, inode: Inode, time_ns: int) -> None:
        self.inode: Inode = inode
        self.time_ns: int = time_ns


class Unpacker(InflateSink):
    """Creates files from the pieces of an archive."""

    def __init__(self, context: FsContext) -> None:
        self.context: FsContext = context
        self.state: int = _BETWEEN
        self.collected: bytearray = bytearray()  # header, name or link target so far
        self.needed: int = 0  # bytes that the state still wants
        self.padding: int = 0  # after the body
        self.offset: int = 0  # in the archive, for the padding to multiples of four
        self.fields: list[int] = [0] * _FIELDS
        self.name: bytes = b""
        self.file: File | None = None
        self.buffer: KernelBuffer = KernelBuffer(bytearray(_BITE))
        self.links: dict[bytes, bytes] = {}  # device and inode number -> name of the first link
        self.directories: list[DirectoryTime] = []
        self.entries: int = 0
        self.skipped: int = 0

    def accept(self, data: Span[u8]) -> None:
        position = 0
        while position < len(data):
            position += self.step(data[position : len(data)])

    def at_boundary(self) -> bool:
        """Between two archives, or before the first."""
        return self.state == _BETWEEN

    def step(self, data: Span[u8]) -> int:
        """Consume some of the bytes; returns how many."""
        if self.state == _BETWEEN:
            if data[0] == 0:
                self.offset += 1
                return 1
            self.offset = 0
            self._collect(_HEADER, _HEADER_SIZE)
        count = min(len(data), self.needed)
        piece = data[0:count]
        if self.state == _BODY:
            self._write(piece)
        elif self.state != _SKIP:
            self.collected.extend(piece.to_bytes())
        self.needed -= count
        self.offset += count
        if self.needed == 0:
            self._complete()
        return count

    def _collect(self, state: int, count: int) -> None:
        self.state = state
        self.needed = count
        self.collected.clear()

    def _complete(self) -> None:
        """The state has all the bytes that it wanted."""
        state = self.state
        if state == _HEADER:
            self._parse_header()
        elif state == _NAME:
            self._begin_entry()
        elif state == _TARGET:
            self._make_symlink()
            self._pad()
        elif state == _BODY:
            self._end_file()
            self._pad()
        elif self.padding > 0:
            self._pad()
        else:
            self._collect(_HEADER, _HEADER_SIZE)

    def _pad(self) -> None:
        """Skip to the next multiple of four, where the next header is."""
        self.padding = 0
        rest = -self.offset & 3
        if rest == 0:
            self._collect(_HEADER, _HEADER_SIZE)
        else:
            self._collect(_SKIP, rest)

    def _parse_header(self) -> None:
        header = bytes(self.collected)
        if header[:6] != b"070701" and header[:6] != b"070702":
            raise ArchiveError
        for index in range(_FIELDS):
            self.fields[index] = _hexadecimal(header, 6 + index * 8)
        size = self.fields[_NAME_SIZE]
        if size == 0 or size > PATH_MAX:
            raise ArchiveError
        # The name ends at a multiple of four.
        self._collect(_NAME, size + (-(self.offset + size) & 3))

    def _begin_entry(self) -> None:
        text = bytes(self.collected)[: self.fields[_NAME_SIZE]]
        end = text.find(b"\0")
        if end < 0:
            raise ArchiveError
        name = text[:end]
        if name == _TRAILER:
            self.links.clear()
            self.state = _BETWEEN
            return
        self.name = name
        self.entries += 1
        size = self.fields[_FILE_SIZE]
        kind = self.fields[_MODE] & S_IFMT
        self.padding = 1
        if kind == S_IFLNK:
            if size >= PATH_MAX:
                raise ArchiveError
            if size > 0:
                self._collect(_TARGET, size)
                return
        try:
            self._make_entry(kind, size)
        except Errno as error:
            self._skip_entry(error.code)
        if self.file is not None and size > 0:
            self._collect(_BODY, size)
        elif size > 0:
            self._collect(_SKIP, size)
        else:
            self._end_file()
            self._pad()

    def _skip_entry(self, code: int) -> None:
        self.skipped += 1
        if self.skipped <= 8:
            log.warn(f"initramfs: {log.printable(self.name)}: error {code}")

    def _make_entry(self, kind: int, size: int) -> None:
        fields = self.fields
        mode = fields[_MODE] & 0o7777
        context = self.context
        if kind == S_IFDIR:
            self._make_directory(mode)
            return
        if kind != S_IFREG:
            self._remove_old()
            rdev = device_number(fields[_RDEV_MAJOR] & 0xFFFFF, fields[_RDEV_MINOR] & 0xFFFFF)
            path = make_node(context, context.root, self.name, kind | mode, rdev)
            self._set_attributes(path.inode())
            return
        if not self._link_to_first():
            self._remove_old()
        if size > 0 or resolve_or_none(context, self.name) is None:
            self.file = open_file(context, context.root, self.name, O_CREAT | O_WRONLY, mode)

    def _make_directory(self, mode: int) -> None:
        context = self.context
        inode = resolve_or_none(context, self.name)
        if inode is None or not inode.is_directory():
            self._remove_old()
            inode = make_directory(context, context.root, self.name, mode).inode()
        self._set_attributes(inode)
        self.directories.append(DirectoryTime(inode, self.fields[_MTIME] * 1_000_000_000))

    def _make_symlink(self) -> None:
        context = self.context
        target = bytes(self.collected)
        end = target.find(b"\0")
        if end >= 0:
            target = target[:end]
        try:
            self._remove_old()
            make_symlink(context, context.root, self.name, target)
            inode = resolve(context, context.root, self.name, 0).inode()
            inode.uid = KernelUid(self.fields[_UID])
            inode.gid = KernelGid(self.fields[_GID])
            self._set_times(inode)
        except Errno as error:
            self._skip_entry(error.code)

    def _link_to_first(self) -> bool:
        """Link to a file that came before; or remember a first link."""
        if self.fields[_NLINK] < 2:
            return False
        key = f"{self.fields[_INO]}:{self.fields[7]}:{self.fields[8]}".encode()
        first = self.links.get(key)
        if first is None:
            self.links[key] = self.name
            return False
        if first == self.name:
            return True
        self._remove_old()
        context = self.context
        make_link(context, resolve(context, context.root, first, 0), context.root, self.name)
        return True

    def _remove_old(self) -> None:
        inode = resolve_or_none(self.context, self.name)
        if inode is not None and not inode.is_directory():
            unlink(self.context, self.context.root, self.name)

    def _set_attributes(self, inode: Inode) -> None:
        inode.uid = KernelUid(self.fields[_UID])
        inode.gid = KernelGid(self.fields[_GID])
        inode.set_mode(self.fields[_MODE])
        self._set_times(inode)

    def _set_times(self, inode: Inode) -> None:
        time_ns = self.fields[_MTIME] * 1_000_000_000
        inode.mtime_ns = time_ns
        inode.atime_ns = time_ns

    def _write(self, piece: Span[u8]) -> None:
        file = self.file
        if file is None:
            return
        for start in range(0, len(piece), _BITE):
            size = min(_BITE, len(piece) - start)
            span_of(self.buffer.storage)[0:size].copy_from(piece[start : start + size])
            self.buffer.rewind(size)
            while self.buffer.remaining > 0:  # after a short write, the next one raises the reason
                if file.write(self.buffer) == 0:
                    raise ArchiveError

    def _end_file(self) -> None:
        file = self.file
        if file is not None:
            self.file = None
            self._set_attributes(file.inode)
            file.release()

    def finish(self) -> None:
        """Close what is open, and give the directories their times."""
        file = self.file
        self.file = None
        if file is not None:
            file.release()
        for entry in self.directories:
            entry.inode.mtime_ns = entry.time_ns
            entry.inode.atime_ns = entry.time_ns
        self.directories.clear()
        self.links.clear()


def resolve_or_none(context: FsContext, name: bytes) -> Inode | None:
    """The inode called `name`, links not followed; None if there is none."""
    try:
        return resolve(context, context.root, name, EMPTY_PATH).inode()
    except Errno as error:
        if error.code != ENOENT:
            raise
        return None


def _hexadecimal(header: bytes, start: int) -> int:
    value = 0
    for index in range(start, start + 8):
        digit = header[index]
        if ord("0") <= digit <= ord("9"):
            digit -= ord("0")
        elif ord("A") <= digit <= ord("F"):
            digit -= ord("A") - 10
        elif ord("a") <= digit <= ord("f"):
            digit -= ord("a") - 10
        else:
            raise ArchiveError
        value = value << 4 | digit
    return value


def unpack(context: FsContext, image: Span[u8]) -> bool:
    """Unpack the whole image into the context's root. False, with a message, if it is damaged."""
    umask = context.umask
    context.umask = 0
    unpacker = Unpacker(context)
    try:
        _unpack_all(unpacker, image)
        log.info(f"initramfs: {unpacker.entries} entries, {unpacker.skipped} skipped")
        return True
    except InflateError:
        log.emergency("initramfs: the compressed archive is damaged")
    except ArchiveError:
        log.emergency("initramfs: the archive is damaged")
    except MemoryError:
        log.emergency("initramfs: out of memory")
    except Errno as error:
        is_full = error.code == ENOMEM or error.code == ENOSPC
        log.emergency("initramfs: out of memory" if is_full else f"initramfs: error {error.code}")
    finally:
        unpacker.finish()
        context.umask = umask
    return False


def _unpack_all(unpacker: Unpacker, image: Span[u8]) -> None:
    inflater = Inflater()
    position = 0
    length = len(image)
    while position < length:
        if not unpacker.at_boundary():
            raise ArchiveError  # a compressed archive ended early
        if image[position] == 0:
            position += 1
        elif image[position] == 0x1F:
            inflater.position = position
            inflater.member(image, unpacker)
            position = inflater.position
        else:
            # A plain archive: up to its trailer, after which anything may follow.
            position += unpacker.step(image[position:length])
            while position < length and not unpacker.at_boundary():
                position += unpacker.step(image[position:length])
    if not unpacker.at_boundary():
        raise ArchiveError


def unpack_bytes(context: FsContext, image: bytes) -> bool:
    """The same for an image in an object."""
    return unpack(context, span_of(image))
