"""`krait self-build`: Krait compiles Krait. A machine with Krait's kernel gets this machine's Python, the packages of
our virtual environment, gcc's assembler and linker, and a copy of the checkout; what it builds has to be, byte for
byte, what is built here.

The copy lies in build/self/checkout and is shared with the machine, so that a build that was interrupted goes on from
its cache.
"""

from __future__ import annotations

import argparse
import filecmp
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

from compiler.backend import file_hash
from compiler.progress import Step
from tools.errors import KraitError
from tools.images import python
from tools.images.resolve import in_order
from tools.images.root import Configuration
from tools.images.store import Kept, disk_of, key_of
from tools.paths import BUILD, ROOT
from userland.image import root_archive

PLACE = BUILD / "self"
CHECKOUT = PLACE / "checkout"
HOSTS = PLACE / "host"  # what is built here
HERE_IN_GUEST = "/krait"  # where the copy is there
PACKAGES = ("gcc", "binutils", "libc6-dev")  # what the compiler calls
# Of packages: what no build reads.
LEFT_OUT = re.compile(r"^/usr/share/|/lib(asan|tsan|lsan|ubsan|hwasan|itm|quadmath|gomp|cc1)[^/]*\.(a|so[.0-9]*)$")
MEMORY = "2G"  # 1.5 GiB suffice
PROGRAM = "tests/language/cases/bank.py"  # for the short form


# What the machine starts from ---------------------------------------------------------------------------------------


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


def package_files(names: list[str]) -> list[Path]:
    """Files and links of installed packages, without what nobody reads in a build."""
    listed = subprocess.run(["dpkg", "-L", *names], check=True, capture_output=True, text=True).stdout
    paths = (Path(line) for line in sorted(set(listed.splitlines())) if line.startswith("/"))
    return [path for path in paths if not LEFT_OUT.search(str(path)) and (path.is_symlink() or path.is_file())]


def real_place(path: Path) -> str:
    """Where a package's file lies, seen past links such as that from /lib to usr/lib."""
    return str(path.parent.resolve() / path.name)


def compiler_disk() -> Kept:
    """The disk that the machine starts from: root image, Python with our environment, gcc and binutils. Raises
    KraitError.
    """
    interpreter = python.find_python(sys.executable)
    packages = installed_packages(PACKAGES)
    if not set(PACKAGES) <= set(packages):
        raise KraitError("krait self-build: gcc, binutils and libc6-dev have to be installed as Debian's packages")
    files = package_files(packages)
    root = root_archive()

    def make(scratch: Path) -> tuple[Path, Configuration]:
        base = scratch / "base.tar"
        root.write_tar(base)
        archive, configuration = python.write_archive(interpreter, base, scratch)
        with tarfile.open(archive, "a") as output:
            for path in files:
                output.add(path, real_place(path).lstrip("/"), recursive=False, filter=python.as_root)
        return in_order(archive, scratch), configuration

    stamp = hashlib.sha256(repr([(str(path), path.lstat().st_size) for path in files]).encode()).hexdigest()
    return disk_of(key_of("self", interpreter.stamp(), stamp, root.pack()), "the compiler and what it needs", make)


def copy_checkout() -> None:
    """Bring build/self/checkout up to date: what git knows of, and what is new and not ignored. What was built there
    stays. Raises KraitError.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True)
    if done.returncode != 0:
        raise KraitError("krait self-build: this is no checkout: git does not know it")
    names = {name for name in done.stdout.decode().split("\0") if name and (ROOT / name).is_file()}
    CHECKOUT.mkdir(parents=True, exist_ok=True)
    for path in sorted(CHECKOUT.rglob("*")):
        name = str(path.relative_to(CHECKOUT))
        if path.is_file() and not name.startswith("build/") and name not in names:
            path.unlink()
    for name in names:
        source, target = ROOT / name, CHECKOUT / name
        if not target.exists() or not filecmp.cmp(source, target, shallow=False):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


# Building and comparing ---------------------------------------------------------------------------------------------


def in_guest(
    options: argparse.Namespace, disk: Kept, kernel: Path | None, *arguments: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the virtual environment's Python in a machine, in the copy of the checkout; streams pass."""
    settings = [f"--env={name}={value}" for name, value in disk.configuration.environment.items()]
    command = [
        sys.executable, "-m", "tools.front_end", "run", "--memory", options.memory, "--cpus", str(options.cpus),
        *(["--kernel", str(kernel)] if kernel is not None else []), "--volume", f"{CHECKOUT}:{HERE_IN_GUEST}",
        "--workdir", HERE_IN_GUEST, *settings, "--env=PYTHONPATH=.", str(disk.disk), sys.executable, *arguments,
    ]  # fmt: skip
    return subprocess.run(command, check=False, cwd=ROOT, stdout=subprocess.PIPE)


def build_in_guest(options: argparse.Namespace, disk: Kept, kernel: Path | None) -> None:
    """Raises KraitError."""
    words = ["-m", "compiler", "build", "--progress", "--keep-ir", "--profile", options.profile]
    with Step(f"build Krait on Krait ({options.profile})"):
        done = in_guest(options, disk, kernel, *words, "-o", "build/krait.elf")
    sys.stdout.write(done.stdout.decode(errors="replace"))
    if done.returncode != 0:
        raise KraitError(f"krait self-build: the build in the machine ended with status {done.returncode}")


def build_here(profile: str) -> None:
    """The same sources, compiled by this machine's kernel. Raises KraitError."""
    HOSTS.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "compiler", "build", "--progress", "--keep-ir", "--profile", profile, "-o",
               str(HOSTS / "krait.elf")]  # fmt: skip
    if subprocess.run(command, check=False, cwd=ROOT, stdout=subprocess.DEVNULL).returncode != 0:
        raise KraitError("krait self-build: the build on this machine failed")


def first_difference(here: Path, there: Path) -> str | None:
    """The first file that is not the same in two builds: IR in the order of names, then the image. None if all are."""
    names = sorted({path.name for side in (here, there) for path in (side / "ir").glob("*.ll")})
    for name in [*(f"ir/{name}" for name in names), "krait.elf"]:
        one, other = here / name, there / name
        if not one.exists() or not other.exists():
            return f"{name}, which is only {'here' if one.exists() else 'there'}"
        if not filecmp.cmp(one, other, shallow=False):
            return name
    return None


def compile_program(options: argparse.Namespace, disk: Kept) -> None:
    """The short form: one stand-alone program, compiled and run there and here. Raises KraitError."""
    words = ("-m", "compiler", "run", "--profile", options.profile, PROGRAM)
    with Step("compile a program on Krait"):
        there = in_guest(options, disk, None, *words)
    here = subprocess.run([sys.executable, *words], check=False, cwd=ROOT, stdout=subprocess.PIPE)
    if there.returncode != 0 or here.returncode != 0 or there.stdout != here.stdout:
        raise KraitError(f"krait self-build: {PROGRAM} printed something else, or ended with {there.returncode}")
    kept = {path.name: path for path in (CHECKOUT / "build" / "cache").glob("*.o")}
    for path in sorted((BUILD / "cache").glob("*.o")):
        if path.name in kept and not filecmp.cmp(path, kept[path.name], shallow=False):
            raise KraitError(f"krait self-build: {path.name} is not what is built here")
    print(f"{PROGRAM}: compiled and run on Krait, with the output and the objects of this machine")


def self_build(options: argparse.Namespace) -> int:
    copy_checkout()
    disk = compiler_disk()
    if subprocess.run([sys.executable, "-m", "tools.front_end", "build"], check=False, cwd=ROOT).returncode != 0:
        raise KraitError("krait self-build: there is no kernel to build with")
    if options.short:
        compile_program(options, disk)
        return 0
    build_here(options.profile)
    kernel: Path | None = None
    for generation in range(1, options.generations + 1):
        if generation > 1:
            kernel = PLACE / f"generation-{generation - 1}.elf"
            shutil.copy2(CHECKOUT / "build" / "krait.elf", kernel)
            shutil.rmtree(CHECKOUT / "build", ignore_errors=True)
        build_in_guest(options, disk, kernel)
        difference = first_difference(HOSTS, CHECKOUT / "build")
        if difference is not None:
            raise KraitError(f"krait self-build: generation {generation} differs first in {difference}")
        print(f"generation {generation}: {file_hash(CHECKOUT / 'build' / 'krait.elf')}, as it is built here")
    return 0
