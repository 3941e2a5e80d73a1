"""Pipes and named pipes: read, written, spliced, resized and closed by all."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.kinds.kind import Kind
from tests.races.worker import Worker

NONBLOCK: Final = 0o4000
NAMED: Final = ("/t/p0", "/t/p1")


def prepare(worker: Worker) -> None:
    for each in NAMED:
        worker.call("mknod", each, 0o010666, 0)
    worker.shared.paths += NAMED
    make(worker)


def make(worker: Worker) -> None:
    ends = bytearray(8)
    if worker.call("pipe2", ends, NONBLOCK | worker.random.choice((0, 0, 0o40000))) >= 0:
        worker.keep_pair(ends, "pipe")


def open_named(worker: Worker) -> None:
    worker.open(worker.random.choice(NAMED), worker.random.choice((0, 1, 2)) | NONBLOCK, "pipe")


def remove_named(worker: Worker) -> None:
    which = worker.random.choice(NAMED)
    if worker.decides(0.5):
        worker.call("unlink", which)
    else:
        worker.call("mknod", which, 0o010666, 0)


def write(worker: Worker) -> None:
    size = worker.random.choice((1, 100, 4096, 5000, 70_000))
    worker.call("write", worker.descriptor("pipe"), bytes(size), size)


def read(worker: Worker) -> None:
    size = worker.random.choice((1, 100, 4096, 20_000))
    worker.call("read", worker.descriptor("pipe"), bytearray(size), size)


def splice(worker: Worker) -> None:
    kinds = worker.random.choice((("pipe", "pipe"), ("pipe", "socket"), ("socket", "pipe"), ("file", "pipe"),
                                 ("pipe", "file")))  # fmt: skip
    source, target = (worker.descriptor(each) for each in kinds)
    worker.call("splice", source, 0, target, 0, worker.random.choice((1, 5000)), 2)


def tee(worker: Worker) -> None:
    worker.call("tee", worker.descriptor("pipe"), worker.descriptor("pipe"), 5000, 2)


def give_pages(worker: Worker) -> None:
    at = worker.arguments.place(6000)
    vector = struct.pack("<QQQQ", at, 3000, at + 3000, 3000)
    worker.call("vmsplice", worker.descriptor("pipe"), vector, 2, worker.random.choice((2, 10)))


def resize(worker: Worker) -> None:
    worker.call("fcntl", worker.descriptor("pipe"), 1031, worker.random.choice((4096, 16384, 1 << 20)))


def send_file(worker: Worker) -> None:
    worker.call("sendfile", worker.descriptor("pipe"), worker.descriptor("file"), 0, 5000)


def ask(worker: Worker) -> None:
    worker.call("ioctl", worker.descriptor("pipe"), 0x541B, bytearray(4))


KIND: Final = Kind(
    "pipes",
    (make, open_named, remove_named, write, write, write, read, read, read, splice, splice, tee, give_pages, resize,
     send_file, ask, Worker.close_one),
    prepare,
)  # fmt: skip
