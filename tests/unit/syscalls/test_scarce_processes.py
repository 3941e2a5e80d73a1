"""Calls about memory, processes, keys, programs and groups that find no memory, at whatever place, change nothing and
lose nothing, and can be made again.
"""

from __future__ import annotations

import signal
import struct
from collections.abc import Callable

import pytest

from tests.unit.booted import booted
from tests.unit.scarcity import Scarcity, check_each, each_place
from tools.simulated.machine import Machine
from tools.simulated.program import Program

READ_WRITE = 3
PRIVATE, SHARED, FIXED = 0x22, 0x21, 0x10
PAGE = 0x1000
FAR = 0x10_0000_0000 - 2 * PAGE  # no page table is there yet, and a range across it needs two


def maps(host: Program) -> bytes:
    descriptor = host.open("/tmp/proc/self/maps", 0)
    text = b""
    while True:
        room = bytearray(4096)
        size = host.read(descriptor, room, len(room))
        if size == 0:
            break
        text += bytes(room[:size])
    host.close(descriptor)
    return b"\n".join(line for line in text.split(b"\n") if b"[stack]" not in line)


def mount_proc(host: Program) -> None:
    host.mkdir("/tmp/proc", 0o755)
    host.mount("none", "/tmp/proc", "proc", 0, 0)


def area(host: Program, pages: int, flags: int = PRIVATE, at: int = 0) -> int:
    return host.mmap(at, pages * PAGE, READ_WRITE, flags, -1, 0)


CHANGES: dict[str, Callable[[Program, int], int]] = {
    "mprotect, first": lambda host, at: host.mprotect(at, PAGE, 1),
    "mprotect, middle": lambda host, at: host.mprotect(at + 3 * PAGE, PAGE, 1),
    "munmap, middle": lambda host, at: host.munmap(at + 3 * PAGE, PAGE),
    "munmap, several": lambda host, at: host.munmap(at + 5 * PAGE, 6 * PAGE),
    "mmap, over": lambda host, at: area(host, 6, PRIVATE | FIXED, at + 5 * PAGE),
    "mmap, shared, over": lambda host, at: area(host, 6, SHARED | FIXED, at + 5 * PAGE),
    "mremap, shrinks": lambda host, at: host.mremap(at, 8 * PAGE, 4 * PAGE, 0, 0),
    # To a free place: what lies at the new one is gone even if the move fails, as on Linux.
    "mremap, moves": lambda host, at: host.mremap(at, 2 * PAGE, 2 * PAGE, 3, at + 13 * PAGE),
    "mremap, moves all": lambda host, at: host.mremap(at, 8 * PAGE, 8 * PAGE, 3, FAR),
    "mremap, moves the middle": lambda host, at: host.mremap(at + 3 * PAGE, PAGE, 2 * PAGE, 3, at + 12 * PAGE),
    "mremap, moves the middle far": lambda host, at: host.mremap(at + 3 * PAGE, 2 * PAGE, 4 * PAGE, 3, FAR),
    "mremap, moves the shared": lambda host, at: host.mremap(at + 9 * PAGE, PAGE, PAGE, 3, FAR),
    "mremap, grows elsewhere": lambda host, at: host.mremap(at + 3 * PAGE, PAGE, 4 * PAGE, 1, 0),
    "mremap, leaves it": lambda host, at: host.mremap(at + 3 * PAGE, PAGE, PAGE, 7, at + 13 * PAGE),
    "madvise": lambda host, at: host.madvise(at + 3 * PAGE, PAGE, 10),
    "madvise, several": lambda host, at: host.madvise(at + 5 * PAGE, 6 * PAGE, 16),
    "mbind": lambda host, at: host.mbind(at + 3 * PAGE, PAGE, 2, b"\1\0\0\0\0\0\0\0", 64, 0),
}


@pytest.mark.parametrize("touched", [False, True], ids=["empty", "touched"])
@pytest.mark.parametrize("name", CHANGES)
@booted
def test_areas(machine: Machine, name: str, touched: bool) -> None:
    """What /proc/PID/maps shows, and what the pages hold, is as it was."""
    host = machine.host
    mount_proc(host)
    place = area(host, 16)

    def content() -> bytes:
        return b"".join(host.load(place + i * PAGE, 4) for i in range(8)) if touched else b""

    def attempt(scarcity: Scarcity) -> None:
        area(host, 16, PRIVATE | FIXED, place)
        host.munmap(place + 8 * PAGE, 8 * PAGE)
        area(host, 4, SHARED | FIXED, place + 8 * PAGE)
        if touched:
            for i in range(12):
                host.store(place + i * PAGE, struct.pack("<I", i))
        before = maps(host), content()
        try:
            with scarcity:
                result = CHANGES[name](host, place)
        except OSError:
            assert scarcity.where
            assert (maps(host), content()) == before, scarcity.where
            result = CHANGES[name](host, place)
        if not place <= result < place + 16 * PAGE and result != 0:
            host.munmap(result, 8 * PAGE)
        host.munmap(place, 16 * PAGE)

    each_place(attempt, fewest=0)


@booted
def test_a_mapped_file(machine: Machine) -> None:
    host = machine.host
    descriptor = host.open("/tmp/file", 0o102, 0o600)
    host.ftruncate(descriptor, 4 * PAGE)
    host.mmap(0, PAGE, 1, 1, descriptor, 0)  # its place is known as long as it is mapped
    for flags in (1, 2):
        check_each(
            lambda flags=flags: host.mmap(0, 4 * PAGE, READ_WRITE, flags, descriptor, 0),  # type: ignore[misc]
            lambda place: host.munmap(place, 4 * PAGE),
        )
    check_each(lambda: host.brk(host.brk(0) + 4 * PAGE), lambda top: host.brk(top - 4 * PAGE), 0)
    check_each(lambda: host.mlockall(3), lambda _: host.munlockall(), 0)


CREDENTIALS: dict[str, Callable[[Program], int]] = {
    "setuid": lambda host: host.setuid(1000),
    "setresuid": lambda host: host.setresuid(1, 2, 3),
    "setgid": lambda host: host.setgid(1000),
    "setgroups": lambda host: host.setgroups(3, struct.pack("<III", 1, 2, 3)),
    "setfsuid": lambda host: host.setfsuid(1000),
    "capset": lambda host: host.capset(struct.pack("<Ii", 0x20080522, 0), bytes(24)),
    "prctl, name": lambda host: host.prctl(15, b"name", 0, 0, 0),
    "prctl, bound": lambda host: host.prctl(24, 5, 0, 0, 0),
    "prctl, secure bits": lambda host: host.prctl(28, 1, 0, 0, 0),
    "sigaltstack": lambda host: host.sigaltstack(struct.pack("<Qixxxxq", 0x10000, 0, 0x4000), 0),
    "rt_sigaction": lambda host: host.rt_sigaction(10, struct.pack("<QQQQ", 1, 0, 0, 0), 0, 8),
    "sched_setscheduler": lambda host: host.sched_setscheduler(0, 1, struct.pack("<i", 5)),
    "sched_setaffinity": lambda host: host.sched_setaffinity(0, 8, struct.pack("<Q", 1)),
    "setrlimit": lambda host: host.setrlimit(0, struct.pack("<QQ", 100, 100)),
    "ioprio_set": lambda host: host.ioprio_set(1, 0, 0x4004),
    "setpriority": lambda host: host.setpriority(0, 0, 5),
    "chdir": lambda host: host.chdir("/tmp"),
    "chroot": lambda host: host.chroot("/tmp"),
    "modify_ldt": lambda host: host.modify_ldt(1, struct.pack("<IIII", 0, 0, 0xFFFFF, 0x51), 16),
    "unshare, files": lambda host: host.unshare(0x600),
    "close_range": lambda host: host.close_range(50, 60, 2),
    "personality": lambda host: host.personality(0x0040000),
    "keyring": lambda host: host.keyctl(1, 0, 0, 0, 0),
    "robust list": lambda host: host.set_robust_list(0x1000, 24),
    "subreaper": lambda host: host.prctl(36, 1, 0, 0, 0),
}


def filter_at(host: Program) -> bytes:
    """A struct sock_fprog of a filter that allows all calls."""
    place = host.mmap(0, PAGE, READ_WRITE, PRIVATE, -1, 0)
    host.store(place, struct.pack("<HBBI", 6, 0, 0, 0x7FFF_0000))
    return struct.pack("<HxxxxxxQ", 1, place)


def identity(program: Program) -> bytes:
    """What /proc/self/status and the like show of a process, apart from what counts."""
    text = b""
    for name in ("status", "limits"):
        descriptor = program.open(f"/tmp/proc/self/{name}", 0)
        room = bytearray(4096)
        size = program.read(descriptor, room, len(room))
        program.close(descriptor)
        text += bytes(room[:size])
    shown = (b"Name", b"Uid", b"Gid", b"Groups", b"Cap", b"NoNew", b"Seccomp", b"SigCgt", b"Max", b"Cpus_allowed")
    return b"\n".join(line for line in text.split(b"\n") if line.startswith(shown))


def check_own(machine: Machine, prepare: Callable[[Program], Callable[[], int]]) -> None:
    """A call that changes what a process is, each time by a new one."""
    mount_proc(machine.host)

    def attempt(scarcity: Scarcity) -> None:
        def child(program: Program) -> None:
            call = prepare(program)
            before = identity(program)
            try:
                with scarcity:
                    call()
            except OSError as error:
                assert scarcity.where, error
                assert identity(program) == before, scarcity.where
                call()

        assert machine.run(child) == 0

    each_place(attempt, fewest=0)


@pytest.mark.parametrize("name", CREDENTIALS)
@booted
def test_what_a_process_is(machine: Machine, name: str) -> None:
    check_own(machine, lambda program: lambda: CREDENTIALS[name](program))


@booted
def test_a_filter_of_calls(machine: Machine) -> None:
    def prepare(program: Program) -> Callable[[], int]:
        filter_ = filter_at(program)
        return lambda: program.seccomp(1, 0, filter_)

    check_own(machine, prepare)


SENT: dict[str, Callable[[Program, int], int]] = {
    "kill": lambda host, pid: host.kill(pid, signal.SIGUSR1),
    "tgkill": lambda host, pid: host.tgkill(pid, pid, signal.SIGUSR1),
    "rt_sigqueueinfo": lambda host, pid: host.rt_sigqueueinfo(
        pid, 34, struct.pack("<iiixxxxiiQ", 34, 0, -1, pid, 0, 7) + bytes(96)
    ),
}


@pytest.mark.parametrize("name", SENT)
@booted
def test_a_signal_that_is_sent(machine: Machine, name: str) -> None:
    """One that could not be sent does not count."""
    mask = (1 << signal.SIGUSR1 - 1 | 1 << 33).to_bytes(8, "little")

    def child(program: Program) -> None:
        program.rt_sigprocmask(0, mask, 0, 8)
        pid = program.getpid()

        def attempt(scarcity: Scarcity) -> None:
            try:
                with scarcity:
                    SENT[name](program, pid)
            except OSError:
                assert scarcity.where
                SENT[name](program, pid)
            program.rt_sigtimedwait(mask, 0, bytes(16), 8)

        each_place(attempt, fewest=0)

    assert machine.run(child) == 0


CLONES = {
    "vfork": (0x4000 | 0x100, False),
    "clear tid": (0x200000, False),
    "new user": (0x1000_0000, False),
    "new pid": (0x2000_0000, False),
    "new mounts": (0x2_0000, False),
    "pidfd": (0x1000, True),
}


@pytest.mark.parametrize("name", CLONES)
@booted
def test_a_child_of_a_kind(machine: Machine, name: str) -> None:
    host = machine.host
    flags, returns_descriptor = CLONES[name]
    place = bytearray(4)

    def call() -> int:
        host.frame.r15 = host.code.add_main(lambda _: 0)
        try:
            return host.call("clone", flags | signal.SIGCHLD, 0, place, 0, 0)
        finally:
            host.frame.r15 = 0

    def undo(pid: int) -> None:
        machine.wait(pid)
        if returns_descriptor:
            host.close(int.from_bytes(place, "little"))

    check_each(call, undo, fewest=20)


@booted
def test_keys(machine: Machine) -> None:
    host = machine.host
    ring = host.add_key("keyring", "ring", 0, 0, -2)
    other = host.add_key("keyring", "other", 0, 0, -2)
    key = host.add_key("user", "key", b"data", 4, ring)
    check_each(lambda: host.keyctl(8, key, other, 0, 0), lambda _: host.keyctl(9, key, other, 0, 0))
    check_each(lambda: host.keyctl(2, key, b"longer data", 11, 0), lambda _: host.keyctl(2, key, b"data", 4, 0), 0)
    check_each(
        lambda: host.add_key("user", "key", b"longer data", 11, ring),
        lambda _: host.add_key("user", "key", b"data", 4, ring),
    )
    check_each(lambda: host.keyctl(30, key, ring, other, 0), lambda _: host.keyctl(30, key, other, ring, 0), 0)
    check_each(lambda: host.request_key("user", "key", 0, other), lambda _: host.keyctl(9, key, other, 0, 0), 0)
    check_each(lambda: host.keyctl(4, key, 0, 0, 0), lambda _: host.keyctl(4, key, 0, 0, 0), 0)


@booted
def test_asynchronous_calls(machine: Machine) -> None:
    host = machine.host
    context = bytearray(8)

    def setup() -> int:
        context[:] = bytes(8)
        return host.io_setup(8, context)

    check_each(setup, lambda _: host.io_destroy(int.from_bytes(context, "little")), fewest=2)
    check_each(lambda: host.io_uring_setup(8, bytearray(120)), host.close, fewest=5)


@booted
def test_a_queue_with_a_name(machine: Machine) -> None:
    host = machine.host

    def undo(descriptor: int) -> None:
        host.close(descriptor)
        host.mq_unlink("name")

    check_each(lambda: host.mq_open("name", 0o102, 0o600, 0), undo, fewest=3)
    queue = host.mq_open("name", 0o102, 0o600, 0)
    event = struct.pack("<qii", 0, 10, 0) + bytes(48)
    check_each(lambda: host.mq_notify(queue, event), lambda _: host.mq_notify(queue, 0), 0)


@booted
def test_control_groups(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/tmp/groups", 0o755)
    host.mount("none", "/tmp/groups", "cgroup2", 0, 0)
    check_each(lambda: host.mkdir("/tmp/groups/one", 0o755), lambda _: host.rmdir("/tmp/groups/one"), fewest=3)
    host.mkdir("/tmp/groups/one", 0o755)
    control = host.open("/tmp/groups/cgroup.subtree_control", 1)

    def write(descriptor: int, text: bytes) -> int:
        return host.pwrite64(descriptor, text, len(text), 0)

    check_each(lambda: write(control, b"+pids +memory +cpu"), lambda _: write(control, b"-pids -memory -cpu"))
    write(control, b"+pids +memory +cpu +io")
    for name, value, default in (
        ("pids.max", b"100", b"max"),
        ("memory.max", b"100000000", b"max"),
        ("cpu.max", b"1000 10000", b"max"),
        ("cpu.weight", b"50", b"100"),
    ):
        descriptor = host.open(f"/tmp/groups/one/{name}", 1)
        check_each(
            lambda descriptor=descriptor, value=value: write(descriptor, value),  # type: ignore[misc]
            lambda _, descriptor=descriptor, default=default: write(descriptor, default),  # type: ignore[misc]
            0,
        )
    own = host.open("/tmp/groups/cgroup.procs", 1)
    other = host.open("/tmp/groups/one/cgroup.procs", 1)
    check_each(lambda: write(other, b"0"), lambda _: write(own, b"0"), 0)


def program_of(host: Program, kind: int) -> bytes:
    """The attributes for bpf(BPF_PROG_LOAD) of a program that returns 1."""
    place = host.mmap(0, PAGE, READ_WRITE, PRIVATE, -1, 0)
    host.store(place, struct.pack("<BBhi", 0xB7, 0, 0, 1) + struct.pack("<BBhi", 0x95, 0, 0, 0))
    host.store(place + 0x100, b"GPL\0")
    return struct.pack("<IIQQ", kind, 2, place, place + 0x100) + bytes(100)


def load(host: Program, attributes: bytes) -> int:
    return host.bpf(5, attributes, 116)


@booted
def test_programs(machine: Machine) -> None:
    host = machine.host
    attributes = program_of(host, 8)  # BPF_PROG_TYPE_CGROUP_SKB
    check_each(lambda: load(host, attributes), host.close, fewest=3)
    host.mkdir("/tmp/groups", 0o755)
    host.mount("none", "/tmp/groups", "cgroup2", 0, 0)
    group = host.open("/tmp/groups", 0)
    program = load(host, attributes)
    attach = struct.pack("<IIII", group, program, 0, 0) + bytes(100)
    check_each(lambda: host.bpf(8, attach, 16), lambda _: host.bpf(9, attach, 16))
    link = struct.pack("<IIII", program, group, 0, 0) + bytes(100)
    check_each(lambda: host.bpf(28, link, 64), host.close)
    socket = host.socket(2, 2, 0)
    filter_ = load(host, program_of(host, 1))
    check_each(
        lambda: host.setsockopt(socket, 1, 50, filter_.to_bytes(4, "little"), 4),
        lambda _: host.setsockopt(socket, 1, 27, bytes(4), 4),
        0,
    )


@pytest.mark.parametrize("kind", [1, 2], ids=["hash", "array"])
@booted
def test_an_entry_of_a_map(machine: Machine, kind: int) -> None:
    host = machine.host
    made = host.bpf(0, struct.pack("<IIIII", kind, 4, 8, 16, 0) + bytes(100), 72)
    place = host.mmap(0, PAGE, READ_WRITE, PRIVATE, -1, 0)
    host.store(place, struct.pack("<I", 3))
    host.store(place + 8, b"contents")
    record = struct.pack("<IxxxxQQQ", made, place, place + 8, 0)

    def undo(_: int) -> None:
        if kind != 2:
            host.bpf(3, record, 16)  # without a value

    check_each(lambda: host.bpf(2, record, 32), undo, 0)


@booted
def test_an_observer(machine: Machine) -> None:
    host = machine.host
    attributes = bytearray(128)
    struct.pack_into("<IIQQ", attributes, 0, 1, 128, 1, 0)  # PERF_TYPE_SOFTWARE, task clock
    check_each(lambda: host.perf_event_open(bytes(attributes), 0, -1, -1, 0), host.close, fewest=3)
