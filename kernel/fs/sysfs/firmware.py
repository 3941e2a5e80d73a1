"""/sys/firmware/qemu_fw_cfg: QEMU's items for its guest, by key and by name
(kernel/drivers/platform/firmware_items.py).

    rev                         the device's revision
    by_key/41/key, name, size   of the item with a key
    by_key/41/raw               its bytes
    by_name/opt/org.krait/x     a link to the directory of the item with that name

Context: thread context. Source: Linux's Documentation/ABI/testing/sysfs-firmware-qemu_fw_cfg.
"""

from typing import Final

from kernel.drivers.platform.firmware_items import FIRMWARE, PART_SIZE, FirmwareItem
from kernel.fs.constants import MAY_WRITE, S_IFREG
from kernel.fs.file import DirectorySink, File
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.fs.procfs.entries import FIRST_POSITION, ComputedDirectory, FixedLink, PositionedFile, TextInode
from kernel.fs.sysfs.kobject import FILE_SIZE, line
from kernel.lang import EACCES, Errno, final, span_of
from kernel.lib.credentials import Actor
from kernel.lib.pace import is_dying, pace
from kernel.lib.user import Buffer
from kernel.sched import Mutex

_MODE: Final = 0o400
_LOCK: Final = Mutex()  # of the device, which has a single read position
_READ_COST: Final = 20_000  # instructions of a part


@final
class ItemText(TextInode):
    """`key`, `name` or `size` of an item."""

    def __init__(self, file_system: FileSystem, ino: int, item: FirmwareItem, attribute: bytes) -> None:
        super().__init__(file_system, ino, S_IFREG | _MODE)
        self.size = FILE_SIZE
        self.item: FirmwareItem = item
        self.attribute: bytes = attribute

    def make_text(self) -> bytes:
        if self.attribute == b"name":
            return self.item.name + b"\n"
        return line(self.item.key if self.attribute == b"key" else self.item.size)

    def check_permission(self, actor: Actor, mask: int) -> None:
        _check_only_read(mask)
        super().check_permission(actor, mask)


def _check_only_read(mask: int) -> None:
    """Even root can't write what nobody may write. Raises EACCES."""
    if mask & MAY_WRITE != 0:
        raise Errno(EACCES)


@final
class RevisionText(TextInode):
    """`rev`."""

    def __init__(self, file_system: FileSystem, ino: int) -> None:
        super().__init__(file_system, ino, S_IFREG | _MODE)
        self.size = FILE_SIZE

    def make_text(self) -> bytes:
        return line(FIRMWARE.revision)

    def check_permission(self, actor: Actor, mask: int) -> None:
        _check_only_read(mask)
        super().check_permission(actor, mask)


@final
class RawItem(Inode):
    """`raw` of an item."""

    def __init__(self, file_system: FileSystem, ino: int, item: FirmwareItem) -> None:
        super().__init__(file_system, ino, S_IFREG | _MODE)
        self.item: FirmwareItem = item  # stat(2) shows no size, as on Linux

    def open(self, path: Path, flags: int) -> File:
        return RawItemFile(path, flags, self.item)

    def check_permission(self, actor: Actor, mask: int) -> None:
        _check_only_read(mask)
        super().check_permission(actor, mask)


@final
class RawItemFile(PositionedFile):
    """An open `raw`."""

    def __init__(self, path: Path, flags: int, item: FirmwareItem) -> None:
        super().__init__(path, flags)
        self.item: FirmwareItem = item

    def pread(self, buffer: Buffer, offset: int) -> int:
        size = self.item.size
        if offset >= size:
            return 0
        part = bytearray(min(PART_SIZE, size - offset))
        done = 0
        while buffer.remaining > 0 and not buffer.faulted and offset + done < size and not is_dying():
            length = min(PART_SIZE, size - offset - done, buffer.remaining)
            with _LOCK:
                FIRMWARE.read(self.item, offset + done, span_of(part)[0:length])
            done += buffer.put(span_of(part)[0:length])
            pace(_READ_COST)
        return done


# Places of what is computed when it is looked up, which number the inodes.
_TOP: Final = 1 << 40
_BY_KEY: Final = _TOP + 1
_REVISION: Final = _TOP + 2
_ITEMS: Final = _TOP + 16
_ITEM_NUMBERS: Final = 8  # for each item: its directory, its files, and its link
_NAMES: Final = _TOP + (1 << 32)  # directories below by_name: by the place of the first item there, and their depth
_DEPTHS: Final = 64
_FULL: Final = -1  # no place: the reader's buffer has no room left
_KIND_DIRECTORY: Final = 4
_KIND_FILE: Final = 8
_KIND_LINK: Final = 10
_ATTRIBUTES: Final[list[bytes]] = [b"key", b"name", b"raw", b"size"]


def _item_ino(place: int) -> int:
    return _ITEMS + place * _ITEM_NUMBERS


@final
class FirmwareDirectory(ComputedDirectory):
    """/sys/firmware/qemu_fw_cfg."""

    def __init__(self, file_system: FileSystem) -> None:
        super().__init__(file_system, _TOP, 0o755)

    def lookup(self, name: bytes) -> Inode | None:
        if name == b"by_key":
            return _KeysDirectory(self.file_system)
        if name == b"by_name":
            return _NamesDirectory(self.file_system, b"", 0)
        return RevisionText(self.file_system, _REVISION) if name == b"rev" else None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        place = FIRST_POSITION
        place = _emit(sink, position, place, b"by_key", _BY_KEY, _KIND_DIRECTORY)
        place = _emit(sink, position, place, b"by_name", _NAMES, _KIND_DIRECTORY)
        _emit(sink, position, place, b"rev", _REVISION, _KIND_FILE)


def _emit(sink: DirectorySink, position: int, place: int, name: bytes, ino: int, kind: int) -> int:
    """Emit an entry, unless the reader has it; returns the place of the next one, _FULL once the reader's buffer is
    full.
    """
    if place == _FULL:
        return _FULL
    if place >= position:
        if not sink.emit(name, ino, kind, place + 1):
            return _FULL
        sink.position = place + 1
    return place + 1


@final
class _KeysDirectory(ComputedDirectory):
    """`by_key`."""

    def __init__(self, file_system: FileSystem) -> None:
        super().__init__(file_system, _BY_KEY, 0o755)

    def lookup(self, name: bytes) -> Inode | None:
        items = FIRMWARE.items
        for i in range(len(items)):
            if f"{items[i].key}".encode() == name:
                return _ItemDirectory(self.file_system, items[i], i)
        return None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        items = FIRMWARE.items
        place = FIRST_POSITION
        for i in range(len(items)):
            place = _emit(sink, position, place, f"{items[i].key}".encode(), _item_ino(i), _KIND_DIRECTORY)


@final
class _ItemDirectory(ComputedDirectory):
    """The directory of an item; `place` is its number among all."""

    def __init__(self, file_system: FileSystem, item: FirmwareItem, place: int) -> None:
        super().__init__(file_system, _item_ino(place), 0o755)
        self.item: FirmwareItem = item

    def lookup(self, name: bytes) -> Inode | None:
        if name not in _ATTRIBUTES:
            return None
        ino = self.ino + 1 + _ATTRIBUTES.index(name)
        if name == b"raw":
            return RawItem(self.file_system, ino, self.item)
        return ItemText(self.file_system, ino, self.item, name)

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        place = FIRST_POSITION
        ino = self.ino + 1
        for name in _ATTRIBUTES:
            place = _emit(sink, position, place, name, ino, _KIND_FILE)
            ino += 1


@final
class _NamesDirectory(ComputedDirectory):
    """`by_name`, or a directory below: `prefix` is what the names there begin with, `first` the first item's place."""

    def __init__(self, file_system: FileSystem, prefix: bytes, first: int) -> None:
        super().__init__(file_system, _names_ino(prefix, first), 0o755)
        self.prefix: bytes = prefix

    def lookup(self, name: bytes) -> Inode | None:
        whole = self.prefix + name
        inner = whole + b"/"
        items = FIRMWARE.items
        for i in range(len(items)):
            item = items[i]
            if item.name == whole:
                target = b"../" * (whole.count(b"/") + 1) + f"by_key/{item.key}".encode()
                return FixedLink(self.file_system, _item_ino(i) + _ITEM_NUMBERS - 1, target, size=0)
            if item.name.startswith(inner):
                return _NamesDirectory(self.file_system, inner, i)
        return None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        items = FIRMWARE.items
        place = FIRST_POSITION
        shown: dict[bytes, bool] = {}
        for i in range(len(items)):
            name = items[i].name
            if not name.startswith(self.prefix):
                continue
            rest = name[len(self.prefix) :]
            end = rest.find(b"/")
            part = rest if end < 0 else rest[:end]
            if part in shown:
                continue
            shown[part] = True
            if end < 0:
                place = _emit(sink, position, place, part, _item_ino(i) + _ITEM_NUMBERS - 1, _KIND_LINK)
            else:
                ino = _names_ino(self.prefix + part + b"/", i)
                place = _emit(sink, position, place, part, ino, _KIND_DIRECTORY)


def _names_ino(prefix: bytes, first: int) -> int:
    return _NAMES + first * _DEPTHS + prefix.count(b"/")
