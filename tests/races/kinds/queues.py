"""Message queues, semaphores and shared memory of System V and of POSIX, and rings of io_uring and of aio."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.kinds.kind import Kind
from tests.races.worker import Worker

NONBLOCK: Final = 0o4000
NO_WAIT: Final = 0o4000


def open_queue(worker: Worker) -> None:
    flags = 2 | worker.random.choice((0o100, 0o100, 0, 0o300)) | NONBLOCK
    sizes = struct.pack("<qqqq32x", 0, 4, 64, 0)
    worker.keep(worker.call("mq_open", worker.random.choice(("q0", "q1")), flags, 0o600, sizes), "mq")


def use_queue(worker: Worker) -> None:
    queue = worker.descriptor("mq")
    if worker.decides(0.5):
        worker.call("mq_timedsend", queue, b"m" * 40, 40, worker.random.randrange(3), None)
    else:
        worker.call("mq_timedreceive", queue, bytearray(64), 64, bytearray(4), None)


def notify(worker: Worker) -> None:
    event = struct.pack("<qii48x", 0, 23, worker.random.choice((0, 1)))
    worker.call("mq_notify", worker.descriptor("mq"), worker.random.choice((event, None)))


def remove_queue(worker: Worker) -> None:
    worker.call("mq_unlink", worker.random.choice(("q0", "q1")))


def get_messages(worker: Worker) -> None:
    worker.remember("msgid", worker.call("msgget", 77 + worker.random.randrange(2), 0o1666))


def use_messages(worker: Worker) -> None:
    queue = worker.resource("msgid")
    if worker.decides(0.5):
        size = worker.random.choice((10, 3000))
        worker.call("msgsnd", queue, struct.pack("<q", worker.random.randrange(1, 3)) + bytes(size), size, NO_WAIT)
    else:
        worker.call("msgrcv", queue, bytearray(3008), 3000, worker.random.randrange(-2, 3), NO_WAIT)


def get_semaphores(worker: Worker) -> None:
    worker.remember("semid", worker.call("semget", 77 + worker.random.randrange(2), 3, 0o1666))


def use_semaphores(worker: Worker) -> None:
    operations = b"".join(
        struct.pack("<HhH", worker.random.randrange(3), worker.random.randrange(-1, 2),
                    worker.random.choice((0, NO_WAIT)) | worker.random.choice((0, 0x1000)))
        for _ in range(2)
    )  # fmt: skip
    worker.call("semtimedop", worker.resource("semid"), operations, 2, struct.pack("<qq", 0, 1_000_000))


def get_memory(worker: Worker) -> None:
    worker.remember("shmid", worker.call("shmget", 77 + worker.random.randrange(2), 8192, 0o1666))


def attach(worker: Worker) -> None:
    at = worker.call("shmat", worker.resource("shmid"), 0, 0)
    if at > 0 and worker.decides(0.7):
        worker.call("shmdt", at)


def control(worker: Worker) -> None:
    name, kind = worker.random.choice((("msgctl", "msgid"), ("semctl", "semid"), ("shmctl", "shmid")))
    if worker.decides(0.3):
        arguments = (worker.resource(kind), 0, 0) if name != "semctl" else (worker.resource(kind), 0, 0, 0)
        worker.call(name, *arguments)
    else:
        worker.call_any(name)


def read_lists(worker: Worker) -> None:
    descriptor = worker.open(f"/proc/sysvipc/{worker.random.choice(('msg', 'sem', 'shm'))}", 0)
    if descriptor >= 0:
        worker.call("read", descriptor, bytearray(200), 200)


def make_ring(worker: Worker) -> None:
    settings = bytearray(120)
    ring = worker.keep(worker.call("io_uring_setup", 4, settings), "io_uring")
    if ring >= 0:
        worker.call("mmap", 0, 4096, 3, 0x8001, ring, 0x10000000)


def use_ring(worker: Worker) -> None:
    worker.call_any(worker.random.choice(("io_uring_enter", "io_uring_register", "io_uring_register")))


def use_aio(worker: Worker) -> None:
    if worker.decides(0.3):
        at = worker.arguments.place(8)
        worker.store(at, bytes(8))
        if worker.call("io_setup", 8, at) >= 0:
            worker.remember("aio", int.from_bytes(worker.load(at, 8), "little"))
    else:
        worker.call_any(worker.random.choice(("io_submit", "io_submit", "io_getevents", "io_destroy", "io_cancel")))


def keys(worker: Worker) -> None:
    worker.call_any(worker.random.choice(("add_key", "request_key", "keyctl", "keyctl")))


KIND: Final = Kind(
    "queues",
    (open_queue, use_queue, use_queue, notify, remove_queue, get_messages, use_messages, use_messages, get_semaphores,
     use_semaphores, use_semaphores, get_memory, attach, control, read_lists, make_ring, use_ring, use_aio, keys,
     Worker.close_one),
)  # fmt: skip
