"""Files about a process that ends while they are read."""

import contextlib

import pytest

from kernel.lib.pace import PACE
from kernel.lib.pid import Pid
from kernel.mm.frames import free_frame_count
from kernel.sched.rest import SafePoint
from kernel.sched.scheduler import yield_now
from kernel.task.pids import find_process
from kernel.task.send import send_from_kernel
from kernel.task.siginfo import from_kernel
from kernel.task.signals import SIGKILL
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PAGE = 4096
AREAS = 6


def wait_with_memory(program: Program) -> int:
    for index in range(AREAS):
        place = program.mmap(0, 2 * PAGE, 3 if index % 2 else 1, 0x22, -1, 0)
        program.load(place, 1)
    program.pause()
    return 0


def read_while_it_ends(host: Program, name: str, when: int) -> bool:
    """Read a file of a process that is killed and ends at that safe point. Returns whether the reader came so far."""
    child = host.fork(wait_with_memory)
    host.sched_yield()
    file = host.open(f"/proc/{child}/{name}", 0, 0)
    process = find_process(Pid(child))
    assert process is not None
    reached = 0

    def take(_: SafePoint) -> None:
        nonlocal reached
        reached += 1
        if reached == when:
            send_from_kernel(process, from_kernel(SIGKILL))
            yield_now()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SafePoint, "take", take)
        patch.setattr("kernel.lib.pace.PACE_BUDGET", -1)  # wherever there may be one
        PACE.left = -1
        with contextlib.suppress(OSError):
            host.read(file, bytearray(4096), 4096)
    host.kill(child, SIGKILL)
    host.wait4(child, bytearray(4), 0, 0)
    host.close(file)
    return reached >= when


@booted
@pytest.mark.parametrize("name", ["status", "statm", "stat", "maps", "smaps", "smaps_rollup", "pagemap", "mem", "auxv"])
def test_its_memory_ends_once(machine: Machine, name: str) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    read_while_it_ends(host, name, 0)
    free = free_frame_count()
    for when in range(1, 1000):
        if not read_while_it_ends(host, name, when):
            break
        assert free_frame_count() == free
    else:
        pytest.fail("it never ends")
