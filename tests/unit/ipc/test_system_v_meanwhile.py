"""System V objects that go, come or are changed while another thread is in a call about them, on a booted machine."""

import struct

import pytest

from kernel.ipc.shared_memory import Segment
from kernel.lang import EAGAIN, EINVAL, Errno
from kernel.mm import objects
from kernel.mm.huge_pool import HugePool
from kernel.mm.space import AddressSpace
from kernel.sched import WaitQueue
from kernel.syscalls import remap_file_pages
from kernel.task import current
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CREATE = 0o1600  # IPC_CREAT, for the owner
HUGE = 0o4000  # SHM_HUGETLB
REMOVE = 0
GETVAL = 12
PAGE = 4096
KEY = 7


def remove(identifier: int) -> None:
    """Another thread removes a segment."""
    segment = current().namespaces.ipc.segments.get(identifier)
    segment.remove()


@booted
def test_nobody_finds_a_segment_whose_memory_is_freed(machine: Machine) -> None:
    host = machine.host
    segment = host.shmget(0, PAGE, CREATE)
    address = host.shmat(segment, 0, 0)
    host.store(address, b"there is a page to free")
    errors: list[int] = []

    def look(cost: int) -> None:
        try:
            remove(segment)
        except Errno as error:
            errors.append(error.code)

    host.shmctl(segment, REMOVE, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "pace", look)
        host.shmdt(address)
    assert errors == [EINVAL]


@booted
def test_a_segment_goes_before_it_is_attached(machine: Machine) -> None:
    host = machine.host
    segment = host.shmget(0, PAGE, CREATE)
    settle = AddressSpace.settle
    calls: list[int] = []

    def wait(self: AddressSpace) -> None:
        settle(self)
        calls.append(1)
        if len(calls) == 1:
            remove(segment)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="EINVAL"):
        patch.setattr(AddressSpace, "settle", wait)
        host.shmat(segment, 0, 0)


@booted
def test_an_attachment_goes_before_its_pages_are_mapped_anew(machine: Machine) -> None:
    host = machine.host
    segment = host.shmget(0, 2 * PAGE, CREATE)
    address = host.shmat(segment, 0, 0)
    host.shmctl(segment, REMOVE, 0)

    def detach(space: AddressSpace, length: int, flags: int) -> None:
        space.unmap(address, 2 * PAGE)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="EINVAL"):
        patch.setattr(remap_file_pages, "check_lock_limit", detach)
        host.remap_file_pages(address, PAGE, 0, 1, 0)
    with pytest.raises(OSError, match="EINVAL"):
        host.shmat(segment, 0, 0)


@booted
def test_two_threads_create_the_segment_of_a_key(machine: Machine) -> None:
    """To reserve huge pages takes long enough."""
    host = machine.host
    others: list[int] = []

    def reserve(self: Segment, pool: HugePool, *, reserves: bool) -> None:
        segments = current().namespaces.ipc.segments
        task = current()
        others.append(segments.open(KEY, PAGE, CREATE, task.credentials, task.process.as_bearer()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Segment, "use_huge_pages", reserve)
        assert host.shmget(KEY, PAGE, CREATE | HUGE) == others[0]
    assert len(others) == 1 and host.shmget(KEY, PAGE, 0) == others[0]
    host.shmctl(others[0], REMOVE, 0)


@booted
def test_operations_for_which_there_is_no_memory_to_wait(machine: Machine) -> None:
    host = machine.host
    semaphores = host.semget(0, 1, CREATE)

    def fail(self: WaitQueue, deadline_ns: int, interruptible: bool = True) -> bool:
        raise MemoryError

    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="ENOMEM"):
        patch.setattr(WaitQueue, "sleep_until", fail)
        host.semtimedop(semaphores, struct.pack("<Hhh", 0, -1, 0), 1, struct.pack("<qq", 1, 0))
    host.semop(semaphores, struct.pack("<Hhh", 0, 1, 0), 1)
    assert host.semctl(semaphores, 0, GETVAL, 0) == 1  # nobody took it


@booted
def test_a_queue_goes_before_its_receiver_has_looked_again(machine: Machine) -> None:
    host = machine.host
    identifier = host.msgget(0, CREATE)

    def receive(program: Program) -> None:
        with pytest.raises(OSError, match="EIDRM"):
            program.msgrcv(identifier, bytearray(16), 8, 0, 0)

    pid = host.fork(receive)
    host.nanosleep(struct.pack("<qq", 1, 0), None)
    queue = current().namespaces.ipc.queues.table.get(identifier)
    queue._wake_receivers(EAGAIN)  # as IPC_SET does
    host.msgctl(identifier, REMOVE, 0)
    assert machine.wait(pid) == 0
