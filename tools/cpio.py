"""Write cpio archives in the "newc" format, which kernels unpack as their first root file system.

Archives are reproducible: owner, time and inode numbers do not depend on the machine. Everything belongs to root, so
that no privilege is needed to make one, device nodes included.
Source: Linux's Documentation/driver-api/early-userspace/buffer-format.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MAGIC = b"070701"
TRAILER = "TRAILER!!!"
PAGE = 4096
"""Archives are padded to whole pages. QEMU's microvm puts the initial RAM disk at the end of memory, and what is left
over of a page on top of the ACPI tables, which are in the last page: then no kernel finds a virtio device.
"""


@dataclass(frozen=True)
class Entry:
    """One file: its whole mode (type and permissions), its contents or link target, its device number."""

    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


@dataclass
class Archive:
    """A tree of files by path, without a leading slash. Missing parent directories are added when written."""

    entries: dict[str, Entry] = field(default_factory=dict)

    def directory(self, path: str, mode: int = 0o755) -> None:
        self._put(path, Entry(stat.S_IFDIR | mode))

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        self._put(path, Entry(stat.S_IFREG | mode, data))

    def link(self, path: str, target: str) -> None:
        self._put(path, Entry(stat.S_IFLNK | 0o777, target.encode()))

    def character_device(self, path: str, major: int, minor: int, mode: int = 0o600) -> None:
        self._put(path, Entry(stat.S_IFCHR | mode, device=(major, minor)))

    def tree(self, root: Path, prefix: str = "") -> None:
        """Add a directory of the host, with its files' permissions but not their owners."""
        for directory, names, files in os.walk(root):
            names.sort()
            for name in sorted([*names, *files]):
                source = Path(directory) / name
                path = os.path.join(prefix, source.relative_to(root))
                mode = source.lstat().st_mode
                if stat.S_ISLNK(mode):
                    self.link(path, os.readlink(source))
                elif stat.S_ISDIR(mode):
                    self.directory(path, stat.S_IMODE(mode))
                elif stat.S_ISREG(mode):
                    self.file(path, source.read_bytes(), stat.S_IMODE(mode))

    def _put(self, path: str, entry: Entry) -> None:
        self.entries[path.strip("/")] = entry

    def _complete(self) -> dict[str, Entry]:
        """All entries, each directory before what lies in it."""
        complete: dict[str, Entry] = {}
        for path, entry in self.entries.items():
            parts = path.split("/")
            for depth in range(1, len(parts)):
                parent = "/".join(parts[:depth])
                complete.setdefault(parent, self.entries.get(parent, Entry(stat.S_IFDIR | 0o755)))
            complete[path] = entry
        return complete

    def write_tar(self, path: Path) -> None:
        """Write the same files as a tar archive."""
        import io
        import tarfile

        kinds = {stat.S_IFDIR: tarfile.DIRTYPE, stat.S_IFLNK: tarfile.SYMTYPE, stat.S_IFCHR: tarfile.CHRTYPE}
        with tarfile.open(path, "w") as archive:
            for name, entry in self._complete().items():
                member = tarfile.TarInfo(name)
                member.mode = stat.S_IMODE(entry.mode)
                member.type = kinds.get(stat.S_IFMT(entry.mode), tarfile.REGTYPE)
                member.devmajor, member.devminor = entry.device
                if member.issym():
                    member.linkname = entry.data.decode()
                    archive.addfile(member)
                else:
                    member.size = len(entry.data)
                    archive.addfile(member, io.BytesIO(entry.data))

    def pack(self) -> bytes:
        """The archive as bytes."""
        out = bytearray()
        for number, (path, entry) in enumerate(self._complete().items(), start=1):
            _append(out, number, path, entry)
        return finish(bytes(out))


def _append(out: bytearray, number: int, path: str, entry: Entry) -> None:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (
        number, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, entry.device[0], entry.device[1], len(name), 0,
    )
    out += MAGIC + b"".join(b"%08X" % value for value in fields) + name
    _pad(out, 4)
    out += entry.data
    _pad(out, 4)


def _pad(out: bytearray, alignment: int) -> None:
    out += bytes(-len(out) % alignment)


def finish(members: bytes) -> bytes:
    """Close a run of members with the trailer."""
    out = bytearray(members)
    _append(out, 0, TRAILER, Entry(0))
    _pad(out, PAGE)
    return bytes(out)


def extend(archive: bytes, overlay: Archive) -> bytes:
    """An initial RAM disk that unpacks `archive` and then `overlay` over it.

    A plain archive is continued, so that the result is one archive; after a compressed one, a second archive follows.
    """
    return b"".join(extended(archive, overlay))


def extended(archive: bytes, overlay: Archive) -> list[bytes]:
    """The same in parts that follow each other, which saves copying a large one."""
    parts = [archive, bytes(-len(archive) % PAGE), overlay.pack()]
    if archive.startswith(MAGIC):
        end = _trailer_offset(archive)
        if end is not None:
            parts = [archive[:end], overlay.pack()]
    return [*parts, bytes(-sum(len(part) for part in parts) % PAGE)]


def members(archive: bytes) -> Iterator[tuple[int, str, int]]:
    """Each member of a plain archive, up to its first trailer: offset, path, length of the data."""
    offset = 0
    while archive[offset : offset + 6] == MAGIC:
        size = int(archive[offset + 54 : offset + 62], 16)
        name_size = int(archive[offset + 94 : offset + 102], 16)
        name = archive[offset + 110 : offset + 110 + name_size - 1].decode()
        yield offset, name, size
        data = offset + 110 + name_size + -(110 + name_size) % 4
        offset = data + size + -size % 4


def _trailer_offset(archive: bytes) -> int | None:
    for offset, name, _ in members(archive):
        if name == TRAILER:
            rest = archive[offset + 124 :]
            return offset if not rest.strip(b"\0") else None  # something follows: it must keep its own trailer
    return None


def compress(archive: bytes) -> bytes:
    """gzip without a name and a time, so that equal input gives equal output."""
    import gzip

    return gzip.compress(archive, compresslevel=9, mtime=0)
