"""POSIX timers by system calls (kernel/syscalls/timer_create.py), on a booted machine."""

import signal
import struct
from typing import cast

import pytest

from kernel.lang import EFAULT, EINVAL, Errno, UserAddr
from kernel.lib import user
from kernel.task import current, posix_timers
from kernel.task.pending import queued_count
from kernel.task.posix_timers import MeasuringTimers, PosixTimer, posix_timers_of
from kernel.task.process import Process
from tests.unit.booted import booted
from tests.unit.meanwhile import meanwhile
from tools.simulated.machine import Machine
from tools.simulated.program import Program

NS_PER_MS = 1_000_000
MONOTONIC, PROCESS_TIME, THREAD_TIME, RAW, COARSE = 1, 2, 3, 4, 6
SIGNAL, NONE, THREAD, THREAD_ID = 0, 1, 2, 4
ABSOLUTE = 1
FAULTY = 16  # an address without memory
UNTOUCHED = -77


def event(notify: int, signo: int = signal.SIGUSR1, thread: int = 0, value: int = 0) -> bytes:
    return struct.pack("<qiii", value, signo, notify, thread).ljust(64, b"\0")


def times(value_ns: int, interval_ns: int = 0) -> bytes:
    second = 1_000_000_000
    return struct.pack("<qqqq", *divmod(interval_ns, second), *divmod(value_ns, second))


def create(program: Program, clock: int = MONOTONIC, what: bytes | None = None) -> int:
    out = bytearray(4)
    program.timer_create(clock, what, out)
    return int(struct.unpack("<i", out)[0])


def left(program: Program, number: int) -> tuple[int, int]:
    """Interval and remaining time, in nanoseconds."""
    out = bytearray(32)
    program.timer_gettime(number, out)
    words = struct.unpack("<qqqq", out)
    return words[0] * 1_000_000_000 + words[1], words[2] * 1_000_000_000 + words[3]


@booted
@pytest.mark.parametrize("notify", [SIGNAL, THREAD])
def test_a_timer_sends_its_signal(machine: Machine, notify: int) -> None:
    seen: list[int] = []

    def child(program: Program) -> None:
        program.handle(signal.SIGUSR1, lambda _, signo: seen.append(signo))
        number = create(program, what=event(notify))
        program.timer_settime(number, 0, times(5 * NS_PER_MS), None)
        with pytest.raises(OSError, match="EINTR"):
            program.pause()

    assert machine.run(child) == 0
    assert seen == [signal.SIGUSR1]


@booted
def test_without_an_event_it_is_an_alarm_with_its_number(machine: Machine) -> None:
    def child(program: Program) -> None:
        create(program)
        number = create(program)
        blocked = struct.pack("<Q", 1 << (signal.SIGALRM - 1))
        program.rt_sigprocmask(0, blocked, None, 8)
        program.timer_settime(number, 0, times(5 * NS_PER_MS), None)
        info = bytearray(128)
        assert program.rt_sigtimedwait(blocked, info, None, 8) == signal.SIGALRM
        assert struct.unpack_from("<i", info, 8)[0] == -2  # SI_TIMER
        assert struct.unpack_from("<i", info, 24)[0] == number

    assert machine.run(child) == 0


@booted
def test_a_thread_of_its_own_gets_the_signal(machine: Machine) -> None:
    def child(program: Program) -> None:
        number = create(program, what=event(THREAD_ID, thread=program.gettid(), value=1234))
        blocked = struct.pack("<Q", 1 << (signal.SIGUSR1 - 1))
        program.rt_sigprocmask(0, blocked, None, 8)
        program.timer_settime(number, 0, times(5 * NS_PER_MS), None)
        info = bytearray(128)
        assert program.rt_sigtimedwait(blocked, info, None, 8) == signal.SIGUSR1
        assert struct.unpack_from("<q", info, 24)[0] == 1234
        with pytest.raises(OSError, match="EINVAL"):
            create(program, what=event(THREAD_ID, thread=1))

    assert machine.run(child) == 0


@booted
def test_the_time_left_and_the_interval_are_told(machine: Machine) -> None:
    host = machine.host
    number = create(host, what=event(NONE))
    assert left(host, number) == (0, 0)
    host.timer_settime(number, 0, times(60_000 * NS_PER_MS, 7 * NS_PER_MS), None)
    interval_ns, left_ns = left(host, number)
    assert interval_ns == 7 * NS_PER_MS
    assert 50_000 * NS_PER_MS < left_ns <= 60_000 * NS_PER_MS
    old = bytearray(32)
    host.timer_settime(number, 0, times(0), old)
    assert struct.unpack("<qqqq", old)[:3] in ((0, 7 * NS_PER_MS, 59), (0, 7 * NS_PER_MS, 60))
    assert left(host, number) == (0, 0)
    host.timer_delete(number)
    with pytest.raises(OSError, match="EINVAL"):
        host.timer_gettime(number, bytearray(32))


@booted
def test_an_absolute_time_that_has_passed_expires_at_once(machine: Machine) -> None:
    def child(program: Program) -> None:
        blocked = struct.pack("<Q", 1 << (signal.SIGUSR1 - 1))
        program.rt_sigprocmask(0, blocked, None, 8)
        number = create(program, what=event(SIGNAL))
        program.timer_settime(number, ABSOLUTE, times(1), None)
        assert program.rt_sigtimedwait(blocked, None, None, 8) == signal.SIGUSR1

    assert machine.run(child) == 0


@booted
def test_events_that_do_not_exist(machine: Machine) -> None:
    for notify, signo in ((3, 1), (5, 1), (8, 1), (SIGNAL, 0), (SIGNAL, 65), (SIGNAL, -1), (THREAD, 0), (THREAD_ID, 1)):
        with pytest.raises(OSError, match="EINVAL"):
            create(machine.host, what=event(notify, signo))
    create(machine.host, what=event(NONE, 65))  # which sends none


@booted
def test_errors_come_in_the_order_of_linux(machine: Machine) -> None:
    host = machine.host
    out = bytearray(struct.pack("<i", UNTOUCHED))
    with pytest.raises(OSError, match="EFAULT"):
        host.timer_create(99, FAULTY, out)  # the event is read first
    with pytest.raises(OSError, match="EINVAL"):
        host.timer_create(10, event(99), FAULTY)
    for clock in (RAW, COARSE, -5 & 0xFFFF_FFFF):  # the last one a clock that is a file
        with pytest.raises(OSError, match="ENOTSUP"):
            host.timer_create(clock, event(99), FAULTY)
    with pytest.raises(OSError, match="EINVAL"):
        host.timer_create(MONOTONIC, event(99), FAULTY)
    with pytest.raises(OSError, match="EFAULT"):
        host.timer_create(MONOTONIC, event(NONE), FAULTY)
    assert struct.unpack("<i", out)[0] == UNTOUCHED


@booted
def test_the_number_is_written_before_the_clock_is_refused(machine: Machine) -> None:
    """Alarm clocks need a capability, and clocks of processor time somebody to have it."""

    def child(program: Program) -> None:
        program.setuid(1000)
        for clock, error in ((8, "EPERM"), ((~9999 << 3 | 2) & 0xFFFF_FFFF, "EINVAL")):
            out = bytearray(struct.pack("<i", UNTOUCHED))
            with pytest.raises(OSError, match=error):
                program.timer_create(clock, event(NONE), out)
            number = struct.unpack("<i", out)[0]
            assert number != UNTOUCHED
            with pytest.raises(OSError, match="EINVAL"):
                program.timer_delete(number)

    assert machine.run(child) == 0


@booted
def test_nobody_finds_a_timer_before_its_number_is_written(machine: Machine) -> None:
    """Another thread may guess it meanwhile. A call that fails then has its own error."""
    host = machine.host
    timers = posix_timers_of(current().process)
    guessed: list[int] = []
    write_i32 = user.write_i32
    fails = False

    def write(address: UserAddr, value: int) -> None:
        guessed.append(value)
        with pytest.raises(Errno) as refused:
            timers.delete(value)
        assert refused.value.code == EINVAL
        if fails:
            raise Errno(EFAULT)
        write_i32(address, value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(user, "write_i32", write)
        number = create(host, what=event(NONE))
        fails = True
        with pytest.raises(OSError, match="EFAULT"):
            create(host, what=event(NONE))
    assert guessed == [number, number + 1]
    host.timer_delete(number)
    with pytest.raises(OSError, match="EINVAL"):
        host.timer_delete(number + 1)


@booted
def test_bad_times_come_before_a_bad_number(machine: Machine) -> None:
    host = machine.host
    with pytest.raises(OSError, match="EINVAL"):
        host.timer_settime(99, 0, None, None)
    with pytest.raises(OSError, match="EFAULT"):
        host.timer_settime(99, 0, FAULTY, None)
    number = create(host, what=event(NONE))
    with pytest.raises(OSError, match="EINVAL"):
        host.timer_settime(number, 0, struct.pack("<qqqq", 0, 1_000_000_000, 0, 0), FAULTY)
    with pytest.raises(OSError, match="EFAULT"):
        host.timer_settime(number, 0, times(60_000 * NS_PER_MS), FAULTY)
    assert left(host, number)[1] > 0  # it has been set nevertheless


@booted
def test_timers_on_processor_time(machine: Machine) -> None:
    host = machine.host
    for clock in (PROCESS_TIME, THREAD_TIME):
        number = create(host, clock, event(NONE))
        host.timer_settime(number, 0, times(5_000 * NS_PER_MS), None)
        assert 0 < left(host, number)[1] <= 5_000 * NS_PER_MS
        host.timer_delete(number)


@booted
def test_very_many_timers_end_with_safe_points(machine: Machine) -> None:
    """And each leaves those that measure its process at once, however many there are."""
    costs: list[int] = []

    def child(program: Program) -> None:
        for _ in range(3):
            program.timer_settime(create(program, PROCESS_TIME), 0, times(10**12), None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posix_timers, "pace", costs.append)
        assert machine.run(child) == 0
    assert len(costs) == 3


def test_a_tick_checks_some_of_very_many_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupts are off meanwhile."""
    checked: list[PosixTimer] = []

    def note(timer: PosixTimer) -> None:
        checked.append(timer)

    monkeypatch.setattr(PosixTimer, "check", note)
    nobody = cast("Process", None)
    watched = MeasuringTimers()
    timers = [PosixTimer(nobody, number, PROCESS_TIME) for number in range(600)]
    for timer in timers:
        timer.place = len(watched.timers)
        watched.timers.append(timer)
    for _ in range(3):
        before = len(checked)
        watched.ticked(nobody)
        assert len(checked) - before == 256
    assert {id(timer) for timer in checked} == {id(timer) for timer in timers}
    for timer in (timers[0], timers[599], timers[300]):
        watched.leave(timer)
        assert timer not in watched.timers
        assert all(watched.timers[each.place] is each for each in watched.timers)
    assert len(watched.timers) == 597
    watched.timers[5:] = []
    checked.clear()
    watched.ticked(nobody)
    assert sorted(timer.place for timer in checked) == [0, 1, 2, 3, 4]


@booted
def test_very_many_timers_are_deleted_with_others_at_work(machine: Machine) -> None:
    """Nothing is kept of those that are left."""
    process = current().process
    before = queued_count(current().credentials.uid)
    timers = posix_timers_of(process)
    for _ in range(30):
        create(machine.host)
    left_over: list[int] = []
    with meanwhile(lambda: left_over.append(len(timers.table)), 10):
        timers.delete_all()
    assert left_over == [20] and len(timers.table) == 0
    assert queued_count(current().credentials.uid) == before
