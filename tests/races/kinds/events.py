"""What reports events: epoll, eventfd, timerfd, signalfd, inotify, fanotify, pidfds, poll."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.actor import Actor
from tests.races.kinds.kind import Kind

NONBLOCK: Final = 0o4000
ADD, DELETE, MODIFY = 1, 2, 3


def make_epoll(actor: Actor) -> None:
    actor.keep(actor.call("epoll_create1", 0), "epoll")


def change_epoll(actor: Actor) -> None:
    events = 0x1D | actor.random.choice((0, 1 << 31, 1 << 30, 1 << 28))
    other = actor.descriptor(actor.random.choice(("", "epoll", "eventfd", "pipe", "socket", "pidfd")))
    actor.call("epoll_ctl", actor.descriptor("epoll"), actor.random.choice((ADD, ADD, ADD, DELETE, MODIFY)), other,
               struct.pack("<IQ", events, 1))  # fmt: skip


def wait_epoll(actor: Actor) -> None:
    limit = actor.random.choice((1, 10))
    actor.call("epoll_wait", actor.descriptor("epoll"), bytearray(12 * limit), limit, actor.random.choice((0, 0, 2)))


def make_eventfd(actor: Actor) -> None:
    actor.keep(actor.call("eventfd2", actor.random.randrange(2), NONBLOCK | actor.random.choice((0, 1))), "eventfd")


def use_eventfd(actor: Actor) -> None:
    if actor.decides(0.5):
        actor.call("write", actor.descriptor("eventfd"), struct.pack("<Q", 1), 8)
    else:
        actor.call("read", actor.descriptor("eventfd"), bytearray(8), 8)


def make_timerfd(actor: Actor) -> None:
    actor.keep(actor.call("timerfd_create", actor.random.choice((0, 1)), NONBLOCK), "timerfd")


def set_timerfd(actor: Actor) -> None:
    when = struct.pack("<qqqq", 0, actor.random.choice((0, 1_000_000)), 0, actor.random.choice((0, 1, 500_000)))
    actor.call("timerfd_settime", actor.descriptor("timerfd"), actor.random.choice((0, 1, 2)), when, None)


def read_timerfd(actor: Actor) -> None:
    actor.call("read", actor.descriptor("timerfd"), bytearray(8), 8)


def make_signalfd(actor: Actor) -> None:
    old = actor.random.choice((-1, -1, actor.descriptor("signalfd")))
    actor.keep(actor.call("signalfd4", old, struct.pack("<Q", 0xFFFF), 8, NONBLOCK), "signalfd")


def make_inotify(actor: Actor) -> None:
    actor.keep(actor.call("inotify_init1", NONBLOCK), "inotify")


def watch(actor: Actor) -> None:
    mask = actor.random.choice((0xFFF, 0xFFF | 1 << 31, 0x100 | 0x20000000, 0x3FF))
    actor.remember("watch", actor.call("inotify_add_watch", actor.descriptor("inotify"), actor.path(), mask))


def unwatch(actor: Actor) -> None:
    actor.call("inotify_rm_watch", actor.descriptor("inotify"), actor.random.choice((1, 2, actor.resource("watch"))))


def make_fanotify(actor: Actor) -> None:
    flags = 2 | actor.random.choice((0, 0x200, 0xE00, 4))
    actor.keep(actor.call("fanotify_init", flags, 2), "fanotify")


def mark(actor: Actor) -> None:
    flags = actor.random.choice((1, 1, 2, 0x11, 0x101, 0x80))
    mask = actor.random.choice((0x3B, 0x8000000 | 0x3B, 0x40000FFF, 0x10000, 0x30000))
    actor.call("fanotify_mark", actor.descriptor("fanotify"), flags, mask, -100, actor.path())


def answer(actor: Actor) -> None:
    data = bytearray(300)
    if actor.call("read", actor.descriptor("fanotify"), data, len(data)) >= 24:
        (event,) = struct.unpack_from("<i", data, 16)
        actor.call("write", actor.descriptor("fanotify"), struct.pack("<iI", event, 1), 8)
        if event > 2:
            actor.call("close", event)


def read_events(actor: Actor) -> None:
    kind = actor.random.choice(("inotify", "fanotify", "signalfd", "timerfd"))
    size = actor.random.choice((16, 40, 300))
    actor.call("read", actor.descriptor(kind), bytearray(size), size)


def make_pidfd(actor: Actor) -> None:
    actor.keep(actor.call("pidfd_open", actor.resource("pid"), actor.random.choice((0, NONBLOCK, 0o200))), "pidfd")


def use_pidfd(actor: Actor) -> None:
    if actor.decides(0.5):
        actor.call("pidfd_send_signal", actor.descriptor("pidfd"), actor.random.choice((0, 18, 17)), None, 0)
    else:
        got = actor.call("pidfd_getfd", actor.descriptor("pidfd"), actor.random.randrange(3, 12), 0)
        actor.keep(got, "any")


def poll(actor: Actor) -> None:
    count = actor.random.randrange(1, 5)
    table = b"".join(struct.pack("<ihh", actor.descriptor(), 0x1F, 0) for _ in range(count))
    actor.call("poll", bytearray(table), count, actor.random.choice((0, 1)))


def close_or_duplicate(actor: Actor) -> None:
    if actor.decides(0.7):
        actor.close_one()
    else:
        actor.call("dup2", actor.descriptor(), actor.descriptor())


KIND: Final = Kind(
    "events",
    (make_epoll, change_epoll, change_epoll, change_epoll, wait_epoll, wait_epoll, make_eventfd, use_eventfd,
     use_eventfd, make_timerfd, set_timerfd, read_timerfd, make_signalfd, make_inotify, watch, watch, unwatch,
     make_fanotify, mark, mark, answer, read_events, make_pidfd, use_pidfd, poll, close_or_duplicate),
)  # fmt: skip
