"""Address spaces: mapped, moved, split, locked and copied by several threads, and looked at by others."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.actor import Actor
from tests.races.arguments import MAPS, MAPS_PAGES, PAGE
from tests.races.kinds.kind import Kind

PRIVATE, SHARED, FIXED, ANONYMOUS = 2, 1, 0x10, 0x20
ADVICE: Final = (0, 1, 2, 3, 4, 4, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)


def place(actor: Actor) -> int:
    return MAPS + actor.random.randrange(MAPS_PAGES) * PAGE


def length(actor: Actor) -> int:
    return actor.random.choice((1, 1, 2, 4, 8)) * PAGE


def map_pages(actor: Actor) -> None:
    rights = actor.random.choice((3, 3, 1, 7, 0))
    sort = actor.random.choice((PRIVATE | ANONYMOUS, SHARED | ANONYMOUS, PRIVATE | ANONYMOUS | 0x8000, SHARED, PRIVATE))
    descriptor = -1 if sort & ANONYMOUS else actor.descriptor("file")
    actor.call("mmap", place(actor), length(actor), rights, sort | FIXED, descriptor, 0)


def unmap(actor: Actor) -> None:
    actor.call("munmap", place(actor), length(actor))


def protect(actor: Actor) -> None:
    actor.call("mprotect", place(actor), length(actor), actor.random.choice((0, 1, 3, 3, 7)))


def move(actor: Actor) -> None:
    flags = actor.random.choice((0, 1, 3, 3, 5, 7))
    actor.call("mremap", place(actor), length(actor), length(actor), flags, place(actor))


def advise(actor: Actor) -> None:
    actor.call("madvise", place(actor), length(actor), actor.random.choice(ADVICE))


def lock(actor: Actor) -> None:
    actor.call(actor.random.choice(("mlock", "munlock", "mlock2")), place(actor), length(actor), 1)


def copy(actor: Actor) -> None:
    """The kernel reads or writes there."""
    descriptor = actor.descriptor(actor.random.choice(("file", "pipe")))
    actor.call("fcntl", descriptor, 4, 0o4000)
    actor.call(actor.random.choice(("read", "write")), descriptor, place(actor), length(actor))


def copy_from_other(actor: Actor) -> None:
    here = struct.pack("<QQ", place(actor), length(actor))
    there = struct.pack("<QQ", place(actor), length(actor))
    name = actor.random.choice(("process_vm_readv", "process_vm_writev"))
    actor.call(name, actor.resource("pid"), here, 1, there, 1, 0)


def look_at(actor: Actor) -> None:
    who = actor.random.choice(("self", str(actor.resource("pid"))))
    name = actor.random.choice(("maps", "smaps", "smaps_rollup", "pagemap", "statm", "status", "numa_maps", "mem"))
    descriptor = actor.open(f"/proc/{who}/{name}", 2 if name == "mem" else 0)
    if descriptor >= 0:
        at = place(actor) if name == "mem" else place(actor) >> 9 if name == "pagemap" else 0
        actor.call("pread64", descriptor, bytearray(500), 500, at)
        if name == "mem":
            actor.call("pwrite64", descriptor, b"y" * 300, 300, place(actor))


def make_memory_file(actor: Actor) -> None:
    descriptor = actor.keep(actor.call("memfd_create", "m", 2), "file")
    if descriptor >= 0:
        actor.call("ftruncate", descriptor, 8 * PAGE)


def watch_faults(actor: Actor) -> None:
    descriptor = actor.keep(actor.call("userfaultfd", 0o4000), "userfaultfd")
    if descriptor >= 0:
        actor.call("ioctl", descriptor, 0xC018AA3F, bytearray(struct.pack("<QQQ", 0xAA, 0, 0)))
        register = bytearray(struct.pack("<QQQQ", place(actor), length(actor), 1, 0))
        actor.call("ioctl", descriptor, 0xC020AA00, register)


def serve_faults(actor: Actor) -> None:
    descriptor = actor.descriptor("userfaultfd")
    message = bytearray(32)
    if actor.call("read", descriptor, message, 32) == 32:
        (address,) = struct.unpack_from("<Q", message, 16)
        zeros = bytearray(struct.pack("<QQQQ", address & -PAGE, PAGE, 0, 0))
        actor.call("ioctl", descriptor, 0xC020AA04, zeros)


def others(actor: Actor) -> None:
    names = ("mincore", "msync", "mbind", "get_mempolicy", "move_pages", "remap_file_pages", "shmat", "shmget", "shmdt",
             "shmctl", "mseal", "process_madvise", "pkey_alloc", "pkey_free", "process_mrelease")  # fmt: skip
    actor.call_any(actor.random.choice(names))


KIND: Final = Kind(
    "memory",
    (map_pages, map_pages, map_pages, unmap, protect, move, move, advise, advise, lock, copy, copy, copy_from_other,
     look_at, look_at, make_memory_file, watch_faults, serve_faults, others, Actor.close_one),
)  # fmt: skip
