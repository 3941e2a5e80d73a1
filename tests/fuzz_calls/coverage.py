"""Which lines of the kernel a run has reached: notes of a QEMU plugin (host/coverage.c), by the image's line table.

A line counts as reached if an instruction of it was translated, in whatever place it was inlined.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from elftools.elf.elffile import ELFFile

import kernel.syscalls.all  # noqa: F401  (it fills the table)
from compiler.lines import FrameLine, Table
from kernel.doors.table import SYSCALLS
from tools.machine import Disk, DiskMode
from tools.paths import KERNEL
from tools.plugin import build_plugin

_SOURCE = Path(__file__).parent / "host" / "coverage.c"
BASE = 0xFFFF_FFFF_8010_0000
HEADER = 4096
REACH = 8 << 20


class Notes:
    """The plugin and its file. The file may be kept from boot to boot of one kernel: notes add up."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        kernel_hash = hashlib.sha256(KERNEL.read_bytes()).hexdigest()[:12]
        self.file = folder / f"coverage-{kernel_hash}"
        self.corpus = folder / f"corpus-{kernel_hash}"
        plugin = build_plugin(_SOURCE, folder)
        if not self.file.exists():
            self.file.write_bytes(bytes(HEADER + REACH))
        self.arguments = ("-plugin", f"file={plugin},notes={self.file}")

    def disk(self) -> Disk:
        """What the guest reads the count from."""
        return Disk(self.file, DiskMode.READ_ONLY)

    def addresses(self) -> list[int]:
        seen = self.file.read_bytes()[HEADER:]
        return [BASE + offset for offset, byte in enumerate(seen) if byte]


@dataclass
class Lines:
    """Lines of the kernel by (file, function): all that have code, and those reached."""

    every: dict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))
    reached: dict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))

    def counts(self, key: tuple[str, str]) -> tuple[int, int]:
        return len(self.reached[key] & self.every[key]), len(self.every[key])


def _innermost(table: Table, address: int) -> FrameLine | None:
    return next(table.frames(address), None)


def lines(addresses: list[int]) -> Lines:
    """What the notes mean. `addresses` are of the kernel that lies in build/."""
    with KERNEL.open("rb") as file:
        image = ELFFile(file)
        table_section, text = image.get_section_by_name(".krait_lines"), image.get_section_by_name(".text")
        assert table_section is not None and text is not None
        table = Table(table_section.data())
        start, size = text["sh_addr"], text["sh_size"]
    result = Lines()
    wanted = set(addresses)
    for address in sorted(wanted | set(_row_starts(table, start, size))):
        frame = _innermost(table, address)
        if frame is None:
            continue
        key = (frame.file, frame.function)
        result.every[key].add(frame.line)
        if address in wanted:
            result.reached[key].add(frame.line)
    return result


def _row_starts(table: Table, start: int, size: int) -> list[int]:
    """Where each row of the table begins: every line has one."""
    found = [table.base + row[0] for block in range(table.block_count) for row in table.rows_of(block)]
    return [address for address in found if start <= address < start + size]


def report(found: Lines) -> str:
    """Totals by room, and for every system call the lines of its handler."""
    rooms: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for key in found.every:
        reached, every = found.counts(key)
        parts = key[0].split("/")
        room = "/".join(parts[: 3 if parts[:2] in (["kernel", "net"], ["kernel", "fs"]) else 2])
        for name in ("all", room):
            rooms[name][0] += reached
            rooms[name][1] += every
    text = "lines reached, of all\n"
    for room, (reached, every) in sorted(rooms.items()):
        text += f"{reached:6} {every:6} {100 * reached // max(every, 1):3} %  {room}\n"
    text += "\nlines of handlers\n"
    functions = {key[1]: key for key in found.every if key[0].startswith("kernel/syscalls/")}
    for row in SYSCALLS:
        handler = functions.get(getattr(row.handler, "__name__", "")) if row is not None else None
        if row is not None and handler is not None:
            reached, every = found.counts(handler)
            missing = sorted(found.every[handler] - found.reached[handler])
            text += f"{reached:4} {every:4}  {row.name}" + (f"  not {missing}\n" if missing else "\n")
    return text
