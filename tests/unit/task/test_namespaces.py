"""Mount and UTS namespaces, on a booted machine."""

import os
import struct

import pytest

from kernel.fs.path import MOUNTS
from kernel.lib.pid import Pid
from kernel.mm.frames import free_frame_count
from kernel.task.pids import find_task
from tests.unit.booted import booted
from tests.unit.syscalls.test_files import names_in, read_all, write_new
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CLONE_FS = 0x200
CLONE_FILES = 0x400
CLONE_THREAD = 0x1_0000
CLONE_NEWNS = 0x2_0000
CLONE_NEWUTS = 0x400_0000
CLONE_NEWIPC = 0x800_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000
CLONE_NEWTIME = 0x80
NS_GET_NSTYPE = 0xB703
SECOND = struct.pack("<QQ", 1, 0)


def host_name(program: Program) -> bytes:
    names = bytearray(390)
    program.uname(names)
    return bytes(names[65:130]).rstrip(b"\0")


def link_text(program: Program, path: str) -> bytes:
    buffer = bytearray(100)
    return bytes(buffer[: program.readlink(path, buffer, 100)])


def mount_proc(program: Program) -> None:
    program.mkdir("/proc", 0o755)
    program.mount("proc", "/proc", "proc", 0, None)


@booted
def test_a_host_name_of_its_own(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    host.sethostname("outside", 7)

    def child(program: Program) -> None:
        program.unshare(CLONE_NEWUTS)
        assert host_name(program) == b"outside"
        program.sethostname("inside", 6)
        assert host_name(program) == b"inside" and read_all(program, "/proc/sys/kernel/hostname") == b"inside\n"
        assert link_text(program, "/proc/self/ns/uts") != link_text(program, "/proc/1/ns/uts")
        original = program.open("/proc/1/ns/uts", os.O_RDONLY)
        assert program.ioctl(original, NS_GET_NSTYPE, 0) == CLONE_NEWUTS
        with pytest.raises(OSError, match="EINVAL"):
            program.setns(original, CLONE_NEWNS)
        program.setns(original, 0)
        assert host_name(program) == b"outside"

    assert machine.run(child) == 0
    assert host_name(host) == b"outside"
    assert link_text(host, "/proc/self/ns/uts") == b"uts:[4026531838]"


@booted
def test_mounts_of_its_own_end_with_it(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    host.mkdir("/mnt", 0o755)
    host.mount("none", "/mnt", "tmpfs", 0, None)
    write_new(host, "/mnt/shared", b"")
    before = len(MOUNTS)

    def child(program: Program) -> None:
        program.chdir("/mnt")
        program.unshare(CLONE_NEWNS)
        assert len(MOUNTS) == 2 * before
        program.mount("none", "/tmp", "tmpfs", 0, None)
        write_new(program, "/tmp/inside", b"")
        write_new(program, "shared-too", b"")  # the working directory is the copy's
        program.chdir("/")
        program.umount2("/mnt", 0)
        assert names_in(program, "/mnt") == [".", ".."]
        assert b"/mnt" not in read_all(program, "/proc/self/mounts")
        assert b"/mnt" in read_all(program, "/proc/1/mounts")

    assert machine.run(child) == 0
    assert len(MOUNTS) == before
    assert names_in(host, "/mnt") == [".", "..", "shared", "shared-too"]
    assert names_in(host, "/tmp") == [".", ".."]


@booted
def test_entering_the_mounts_of_another(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)

    def inner(program: Program) -> None:
        program.unshare(CLONE_NEWNS)
        program.mount("none", "/tmp", "tmpfs", 0, None)
        write_new(program, "/tmp/inside", b"")
        program.nanosleep(SECOND, None)

    pid = host.fork(inner)
    host.nanosleep(struct.pack("<QQ", 0, 100_000_000), None)

    def by_file(program: Program) -> None:
        tree = program.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
        program.setns(tree, CLONE_NEWNS)
        assert names_in(program, "/tmp") == [".", "..", "inside"]

    def by_process(program: Program) -> None:
        process = program.pidfd_open(pid, 0)
        program.setns(process, CLONE_NEWNS | CLONE_NEWUTS)
        assert names_in(program, "/tmp") == [".", "..", "inside"]
        with pytest.raises(OSError, match="EINVAL"):
            program.setns(process, 0)

    assert machine.run(by_file) == 0
    assert machine.run(by_process) == 0
    tree = host.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    assert machine.wait(pid) == 0

    def later(program: Program) -> None:
        program.setns(tree, CLONE_NEWNS)  # the open file keeps it
        assert names_in(program, "/tmp") == [".", "..", "inside"]

    assert machine.run(later) == 0
    before = len(MOUNTS)
    host.close(tree)
    assert len(MOUNTS) == before - 3


@booted
def test_places_of_another_namespace_can_not_be_mounted_on(machine: Machine) -> None:
    host = machine.host
    outside = host.open("/tmp", os.O_RDONLY | os.O_DIRECTORY)

    def child(program: Program) -> None:
        program.unshare(CLONE_NEWNS)
        program.fchdir(outside)
        with pytest.raises(OSError, match="EINVAL"):
            program.mount("none", ".", "tmpfs", 0, None)
        program.mkdir("below", 0o755)
        with pytest.raises(OSError, match="EINVAL"):
            program.mount(".", "/tmp", None, 0x1000, None)  # MS_BIND

    assert machine.run(child) == 0


@booted
def test_who_may(machine: Machine) -> None:
    def child(program: Program) -> None:
        program.setresuid(1000, 1000, 1000)
        for flags in (CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWPID, CLONE_NEWNET):
            with pytest.raises(OSError, match="EPERM"):
                program.unshare(flags)
            with pytest.raises(OSError, match="EPERM"):
                program.clone(flags | 17, 0, 0, 0, 0)
        with pytest.raises(OSError, match="EPERM"):
            program.unshare(CLONE_NEWTIME)
        program.unshare(CLONE_FS | CLONE_FILES)
        for flags in (1, 1 << 40):
            with pytest.raises(OSError, match="EINVAL"):
                program.unshare(flags)
        program.unshare(CLONE_THREAD)  # it is the only one

    assert machine.run(child) == 0


@booted
def test_objects_of_system_v_of_its_own(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    key = 1234
    queue = host.msgget(key, 0o1600)
    segment = host.shmget(key, 4096, 0o1600)
    semaphores = host.semget(key, 1, 0o1600)
    host.mq_open("name", os.O_RDWR | os.O_CREAT, 0o600, None)

    def child(program: Program) -> None:
        program.semop(semaphores, bytearray(struct.pack("<Hhh", 0, 3, 0x1000)), 1)  # SEM_UNDO
        program.unshare(CLONE_NEWIPC)
        for number, call in ((queue, program.msgctl), (segment, program.shmctl)):
            with pytest.raises(OSError, match="EINVAL"):
                call(number, 2, bytearray(200))
        with pytest.raises(OSError, match="ENOENT"):
            program.msgget(key, 0)
        with pytest.raises(OSError, match="ENOENT"):
            program.mq_open("name", os.O_RDWR, 0, None)
        inside = program.msgget(key, 0o1600)
        program.msgsnd(inside, bytearray(b"\1" + bytes(15)), 8, 0)
        address = program.shmat(program.shmget(key, 4096, 0o1600), 0, 0)
        program.store(address, b"kept")
        program.semget(key, 5, 0o1600)
        program.mq_open("inside", os.O_RDWR | os.O_CREAT, 0o600, None)
        assert len(read_all(program, "/proc/sysvipc/msg").splitlines()) == 2
        original = program.open("/proc/1/ns/ipc", os.O_RDONLY)
        program.setns(original, CLONE_NEWIPC)
        assert program.msgget(key, 0) == queue
        assert program.load(address, 4) == b"kept"  # its segment has gone but for this

    assert machine.run(child) == 0
    frames = free_frame_count()
    assert machine.run(child) == 0
    assert free_frame_count() == frames
    assert host.semctl(semaphores, 0, 12, 0) == 0  # what the child had to undo was undone
    assert len(read_all(host, "/proc/sysvipc/shm").splitlines()) == 2
    assert link_text(host, "/proc/self/ns/ipc") == b"ipc:[4026531839]"


@pytest.mark.parametrize("by_process", [False, True])
@booted
def test_entering_the_same_ipc_namespace_undoes_semaphores(machine: Machine, by_process: bool) -> None:
    host = machine.host
    mount_proc(host)
    semaphores = host.semget(1234, 1, 0o1600)

    def child(program: Program) -> None:
        program.semop(semaphores, bytearray(struct.pack("<Hhh", 0, 3, 0x1000)), 1)  # SEM_UNDO
        uts = program.open("/proc/self/ns/uts", os.O_RDONLY)
        program.setns(uts, CLONE_NEWUTS)
        assert program.semctl(semaphores, 0, 12, 0) == 3
        own = program.pidfd_open(1, 0) if by_process else program.open("/proc/self/ns/ipc", os.O_RDONLY)
        program.setns(own, CLONE_NEWIPC)
        assert program.semctl(semaphores, 0, 12, 0) == 0
        program.semop(semaphores, bytearray(struct.pack("<Hhh", 0, 2, 0x1000)), 1)
        program.unshare(CLONE_NEWUTS)
        assert program.semctl(semaphores, 0, 12, 0) == 2

    assert machine.run(child) == 0
    assert host.semctl(semaphores, 0, 12, 0) == 0


@booted
def test_a_set_is_copied_only_for_what_is_in_it(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)

    def child(program: Program) -> None:
        task = find_task(Pid(program.getpid()))
        assert task is not None
        first = task.namespaces
        program.unshare(CLONE_NEWNS)
        mounts = program.open("/proc/1/ns/mnt", os.O_RDONLY)
        program.setns(mounts, CLONE_NEWNS)
        assert task.namespaces is first
        program.unshare(CLONE_NEWNS | CLONE_NEWUTS)
        assert task.namespaces is not first and task.namespaces.ipc is first.ipc

    assert machine.run(child) == 0


@booted
def test_nobody_enters_the_ipc_namespace_of_a_process_that_has_ended(machine: Machine) -> None:
    """Its objects have gone with its last task."""
    host = machine.host
    mount_proc(host)

    def child(program: Program) -> None:
        program.unshare(CLONE_NEWIPC)

    pid = host.fork(child)
    host.nanosleep(SECOND, None)
    with pytest.raises(OSError, match="ENOENT"):
        host.open(f"/proc/{pid}/ns/ipc", os.O_RDONLY)
    assert machine.wait(pid) == 0
