"""Names and files of a tmpfs: made, renamed, linked, locked, watched and removed by all."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.kinds.kind import Kind
from tests.races.worker import Worker

DIRECTORIES: Final = ("/t/d0", "/t/d1", "/t/d0/d2")
FILES: Final = tuple(f"{each}/f{i}" for each in DIRECTORIES for i in range(2))
WAYS: Final = (0, 1, 2, 0o102, 0o102, 0o1102, 0o2102, 0o302)  # O_CREAT and others


def prepare(worker: Worker) -> None:
    for each in DIRECTORIES:
        worker.call("mkdir", each, 0o755)
    worker.shared.paths += (*DIRECTORIES, *FILES)


def a_file(worker: Worker) -> str:
    return worker.random.choice(FILES)


def any_name(worker: Worker) -> str:
    return worker.random.choice((*FILES, *DIRECTORIES))


def open_file(worker: Worker) -> None:
    worker.open(a_file(worker), worker.random.choice(WAYS))


def write_pages(worker: Worker) -> None:
    descriptor = worker.open(a_file(worker), 0o102)
    for i in range(worker.random.randrange(8)):
        worker.call("pwrite64", descriptor, b"x" * 700, 700, i * 4096)


def use(worker: Worker) -> None:
    names = ("read", "write", "pread64", "pwrite64", "lseek", "ftruncate", "fallocate", "fstat", "fsync", "fcntl",
             "readv", "writev", "copy_file_range", "sendfile", "flock", "fadvise64", "fchmod", "dup", "getdents64",
             "preadv2", "pwritev2", "fsetxattr", "flistxattr")  # fmt: skip
    worker.call_any(worker.random.choice(names))


def lock(worker: Worker) -> None:
    kind, start = worker.random.choice((0, 1, 2)), worker.random.randrange(3) * 10
    description = bytearray(struct.pack("<hhxxxxqqixxxx", kind, 0, start, 15, 0))
    command = worker.random.choice((5, 6, 6, 7, 36, 37, 38))
    worker.call("fcntl", worker.descriptor("file"), command, description)


def remove(worker: Worker) -> None:
    if worker.decides(0.7):
        worker.call("unlink", a_file(worker))
    else:
        worker.call("rmdir", worker.random.choice(DIRECTORIES))


def make(worker: Worker) -> None:
    worker.call("mkdir", worker.random.choice(DIRECTORIES), 0o755)


def rename(worker: Worker) -> None:
    worker.call("renameat2", -100, any_name(worker), -100, any_name(worker), worker.random.choice((0, 0, 1, 2)))


def link(worker: Worker) -> None:
    worker.call(worker.random.choice(("link", "symlink")), a_file(worker), a_file(worker))


def list_directory(worker: Worker) -> None:
    descriptor = worker.open(worker.random.choice(DIRECTORIES), 0o200000, "directory")
    if descriptor >= 0:
        worker.call("getdents64", descriptor, bytearray(200), 200)


def name_calls(worker: Worker) -> None:
    names = ("stat", "access", "truncate", "chmod", "utimensat", "readlink", "setxattr", "getxattr", "chdir", "openat2",
             "statx", "mknod", "name_to_handle_at", "lchown")  # fmt: skip
    worker.call_any(worker.random.choice(names))


KIND: Final = Kind(
    "files",
    (open_file, open_file, write_pages, use, use, use, lock, remove, remove, make, rename, link, list_directory,
     name_calls, Worker.close_one),
    prepare,
)  # fmt: skip
