"""Disks with a Debian 13 that boots by itself: systemd is process 1, and what one would install on a server is there.

mmdebstrap fetches the packages, once: the disk is kept under `build/debian/`, in a file named after a hash of what
determines it, and machines throw away what they write to it.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from compiler.progress import Step
from tools.images.make import in_order
from tools.lock import exclusively
from tools.paths import BUILD
from tools.setup import require

DISKS = BUILD / "debian"
SUITE = "trixie"
FORM = 2  # of disks; another one makes all of them anew


@dataclass(frozen=True)
class DebianDisk:
    """What is on a disk beside what the packages bring: texts of files, and targets of symbolic links, by path."""

    packages: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    size: int = 640 << 20  # bytes; a third should be free

    def path(self) -> Path:
        """The disk, which is made if there is none yet."""
        contents = (sorted(self.packages), sorted(self.files.items()), sorted(self.links.items()))
        key = repr((FORM, SUITE, *contents, self.size))
        disk = DISKS / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.ext2"
        with exclusively("debian/disk"):
            if not disk.exists():
                self._make(disk)
        return disk

    def _make(self, disk: Path) -> None:
        require("debian")
        require("image")
        with tempfile.TemporaryDirectory(prefix=".new-", dir=DISKS) as name, Step("make a disk with Debian 13, once"):
            scratch = Path(name)
            root = self._root()
            changed = scratch / "changed.tar"
            with tarfile.open(root) as source, tarfile.open(changed, "w", format=tarfile.PAX_FORMAT) as target:
                self._change(source, target)
            new = scratch / "disk"
            with new.open("wb") as file:
                file.truncate(self.size)
            subprocess.run(
                ["mke2fs", "-q", "-F", "-t", "ext2", "-b", "4096", "-L", "debian", "-E", "root_owner=0:0",
                 "-d", str(in_order(changed, scratch)), str(new)],
                check=True, capture_output=True,
            )  # fmt: skip
            new.rename(disk)

    def _root(self) -> Path:
        """What mmdebstrap makes of the packages: that takes a minute, so it is kept as well."""
        key = repr((SUITE, sorted(self.packages)))
        root = DISKS / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.tar"
        if not root.exists():
            new = root.with_suffix(".new.tar")
            subprocess.run(
                ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(self.packages)}", SUITE, str(new)],
                check=True, stdin=subprocess.DEVNULL, capture_output=True,
            )  # fmt: skip
            new.rename(root)
        return root

    def _change(self, source: tarfile.TarFile, target: tarfile.TarFile) -> None:
        """Copy the root. Root needs no password; the machine has no identity yet."""
        for member in source:
            path = member.name.removeprefix("./")
            data = source.extractfile(member) if member.isreg() else None
            if path in self.files or path in self.links:
                continue
            if path == "etc/shadow" and data is not None:
                text = data.read().replace(b"root:*:", b"root::")
                member.size, data = len(text), io.BytesIO(text)
            if path == "etc/machine-id":
                member.size, data = 0, io.BytesIO()
            target.addfile(member, data)
        for path, content in self.files.items():
            member = tarfile.TarInfo(f"./{path}")
            member.size, member.mode = len(content.encode()), 0o644
            target.addfile(member, io.BytesIO(content.encode()))
        for path, link in self.links.items():
            member = tarfile.TarInfo(f"./{path}")
            member.type, member.linkname = tarfile.SYMTYPE, link
            target.addfile(member)
