"""Several processors: one of them goes on at a time, and a random number says which.

A processor can be left where it does not hold the kernel lock (lock.S): at the doors, where it halts, at safe points,
and in system calls without the lock. So a seed is one order of all that several processors may do beside each other,
and gives it again.

CPython frees objects by itself. A pass of the reclaimer is one wait: for all who have loaded references without the
lock before (arch.wait_for_sections). It is left while it waits, with the lock in its hands.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent, greenlet

import arch.x86_64.processors as processors_module
from arch import TICK_VECTOR
from arch.x86_64.chips import apic
from arch.x86_64.frame import TrapFrame
from arch.x86_64.idt import FLUSH_VECTOR, KICK_VECTOR
from arch.x86_64.layout import DIRECT_MAP_BASE, PAGE_SIZE
from arch.x86_64.percpu import (
    OFFSET_FLUSH,
    OFFSET_FLUSHED,
    OFFSET_NUMBER,
    OFFSET_ROOT,
    OFFSET_SECTIONS,
    OFFSET_SELF,
    OFFSET_WATCHED,
)
from arch.x86_64.processors import processors
from arch.x86_64.simulation import Control, Unlocked, processor
from kernel.doors.quick import FINISH, TAKE_LOCK
from kernel.doors.table import SYSCALLS
from kernel.doors.trap import interrupt_in_kernel
from kernel.lang import Errno
from kernel.lang.effects import UNLOCKED
from kernel.lang.simulation import memory, own_page
from kernel.lang.unsafe import load_i64, store_i64, struct_at_address
from kernel.sched.processor import take_over
from kernel.sched.scheduler import join, start_processors
from kernel.task.task import current
from kernel.time import hardware
from kernel.time.clock import NS_PER_SECOND
from kernel.time.timers import PROCESSOR_TIMERS
from tools.simulated.paging import GivenUp
from tools.simulated.program import Program

if TYPE_CHECKING:
    from tools.simulated.machine import Machine

AREAS = 0x2_0000  # physical; nobody is given memory below 1 MiB
HALTS_WAITING = 0.5  # how often a processor that waits for the lock halts
FURTHEST_NS = 3600 * NS_PER_SECOND  # a timer that is further off is not waited for
TURN_NS = 200  # what it takes until another goes on
PASSES = 0.1  # how often who takes the lock reclaims


class Place(Enum):
    """Where a processor was left."""

    USER_MODE = auto()
    WAITS = auto()  # for the kernel lock
    HALTS = auto()  # until an interrupt comes
    IN_SECTION = auto()  # in a system call without the kernel lock
    SPINS = auto()  # has the lock, and waits for those in a section


WITH_LOCK_TAKEN = (Place.USER_MODE, Place.IN_SECTION, Place.SPINS)  # who may go on then


class OneOfSeveral:
    """A processor."""

    def __init__(self, number: int, flow: greenlet) -> None:
        self.number = number
        self.flow = flow  # what goes on when it does
        self.place = Place.USER_MODE
        self.pending: list[int] = []  # vectors
        self.timer_due: int | None = None  # on the counter: when its timer interrupts
        self.registers: dict[str, int] = {}
        self.per_cpu: dict[int, int] = {}
        self.objects: dict[int, Any] = {}  # of its own page
        self.section_began = -1  # at which turn, if it is in a section

    def interrupt(self, vector: int) -> None:
        """A local APIC remembers each vector once."""
        if vector not in self.pending:
            self.pending.append(vector)


class Several(Control):
    """The processors of a machine that has booted on its first one."""

    def __init__(self, machine: Machine, count: int, seed: int) -> None:
        self.machine = machine
        self.chance = random.Random(seed)
        self.turns = 0
        self.sections = 0
        self.given_up = 0  # sections that faulted
        self.unfinished = 0  # … that left something to be done with the lock
        self.passes = 0
        self.waits = 0  # of passes for sections
        self._woke_ns = -1  # when a program had last called the kernel, the last time that all had slept for good
        first = OneOfSeveral(0, getcurrent())
        first.registers = processor.registers
        first.per_cpu = processor.per_cpu
        first.objects = own_page.objects
        self.all = [first]
        self.present = first
        self._holder = 0
        self._start(count)

    def _start(self, count: int) -> None:
        setattr(apic, "_x2apic", True)  # noqa: B010  (the name is the module's own)
        setattr(apic, "send_interrupt", self._send)  # noqa: B010
        self.present.per_cpu[OFFSET_NUMBER] = 0
        processors.area[0] = self.present.per_cpu[OFFSET_SELF]
        store_i64(processors.area[0] + OFFSET_ROOT, processor.registers["cr3"])
        for number in range(1, count):
            processors.area[number] = DIRECT_MAP_BASE + AREAS + number * PAGE_SIZE
            processors.identity[number] = number
        processors.count = count
        processor.control = self
        memory.at_fence = self._at_fence
        setattr(hardware, "interrupt_after", self._interrupt_after)  # noqa: B010
        self._interrupt_after(PROCESSOR_TIMERS.own.set_to_ns - processor.tsc)
        start_processors(count)
        for number in range(1, count):
            other = OneOfSeveral(number, greenlet(self._join, self.machine.host_flow))
            other.place = Place.WAITS
            other.registers = dict(processor.registers)
            other.per_cpu = {OFFSET_SELF: processors.area[number], OFFSET_NUMBER: number}
            self.all.append(other)

    def _join(self) -> None:
        self._take_lock()
        join()

    # The lock ---------------------------------------------------------------------------------------------------------

    def _take_lock(self) -> None:
        if self._holder != self.present.number:
            self._holder = self.present.number
            take_over(self._holder)

    def _wait_for_lock(self) -> None:
        """A processor that halts meanwhile may serve interrupts first."""
        self._leave(Place.WAITS)
        while self.present.pending and self.chance.random() < HALTS_WAITING:
            self._take_lock()
            self._interrupt_kernel()
            self._leave(Place.WAITS)
        self._take_lock()
        if self.chance.random() < PASSES:
            self._reclaim()

    # Calls without it -------------------------------------------------------------------------------------------------

    def call_unlocked(self, frame: int) -> Unlocked:
        """As syscall_entry_locked (entry.S), where a call has promised not to need the lock."""
        registers = struct_at_address(TrapFrame, frame)
        row = SYSCALLS[registers.call_number] if registers.call_number < len(SYSCALLS) else None
        area = processors.area[self.present.number]
        if row is None or load_i64(area + OFFSET_WATCHED) != 0:
            return Unlocked.NOT_MADE
        handler = row.handler if row.handler in UNLOCKED else row.quick
        if handler is None:
            return Unlocked.NOT_MADE
        number = self.present.number
        memory.store(area + OFFSET_SECTIONS, 8, load_i64(area + OFFSET_SECTIONS) + 1)
        self._leave(Place.IN_SECTION)
        self.present.section_began = self.turns
        self.sections += 1
        task = current()
        own = registers
        try:
            result = handler(own.first, own.second, own.third, own.fourth, own.fifth, own.sixth)
        except GivenUp:
            result = TAKE_LOCK
            self.given_up += 1
        except Errno as error:
            result = -error.code
        self._leave(Place.IN_SECTION)
        assert self.present.number == number and current() is task, "a section has moved"
        self.present.section_began = -1
        memory.store(area + OFFSET_SECTIONS, 8, load_i64(area + OFFSET_SECTIONS) + 1)
        if result == TAKE_LOCK:
            return Unlocked.NOT_MADE
        if result == FINISH:
            self.unfinished += 1
            return Unlocked.UNFINISHED
        registers.set_result(result)
        return Unlocked.DONE

    def is_in_section(self) -> bool:
        return self.present.section_began >= 0

    def _at_fence(self) -> None:
        """Others go on between a store and the look that follows it."""
        if self.is_in_section():
            self._leave(Place.IN_SECTION)

    def _reclaim(self) -> None:
        """Nobody may still have what was loaded before."""
        began = self.turns
        self.passes += 1
        processors_module.wait_for_sections()
        for each in self.all:
            assert not 0 <= each.section_began <= began, "a pass would free what a section has"

    def spin(self) -> None:
        self.waits += 1
        self._leave(Place.SPINS)

    # Processors that go on --------------------------------------------------------------------------------------------

    def _leave(self, place: Place) -> None:
        """Let any processor go on; returns when this one does."""
        leaving = self.present
        leaving.place = place
        leaving.flow = getcurrent()
        self.turns += 1
        processor.tsc += TURN_NS
        following = self._choose()
        if following is leaving:
            return
        self.present = following
        processor.registers = following.registers
        processor.per_cpu = following.per_cpu
        own_page.objects = following.objects
        following.flow.switch()

    def _choose(self) -> OneOfSeveral:
        while True:
            self._let_timers_interrupt()
            if any(each.place == Place.SPINS for each in self.all):
                return self.chance.choice([each for each in self.all if each.place in WITH_LOCK_TAKEN])
            ready = [each for each in self.all if each.place != Place.HALTS or each.pending]
            if ready:
                return self.chance.choice(ready)
            self._take_lock()
            if self.machine.wake_if_nobody_will():
                self._note_wake_up()
            else:
                processor.tsc = min(
                    [each.timer_due for each in self.all if each.timer_due is not None],
                    default=processor.tsc + FURTHEST_NS,
                )

    def _note_wake_up(self) -> None:
        """This processor has woken somebody."""
        assert self._woke_ns != Program.called_ns, "a thread is ready, and the processors that may run it idle"
        self._woke_ns = Program.called_ns
        self.present.interrupt(TICK_VECTOR)

    def _let_timers_interrupt(self) -> None:
        for each in self.all:
            if each.timer_due is not None and processor.tsc >= each.timer_due:
                each.timer_due = None
                each.interrupt(TICK_VECTOR)

    def _interrupt_after(self, delay_ns: int) -> None:
        """Instead of arch.interrupt_after."""
        self.present.timer_due = processor.tsc + min(max(delay_ns, 1), FURTHEST_NS)

    def _interrupts(self) -> None:
        """Serve those that wait, in the kernel."""
        while self.present.pending:
            self._interrupt_kernel()

    def _interrupt_kernel(self) -> None:
        interrupt_in_kernel(TrapFrame(vector=self._next_vector()))

    def _next_vector(self) -> int:
        return self.present.pending.pop(0)

    def _send(self, identity: int, vector: int) -> None:
        """Instead of apic.send_interrupt. A flush needs no lock, so it is answered at once."""
        other = self.all[identity]
        if vector != FLUSH_VECTOR:
            assert vector == KICK_VECTOR
            other.interrupt(vector)
            return
        area = processors.area[identity]
        other.registers["cr3"] = load_i64(area + OFFSET_ROOT)
        memory.store(area + OFFSET_FLUSHED, 4, memory.load(area + OFFSET_FLUSH, 4))

    # What programs and the kernel ask ---------------------------------------------------------------------------------

    def enter_kernel(self) -> None:
        self._wait_for_lock()

    def leave_kernel(self, interrupt: Callable[[int], None]) -> None:
        """Back to user mode, and into the kernel again for each interrupt."""
        self._leave(Place.USER_MODE)
        while self.present.pending:
            vector = self._next_vector()
            self._wait_for_lock()
            interrupt(vector)
            self._leave(Place.USER_MODE)

    def switch_stacks(self, save_sp_to: int, load_sp: int) -> None:
        self.machine.switch_stacks(save_sp_to, load_sp)

    def enter_user_mode(self, frame: int) -> None:
        self.machine.enter_user_mode(frame)

    def wait_for_interrupt(self) -> None:
        self._leave(Place.HALTS)
        self._take_lock()
        self._interrupts()
        self._wait_for_lock()

    def interrupt_window(self) -> None:
        self._let_timers_interrupt()
        self._interrupts()
        self._wait_for_lock()
