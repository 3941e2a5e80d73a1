"""Programs of bpf(2) that run for events: at each hit of a tracepoint, or for each sample of an event.

Programs at a tracepoint run whoever hits it, on whatever processor: the events that they were attached by only keep
them. If the results of all of them are not odd, events do not look at the record. A program for samples that returns 0
drops the sample.

Nothing can be left for later where they run, so what the programs may cost at one hit is bounded: a run past that ends,
and its result is 0. A program that is hit while another runs is passed over, with the result 0.

Context: any, between two threads and in interrupts too: nothing sleeps. Without memory a program does not run.
Source: bpf(2), perf_event_open(2) (PERF_EVENT_IOC_SET_BPF).
"""

from typing import Final

from arch import sampled_register
from kernel.bpf.machine import CONTEXT_POINTER, World
from kernel.bpf.program import Program
from kernel.bpf.subject import EVENT_ADDRESS, EVENT_CONTEXT, EVENT_PERIOD
from kernel.lang import Span, final, noinline, span_of, u8, with_room
from kernel.lib.pace import spend
from kernel.perf.event import Event
from kernel.perf.sample import Place
from kernel.perf.words import store_word
from kernel.sched.room import make_room
from kernel.task.task import Task

MOST_PROGRAMS: Final = 64  # at a tracepoint
_MOST_COST: Final = 600_000  # instructions of the processor, for all programs at one hit
_START_COST: Final = 3000
_NOBODY: Final = -1

# Registers as struct pt_regs has them, numbered as in samples.
_REGISTERS: Final[list[int]] = [23, 22, 21, 20, 6, 1, 19, 18, 17, 16, 0, 2, 3, 4, 5, _NOBODY, 8, 10, 9, 7, 11]
_CALL_NUMBER: Final = 15  # places among them
_INSTRUCTION_POINTER: Final = 16
_WORD: Final = 8

# Raw tracepoints, whose programs get arguments in place of a record. The numbers are nobody else's.
RAW_CALL_BEGINS: Final = -2
RAW_CALL_ENDS: Final = -1
RAW_POINTS: Final[dict[bytes, int]] = {b"sys_enter": RAW_CALL_BEGINS, b"sys_exit": RAW_CALL_ENDS}
ARGUMENTS: Final = 16  # bytes: the registers' address, and the call's number or result
_SAVED_AT: Final = 128  # where the registers are, out of the reach of loads: bpf_probe_read_kernel reads them there


@final
class PointProgram:
    """A program at a tracepoint, and the event by which it is there; None for a raw tracepoint."""

    def __init__(self, program: Program, cookie: int, event: Event | None) -> None:
        self.program: Program = program
        self.cookie: int = cookie
        self.event: Event | None = event


@final
class PointPrograms:
    """All of them, by the tracepoint's number; how they run."""

    def __init__(self) -> None:
        by_point: dict[int, list[PointProgram]] = {}
        self.by_point: dict[int, list[PointProgram]] = by_point
        self.of_calls: int = 0  # at tracepoints of system calls
        self.is_running: bool = False
        self.event: Event | None = None  # for whose sample one runs
        self.place: Place | None = None
        self.world: World = World()  # kernel/perf/world.py
        self.arguments: bytearray = bytearray(_SAVED_AT + len(_REGISTERS) * _WORD)  # of a raw tracepoint

    def at(self, point: int) -> list[PointProgram] | None:
        """Those at a tracepoint."""
        return self.by_point.get(point) if len(self.by_point) > 0 else None

    def add(self, point: int, entry: PointProgram) -> None:
        """Raises MemoryError."""
        entries = self.by_point.get(point)
        if entries is None:
            fresh: list[PointProgram] = []
            self.by_point[point] = fresh
            entries = fresh
        try:
            entries.append(entry)
        except MemoryError:
            self._forget_if_empty(point, entries)
            raise

    def remove(self, point: int, entry: PointProgram) -> None:
        """It runs no more."""
        entries = self.by_point.get(point)
        if entries is not None:
            entries.remove(entry)
            self._forget_if_empty(point, entries)

    def _forget_if_empty(self, point: int, entries: list[PointProgram]) -> None:
        if len(entries) == 0:
            self.by_point.pop(point, entries)

    def run_at(self, point: int, record: bytearray, place: Place) -> bool:
        """Run the programs at a tracepoint on its record. Whether events may look at it."""
        entries = self.at(point)
        if entries is None:
            return True
        if self.is_running:
            return False
        result = 1
        left = _MOST_COST
        self.is_running = True
        self.place = place
        for entry in entries:
            answer, cost = self.run(entry.program, record, entry.cookie, left)
            result &= answer
            left = max(left - cost, 0)
        self.place = None
        self.is_running = False
        return result != 0

    def run_raw(self, point: int, number: int, value: int, place: Place) -> None:
        """Run the programs at a raw tracepoint of a task's call, with the second argument."""
        if self.at(point) is None or self.is_running:
            return
        words = span_of(self.arguments)
        _save(words, _SAVED_AT, place.task())
        store_word(words, _SAVED_AT + _CALL_NUMBER * _WORD, number)
        store_word(words, 0, CONTEXT_POINTER + _SAVED_AT)
        store_word(words, _WORD, value)
        self.run_at(point, self.arguments, place)

    def run_for(self, event: Event, place: Place, address: int, period: int) -> tuple[bool, int]:
        """Run the program of an event that is to give a sample. Whether it may, and what that took."""
        choice = event.primary().choice
        program = choice.program
        if program is None:
            return True, 0
        if self.is_running:
            return False, 0
        answer = 0
        cost = _START_COST
        self.is_running = True
        self.event = event
        self.place = place
        try:
            make_room()  # a clock may have rung where the stack is deep already
            answer, cost = _judge(self, program, choice.cookie, place, address, period)
        except MemoryError:
            program.misses += 1
        self.event = None
        self.place = None
        self.is_running = False
        return answer != 0, cost

    def run(self, program: Program, context: bytearray, cookie: int, most_cost: int) -> tuple[int, int]:
        """The result of a program, and what it took."""
        cost = _START_COST
        answer = 0
        try:
            answer, taken = program.trace(context, cookie, most_cost, self.world)
            cost += taken
        except MemoryError:
            program.misses += 1
        spend(cost)
        return answer, cost


PROGRAMS: Final = PointPrograms()


@noinline
@with_room(24576)
def _judge(
    programs: PointPrograms, program: Program, cookie: int, place: Place, address: int, period: int
) -> tuple[int, int]:
    """The result of a program for a sample, and what it took. Raises MemoryError."""
    context = bytearray(EVENT_CONTEXT)
    _fill(context, place, address, period)
    return programs.run(program, context, cookie, _MOST_COST)


def _save(words: Span[u8], at: int, task: Task | None) -> None:
    """Write the registers of a task's program as struct pt_regs, in which there is no call."""
    for index in range(len(_REGISTERS)):
        number = _REGISTERS[index]
        value = _NOBODY
        if number >= 0:
            value = 0 if task is None else sampled_register(task.stack_top, number)
        store_word(words, at + index * _WORD, value)


def _fill(context: bytearray, place: Place, address: int, period: int) -> None:
    """Write struct bpf_perf_event_data. Of the kernel's registers there is only where it was."""
    words = span_of(context)
    task = place.task()
    if place.is_user and task is not None:
        _save(words, 0, task)
    else:
        store_word(words, _INSTRUCTION_POINTER * _WORD, place.address)
    store_word(words, EVENT_PERIOD, period)
    store_word(words, EVENT_ADDRESS, address)
