"""Overlays whose layers others change, mount upon and unmount meanwhile."""

from __future__ import annotations

from typing import Final

from tests.races.actor import Actor
from tests.races.kinds.kind import Kind

ROOT: Final = "/t/o"
LAYERS: Final = ("l0", "l1", "u", "w", "m")
NAMES: Final = ("a", "b", "d", "d/c")


def prepare(actor: Actor) -> None:
    for each in ("", *LAYERS):
        actor.call("mkdir", f"{ROOT}/{each}", 0o755)
    for layer in LAYERS[:2]:
        actor.call("mkdir", f"{ROOT}/{layer}/d", 0o755)
        actor.call("close", actor.call("open", f"{ROOT}/{layer}/a", 0o102, 0o644))
        actor.call("close", actor.call("open", f"{ROOT}/{layer}/d/c", 0o102, 0o644))
    actor.stage.paths += [f"{ROOT}/{layer}/{name}" for layer in ("m", "m", "u", "l0") for name in NAMES]
    mount(actor)


def mount(actor: Actor) -> None:
    upper = f",upperdir={ROOT}/u,workdir={ROOT}/w" if actor.decides(0.8) else ""
    extra = actor.random.choice(("", ",redirect_dir=on", ",metacopy=on", ",volatile", ",index=on"))
    actor.call("mount", "o", f"{ROOT}/m", "overlay", 0, f"lowerdir={ROOT}/l0:{ROOT}/l1{upper}{extra}")


def unmount(actor: Actor) -> None:
    actor.call("umount2", f"{ROOT}/m", actor.random.choice((0, 2)))


def mount_in_layer(actor: Actor) -> None:
    where = f"{ROOT}/{actor.random.choice(LAYERS)}/{actor.random.choice(('d', ''))}"
    if actor.decides(0.5):
        actor.call("mount", "t", where, "tmpfs", 0, None)
    else:
        actor.call("umount2", where, 2)


def path(actor: Actor) -> str:
    layer = actor.random.choice(("m", "m", "m", "u", "l0"))
    return f"{ROOT}/{layer}/{actor.random.choice(NAMES)}"


def open_file(actor: Actor) -> None:
    actor.open(path(actor), actor.random.choice((0, 1, 2, 2, 0o102, 0o1002, 0o2002)))


def list_directory(actor: Actor) -> None:
    descriptor = actor.open(f"{ROOT}/m/{actor.random.choice(('', 'd'))}", 0o200000, "directory")
    if descriptor >= 0:
        actor.call("getdents64", descriptor, bytearray(100), 100)


def remove(actor: Actor) -> None:
    actor.call(actor.random.choice(("unlink", "rmdir")), path(actor))


def make(actor: Actor) -> None:
    actor.call("mkdir", path(actor), 0o755)


def rename(actor: Actor) -> None:
    actor.call("renameat2", -100, path(actor), -100, path(actor), actor.random.choice((0, 0, 1, 2)))


def link(actor: Actor) -> None:
    actor.call(actor.random.choice(("link", "symlink")), path(actor), path(actor))


def copy_up(actor: Actor) -> None:
    """Each of these makes an upper file of a lower one."""
    name = actor.random.choice(("chmod", "truncate"))
    actor.call(name, path(actor), actor.random.choice((0o600, 0o777)))


def use(actor: Actor) -> None:
    names = ("read", "write", "pwrite64", "fsync", "ftruncate", "fstat", "mmap", "getdents64", "fcntl", "flock",
             "setxattr", "fsetxattr", "utimensat", "stat", "statx", "copy_file_range")  # fmt: skip
    actor.call_any(actor.random.choice(names))


KIND: Final = Kind(
    "overlays",
    (mount, unmount, mount_in_layer, open_file, open_file, open_file, list_directory, remove, remove, make, rename,
     rename, link, copy_up, copy_up, use, use, Actor.close_one),
    prepare,
)  # fmt: skip
