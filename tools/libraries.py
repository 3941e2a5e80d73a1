"""What a program of this machine needs beside itself: its dynamic loader and its shared libraries.

The loader itself says which libraries it would take (ld.so(8): --list). They lie in the guest where they lie here.
"""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

from tools.cpio import Archive

_LOADER_CACHE = Path("/etc/ld.so.cache")  # where the loader looks for libraries outside the usual directories


class LibraryError(Exception):
    """One is missing."""


def interpreter(program: bytes) -> str | None:
    """The dynamic loader that an ELF program asks for; None for any other file."""
    if program[:5] != b"\x7fELF\x02" or len(program) < 64:
        return None
    table, size, count = *struct.unpack_from("<Q", program, 32), *struct.unpack_from("<HH", program, 54)
    for number in range(count):
        header = program[table + number * size :][:56]
        if len(header) == 56 and struct.unpack_from("<I", header)[0] == 3:
            offset, length = struct.unpack_from("<Q", header, 8)[0], struct.unpack_from("<Q", header, 32)[0]
            return program[offset : offset + length].rstrip(b"\0").decode(errors="replace")
    return None


def needed_files(program: Path, loader: str) -> list[Path]:
    """The loader, the libraries and the loader's cache. Raises LibraryError."""
    if not Path(loader).is_file():
        raise LibraryError(f"needs {loader}, which neither the root image nor this machine has")
    listed = subprocess.run([loader, "--list", str(program.absolute())], check=False, capture_output=True, text=True)
    if listed.returncode != 0:
        raise LibraryError(f"cannot be loaded here: {listed.stderr.strip()}")
    libraries = re.findall(r"^\s*(?:\S+ => )?(/.+) \(0x[0-9a-f]+\)$", listed.stdout, re.MULTILINE)
    return [path for path in dict.fromkeys((Path(loader), *map(Path, libraries), _LOADER_CACHE)) if path.is_file()]


def add_program(archive: Archive, program: Path, mode: int = 0o755) -> None:
    """Put a dynamic program of this machine into an image, in its own place, with what it needs. Raises LibraryError,
    OSError.
    """
    contents = program.read_bytes()
    loader = interpreter(contents)
    if loader is None:
        raise LibraryError(f"{program} names no loader")
    archive.file(str(program).lstrip("/"), contents, mode)
    add_libraries(archive, program, loader)


def add_libraries(archive: Archive, program: Path, loader: str) -> None:
    """Put these files into an image. Raises LibraryError, OSError."""
    for path in needed_files(program, loader):
        archive.file(str(path).lstrip("/"), path.read_bytes(), 0o755)
