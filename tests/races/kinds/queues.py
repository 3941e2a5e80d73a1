"""Message queues, semaphores and shared memory of System V and of POSIX, and rings of io_uring and of aio."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.actor import Actor
from tests.races.kinds.kind import Kind

NONBLOCK: Final = 0o4000
NO_WAIT: Final = 0o4000


def open_queue(actor: Actor) -> None:
    flags = 2 | actor.random.choice((0o100, 0o100, 0, 0o300)) | NONBLOCK
    sizes = struct.pack("<qqqq32x", 0, 4, 64, 0)
    actor.keep(actor.call("mq_open", actor.random.choice(("q0", "q1")), flags, 0o600, sizes), "mq")


def use_queue(actor: Actor) -> None:
    queue = actor.descriptor("mq")
    if actor.decides(0.5):
        actor.call("mq_timedsend", queue, b"m" * 40, 40, actor.random.randrange(3), None)
    else:
        actor.call("mq_timedreceive", queue, bytearray(64), 64, bytearray(4), None)


def notify(actor: Actor) -> None:
    event = struct.pack("<qii48x", 0, 23, actor.random.choice((0, 1)))
    actor.call("mq_notify", actor.descriptor("mq"), actor.random.choice((event, None)))


def remove_queue(actor: Actor) -> None:
    actor.call("mq_unlink", actor.random.choice(("q0", "q1")))


def get_messages(actor: Actor) -> None:
    actor.remember("msgid", actor.call("msgget", 77 + actor.random.randrange(2), 0o1666))


def use_messages(actor: Actor) -> None:
    queue = actor.resource("msgid")
    if actor.decides(0.5):
        size = actor.random.choice((10, 3000))
        actor.call("msgsnd", queue, struct.pack("<q", actor.random.randrange(1, 3)) + bytes(size), size, NO_WAIT)
    else:
        actor.call("msgrcv", queue, bytearray(3008), 3000, actor.random.randrange(-2, 3), NO_WAIT)


def get_semaphores(actor: Actor) -> None:
    actor.remember("semid", actor.call("semget", 77 + actor.random.randrange(2), 3, 0o1666))


def use_semaphores(actor: Actor) -> None:
    operations = b"".join(
        struct.pack("<HhH", actor.random.randrange(3), actor.random.randrange(-1, 2),
                    actor.random.choice((0, NO_WAIT)) | actor.random.choice((0, 0x1000)))
        for _ in range(2)
    )  # fmt: skip
    actor.call("semtimedop", actor.resource("semid"), operations, 2, struct.pack("<qq", 0, 1_000_000))


def get_memory(actor: Actor) -> None:
    actor.remember("shmid", actor.call("shmget", 77 + actor.random.randrange(2), 8192, 0o1666))


def attach(actor: Actor) -> None:
    at = actor.call("shmat", actor.resource("shmid"), 0, 0)
    if at > 0 and actor.decides(0.7):
        actor.call("shmdt", at)


def control(actor: Actor) -> None:
    name, kind = actor.random.choice((("msgctl", "msgid"), ("semctl", "semid"), ("shmctl", "shmid")))
    if actor.decides(0.3):
        arguments = (actor.resource(kind), 0, 0) if name != "semctl" else (actor.resource(kind), 0, 0, 0)
        actor.call(name, *arguments)
    else:
        actor.call_any(name)


def read_lists(actor: Actor) -> None:
    descriptor = actor.open(f"/proc/sysvipc/{actor.random.choice(('msg', 'sem', 'shm'))}", 0)
    if descriptor >= 0:
        actor.call("read", descriptor, bytearray(200), 200)


def make_ring(actor: Actor) -> None:
    settings = bytearray(120)
    ring = actor.keep(actor.call("io_uring_setup", 4, settings), "io_uring")
    if ring >= 0:
        actor.call("mmap", 0, 4096, 3, 0x8001, ring, 0x10000000)


def use_ring(actor: Actor) -> None:
    actor.call_any(actor.random.choice(("io_uring_enter", "io_uring_register", "io_uring_register")))


def use_aio(actor: Actor) -> None:
    if actor.decides(0.3):
        at = actor.arguments.place(8)
        actor.store(at, bytes(8))
        if actor.call("io_setup", 8, at) >= 0:
            actor.remember("aio", int.from_bytes(actor.load(at, 8), "little"))
    else:
        actor.call_any(actor.random.choice(("io_submit", "io_submit", "io_getevents", "io_destroy", "io_cancel")))


def keys(actor: Actor) -> None:
    actor.call_any(actor.random.choice(("add_key", "request_key", "keyctl", "keyctl")))


KIND: Final = Kind(
    "queues",
    (open_queue, use_queue, use_queue, notify, remove_queue, get_messages, use_messages, use_messages, get_semaphores,
     use_semaphores, use_semaphores, get_memory, attach, control, read_lists, make_ring, use_ring, use_aio, keys,
     Actor.close_one),
)  # fmt: skip
