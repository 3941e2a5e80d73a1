"""Devices that all share: the kernel's log, loop devices over files, random numbers, memory."""

from __future__ import annotations

from typing import Final

from tests.races.kinds.kind import Kind
from tests.races.worker import Worker

NONBLOCK: Final = 0o4000
BACKING: Final = ("/t/image0", "/t/image1")
LOOPS: Final = ("/dev/loop0", "/dev/loop1")
# LOOP_SET_FD, _CLR_FD, _SET_STATUS64, _GET_STATUS64, _CHANGE_FD, _SET_CAPACITY, _SET_DIRECT_IO, _SET_BLOCK_SIZE
LOOP_COMMANDS: Final = (0x4C00, 0x4C00, 0x4C01, 0x4C04, 0x4C05, 0x4C06, 0x4C07, 0x4C08, 0x4C09)
BLOCK_COMMANDS: Final = (0x1260, 0x1261, 0x125D, 0x125F, 0x80081272, 0x1277)


def prepare(worker: Worker) -> None:
    for each in BACKING:
        descriptor = worker.call("open", each, 0o102, 0o644)
        worker.call("ftruncate", descriptor, 1 << 16)
        worker.call("close", descriptor)
    worker.shared.paths += (*BACKING, *LOOPS, "/dev/kmsg", "/dev/null", "/dev/zero", "/dev/full")


def open_log(worker: Worker) -> None:
    path = worker.random.choice(("/dev/kmsg", "/dev/kmsg", "/proc/kmsg"))
    worker.open(path, (2 if path == "/dev/kmsg" else 0) | NONBLOCK, "log")


def read_log(worker: Worker) -> None:
    size = worker.random.choice((20, 300, 2000))
    worker.call("read", worker.descriptor("log"), bytearray(size), size)


def write_log(worker: Worker) -> None:
    text = b"<6>race " + b"x" * worker.random.choice((1, 80, 900))
    worker.call("write", worker.descriptor("log"), text, len(text))


def seek_log(worker: Worker) -> None:
    worker.call("lseek", worker.descriptor("log"), 0, worker.random.choice((0, 2, 3)))


def ask_log(worker: Worker) -> None:
    size = worker.random.choice((10, 500))
    worker.call("syslog", worker.random.choice((2, 3, 3, 4, 5, 9, 10)), bytearray(size), size)


def open_backing(worker: Worker) -> None:
    worker.open(worker.random.choice(BACKING), 2, "backing")


def open_loop(worker: Worker) -> None:
    worker.open(worker.random.choice(LOOPS), worker.random.choice((0, 2, 2, 0o40002)), "loop")


def command_loop(worker: Worker) -> None:
    which = worker.random.choice(LOOP_COMMANDS)
    if which in (0x4C00, 0x4C06):
        argument = worker.descriptor("backing")
    elif which in (0x4C04, 0x4C05):
        argument = worker.arguments.place(232)
    else:
        argument = worker.random.choice((0, 1, 512, 4096))
    worker.call("ioctl", worker.descriptor("loop"), which, argument)


def command_block(worker: Worker) -> None:
    worker.call("ioctl", worker.descriptor("loop"), worker.random.choice(BLOCK_COMMANDS), bytearray(16))


def control_loops(worker: Worker) -> None:
    descriptor = worker.call("open", "/dev/loop-control", 2, 0)
    if descriptor >= 0:
        worker.call(
            "ioctl", descriptor, worker.random.choice((0x4C80, 0x4C81, 0x4C82, 0x4C82)), worker.random.choice((1, 2))
        )
        worker.call("close", descriptor)


def transfer(worker: Worker) -> None:
    descriptor = worker.descriptor(worker.random.choice(("loop", "loop", "backing")))
    size, offset = worker.random.choice((512, 4096, 9000)), worker.random.choice((0, 512, 4096, 1 << 16))
    if worker.decides(0.5):
        worker.call("pwrite64", descriptor, bytes(size), size, offset)
    else:
        worker.call("pread64", descriptor, bytearray(size), size, offset)


def synchronise(worker: Worker) -> None:
    worker.call("fsync", worker.descriptor("loop"))


def cut(worker: Worker) -> None:
    worker.call("truncate", worker.random.choice(BACKING), worker.random.choice((0, 4096, 1 << 16)))


def mount(worker: Worker) -> None:
    worker.call("mount", worker.random.choice(LOOPS), "/t", worker.random.choice(("ext2", "ext4")), 0, None)


def use_others(worker: Worker) -> None:
    descriptor = worker.open(f"/dev/{worker.random.choice(('null', 'zero', 'full', 'urandom', 'random', 'mem'))}", 2)
    if descriptor >= 0:
        worker.call(worker.random.choice(("read", "write")), descriptor, bytearray(700), 700)


KIND: Final = Kind(
    "devices",
    (open_log, read_log, read_log, write_log, seek_log, ask_log, open_backing, open_loop, open_loop, command_loop,
     command_loop, command_block, control_loops, transfer, transfer, transfer, synchronise, cut, mount, use_others,
     Worker.close_one),
    prepare,
)  # fmt: skip
