"""Run queues: a thread runs on one processor at a time, none is lost, and no processor sleeps through work.

Each processor has a queue with a lock. A thread belongs to one processor's queue (`home`) even while it sleeps; only
the holder of that queue's lock may change `home`, `is_queued` and `on_processor`.

- *Sleep*: the thread enters the list of what it waits for and becomes SLEEPING, under that list's lock; then it looks
  for signals. Its processor takes the lock of its own queue before it looks for work, so a thread that was woken
  meanwhile is on the queue already, and may be taken at once.
- *Switch*: the lock of the queue is held until the old thread's registers are saved, which the new thread confirms on
  its own stack (`on_processor` = None, unlock).
- *Wake*: whoever changes SLEEPING to READY, by compare and swap, has to queue the thread, and nobody else. It takes the
  lock of the home queue. A thread that is still on its processor (it has not switched yet, or its processor idles on
  its stack) is queued there; another may be queued at an idle processor, or at the waker's, which then asks nobody
  (`WakesHere`): it takes the thread when it switches.
- *Idle*: a processor says `is_idle` under its queue's lock, and halts with an interrupt possibly pending. Whoever
  queues a thread there sends one after it has given back the lock.
- *Pull*: a processor with nothing to run takes a thread from another's queue, but none that is `on_processor`. One that
  leaves threads behind on its queue asks those that idle to do so.

No two locks of queues are held at once. The code (kernel/sched/balance.py) has one lock for all queues, the kernel's,
so that a thread's registers are saved whenever another processor looks.
"""

from __future__ import annotations

from enum import Enum

from tests.models.explorer import STEP, Answer, Model, Steps


class State(Enum):
    RUNNING = "running"
    READY = "ready"
    SLEEPING = "sleeping"
    DEAD = "dead"


class Event:
    """What a thread sleeps for. One step stands for what is done under its lock."""

    def __init__(self) -> None:
        self.happened = False
        self.sleeper: Thread | None = None


class Thread:
    """A thread. Its program is a row of letters: s(leep for the own event), y(ield), a digit (let that thread's event
    happen), a letter a to c (send a signal to thread 0 to 2).
    """

    def __init__(self, program: str, home: int) -> None:
        self.program = program
        self.place = 0
        self.state = State.READY
        self.event = Event()
        self.has_signal = False
        self.home = home
        self.is_queued = True
        self.on_processor: int | None = None


class Processor:
    """A processor and its queue."""

    def __init__(self) -> None:
        self.queue: list[int] = []
        self.lock_is_held = False
        self.is_idle = False
        self.interrupted = False


class RunQueues(Model):
    """Threads with programs, on two processors or three."""

    def __init__(self, programs: list[str], homes: list[int], processors: int = 2) -> None:
        self.threads_ = [Thread(program, home) for program, home in zip(programs, homes, strict=True)]
        self.processors = [Processor() for _ in range(processors)]
        for number, home in enumerate(homes):
            self.processors[home].queue.append(number)

    def threads(self) -> dict[str, Steps]:
        return {f"processor {index}": self.schedule(index) for index in range(len(self.processors))}

    def is_over(self) -> bool:
        return all(thread.state is State.DEAD for thread in self.threads_)

    # What a processor does -------------------------------------------------------------------------------------------

    def schedule(self, index: int) -> Steps:
        """A processor's life: take a thread, run its program up to where it gives the processor up."""
        own = self.processors[index]
        previous: int | None = None
        while not self.is_over():
            yield from self.lock(own)
            if not own.queue:
                yield from self.wait_for_work(index)
                if self.is_over():
                    return
                continue  # the lock was given back: look again
            number = own.queue.pop(0)
            thread = self.threads_[number]
            thread.is_queued = False
            yield STEP
            assert thread.on_processor in (None, index), "a thread goes on before its registers are saved"
            if previous is not None and previous != number:
                self.threads_[previous].on_processor = None
            thread.on_processor = index
            thread.state = State.RUNNING
            own.lock_is_held = False
            previous = number
            yield from self.run(index, number)

    def lock(self, processor: Processor) -> Steps:
        yield lambda: not processor.lock_is_held
        processor.lock_is_held = True

    def wait_for_work(self, index: int) -> Steps:
        """Nothing is queued here: pull, or halt. The own lock is held when this begins, and not when it ends."""
        own = self.processors[index]
        own.is_idle = True
        own.lock_is_held = False
        for other, _ in enumerate(self.processors):
            if other != index and (yield from self.pull(index, other)):
                yield STEP
                own.is_idle = False
                return
        yield lambda: own.interrupted or self.is_over()
        own.interrupted = False
        own.is_idle = False

    def pull(self, index: int, other: int) -> Answer:
        """Move a thread here from another's queue."""
        victim = self.processors[other]
        yield from self.lock(victim)
        for number in victim.queue:
            if self.may_move(number):
                victim.queue.remove(number)
                self.threads_[number].home = index
                yield STEP
                victim.lock_is_held = False
                own = self.processors[index]
                yield from self.lock(own)
                own.queue.append(number)
                yield STEP
                own.lock_is_held = False
                return True
        yield STEP
        victim.lock_is_held = False
        return False

    def may_move(self, number: int) -> bool:
        return self.threads_[number].on_processor is None

    # What a thread does ----------------------------------------------------------------------------------------------

    def run(self, index: int, number: int) -> Steps:
        """Its program, until it sleeps, yields or ends."""
        thread = self.threads_[number]
        while thread.place < len(thread.program):
            letter = thread.program[thread.place]
            if letter == "s":
                if (yield from self.sleep(thread)):
                    return  # and asks again when it goes on
            elif letter == "y":
                thread.place += 1
                thread.state = State.READY
                yield from self.lock(self.processors[index])
                self.enqueue(index, number)
                yield STEP
                self.processors[index].lock_is_held = False
                yield from self.ask_idle()
                return
            elif letter.isdigit():
                yield from self.wake(index, int(letter))
            else:
                yield from self.send_signal(index, "abc".index(letter))
            thread.place += 1
        thread.state = State.DEAD

    def sleep(self, thread: Thread) -> Answer:
        """Whether the thread has to give the processor up."""
        event = thread.event
        yield STEP  # under the event's lock
        event.sleeper = None
        if event.happened:
            event.happened = False
            return False
        event.sleeper = thread
        thread.state = State.SLEEPING
        yield STEP
        if thread.has_signal:
            yield STEP
            if thread.state is State.SLEEPING:  # compare and swap
                thread.state = State.RUNNING
                thread.has_signal = False
                yield STEP
                event.sleeper = None
                return False
        return True

    def ask_idle(self) -> Steps:
        """A thread waits on this processor's queue: one that idles may pull it."""
        for _, processor in enumerate(self.processors):
            if processor.is_idle:
                yield STEP
                processor.interrupted = True
                return

    def wake(self, index: int, number: int) -> Steps:
        """The thread's event happens."""
        event = self.threads_[number].event
        yield STEP  # under the event's lock
        event.happened = True
        thread = event.sleeper
        event.sleeper = None
        if thread is not None:
            yield from self.end_sleep(index, number)

    def send_signal(self, index: int, number: int) -> Steps:
        """End the thread's sleep, or its next one."""
        yield STEP
        self.threads_[number].has_signal = True
        yield from self.end_sleep(index, number)

    def end_sleep(self, index: int, number: int) -> Steps:
        thread = self.threads_[number]
        yield STEP
        if thread.state is State.SLEEPING:  # compare and swap
            thread.state = State.READY
            yield from self.make_ready(index, number)

    def make_ready(self, index: int, number: int) -> Steps:
        """Queue a thread that this processor has woken."""
        thread = self.threads_[number]
        home = thread.home
        yield from self.lock(self.processors[home])
        target = home
        if thread.on_processor is None and not self.processors[home].is_idle:
            target = self.place_for(index, home)
            thread.home = target
        if target != home:
            yield STEP
            self.processors[home].lock_is_held = False
            yield from self.lock(self.processors[target])
        self.enqueue(target, number)
        interrupts = self.processors[target].is_idle
        yield STEP
        self.processors[target].lock_is_held = False
        if interrupts:
            yield STEP
            self.processors[target].interrupted = True

    def place_for(self, waker: int, home: int) -> int:
        """An idle processor, if one is seen; only a guess, since no lock is held."""
        for index, processor in enumerate(self.processors):
            if processor.is_idle:
                return index
        return home

    def enqueue(self, index: int, number: int) -> None:
        thread = self.threads_[number]
        assert not thread.is_queued, f"thread {number} is queued twice"
        thread.is_queued = True
        self.processors[index].queue.append(number)

    # What holds ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        queued = [number for processor in self.processors for number in processor.queue]
        assert len(queued) == len(set(queued)), f"queues {queued}"

    def finish(self) -> None:
        assert self.is_over()
        assert all(thread.place == len(thread.program) for thread in self.threads_)


class WakesHere(RunQueues):
    """The waker is expected to sleep soon: the thread waits on its queue, and nobody is asked."""

    def place_for(self, waker: int, home: int) -> int:
        return waker
