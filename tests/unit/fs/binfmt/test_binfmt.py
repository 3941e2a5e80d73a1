"""binfmt_misc on a booted machine: what is registered runs, and ends."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from kernel.task.task import current
from tests.unit.booted import booted
from tests.unit.syscalls.test_files import names_in
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CLONE_NEWNS = 0x2_0000
CLONE_NEWUSER = 0x1000_0000
HERE = "/formats"
O_WRONLY = 1
O_CREAT = 0o100
RLIMIT_NOFILE = 7
AT_EXECFD = 2
AT_FLAGS = 8
F_GETFL = 3
AT_EMPTY_PATH = 0x1000
TITLES: list[bytes] = []  # what interpreters were called
OPENED_WITH: list[int] = []  # the flags of the descriptors that they got


def mounted(machine: Machine) -> Program:
    host = machine.host
    host.mkdir(HERE, 0o755)
    host.mount("none", HERE, "binfmt_misc", 0, None)
    return host


def put(program: Program, path: str, text: str, mode: int = 0o755) -> int:
    """Write a text to a file, which is created if need be."""
    descriptor = program.open(path, O_WRONLY | (0 if path.startswith(HERE) else O_CREAT), mode)
    try:
        return program.write(descriptor, text, len(text))
    finally:
        program.close(descriptor)


def listed(program: Program, path: str) -> set[str]:
    return set(names_in(program, path)) - {".", ".."}


def vector() -> dict[int, int]:
    """The running program's auxiliary vector."""
    words = memoryview(current().space.auxiliary_vector).cast("Q")
    return dict(zip(words[::2], words[1::2], strict=True))


def run(machine: Machine, path: str) -> int:
    def child(program: Program) -> None:
        program.execve(path, [b"zero", b"one"], [])

    return os.waitstatus_to_exitcode(machine.run(child))


def code(call: Callable[[], object]) -> int:
    with pytest.raises(OSError) as caught:
        call()
    assert caught.value.errno is not None
    return caught.value.errno


def interpreter(machine: Machine, seen: list[tuple[list[bytes], dict[int, int]]]) -> None:
    """Install /bin/interpreter, which notes what it was given."""

    def main(program: Program) -> int:
        seen.append((program.arguments(), vector()))
        TITLES.append(current().name)
        if AT_EXECFD in vector():
            OPENED_WITH.append(program.fcntl(vector()[AT_EXECFD], F_GETFL, 0))
        return 5

    machine.install("/bin/interpreter", main)


@booted
def test_a_format_gets_its_interpreter(machine: Machine) -> None:
    host = mounted(machine)
    seen: list[tuple[list[bytes], dict[int, int]]] = []
    interpreter(machine, seen)
    put(host, "/a.x", "text")
    put(host, f"{HERE}/register", ":plain:E::x::/bin/interpreter:")
    assert run(machine, "/a.x") == 5
    put(host, f"{HERE}/register", ":kept:M::text::/bin/interpreter:PO")
    assert run(machine, "/a.x") == 5
    assert seen[0][0] == [b"/bin/interpreter", b"/a.x", b"one"]
    assert seen[1][0] == [b"/bin/interpreter", b"/a.x", b"zero", b"one"]
    assert AT_EXECFD not in seen[0][1] and seen[0][1][AT_FLAGS] == 0
    assert AT_EXECFD in seen[1][1] and seen[1][1][AT_FLAGS] == 1
    assert OPENED_WITH == [0o100040] and TITLES == [b"a.x", b"a.x"]
    assert listed(host, HERE) == {"status", "register", "plain", "kept"}
    put(host, f"{HERE}/status", "-1")
    assert listed(host, HERE) == {"status", "register"}
    assert code(lambda: put(host, f"{HERE}/kept", "1")) == errno.ENOENT


@booted
def test_a_program_that_is_run_by_descriptor_is_called_as_its_interpreter(machine: Machine) -> None:
    host = mounted(machine)
    seen: list[tuple[list[bytes], dict[int, int]]] = []
    interpreter(machine, seen)
    put(host, "/a.x", "text")
    put(host, f"{HERE}/register", ":plain:M::text::/bin/interpreter:")

    def child(program: Program) -> None:
        descriptor = program.open("/a.x", 0, 0)
        program.execveat(descriptor, "", [b"zero"], [], AT_EMPTY_PATH)

    assert os.waitstatus_to_exitcode(machine.run(child)) == 5
    assert TITLES == [b"interpreter"]


@booted
def test_who_can_have_no_descriptor_is_killed(machine: Machine) -> None:
    """The old program is gone when the descriptor is due."""
    host = mounted(machine)
    seen: list[tuple[list[bytes], dict[int, int]]] = []
    interpreter(machine, seen)
    put(host, "/a.x", "text")
    put(host, f"{HERE}/register", ":opens:E::x::/bin/interpreter:O")

    def child(program: Program) -> None:
        program.prlimit64(0, RLIMIT_NOFILE, bytes(16), None)
        program.execve("/a.x", [b"zero"], [])

    assert os.WTERMSIG(machine.run(child)) == 11
    assert seen == []
    assert put(host, "/a.x", "more") == 4  # nobody has it open as a program


@booted
def test_an_interpreter_that_was_opened_at_once_may_move(machine: Machine) -> None:
    host = mounted(machine)
    seen: list[tuple[list[bytes], dict[int, int]]] = []
    interpreter(machine, seen)
    put(host, "/a.x", "text")
    put(host, f"{HERE}/register", ":held:E::x::/bin/interpreter:F")
    assert code(lambda: put(host, "/bin/interpreter", "x")) == errno.ETXTBSY
    host.rename("/bin/interpreter", "/bin/moved")
    assert run(machine, "/a.x") == 5
    descriptor = host.open(f"{HERE}/held", 0, 0)
    put(host, f"{HERE}/held", "-1")
    assert code(lambda: put(host, "/bin/moved", "x")) == errno.ETXTBSY  # the format is still open
    host.close(descriptor)
    put(host, "/bin/moved", "x")


@booted
def test_formats_end_with_the_last_mount(machine: Machine) -> None:
    host = mounted(machine)
    seen: list[tuple[list[bytes], dict[int, int]]] = []
    interpreter(machine, seen)
    host.mkdir("/again", 0o755)
    host.mount("none", "/again", "binfmt_misc", 0, None)
    put(host, "/a.x", "text")
    put(host, f"{HERE}/register", ":held:E::x::/bin/interpreter:F")
    host.umount2(HERE, 0)
    assert listed(host, "/again") == {"status", "register", "held"}
    assert run(machine, "/a.x") == 5
    host.umount2("/again", 0)

    def child(program: Program) -> int:
        return code(lambda: program.execve("/a.x", [b"zero"], []))

    assert os.waitstatus_to_exitcode(machine.run(child)) == errno.ENOEXEC
    put(host, "/bin/interpreter", "x")
    host.mount("none", HERE, "binfmt_misc", 0, None)
    assert listed(host, HERE) == {"status", "register"}


@booted
def test_a_listing_goes_on_where_it_was(machine: Machine) -> None:
    """Names come and go between two reads of a directory; those that stay are listed once."""
    host = mounted(machine)
    for number in range(40):
        put(host, f"{HERE}/register", f":a format with a long name {number:03}:E::x::/bin/interpreter:")
    descriptor = host.open(HERE, 0o200000, 0)
    storage = bytearray(400)
    names: list[bytes] = []
    rounds = 0
    while (size := host.getdents64(descriptor, storage, len(storage))) > 0:
        place = 0
        while place < size:
            length = int.from_bytes(storage[place + 16 : place + 18], "little")
            names.append(bytes(storage[place + 19 : place + length]).split(b"\0")[0])
            place += length
        if rounds < 20:
            put(host, f"{HERE}/a format with a long name {rounds:03}", "-1")
            put(host, f"{HERE}/register", f":new {rounds}:E::x::/bin/interpreter:")
        rounds += 1
    stayed = [f"a format with a long name {number:03}".encode() for number in range(min(rounds, 20), 40)]
    assert len(names) == len(set(names)) and set(stayed) <= set(names)


@booted
def test_a_file_without_memory_for_it_is_not_registered(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    host = mounted(machine)

    def fail() -> None:
        raise MemoryError

    monkeypatch.setattr("kernel.fs.binfmt.filesystem.check_room_to_keep", fail)
    assert code(lambda: put(host, f"{HERE}/register", ":a:E::x::/bin/interpreter:")) == errno.ENOMEM
    assert listed(host, HERE) == {"status", "register"}


@booted
def test_a_user_namespace_has_formats_of_its_own(machine: Machine) -> None:
    """Those of the namespace above, until binfmt_misc is mounted there; then never again."""
    host = mounted(machine)
    seen: list[tuple[list[bytes], dict[int, int]]] = []
    interpreter(machine, seen)
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, None)
    host.mkdir("/inner", 0o755)
    put(host, "/a.x", "text")
    put(host, f"{HERE}/register", ":outer:E::x::/bin/interpreter:")

    def enter(program: Program) -> None:
        program.unshare(CLONE_NEWUSER | CLONE_NEWNS)
        for name, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
            descriptor = program.open(f"/proc/self/{name}", O_WRONLY, 0)
            program.write(descriptor, text, len(text))
            program.close(descriptor)

    def inherits(program: Program) -> None:
        enter(program)
        program.execve("/a.x", [b"zero"], [])

    def mounts(program: Program) -> None:
        enter(program)
        program.mount("none", "/inner", "binfmt_misc", 0, None)
        assert listed(program, "/inner") == {"status", "register"}
        assert code(lambda: program.execve("/a.x", [b"zero"], [])) == errno.ENOEXEC
        put(program, "/inner/register", ":own:E::x::/bin/interpreter:P")
        program.execve("/a.x", [b"zero"], [])

    def unmounts(program: Program) -> int:
        enter(program)
        program.mount("none", "/inner", "binfmt_misc", 0, None)
        put(program, "/inner/register", ":own:E::x::/bin/interpreter:")
        program.umount2("/inner", 0)
        return code(lambda: program.execve("/a.x", [b"zero"], []))

    assert os.waitstatus_to_exitcode(machine.run(inherits)) == 5
    assert os.waitstatus_to_exitcode(machine.run(mounts)) == 5
    assert os.waitstatus_to_exitcode(machine.run(unmounts)) == errno.ENOEXEC
    assert [arguments for arguments, _ in seen] == [
        [b"/bin/interpreter", b"/a.x"],
        [b"/bin/interpreter", b"/a.x", b"zero"],
    ]
    assert listed(host, HERE) == {"status", "register", "outer"}
