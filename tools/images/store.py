"""Make disks of images, and keep them: the second start of an image costs nothing.

A disk is an ext2 file system without partitions. What makes it is kept in its name (source, size, time of change), so a
source that changed gives a new disk. Machines never write to it: what they write is thrown away.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
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
from tools.images.root import Configuration
from tools.paths import cache_directory
from tools.setup import require

BLOCK = 4096
ROOM = 512 << 20  # bytes that programs may write
FORM = 2  # of disks; another one makes all of them anew


def directory() -> Path:
    """Where disks are kept."""
    return cache_directory() / "images"


@dataclass(frozen=True)
class Kept:
    """A disk, where it came from, and its configuration."""

    key: str
    source: str
    created: float
    disk: Path
    configuration: Configuration

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
                found.append(Kept(path.stem, text["source"], text["created"], disk, configuration))
        except (ValueError, KeyError, OSError):
            continue  # an entry that is being removed, or of another version
    return sorted(found, key=lambda entry: -entry.created)


def remove(entry: Kept) -> None:
    entry.disk.with_suffix(".json").unlink(missing_ok=True)
    entry.disk.unlink(missing_ok=True)


def key_of(*parts: object) -> str:
    return hashlib.sha256(repr((FORM, parts)).encode()).hexdigest()[:24]


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    place.mkdir(parents=True, exist_ok=True)
    with (place / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def disk_of(key: str, source: str, make: Callable[[Path], tuple[Path, Configuration]]) -> Kept:
    """The disk with this key. If there is none, `make` writes a tar archive into a directory of its own, which then
    becomes the disk. Raises ImageError; nothing is left of an attempt that failed.
    """
    for entry in kept():
        if entry.key == key:
            return entry
    require("image")
    place = directory()
    with _alone(place):
        for entry in kept():  # somebody else may have been quicker
            if entry.key == key:
                return entry
        with tempfile.TemporaryDirectory(prefix=".new-", dir=place) as scratch:
            with Step(f"make a disk of {source}, once"):
                archive, configuration = make(Path(scratch))
                new = Path(scratch) / "disk"
                _format(archive, new)
            new.rename(place / f"{key}.ext2")
            created = time.time()
            text = {"source": source, "created": created, "configuration": asdict(configuration)}
            note = Path(scratch) / "note"
            note.write_text(json.dumps(text))
            note.rename(place / f"{key}.json")
    return Kept(key, source, created, place / f"{key}.ext2", configuration)


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
    )  # fmt: skip
    if done.returncode != 0:
        raise ImageError(f"no disk can be made of it: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    try:
        set_attributes(str(disk), archive)
    except DiskError as error:
        raise ImageError(str(error)) from error
