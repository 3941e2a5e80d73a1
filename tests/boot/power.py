"""What a disk must hold after its power was cut: disks for `power_load.c`, its record, and a judge of both.

The first partition has the file system, the second one the record, which is written past all caches and so is as old as
the disk. `WriteLog` reads what QEMU's driver blklogwrites has noted of each request, and makes from it the disk as it
could have been at any moment: what was flushed is there, and of what was written since, any part.
"""

from __future__ import annotations

import hashlib
import random
import re
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

SECTOR = 512
MIB = 1 << 20
WORKERS = 6
RECORDS = 8192
FILE_SYSTEM_START = MIB
FILE_SYSTEM_SIZE = 16 * MIB
RECORD_START = FILE_SYSTEM_START + FILE_SYSTEM_SIZE
RECORD_SIZE = WORKERS * RECORDS * SECTOR
DISK_SIZE = RECORD_START + RECORD_SIZE
DIRECTORIES = ("files", "trees", "moved", "mapped", "links")


def make_disk(path: Path, block_size: int) -> Path:
    """An ext2 of 16 MiB and room for the record."""
    with path.open("wb") as disk:
        disk.truncate(DISK_SIZE)
        disk.seek(446)
        for start, size in ((FILE_SYSTEM_START, FILE_SYSTEM_SIZE), (RECORD_START, RECORD_SIZE)):
            disk.write(struct.pack("<B3sB3sII", 0, bytes(3), 0x83, bytes(3), start // SECTOR, size // SECTOR))
        disk.seek(510)
        disk.write(b"\x55\xaa")
    where = ("-E", f"offset={FILE_SYSTEM_START}", str(path), f"{FILE_SYSTEM_SIZE >> 10}k")
    command = ["mke2fs", "-q", "-F", "-t", "ext2", "-b", str(block_size), "-N", "2048", *where]
    subprocess.run(command, check=True, capture_output=True)
    return path


def stream(number: int, size: int) -> bytes:
    """The first bytes of what the load writes as stream `number`."""
    return b"".join(b"%07x %07x" % (number, line) + b"\n" for line in range((size + 15) // 16))[:size]


def read_record(disk: bytes | bytearray) -> dict[str, str]:
    """The last word on each path: kind and what follows the path."""
    last: dict[str, str] = {}
    for worker in range(WORKERS):
        for number in range(RECORDS):
            at = RECORD_START + (worker * RECORDS + number) * SECTOR
            line = disk[at : at + SECTOR].split(b"\0", 1)[0].decode()
            if not line:
                break
            kind, path, *rest = line.split(" ", 2)
            last[path] = " ".join((kind, *rest))
    return last


@dataclass
class Verdict:
    """What e2fsck repaired, by kind of problem, and what was promised and is not there."""

    repairs: list[str]
    losses: list[str]
    promises: int
    repaired: bytes  # the file system afterwards
    sums: list[str]  # of all files below DIRECTORIES, as sha1sum prints them

    @property
    def problems(self) -> list[str]:
        """What must not be: losses, and repairs beyond those that a file system without a journal needs."""
        return self.losses + [repair for repair in self.repairs if EXPECTED.match(repair) is None]


def judge(disk: bytes | bytearray) -> Verdict:
    """Repair the file system as a boot would, and look for everything that the record promises."""
    promises = read_record(disk)
    with TemporaryDirectory() as directory:
        image = Path(directory) / "image"
        image.write_bytes(disk[FILE_SYSTEM_START : FILE_SYSTEM_START + FILE_SYSTEM_SIZE])
        repaired = subprocess.run(["e2fsck", "-fy", str(image)], capture_output=True, text=True)
        repairs = kinds_of_problems(repaired.stdout)
        if repaired.returncode not in (0, 1):
            repairs.append(f"e2fsck ends with {repaired.returncode}: {repaired.stdout}{repaired.stderr}")
        again = subprocess.run(["e2fsck", "-fn", str(image)], capture_output=True, text=True)
        if again.returncode != 0:
            repairs.append(f"e2fsck is not content with its own repairs: {again.stdout}")
        tree = Path(directory) / "tree"
        tree.mkdir()
        for name in DIRECTORIES:
            subprocess.run(["debugfs", "-R", f"rdump /{name} {tree}", str(image)], capture_output=True, check=True)
        losses = [loss for path, word in promises.items() if (loss := _loss(tree / path, word)) is not None]
        files = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
        sums = [f"{hashlib.sha1(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}" for path in files]
        return Verdict(repairs, losses, len(promises), image.read_bytes(), sums)


def _loss(path: Path, word: str) -> str | None:
    """How a path differs from what was promised of it."""
    kind, *values = word.split(" ")
    name = "/".join(path.parts[path.parts.index("tree") + 1 :])
    if kind == "B":
        return None
    if kind == "N":
        return f"{name} is there again" if path.is_symlink() or path.exists() else None
    if kind == "D":
        return None if path.is_dir() else f"directory {name} is missing"
    if kind == "L":
        return None if path.is_symlink() and str(path.readlink()) == values[0] else f"symbolic link {name} is lost"
    if not path.is_file():
        return f"{name} is missing: {word}"
    found = path.read_bytes()
    choices = [(int(number), int(size)) for number, size in zip(values[::2], values[1::2], strict=True)]
    if kind == "P":
        return None if found.startswith(stream(*choices[0])) else _wrong(name, found, word)
    return None if any(found == stream(*choice) for choice in choices) else _wrong(name, found, word)


def _wrong(name: str, found: bytes, word: str) -> str:
    number, size = (int(value) for value in word.split(" ")[1:3])
    expected = stream(number, size)
    place = next((i for i in range(min(len(found), size)) if found[i] != expected[i]), min(len(found), size))
    return f"{name}: {word}, but it has {len(found)} bytes, wrong from {place} on: {found[place : place + 32]!r}"


# What the order of writes leaves open for whatever was not synced. Names and inodes come to the disk one without the
# other, sizes and counts before or after what they count, a directory, a long symbolic link or a tree of pointers
# without its block, or a directory with what its block held before, when it was another one's; and a directory that was
# moved under both names. But no block and no inode ever has two owners.
# The clocks of a guest on a busy host and of e2fsck may differ by a second.
EXPECTED = re.compile(
    r"(Free (blocks|inodes)|Directories) count wrong|(Block|Inode) bitmap differences|(Fix|Clear|Salvage)\? yes"
    r"|Inode N ref count is N, should be N|Inode N, i_(blocks|size) is N, should be N"
    r"|Unattached (zero-length )?inode N|Unconnected directory inode N|Connect to /lost\+found\? yes"
    r"|Entry … in .* has deleted/unused inode N|Deleted inode N has zero dtime|Entry … in .* is a link to directory"
    r"|Directory inode N, block #N, offset N: directory corrupted|Missing … in directory inode N"
    r"|Invalid inode number for … in directory inode N|… in .* is .*, should be|Symlink .* is invalid"
    r"|Superblock last \w+ time is in the future|…$"
    r"|Inode N has illegal block|Illegal block #N|Too many illegal blocks|Clear inode\? yes|Restarting"
)


def kinds_of_problems(report: str) -> list[str]:
    """The problems that e2fsck tells of, without what differs from one to the next."""
    kinds = []
    for line in report.splitlines():
        if re.match(r"(Pass \d|e2fsck |\S+: (\*+|\d+/\d+)|\s*$|.* WAS MODIFIED)", line):
            continue
        text = re.sub(r"'[^']*'|\([^)]*\)", "…", line)
        text = re.sub(r"\.{3} ?\S*", "…", text)
        kinds.append(re.sub(r"[-+]?\d+", "N", text).strip())
    return kinds


class WriteLog:
    """The log of QEMU's blklogwrites (format of the kernel's dm-log-writes, version 1)."""

    MAGIC = 0x6A736677736872
    FLUSH = 1
    DISCARD = 4

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        magic, version, count, sector_size = struct.unpack_from("<QQQI", data)
        assert (magic, version, sector_size) == (self.MAGIC, 1, SECTOR)
        self.entries: list[tuple[int, bytes, bool]] = []  # where, what, whether a flush came first
        at = SECTOR
        for _ in range(count):
            sector, sectors, flags, _ = struct.unpack_from("<QQQQ", data, at)
            at += SECTOR
            size = 0 if flags & self.DISCARD else sectors * SECTOR
            self.entries.append((sector * SECTOR, data[at : at + size], flags & self.FLUSH != 0))
            at += size

    def disk_at(self, base: bytes, cut: int, generator: random.Random) -> bytearray:
        """The disk when the power went off after the first `cut` entries. What was flushed is there, and the record;
        of everything else, in half of the cases all, in the others any part.
        """
        disk = bytearray(base)
        flushed = max((i for i in range(cut) if self.entries[i][2]), default=0)
        keep = generator.choice((1.0, 0.0, 0.5, 0.9))
        for number, (where, what, _) in enumerate(self.entries[:cut]):
            if number < flushed or where >= RECORD_START:
                disk[where : where + len(what)] = what
                continue
            for start in range(0, len(what), SECTOR):
                if keep == 1.0 or generator.random() < keep:
                    disk[where + start : where + start + SECTOR] = what[start : start + SECTOR]
        return disk
