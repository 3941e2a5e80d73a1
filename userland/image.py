"""Pack the root image, `build/initramfs.cpio` and the same compressed; and, with the agent, the initial RAM disks of
machines that run one program.

Run as `python -m userland.image`. Files are written only when they change. Whether they are up to date is seen by
sizes, times and permissions of what they are made of, because packing takes longer than starting a machine.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from tools.cpio import Archive, compress, extend, extended
from tools.freshness import Facts, file_facts, tree_facts
from tools.lock import exclusively
from tools.paths import BUILD, INITRAMFS, INITRAMFS_GZ, IS_INSTALLED, PREBUILT, ROOT, on_path

SKELETON = ROOT / "userland" / "root"
LOADER = Path("/lib/ld-musl-x86_64.so.1")  # of Debian's package musl: it is the C library, too
LOADER_CONTENTS = PREBUILT / LOADER.name if IS_INSTALLED else LOADER
MOUNT_POINTS = ("dev", "proc", "sys", "mnt")
AGENT_PLACE = ".krait"
ROOT_WITH_AGENT = BUILD / "ram-disks" / "root.cpio"
AGENT_ALONE = BUILD / "ram-disks" / "agent.cpio"
STAMP = BUILD / "ram-disks" / "fresh"
COMPILERS = ("musl-gcc", "gcc")


def root_archive() -> Archive:
    from userland.busybox import build_busybox
    from userland.programs import build_console

    archive = Archive()
    for name in MOUNT_POINTS:
        archive.directory(name)
    archive.directory("root", 0o700)
    archive.directory("tmp", 0o1777)
    archive.directory("var/tmp", 0o1777)
    archive.directory("var/log")
    archive.directory("run")
    # What the first process needs before it has mounted devfs.
    archive.character_device("dev/console", 5, 1)
    archive.character_device("dev/null", 1, 3, 0o666)
    archive.tree(SKELETON)
    busybox = build_busybox()
    archive.file("bin/busybox", (busybox / "busybox").read_bytes(), 0o755)
    for path in (busybox / "busybox.links").read_text().split():
        archive.link(path, "/bin/busybox")
    archive.file("sbin/console-shell", build_console().read_bytes(), 0o755)
    archive.file("lib/ld-musl-x86_64.so.1", LOADER_CONTENTS.read_bytes(), 0o755)
    archive.link("lib/libc.musl-x86_64.so.1", "ld-musl-x86_64.so.1")
    return archive


def agent_archive() -> Archive:
    """The agent, in a place that it removes, and a busybox for `krait cp`, to which no path leads then."""
    from userland.busybox import build_busybox
    from userland.programs import build_agent

    archive = Archive()
    archive.directory(AGENT_PLACE, 0o700)
    archive.file(f"{AGENT_PLACE}/agent", build_agent().read_bytes(), 0o755)
    archive.file(f"{AGENT_PLACE}/busybox", (build_busybox() / "busybox").read_bytes(), 0o755)
    archive.character_device("dev/console", 5, 1)
    return archive


def build_image() -> Path:
    """Build both forms of the root image and return the plain one. An installed Krait has that alone."""
    if not IS_INSTALLED:
        _build()
    return INITRAMFS


def is_image_current() -> bool:
    """Whether there is nothing to build."""
    return IS_INSTALLED or _is_current(_known_ingredients())


def build_ram_disk(with_root: bool) -> Path:
    """The initial RAM disk with the agent, and with our root image or without."""
    _build()
    return _kept(with_root)


def ram_disk(with_root: bool) -> int | list[bytes]:
    """The same for a machine that starts now: a descriptor of the file, because another run, of other sources, may
    replace the file at any time; or what it is made of, where nothing can be kept (no home, a disk that is full).
    """
    try:
        return _open_current(_kept(with_root))
    except OSError:
        return extended(_plain() if with_root else b"", agent_archive())


def _kept(with_root: bool) -> Path:
    return ROOT_WITH_AGENT if with_root else AGENT_ALONE


def _open_current(path: Path) -> int:
    """Open one of the kept files as it is when everything is up to date. Raises OSError."""
    ingredients = _known_ingredients()
    with contextlib.suppress(FileNotFoundError):
        opened = os.open(path, os.O_RDONLY)
        # What has this name before and afterwards has it when the stamp is read.
        if _is_current(ingredients) and os.path.samestat(os.fstat(opened), path.stat()):
            return opened
        os.close(opened)
    with exclusively("image"):
        _make(ingredients)
        return os.open(path, os.O_RDONLY)


def _ingredients() -> Facts:
    """What everything is made of."""
    if IS_INSTALLED:
        return file_facts([INITRAMFS, PREBUILT / "agent", PREBUILT / "busybox" / "busybox"])
    compilers = [path for path in map(on_path, COMPILERS) if path is not None]
    return tree_facts(("userland",)) + file_facts([LOADER, ROOT / "tools" / "cpio.py", *compilers])


def _state(ingredients: Facts) -> str:
    made = [ROOT_WITH_AGENT, AGENT_ALONE, INITRAMFS]
    return repr((ingredients, file_facts(made if IS_INSTALLED else [*made, INITRAMFS_GZ])))


def _known_ingredients() -> Facts:
    """Nothing if the C library is not installed yet, or no more: the builder says what is missing."""
    try:
        return _ingredients()
    except FileNotFoundError:
        return []


def _is_current(ingredients: Facts) -> bool:
    try:
        return bool(ingredients) and STAMP.read_text() == _state(ingredients)
    except OSError:
        return False


def _build() -> None:
    ingredients = _known_ingredients()
    if not _is_current(ingredients):
        with exclusively("image"):
            _make(ingredients)


def _plain() -> bytes:
    """The root image."""
    return INITRAMFS.read_bytes() if IS_INSTALLED else root_archive().pack()


def _make(ingredients: Facts) -> None:
    """Write what is to change, if nobody did it while we waited for the lock. The caller holds it."""
    if _is_current(ingredients):
        return
    STAMP.parent.mkdir(parents=True, exist_ok=True)
    plain = _plain()
    if not IS_INSTALLED:
        if not INITRAMFS_GZ.exists() or not _holds(INITRAMFS, plain):
            _write(INITRAMFS_GZ, compress(plain))
        _update(INITRAMFS, plain)
    _update(ROOT_WITH_AGENT, extend(plain, agent_archive()))
    _update(AGENT_ALONE, extend(b"", agent_archive()))
    STAMP.write_text(_state(ingredients))


def _holds(path: Path, data: bytes) -> bool:
    return path.exists() and path.read_bytes() == data


def _update(path: Path, data: bytes) -> None:
    if not _holds(path, data):
        _write(path, data)


def _write(path: Path, data: bytes) -> None:
    new = path.with_suffix(".new")
    try:
        new.write_bytes(data)
        new.rename(path)
    except OSError:  # a disk that is full needs the room
        new.unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    print(build_image())
