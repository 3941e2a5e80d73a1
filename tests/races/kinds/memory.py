"""Address spaces: mapped, moved, split, locked and copied by several threads, and looked at by others."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.arguments import MAPS, MAPS_PAGES, PAGE
from tests.races.kinds.kind import Kind
from tests.races.worker import Worker

PRIVATE, SHARED, FIXED, ANONYMOUS = 2, 1, 0x10, 0x20
ADVICE: Final = (0, 1, 2, 3, 4, 4, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)


def place(worker: Worker) -> int:
    return MAPS + worker.random.randrange(MAPS_PAGES) * PAGE


def length(worker: Worker) -> int:
    return worker.random.choice((1, 1, 2, 4, 8)) * PAGE


def map_pages(worker: Worker) -> None:
    rights = worker.random.choice((3, 3, 1, 7, 0))
    sorts = (PRIVATE | ANONYMOUS, SHARED | ANONYMOUS, PRIVATE | ANONYMOUS | 0x8000, SHARED, PRIVATE)
    sort = worker.random.choice(sorts)
    descriptor = -1 if sort & ANONYMOUS else worker.descriptor("file")
    worker.call("mmap", place(worker), length(worker), rights, sort | FIXED, descriptor, 0)


def unmap(worker: Worker) -> None:
    worker.call("munmap", place(worker), length(worker))


def protect(worker: Worker) -> None:
    worker.call("mprotect", place(worker), length(worker), worker.random.choice((0, 1, 3, 3, 7)))


def move(worker: Worker) -> None:
    flags = worker.random.choice((0, 1, 3, 3, 5, 7))
    worker.call("mremap", place(worker), length(worker), length(worker), flags, place(worker))


def advise(worker: Worker) -> None:
    worker.call("madvise", place(worker), length(worker), worker.random.choice(ADVICE))


def lock(worker: Worker) -> None:
    worker.call(worker.random.choice(("mlock", "munlock", "mlock2")), place(worker), length(worker), 1)


def copy(worker: Worker) -> None:
    """The kernel reads or writes there."""
    descriptor = worker.descriptor(worker.random.choice(("file", "pipe")))
    worker.call("fcntl", descriptor, 4, 0o4000)
    worker.call(worker.random.choice(("read", "write")), descriptor, place(worker), length(worker))


def copy_from_other(worker: Worker) -> None:
    here = struct.pack("<QQ", place(worker), length(worker))
    there = struct.pack("<QQ", place(worker), length(worker))
    name = worker.random.choice(("process_vm_readv", "process_vm_writev"))
    worker.call(name, worker.resource("pid"), here, 1, there, 1, 0)


def look_at(worker: Worker) -> None:
    who = worker.random.choice(("self", str(worker.resource("pid"))))
    name = worker.random.choice(("maps", "smaps", "smaps_rollup", "pagemap", "statm", "status", "numa_maps", "mem"))
    descriptor = worker.open(f"/proc/{who}/{name}", 2 if name == "mem" else 0)
    if descriptor >= 0:
        at = place(worker) if name == "mem" else place(worker) >> 9 if name == "pagemap" else 0
        worker.call("pread64", descriptor, bytearray(500), 500, at)
        if name == "mem":
            worker.call("pwrite64", descriptor, b"y" * 300, 300, place(worker))


def make_memory_file(worker: Worker) -> None:
    descriptor = worker.keep(worker.call("memfd_create", "m", 2), "file")
    if descriptor >= 0:
        worker.call("ftruncate", descriptor, 8 * PAGE)


def watch_faults(worker: Worker) -> None:
    descriptor = worker.keep(worker.call("userfaultfd", 0o4000), "userfaultfd")
    if descriptor >= 0:
        worker.call("ioctl", descriptor, 0xC018AA3F, bytearray(struct.pack("<QQQ", 0xAA, 0, 0)))
        register = bytearray(struct.pack("<QQQQ", place(worker), length(worker), 1, 0))
        worker.call("ioctl", descriptor, 0xC020AA00, register)


def serve_faults(worker: Worker) -> None:
    descriptor = worker.descriptor("userfaultfd")
    message = bytearray(32)
    if worker.call("read", descriptor, message, 32) == 32:
        (address,) = struct.unpack_from("<Q", message, 16)
        zeros = bytearray(struct.pack("<QQQQ", address & -PAGE, PAGE, 0, 0))
        worker.call("ioctl", descriptor, 0xC020AA04, zeros)


def others(worker: Worker) -> None:
    names = ("mincore", "msync", "mbind", "get_mempolicy", "move_pages", "remap_file_pages", "shmat", "shmget", "shmdt",
             "shmctl", "mseal", "process_madvise", "pkey_alloc", "pkey_free", "process_mrelease")  # fmt: skip
    worker.call_any(worker.random.choice(names))


KIND: Final = Kind(
    "memory",
    (map_pages, map_pages, map_pages, unmap, protect, move, move, advise, advise, lock, copy, copy, copy_from_other,
     look_at, look_at, make_memory_file, watch_faults, serve_faults, others, Worker.close_one),
)  # fmt: skip
