"""Pseudo terminals: opened at both ends, used, hung up, controlled and closed by all."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.kinds.kind import Kind
from tests.races.worker import Worker

PLACES: Final = ("/t/pts", "/t/pts2")
NONBLOCK: Final = 0o4000
NO_CONTROL: Final = 0o400
COMMANDS: Final = (0x540E, 0x540F, 0x5410, 0x5422, 0x5413, 0x5414, 0x540B, 0x540A, 0x5409, 0x541B, 0x5411, 0x5420,
                   0x5423, 0x5429, 0x5437, 0x540C, 0x540D, 0x80045439)  # fmt: skip


def prepare(worker: Worker) -> None:
    for each in PLACES:
        worker.call("mkdir", each, 0o755)
    mount(worker)
    worker.shared.paths += (*PLACES, "/t/pts/0", "/t/pts/ptmx")


def mount(worker: Worker) -> None:
    worker.call("mount", "pts", "/t/pts", "devpts", 0, "ptmxmode=666")


def mount_elsewhere(worker: Worker) -> None:
    worker.call("mount", "/t/pts", "/t/pts2", None, 0x1000, None)


def unmount(worker: Worker) -> None:
    worker.call("umount2", worker.random.choice((*PLACES, PLACES[0])), worker.random.choice((0, 2, 2)))
    if worker.decides(0.7):
        mount(worker)


def open_pair(worker: Worker) -> None:
    master = worker.open("/t/pts/ptmx", 2 | NONBLOCK | worker.random.choice((0, NO_CONTROL)), "terminal")
    if master < 0:
        return
    number = bytearray(4)
    worker.call("ioctl", master, 0x40045431, bytearray(4))
    if worker.call("ioctl", master, 0x80045430, number) == 0:
        path = f"{worker.random.choice(PLACES)}/{int.from_bytes(number, 'little')}"
        worker.open(path, 2 | NONBLOCK | worker.random.choice((0, NO_CONTROL)), "terminal")


def open_slave(worker: Worker) -> None:
    path = f"{worker.random.choice(PLACES)}/{worker.random.randrange(3)}"
    worker.open(path, 2 | NONBLOCK | worker.random.choice((0, NO_CONTROL)), "terminal")


def open_peer(worker: Worker) -> None:
    worker.keep(worker.call("ioctl", worker.descriptor("terminal"), 0x5441, 2 | NONBLOCK), "terminal")


def open_own(worker: Worker) -> None:
    worker.open("/dev/tty", 2 | NONBLOCK, "terminal")


def write(worker: Worker) -> None:
    data = worker.random.choice((b"a\n", b"\x03\x1a", b"x" * 300 + b"\n", b"\x04", b"\xff\x15\x7f" * 50))
    worker.call("write", worker.descriptor("terminal"), data, len(data))


def read(worker: Worker) -> None:
    size = worker.random.choice((1, 50, 500))
    worker.call("read", worker.descriptor("terminal"), bytearray(size), size)


def command(worker: Worker) -> None:
    data = bytearray(struct.pack("<i", worker.random.choice((0, 1, worker.resource("pid"))))).ljust(64, b"\0")
    worker.call("ioctl", worker.descriptor("terminal"), worker.random.choice(COMMANDS), data)


def change_mode(worker: Worker) -> None:
    mode = bytearray(36)
    descriptor = worker.descriptor("terminal")
    if worker.call("ioctl", descriptor, 0x5401, mode) == 0:
        flags = list(struct.unpack_from("<IIII", mode))
        flags[3] ^= worker.random.choice((2, 8, 1, 0x8000, 0x100))
        mode[:16] = struct.pack("<IIII", *flags)
        worker.call("ioctl", descriptor, worker.random.choice((0x5402, 0x5403, 0x5404)), mode)


def lead_session(worker: Worker) -> None:
    worker.call("setsid")


def hang_up(worker: Worker) -> None:
    if worker.decides(0.3):
        worker.call("vhangup")


def list_directory(worker: Worker) -> None:
    descriptor = worker.open(worker.random.choice(PLACES), 0o200000, "directory")
    if descriptor >= 0:
        worker.call("getdents64", descriptor, bytearray(300), 300)


KIND: Final = Kind(
    "terminals",
    (open_pair, open_pair, open_slave, open_slave, open_peer, open_own, write, write, read, read, command, command,
     change_mode, lead_session, hang_up, mount_elsewhere, unmount, list_directory, Worker.close_one, Worker.close_one),
    prepare,
)  # fmt: skip
