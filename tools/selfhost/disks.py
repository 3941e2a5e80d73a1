"""What a machine needs in which Krait is built: a disk with this machine's Python, the packages of our virtual
environment and Debian packages; and a copy of the checkout, which the machine shares, so that what it has built is
still there after a build that was interrupted.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

from compiler.backend import CACHE
from tools.errors import KraitError
from tools.images import python
from tools.images.make import in_order
from tools.images.root import Configuration
from tools.images.store import Kept, disk_of, key_of
from tools.paths import BUILD, ROOT
from userland.image import root_archive

PLACE = BUILD / "self"
CHECKOUT = PLACE / "checkout"
HERE_IN_GUEST = "/krait"  # where the copy is there
COMPILER = ("gcc", "binutils", "libc6-dev")  # what the compiler calls
# What the unit and language tests call beside it.
TESTS = (
    *COMPILER, "musl-tools", "linux-libc-dev", "e2fsprogs", "libarchive13t64", "util-linux", "git", "gzip", "bzip2",
    "xz-utils", "zstd", "bash", "coreutils", "dpkg", "make",
)  # fmt: skip
DPKG_STATUS = "var/lib/dpkg/status"  # what dpkg-query reads
# Of packages: what no build reads.
LEFT_OUT = re.compile(r"^/usr/share/|/lib(asan|tsan|lsan|ubsan|hwasan|itm|quadmath|gomp|cc1)[^/]*\.(a|so[.0-9]*)$")


def installed_packages(names: Iterable[str]) -> list[str]:
    """These Debian packages and all that they depend on, as far as they are installed."""
    found: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        query = ["dpkg-query", "-W", "-f", "${Status}\t${Pre-Depends}, ${Depends}\n", name]
        done = subprocess.run(query, check=False, capture_output=True, text=True)
        if done.returncode != 0 or not done.stdout.startswith("install ok installed"):
            continue
        found[name] = None
        depends = done.stdout.splitlines()[0].partition("\t")[2]
        waiting += [re.split(r"[ :(]", word.strip())[0] for word in re.split(r"[,|]", depends) if word.strip()]
    return list(found)


def package_status(names: list[str]) -> bytes:
    """What dpkg knows of installed packages, as it is written down in DPKG_STATUS."""
    return subprocess.run(["dpkg-query", "--status", *names], check=True, capture_output=True).stdout


def package_files(names: list[str]) -> list[Path]:
    """Files and links of installed packages, without what nobody reads in a build, and without links such as that from
    /bin to usr/bin: the root image has a directory there.
    """
    listed = subprocess.run(["dpkg", "-L", *names], check=True, capture_output=True, text=True).stdout
    paths = (Path(line) for line in sorted(set(listed.splitlines())) if line.startswith("/"))
    wanted = (path for path in paths if not LEFT_OUT.search(str(path)) and path.parent != Path("/"))
    return [path for path in wanted if path.is_symlink() or path.is_file()]


def real_place(path: Path) -> str:
    """Where a package's file lies, seen past links such as that from /lib to usr/lib."""
    return str(path.parent.resolve() / path.name)


def guest_disk(wanted: tuple[str, ...]) -> Kept:
    """The disk that the machine starts from: root image, Python with our environment, and these Debian packages as they
    are installed here. Raises KraitError.
    """
    interpreter = python.find_python(sys.executable)
    packages = installed_packages(wanted)
    if missing := sorted(set(COMPILER) - set(packages)):
        raise KraitError(f"krait: {', '.join(missing)} must be installed, as Debian's packages")
    files = package_files(packages)
    status = package_status(packages)
    root = root_archive()

    def make(scratch: Path) -> tuple[Path, Configuration]:
        base = scratch / "base.tar"
        root.write_tar(base)
        archive, configuration = python.write_archive(interpreter, base, scratch)
        with tarfile.open(archive, "a") as output:
            for path in files:
                output.add(path, real_place(path).lstrip("/"), recursive=False, filter=python.as_root)
            member = tarfile.TarInfo(DPKG_STATUS)
            member.size = len(status)
            output.addfile(member, io.BytesIO(status))
        return in_order(archive, scratch), configuration

    known = [status, *((str(path), path.lstat().st_size) for path in files)]
    stamp = hashlib.sha256(repr(known).encode()).hexdigest()
    key = key_of("self", interpreter.stamp(), stamp, root.pack())
    return disk_of(key, key_of("self", interpreter, wanted), "the compiler and what it needs", make)


def names_in_checkout() -> set[str]:
    """What git knows of, and what is new and not ignored. Raises KraitError."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True)
    if done.returncode != 0:
        raise KraitError("krait: this is no checkout: git does not know it")
    return {name for name in done.stdout.decode().split("\0") if name and (ROOT / name).is_file()}


def same_bytes(one: Path, other: Path) -> bool:
    """Whether two files hold the same. `filecmp` remembers its answers by sizes and times, which a file that was
    written again may share with the old one: some file systems keep whole seconds. Raises OSError.
    """
    return one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()


def copy_checkout(place: Path = CHECKOUT) -> None:
    """Bring the copy of the checkout up to date. What was built there stays. Raises KraitError.

    What this machine's Python has compiled of the sources goes along: an emulated processor takes long for it. Python
    uses it there as long as the source has the same size and time.
    """
    names = names_in_checkout()
    place.mkdir(parents=True, exist_ok=True)
    for path in sorted(place.rglob("*")):
        name = str(path.relative_to(place))
        is_made_there = name.startswith("build/") or path.parent.name == "__pycache__"
        if path.is_file() and not is_made_there and name not in names:
            path.unlink()
    for name in sorted(names):
        source, target = ROOT / name, place / name
        if not target.exists() or not same_bytes(source, target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
        compiled = Path(importlib.util.cache_from_source(str(source)))
        if source.suffix == ".py" and compiled.exists():
            (target.parent / "__pycache__").mkdir(exist_ok=True)
            shutil.copy2(compiled, target.parent / "__pycache__" / compiled.name)


def bring_library(cache: Path) -> None:
    """Let a build there, whose cache this is, begin with what mypy knows here of Python's own library. To find that out
    is most of the work of a small program, and an emulated processor takes minutes for it.
    """
    known = CACHE / "library"
    if (cache / known.name).exists():
        return
    for path in sorted(known.rglob("*")):
        target = cache / path.relative_to(CACHE)
        if path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # mypy replaces files as wholes
                shutil.copy2(path, target)
