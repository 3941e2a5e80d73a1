"""Mounts, namespaces of mounts, and file systems whose instances are shared: autofs, binfmt_misc and others."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.kinds.kind import Kind
from tests.races.worker import Worker

PLACES: Final = ("/t/a", "/t/b", "/t/c", "/t/a/x", "/t/b/x")
FORMATS: Final = "/proc/sys/fs/binfmt_misc"
SHARED_ONES: Final = ("binfmt_misc", "sysfs", "proc", "configfs", "tracefs", "bpf", "devtmpfs", "cgroup2", "mqueue",
                      "devpts", "tmpfs")  # fmt: skip
BIND, REC, MOVE, REMOUNT = 0x1000, 0x4000, 0x2000, 0x20
KINDS_OF_PEERS: Final = (1 << 18, 1 << 19, 1 << 20, 1 << 17)
DETACH: Final = 2
NEW_NAMESPACE: Final = 0x20000
AT_FDCWD: Final = -100


def place(worker: Worker) -> str:
    return worker.random.choice(PLACES)


def prepare(worker: Worker) -> None:
    for each in PLACES:
        worker.call("mkdir", each, 0o755)
    worker.call("mount", "none", "/", None, worker.random.choice(KINDS_OF_PEERS[:3]) | REC, None)
    worker.shared.paths += PLACES


def mount(worker: Worker) -> None:
    where = worker.random.choice((*PLACES, FORMATS))
    worker.call("mount", "x", where, worker.random.choice(SHARED_ONES), 0, None)


def bind(worker: Worker) -> None:
    worker.call("mount", place(worker), place(worker), None, BIND | worker.random.choice((0, 0, REC)), None)


def move(worker: Worker) -> None:
    worker.call("mount", place(worker), place(worker), None, MOVE, None)


def remount(worker: Worker) -> None:
    worker.call("mount", "none", place(worker), None, REMOUNT | worker.random.choice((0, 1, BIND, BIND | 1)), None)


def change_peers(worker: Worker) -> None:
    flags = worker.random.choice(KINDS_OF_PEERS) | worker.random.choice((0, REC))
    worker.call("mount", "none", place(worker), None, flags, None)


def unmount(worker: Worker) -> None:
    worker.call("umount2", worker.random.choice((*PLACES, FORMATS)), worker.random.choice((0, DETACH, DETACH)))


def enter_new_namespace(worker: Worker) -> None:
    if worker.decides(0.3):
        worker.call("unshare", NEW_NAMESPACE)


def mount_tree(worker: Worker) -> None:
    tree = worker.call("open_tree", AT_FDCWD, place(worker), 1 | worker.random.choice((0, 0x8000)))
    if tree >= 0:
        worker.call("move_mount", tree, "", AT_FDCWD, place(worker), 4)
        worker.keep(tree, "directory")


def mount_in_steps(worker: Worker) -> None:
    context = worker.call("fsopen", worker.random.choice(SHARED_ONES), 0)
    if context < 0:
        return
    worker.call("fsconfig", context, 6, None, None, 0)
    made = worker.call("fsmount", context, 0, 0)
    if made >= 0:
        worker.call("move_mount", made, "", AT_FDCWD, place(worker), 4)
        worker.keep(made, "directory")
    worker.keep(context, "fscontext")


def mount_autofs(worker: Worker) -> None:
    ends = bytearray(8)
    if worker.call("pipe2", ends, 0) < 0:
        return
    writer = struct.unpack("<ii", ends)[1]
    group = worker.call("getpgrp")
    options = f"fd={writer},pgrp={group},{worker.random.choice(('direct', 'indirect'))}"
    worker.call("mount", "au", worker.random.choice((*PLACES, FORMATS)), "autofs", 0, options)
    worker.keep_pair(ends, "pipe")


def command_autofs(worker: Worker) -> None:
    descriptor = worker.open(place(worker), 0o200000, "directory")
    if descriptor >= 0:
        worker.call("ioctl", descriptor, worker.random.choice((0x9360, 0x9361, 0x9362, 0x40049366)), 0)


def register_format(worker: Worker) -> None:
    where = worker.random.choice((FORMATS, *PLACES))
    number = worker.random.randrange(3)
    flag = worker.random.choice(("", "F"))
    worker.write_text(f"{where}/register", f":n{number}:E::e{number}::/init:{flag}".encode())
    name = worker.random.choice(("n0", "n1", "status"))
    worker.write_text(f"{where}/{name}", worker.random.choice((b"-1", b"0", b"1")))


def read_table(worker: Worker) -> None:
    path = worker.random.choice(("/proc/self/mountinfo", "/proc/1/mountinfo", "/proc/self/mounts", "/proc/mounts"))
    descriptor = worker.open(path, 0)
    while descriptor >= 0 and worker.call("read", descriptor, bytearray(300), 300) > 0 and worker.decides(0.8):
        pass


def list_directory(worker: Worker) -> None:
    descriptor = worker.open(place(worker), 0o200000, "directory")
    if descriptor >= 0:
        worker.call("getdents64", descriptor, bytearray(500), 500)


def change_directory(worker: Worker) -> None:
    worker.call("chdir", place(worker))


def make(worker: Worker) -> None:
    worker.call("mkdir", place(worker), 0o755)


def remove(worker: Worker) -> None:
    worker.call("rmdir", place(worker))


def ask(worker: Worker) -> None:
    worker.call_any(worker.random.choice(("listmount", "statmount", "mount_setattr", "statfs", "pivot_root")))


KIND: Final = Kind(
    "mounts",
    (mount, mount, bind, bind, move, remount, change_peers, unmount, unmount, enter_new_namespace, mount_tree,
     mount_in_steps, mount_autofs, command_autofs, register_format, read_table, list_directory, change_directory,
     make, remove, ask, Worker.close_one),
    prepare,
)  # fmt: skip
