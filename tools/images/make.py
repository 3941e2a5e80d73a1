"""Make the disk of an image: of an archive, a directory, this machine's Python, or a Debian."""

from __future__ import annotations

import os
import subprocess
import tarfile
from contextlib import ExitStack
from pathlib import Path

from tools.errors import KraitError
from tools.images import archives, python
from tools.images.layers import ImageError, Tree
from tools.images.resolve import Target
from tools.images.root import Configuration
from tools.images.store import Kept, disk_of, key_of
from tools.setup import require
from userland.image import root_archive

DEBIAN_SUITES = {"11": "bullseye", "12": "bookworm", "13": "trixie", "14": "forky"}


def make_image(target: Target) -> Kept:
    """The disk of an image, which is made if it is not kept yet. Raises KraitError: one sentence."""
    try:
        if target.path is None:
            return _built_in(target.name)
        if target.path.is_dir():
            return _of_directory(target.path)
        return _of_archive(target.path)
    except ImageError as error:
        raise KraitError(f"krait run: {target.name}: {error}") from error
    except OSError as error:
        raise KraitError(f"krait run: {target.name}: no disk can be made of it: {error.strerror}") from error


def _tree_to_archive(tree: Tree, scratch: Path) -> Path:
    output = scratch / "root.tar"
    tree.write(output)
    return output


def in_order(archive: Path, scratch: Path) -> Path:
    """The same files, directories before what they hold, as mke2fs wants them."""
    tree = Tree()
    with ExitStack() as stack:
        tree.apply(archives.open_tar(archive, stack, archive.name), archive.name)
        return _tree_to_archive(tree, scratch)


def _of_archive(path: Path) -> Kept:
    """`docker save`, an OCI archive, or a root file system."""
    status = path.stat()

    def make(scratch: Path) -> tuple[Path, Configuration]:
        tree = Tree()
        with ExitStack() as stack:
            archive = archives.open_tar(path, stack, path.name)
            try:
                blobs = archives.Blobs(None, archive, scratch)
            except (tarfile.TarError, EOFError, OSError) as error:
                raise ImageError(f"it is damaged: {error}") from error
            archives.check_end(path, archive)
            if archives.is_layout(blobs) or archives.is_saved(blobs):
                configuration = archives.read_image(blobs, tree, stack)
            else:
                tree.apply(archive, "it")
                configuration = Configuration()
            if not tree.root.children:
                raise ImageError("it holds no files")
            return _tree_to_archive(tree, scratch), configuration

    key = key_of("archive", str(path.resolve()), status.st_size, status.st_mtime_ns)
    return disk_of(key, _series_of(path), str(path), make)


def _of_directory(path: Path) -> Kept:
    """An OCI layout, or the files of a root file system."""
    blobs = archives.Blobs(path, None, path)
    if archives.is_layout(blobs) or archives.is_saved(blobs):

        def make(scratch: Path) -> tuple[Path, Configuration]:
            tree = Tree()
            with ExitStack() as stack:
                configuration = archives.read_image(blobs, tree, stack)
                return _tree_to_archive(tree, scratch), configuration

        index = path / ("index.json" if archives.is_layout(blobs) else "manifest.json")
        return disk_of(key_of("layout", str(path.resolve()), index.read_bytes()), _series_of(path), str(path), make)
    stamp = []
    for directory, names, files in os.walk(path):
        for name in sorted([*names, *files]):
            status = (Path(directory) / name).lstat()
            stamp.append((directory, name, status.st_mode, status.st_size, status.st_mtime_ns))

    def pack(scratch: Path) -> tuple[Path, Configuration]:
        output = scratch / "root.tar"
        with tarfile.open(output, "w") as archive:
            archive.add(path, ".", filter=lambda member: None if member.type in (b"3", b"4") else _owned(member))
        return output, Configuration()

    return disk_of(key_of("directory", str(path.resolve()), stamp), _series_of(path), str(path), pack)


def _series_of(path: Path) -> str:
    """What lies at a path is the same thing, whatever it holds by now."""
    return key_of("path", str(path.resolve()))


def _owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Files of ours are root's in the guest; root keeps owners as they are."""
    if os.geteuid() != 0:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
    return member


def _built_in(name: str) -> Kept:
    kind = name.split(":")[0]
    if kind == "debian":
        return _debian(name)
    root = root_archive()

    if kind.startswith("python"):  # python3.11 as well
        found = python.find_python()
        found.check_tag(name.partition(":")[2] or kind.removeprefix("python"))

        def make(scratch: Path) -> tuple[Path, Configuration]:
            base = scratch / "base.tar"
            root.write_tar(base)
            archive, configuration = python.write_archive(found, base, scratch)
            return in_order(archive, scratch), configuration

        return disk_of(key_of("python", found, found.stamp(), root.pack()), key_of("python", found), "python", make)
    raise KraitError(f"krait run: there is no image {name}")


def _last_reason(said: str) -> str:
    """What mmdebstrap said last but that it failed."""
    lines = [line.removeprefix("E: ") for line in said.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if line != "mmdebstrap failed to run"), "no message")


def _debian(name: str) -> Kept:
    """A minimal Debian, as mmdebstrap makes it."""
    suite = DEBIAN_SUITES.get(name.partition(":")[2], name.partition(":")[2])
    require("debian")

    def make(scratch: Path) -> tuple[Path, Configuration]:
        output = scratch / "debian.tar"
        done = subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", suite, str(output)],
            check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode != 0:
            raise ImageError(f"mmdebstrap failed: {_last_reason(done.stderr)}")
        return in_order(output, scratch), Configuration(command=("bash",))

    return disk_of(key_of("debian", suite), key_of("debian", suite), name, make)
