"""Mounts, namespaces of mounts, and file systems whose instances are shared: autofs, binfmt_misc and others."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.actor import Actor
from tests.races.kinds.kind import Kind

PLACES: Final = ("/t/a", "/t/b", "/t/c", "/t/a/x", "/t/b/x")
FORMATS: Final = "/proc/sys/fs/binfmt_misc"
SHARED_ONES: Final = ("binfmt_misc", "sysfs", "proc", "configfs", "tracefs", "bpf", "devtmpfs", "cgroup2", "mqueue",
                      "devpts", "tmpfs")  # fmt: skip
BIND, REC, MOVE, REMOUNT = 0x1000, 0x4000, 0x2000, 0x20
KINDS_OF_PEERS: Final = (1 << 18, 1 << 19, 1 << 20, 1 << 17)
DETACH: Final = 2
NEW_NAMESPACE: Final = 0x20000
AT_FDCWD: Final = -100


def place(actor: Actor) -> str:
    return actor.random.choice(PLACES)


def prepare(actor: Actor) -> None:
    for each in PLACES:
        actor.call("mkdir", each, 0o755)
    actor.call("mount", "none", "/", None, actor.random.choice(KINDS_OF_PEERS[:3]) | REC, None)
    actor.stage.paths += PLACES


def mount(actor: Actor) -> None:
    where = actor.random.choice((*PLACES, FORMATS))
    actor.call("mount", "x", where, actor.random.choice(SHARED_ONES), 0, None)


def bind(actor: Actor) -> None:
    actor.call("mount", place(actor), place(actor), None, BIND | actor.random.choice((0, 0, REC)), None)


def move(actor: Actor) -> None:
    actor.call("mount", place(actor), place(actor), None, MOVE, None)


def remount(actor: Actor) -> None:
    actor.call("mount", "none", place(actor), None, REMOUNT | actor.random.choice((0, 1, BIND, BIND | 1)), None)


def change_peers(actor: Actor) -> None:
    flags = actor.random.choice(KINDS_OF_PEERS) | actor.random.choice((0, REC))
    actor.call("mount", "none", place(actor), None, flags, None)


def unmount(actor: Actor) -> None:
    actor.call("umount2", actor.random.choice((*PLACES, FORMATS)), actor.random.choice((0, DETACH, DETACH)))


def enter_new_namespace(actor: Actor) -> None:
    if actor.decides(0.3):
        actor.call("unshare", NEW_NAMESPACE)


def mount_tree(actor: Actor) -> None:
    tree = actor.call("open_tree", AT_FDCWD, place(actor), 1 | actor.random.choice((0, 0x8000)))
    if tree >= 0:
        actor.call("move_mount", tree, "", AT_FDCWD, place(actor), 4)
        actor.keep(tree, "directory")


def mount_in_steps(actor: Actor) -> None:
    context = actor.call("fsopen", actor.random.choice(SHARED_ONES), 0)
    if context < 0:
        return
    actor.call("fsconfig", context, 6, None, None, 0)
    made = actor.call("fsmount", context, 0, 0)
    if made >= 0:
        actor.call("move_mount", made, "", AT_FDCWD, place(actor), 4)
        actor.keep(made, "directory")
    actor.keep(context, "fscontext")


def mount_autofs(actor: Actor) -> None:
    ends = bytearray(8)
    if actor.call("pipe2", ends, 0) < 0:
        return
    writer = struct.unpack("<ii", ends)[1]
    group = actor.call("getpgrp")
    options = f"fd={writer},pgrp={group},{actor.random.choice(('direct', 'indirect'))}"
    actor.call("mount", "au", actor.random.choice((*PLACES, FORMATS)), "autofs", 0, options)
    actor.keep_pair(ends, "pipe")


def command_autofs(actor: Actor) -> None:
    descriptor = actor.open(place(actor), 0o200000, "directory")
    if descriptor >= 0:
        actor.call("ioctl", descriptor, actor.random.choice((0x9360, 0x9361, 0x9362, 0x40049366)), 0)


def register_format(actor: Actor) -> None:
    where = actor.random.choice((FORMATS, *PLACES))
    number = actor.random.randrange(3)
    flag = actor.random.choice(("", "F"))
    actor.write_text(f"{where}/register", f":n{number}:E::e{number}::/init:{flag}".encode())
    actor.write_text(f"{where}/{actor.random.choice(('n0', 'n1', 'status'))}", actor.random.choice((b"-1", b"0", b"1")))


def read_table(actor: Actor) -> None:
    path = actor.random.choice(("/proc/self/mountinfo", "/proc/1/mountinfo", "/proc/self/mounts", "/proc/mounts"))
    descriptor = actor.open(path, 0)
    while descriptor >= 0 and actor.call("read", descriptor, bytearray(300), 300) > 0 and actor.decides(0.8):
        pass


def list_directory(actor: Actor) -> None:
    descriptor = actor.open(place(actor), 0o200000, "directory")
    if descriptor >= 0:
        actor.call("getdents64", descriptor, bytearray(500), 500)


def change_directory(actor: Actor) -> None:
    actor.call("chdir", place(actor))


def make(actor: Actor) -> None:
    actor.call("mkdir", place(actor), 0o755)


def remove(actor: Actor) -> None:
    actor.call("rmdir", place(actor))


def ask(actor: Actor) -> None:
    actor.call_any(actor.random.choice(("listmount", "statmount", "mount_setattr", "statfs", "pivot_root")))


KIND: Final = Kind(
    "mounts",
    (mount, mount, bind, bind, move, remount, change_peers, unmount, unmount, enter_new_namespace, mount_tree,
     mount_in_steps, mount_autofs, command_autofs, register_format, read_table, list_directory, change_directory,
     make, remove, ask, Actor.close_one),
    prepare,
)  # fmt: skip
