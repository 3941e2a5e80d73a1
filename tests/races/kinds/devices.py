"""Devices that all share: the kernel's log, loop devices over files, random numbers, memory."""

from __future__ import annotations

from typing import Final

from tests.races.actor import Actor
from tests.races.kinds.kind import Kind

NONBLOCK: Final = 0o4000
BACKING: Final = ("/t/image0", "/t/image1")
LOOPS: Final = ("/dev/loop0", "/dev/loop1")
# LOOP_SET_FD, _CLR_FD, _SET_STATUS64, _GET_STATUS64, _CHANGE_FD, _SET_CAPACITY, _SET_DIRECT_IO, _SET_BLOCK_SIZE
LOOP_COMMANDS: Final = (0x4C00, 0x4C00, 0x4C01, 0x4C04, 0x4C05, 0x4C06, 0x4C07, 0x4C08, 0x4C09)
BLOCK_COMMANDS: Final = (0x1260, 0x1261, 0x125D, 0x125F, 0x80081272, 0x1277)


def prepare(actor: Actor) -> None:
    for each in BACKING:
        descriptor = actor.call("open", each, 0o102, 0o644)
        actor.call("ftruncate", descriptor, 1 << 16)
        actor.call("close", descriptor)
    actor.stage.paths += (*BACKING, *LOOPS, "/dev/kmsg", "/dev/null", "/dev/zero", "/dev/full")


def open_log(actor: Actor) -> None:
    path = actor.random.choice(("/dev/kmsg", "/dev/kmsg", "/proc/kmsg"))
    actor.open(path, (2 if path == "/dev/kmsg" else 0) | NONBLOCK, "log")


def read_log(actor: Actor) -> None:
    size = actor.random.choice((20, 300, 2000))
    actor.call("read", actor.descriptor("log"), bytearray(size), size)


def write_log(actor: Actor) -> None:
    text = b"<6>race " + b"x" * actor.random.choice((1, 80, 900))
    actor.call("write", actor.descriptor("log"), text, len(text))


def seek_log(actor: Actor) -> None:
    actor.call("lseek", actor.descriptor("log"), 0, actor.random.choice((0, 2, 3)))


def ask_log(actor: Actor) -> None:
    size = actor.random.choice((10, 500))
    actor.call("syslog", actor.random.choice((2, 3, 3, 4, 5, 9, 10)), bytearray(size), size)


def open_backing(actor: Actor) -> None:
    actor.open(actor.random.choice(BACKING), 2, "backing")


def open_loop(actor: Actor) -> None:
    actor.open(actor.random.choice(LOOPS), actor.random.choice((0, 2, 2, 0o40002)), "loop")


def command_loop(actor: Actor) -> None:
    which = actor.random.choice(LOOP_COMMANDS)
    if which in (0x4C00, 0x4C06):
        argument = actor.descriptor("backing")
    elif which in (0x4C04, 0x4C05):
        argument = actor.arguments.place(232)
    else:
        argument = actor.random.choice((0, 1, 512, 4096))
    actor.call("ioctl", actor.descriptor("loop"), which, argument)


def command_block(actor: Actor) -> None:
    actor.call("ioctl", actor.descriptor("loop"), actor.random.choice(BLOCK_COMMANDS), bytearray(16))


def control_loops(actor: Actor) -> None:
    descriptor = actor.call("open", "/dev/loop-control", 2, 0)
    if descriptor >= 0:
        actor.call(
            "ioctl", descriptor, actor.random.choice((0x4C80, 0x4C81, 0x4C82, 0x4C82)), actor.random.choice((1, 2))
        )
        actor.call("close", descriptor)


def transfer(actor: Actor) -> None:
    descriptor = actor.descriptor(actor.random.choice(("loop", "loop", "backing")))
    size, offset = actor.random.choice((512, 4096, 9000)), actor.random.choice((0, 512, 4096, 1 << 16))
    if actor.decides(0.5):
        actor.call("pwrite64", descriptor, bytes(size), size, offset)
    else:
        actor.call("pread64", descriptor, bytearray(size), size, offset)


def synchronise(actor: Actor) -> None:
    actor.call("fsync", actor.descriptor("loop"))


def cut(actor: Actor) -> None:
    actor.call("truncate", actor.random.choice(BACKING), actor.random.choice((0, 4096, 1 << 16)))


def mount(actor: Actor) -> None:
    actor.call("mount", actor.random.choice(LOOPS), "/t", actor.random.choice(("ext2", "ext4")), 0, None)


def use_others(actor: Actor) -> None:
    descriptor = actor.open(f"/dev/{actor.random.choice(('null', 'zero', 'full', 'urandom', 'random', 'mem'))}", 2)
    if descriptor >= 0:
        actor.call(actor.random.choice(("read", "write")), descriptor, bytearray(700), 700)


KIND: Final = Kind(
    "devices",
    (open_log, read_log, read_log, write_log, seek_log, ask_log, open_backing, open_loop, open_loop, command_loop,
     command_loop, command_block, control_loops, transfer, transfer, transfer, synchronise, cut, mount, use_others,
     Actor.close_one),
    prepare,
)  # fmt: skip
