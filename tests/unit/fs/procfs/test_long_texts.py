"""Texts and directories of /proc that may be long: others run while they are made, and come and go meanwhile."""

from __future__ import annotations

import fcntl
import signal
import socket
import struct

from kernel.fs.entry_buffer import EntryBuffer
from kernel.fs.file import Listing
from kernel.fs.procfs import process_memory, process_status, system
from kernel.fs.procfs.locks import LockLines, LocksThrough
from kernel.fs.procfs.process import ThreadsDirectory
from kernel.fs.procfs.process_files import DescriptorDirectory
from kernel.fs.procfs.subject import Subject
from kernel.lib.ids import KernelGid
from kernel.lib.pid import UNSET, Pid
from kernel.net.proc.socket_tables import mcfilter4
from kernel.net.proc.tcp import _Lines
from kernel.net.sockets.socket import AF_INET
from kernel.task.pids import find_process
from kernel.task.task import Task, current
from tests.unit.booted import booted
from tests.unit.meanwhile import meanwhile
from tests.unit.syscalls.test_files import names_in, read_all
from tests.unit.task.test_namespaces import mount_proc
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PAGE = 4096
PRIVATE_ANONYMOUS = 0x22


def pausing(program: Program) -> None:
    program.pause()


def myself() -> Subject:
    task = current()
    return Subject(task.process, UNSET, task.pids)


@booted
def test_long_arguments_are_read_with_others_at_work(machine: Machine) -> None:
    """The memory outlives the process meanwhile."""
    host = machine.host
    place = host.call("mmap", 0, 80 * PAGE, 3, PRIVATE_ANONYMOUS, -1, 0)
    for page in range(80):
        host.store(place + page * PAGE, b"x" * PAGE)
    pid = host.fork(pausing)
    process = find_process(Pid(pid))
    assert process is not None
    subject = Subject(process, UNSET, current().pids)
    space = process_memory.memory_of(subject)
    assert space is not None
    space.layout.argument_start = space.layout.environment_start = place
    space.layout.argument_end = space.layout.environment_end = place + 80 * PAGE - 1
    for make in (process_memory.environment, process_memory.command_line):

        def end() -> None:
            host.kill(pid, signal.SIGKILL)
            assert machine.wait(pid) == signal.SIGKILL

        with meanwhile(end if make is process_memory.command_line else lambda: None, 40):
            assert make(subject) == b"x" * (80 * PAGE - 1)
    assert space.users == 0


@booted
def test_very_many_descriptors_are_looked_at_with_others_at_work(machine: Machine) -> None:
    host = machine.host
    for number in range(10, 60, 2):
        host.dup2(0, number)
    directory = DescriptorDirectory(current().fs.root.inode().file_system, 1, myself(), links=True)
    with meanwhile(lambda: host.close(58), 20):
        directory.refresh()
    sink = EntryBuffer(PAGE, old=False)
    with meanwhile(lambda: host.close(56), 20):
        directory.read_directory(0, sink)
    assert b"54\0" in sink.storage and b"56\0" not in sink.storage


@booted
def test_threads_end_while_they_are_listed(machine: Machine) -> None:
    task = current()
    threads = task.process.threads
    others = [Task(Pid(900 + number), task.process, b"other", task.credentials) for number in range(20)]
    for other in others:
        threads[other.tid] = other
    directory = ThreadsDirectory(task.fs.root.inode().file_system, 1, myself())
    with meanwhile(lambda: threads.pop(others[19].tid), 5):
        numbers = directory.numbers()
    assert numbers == sorted(numbers) and 918 in numbers
    for other in others[:19]:
        threads.pop(other.tid)


@booted
def test_processes_end_while_their_memory_is_counted(machine: Machine) -> None:
    host = machine.host
    pids = [host.fork(pausing) for _ in range(4)]

    def end() -> None:
        host.kill(pids[1], signal.SIGKILL)
        assert machine.wait(pids[1]) == signal.SIGKILL

    with meanwhile(end, 2):
        assert system.anonymous_pages() > 0
    for pid in (pids[0], pids[2], pids[3]):
        host.kill(pid, signal.SIGKILL)
        assert machine.wait(pid) == signal.SIGKILL


@booted
def test_the_groups_of_a_process_are_many(machine: Machine) -> None:
    task = current()
    before = task.credentials
    fresh = before.copy()
    fresh.groups = [KernelGid(number) for number in range(1000, 1100)]
    task.credentials = fresh
    with meanwhile(lambda: None, 90):
        text = process_status._identity_lines(myself(), task)
    task.credentials = before
    numbers = b" ".join(f"{number}".encode() for number in range(1000, 1100))
    assert b"\nGroups:\t" + numbers + b" \nNStgid:" in text


@booted
def test_a_process_without_groups(machine: Machine) -> None:
    task = current()
    before = task.credentials
    fresh = before.copy()
    fresh.groups = []
    task.credentials = fresh
    assert b"\nGroups:\t \nNStgid:" in process_status._identity_lines(myself(), task)
    task.credentials = before


def whole(text: Listing) -> bytes:
    return b"".join(iter(text.next_piece, None))


def all_locks() -> bytes:
    return whole(LockLines(current().pids))


@booted
def test_files_that_are_locked_while_all_locks_are_listed_are_among_them(machine: Machine) -> None:
    """No list of all files with locks is made first."""
    host = machine.host

    def lock(name: str) -> None:
        host.flock(host.open(name, 0o102, 0o600), fcntl.LOCK_EX)

    for number in range(20):
        lock(f"/tmp/locked{number}")
    with meanwhile(lambda: lock("/tmp/late"), 5):
        text = all_locks()
    assert text.count(b"FLOCK  ADVISORY  WRITE") == 21


@booted
def test_locks_come_and_go_while_they_are_listed(machine: Machine) -> None:
    host = machine.host
    file = host.open("/tmp/locked", 0o102, 0o600)

    def lock(kind: int, start: int) -> None:
        host.fcntl(file, fcntl.F_SETLK, struct.pack("<hhiqqi4x", kind, 0, 0, start, 1, 0))

    def change() -> None:
        for number in range(25):
            lock(fcntl.F_UNLCK, 10 * number)
        lock(fcntl.F_WRLCK, 1000)

    for place in (3, 40):
        for number in range(30):
            lock(fcntl.F_WRLCK, 10 * number)
        with meanwhile(change, place):
            text = all_locks()
        assert text.startswith(b"1: POSIX  ADVISORY  WRITE") and text.count(b"\n") >= 6
    host.close(file)
    assert all_locks() == b""


@booted
def test_locks_go_while_those_through_a_descriptor_are_listed(machine: Machine) -> None:
    host = machine.host
    file = host.open("/tmp/locked", 0o102, 0o600)

    def change(kind: int) -> None:
        for number in range(10):
            host.fcntl(file, fcntl.F_SETLK, struct.pack("<hhiqqi4x", kind, 0, 0, 10 * number, 1, 0))

    change(fcntl.F_WRLCK)
    table = current().files
    with meanwhile(lambda: change(fcntl.F_UNLCK), 9):
        text = whole(LocksThrough(table.get(file), table, current().pids))
    assert text.count(b"lock:") == 3 and b"<none>" not in text, "those that have gone are not listed"
    assert whole(LocksThrough(table.get(file), table, current().pids)) == b""


@booted
def test_a_file_is_closed_while_what_it_has_is_read(machine: Machine) -> None:
    """What comes after its locks is not made of a file that has ended."""
    host = machine.host
    events = host.inotify_init1(0)
    host.inotify_add_watch(events, "/tmp", 0x100)
    mount_proc(host)
    name = f"/proc/self/fdinfo/{events}"
    assert b"inotify wd:1 " in read_all(host, name)
    text = host.open(name, 0)
    room = host.mmap(0, PAGE, 3, PRIVATE_ANONYMOUS, -1, 0)
    assert host.read(text, room, 4) == 4
    host.close(events)
    length = host.read(text, room, PAGE)
    assert b"ino:" in host.load(room, length) and b"inotify" not in host.load(room, length)
    host.close(text)


@booted
def test_processes_come_and_go_while_they_are_listed(machine: Machine) -> None:
    host = machine.host
    children = [host.fork(pausing) for _ in range(4)]

    def change() -> None:
        host.kill(children[1], signal.SIGKILL)
        assert machine.wait(children[1]) == signal.SIGKILL
        children.append(host.fork(pausing))

    mount_proc(host)
    with meanwhile(change, 2):  # the first process and the first child are listed
        names = names_in(host, "/proc")
    assert [int(name) for name in names if name.isdigit()] == [1, children[0], *children[2:]]


@booted
def test_listeners_of_a_port_close_while_they_are_listed(machine: Machine) -> None:
    host = machine.host
    place = struct.pack("=H", socket.AF_INET) + (7000).to_bytes(2, "big") + bytes(12)
    listeners = [host.socket(socket.AF_INET, socket.SOCK_STREAM, 0) for _ in range(4)]
    for listener in listeners:
        host.setsockopt(listener, socket.SOL_SOCKET, socket.SO_REUSEPORT, struct.pack("<i", 1), 4)
        host.bind(listener, place, 16)
        host.listen(listener, 5)
    lines = _Lines(AF_INET)
    (port,) = lines.ports
    with meanwhile(lambda: [host.close(listener) for listener in listeners[1:3]]):
        assert lines._listeners(port).count(b":1B58 ") == 2
    assert _Lines(AF_INET)._listeners(port).count(b":1B58 ") == 2


@booted
def test_groups_of_sockets_are_left_while_they_are_listed(machine: Machine) -> None:
    host = machine.host
    sockets = [host.socket(socket.AF_INET, socket.SOCK_DGRAM, 0) for _ in range(3)]
    host.ioctl(sockets[0], 0x8914, struct.pack("16sH22x", b"lo", 1))  # SIOCSIFFLAGS: IFF_UP
    for number, each in enumerate(sockets):
        joined = bytes([232, 1, 1, number]) + bytes([127, 0, 0, 1]) + bytes([10, 0, 0, 1])
        host.setsockopt(each, socket.IPPROTO_IP, 39, joined, 12)  # IP_ADD_SOURCE_MEMBERSHIP
    assert mcfilter4().count(b"\n") == 1 + 3
    with meanwhile(lambda: host.close(sockets[1])):
        assert mcfilter4().count(b"\n") == 1 + 2
