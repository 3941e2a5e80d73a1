"""What reports events: epoll, eventfd, timerfd, signalfd, inotify, fanotify, pidfds, poll."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.kinds.kind import Kind
from tests.races.worker import Worker

NONBLOCK: Final = 0o4000
ADD, DELETE, MODIFY = 1, 2, 3


def make_epoll(worker: Worker) -> None:
    worker.keep(worker.call("epoll_create1", 0), "epoll")


def change_epoll(worker: Worker) -> None:
    events = 0x1D | worker.random.choice((0, 1 << 31, 1 << 30, 1 << 28))
    other = worker.descriptor(worker.random.choice(("", "epoll", "eventfd", "pipe", "socket", "pidfd")))
    worker.call("epoll_ctl", worker.descriptor("epoll"), worker.random.choice((ADD, ADD, ADD, DELETE, MODIFY)), other,
               struct.pack("<IQ", events, 1))  # fmt: skip


def wait_epoll(worker: Worker) -> None:
    limit = worker.random.choice((1, 10))
    worker.call("epoll_wait", worker.descriptor("epoll"), bytearray(12 * limit), limit, worker.random.choice((0, 0, 2)))


def make_eventfd(worker: Worker) -> None:
    worker.keep(worker.call("eventfd2", worker.random.randrange(2), NONBLOCK | worker.random.choice((0, 1))), "eventfd")


def use_eventfd(worker: Worker) -> None:
    if worker.decides(0.5):
        worker.call("write", worker.descriptor("eventfd"), struct.pack("<Q", 1), 8)
    else:
        worker.call("read", worker.descriptor("eventfd"), bytearray(8), 8)


def make_timerfd(worker: Worker) -> None:
    worker.keep(worker.call("timerfd_create", worker.random.choice((0, 1)), NONBLOCK), "timerfd")


def set_timerfd(worker: Worker) -> None:
    when = struct.pack("<qqqq", 0, worker.random.choice((0, 1_000_000)), 0, worker.random.choice((0, 1, 500_000)))
    worker.call("timerfd_settime", worker.descriptor("timerfd"), worker.random.choice((0, 1, 2)), when, None)


def read_timerfd(worker: Worker) -> None:
    worker.call("read", worker.descriptor("timerfd"), bytearray(8), 8)


def make_signalfd(worker: Worker) -> None:
    old = worker.random.choice((-1, -1, worker.descriptor("signalfd")))
    worker.keep(worker.call("signalfd4", old, struct.pack("<Q", 0xFFFF), 8, NONBLOCK), "signalfd")


def make_inotify(worker: Worker) -> None:
    worker.keep(worker.call("inotify_init1", NONBLOCK), "inotify")


def watch(worker: Worker) -> None:
    mask = worker.random.choice((0xFFF, 0xFFF | 1 << 31, 0x100 | 0x20000000, 0x3FF))
    worker.remember("watch", worker.call("inotify_add_watch", worker.descriptor("inotify"), worker.path(), mask))


def unwatch(worker: Worker) -> None:
    descriptor = worker.descriptor("inotify")
    worker.call("inotify_rm_watch", descriptor, worker.random.choice((1, 2, worker.resource("watch"))))


def make_fanotify(worker: Worker) -> None:
    flags = 2 | worker.random.choice((0, 0x200, 0xE00, 4))
    worker.keep(worker.call("fanotify_init", flags, 2), "fanotify")


def mark(worker: Worker) -> None:
    flags = worker.random.choice((1, 1, 2, 0x11, 0x101, 0x80))
    mask = worker.random.choice((0x3B, 0x8000000 | 0x3B, 0x40000FFF, 0x10000, 0x30000))
    worker.call("fanotify_mark", worker.descriptor("fanotify"), flags, mask, -100, worker.path())


def answer(worker: Worker) -> None:
    data = bytearray(300)
    if worker.call("read", worker.descriptor("fanotify"), data, len(data)) >= 24:
        (event,) = struct.unpack_from("<i", data, 16)
        worker.call("write", worker.descriptor("fanotify"), struct.pack("<iI", event, 1), 8)
        if event > 2:
            worker.call("close", event)


def read_events(worker: Worker) -> None:
    kind = worker.random.choice(("inotify", "fanotify", "signalfd", "timerfd"))
    size = worker.random.choice((16, 40, 300))
    worker.call("read", worker.descriptor(kind), bytearray(size), size)


def make_pidfd(worker: Worker) -> None:
    worker.keep(worker.call("pidfd_open", worker.resource("pid"), worker.random.choice((0, NONBLOCK, 0o200))), "pidfd")


def use_pidfd(worker: Worker) -> None:
    if worker.decides(0.5):
        worker.call("pidfd_send_signal", worker.descriptor("pidfd"), worker.random.choice((0, 18, 17)), None, 0)
    else:
        got = worker.call("pidfd_getfd", worker.descriptor("pidfd"), worker.random.randrange(3, 12), 0)
        worker.keep(got, "any")


def poll(worker: Worker) -> None:
    count = worker.random.randrange(1, 5)
    table = b"".join(struct.pack("<ihh", worker.descriptor(), 0x1F, 0) for _ in range(count))
    worker.call("poll", bytearray(table), count, worker.random.choice((0, 1)))


def close_or_duplicate(worker: Worker) -> None:
    if worker.decides(0.7):
        worker.close_one()
    else:
        worker.call("dup2", worker.descriptor(), worker.descriptor())


KIND: Final = Kind(
    "events",
    (make_epoll, change_epoll, change_epoll, change_epoll, wait_epoll, wait_epoll, make_eventfd, use_eventfd,
     use_eventfd, make_timerfd, set_timerfd, read_timerfd, make_signalfd, make_inotify, watch, watch, unwatch,
     make_fanotify, mark, mark, answer, read_events, make_pidfd, use_pidfd, poll, close_or_duplicate),
)  # fmt: skip
