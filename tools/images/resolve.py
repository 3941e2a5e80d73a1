"""What `krait run NAME ARGUMENTS` means: an image, a program of this machine, or a Python script."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tools.errors import KraitError, UsageError
from tools.machine import QCOW2_MAGIC

QCOW2_DATA_FILE = 1 << 2  # an incompatible feature: the contents lie in another file
BUILT_IN = ("busybox", "python")
FETCHED = "`skopeo copy docker://NAME oci:DIR` fetches others"
EXT_MAGIC_AT, EXT_MAGIC = 1080, b"\x53\xef"
GPT_MAGIC_AT, GPT_MAGIC = 512, b"EFI PART"
MBR_ENTRIES_AT, MBR_ENTRY, MBR_MAGIC_AT, MBR_MAGIC = 446, 16, 510, b"\x55\xaa"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ARCHIVE_STARTS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", ZSTD_MAGIC)


class Kind(Enum):
    PROGRAM = "program"  # an ELF file or a script of this machine
    SCRIPT = "script"  # for Python
    IMAGE = "image"
    DISK = "disk"  # with a file system or with partitions, raw or in QEMU's format


@dataclass(frozen=True)
class Target:
    """What the first word after the options names."""

    kind: Kind
    name: str
    path: Path | None = None


def kind_of_file(path: Path) -> Kind:
    """By its contents. Raises UsageError for what is of no use."""
    if path.is_fifo() or path.is_socket():  # to open one may take for ever
        raise UsageError(f"krait run: {path} is neither a program nor an image: it is no file")
    try:
        with path.open("rb") as file:
            start = file.read(2048)
    except OSError as error:
        raise UsageError(f"krait run: {path} cannot be read: {error.strerror}") from error
    if start.startswith(b"\x7fELF"):
        return Kind.PROGRAM
    if start.startswith(ARCHIVE_STARTS) or start[257:262] == b"ustar":
        return Kind.IMAGE
    if _is_disk(start):
        return Kind.DISK
    if path.suffix == ".py" or re.match(rb"#!.*\bpython3?\b", start):
        return Kind.SCRIPT
    if start.startswith(b"#!"):
        return Kind.PROGRAM
    raise UsageError(
        f"krait run: {path} is neither a program nor an image: "
        + ("it is empty" if not start else "no ELF file, script, tar archive or disk")
    )


def _is_disk(start: bytes) -> bool:
    """Whether a file that begins so is a disk. Raises KraitError for one in QEMU's format that reaches for other files:
    whoever made it would choose which file of ours the guest sees.
    """
    if start.startswith(QCOW2_MAGIC):
        if len(start) >= 80:
            (backing_file,) = struct.unpack_from(">Q", start, 8)
            (features,) = struct.unpack_from(">Q", start, 72) if start[4:8] >= b"\0\0\0\3" else (0,)
            if backing_file == 0 and not features & QCOW2_DATA_FILE:
                return True
        raise KraitError("krait run: a qcow2 image that needs another file is not run (qemu-img convert)")
    if start[EXT_MAGIC_AT : EXT_MAGIC_AT + 2] == EXT_MAGIC or start[GPT_MAGIC_AT:].startswith(GPT_MAGIC):
        return True
    entries = [start[MBR_ENTRIES_AT + MBR_ENTRY * n :][:MBR_ENTRY] for n in range(4)]
    return start[MBR_MAGIC_AT:].startswith(MBR_MAGIC) and any(
        entry[0] in (0, 0x80) and entry[4] != 0 and any(entry[12:]) for entry in entries
    )


def find(name: str) -> Target:
    """Raises UsageError."""
    path = Path(name)
    if "/" in name or path.suffix == ".py" or name.endswith(archive_endings()):
        if not path.exists():
            is_file = name.startswith((".", "/")) or name.endswith((".py", *archive_endings()))
            raise UsageError(f"krait run: {name} does not exist" + ("" if is_file else f" ({FETCHED})"))
    if name.split(":")[0] in BUILT_IN or re.fullmatch(r"debian:\w+", name):
        return Target(Kind.IMAGE, name)
    if path.is_dir():
        return Target(Kind.IMAGE, name, path)
    if path.exists():
        return Target(kind_of_file(path), name, path)
    if re.fullmatch(r"python3(\.\d+)?", name):
        return Target(Kind.IMAGE, name)
    import shutil

    found = shutil.which(name)
    if found is not None:
        return Target(Kind.PROGRAM, name, Path(found))
    raise UsageError(
        f"krait run: there is no file, image or program {name} (images: a directory, an archive, "
        f"{', '.join(BUILT_IN)}, debian:13; {FETCHED})"
    )


def archive_endings() -> tuple[str, ...]:
    return (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar.bz2", ".ext2", ".img", ".qcow2")
