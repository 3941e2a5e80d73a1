"""A machine of several processors on which the scheduler itself runs: threads compute and sleep, processors tick and
interrupt each other, in an order that a random number says. Nothing else of the kernel takes part.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kernel.lib.panic import PANIC
from kernel.sched import balance, scheduler
from kernel.sched import processor as processor_module
from kernel.sched.balance import ROUNDS, queue_of
from kernel.sched.processor import PROCESSORS, RUNNING, Processor, add_processor, running_on, take_over
from kernel.sched.runqueue import RunQueue, slice_of
from kernel.sched.thread import Thread, ThreadState
from kernel.sched.thread_list import REALTIME_WAITING
from kernel.time.hardware import HardwareTimer

TICK_NS = 4_000_000
STEP_NS = 250_000
IPI_NS = 40_000  # until an interrupt is served
RUNNABLE = (ThreadState.READY, ThreadState.RUNNING)


class Halts(Exception):
    """A processor has nothing to do."""


class Worker(Thread):
    """A thread that computes for some time, and sleeps for some; 0: it never sleeps."""

    def __init__(self, name: str, computes_ns: int = 0, sleeps_ns: int = 0) -> None:
        super().__init__(name.encode())
        self.computes_ns = computes_ns
        self.sleeps_ns = sleeps_ns
        self.yields = False  # instead of going on, at each step
        self.left_ns = computes_ns
        self.wakes_at_ns = 0
        self.wakes: Worker | None = None  # whom it wakes before it sleeps

    def about_to_sleep(self) -> None:
        """What else it does before it sleeps."""

    def __repr__(self) -> str:
        return f"{self.name.decode()} on {self.processor}, {self.state.name}, slice {self.turn.slice_ns}"


class Machine:
    """Processors, the threads that they run, and what a real machine would do to both."""

    def __init__(self, count: int, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now_ns = 1_000_000_000
        self.workers: list[Worker] = []
        self.asked: list[int] = []  # processors that are about to be interrupted
        self.interrupts = 0
        self.tick_ns = [self.now_ns + self.chance.randrange(TICK_NS) for _ in range(count)]
        self.starved_ns: dict[Worker, int] = {}  # how long each waits while a processor idles that may run it
        self.most_starved_ns = 0

    def interrupt(self, number: int) -> None:
        self.interrupts += 1
        self.asked.append(number)

    # What processors do

    def on(self, number: int) -> Processor:
        take_over(number)
        return PROCESSORS[number]

    def schedule(self, begin: Callable[[], None] = scheduler.schedule) -> None:
        """The running thread gives the processor up; an idle thread does so at once."""
        try:
            begin()
            while RUNNING.current is RUNNING.processor.idle_thread:
                RUNNING.current.state = ThreadState.WAITING
                scheduler.schedule()
        except Halts:
            assert RUNNING.processor.idle

    def serve(self, number: int) -> None:
        """An interrupt: what is asked of the processor, and back."""
        processor = self.on(number)
        if processor.idle:
            processor.idle = False
            RUNNING.need_resched = False
            self.schedule()
        elif RUNNING.need_resched:
            self.schedule()

    def settle(self) -> None:
        """Serve all interrupts that processors send each other."""
        for _ in range(1000):
            if not self.asked:
                for each in PROCESSORS:
                    if each is not RUNNING.processor and each.need_resched:
                        break
                else:
                    if not RUNNING.need_resched:
                        return
                    self.serve(RUNNING.processor.number)
                    continue
            numbers = [*self.asked] or [each.number for each in PROCESSORS if each.need_resched]
            number = self.chance.choice(numbers)
            if number in self.asked:
                self.asked.remove(number)
            self.serve(number)
        raise AssertionError("processors interrupt each other without end")

    def start(self, worker: Worker, number: int = 0) -> Worker:
        """A thread wakes for the first time, on a processor."""
        self.workers.append(worker)
        worker.state = ThreadState.WAITING
        worker.processor = number
        worker.turn.slice_ns = worker.turn.length_ns = slice_of(worker)
        self.wake(worker, number)
        return worker

    def wake(self, worker: Worker, number: int) -> None:
        """As an interrupt does."""
        processor = self.on(number)
        PANIC.in_interrupt = True
        scheduler.wake(worker)
        PANIC.in_interrupt = False
        if processor.idle or RUNNING.need_resched:
            self.serve(number)

    def sleep(self, number: int) -> None:
        """What a processor runs has computed enough."""
        processor = self.on(number)
        worker = RUNNING.current
        assert isinstance(worker, Worker) and not processor.idle
        worker.left_ns = worker.computes_ns
        worker.wakes_at_ns = self.now_ns + worker.sleeps_ns
        worker.about_to_sleep()
        if worker.wakes is not None:
            scheduler.wake(worker.wakes)
        worker.state = ThreadState.SLEEPING
        self.schedule()

    # Time

    def run(self, duration_ns: int) -> None:
        end_ns = self.now_ns + duration_ns
        while self.now_ns < end_ns:
            self.step()

    def step(self) -> None:
        self.settle()
        self.check()
        self.now_ns += STEP_NS
        order = list(range(len(PROCESSORS)))
        self.chance.shuffle(order)
        for number in order:
            processor = PROCESSORS[number]
            running = running_on(processor)
            if isinstance(running, Worker) and not processor.idle:
                running.left_ns -= STEP_NS
                if running.yields:
                    self.on(number)
                    self.schedule(scheduler.yield_now)
                elif running.computes_ns > 0 and running.left_ns <= 0:
                    self.sleep(number)
            if not processor.idle and self.now_ns >= self.tick_ns[number]:
                self.tick_ns[number] = self.now_ns + TICK_NS
                self.on(number)
                scheduler.tick()
                self.serve(number)
        for worker in self.workers:
            if worker.state == ThreadState.SLEEPING and worker.sleeps_ns > 0 and worker.wakes_at_ns <= self.now_ns:
                self.wake(worker, self.chance.choice(order))

    # What holds

    def check(self) -> None:
        queues = [threads_of(each.queue) for each in PROCESSORS]
        waiting = [worker for here in queues for worker in here]
        assert len(waiting) == len(set(waiting)), "a thread waits twice"
        for each, here in zip(PROCESSORS, queues, strict=True):
            assert all(thread.state == ThreadState.READY and queue_of(thread) is each.queue for thread in here)
            assert all(thread.may_run_on(each.number) for thread in here), "it waits where it may not run"
            assert each.queue.ready_count() == len(here)
            bound = [thread for thread in here if thread.allowed == 1 << each.number]
            assert each.queue.movable_count() == len(here) - len(bound)
        running = [running_on(each) for each in PROCESSORS if not each.idle]
        assert len(running) == len(set(running)), "a thread runs twice"
        assert all(thread.may_run_on(each.number) for each in PROCESSORS for thread in [running_on(each)])
        for worker in self.workers:
            assert (worker in waiting) == (worker.state == ThreadState.READY)
            assert (worker in running) == (worker.state == ThreadState.RUNNING)
        assert REALTIME_WAITING.count == sum(thread.is_realtime() for thread in waiting)
        self._check_work(waiting)
        self._check_realtime(waiting)

    def _check_work(self, waiting: list[Thread]) -> None:
        idle = [each for each in PROCESSORS if each.idle]
        for worker in self.workers:
            if worker in waiting and any(worker.may_run_on(each.number) for each in idle):
                self.starved_ns[worker] = self.starved_ns.get(worker, 0) + STEP_NS
                self.most_starved_ns = max(self.most_starved_ns, self.starved_ns[worker])
                assert self.starved_ns[worker] <= TICK_NS + STEP_NS, f"{worker} waits, and a processor idles"
            else:
                self.starved_ns.pop(worker, None)

    def _check_realtime(self, waiting: list[Thread]) -> None:
        for thread in waiting:
            for each in PROCESSORS if thread.is_realtime() else ():
                if thread.may_run_on(each.number) and not each.queue.pauses_realtime:
                    assert not each.idle and running_on(each).urgency >= thread.urgency, f"{thread} has to wait"


def threads_of(queue: RunQueue) -> list[Thread]:
    """All that wait on a queue."""
    found: list[Thread] = []
    lists = (*queue.realtime.lists, queue.active, queue.expired)
    for each in [each for each in lists if each.head is not None]:
        thread = each.first()
        while thread is not None:
            found.append(thread)
            thread = thread.after()
    return found


@contextmanager
def machine_of(count: int, seed: int = 0) -> Iterator[Machine]:
    """A machine on which all processors idle."""
    machine = Machine(count, seed)
    first, before = PROCESSORS[0], RUNNING.current
    saved = (first.queue, first.idle_thread, first.boot_thread.state)
    with pytest.MonkeyPatch.context() as patch:
        for module, name, replacement in (
            (processor_module, "interrupt_processor", machine.interrupt),
            (scheduler, "monotonic_ns", lambda: machine.now_ns),
            (scheduler, "switch", lambda previous, following: None),
            (scheduler, "leave_spaces", lambda: None),
            (scheduler, "wait_on_stack", halt),
            (scheduler, "run_timers", lambda now_ns: None),
            (scheduler, "own_deadline_ns", lambda: 0),
            (scheduler, "_keep_up", lambda now_ns: None),
            (scheduler, "take_kernel_ticks", lambda: 0),
            (scheduler, "divide_time", lambda thread: None),
            (HardwareTimer, "set", lambda timer, at_ns: None),
        ):
            patch.setattr(module, name, replacement)
        del PROCESSORS[1:]
        first.queue = RunQueue()
        ROUNDS.highest = 0
        REALTIME_WAITING.count = 0
        while len(PROCESSORS) < count:
            add_processor()
        RUNNING.several = count > 1
        first.idle_thread = Thread(b"idle")
        for each in PROCESSORS:
            machine.on(each.number)
            idle = each.idle_thread
            assert idle is not None
            idle.processor = each.number
            idle.state = ThreadState.WAITING
            RUNNING.current = idle
            each.charged_at_ns = machine.now_ns
            machine.schedule()
        try:
            yield machine
        finally:
            take_over(0)
            for each in PROCESSORS:
                each.idle = each.need_resched = each.has_work = False
                each.realtime_ns = 0
            del PROCESSORS[1:]
            first.queue, first.idle_thread, first.boot_thread.state = saved
            RUNNING.current = first.current = before
            RUNNING.several = RUNNING.need_resched = RUNNING.has_work = False
            REALTIME_WAITING.count = 0
            ROUNDS.highest = 0


def halt(thread: Thread) -> None:
    raise Halts


__all__ = ["RUNNABLE", "STEP_NS", "TICK_NS", "Machine", "Worker", "balance", "machine_of", "threads_of"]
