"""A file system that one of the programs serves, as others use it: it answers late, wrongly or not at all."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.kinds.kind import Kind
from tests.races.worker import Worker

PLACE: Final = "/t/fuse"
NAMES: Final = tuple(f"{PLACE}/{each}" for each in ("a", "b", "d/c", "d"))
NONBLOCK: Final = 0o4000
READ_BYTES: Final = 8192
SERVED: Final = 100  # requests, or looks for one
LOOKUP, FORGET, GETATTR, SETATTR, MKNOD, MKDIR, OPEN, READ, WRITE, INIT, OPENDIR, READDIR, CREATE, BATCH_FORGET = (
    1, 2, 3, 4, 8, 9, 14, 15, 16, 26, 27, 28, 35, 42,
)  # fmt: skip
DIRECTORY: Final = 1
NO_ENTRY, IO_ERROR, NOT_SERVED = -2, -5, -38


def prepare(worker: Worker) -> None:
    worker.call("mkdir", PLACE, 0o755)
    worker.shared.paths += NAMES
    mount(worker)


def mount(worker: Worker) -> None:
    """A server of its own for each."""
    channel = worker.call("open", "/dev/fuse", 2 | NONBLOCK, 0)
    if channel < 0:
        return
    options = f"fd={channel},rootmode=40000,user_id=0,group_id=0{worker.random.choice(('', ',allow_other'))}"
    if worker.call("mount", "fuse", PLACE, "fuse", 0, options) >= 0 and worker.depth < 4:
        worker.fork(lambda server: serve(server, channel))
    worker.keep(channel, "fuse")


def unmount(worker: Worker) -> None:
    worker.call("umount2", PLACE, worker.random.choice((0, 1, 2)))


def serve(server: Worker, channel: int) -> None:
    for _ in range(SERVED):
        found = serve_one(server, channel)
        if found == -19:  # ENODEV: it was unmounted
            return
        if found < 0:
            server.call("poll", bytearray(struct.pack("<ihh", channel, 1, 0)), 1, 50)


def serve_one(server: Worker, channel: int) -> int:
    """Answer a request, if there is one."""
    request = bytearray(READ_BYTES)
    count = server.call("read", channel, request, len(request))
    if count >= 40:
        _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
        if opcode not in (FORGET, BATCH_FORGET) and not server.decides(0.03):
            error, body = answer(server, opcode, node, bytes(request[40:count]))
            data = struct.pack("<IiQ", 16 + len(body), error, unique) + body
            server.call("write", channel, data, len(data))
    return count


def answer(server: Worker, opcode: int, node: int, body: bytes) -> tuple[int, bytes]:
    """The right answer, mostly."""
    chance = server.random
    if opcode != INIT and chance.random() < 0.1:
        return chance.choice((NO_ENTRY, IO_ERROR, NOT_SERVED, -4)), b""
    if opcode == INIT:
        return 0, struct.pack(
            "<IIIIHHIIHHI28x", 7, 31, 65536, chance.choice((0, 0x2001, 0x6402)), 16, 12, 65536, 1, 0, 0, 0
        )
    if opcode in (LOOKUP, MKNOD, MKDIR, CREATE):
        which = DIRECTORY + chance.randrange(1, 5)
        entry = struct.pack("<QQQQII", which, 1, chance.choice((0, 1)), chance.choice((0, 1)), 0, 0) + attributes(which)
        return 0, entry + (struct.pack("<QII", which, chance.choice((0, 1, 2)), 0) if opcode == CREATE else b"")
    if opcode in (GETATTR, SETATTR):
        return 0, struct.pack("<QII", chance.choice((0, 1)), 0, 0) + attributes(node)
    if opcode in (OPEN, OPENDIR):
        return 0, struct.pack("<QII", node, chance.choice((0, 1, 2, 4)), 0)
    if opcode == READ:
        return 0, bytes(min(struct.unpack_from("<QQI", body)[2], chance.choice((0, 100, 8000))))
    if opcode == WRITE:
        return 0, struct.pack("<II", struct.unpack_from("<QQI", body)[2], 0)
    if opcode == READDIR:
        offset = struct.unpack_from("<QQ", body)[1]
        return 0, struct.pack("<QQII", 2, 1, 1, 8) + b"a".ljust(8, b"\0") if offset == 0 else b""
    return chance.choice((0, NOT_SERVED)), b""


def attributes(node: int) -> bytes:
    """struct fuse_attr: the even ones and the root are directories."""
    mode = 0o40755 if node == DIRECTORY or node % 2 == 0 else 0o100644
    return struct.pack("<QQQQQQIIIIIIIIII", node, 5000, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def notify(worker: Worker) -> None:
    """What a server sends by itself."""
    chance = worker.random
    node = chance.randrange(1, 6)
    code, body = chance.choice((
        (2, struct.pack("<Qqq", node, chance.choice((-1, 0, 4096)), 0)),
        (3, struct.pack("<QII", 1, 1, 0) + b"a\0"),
        (4, struct.pack("<QQII", node, 0, 100, 0) + bytes(100)),
        (5, struct.pack("<QQQII", 7, node, 0, 4096, 0)),
        (6, struct.pack("<QQII", 1, node, 1, 0) + b"a\0"),
        (1, struct.pack("<Q", 1)),
    ))  # fmt: skip
    data = struct.pack("<IiQ", 16 + len(body), code, 0) + body
    worker.call("write", worker.descriptor("fuse"), data, len(data))


def serve_along(worker: Worker) -> None:
    """A second server of the same channel."""
    serve_one(worker, worker.descriptor("fuse"))


def open_file(worker: Worker) -> None:
    worker.open(worker.random.choice(NAMES), worker.random.choice((0, 1, 2, 0o102, 0o1102, 0o40002)))


def use(worker: Worker) -> None:
    names = ("read", "write", "pread64", "pwrite64", "fsync", "ftruncate", "fstat", "mmap", "getdents64", "lseek",
             "poll", "fcntl", "flock", "copy_file_range", "fallocate")  # fmt: skip
    worker.call_any(worker.random.choice(names))


def use_names(worker: Worker) -> None:
    names = ("stat", "access", "truncate", "chmod", "readlink", "getxattr", "rename", "unlink", "mkdir", "rmdir",
             "link", "statfs", "chdir")  # fmt: skip
    worker.call_any(worker.random.choice(names))


KIND: Final = Kind(
    "fuse",
    (open_file, open_file, use, use, use, use_names, use_names, notify, serve_along, mount, unmount, Worker.close_one),
    prepare,
)  # fmt: skip
