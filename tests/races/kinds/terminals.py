"""Pseudo terminals: opened at both ends, used, hung up, controlled and closed by all."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.actor import Actor
from tests.races.kinds.kind import Kind

PLACES: Final = ("/t/pts", "/t/pts2")
NONBLOCK: Final = 0o4000
NO_CONTROL: Final = 0o400
COMMANDS: Final = (0x540E, 0x540F, 0x5410, 0x5422, 0x5413, 0x5414, 0x540B, 0x540A, 0x5409, 0x541B, 0x5411, 0x5420,
                   0x5423, 0x5429, 0x5437, 0x540C, 0x540D, 0x80045439)  # fmt: skip


def prepare(actor: Actor) -> None:
    for each in PLACES:
        actor.call("mkdir", each, 0o755)
    mount(actor)
    actor.stage.paths += (*PLACES, "/t/pts/0", "/t/pts/ptmx")


def mount(actor: Actor) -> None:
    actor.call("mount", "pts", "/t/pts", "devpts", 0, "ptmxmode=666")


def mount_elsewhere(actor: Actor) -> None:
    actor.call("mount", "/t/pts", "/t/pts2", None, 0x1000, None)


def unmount(actor: Actor) -> None:
    actor.call("umount2", actor.random.choice((*PLACES, PLACES[0])), actor.random.choice((0, 2, 2)))
    if actor.decides(0.7):
        mount(actor)


def open_pair(actor: Actor) -> None:
    master = actor.open("/t/pts/ptmx", 2 | NONBLOCK | actor.random.choice((0, NO_CONTROL)), "terminal")
    if master < 0:
        return
    number = bytearray(4)
    actor.call("ioctl", master, 0x40045431, bytearray(4))
    if actor.call("ioctl", master, 0x80045430, number) == 0:
        path = f"{actor.random.choice(PLACES)}/{int.from_bytes(number, 'little')}"
        actor.open(path, 2 | NONBLOCK | actor.random.choice((0, NO_CONTROL)), "terminal")


def open_slave(actor: Actor) -> None:
    path = f"{actor.random.choice(PLACES)}/{actor.random.randrange(3)}"
    actor.open(path, 2 | NONBLOCK | actor.random.choice((0, NO_CONTROL)), "terminal")


def open_peer(actor: Actor) -> None:
    actor.keep(actor.call("ioctl", actor.descriptor("terminal"), 0x5441, 2 | NONBLOCK), "terminal")


def open_own(actor: Actor) -> None:
    actor.open("/dev/tty", 2 | NONBLOCK, "terminal")


def write(actor: Actor) -> None:
    data = actor.random.choice((b"a\n", b"\x03\x1a", b"x" * 300 + b"\n", b"\x04", b"\xff\x15\x7f" * 50))
    actor.call("write", actor.descriptor("terminal"), data, len(data))


def read(actor: Actor) -> None:
    size = actor.random.choice((1, 50, 500))
    actor.call("read", actor.descriptor("terminal"), bytearray(size), size)


def command(actor: Actor) -> None:
    data = bytearray(struct.pack("<i", actor.random.choice((0, 1, actor.resource("pid"))))).ljust(64, b"\0")
    actor.call("ioctl", actor.descriptor("terminal"), actor.random.choice(COMMANDS), data)


def change_mode(actor: Actor) -> None:
    mode = bytearray(36)
    descriptor = actor.descriptor("terminal")
    if actor.call("ioctl", descriptor, 0x5401, mode) == 0:
        flags = list(struct.unpack_from("<IIII", mode))
        flags[3] ^= actor.random.choice((2, 8, 1, 0x8000, 0x100))
        mode[:16] = struct.pack("<IIII", *flags)
        actor.call("ioctl", descriptor, actor.random.choice((0x5402, 0x5403, 0x5404)), mode)


def lead_session(actor: Actor) -> None:
    actor.call("setsid")


def hang_up(actor: Actor) -> None:
    if actor.decides(0.3):
        actor.call("vhangup")


def list_directory(actor: Actor) -> None:
    descriptor = actor.open(actor.random.choice(PLACES), 0o200000, "directory")
    if descriptor >= 0:
        actor.call("getdents64", descriptor, bytearray(300), 300)


KIND: Final = Kind(
    "terminals",
    (open_pair, open_pair, open_slave, open_slave, open_peer, open_own, write, write, read, read, command, command,
     change_mode, lead_session, hang_up, mount_elsewhere, unmount, list_directory, Actor.close_one, Actor.close_one),
    prepare,
)  # fmt: skip
