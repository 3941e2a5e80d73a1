"""Pid namespaces, on a booted machine: numbers, who sees whom, and what an init is."""

import os
import signal
import struct

import pytest

from kernel.mm.frames import free_frame_count
from kernel.mm.reclaim import reclaim_now
from kernel.task.pid_namespace import DEEPEST, NUMBERS
from kernel.task.task import current
from tests.unit.booted import booted
from tests.unit.syscalls.test_files import names_in, read_all
from tests.unit.task.test_namespaces import link_text, mount_proc
from tools.simulated.code import Main
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CLONE_NEWPID = 0x2000_0000
NS_GET_PARENT = 0xB702
NS_GET_NSTYPE = 0xB703
NS_GET_PID_FROM_PIDNS = 0x8004_B706
NS_GET_PID_IN_PIDNS = 0x8004_B708
WNOHANG = 1


def wait(program: Program, pid: int = -1) -> tuple[int, int]:
    """wait4: the pid and the status."""
    status = bytearray(4)
    found = program.wait4(pid, status, 0, None)
    return found, struct.unpack("<i", status)[0]


def check(machine: Machine, main: Main) -> None:
    """Run a program, which must end well."""
    status = machine.run(main)
    for error in Program.failures.values():
        raise error
    assert status == 0


def inside(machine: Machine, main: Main) -> None:
    """Run a program as the init of a new namespace, which must end well."""

    def maker(program: Program) -> int:
        program.unshare(CLONE_NEWPID)
        pid = program.fork(main)
        found, status = wait(program)
        assert found == pid
        return 0 if status == 0 else 1

    check(machine, maker)


@booted
def test_numbers_begin_anew(machine: Machine) -> None:
    def init(program: Program) -> None:
        assert (program.getpid(), program.gettid(), program.getppid()) == (1, 1, 0)
        assert (program.getpgrp(), program.getsid(0), program.getpgid(1)) == (0, 0, 0)
        child = program.fork(lambda other: 0 if (other.getpid(), other.getppid()) == (2, 1) else 1)
        assert child == 2
        assert wait(program) == (2, 0)
        assert program.setsid() == 1 and program.getsid(0) == 1 and program.getpgrp() == 1
        with pytest.raises(OSError, match="ESRCH"):
            program.kill(400, 0)

    inside(machine, init)
    assert not NUMBERS


@booted
def test_proc_shows_the_namespace_of_its_mount(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    host.mkdir("/inner", 0o755)

    def init(program: Program) -> None:
        program.mount("proc", "/inner", "proc", 0, None)
        assert [name for name in names_in(program, "/inner") if name.isdigit()] == ["1"]
        assert link_text(program, "/inner/self") == b"1"
        outer = current().pid
        assert link_text(program, "/proc/self") == b"%d" % outer
        status = read_all(program, "/proc/self/status")
        assert b"NStgid:\t%d\t1\nNSpid:\t%d\t1\nNSpgid:\t0\t0\nNSsid:\t0\t0\n" % (outer, outer) in status
        status = read_all(program, "/inner/1/status")
        assert b"Tgid:\t1\n" in status and b"PPid:\t0\n" in status and b"NSpid:\t1\nNSpgid:\t0\n" in status
        with pytest.raises(OSError, match="ENOENT"):
            program.open(f"/inner/{outer}", os.O_RDONLY)
        assert program.open("/proc/1/status", os.O_RDONLY) >= 0
        program.umount2("/inner", 0)

    inside(machine, init)


@booted
def test_the_init_is_not_killed_from_inside(machine: Machine) -> None:
    def init(program: Program) -> None:
        def child(other: Program) -> None:
            for signo in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM):
                other.kill(1, signo)
            with pytest.raises(OSError, match="ESRCH"):
                other.kill(-1, signal.SIGKILL)

        program.fork(child)
        assert wait(program) == (2, 0)

    inside(machine, init)


@booted
def test_all_end_with_the_init(machine: Machine) -> None:
    def maker(program: Program) -> None:
        program.unshare(CLONE_NEWPID)

        def sleeper(other: Program) -> None:
            other.pause()

        def init(other: Program) -> None:
            for _ in range(3):
                other.fork(sleeper)
            other.fork(lambda _program: None)  # a zombie
            other.pause()

        pid = program.fork(init)
        program.nanosleep(struct.pack("<QQ", 1, 0), None)
        assert len(NUMBERS) == 5
        program.kill(pid, signal.SIGKILL)
        assert wait(program) == (pid, signal.SIGKILL)
        assert not NUMBERS
        with pytest.raises(OSError, match="ENOMEM"):
            program.fork(sleeper)

    check(machine, maker)


@booted
def test_orphans_go_to_the_init(machine: Machine) -> None:
    def init(program: Program) -> None:
        def parent(other: Program) -> None:
            def orphan(third: Program) -> int:
                third.nanosleep(struct.pack("<QQ", 1, 0), None)
                return third.getppid()

            other.fork(orphan)

        program.fork(parent)
        assert wait(program) == (2, 0)
        assert wait(program) == (3, 1 << 8)

    inside(machine, init)


@booted
def test_nesting_has_an_end(machine: Machine) -> None:
    def nest(depth: int) -> Main:
        def main(program: Program) -> int:
            assert program.getpid() == 1
            if depth == DEEPEST:
                with pytest.raises(OSError, match="ENOSPC"):
                    program.unshare(CLONE_NEWPID)
                numbers = NUMBERS[current().pid].by_level
                return 0 if numbers[1:] == list(range(DEEPEST, 0, -1)) else 2
            program.unshare(CLONE_NEWPID)
            program.fork(nest(depth + 1))
            return wait(program)[1] >> 8

        return main

    inside(machine, nest(1))


@booted
def test_entering_one(machine: Machine) -> None:
    mount_proc(machine.host)

    def maker(program: Program) -> None:
        program.unshare(CLONE_NEWPID)
        with pytest.raises(OSError, match="ENOENT"):
            link_text(program, "/proc/self/ns/pid_for_children")
        with pytest.raises(OSError, match="EINVAL"):
            program.unshare(CLONE_NEWPID)
        pid = program.fork(lambda other: other.pause())
        own = link_text(program, "/proc/self/ns/pid")
        below = link_text(program, "/proc/self/ns/pid_for_children")
        assert own != below == link_text(program, f"/proc/{pid}/ns/pid")
        file = program.open(f"/proc/{pid}/ns/pid", os.O_RDONLY)
        assert program.ioctl(file, NS_GET_NSTYPE, 0) == CLONE_NEWPID
        parent = program.ioctl(file, NS_GET_PARENT, 0)
        assert program.ioctl(file, NS_GET_PID_FROM_PIDNS, 1) == pid
        assert program.ioctl(file, NS_GET_PID_IN_PIDNS, pid) == 1
        with pytest.raises(OSError, match="EPERM"):
            program.ioctl(parent, NS_GET_PARENT, 0)
        program.setns(parent, CLONE_NEWPID)
        assert program.fork(lambda other: other.getpid() & 0x7F) != 2
        wait(program)
        program.setns(file, 0)

        def newcomer(other: Program) -> None:
            assert (other.getpid(), other.getppid()) == (2, 0)
            with pytest.raises(OSError, match="EINVAL"):
                other.setns(parent, 0)

        child = program.fork(newcomer)
        assert wait(program) == (child, 0)
        program.kill(pid, signal.SIGKILL)

    check(machine, maker)


@booted
def test_reboot_ends_the_init(machine: Machine) -> None:
    def maker(program: Program) -> None:
        program.unshare(CLONE_NEWPID)

        def init(other: Program) -> None:
            other.reboot(0xFEE1DEAD, 672274793, 0x01234567, 0)

        pid = program.fork(init)
        assert wait(program) == (pid, signal.SIGHUP)

    check(machine, maker)


@booted
def test_chosen_numbers(machine: Machine) -> None:
    def init(program: Program) -> None:
        program.fork(lambda other: other.pause())

        def choose(*numbers: int) -> int:
            places = program.code
            assert places is not None
            chosen = struct.pack(f"<{len(numbers)}i", *numbers)
            address = program.mmap(0, 4096, 3, 0x22, -1, 0)
            program.store(address, chosen)
            fields = [0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, address, len(numbers)]
            program.frame.r15 = program.code.add_main(lambda other: other.getpid())
            try:
                return program.clone3(struct.pack("<10Q", *fields), 80)
            finally:
                program.frame.r15 = 0

        assert choose(77) == 77 and wait(program, 77) == (77, 77 << 8)
        assert choose(78, 4078) == 78 and wait(program, 78) == (78, 78 << 8)
        for wrong, code in (((2,), "EEXIST"), ((0,), "EINVAL"), ((5, 1), "EEXIST"), ((5, 6, 7), "EINVAL")):
            with pytest.raises(OSError, match=code):
                choose(*wrong)

    inside(machine, init)


def taken(program: Program, signo: int) -> tuple[int, int]:
    """Take a pending signal that is blocked: its si_code and si_pid."""
    info = bytearray(128)
    program.rt_sigtimedwait(struct.pack("<Q", 1 << (signo - 1)), info, struct.pack("<QQ", 5, 0), 8)
    return struct.unpack_from("<i", info, 8)[0], struct.unpack_from("<i", info, 16)[0]


@booted
def test_who_sent_a_signal(machine: Machine) -> None:
    usr1 = signal.SIGUSR1

    def maker(program: Program) -> None:
        program.rt_sigprocmask(0, struct.pack("<Q", 1 << (usr1 - 1) | 1 << (signal.SIGCHLD - 1)), None, 8)
        program.unshare(CLONE_NEWPID)

        def init(other: Program) -> None:
            assert taken(other, usr1) == (0, 0)
            child = other.fork(lambda third: third.kill(1, usr1))
            assert taken(other, usr1) == (0, child)
            assert wait(other) == (child, 0)
            other.rt_sigqueueinfo(1, usr1, struct.pack("<iiiiii", usr1, 0, -1, 0, 7, 0) + bytes(104))
            assert taken(other, usr1) == (-1, 7)
            other.kill(0, usr1)  # the group that it was born in, outside
            assert taken(other, usr1) == (0, 1)

        pid = program.fork(init)
        program.kill(pid, usr1)
        assert wait(program) == (pid, 0)
        assert taken(program, signal.SIGCHLD)[1] == pid
        assert taken(program, usr1)[0] == 0

    check(machine, maker)


@booted
def test_a_descriptor_of_somebody_outside_is_no_way_out(machine: Machine) -> None:
    def maker(program: Program) -> None:
        descriptor = program.pidfd_open(1, 0)
        program.unshare(CLONE_NEWPID)

        def init(other: Program) -> None:
            for signo in (0, signal.SIGKILL):
                with pytest.raises(OSError, match="EINVAL"):
                    other.pidfd_send_signal(descriptor, signo, None, 0)
            with pytest.raises(OSError, match="EINVAL"):
                other.setns(descriptor, CLONE_NEWPID)

        pid = program.fork(init)
        assert wait(program) == (pid, 0)

    check(machine, maker)


@booted
def test_owners_and_holders(machine: Machine) -> None:
    def maker(program: Program) -> None:
        outer = program.getpid()
        file = program.open("/locked", os.O_RDWR | os.O_CREAT, 0o600)
        program.fcntl(file, 8, outer)  # F_SETOWN
        lock = struct.pack("<hhiqqii", 1, 0, 0, 0, 10, 0, 0)
        program.fcntl(file, 6, lock)  # F_SETLK
        queue = program.msgget(0, 0o600)
        program.msgsnd(queue, struct.pack("<q", 1) + b"x", 1, 0)
        program.unshare(CLONE_NEWPID)

        def init(other: Program) -> None:
            assert other.fcntl(file, 9, 0) == 0  # F_GETOWN
            with pytest.raises(OSError, match="ESRCH"):
                other.fcntl(file, 8, outer)
            other.fcntl(file, 8, 1)
            assert other.fcntl(file, 9, 0) == 1
            found = bytearray(lock)
            other.fcntl(file, 5, found)  # F_GETLK
            assert struct.unpack_from("<hhiqqi", found)[0] == 1 and struct.unpack_from("<i", found, 24)[0] == 0
            status = bytearray(120)
            other.msgctl(queue, 2, status)
            assert struct.unpack_from("<i", status, 96)[0] == 0
            other.msgrcv(queue, bytearray(9), 1, 0, 0)
            other.msgctl(queue, 2, status)
            assert struct.unpack_from("<ii", status, 96) == (0, 1)
            pair = bytearray(8)
            other.socketpair(1, 1, 0, pair)
            credentials, size = bytearray(12), bytearray(struct.pack("<i", 12))
            other.getsockopt(struct.unpack_from("<i", pair)[0], 1, 17, credentials, size)  # SO_PEERCRED
            assert struct.unpack_from("<i", credentials)[0] == 1

        pid = program.fork(init)
        assert wait(program) == (pid, 0)
        assert program.fcntl(file, 9, 0) == 0  # the init has gone
        program.msgctl(queue, 0, None)

    check(machine, maker)


@booted
def test_namespaces_leave_nothing(machine: Machine) -> None:
    def round_trip() -> None:
        inside(machine, lambda program: None)

    round_trip()
    reclaim_now()
    before = free_frame_count()
    for _ in range(5):
        round_trip()
    reclaim_now()
    assert free_frame_count() >= before - 8
