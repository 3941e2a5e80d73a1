"""Make disks of images, and keep them: the second start of an image costs nothing.

A disk is an ext2 file system without partitions. What makes it is kept in its name (source, size, time of change), so a
source that changed gives a new disk. Machines never write to it: what they write is thrown away.

When a disk is made, older ones of the same thing go, and those that were used longest ago, as far as all together take
more than `room.limit`. One in use stays: whoever uses a disk holds a lock of its file until the process ends, and QEMU
one of another kind.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from compiler.progress import Step
from tools.image import ImageError as DiskError
from tools.image import look_at, set_attributes
from tools.images.layers import ImageError
from tools.images.room import directory, limit
from tools.images.root import Configuration
from tools.setup import require

BLOCK = 4096
ROOM = 512 << 20  # bytes that programs may write
FORM = 2  # of disks; another one makes all of them anew
_FLOCK = struct.Struct("hhqqi4x")  # struct flock of fcntl(2): type, whence, start, length, process
_held: list[int] = []  # descriptors of the disks that this process uses


@dataclass(frozen=True)
class Kept:
    """A disk, where it came from, and its configuration."""

    key: str
    source: str
    created: float
    disk: Path
    configuration: Configuration
    series: str = ""  # the same for all versions of one thing; "": nobody knows
    used: float = 0.0  # when it was last used

    @property
    def size(self) -> int:
        return self.disk.stat().st_blocks * 512


def kept() -> list[Kept]:
    """All disks, the newest first."""
    found = []
    for path in directory().glob("*.json"):
        disk = path.with_suffix(".ext2")
        try:
            text = json.loads(path.read_text())
            configuration = Configuration(
                tuple(text["configuration"]["entrypoint"]), tuple(text["configuration"]["command"]),
                dict(text["configuration"]["environment"]), text["configuration"]["directory"],
                text["configuration"]["user"],
            )  # fmt: skip
            if disk.exists():
                series, used = text.get("series", ""), path.stat().st_mtime
                found.append(Kept(path.stem, text["source"], text["created"], disk, configuration, series, used))
        except (ValueError, KeyError, OSError):
            continue  # an entry that is being removed, or of another version
    return sorted(found, key=lambda entry: -entry.created)


def remove(entry: Kept) -> None:
    entry.disk.with_suffix(".json").unlink(missing_ok=True)
    entry.disk.unlink(missing_ok=True)


def _is_used(disk: int) -> bool:
    """Whether another process, or a QEMU, uses the disk of this descriptor; if not, it stays so until we close it."""
    try:
        fcntl.flock(disk, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    asked = fcntl.fcntl(disk, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    return bool(_FLOCK.unpack(asked)[0] != fcntl.F_UNLCK)


def _remove_unused(entry: Kept) -> bool:
    """Whether it is gone."""
    try:
        disk = os.open(entry.disk, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        if _is_used(disk):
            return False
        remove(entry)
        return True
    finally:
        os.close(disk)


def _use(entry: Kept) -> bool:
    """Hold the disk until this process ends. False if somebody has removed it."""
    try:
        disk = os.open(entry.disk, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(disk, fcntl.LOCK_SH)
        os.utime(entry.disk.with_suffix(".json"))
    except FileNotFoundError:
        return False
    _held.append(disk)
    return os.fstat(disk).st_nlink > 0


def _make_room(new: Kept, most: int) -> None:
    """Remove older versions of what is new, and then those that were used longest ago, down to `most` bytes."""
    taken = new.size
    others = []
    for entry in sorted(kept(), key=lambda entry: -entry.used):
        if entry.key == new.key or (entry.series == new.series != "" and _remove_unused(entry)):
            continue
        others.append((entry, entry.size))
        taken += others[-1][1]
    for entry, size in reversed(others):
        if taken <= most:
            break
        if _remove_unused(entry):
            taken -= size


def _sweep(place: Path) -> None:
    """Remove what makers left that were killed. Nobody else makes a disk now."""
    for path in place.glob(".new-*"):
        shutil.rmtree(path, ignore_errors=True)
    for disk in place.glob("*.ext2"):
        if not disk.with_suffix(".json").exists():
            disk.unlink(missing_ok=True)


def key_of(*parts: object) -> str:
    return hashlib.sha256(repr((FORM, parts)).encode()).hexdigest()[:24]


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    place.mkdir(parents=True, exist_ok=True)
    with (place / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def disk_of(key: str, series: str, source: str, make: Callable[[Path], tuple[Path, Configuration]]) -> Kept:
    """The disk with this key, which stays as long as this process. If there is none, `make` writes a tar archive into a
    directory of its own, which then becomes the disk, and may take the place of others: `series` is that of all
    versions of this thing. Raises ImageError; nothing is left of an attempt that failed.
    """
    if (found := _kept_disk(key)) is not None:
        return found
    require("image")
    most = limit()
    place = directory()
    with _alone(place):
        if (found := _kept_disk(key)) is not None:  # somebody else was quicker
            return found
        _sweep(place)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=place) as scratch:
            with Step(f"make a disk of {source}, once"):
                archive, configuration = make(Path(scratch))
                new = Path(scratch) / "disk"
                _format(archive, new)
            new.rename(place / f"{key}.ext2")
            created = time.time()
            text = {"source": source, "series": series, "created": created, "configuration": asdict(configuration)}
            note = Path(scratch) / "note"
            note.write_text(json.dumps(text))
            note.rename(place / f"{key}.json")
        made = Kept(key, source, created, place / f"{key}.ext2", configuration, series, created)
        _use(made)
        _make_room(made, most)
    return made


def _kept_disk(key: str) -> Kept | None:
    return next((entry for entry in kept() if entry.key == key and _use(entry)), None)


def _format(archive: Path, disk: Path) -> None:
    """An ext2 file system with what the archive holds. Raises ImageError."""
    try:
        contents = look_at(archive)
    except DiskError as error:
        raise ImageError(str(error)) from error
    blocks = (contents.blocks * BLOCK * 21 // 20 + contents.files * 256 + ROOM) // BLOCK
    inodes = contents.files * 5 // 4 + 16384
    done = subprocess.run(
        ["mke2fs", "-q", "-F", "-t", "ext2", "-b", str(BLOCK), "-m", "0", "-N", str(inodes), "-d", str(archive),
         "-E", "root_owner=0:0", str(disk), str(blocks)],
        check=False, capture_output=True, text=True,
        env={**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"},  # a user's path lacks them
    )  # fmt: skip
    if done.returncode != 0:
        raise ImageError(f"no disk can be made of it: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    try:
        set_attributes(str(disk), archive)
    except DiskError as error:
        raise ImageError(str(error)) from error
