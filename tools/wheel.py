"""Krait as a package: a wheel with the command, the sources that a project is compiled with, and everything prebuilt.

`make wheel` writes build/wheel/krait-VERSION-py3-none-any.whl; `pip install .` comes here too, as pyproject.toml names
this module as the build backend (PEP 517). The wheel holds a package `krait`: its command, and `krait/tree`, which is
a checkout without tests, but with `prebuilt/` (tools/paths.py). What is prebuilt runs in the guest alone, so one wheel
serves every machine that has QEMU.

Runs under any Python, with its standard library alone. A wheel of the same sources has the same bytes.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import stat
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.paths import BUILD, INITRAMFS, KERNEL, ROOT
from tools.version import VERSION

TREES = ("kernel", "arch", "boot", "compiler", "tools", "userland")
FILES = ("linker.ld", "LICENSE")
LEFT_OUT = (".pyc", ".new")
TIME = (2020, 1, 1, 0, 0, 0)  # of every member
NAME = f"krait-{VERSION}-py3-none-any.whl"
DIST_INFO = f"krait-{VERSION}.dist-info"

COMMAND = '''\
"""The command `krait`. Its modules lie in `tree`, beside this file, and are found there and nowhere else."""

import sys
from pathlib import Path

TREE = Path(__file__).resolve().parent / "tree"


def main() -> int:
    sys.path.insert(0, str(TREE))
    from tools.front_end import start

    return start()


if __name__ == "__main__":
    sys.exit(main())
'''


def source_files() -> Iterator[tuple[str, Path]]:
    """What the tree holds of the checkout: names in it, and files."""
    for name in FILES:
        yield name, ROOT / name
    for tree in TREES:
        for path in sorted((ROOT / tree).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix not in LEFT_OUT:
                yield str(path.relative_to(ROOT)), path


def prebuilt_files(kernel: Path) -> Iterator[tuple[str, Path]]:
    """What the tree holds ready made; everything but the kernel is built if it is not there."""
    from userland.busybox import build_busybox
    from userland.dropbear import build_dropbear
    from userland.image import LOADER, build_image
    from userland.programs import build_agent, build_console
    from userland.sftp_server import build_sftp_server

    build_image()
    busybox = build_busybox()
    for name, path in (
        ("krait.elf", kernel), (INITRAMFS.name, INITRAMFS), ("agent", build_agent()), ("console", build_console()),
        ("busybox/busybox", busybox / "busybox"), ("busybox/busybox.links", busybox / "busybox.links"),
        ("dropbear", build_dropbear()), ("sftp-server", build_sftp_server()), (LOADER.name, LOADER.resolve()),
    ):  # fmt: skip
        yield f"prebuilt/{name}", path


class Wheel:
    """A wheel that is being written: a zip archive that ends with the list of its members and their hashes."""

    def __init__(self, path: Path) -> None:
        self.archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9)
        self.record: list[str] = []

    def add(self, name: str, data: bytes, executable: bool = False) -> None:
        member = zipfile.ZipInfo(name, TIME)
        member.compress_type = zipfile.ZIP_DEFLATED
        member.create_system = 3  # Unix: the attributes are modes
        member.external_attr = (stat.S_IFREG | (0o755 if executable else 0o644)) << 16
        self.archive.writestr(member, data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        self.record.append(f"{name},sha256={digest},{len(data)}\n")

    def close(self) -> None:
        self.record.append(f"{DIST_INFO}/RECORD,,\n")
        self.archive.writestr(zipfile.ZipInfo(f"{DIST_INFO}/RECORD", TIME), "".join(self.record))
        self.archive.close()


def project_table() -> dict[str, Any]:
    """What pyproject.toml says of us."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def entry_points() -> str:
    """The commands."""
    return "[console_scripts]\n" + "".join(f"{name} = {where}\n" for name, where in project_table()["scripts"].items())


def metadata() -> str:
    """The METADATA file."""
    project = project_table()
    lines = ["Metadata-Version: 2.1", "Name: krait", f"Version: {VERSION}", f"Summary: {project['description']}",
             f"License: {project['license']['text']}", f"Requires-Python: {project['requires-python']}",
             *(f"Requires-Dist: {each}" for each in project["dependencies"]),
             "Description-Content-Type: text/markdown", "", (ROOT / "README.md").read_text()]  # fmt: skip
    return "\n".join(lines)


def write_wheel(directory: Path, kernel: Path) -> Path:
    """Write the wheel, with a kernel that is built already."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / NAME
    new = path.with_suffix(".new")
    wheel = Wheel(new)
    wheel.add("krait/__init__.py", f'"""Krait {VERSION}: a kernel in Python."""\n'.encode())
    wheel.add("krait/__main__.py", COMMAND.encode())
    for name, source in (*source_files(), *prebuilt_files(kernel)):
        wheel.add(f"krait/tree/{name}", source.read_bytes(), bool(source.stat().st_mode & stat.S_IXUSR))
    wheel.add(f"{DIST_INFO}/METADATA", metadata().encode())
    wheel.add(f"{DIST_INFO}/WHEEL", b"Wheel-Version: 1.0\nGenerator: krait\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.add(f"{DIST_INFO}/entry_points.txt", entry_points().encode())
    wheel.close()
    new.rename(path)
    return path


def build_kernel() -> None:
    """By the front end, which installs what the compiler needs."""
    done = subprocess.run([ROOT / "krait", "build", "--profile", "release"], check=False, stdout=sys.stderr)
    if done.returncode != 0:
        raise SystemExit("wheel: the kernel was not built")


# ---- What pip calls (PEP 517) ----------------------------------------------------------------------------------------


def build_wheel(
    wheel_directory: str, config_settings: dict[str, str] | None = None, metadata_directory: str | None = None
) -> str:
    build_kernel()
    return write_wheel(Path(wheel_directory), KERNEL).name


def kept_files(directory: Path) -> Iterator[Path]:
    """Files below a directory but those whose names .gitignore has, which need not have git to be found."""
    ignored = [".git", *(line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines())]
    for path in sorted(directory.iterdir()):
        if any(fnmatch(path.name, pattern) for pattern in ignored):
            continue
        if path.is_dir():
            yield from kept_files(path)
        else:
            yield path


def build_sdist(sdist_directory: str, config_settings: dict[str, str] | None = None) -> str:
    """The checkout, without what git is to ignore."""
    name = f"krait-{VERSION}"
    with tarfile.open(Path(sdist_directory) / f"{name}.tar.gz", "w:gz") as archive:
        for path in kept_files(ROOT):
            archive.add(path, f"{name}/{path.relative_to(ROOT)}")
        information = BUILD / "PKG-INFO"
        information.write_text(metadata())
        archive.add(information, f"{name}/PKG-INFO")
    return f"{name}.tar.gz"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.wheel", description="Write Krait's wheel.")
    parser.add_argument("-o", "--output", type=Path, default=BUILD / "wheel", help="directory (build/wheel)")
    parser.add_argument("--kernel", type=Path, help="take this kernel and build none")
    options = parser.parse_args()
    if options.kernel is None:
        build_kernel()
    path = write_wheel(options.output, options.kernel or KERNEL)
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
