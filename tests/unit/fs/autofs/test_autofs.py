"""autofs on a booted machine: the host plays the automounter, and its children are the visitors."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.unit.booted import booted
from tests.unit.syscalls.test_files import names_in
from tools.simulated.machine import Machine
from tools.simulated.program import Program

HERE = "/auto"
READY = 0x9360
FAIL = 0x9361
CATATONIC = 0x9362
SET_TIMEOUT = 0xC0089364
EXPIRE = 0x810C9365
EXPIRE_MULTI = 0x40049366
IMMEDIATE = 1
LEAVES = 2
PACKET = struct.Struct("<iiIIQIIIII")
MOMENT = struct.pack("<qq", 0, 50_000_000)
SIGKILL = 9
O_DIRECTORY = 0o200000


@dataclass
class Packet:
    kind: int
    token: int
    process: int
    name: bytes


class Automounter:
    """The host, with a mount."""

    def __init__(self, machine: Machine, options: str) -> None:
        self.machine = machine
        self.host = machine.host
        ends = bytearray(8)
        self.host.pipe2(ends, 0)
        self.pipe, self.bell = struct.unpack("<ii", ends)
        self.host.mkdir(HERE, 0o755)
        self.host.mount("test", HERE, "autofs", 0, f"fd={self.bell},{options}")
        self.root = self.host.open(HERE, O_DIRECTORY, 0)

    def packet(self) -> Packet:
        data = bytearray(400)
        size = self.host.read(self.pipe, data, len(data))
        _, kind, token, _, _, _, _, process, _, length = PACKET.unpack_from(data)
        assert size == 304
        return Packet(kind, token, process, bytes(data[44 : 44 + length]))

    def packets_left(self) -> int:
        count = bytearray(4)
        self.host.ioctl(self.pipe, 0x541B, count)
        return int.from_bytes(count, "little") // 304

    def answer(self, packet: Packet, how: int = READY) -> None:
        self.host.ioctl(self.root, how, packet.token)

    def visit(self, call: Callable[[Program], object]) -> int:
        """A child of another group, whose status is the errno of its call."""

        def visitor(program: Program) -> int:
            program.setpgid(0, 0)
            try:
                call(program)
            except OSError as error:
                return error.errno or 255
            return 0

        return self.host.fork(visitor)

    def end(self, child: int) -> int:
        return os.waitstatus_to_exitcode(self.machine.wait(child))


def code(call: Callable[[], object]) -> int:
    with pytest.raises(OSError) as caught:
        call()
    assert caught.value.errno is not None
    return caught.value.errno


@booted
def test_a_missing_name_is_made_for_its_visitor(machine: Machine) -> None:
    daemon = Automounter(machine, "indirect")
    host = daemon.host
    child = daemon.visit(lambda program: program.open(f"{HERE}/one/file", 0, 0))
    packet = daemon.packet()
    assert (packet.kind, packet.process, packet.name) == (3, child, b"one")
    host.mkdir(f"{HERE}/one", 0o755)
    host.mount("x", f"{HERE}/one", "tmpfs", 0, None)
    host.close(host.open(f"{HERE}/one/file", 0o101, 0o644))
    daemon.answer(packet)
    assert daemon.end(child) == 0
    assert daemon.end(daemon.visit(lambda program: program.open(f"{HERE}/one/file", 0, 0))) == 0
    child = daemon.visit(lambda program: program.open(f"{HERE}/two", 0, 0))
    daemon.answer(daemon.packet(), FAIL)
    assert daemon.end(child) == errno.ENOENT
    assert daemon.packets_left() == 0
    assert set(names_in(host, HERE)) == {".", "..", "one"}


@booted
def test_an_empty_directory_stops_only_those_who_go_in(machine: Machine) -> None:
    daemon = Automounter(machine, "indirect")
    daemon.host.mkdir(f"{HERE}/one", 0o755)
    assert daemon.end(daemon.visit(lambda program: program.stat(f"{HERE}/one", bytearray(144)))) == 0
    assert daemon.packets_left() == 0
    for call in (
        lambda program: program.chdir(f"{HERE}/one"),
        lambda program: program.stat(f"{HERE}/one/", bytearray(144)),
        lambda program: program.stat(f"{HERE}/one/x", bytearray(144)),
        lambda program: program.statfs(f"{HERE}/one", bytearray(120)),
        lambda program: program.open(f"{HERE}/one", 0o102, 0o644),
    ):
        child = daemon.visit(call)
        daemon.answer(daemon.packet(), FAIL)
        assert daemon.end(child) == errno.ENOENT


@booted
def test_two_visitors_wait_for_one_answer(machine: Machine) -> None:
    daemon = Automounter(machine, "direct")
    host = daemon.host
    children = [daemon.visit(lambda program: program.chdir(HERE)) for _ in range(2)]
    host.nanosleep(MOMENT, None)
    packet = daemon.packet()
    assert packet.kind == 5 and len(packet.name) == 16 and daemon.packets_left() == 0
    host.mount("x", HERE, "tmpfs", 0, None)
    daemon.answer(packet)
    assert [daemon.end(child) for child in children] == [0, 0]
    assert code(lambda: daemon.answer(packet)) == errno.EINVAL


@booted
def test_an_automounter_that_lies_makes_a_loop(machine: Machine) -> None:
    daemon = Automounter(machine, "direct")
    child = daemon.visit(lambda program: program.chdir(HERE))
    for _ in range(40):
        daemon.answer(daemon.packet())
    assert daemon.end(child) == errno.ELOOP


@booted
def test_a_visitor_can_be_killed(machine: Machine) -> None:
    daemon = Automounter(machine, "direct")
    child = daemon.visit(lambda program: program.chdir(HERE))
    packet = daemon.packet()
    daemon.host.kill(child, SIGKILL)
    assert daemon.end(child) == -SIGKILL
    daemon.answer(packet)
    daemon.host.close(daemon.root)
    daemon.host.umount2(HERE, 0)


@booted
def test_silence_lets_everybody_pass(machine: Machine) -> None:
    daemon = Automounter(machine, "direct")
    host = daemon.host
    child = daemon.visit(lambda program: program.chdir(HERE))
    daemon.packet()
    host.ioctl(daemon.root, CATATONIC, 0)
    assert daemon.end(child) == errno.ENOENT
    assert daemon.end(daemon.visit(lambda program: program.chdir(HERE))) == 0
    assert code(lambda: host.mkdir(f"{HERE}/x", 0o755)) == errno.EACCES
    host.close(daemon.bell)
    assert host.read(daemon.pipe, bytearray(9), 9) == 0  # the mount has let go of the pipe


@booted
def test_nobody_reads_the_pipe(machine: Machine) -> None:
    daemon = Automounter(machine, "direct")
    daemon.host.close(daemon.pipe)
    assert daemon.end(daemon.visit(lambda program: program.chdir(HERE))) == -13
    assert daemon.end(daemon.visit(lambda program: program.chdir(HERE))) == 0  # it is not asked any more


@booted
def test_only_the_automounter_changes_anything(machine: Machine) -> None:
    daemon = Automounter(machine, "indirect")
    host = daemon.host
    host.mkdir(f"{HERE}/tree", 0o755)
    host.mkdir(f"{HERE}/tree/a", 0o755)
    host.symlink("/bin", f"{HERE}/link")
    for call in (
        lambda program: program.mkdir(f"{HERE}/new", 0o755),
        lambda program: program.symlink("x", f"{HERE}/new"),
        lambda program: program.unlink(f"{HERE}/link"),
        lambda program: program.rmdir(f"{HERE}/tree/a"),
    ):
        assert daemon.end(daemon.visit(call)) == errno.EACCES
    assert code(lambda: host.rename(f"{HERE}/link", f"{HERE}/other")) == errno.EPERM
    assert code(lambda: host.rmdir(f"{HERE}/tree")) == errno.ENOTEMPTY
    assert [name for name in names_in(host, HERE) if name[0] != "."] == ["link", "tree"]
    host.rmdir(f"{HERE}/tree/a")
    host.rmdir(f"{HERE}/tree")
    host.unlink(f"{HERE}/link")
    host.close(daemon.root)
    host.umount2(HERE, 0)


def expiring(daemon: Automounter, how: int) -> int:
    """A thread of the automounter that asks for an expiry."""

    def ask(program: Program) -> int:
        try:
            program.ioctl(daemon.root, EXPIRE_MULTI, struct.pack("<i", how))
        except OSError as error:
            return error.errno or 255
        return 0

    return daemon.host.fork(ask)


@booted
def test_what_is_idle_expires(machine: Machine) -> None:
    daemon = Automounter(machine, "indirect")
    host = daemon.host
    assert daemon.end(expiring(daemon, IMMEDIATE)) == errno.EAGAIN
    host.mkdir(f"{HERE}/one", 0o755)
    host.mount("x", f"{HERE}/one", "tmpfs", 0, None)
    assert daemon.end(expiring(daemon, 0)) == errno.EAGAIN  # no time-out
    used = host.open(f"{HERE}/one", 0, 0)
    assert daemon.end(expiring(daemon, IMMEDIATE)) == errno.EAGAIN
    host.close(used)
    asking = expiring(daemon, IMMEDIATE)
    packet = daemon.packet()
    assert (packet.kind, packet.name) == (4, b"one")
    visitor = daemon.visit(lambda program: program.chdir(f"{HERE}/one"))
    host.nanosleep(MOMENT, None)
    host.umount2(f"{HERE}/one", 0)
    host.rmdir(f"{HERE}/one")
    daemon.answer(packet)
    assert daemon.end(asking) == 0
    packet = daemon.packet()
    assert (packet.kind, packet.name) == (3, b"one")
    daemon.answer(packet, FAIL)
    assert daemon.end(visitor) == errno.ENOENT


@booted
def test_time_outs_are_told_from_the_last_walk(machine: Machine) -> None:
    daemon = Automounter(machine, "indirect")
    host = daemon.host
    host.ioctl(daemon.root, SET_TIMEOUT, bytearray(struct.pack("<Q", 1)))
    host.mkdir(f"{HERE}/one", 0o755)
    host.mount("x", f"{HERE}/one", "tmpfs", 0, None)
    host.nanosleep(struct.pack("<qq", 1, 200_000_000), None)
    assert daemon.end(daemon.visit(lambda program: program.chdir(f"{HERE}/one"))) == 0
    assert code(lambda: host.ioctl(daemon.root, EXPIRE, bytearray(268))) == errno.EAGAIN
    host.nanosleep(struct.pack("<qq", 1, 200_000_000), None)
    found = bytearray(268)
    host.ioctl(daemon.root, EXPIRE, found)
    assert struct.unpack_from("<iii", found) == (5, 1, 3) and found[12:15] == b"one"
    assert code(lambda: host.ioctl(daemon.root, EXPIRE, found)) == errno.EAGAIN  # put off


@booted
def test_trees_and_their_leaves_expire(machine: Machine) -> None:
    daemon = Automounter(machine, "indirect")
    host = daemon.host
    for name in ("tree", "tree/a", "tree/a/b", "tree/c"):
        host.mkdir(f"{HERE}/{name}", 0o755)
    for name in ("tree/a/b", "tree/c"):
        host.mount("x", f"{HERE}/{name}", "tmpfs", 0, None)
    used = host.open(f"{HERE}/tree/a", 0, 0)
    assert daemon.end(expiring(daemon, IMMEDIATE)) == errno.EAGAIN
    host.close(used)
    for how, expected in ((IMMEDIATE, b"tree"), (IMMEDIATE | LEAVES, b"tree/c")):
        asking = expiring(daemon, how)
        packet = daemon.packet()
        assert packet.name == expected
        daemon.answer(packet, FAIL)
        assert daemon.end(asking) == errno.ENOENT


@booted
def test_older_automounters_get_older_packets(machine: Machine) -> None:
    daemon = Automounter(machine, "minproto=4,maxproto=4")
    host = daemon.host
    host.mkdir(f"{HERE}/tree", 0o755)
    host.mkdir(f"{HERE}/tree/leaf", 0o755)
    child = daemon.visit(lambda program: program.chdir(f"{HERE}/tree/leaf"))
    data = bytearray(400)
    assert host.read(daemon.pipe, data, len(data)) == 272
    version, kind, token, length = struct.unpack_from("<iiIi", data)
    assert (version, kind, bytes(data[16 : 16 + length])) == (4, 0, b"tree/leaf")
    host.ioctl(daemon.root, FAIL, token)
    assert daemon.end(child) == errno.ENOENT


def device_call(host: Program, command: int, root: int, arguments: bytes, path: bytes = b"") -> bytes:
    """An ioctl of /dev/autofs; returns its structure."""
    device = host.open("/dev/autofs", 0, 0)
    try:
        tail = path + b"\0" if path else b""
        data = bytearray(struct.pack("<IIIi", 1, 1, 24 + len(tail), root) + arguments.ljust(8, b"\0") + tail)
        host.ioctl(device, 0xC0189300 | command, data)
        return bytes(data)
    finally:
        host.close(device)


@booted
def test_a_new_automounter_takes_over(machine: Machine) -> None:
    host = machine.host
    host.mount("none", "/dev", "devtmpfs", 0, None)
    daemon = Automounter(machine, "direct")
    status = bytearray(144)
    host.stat(HERE, status)
    number = status[0:4]
    host.mount("x", HERE, "tmpfs", 0, None)
    opened = device_call(host, 0x74, -1, bytes(number), HERE.encode())
    (again,) = struct.unpack_from("<i", opened, 12)
    host.umount2(HERE, 0)
    assert code(lambda: device_call(host, 0x78, again, struct.pack("<i", daemon.bell))) == errno.EBUSY
    device_call(host, 0x79, again, b"")
    ends = bytearray(8)
    host.pipe2(ends, 0)
    daemon.pipe, daemon.bell = struct.unpack("<ii", ends)
    assert code(lambda: device_call(host, 0x78, again, struct.pack("<i", daemon.pipe))) == errno.EPIPE
    device_call(host, 0x78, again, struct.pack("<i", daemon.bell))
    child = daemon.visit(lambda program: program.chdir(HERE))
    packet = daemon.packet()
    device_call(host, 0x77, again, struct.pack("<Ii", packet.token, -errno.EXDEV))
    assert daemon.end(child) == errno.EXDEV
    asked = device_call(host, 0x7E, -1, b"", HERE.encode())
    assert asked[16:24] == bytes(number) + struct.pack("<I", 0x187)
