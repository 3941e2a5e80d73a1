"""Pack the root image: `build/initramfs.cpio` and the same compressed, `build/initramfs.cpio.gz`.

Run as `python -m userland.image`. Files are written only when they change.
"""

from __future__ import annotations

from pathlib import Path

from tools.cpio import Archive, compress
from tools.lock import exclusively
from tools.paths import INITRAMFS, INITRAMFS_GZ, IS_INSTALLED, PREBUILT, ROOT
from userland.busybox import build_busybox
from userland.programs import build_console

SKELETON = ROOT / "userland" / "root"
LOADER = Path("/lib/ld-musl-x86_64.so.1")  # of Debian's package musl: it is the C library, too
LOADER_CONTENTS = PREBUILT / LOADER.name if IS_INSTALLED else LOADER
MOUNT_POINTS = ("dev", "proc", "sys", "mnt")


def root_archive() -> Archive:
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


def _write(path: Path, data: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.rename(path)


def build_image() -> Path:
    """Build both forms of the root image and return the plain one. An installed Krait has that alone."""
    if IS_INSTALLED:
        return INITRAMFS
    with exclusively("image"):
        return _build()


def _build() -> Path:
    plain = root_archive().pack()
    if not INITRAMFS.exists() or INITRAMFS.read_bytes() != plain or not INITRAMFS_GZ.exists():
        _write(INITRAMFS_GZ, compress(plain))
        _write(INITRAMFS, plain)
    return INITRAMFS


if __name__ == "__main__":
    print(build_image())
