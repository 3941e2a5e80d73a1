"""Programs that do to each other what they can, on several processors: in whatever order these go on, all come to an
end, and the kernel keeps its promises. Each seed is one order, and gives it again.
"""

import contextlib
import random
import signal
import struct
from collections.abc import Callable

import pytest

import arch.x86_64.processors as processors_module
from kernel.sched import processor as sched_processor
from kernel.sched.processor import PROCESSORS, RUNNING, running_on
from kernel.sched.thread import ThreadState
from kernel.time.clock import NS_PER_MS, NS_PER_SECOND
from tests.unit.booted import booted
from tools.simulated import machine as simulated
from tools.simulated.machine import Machine
from tools.simulated.program import KernelBug, Program
from tools.simulated.several import Several

ALL_CHILDREN = 0x4000_0000  # __WALL
NO_WAIT = 1
NEW_THREAD = 0x5_0F00  # CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM
STACK_BYTES = 0x1_0000
TRACES = (7, 8, 9, 16, 17, 24, 0x4206, 0x4207, 0x4208)  # PTRACE_CONT … PTRACE_LISTEN
SIGNALS = (signal.SIGUSR1, signal.SIGALRM, signal.SIGSTOP, signal.SIGCONT, signal.SIGCONT, signal.SIGKILL)
OPERATIONS_IN_ALL = 400
LIVELY = (1, 3, 6, 7)  # seeds of crowds that do not kill themselves before much has happened
QUIET_ROUNDS = 20


def interval(nanoseconds: int) -> bytes:
    return struct.pack("<QQ", nanoseconds // NS_PER_SECOND, nanoseconds % NS_PER_SECOND)


class Crowd:
    """Processes and threads that choose what they do next by one source of chance."""

    def __init__(self, machine: Machine, seed: int) -> None:
        self.host = machine.host
        self.chance = random.Random(seed)
        self.pids = [1]
        self.left = OPERATIONS_IN_ALL
        self.operations: list[Callable[[Program], object]] = [
            self.signal_somebody, self.sleep, self.talk, self.start_thread, self.start_timer, self.trace, self.wait,
            self.execute, self.fork, self.bind, self.change_class, self.block, self.use_memory, self.wait_for_word,
            lambda program: program.sched_yield(), self.ask, self.observe,
        ]  # fmt: skip
        machine.install("/bin/member", self.member)

    def member(self, program: Program) -> int:
        """What each process does."""
        for signo in (signal.SIGUSR1, signal.SIGALRM):
            program.handle(signo, lambda program, signo: None)
        self.act(program, 25)
        return 0

    def act(self, program: Program, most: int) -> None:
        for _ in range(self.chance.randrange(most)):
            if self.left > 0:
                self.left -= 1
                with contextlib.suppress(OSError):
                    self.chance.choice(self.operations)(program)

    def somebody(self) -> int:
        return self.chance.choice(self.pids)

    def signal_somebody(self, program: Program) -> None:
        program.kill(self.somebody(), self.chance.choice(SIGNALS))

    def ask(self, program: Program) -> None:
        """Calls that run without the kernel lock."""
        process = program.task.process
        assert program.getpid() == process.number and program.gettid() == program.task.own_tid
        before = process.parent_number
        assert program.getppid() in (before, process.parent_number)

    def sleep(self, program: Program) -> None:
        program.nanosleep(interval(self.chance.choice((1, 1000, NS_PER_MS, 5 * NS_PER_MS))), None)

    def talk(self, program: Program) -> None:
        """Over a pipe, with a child."""
        ends = bytearray(8)
        program.pipe2(ends, 0)
        read_end, write_end = struct.unpack("<ii", ends)

        def say(child: Program) -> int:
            child.write(write_end, b"a word", 6)
            return 0

        program.fork(say)
        program.read(read_end, bytearray(6), 6)
        program.close(read_end)
        program.close(write_end)

    def start_thread(self, program: Program) -> None:
        def life(thread: Program) -> None:
            self.act(thread, 14)
            thread.call("exit_group" if self.chance.random() < 0.2 else "exit", 0)

        program.frame.r15 = program.code.add_main(life)
        try:
            program.clone(NEW_THREAD, (program.frame.rsp - STACK_BYTES) & ~15, 0, 0, 0)
        finally:
            program.frame.r15 = 0

    def start_timer(self, program: Program) -> None:
        period, first = self.chance.choice((0, 1, 4)), self.chance.choice((1, 1000, 5000))
        program.setitimer(0, struct.pack("<QQQQ", 0, period * 1000, 0, first), None)

    def trace(self, program: Program) -> None:
        program.ptrace(self.chance.choice(TRACES), self.somebody(), 0, self.chance.choice((0, 0, signal.SIGUSR1)))

    def wait(self, program: Program) -> None:
        program.wait4(self.chance.choice((-1, self.somebody())), bytearray(4), ALL_CHILDREN | NO_WAIT, 0)

    def execute(self, program: Program) -> None:
        program.execve("/bin/member", [b"member"], [])

    def fork(self, program: Program) -> None:
        self.pids.append(program.fork(self.member))

    def bind(self, program: Program) -> None:
        allowed = struct.pack("<Q", self.chance.randrange(16))
        program.sched_setaffinity(self.chance.choice((0, self.somebody())), 8, allowed)

    def change_class(self, program: Program) -> None:
        policy = self.chance.randrange(6)
        priority = self.chance.randrange(1, 50) if policy in (1, 2) else 0
        program.sched_setscheduler(self.chance.choice((0, self.somebody())), policy, struct.pack("<i", priority))

    def block(self, program: Program) -> None:
        mask = self.chance.choice((0, 1 << signal.SIGUSR1 - 1, 1 << signal.SIGALRM - 1))
        program.rt_sigprocmask(self.chance.randrange(3), struct.pack("<Q", mask), None, 8)

    def use_memory(self, program: Program) -> None:
        place = program.mmap(0, 8192, 3, 0x22, -1, 0)
        program.store(place, bytes(5000))
        program.munmap(place, 8192)

    def observe(self, program: Program) -> None:
        """Events of somebody or of a processor, with a ring; who opened them lives on with them, or closes them."""
        kind, config = self.chance.choice(((1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 3), (2, 1024 + 2 * 39)))
        flags = self.chance.choice((0, 1, 2)) | self.chance.choice((0, 0x0070_2300, 1 << 12))
        samples = self.chance.choice((0, 0x1_25EF, 1 << 10))
        is_clock = kind == 1 and config < 2
        period = self.chance.choice((0, 3_000_000) if is_clock else (0, 1, 3, 1_000_000))
        head = struct.pack("<IIQQQQQ", kind, 136, config, period, samples, self.chance.randrange(32), flags)
        wanted = bytearray(head + bytes(136 - len(head)))
        wanted[80:92] = struct.pack("<QI", 0xFF0FFF, 256)
        pid, processor = self.chance.choice(((0, -1), (self.somebody(), -1), (self.somebody(), 0), (-1, 0), (-1, 1)))
        event = program.perf_event_open(bytes(wanted), pid, processor, -1, 0)
        ring = program.mmap(0, 3 * 4096, 3, 1, event, 0)
        program.ioctl(event, self.chance.choice((0x2400, 0x2401, 0x2402)), 3)
        self.act(program, 6)
        program.read(event, bytearray(64), 64)
        if self.chance.random() < 0.7:
            program.munmap(ring, 3 * 4096)
            program.close(event)

    def wait_for_word(self, program: Program) -> None:
        place = program.mmap(0, 4096, 3, 0x21, -1, 0)
        program.futex(place, 0, 0, interval(self.chance.choice((1000, NS_PER_MS))), None, 0)

    def run(self) -> None:
        """From the first members until all are gone. Members that sleep for ever are killed; what remains hangs."""
        self.pids = [self.host.fork(self.member) for _ in range(5)]
        quiet_rounds = 0
        while True:
            try:
                self.host.wait4(-1, None, ALL_CHILDREN, 0)
            except InterruptedError:  # everybody sleeps
                quiet_rounds += 1
                assert quiet_rounds < QUIET_ROUNDS, "members cannot be killed"
                with contextlib.suppress(OSError):
                    self.host.kill(-1, signal.SIGCONT if quiet_rounds == 1 else signal.SIGKILL)
            except ChildProcessError:
                break
        unexpected = [failure for failure in Program.failures.values() if not isinstance(failure, OSError)]
        assert unexpected == [], unexpected


def crowd_on(machine: Machine, count: int, seed: int) -> Several:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulated, "QUIET_NS", 5 * NS_PER_SECOND)
        patch.setattr(simulated, "QUIET_LIMIT_NS", 20 * NS_PER_SECOND)
        several = Several(machine, count, seed)
        Crowd(machine, seed).run()
    return several


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("seed", LIVELY)
@booted
def test_all_come_to_an_end(machine: Machine, count: int, seed: int) -> None:
    several = crowd_on(machine, count, seed)
    assert several.turns > OPERATIONS_IN_ALL
    assert several.sections > 10 and several.passes > 10
    assert all(each.switches > 0 for each in PROCESSORS)
    for each in PROCESSORS:
        if each is not RUNNING.processor:
            assert running_on(each).state in (ThreadState.RUNNING, ThreadState.WAITING)
    assert not any(each.queue.has_ready() for each in PROCESSORS)


@pytest.mark.parametrize(("count", "seed"), [(2, 6), (4, 1)])  # in other orders it can take a minute
@booted
def test_lost_interrupts_are_noticed(machine: Machine, count: int, seed: int) -> None:
    """The crowd itself is tested: what the kernel forgets makes it hang."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sched_processor, "interrupt_processor", lambda number: None)
        with pytest.raises(AssertionError, match=r"cannot be killed|may run it idle"):
            crowd_on(machine, count, seed)


@booted
def test_a_pass_that_does_not_wait_is_noticed(machine: Machine) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processors_module, "wait_for_sections", lambda: None)
        with pytest.raises((AssertionError, KernelBug), match="would free"):
            crowd_on(machine, 4, 1)


@booted
def test_a_call_that_comes_to_an_absent_page_is_made_again_with_the_lock(machine: Machine) -> None:
    several, program = Several(machine, 2, 1), machine.host
    place = program.mmap(0, 3 * 4096, 3, 0x22, -1, 0)
    word = place + 4094  # on two pages
    program.store(word, b"\xff\xff")
    assert program.getcpu(word, 0, 0) == 0
    assert several.given_up == 1
    assert program.load(word, 4) in (b"\0\0\0\0", b"\1\0\0\0")
    sections = several.sections
    assert program.getcpu(word, 0, 0) == 0 and program.clock_gettime(1, place) == 0
    assert (several.given_up, several.sections) == (1, sections + 2)
    assert 0 <= struct.unpack("<QQ", program.load(place, 16))[1] < NS_PER_SECOND
    program.mprotect(place, 4096, 1)
    with pytest.raises(OSError, match="EFAULT"):
        program.clock_gettime(1, place)
    assert several.given_up == 2
    with pytest.raises(OSError, match="EFAULT"):
        program.clock_gettime(1, -4096)  # no program's address: no fault, no lock
    assert several.given_up == 2


def answers(program: Program) -> list[object]:
    """What calls with a quick form say of a thread that nobody changes."""
    found: list[object] = []
    for name, before, size, after in (
        ("uname", (), 390, ()), ("prctl", (16,), 16, ()), ("rt_sigprocmask", (0, 0), 8, (8,)),
        ("getresuid", (), 4, (0, 0)), ("getresgid", (), 4, (0, 0)), ("clock_getres", (6,), 16, ()),
    ):  # fmt: skip
        buffer = bytearray(b"\xff" * size)
        try:
            found.append(program.call(name, *before, buffer, *after))
        except OSError as error:
            found.append(str(error))
        found.append(bytes(buffer))
    head, length = bytearray(8), bytearray(8)
    found += [program.get_robust_list(0, head, length), bytes(head), bytes(length)]
    return [*found, program.personality(0xFFFF_FFFF)]


@booted
def test_quick_forms_answer_as_the_handlers_do(machine: Machine) -> None:
    program = machine.host
    program.setresuid(5, 6, 7)
    program.prctl(15, b"a thread", 0, 0, 0)
    program.rt_sigprocmask(0, struct.pack("<Q", 0x4002), None, 8)
    program.set_robust_list(0x1234_5678, 24)
    expected = answers(program)
    assert b"a thread".ljust(16, b"\0") in expected and struct.pack("<Q", 0x4002) in expected
    several = Several(machine, 2, 1)
    assert answers(program) == expected
    mask = bytearray(8)
    assert program.sched_getaffinity(0, 8, mask) == 8 and mask[0] == 3
    assert program.sched_getaffinity(0, 128, mask) == 8
    with pytest.raises(OSError, match="EINVAL"):
        program.sched_getaffinity(0, 9, mask)
    assert several.sections == 11


@booted
def test_a_thread_stores_its_own_words_without_the_lock(machine: Machine) -> None:
    several, program = Several(machine, 2, 1), machine.host
    head, size = bytearray(8), bytearray(8)
    assert program.set_robust_list(0x1234_5000, 24) == 0
    assert program.get_robust_list(0, head, size) == 0 and struct.unpack("<Q", head)[0] == 0x1234_5000
    with pytest.raises(OSError, match="EINVAL"):
        program.set_robust_list(0, 23)
    assert program.set_tid_address(0x1234_6000) == program.gettid()
    assert program.task.library.clear_tid_address == 0x1234_6000
    assert several.sections == 5
    program.set_robust_list(0, 24)
    program.set_tid_address(0)
