"""Unix sockets, and the descriptors and credentials that travel through them."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.actor import Actor
from tests.races.kinds.kind import Kind

NONBLOCK: Final = 0o4000
DONT_WAIT: Final = 0x40
OOB: Final = 1
PEEK: Final = 2
NAMES: Final = (b"\0a", b"\0b", b"/t/s0")
SOL_SOCKET: Final = 1


def address(actor: Actor) -> bytes:
    return struct.pack("<H", 1) + actor.random.choice(NAMES)


def prepare(actor: Actor) -> None:
    make_pair(actor)


def make_pair(actor: Actor) -> None:
    ends = bytearray(8)
    if actor.call("socketpair", 1, actor.random.choice((1, 1, 2, 5)) | NONBLOCK, 0, ends) >= 0:
        actor.keep_pair(ends, "socket")


def make_named(actor: Actor) -> None:
    descriptor = actor.keep(actor.call("socket", 1, actor.random.choice((1, 2, 5)) | NONBLOCK, 0), "socket")
    name = address(actor)
    if actor.decides(0.5):
        actor.call("bind", descriptor, name, len(name))
        actor.call("listen", descriptor, actor.random.choice((0, 2)))
    else:
        actor.call("connect", descriptor, name, len(name))


def accept(actor: Actor) -> None:
    actor.keep(actor.call("accept4", actor.descriptor("socket"), 0, 0, NONBLOCK), "socket")


def send_message(actor: Actor) -> None:
    """Bytes with 0 to 3 descriptors, sometimes several messages at once."""
    chance = actor.random
    count = chance.choice((0, 1, 1, 2, 3))
    rights = struct.pack("<Qii", 16 + 4 * count, SOL_SOCKET, 1)
    rights += b"".join(struct.pack("<i", actor.descriptor(chance.choice(("", "socket")))) for _ in range(count))
    at = actor.arguments.place(512)
    size = chance.choice((1, 20, 200))
    actor.store(at + 64, rights)
    actor.store(at + 128, struct.pack("<QQ", at + 256, size))
    actor.store(at, struct.pack("<QQQQQQQ", 0, 0, at + 128, 1, at + 64 if count else 0, len(rights) if count else 0, 0))
    actor.call("sendmsg", actor.descriptor("socket"), at, DONT_WAIT | 0x4000 | chance.choice((0, 0, OOB)))


def receive_message(actor: Actor) -> None:
    chance = actor.random
    at = actor.arguments.place(512)
    size = chance.choice((1, 20, 200))
    actor.store(at + 128, struct.pack("<QQ", at + 256, size))
    actor.store(at, struct.pack("<QQQQQQQ", 0, 0, at + 128, 1, at + 64, chance.choice((0, 20, 32, 64)), 0))
    flags = DONT_WAIT | chance.choice((0, 0, PEEK, OOB, OOB | PEEK, 0x40000000))
    if actor.call("recvmsg", actor.descriptor("socket"), at, flags) < 0:
        return
    header = actor.load(at, 56)
    (length,) = struct.unpack_from("<Q", header, 40)
    if length >= 20:
        data = actor.load(at + 64, min(length, 64))
        if struct.unpack_from("<ii", data, 8) == (SOL_SOCKET, 1):
            for place in range(16, len(data) - 3, 4):
                (descriptor,) = struct.unpack_from("<i", data, place)
                if descriptor > 2:
                    actor.keep(descriptor, "any")


def send(actor: Actor) -> None:
    size = actor.random.choice((1, 1, 100, 5000))
    flags = DONT_WAIT | 0x4000 | actor.random.choice((0, 0, OOB))
    actor.call("sendto", actor.descriptor("socket"), bytes(size), size, flags, 0, 0)


def receive(actor: Actor) -> None:
    size = actor.random.choice((1, 100, 5000))
    flags = DONT_WAIT | actor.random.choice((0, 0, PEEK, OOB, OOB, OOB | PEEK))
    actor.call("recvfrom", actor.descriptor("socket"), bytearray(size), size, flags, 0, 0)


def set_option(actor: Actor) -> None:
    option = actor.random.choice((16, 76, 10, 7, 8, 42, 34))  # SO_PASSCRED, _PASSPIDFD, _OOBINLINE, sizes, _PEEK_OFF
    actor.call("setsockopt", actor.descriptor("socket"), SOL_SOCKET, option,
               struct.pack("<i", actor.random.choice((0, 1, 3000))), 4)  # fmt: skip


def peer(actor: Actor) -> None:
    option = actor.random.choice((17, 77, 59, 31))  # SO_PEERCRED, _PEERPIDFD, _PEERGROUPS, _PEERSEC
    answer = bytearray(16)
    if actor.call("getsockopt", actor.descriptor("socket"), SOL_SOCKET, option, answer, bytearray(b"\x10\0\0\0")) == 0:
        if option == 77:
            actor.keep(int.from_bytes(answer[:4], "little"), "pidfd")


def shut_down(actor: Actor) -> None:
    actor.call("shutdown", actor.descriptor("socket"), actor.random.randrange(3))


def connect(actor: Actor) -> None:
    name = actor.random.choice((address(actor), struct.pack("<HQ", 0, 0)))
    actor.call("connect", actor.descriptor("socket"), name, len(name))


def remove_name(actor: Actor) -> None:
    actor.call("unlink", "/t/s0")


def batch(actor: Actor) -> None:
    actor.call_any(actor.random.choice(("sendmmsg", "recvmmsg", "getsockname", "getpeername")))


def look(actor: Actor) -> None:
    descriptor = actor.open("/proc/net/unix", 0)
    if descriptor >= 0:
        actor.call("read", descriptor, bytearray(300), 300)


KIND: Final = Kind(
    "rights",
    (make_pair, make_pair, make_named, make_named, accept, send_message, send_message, send_message, receive_message,
     receive_message, receive_message, send, receive, receive, set_option, peer, shut_down, connect, remove_name, batch,
     look, Actor.close_one),
    prepare,
)  # fmt: skip
