"""TCP, UDP, raw, packet and netlink sockets over loopback: connected, used, disconnected and shut down by all."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.actor import Actor
from tests.races.kinds.kind import Kind

NONBLOCK: Final = 0o4000
DONT_WAIT: Final = 0x40
OOB, PEEK, MORE = 1, 2, 0x8000
PORTS: Final = (7001, 7002)
TCP_OPTIONS: Final = (1, 2, 3, 8, 9, 12, 18, 20, 23, 25, 36)
SOCKET_OPTIONS: Final = (2, 7, 8, 9, 10, 13, 15, 18, 46, 60)


def name(actor: Actor) -> bytes:
    return struct.pack("<H", 2) + actor.random.choice(PORTS).to_bytes(2, "big") + bytes((127, 0, 0, 1)) + bytes(8)


def prepare(actor: Actor) -> None:
    """Let lo be up."""
    descriptor = actor.call("socket", 2, 2, 0)
    actor.call("ioctl", descriptor, 0x8914, b"lo".ljust(16, b"\0") + struct.pack("<H22x", 0x41))
    actor.call("close", descriptor)
    listen(actor)


def listen(actor: Actor) -> None:
    descriptor = actor.keep(actor.call("socket", 2, 1 | NONBLOCK, 0), "socket")
    actor.call("setsockopt", descriptor, 1, 2, struct.pack("<i", 1), 4)
    actor.call("bind", descriptor, name(actor), 16)
    actor.call("listen", descriptor, 4)


def make_connection(actor: Actor) -> None:
    descriptor = actor.keep(actor.call("socket", 2, 1 | NONBLOCK, 0), "socket")
    actor.call("connect", descriptor, name(actor), 16)


def make_datagram(actor: Actor) -> None:
    descriptor = actor.keep(actor.call("socket", 2, 2 | NONBLOCK, 0), "socket")
    actor.call(actor.random.choice(("bind", "connect")), descriptor, name(actor), 16)


def make_other(actor: Actor) -> None:
    family, sort, protocol = actor.random.choice(((2, 3, 1), (2, 2, 1), (17, 3, 0x300), (16, 3, 0), (16, 3, 15),
                                                  (16, 3, 16), (10, 2, 0), (40, 1, 0)))  # fmt: skip
    actor.keep(actor.call("socket", family, sort | NONBLOCK, protocol), "socket")


def accept(actor: Actor) -> None:
    actor.keep(actor.call("accept4", actor.descriptor("socket"), 0, 0, NONBLOCK), "socket")


def reconnect(actor: Actor) -> None:
    """AF_UNSPEC, which ends a connection, or another one."""
    target = actor.random.choice((struct.pack("<H14x", 0), struct.pack("<H14x", 0), name(actor)))
    actor.call("connect", actor.descriptor("socket"), target, 16)


def send(actor: Actor) -> None:
    size = actor.random.choice((1, 100, 3000, 20_000))
    flags = DONT_WAIT | 0x4000 | actor.random.choice((0, 0, OOB, MORE))
    target = name(actor) if actor.decides(0.3) else None
    actor.call("sendto", actor.descriptor("socket"), bytes(size), size, flags, target, 16 if target else 0)


def receive(actor: Actor) -> None:
    size = actor.random.choice((1, 100, 3000, 20_000))
    flags = DONT_WAIT | actor.random.choice((0, 0, PEEK, OOB, 0x20, 0x2000))
    actor.call("recvfrom", actor.descriptor("socket"), bytearray(size), size, flags, 0, 0)


def shut_down(actor: Actor) -> None:
    actor.call("shutdown", actor.descriptor("socket"), actor.random.randrange(3))


def set_option(actor: Actor) -> None:
    level, option = actor.random.choice(
        [(1, each) for each in SOCKET_OPTIONS] + [(6, each) for each in TCP_OPTIONS] + [(17, 1), (0, 11)]
    )
    value = struct.pack("<ii", actor.random.choice((0, 1, 1, 2000)), 0)
    actor.call("setsockopt", actor.descriptor("socket"), level, option, value, actor.random.choice((4, 8)))


def get_option(actor: Actor) -> None:
    level, option = actor.random.choice(((6, 11), (1, 3), (1, 4), (6, 13)))
    actor.call("getsockopt", actor.descriptor("socket"), level, option, bytearray(200), bytearray(b"\xc8\0\0\0"))


def move_data(actor: Actor) -> None:
    actor.call_any(actor.random.choice(("sendmmsg", "recvmmsg", "sendmsg", "recvmsg", "sendfile", "ioctl", "writev")))


def look(actor: Actor) -> None:
    table = actor.random.choice(("tcp", "udp", "raw", "packet", "netlink", "sockstat", "dev", "snmp", "route"))
    descriptor = actor.open(f"/proc/net/{table}", 0)
    if descriptor >= 0:
        actor.call("read", descriptor, bytearray(300), 300)


KIND: Final = Kind(
    "sockets",
    (listen, make_connection, make_connection, make_datagram, make_other, accept, accept, reconnect, send, send, send,
     receive, receive, receive, shut_down, set_option, get_option, move_data, look, Actor.close_one),
    prepare,
)  # fmt: skip
