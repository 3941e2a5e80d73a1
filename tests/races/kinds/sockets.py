"""TCP, UDP, raw, packet and netlink sockets over loopback: connected, used, disconnected and shut down by all."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.kinds.kind import Kind
from tests.races.worker import Worker

NONBLOCK: Final = 0o4000
DONT_WAIT: Final = 0x40
OOB, PEEK, MORE = 1, 2, 0x8000
PORTS: Final = (7001, 7002)
TCP_OPTIONS: Final = (1, 2, 3, 8, 9, 12, 18, 20, 23, 25, 36)
SOCKET_OPTIONS: Final = (2, 7, 8, 9, 10, 13, 15, 18, 46, 60)


def name(worker: Worker) -> bytes:
    return struct.pack("<H", 2) + worker.random.choice(PORTS).to_bytes(2, "big") + bytes((127, 0, 0, 1)) + bytes(8)


def prepare(worker: Worker) -> None:
    """Let lo be up."""
    descriptor = worker.call("socket", 2, 2, 0)
    worker.call("ioctl", descriptor, 0x8914, b"lo".ljust(16, b"\0") + struct.pack("<H22x", 0x41))
    worker.call("close", descriptor)
    listen(worker)


def listen(worker: Worker) -> None:
    descriptor = worker.keep(worker.call("socket", 2, 1 | NONBLOCK, 0), "socket")
    worker.call("setsockopt", descriptor, 1, 2, struct.pack("<i", 1), 4)
    worker.call("bind", descriptor, name(worker), 16)
    worker.call("listen", descriptor, 4)


def make_connection(worker: Worker) -> None:
    descriptor = worker.keep(worker.call("socket", 2, 1 | NONBLOCK, 0), "socket")
    worker.call("connect", descriptor, name(worker), 16)


def make_datagram(worker: Worker) -> None:
    descriptor = worker.keep(worker.call("socket", 2, 2 | NONBLOCK, 0), "socket")
    worker.call(worker.random.choice(("bind", "connect")), descriptor, name(worker), 16)


def make_other(worker: Worker) -> None:
    family, sort, protocol = worker.random.choice(((2, 3, 1), (2, 2, 1), (17, 3, 0x300), (16, 3, 0), (16, 3, 15),
                                                  (16, 3, 16), (10, 2, 0), (40, 1, 0)))  # fmt: skip
    worker.keep(worker.call("socket", family, sort | NONBLOCK, protocol), "socket")


def accept(worker: Worker) -> None:
    worker.keep(worker.call("accept4", worker.descriptor("socket"), 0, 0, NONBLOCK), "socket")


def reconnect(worker: Worker) -> None:
    """AF_UNSPEC, which ends a connection, or another one."""
    target = worker.random.choice((struct.pack("<H14x", 0), struct.pack("<H14x", 0), name(worker)))
    worker.call("connect", worker.descriptor("socket"), target, 16)


def send(worker: Worker) -> None:
    size = worker.random.choice((1, 100, 3000, 20_000))
    flags = DONT_WAIT | 0x4000 | worker.random.choice((0, 0, OOB, MORE))
    target = name(worker) if worker.decides(0.3) else None
    worker.call("sendto", worker.descriptor("socket"), bytes(size), size, flags, target, 16 if target else 0)


def receive(worker: Worker) -> None:
    size = worker.random.choice((1, 100, 3000, 20_000))
    flags = DONT_WAIT | worker.random.choice((0, 0, PEEK, OOB, 0x20, 0x2000))
    worker.call("recvfrom", worker.descriptor("socket"), bytearray(size), size, flags, 0, 0)


def shut_down(worker: Worker) -> None:
    worker.call("shutdown", worker.descriptor("socket"), worker.random.randrange(3))


def set_option(worker: Worker) -> None:
    level, option = worker.random.choice(
        [(1, each) for each in SOCKET_OPTIONS] + [(6, each) for each in TCP_OPTIONS] + [(17, 1), (0, 11)]
    )
    value = struct.pack("<ii", worker.random.choice((0, 1, 1, 2000)), 0)
    worker.call("setsockopt", worker.descriptor("socket"), level, option, value, worker.random.choice((4, 8)))


def get_option(worker: Worker) -> None:
    level, option = worker.random.choice(((6, 11), (1, 3), (1, 4), (6, 13)))
    worker.call("getsockopt", worker.descriptor("socket"), level, option, bytearray(200), bytearray(b"\xc8\0\0\0"))


def move_data(worker: Worker) -> None:
    worker.call_any(worker.random.choice(("sendmmsg", "recvmmsg", "sendmsg", "recvmsg", "sendfile", "ioctl", "writev")))


def look(worker: Worker) -> None:
    table = worker.random.choice(("tcp", "udp", "raw", "packet", "netlink", "sockstat", "dev", "snmp", "route"))
    descriptor = worker.open(f"/proc/net/{table}", 0)
    if descriptor >= 0:
        worker.call("read", descriptor, bytearray(300), 300)


KIND: Final = Kind(
    "sockets",
    (listen, make_connection, make_connection, make_datagram, make_other, accept, accept, reconnect, send, send, send,
     receive, receive, receive, shut_down, set_option, get_option, move_data, look, Worker.close_one),
    prepare,
)  # fmt: skip
