"""Names and files of a tmpfs: made, renamed, linked, locked, watched and removed by all."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.actor import Actor
from tests.races.kinds.kind import Kind

DIRECTORIES: Final = ("/t/d0", "/t/d1", "/t/d0/d2")
FILES: Final = tuple(f"{each}/f{i}" for each in DIRECTORIES for i in range(2))
WAYS: Final = (0, 1, 2, 0o102, 0o102, 0o1102, 0o2102, 0o302)  # O_CREAT and others


def prepare(actor: Actor) -> None:
    for each in DIRECTORIES:
        actor.call("mkdir", each, 0o755)
    actor.stage.paths += (*DIRECTORIES, *FILES)


def a_file(actor: Actor) -> str:
    return actor.random.choice(FILES)


def any_name(actor: Actor) -> str:
    return actor.random.choice((*FILES, *DIRECTORIES))


def open_file(actor: Actor) -> None:
    actor.open(a_file(actor), actor.random.choice(WAYS))


def write_pages(actor: Actor) -> None:
    descriptor = actor.open(a_file(actor), 0o102)
    for i in range(actor.random.randrange(8)):
        actor.call("pwrite64", descriptor, b"x" * 700, 700, i * 4096)


def use(actor: Actor) -> None:
    names = ("read", "write", "pread64", "pwrite64", "lseek", "ftruncate", "fallocate", "fstat", "fsync", "fcntl",
             "readv", "writev", "copy_file_range", "sendfile", "flock", "fadvise64", "fchmod", "dup", "getdents64",
             "preadv2", "pwritev2", "fsetxattr", "flistxattr")  # fmt: skip
    actor.call_any(actor.random.choice(names))


def lock(actor: Actor) -> None:
    kind, start = actor.random.choice((0, 1, 2)), actor.random.randrange(3) * 10
    description = bytearray(struct.pack("<hhxxxxqqixxxx", kind, 0, start, 15, 0))
    command = actor.random.choice((5, 6, 6, 7, 36, 37, 38))
    actor.call("fcntl", actor.descriptor("file"), command, description)


def remove(actor: Actor) -> None:
    if actor.decides(0.7):
        actor.call("unlink", a_file(actor))
    else:
        actor.call("rmdir", actor.random.choice(DIRECTORIES))


def make(actor: Actor) -> None:
    actor.call("mkdir", actor.random.choice(DIRECTORIES), 0o755)


def rename(actor: Actor) -> None:
    actor.call("renameat2", -100, any_name(actor), -100, any_name(actor), actor.random.choice((0, 0, 1, 2)))


def link(actor: Actor) -> None:
    actor.call(actor.random.choice(("link", "symlink")), a_file(actor), a_file(actor))


def list_directory(actor: Actor) -> None:
    descriptor = actor.open(actor.random.choice(DIRECTORIES), 0o200000, "directory")
    if descriptor >= 0:
        actor.call("getdents64", descriptor, bytearray(200), 200)


def name_calls(actor: Actor) -> None:
    names = ("stat", "access", "truncate", "chmod", "utimensat", "readlink", "setxattr", "getxattr", "chdir", "openat2",
             "statx", "mknod", "name_to_handle_at", "lchown")  # fmt: skip
    actor.call_any(actor.random.choice(names))


KIND: Final = Kind(
    "files",
    (open_file, open_file, write_pages, use, use, use, lock, remove, remove, make, rename, link, list_directory,
     name_calls, Actor.close_one),
    prepare,
)  # fmt: skip
