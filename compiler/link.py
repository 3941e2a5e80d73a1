"""Linking: objects to `build/krait.elf`, or to a program on the host; and the line table of either.

The kernel is linked twice: once to learn where code lies, then again with the line table (`compiler/lines.py`) in
the section `.krait_lines`, which `linker.ld` puts after all code and read-only data, so that no address of code
moves; that is checked.

A host program is our objects and the start-up in `compiler/host/start.c`, linked by gcc below 2 GiB (type words hold
32 bits of an address) and not position-independent. Its line table is next to it, in `PROGRAM.lines`.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import subprocess
import tempfile
from pathlib import Path

from compiler import unwind
from compiler.backend import CACHE, ROOT, file_hash, write_whole
from compiler.lines import ObjectLines, Placed, build

KERNEL_BASE = 0xFFFF_FFFF_8000_0000
ASSEMBLY = ("boot", "arch/x86_64")
ASSEMBLER = ("gcc", "-c", "-g", "-m64", "-fno-pie", f"-fdebug-prefix-map={ROOT}=.", "-I.")
LINKER = ("ld", "-T", "linker.ld", "-z", "max-page-size=4096", "-z", "noexecstack", "-z", "norelro", "--build-id=none",
          "--no-warn-rwx-segments", "--orphan-handling=place", "-nostdlib", "-static")  # fmt: skip
VDSO = ROOT / "arch" / "x86_64" / "vdso"
VDSO_LINKER = ("gcc", "-shared", "-nostdlib", "-Wl,-T,arch/x86_64/vdso/vdso.lds", "-Wl,--hash-style=both",
               "-Wl,-soname=linux-vdso.so.1",
               "-Wl,-z,max-page-size=4096", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-s")  # fmt: skip
HOST_START = ROOT / "compiler" / "host" / "start.c"
HOST_COMPILER = ("gcc", "-c", "-O2", "-g", "-Wall", "-Wextra", "-fno-omit-frame-pointer", "-fno-pie",
                 f"-fdebug-prefix-map={ROOT}=.")  # fmt: skip
HOST_LINKER = ("gcc", "-no-pie", "-static", "-Wl,--build-id=none", "-Wl,-z,noexecstack")

_MAP_LINE = re.compile(r"^ (\.[^\s]+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) (\S.*)$", re.MULTILINE)


class LinkError(Exception):
    """The assembler or linker refused: what it said."""


def run(command: list[str]) -> None:
    """Run a tool in the checkout; its complaints become a LinkError."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LinkError(f"{command[0]} is missing on this machine") from None
    if done.returncode != 0:
        raise LinkError(f"{command[0]} failed:\n{done.stderr.strip() or done.stdout.strip()}")


def cached_object(source: Path, command: tuple[str, ...], dependencies: list[Path]) -> Path:
    """Compile a C or assembly file, unless it and what it includes are unchanged."""
    # The name goes into the image's symbol table, so it must not depend on where the checkout and the cache lie.
    words = [word.replace(str(CACHE), "CACHE").replace(str(ROOT), ".") for word in command]
    key = hashlib.sha256(" ".join((*words, *(file_hash(path) for path in [source, *dependencies]))).encode())
    path = CACHE / f"{source.stem}-{key.hexdigest()[:24]}.o"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp.o")
        run([*command, str(source.relative_to(ROOT)), "-o", str(temporary)])
        temporary.replace(path)
    return path


def build_vdso() -> Path:
    """The vDSO, which arch/x86_64/vdso_image.S puts into the image, in a folder named by its contents."""
    sources = [VDSO / "vdso.S", VDSO / "vdso.lds"]
    key = hashlib.sha256(" ".join((*VDSO_LINKER, *(file_hash(path) for path in sources))).encode()).hexdigest()
    path = CACHE / f"vdso-{key[:24]}" / "vdso.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        run([*VDSO_LINKER, "-o", str(temporary), str(sources[0].relative_to(ROOT))])
        temporary.replace(path)
    return path


def assembly_sources() -> list[Path]:
    """The kernel's assembly, the boot stub first."""
    return [path for folder in ASSEMBLY for path in sorted((ROOT / folder).glob("*.S"))]


def assembly_includes() -> list[Path]:
    return [path for folder in ASSEMBLY for path in sorted((ROOT / folder).glob("*.inc"))]


def placements(map_text: str, objects: list[Path]) -> list[Placed]:
    """Where the linker put the code of our objects."""
    lines = {str(path): ObjectLines.from_json(path.with_suffix(".lines").read_text()) for path in objects}
    found: list[Placed] = []
    for section, address, size, path in _MAP_LINE.findall(map_text):
        if section.startswith(".text") and path in lines and int(size, 16) and int(address, 16):
            found.append(Placed(lines[path], section, int(address, 16), int(size, 16)))
    return found


def unwind_placements(map_text: str, objects: list[Path]) -> list[unwind.Placed]:
    """The same for what unwinding needs."""
    tables = {str(path): unwind.ObjectUnwind.from_json(path.with_suffix(".unwind").read_text()) for path in objects}
    return [unwind.Placed(tables[path], section, int(address, 16))
            for section, address, size, path in _MAP_LINE.findall(map_text)
            if section.startswith(".text") and path in tables and int(size, 16) and int(address, 16)]  # fmt: skip


def code_addresses(map_text: str) -> list[tuple[str, str, str, str]]:
    """All pieces of code in a map, for comparison (the table's own object has an empty one)."""
    entries = _MAP_LINE.findall(map_text)
    return [entry for entry in entries if entry[0].startswith((".text", ".boot.text")) and int(entry[2], 16)]


def link_kernel(objects: list[Path], output: Path) -> int:
    """Link the image; returns the size of its line table."""
    output.parent.mkdir(parents=True, exist_ok=True)
    includes = assembly_includes()
    vdso = build_vdso()
    assembler = (*ASSEMBLER, f"-I{vdso.parent}")
    stubs = [cached_object(source, assembler, [*includes, vdso]) for source in assembly_sources()]
    everything = [*map(str, stubs), *map(str, objects)]
    with tempfile.TemporaryDirectory(prefix=".link-", dir=output.parent) as scratch:  # another build may run as well
        image, map_path = Path(scratch, "image"), Path(scratch, "map")
        link = [*LINKER, "-Map", str(map_path), "-o", str(image), *everything]
        run(link)
        first = map_path.read_text()
        table = build(placements(first, objects), KERNEL_BASE)
        unwinding = unwind.build(unwind_placements(first, objects), KERNEL_BASE)
        run([*link, str(table_object(table, unwinding, Path(scratch)))])
        if code_addresses(first) != code_addresses(map_path.read_text()):
            raise LinkError("the second link moved code: .krait_lines must come after all code in linker.ld")
        give_physical_addresses(image)
        map_path.replace(output.with_suffix(".map"))
        image.replace(output)
    return len(table)


def give_physical_addresses(image: Path) -> None:
    """Let entry and segments of an image say where they lie in memory, which is all that boot loaders ask for.

    The linker puts virtual addresses there. GRUB converts the entry, kexec takes it as it is; with physical
    ones in both places each is content. Sections and symbols, which debuggers read, keep their addresses.
    """
    data = bytearray(image.read_bytes())
    entry, table = struct.unpack_from("<QQ", data, 24)
    struct.pack_into("<Q", data, 24, entry - KERNEL_BASE)
    size, count = struct.unpack_from("<HH", data, 54)
    for header in range(table, table + count * size, size):
        data[header + 16 : header + 24] = data[header + 24 : header + 32]  # p_vaddr, p_paddr
    image.write_bytes(data)


def table_object(table: bytes, unwinding: bytes, folder: Path) -> Path:
    """An object whose sections `.krait_lines` and `.krait_unwind` are the tables. The linker may name it in the image:
    its name is fixed.
    """
    source, target = folder / "lines.S", folder / "lines.o"
    text = ""
    for name, data in (("lines", table), ("unwind", unwinding)):
        (folder / name).write_bytes(data)
        text += f'.section .krait_{name}, "a", @progbits\n.balign 16\n.incbin "{folder / name}"\n'
    source.write_text(text)
    run([*ASSEMBLER[:2], "-m64", str(source), "-o", str(target)])
    return target


def link_host(objects: list[Path], output: Path) -> None:
    """Link a program for this machine, and write its line table to OUTPUT.lines."""
    output.parent.mkdir(parents=True, exist_ok=True)
    start = cached_object(HOST_START, HOST_COMPILER, [])
    with tempfile.TemporaryDirectory(prefix=".link-", dir=output.parent) as scratch:
        image, map_path = Path(scratch, "image"), Path(scratch, "map")
        run([*HOST_LINKER, f"-Wl,-Map={map_path}", "-o", str(image), str(start), *map(str, objects)])
        write_whole(output.with_suffix(".lines"), build(placements(map_path.read_text(), objects), 0))
        image.replace(output)
