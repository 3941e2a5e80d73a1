"""Unix sockets, and the descriptors and credentials that travel through them."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.kinds.kind import Kind
from tests.races.worker import Worker

NONBLOCK: Final = 0o4000
DONT_WAIT: Final = 0x40
OOB: Final = 1
PEEK: Final = 2
NAMES: Final = (b"\0a", b"\0b", b"/t/s0")
SOL_SOCKET: Final = 1


def address(worker: Worker) -> bytes:
    return struct.pack("<H", 1) + worker.random.choice(NAMES)


def prepare(worker: Worker) -> None:
    make_pair(worker)


def make_pair(worker: Worker) -> None:
    ends = bytearray(8)
    if worker.call("socketpair", 1, worker.random.choice((1, 1, 2, 5)) | NONBLOCK, 0, ends) >= 0:
        worker.keep_pair(ends, "socket")


def make_named(worker: Worker) -> None:
    descriptor = worker.keep(worker.call("socket", 1, worker.random.choice((1, 2, 5)) | NONBLOCK, 0), "socket")
    name = address(worker)
    if worker.decides(0.5):
        worker.call("bind", descriptor, name, len(name))
        worker.call("listen", descriptor, worker.random.choice((0, 2)))
    else:
        worker.call("connect", descriptor, name, len(name))


def accept(worker: Worker) -> None:
    worker.keep(worker.call("accept4", worker.descriptor("socket"), 0, 0, NONBLOCK), "socket")


def send_message(worker: Worker) -> None:
    """Bytes with 0 to 3 descriptors, sometimes several messages at once."""
    chance = worker.random
    count = chance.choice((0, 1, 1, 2, 3))
    rights = struct.pack("<Qii", 16 + 4 * count, SOL_SOCKET, 1)
    rights += b"".join(struct.pack("<i", worker.descriptor(chance.choice(("", "socket")))) for _ in range(count))
    at = worker.arguments.place(512)
    size = chance.choice((1, 20, 200))
    worker.store(at + 64, rights)
    worker.store(at + 128, struct.pack("<QQ", at + 256, size))
    control = (at + 64, len(rights)) if count else (0, 0)
    worker.store(at, struct.pack("<QQQQQQQ", 0, 0, at + 128, 1, *control, 0))
    worker.call("sendmsg", worker.descriptor("socket"), at, DONT_WAIT | 0x4000 | chance.choice((0, 0, OOB)))


def receive_message(worker: Worker) -> None:
    chance = worker.random
    at = worker.arguments.place(512)
    size = chance.choice((1, 20, 200))
    worker.store(at + 128, struct.pack("<QQ", at + 256, size))
    worker.store(at, struct.pack("<QQQQQQQ", 0, 0, at + 128, 1, at + 64, chance.choice((0, 20, 32, 64)), 0))
    flags = DONT_WAIT | chance.choice((0, 0, PEEK, OOB, OOB | PEEK, 0x40000000))
    if worker.call("recvmsg", worker.descriptor("socket"), at, flags) < 0:
        return
    header = worker.load(at, 56)
    (length,) = struct.unpack_from("<Q", header, 40)
    if length >= 20:
        data = worker.load(at + 64, min(length, 64))
        if struct.unpack_from("<ii", data, 8) == (SOL_SOCKET, 1):
            for place in range(16, len(data) - 3, 4):
                (descriptor,) = struct.unpack_from("<i", data, place)
                if descriptor > 2:
                    worker.keep(descriptor, "any")


def send(worker: Worker) -> None:
    size = worker.random.choice((1, 1, 100, 5000))
    flags = DONT_WAIT | 0x4000 | worker.random.choice((0, 0, OOB))
    worker.call("sendto", worker.descriptor("socket"), bytes(size), size, flags, 0, 0)


def receive(worker: Worker) -> None:
    size = worker.random.choice((1, 100, 5000))
    flags = DONT_WAIT | worker.random.choice((0, 0, PEEK, OOB, OOB, OOB | PEEK))
    worker.call("recvfrom", worker.descriptor("socket"), bytearray(size), size, flags, 0, 0)


def set_option(worker: Worker) -> None:
    option = worker.random.choice((16, 76, 10, 7, 8, 42, 34))  # SO_PASSCRED, _PASSPIDFD, _OOBINLINE, sizes, _PEEK_OFF
    worker.call("setsockopt", worker.descriptor("socket"), SOL_SOCKET, option,
               struct.pack("<i", worker.random.choice((0, 1, 3000))), 4)  # fmt: skip


def peer(worker: Worker) -> None:
    option = worker.random.choice((17, 77, 59, 31))  # SO_PEERCRED, _PEERPIDFD, _PEERGROUPS, _PEERSEC
    answer = bytearray(16)
    descriptor = worker.descriptor("socket")
    if worker.call("getsockopt", descriptor, SOL_SOCKET, option, answer, bytearray(b"\x10\0\0\0")) == 0:
        if option == 77:
            worker.keep(int.from_bytes(answer[:4], "little"), "pidfd")


def shut_down(worker: Worker) -> None:
    worker.call("shutdown", worker.descriptor("socket"), worker.random.randrange(3))


def connect(worker: Worker) -> None:
    name = worker.random.choice((address(worker), struct.pack("<HQ", 0, 0)))
    worker.call("connect", worker.descriptor("socket"), name, len(name))


def remove_name(worker: Worker) -> None:
    worker.call("unlink", "/t/s0")


def batch(worker: Worker) -> None:
    worker.call_any(worker.random.choice(("sendmmsg", "recvmmsg", "getsockname", "getpeername")))


def look(worker: Worker) -> None:
    descriptor = worker.open("/proc/net/unix", 0)
    if descriptor >= 0:
        worker.call("read", descriptor, bytearray(300), 300)


KIND: Final = Kind(
    "rights",
    (make_pair, make_pair, make_named, make_named, accept, send_message, send_message, send_message, receive_message,
     receive_message, receive_message, send, receive, receive, set_option, peer, shut_down, connect, remove_name, batch,
     look, Worker.close_one),
    prepare,
)  # fmt: skip
