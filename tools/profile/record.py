"""Take samples of a machine's stack by a plugin of QEMU (stacks.c), and give addresses their names."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

from tools.errors import KraitError
from tools.lock import exclusively
from tools.paths import BUILD
from tools.plugin import build_plugin
from tools.profile.flame_graph import Stack

SOURCE = Path(__file__).parent / "stacks.c"
PROGRAM = "(program)"
UNKNOWN = "(assembly)"
_NAMES = ("kernel.", "arch.x86_64.")  # packages that a name is shown without


def plugin_option(records: Path, interval: int, boot: bool, kernel: Path) -> tuple[str, str]:
    """QEMU's arguments for a machine with a kernel, whose samples go to a file. Raises KraitError."""
    folder = BUILD / "profile"
    with exclusively("profile"):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            plugin = build_plugin(SOURCE, folder)
        except (OSError, subprocess.CalledProcessError) as error:
            raise KraitError("krait profile: its plugin of QEMU cannot be compiled: it needs gcc") from error
    path = str(records).replace(",", ",,")
    options = f"records={path},interval={interval},table={unwind_table(kernel):x}{',boot=on' if boot else ''}"
    return "-plugin", f"{str(plugin).replace(',', ',,')},{options}"


def unwind_table(kernel: Path) -> int:
    """Where a kernel has its unwind table; 0 if it has none."""
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    with kernel.open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".symtab")
        found = symbols.get_symbol_by_name("__krait_unwind_start") if isinstance(symbols, SymbolTableSection) else None
        return int(found[0]["st_value"]) if found else 0


def read_stacks(records: Path, kernel: Path) -> Counter[Stack]:
    """The stacks of a file of samples, by names, outermost first."""
    lines = Counter(line for line in records.read_text().splitlines() if line)
    samples = {line: [int(word, 16) for word in line.split()] for line in lines}
    names = _names_of(sorted({address for sample in samples.values() for address in sample} - {0}), kernel)
    names[0] = (PROGRAM,)
    stacks: Counter[Stack] = Counter()
    for line, count in lines.items():
        stacks[tuple(name for address in reversed(samples[line]) for name in names[address])] += count
    return stacks


def _names_of(addresses: list[int], kernel: Path) -> dict[int, tuple[str, ...]]:
    """The functions at each address, inlined ones last."""
    query = "\n".join(f"{address:#x}" for address in addresses)
    answer = subprocess.run(
        ["addr2line", "-a", "-f", "-i", "-e", str(kernel)], input=query, check=True, capture_output=True, text=True
    ).stdout
    names: dict[int, tuple[str, ...]] = {}
    for block in re.split(r"^(?=0x)", answer, flags=re.MULTILINE)[1:]:
        first, *rest = block.splitlines()
        names[int(first, 16)] = tuple(_short(name) for name in reversed(rest[::2]))
    return names


def _short(name: str) -> str:
    if name == "??":
        return UNKNOWN
    for package in _NAMES:
        name = name.removeprefix(package)
    return name
