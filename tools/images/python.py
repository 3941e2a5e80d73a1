"""The image `python`: the CPython that this machine would run, with its standard library and the root image's tools.

Files lie in the guest where they lie here, so the interpreter finds its library. A virtual environment that is active
comes along.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tools.images.layers import ImageError
from tools.images.root import DEFAULT_PATH, Configuration
from tools.libraries import LibraryError, interpreter, needed_files

ASK = """
import json, os, sys, sysconfig
paths = sysconfig.get_paths()
print(json.dumps({"program": os.path.realpath(sys.executable), "prefix": sys.prefix, "base": sys.base_prefix,
    "library": [paths["stdlib"], paths["platstdlib"]], "name": "python%d.%d" % sys.version_info[:2],
    "exec": sys.base_exec_prefix}))
"""
LEFT_OUT = {"test", "tests", "idlelib", "turtledemo", "lib2to3", "ensurepip", "config-3", "site-packages",
            "dist-packages"}  # fmt: skip


@dataclass(frozen=True)
class Python:
    """An interpreter of this machine."""

    program: Path
    prefix: Path
    base: Path
    libraries: tuple[Path, ...]
    name: str  # python3.11

    @property
    def environment(self) -> Path | None:
        """The virtual environment, if it is one."""
        return self.prefix if self.prefix != self.base else None

    def check_tag(self, tag: str) -> None:
        """Raise ImageError if a tag, as in `python:3.12-slim`, asks for another version than this one."""
        asked = re.match(r"\d+(\.\d+)?", tag)
        version = self.name.removeprefix("python")
        if asked is not None and not f"{version}.".startswith(f"{asked[0]}."):
            raise ImageError(f"this machine's Python is {version}, and no other is fetched")

    def stamp(self) -> list[object]:
        """What changes when the interpreter, its library or the environment do."""
        places = [self.program, *self.libraries]
        if self.environment is not None:
            places += [self.environment, *self.environment.glob("lib/python*/site-packages")]
        return [(str(place), place.stat().st_mtime_ns) for place in places if place.exists()]


def find_python(program: str = "python3") -> Python:
    """An interpreter: that of the search path. Raises ImageError."""
    found = shutil.which(program)
    if found is None:
        raise ImageError(f"this machine has no {program}")
    done = subprocess.run([found, "-c", ASK], check=False, capture_output=True, text=True)
    try:
        facts = json.loads(done.stdout)
    except ValueError as error:
        raise ImageError(f"{found} does not work: {done.stderr.strip()}") from error
    libraries = dict.fromkeys(Path(path) for path in facts["library"])
    return Python(Path(facts["program"]), Path(facts["prefix"]), Path(facts["base"]), tuple(libraries), facts["name"])


def write_archive(python: Python, root: Path, scratch: Path) -> tuple[Path, Configuration]:
    """A tar archive of it all; `root`: that of the root image."""
    output = scratch / "python.tar"
    shutil.copy(root, output)
    libraries: dict[Path, None] = {}
    with tarfile.open(output, "a") as archive:

        def add(path: Path) -> None:
            archive.add(path, str(path).lstrip("/"), recursive=False, filter=as_root)
            if path.is_symlink() or not path.is_file():
                return
            if path.suffix == ".so" or ".so." in path.name or path == python.program:
                libraries.update(dict.fromkeys(_libraries(path, python.program)))

        add(python.program)
        trees = [*python.libraries, *([python.environment] if python.environment is not None else [])]
        for tree in trees:
            for directory, names, files in os.walk(tree):
                is_library = tree in python.libraries
                names[:] = sorted(name for name in names if not is_library or not _is_left_out(name))
                for name in sorted(files):
                    if not name.endswith(".a"):
                        add(Path(directory) / name)
                for name in names:
                    if (Path(directory) / name).is_symlink():
                        add(Path(directory) / name)
        if python.environment is not None:
            for between in _links_between(python.environment / "bin" / "python3", python.program):
                add(between)
        for library in libraries:
            archive.add(library.resolve(), str(library).lstrip("/"), filter=as_root)
        for name in ("python3", "python", python.name):
            link = tarfile.TarInfo(f"usr/local/bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, str(python.program)
            archive.addfile(link)
    environment = {"PATH": DEFAULT_PATH, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    if python.environment is not None:
        environment |= {"VIRTUAL_ENV": str(python.environment), "PATH": f"{python.environment}/bin:{DEFAULT_PATH}"}
    return output, Configuration(command=("python3",), environment=environment, directory="/root")


def _links_between(path: Path, program: Path) -> list[Path]:
    """The links outside an environment over which its interpreter leads to the program itself."""
    found = []
    environment = path.parent.parent
    while path.is_symlink() and path != program:
        if not path.is_relative_to(environment):
            found.append(path)
        path = path.parent / path.readlink()
    return found


def _is_left_out(name: str) -> bool:
    return name in LEFT_OUT or name.startswith("config-3")


def as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A filter of archives: everything is root's."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _libraries(path: Path, program: Path) -> list[Path]:
    """What an object needs, by the loader of the interpreter."""
    loader = interpreter(program.read_bytes())
    if loader is None:
        return []
    try:
        return needed_files(path, loader)
    except LibraryError:
        return []  # an extension that does not load here either
