"""Overlays whose layers others change, mount upon and unmount meanwhile."""

from __future__ import annotations

from typing import Final

from tests.races.kinds.kind import Kind
from tests.races.worker import Worker

ROOT: Final = "/t/o"
LAYERS: Final = ("l0", "l1", "u", "w", "m")
NAMES: Final = ("a", "b", "d", "d/c")


def prepare(worker: Worker) -> None:
    for each in ("", *LAYERS):
        worker.call("mkdir", f"{ROOT}/{each}", 0o755)
    for layer in LAYERS[:2]:
        worker.call("mkdir", f"{ROOT}/{layer}/d", 0o755)
        worker.call("close", worker.call("open", f"{ROOT}/{layer}/a", 0o102, 0o644))
        worker.call("close", worker.call("open", f"{ROOT}/{layer}/d/c", 0o102, 0o644))
    worker.shared.paths += [f"{ROOT}/{layer}/{name}" for layer in ("m", "m", "u", "l0") for name in NAMES]
    mount(worker)


def mount(worker: Worker) -> None:
    upper = f",upperdir={ROOT}/u,workdir={ROOT}/w" if worker.decides(0.8) else ""
    extra = worker.random.choice(("", ",redirect_dir=on", ",metacopy=on", ",volatile", ",index=on"))
    worker.call("mount", "o", f"{ROOT}/m", "overlay", 0, f"lowerdir={ROOT}/l0:{ROOT}/l1{upper}{extra}")


def unmount(worker: Worker) -> None:
    worker.call("umount2", f"{ROOT}/m", worker.random.choice((0, 2)))


def mount_in_layer(worker: Worker) -> None:
    where = f"{ROOT}/{worker.random.choice(LAYERS)}/{worker.random.choice(('d', ''))}"
    if worker.decides(0.5):
        worker.call("mount", "t", where, "tmpfs", 0, None)
    else:
        worker.call("umount2", where, 2)


def path(worker: Worker) -> str:
    layer = worker.random.choice(("m", "m", "m", "u", "l0"))
    return f"{ROOT}/{layer}/{worker.random.choice(NAMES)}"


def open_file(worker: Worker) -> None:
    worker.open(path(worker), worker.random.choice((0, 1, 2, 2, 0o102, 0o1002, 0o2002)))


def list_directory(worker: Worker) -> None:
    descriptor = worker.open(f"{ROOT}/m/{worker.random.choice(('', 'd'))}", 0o200000, "directory")
    if descriptor >= 0:
        worker.call("getdents64", descriptor, bytearray(100), 100)


def remove(worker: Worker) -> None:
    worker.call(worker.random.choice(("unlink", "rmdir")), path(worker))


def make(worker: Worker) -> None:
    worker.call("mkdir", path(worker), 0o755)


def rename(worker: Worker) -> None:
    worker.call("renameat2", -100, path(worker), -100, path(worker), worker.random.choice((0, 0, 1, 2)))


def link(worker: Worker) -> None:
    worker.call(worker.random.choice(("link", "symlink")), path(worker), path(worker))


def copy_up(worker: Worker) -> None:
    """Each of these makes an upper file of a lower one."""
    name = worker.random.choice(("chmod", "truncate"))
    worker.call(name, path(worker), worker.random.choice((0o600, 0o777)))


def use(worker: Worker) -> None:
    names = ("read", "write", "pwrite64", "fsync", "ftruncate", "fstat", "mmap", "getdents64", "fcntl", "flock",
             "setxattr", "fsetxattr", "utimensat", "stat", "statx", "copy_file_range")  # fmt: skip
    worker.call_any(worker.random.choice(names))


KIND: Final = Kind(
    "overlays",
    (mount, unmount, mount_in_layer, open_file, open_file, open_file, list_directory, remove, remove, make, rename,
     rename, link, copy_up, copy_up, use, use, Worker.close_one),
    prepare,
)  # fmt: skip
