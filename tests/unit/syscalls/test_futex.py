"""Futexes by system calls (kernel/syscalls/futex.py, futex_waitv.py), on a booted machine.

Processes share the words, because a program here is one thread.
"""

import struct
from collections.abc import Callable

import pytest

from kernel.lang import EAGAIN, Errno, UserAddr
from kernel.lib import user
from kernel.sched import sleep_until
from kernel.task import current, futex_pi
from kernel.time.clock import monotonic_ns
from tests.unit.booted import booted
from tests.unit.scarcity import Scarcity, each_place
from tools.simulated.machine import Machine
from tools.simulated.program import Program

WAIT, WAKE, REQUEUE, COMPARE_REQUEUE, WAKE_OP, LOCK_PI, UNLOCK_PI, TRYLOCK_PI, WAIT_BITSET = 0, 1, 3, 4, 5, 6, 7, 8, 9
WAKE_BITSET, WAIT_REQUEUE_PI, COMPARE_REQUEUE_PI, LOCK_PI2 = 10, 11, 12, 13
PRIVATE = 128
REALTIME = 256
SIZE_32 = 2
SHARED = 0x21  # MAP_SHARED | MAP_ANONYMOUS
FAULTY = 16  # an address without memory
NOW = struct.pack("<qq", 0, 0)
WRONG = struct.pack("<qq", 0, -1)
ANY = 0xFFFF_FFFF
HAS_WAITERS = 0x8000_0000
NS_PER_MS = 1_000_000


def words(program: Program, *values: int) -> int:
    """Words that children share."""
    place = program.mmap(0, 4096, 3, SHARED, -1, 0)
    program.store(place, struct.pack(f"<{len(values)}I", *values))
    return place


def word(program: Program, address: int) -> int:
    return int(struct.unpack("<I", program.load(address, 4))[0])


def sleep(program: Program) -> None:
    """Let the others run until they sleep."""
    program.nanosleep(struct.pack("<qq", 0, 5 * NS_PER_MS), None)


def waiters(machine: Machine, place: int, count: int, bits: int = ANY) -> list[int]:
    """Children that wait on a word while it holds 0, and end with 7 when they are woken."""

    def child(program: Program) -> int:
        program.futex(place, WAIT_BITSET, 0, None, None, bits)
        return 7

    pids = [machine.host.fork(child) for _ in range(count)]
    sleep(machine.host)
    return pids


def vector(*futexes: tuple[int, int, int, int]) -> bytes:
    """struct futex_waitv: value, address, flags, reserved."""
    return b"".join(struct.pack("<QQII", *each) for each in futexes)


@booted
def test_as_many_wake_as_was_asked_for(machine: Machine) -> None:
    host = machine.host
    place = words(host, 0)
    pids = waiters(machine, place, 3)
    assert host.futex(place, WAKE, 2, None, None, 0) == 2
    assert host.futex(place, WAKE, 5, None, None, 0) == 1
    assert [machine.wait(pid) >> 8 for pid in pids] == [7, 7, 7]
    assert host.futex(place, WAKE, 5, None, None, 0) == 0


@booted
def test_only_waiters_with_a_common_bit_wake(machine: Machine) -> None:
    host = machine.host
    place = words(host, 0)
    pids = waiters(machine, place, 1, bits=6)
    assert host.futex(place, WAKE_BITSET, 1, None, None, 1) == 0
    assert host.futex_wake(place, 1, 1, SIZE_32) == 0
    assert host.futex(place, WAKE_BITSET, 1, None, None, 4) == 1
    machine.wait(pids[0])
    with pytest.raises(OSError, match="EINVAL"):
        host.futex(place, WAKE_BITSET, 1, None, None, 0)


@booted
def test_waiters_move_to_another_word(machine: Machine) -> None:
    host = machine.host
    place = words(host, 0, 0)
    pids = waiters(machine, place, 3)
    with pytest.raises(OSError, match="EAGAIN"):
        host.futex(place, COMPARE_REQUEUE, 1, 5, place + 4, 9)
    assert host.futex(place, COMPARE_REQUEUE, 1, 5, place + 4, 0) == 3
    assert host.futex(place, WAKE, 5, None, None, 0) == 0
    assert host.futex(place + 4, WAKE, 5, None, None, 0) == 2
    for pid in pids:
        machine.wait(pid)


@booted
def test_the_newer_calls_do_the_same(machine: Machine) -> None:
    host = machine.host
    place = words(host, 0, 0)
    pids = waiters(machine, place, 3)
    pair = vector((0, place, SIZE_32, 0), (0, place + 4, SIZE_32, 0))
    assert host.futex_requeue(pair, 0, 1, 1) == 2
    assert host.futex_wake(place, ANY, 0, SIZE_32) == 0
    assert host.futex_wake(place, ANY, -1, SIZE_32) == 1  # at least one
    assert host.futex_wake(place + 4, ANY, 9, SIZE_32) == 1
    for pid in pids:
        machine.wait(pid)


@booted
def test_a_wait_for_several_words_tells_which(machine: Machine) -> None:
    host = machine.host
    place = words(host, 0, 0, 0)

    def child(program: Program) -> int:
        return program.futex_waitv(vector(*((0, place + 4 * i, SIZE_32, 0) for i in range(3))), 3, 0, None, 0)

    pid = host.fork(child)
    sleep(host)
    assert host.futex(place + 8, WAKE, 1, None, None, 0) == 1
    assert machine.wait(pid) >> 8 == 2


@booted
def test_a_wait_on_several_words_that_finds_no_memory(machine: Machine) -> None:
    """It leaves no waiter, whichever word it has come to."""
    host = machine.host
    place = words(host, 0, 1)
    first, second = (0, place, SIZE_32, 0), (0, place + 4, SIZE_32, 0)

    def attempt(scarcity: Scarcity) -> None:
        with pytest.raises(OSError, match=r"EAGAIN|ENOMEM"), scarcity:
            host.futex_waitv(vector(first, second), 2, 0, None, 0)

    each_place(attempt, fewest=6)


@booted
def test_a_word_is_changed_and_compared_on_the_way(machine: Machine) -> None:
    host = machine.host
    place = words(host, 0, 5)
    operation = 1 << 28 | 0 << 24 | 3 << 12 | 5  # add 3; wake waiters of the second too if it was 5
    assert host.futex(place, WAKE_OP, 1, 1, place + 4, operation) == 0
    assert word(host, place + 4) == 8
    with pytest.raises(OSError, match="EINVAL"):
        host.futex(place + 1, WAKE_OP, 1, 1, FAULTY, operation)


@booted
def test_a_lock_with_priority_inheritance_changes_hands(machine: Machine) -> None:
    host = machine.host
    place = words(host, 0)
    assert host.futex(place, LOCK_PI, 0, None, None, 0) == 0
    assert word(host, place) == host.gettid()
    with pytest.raises(OSError, match=r"EDEADLO?C?K"):
        host.futex(place, LOCK_PI, 0, None, None, 0)

    def child(program: Program) -> None:
        with pytest.raises(OSError, match="EAGAIN"):
            program.futex(place, TRYLOCK_PI, 0, None, None, 0)
        with pytest.raises(OSError, match="EPERM"):
            program.futex(place, UNLOCK_PI, 0, None, None, 0)
        program.futex(place, LOCK_PI, 0, None, None, 0)
        assert word(program, place) & 0x3FFF_FFFF == program.gettid()
        program.futex(place, UNLOCK_PI, 0, None, None, 0)

    pid = host.fork(child)
    sleep(host)
    host.futex(place, UNLOCK_PI, 0, None, None, 0)
    assert machine.wait(pid) == 0
    assert word(host, place) == 0


def call_while_a_waiter_gives_up(machine: Machine, wait: Callable[[Program, bytes], object], *call: int) -> int:
    """Make a futex call whose first store has to wait for the word's page. Meanwhile the time limit of a child passes
    that waits by `wait`.
    """
    host = machine.host
    compare_and_swap = user.compare_and_swap_u32
    slept: list[bool] = []

    def waiter(program: Program) -> None:
        now = bytearray(16)
        program.clock_gettime(1, now)
        second, nanosecond = struct.unpack("<qq", now)
        limit = struct.pack("<qq", *divmod(second * 1_000_000_000 + nanosecond + 50 * NS_PER_MS, 1_000_000_000))
        with pytest.raises(OSError, match="ETIMEDOUT"):
            wait(program, limit)

    def late(address: UserAddr, old: int, new: int) -> int:
        if len(slept) == 0:
            slept.append(sleep_until(monotonic_ns() + 100 * NS_PER_MS))
        return compare_and_swap(address, old, new)

    pid = host.fork(waiter)
    sleep(host)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(user, "compare_and_swap_u32", late)
        result = host.futex(*call)
    assert slept == [False]
    assert machine.wait(pid) == 0
    return result


@booted
def test_a_lock_does_not_go_to_a_waiter_that_has_given_up(machine: Machine) -> None:
    host = machine.host
    place = words(host, 0)
    host.futex(place, LOCK_PI, 0, None, None, 0)

    def wait(program: Program, limit: bytes) -> None:
        program.futex(place, LOCK_PI2, 0, limit, None, 0)

    assert call_while_a_waiter_gives_up(machine, wait, place, UNLOCK_PI, 0, 0, 0, 0) == 0
    assert word(host, place) == 0


@booted
def test_nobody_is_moved_to_a_lock_who_has_given_up(machine: Machine) -> None:
    host = machine.host
    place = words(host, 7, 0)

    def wait(program: Program, limit: bytes) -> None:
        program.futex(place, WAIT_REQUEUE_PI, 7, limit, place + 4, 0)

    assert call_while_a_waiter_gives_up(machine, wait, place, COMPARE_REQUEUE_PI, 1, 1, place + 4, 7) == 0
    assert word(host, place + 4) == 0


@booted
def test_the_owner_of_a_lock_has_ended(machine: Machine) -> None:
    """It stays as a zombie, and will never unlock."""
    host = machine.host
    place = words(host, 0)
    pid = host.fork(lambda program: program.futex(place, LOCK_PI, 0, None, None, 0))
    sleep(host)
    for command in (LOCK_PI, TRYLOCK_PI):
        with pytest.raises(OSError, match="ESRCH"):
            host.futex(place, command, 0, None, None, 0)
    assert machine.wait(pid) == 0


@booted
def test_a_lock_is_its_heir_s_before_the_word_says_so(machine: Machine) -> None:
    host = machine.host
    place = words(host, 0)
    write = futex_pi._write_owner
    errors: list[int] = []

    def owner(program: Program) -> None:
        program.futex(place, LOCK_PI, 0, None, None, 0)
        sleep(program)

    def late(address: UserAddr, fresh: int) -> None:
        """The owner's robust list has freed the word, and another thread tries to take the lock."""
        user.write_u32(address, 0xC000_0000)
        try:
            futex_pi.lock(current(), address, True, 0, waits=False)
        except Errno as error:
            errors.append(error.code)
        write(address, fresh)

    def heir(program: Program) -> None:
        program.futex(place, LOCK_PI, 0, None, None, 0)
        program.futex(place, UNLOCK_PI, 0, None, None, 0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(futex_pi, "_write_owner", late)
        for pid in [host.fork(owner), host.fork(heir)]:
            assert machine.wait(pid) == 0
    assert errors == [EAGAIN]
    assert host.futex(place, TRYLOCK_PI, 0, None, None, 0) == 0


@booted
def test_a_lock_without_memory_for_the_wait(machine: Machine) -> None:
    """Nobody hands it over to the thread that has given up."""
    host = machine.host
    place = words(host, 0)
    host.futex(place, LOCK_PI, 0, None, None, 0)

    def waiter(program: Program) -> None:
        with pytest.raises(OSError, match="ENOMEM"):
            program.futex(place, LOCK_PI2, 0, struct.pack("<qq", 1000, 0), None, 0)

    def fail(deadline_ns: int, interruptible: bool = True) -> bool:
        raise MemoryError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(futex_pi, "sleep_until", fail)
        assert machine.wait(host.fork(waiter)) == 0
    host.futex(place, UNLOCK_PI, 0, None, None, 0)
    assert word(host, place) == 0


@booted
def test_a_lock_whose_word_names_a_zombie_has_no_owner(machine: Machine) -> None:
    host = machine.host
    child = host.fork(lambda program: 0)
    sleep(host)  # it has ended, and nobody has waited for it
    place = words(host, child, 0)
    for operation in (LOCK_PI, TRYLOCK_PI, LOCK_PI2):
        with pytest.raises(OSError, match="ESRCH"):
            host.futex(place, operation, 0, None, None, 0)

    def wait(program: Program) -> None:
        program.futex(place + 4, WAIT_REQUEUE_PI, 0, None, place, 0)

    waiter = host.fork(wait)
    sleep(host)
    with pytest.raises(OSError, match="ESRCH"):
        host.futex(place + 4, COMPARE_REQUEUE_PI, 1, 0, place, 0)
    assert word(host, place) == child | HAS_WAITERS
    host.kill(waiter, 9)


@booted
def test_waiting_ends_in_time(machine: Machine) -> None:
    host = machine.host
    place = words(host, 5)
    short = struct.pack("<qq", 0, NS_PER_MS)
    with pytest.raises(OSError, match="ETIMEDOUT"):
        host.futex(place, WAIT, 5, short, None, 0)
    with pytest.raises(OSError, match="EAGAIN"):
        host.futex(place, WAIT, 4, short, None, 0)
    for clock in (0, REALTIME):
        with pytest.raises(OSError, match="ETIMEDOUT"):
            host.futex(place, WAIT_BITSET | clock, 5, short, None, ANY)
    with pytest.raises(OSError, match="ETIMEDOUT"):
        host.futex_wait(place, 5, ANY, SIZE_32, short, 1)


@booted
def test_which_operations_know_the_wall_clock(machine: Machine) -> None:
    host = machine.host
    place = words(host, 5)
    for operation in (WAIT, WAKE, REQUEUE, WAKE_OP, LOCK_PI, UNLOCK_PI, TRYLOCK_PI, WAKE_BITSET):
        with pytest.raises(OSError, match="ENOSYS"):
            host.futex(place + 1, operation | REALTIME, 1, NOW, FAULTY, 0)
    for operation in (WAIT, LOCK_PI):  # which look at the time first
        with pytest.raises(OSError, match="EFAULT"):
            host.futex(place + 1, operation | REALTIME, 1, FAULTY, None, 0)
        with pytest.raises(OSError, match="EINVAL"):
            host.futex(place + 1, operation | REALTIME, 1, WRONG, None, 0)


@booted
def test_errors_of_the_newer_calls(machine: Machine) -> None:
    host = machine.host
    place = words(host, 5)
    right = (4, place, SIZE_32, 0)
    for arguments, error in (
        ((None, 1, 0, None, 0), "EINVAL"),
        ((FAULTY, 0, 0, None, 0), "EINVAL"),
        ((FAULTY, 129, 0, None, 0), "EINVAL"),
        ((FAULTY, 1, 1, None, 0), "EINVAL"),
        ((FAULTY, 1, 0, FAULTY, 5), "EINVAL"),
        ((FAULTY, 1, 0, FAULTY, 1), "EFAULT"),
        ((FAULTY, 1, 0, WRONG, 1), "EINVAL"),
        ((FAULTY, 1, 0, None, 9), "EFAULT"),
        ((vector(right, (4, place, 1, 0)), 2, 0, None, 0), "EINVAL"),
        ((vector(right, (4, place, SIZE_32, 1)), 2, 0, None, 0), "EINVAL"),
        ((vector(right, (1 << 32, place, SIZE_32, 0)), 2, 0, None, 0), "EINVAL"),
        ((vector(right), 1, 0, None, 0), "EAGAIN"),
    ):
        with pytest.raises(OSError, match=error):
            host.futex_waitv(*arguments)
    for moves, error in (
        ((None, 0, -1, 0), "EINVAL"),
        ((FAULTY, 1, 0, 0), "EINVAL"),
        ((FAULTY, 0, -1, 0), "EFAULT"),
        ((vector(right, right), 0, -1, 0), "EINVAL"),
        ((vector(right, right), 0, 0, 0), "EAGAIN"),
    ):
        with pytest.raises(OSError, match=error):
            host.futex_requeue(*moves)


@booted
def test_robust_lists(machine: Machine) -> None:
    host = machine.host
    assert host.set_robust_list(0x1234, 24) == 0
    head, size = bytearray(8), bytearray(8)
    host.get_robust_list(0, head, size)
    assert struct.unpack("<Q", head)[0] == 0x1234
    assert struct.unpack("<Q", size)[0] == 24
    with pytest.raises(OSError, match="EINVAL"):
        host.set_robust_list(0, 23)
    with pytest.raises(OSError, match="ESRCH"):
        host.get_robust_list(99_999, FAULTY, FAULTY)
