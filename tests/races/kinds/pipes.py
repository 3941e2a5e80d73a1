"""Pipes and named pipes: read, written, spliced, resized and closed by all."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.actor import Actor
from tests.races.kinds.kind import Kind

NONBLOCK: Final = 0o4000
NAMED: Final = ("/t/p0", "/t/p1")


def prepare(actor: Actor) -> None:
    for each in NAMED:
        actor.call("mknod", each, 0o010666, 0)
    actor.stage.paths += NAMED
    make(actor)


def make(actor: Actor) -> None:
    ends = bytearray(8)
    if actor.call("pipe2", ends, NONBLOCK | actor.random.choice((0, 0, 0o40000))) >= 0:
        actor.keep_pair(ends, "pipe")


def open_named(actor: Actor) -> None:
    actor.open(actor.random.choice(NAMED), actor.random.choice((0, 1, 2)) | NONBLOCK, "pipe")


def remove_named(actor: Actor) -> None:
    which = actor.random.choice(NAMED)
    if actor.decides(0.5):
        actor.call("unlink", which)
    else:
        actor.call("mknod", which, 0o010666, 0)


def write(actor: Actor) -> None:
    size = actor.random.choice((1, 100, 4096, 5000, 70_000))
    actor.call("write", actor.descriptor("pipe"), bytes(size), size)


def read(actor: Actor) -> None:
    size = actor.random.choice((1, 100, 4096, 20_000))
    actor.call("read", actor.descriptor("pipe"), bytearray(size), size)


def splice(actor: Actor) -> None:
    kinds = actor.random.choice((("pipe", "pipe"), ("pipe", "socket"), ("socket", "pipe"), ("file", "pipe"),
                                 ("pipe", "file")))  # fmt: skip
    source, target = (actor.descriptor(each) for each in kinds)
    actor.call("splice", source, 0, target, 0, actor.random.choice((1, 5000)), 2)


def tee(actor: Actor) -> None:
    actor.call("tee", actor.descriptor("pipe"), actor.descriptor("pipe"), 5000, 2)


def give_pages(actor: Actor) -> None:
    at = actor.arguments.place(6000)
    vector = struct.pack("<QQQQ", at, 3000, at + 3000, 3000)
    actor.call("vmsplice", actor.descriptor("pipe"), vector, 2, actor.random.choice((2, 10)))


def resize(actor: Actor) -> None:
    actor.call("fcntl", actor.descriptor("pipe"), 1031, actor.random.choice((4096, 16384, 1 << 20)))


def send_file(actor: Actor) -> None:
    actor.call("sendfile", actor.descriptor("pipe"), actor.descriptor("file"), 0, 5000)


def ask(actor: Actor) -> None:
    actor.call("ioctl", actor.descriptor("pipe"), 0x541B, bytearray(4))


KIND: Final = Kind(
    "pipes",
    (make, open_named, remove_named, write, write, write, read, read, read, splice, splice, tee, give_pages, resize,
     send_file, ask, Actor.close_one),
    prepare,
)  # fmt: skip
