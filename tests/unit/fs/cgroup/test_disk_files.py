"""The controller io and pressure on a booted machine: what is written, what is counted, what waits."""

import os
import signal

import pytest

from kernel.block import throttle
from kernel.block.device import BLOCK_DEVICES, BlockRequest, Operation
from kernel.cgroup.disks import DiskControl
from kernel.cgroup.group import TOP
from kernel.mm.frames import allocate_zeroed_frame
from kernel.sched.pressure import AT_DISK, READY, RUNNING_ON
from kernel.task.task import current
from kernel.time.clock import NS_PER_MS, monotonic_ns
from tests.unit.booted import booted
from tests.unit.fs.cgroup.test_control_groups import get, mounted, put
from tests.unit.fs.ext2.conftest import make_image
from tests.unit.syscalls.test_files import names_in
from tools.simulated.disk import FIRST_NUMBER, attach_disk
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PAGE = 4096


def has_waiting(control: DiskControl) -> bool:
    return not control.held.requests.is_empty()


@booted
def test_limits_are_written_by_disk(machine: Machine) -> None:
    host = mounted(machine)
    attach_disk(make_image(1024))
    put(host, "/cg/cgroup.subtree_control", b"+io")
    host.mkdir("/cg/a", 0o755)
    assert get(host, "/cg/a/io.max") == b"" and get(host, "/cg/a/io.stat") == b""
    put(host, "/cg/a/io.max", b"254:0 rbps=1000 wiops=max")
    assert get(host, "/cg/a/io.max") == b"254:0 rbps=1000 wbps=max riops=max wiops=max\n"
    put(host, "/cg/a/io.max", b"254:0 riops=4294967295 wiops=99999999999")
    assert get(host, "/cg/a/io.max") == b"254:0 rbps=1000 wbps=max riops=max wiops=max\n"
    put(host, "/cg/a/io.max", b"254:0 wiops=7\n")
    assert get(host, "/cg/a/io.max") == b"254:0 rbps=1000 wbps=max riops=max wiops=7\n"
    for text, error in ((b"254:0 rbps=0", "ERANGE"), (b"254:0 rbps=1", "EINVAL"), (b"9:9 rbps=5", "ENODEV"),
                        (b"254 rbps=5", "EINVAL"), (b"254:0rbps=5", "EINVAL"), (b"254:0 rbps", "EINVAL")):  # fmt: skip
        with pytest.raises(OSError, match=error):
            put(host, "/cg/a/io.max", text)
    put(host, "/cg/a/io.max", b"254:0 rbps=max wiops=max")
    assert get(host, "/cg/a/io.max") == b""
    host.rmdir("/cg/a")


@booted
def test_a_request_that_comes_too_early_waits(machine: Machine) -> None:
    """And begins at once when the limit goes."""
    host = mounted(machine)
    attach_disk(make_image(1024))
    put(host, "/cg/cgroup.subtree_control", b"+io")
    host.mkdir("/cg/a", 0o755)
    put(host, "/cg/a/io.max", b"254:0 rbps=2")

    def child(program: Program) -> int:
        put(program, "/cg/a/cgroup.procs", b"0")
        disk = BLOCK_DEVICES[FIRST_NUMBER]
        requests = []
        for sector in (0, 8, 16):
            request = BlockRequest(Operation.READ, sector)
            request.frames.append(allocate_zeroed_frame())
            request.length = PAGE
            disk.start(request)
            requests.append(request)
        assert [request.is_finished() for request in requests] == [True, False, False]
        control = current().cgroup.nearest_disks()
        assert control is not None and has_waiting(control)
        assert get(program, "/cg/a/io.stat") == b"254:0 rbytes=12288 wbytes=0 rios=3 wios=0 dbytes=0 dios=0\n"
        put(program, "/cg/a/io.max", b"254:0 rbps=max")
        assert all(request.is_finished() and request.error == 0 for request in requests)
        assert not has_waiting(control)
        put(program, "/cg/a/io.max", b"254:0 rbps=2")
        is_ending = throttle._must_end
        throttle._must_end = lambda thread: True
        try:
            for sector in (24, 32):  # counted, and begun at once
                request = BlockRequest(Operation.READ, sector)
                request.frames.append(allocate_zeroed_frame())
                request.length = PAGE
                disk.start(request)
                assert request.is_finished()
        finally:
            throttle._must_end = is_ending
        assert get(program, "/cg/a/io.stat") == b"254:0 rbytes=20480 wbytes=0 rios=5 wios=0 dbytes=0 dios=0\n"
        return 0

    assert machine.run(child) == 0
    host.rmdir("/cg/a")


@booted
def test_whoever_ends_does_not_wait_for_its_share(machine: Machine) -> None:
    """The record that process accounting writes is charged to it, and everybody else's end waits for the file."""
    host = mounted(machine)
    attach_disk(make_image(1024))
    host.mount("none", "/dev", "devtmpfs", 0, None)
    host.mkdir("/mnt", 0o755)
    host.mount("/dev/vda", "/mnt", "ext2", 0, None)
    put(host, "/cg/cgroup.subtree_control", b"+io")
    host.mkdir("/cg/a", 0o755)
    put(host, "/cg/a/io.max", b"254:0 wbps=2")
    host.close(host.open("/mnt/account", os.O_CREAT | os.O_RDWR, 0o600))
    host.acct("/mnt/account")

    def child(program: Program) -> int:
        put(program, "/cg/a/cgroup.procs", b"0")
        return 0

    before_ns = monotonic_ns()
    for _ in range(3):
        assert machine.run(child) == 0
    host.acct(None)
    assert len(get(host, "/mnt/account")) >= 3 * 64
    assert monotonic_ns() - before_ns < 1000 * NS_PER_MS
    host.rmdir("/cg/a")
    host.umount2("/mnt", 0)


@booted
@pytest.mark.parametrize("moves", [False, True])
def test_a_kill_ends_the_wait_for_a_held_request(machine: Machine, moves: bool) -> None:
    """Whichever group the thread is in by then."""
    host = mounted(machine)
    attach_disk(make_image(4096))
    host.mount("none", "/dev", "devtmpfs", 0, None)
    host.mkdir("/mnt", 0o755)
    host.mount("/dev/vda", "/mnt", "ext2", 0, None)
    for name in ("/mnt/a", "/mnt/b"):
        host.close(host.open(name, os.O_CREAT | os.O_RDWR, 0o600))
        put(host, name, bytes(PAGE))
    host.umount2("/mnt", 0)
    host.mount("/dev/vda", "/mnt", "ext2", 0, None)
    files = [host.open(name, os.O_RDONLY) for name in ("/mnt/a", "/mnt/b")]
    put(host, "/cg/cgroup.subtree_control", b"+io")
    host.mkdir("/cg/a", 0o755)
    put(host, "/cg/a/io.max", b"254:0 rbps=2")

    def reader(program: Program) -> int:
        put(program, "/cg/a/cgroup.procs", b"0")
        for file in files:
            program.read(file, bytearray(PAGE), PAGE)
        return 0

    before_ns = monotonic_ns()
    first = host.fork(reader)
    for _ in range(10):
        host.sched_yield()
    assert monotonic_ns() - before_ns < 1000 * NS_PER_MS
    if moves:
        put(host, "/cg/cgroup.procs", str(first).encode())
    host.kill(first, signal.SIGKILL)
    host.wait4(first, None, 0, None)
    assert monotonic_ns() - before_ns < 2000 * NS_PER_MS
    for file in files:
        host.close(file)
    host.umount2("/mnt", 0)
    host.rmdir("/cg/a")


@booted
def test_threads_of_a_group_count_while_they_live(machine: Machine) -> None:
    host = mounted(machine)
    host.mkdir("/cg/a", 0o755)
    host.mkdir("/cg/a/b", 0o755)
    outer, inner = TOP.children[b"a"].pressure, TOP.children[b"a"].children[b"b"].pressure

    def counts() -> list[int]:
        return [outer.counts[standing] for standing in (READY, RUNNING_ON, AT_DISK)]

    def child(program: Program) -> int:
        put(program, "/cg/a/cgroup.procs", b"0")
        assert counts() == [0, 1, 0]
        first = program.fork(lambda other: other.pause())
        put(program, "/cg/a/b/cgroup.procs", b"%d" % first)
        assert counts()[1] == 1
        program.kill(first, 9)
        program.wait4(first, None, 0, None)
        assert counts() == [0, 1, 0] and inner.counts[READY] == inner.counts[RUNNING_ON] == 0
        put(program, "/cg/cgroup.procs", b"0")
        assert counts() == [0, 0, 0]
        put(program, "/cg/a/cgroup.procs", b"0")
        return 0

    assert machine.run(child) == 0
    assert counts() == [0, 0, 0]
    host.rmdir("/cg/a/b")
    host.rmdir("/cg/a")


@booted
def test_pressure_files_come_and_go(machine: Machine) -> None:
    host = mounted(machine)
    host.mkdir("/cg/a", 0o755)
    assert get(host, "/proc/pressure/io").startswith(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=")
    file = host.open("/cg/a/cpu.pressure", os.O_RDWR)
    host.write(file, b"some 1000 2000000", 17)
    with pytest.raises(OSError, match="EBUSY"):
        host.write(file, b"some 1000 2000000", 17)
    host.close(file)
    put(host, "/cg/a/cgroup.pressure", b"0")
    assert b"cpu.pressure" not in [name.encode() for name in names_in(host, "/cg/a")]
    put(host, "/cg/a/cgroup.pressure", b"1")
    assert len(get(host, "/cg/a/cpu.pressure").splitlines()) == 2
    host.rmdir("/cg/a")
