"""A disk that fails on demand: QEMU's blkdebug is put in front of its image and taken away again while a guest runs.

The device stands on a throttle node without limits, only because that node's child can be exchanged.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from qemu.qmp import ExecuteError

from tests.harness import Guest

SECTOR = 512


def debugfs(image: Path, command: str) -> str:
    done = subprocess.run(["debugfs", "-R", command, str(image)], capture_output=True, text=True, check=True)
    return done.stdout


class FaultyDisk:
    """An ext2 on a whole virtio disk. Targets of faults are named as `disk_faults.c` says."""

    def __init__(self, image: Path, name: str = "0") -> None:
        self.image = image
        self.name = name  # ends the names of QEMU's nodes
        self.block_sectors = int(self._field("Block size")) // SECTOR

    def arguments(self) -> tuple[str, ...]:
        return (
            "-object", f"throttle-group,id=group{self.name}",
            "-blockdev", f"driver=file,filename={self.image},node-name=file{self.name}",
            "-blockdev",
            f"driver=throttle,throttle-group=group{self.name},file=file{self.name},node-name=disk{self.name}",
            "-device", f"virtio-blk-pci,id=blk{self.name},drive=disk{self.name},werror=report,rerror=report",
        )  # fmt: skip

    def _field(self, name: str) -> str:
        shown = subprocess.run(["dumpe2fs", "-h", str(self.image)], capture_output=True, text=True, check=True).stdout
        found = re.search(rf"^{name}: +(.*)$", shown, re.MULTILINE)
        assert found is not None, name
        return found[1]

    def sector(self, target: str) -> int | None:
        """Where a target lies; None for anywhere."""
        kind, *rest = target.split(":")
        if kind == "any":
            return None
        if kind == "super":
            return 2
        if kind == "data":
            block = int(debugfs(self.image, f"bmap {rest[0]} {rest[1]}"))
            assert block > 0, target
            return block * self.block_sectors
        if kind == "inode":
            place = re.search(r"block (\d+), offset 0x([0-9a-f]+)", debugfs(self.image, f"imap {rest[0]}"))
            assert place is not None, target
            return int(place[1]) * self.block_sectors + int(place[2], 16) // SECTOR
        if kind == "indirect":
            pointer = re.search(r"\(IND\):(\d+)", debugfs(self.image, f"stat {rest[0]}"))
            assert pointer is not None, target
            return int(pointer[1]) * self.block_sectors
        name = {"block_bitmap": "Block bitmap at", "inode_bitmap": "Inode bitmap at"}[kind]
        groups = subprocess.run(["dumpe2fs", str(self.image)], capture_output=True, text=True, check=True).stdout
        found = re.search(rf"{name} (\d+)", groups)
        assert found is not None, target
        return int(found[1]) * self.block_sectors

    def fail(self, guest: Guest, operation: str, target: str) -> None:
        """From now on operations of a kind that touch the target fail with EIO; of flushes, the next two."""
        is_flush = operation == "flush"  # QEMU flushes as well when the disk is to be healed
        rule: dict[str, object] = {"event": "none", "iotype": operation, "errno": 5, "once": is_flush}
        sector = self.sector(target)
        if sector is not None:
            rule["sector"] = sector
        rules = [rule] * (2 if is_flush else 1)
        node = {"driver": "blkdebug", "node-name": self._bad, "image": f"file{self.name}", "inject-error": rules}
        guest.qmp("blockdev-add", **node)
        self._put(guest, self._bad)

    def heal(self, guest: Guest) -> None:
        for _ in range(3):
            try:
                self._put(guest, f"file{self.name}")
                break
            except ExecuteError as error:
                if "flushing" not in str(error):  # one of the flushes that fail was still to come
                    raise
        guest.qmp("blockdev-del", **{"node-name": self._bad})

    @property
    def _bad(self) -> str:
        return f"bad{self.name}"

    def _put(self, guest: Guest, child: str) -> None:
        group = f"group{self.name}"
        node = {"driver": "throttle", "node-name": f"disk{self.name}", "throttle-group": group, "file": child}
        guest.qmp("blockdev-reopen", options=[node])
