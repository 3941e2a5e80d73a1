"""The processors as the scheduler knows them: what each runs, and the queue of its ready threads.

Which one runs a thread that became ready: balance.py.

Invariants: callers hold the kernel lock, so other processors' state does not change meanwhile, except for those in
user mode. A ready or sleeping thread is `current` nowhere; with several processors, one that finds nothing to do
runs its idle thread.
Context: never sleeps; called from interrupts too.
"""

from typing import Final

from arch import interrupt_processor, note_watched
from kernel.lang import atomic, export, final, inline, noinline, on_stack
from kernel.sched.runqueue import RunQueue
from kernel.sched.switch import wake_stack
from kernel.sched.thread import AWAKE, Thread, ThreadState
from kernel.time.hardware import HardwareTimer
from kernel.time.timers import PROCESSOR_TIMERS

LOAD_PERIOD_NS: Final = 5_000_000_000
_HIGHEST: Final = 63  # a processor's number: sets have 64 bits


def bit_of(number: int) -> int:
    """The set that holds one processor. The last one's bit is the sign."""
    return 1 << number if number < _HIGHEST else -(1 << (_HIGHEST - 1)) * 2


@final
class Processor:
    """A processor's scheduler state."""

    def __init__(self, number: int, queue: RunQueue) -> None:
        self.number: int = number
        self.timer: HardwareTimer = HardwareTimer()
        self.boot_thread: Thread = Thread(b"swapper")
        self.boot_thread.state = ThreadState.RUNNING  # from the first instruction on: it may be preempted
        self.boot_thread.processor = number
        self.boot_thread.allowed = bit_of(number)  # its stack is the processor's
        self.current: Thread = self.boot_thread  # what it runs, except while it runs the kernel: then it is in RUNNING
        self.idle_thread: Thread | None = None  # without one, it waits on its last thread's stack when none is ready
        self.queue: RunQueue = queue
        # The values for `RUNNING` when the processor takes the kernel lock
        self.need_resched: bool = False
        self.has_work: bool = False
        self.watches_calls: bool = False
        self.departed: Thread | None = None  # died; the next thread to run frees its stack
        self.charged_at_ns: int = 0  # `current` was charged up to this time
        self.idle: bool = False
        self.realtime_since_ns: int = 0  # begin of the period in which real-time threads have their share
        self.realtime_ns: int = 0  # what they have run in it
        # Accounting (proc(5))
        self.idle_ns: int = 0
        self.user_ns: int = 0
        self.nice_ns: int = 0
        self.system_ns: int = 0
        self.timer_interrupts: int = 0
        self.switches: int = 0
        self.forks: int = 0
        self.load: list[int] = [0, 0, 0]
        self.load_due_ns: int = LOAD_PERIOD_NS


PROCESSORS: Final[list[Processor]] = [Processor(0, RunQueue())]


@final
@atomic("mask")
class Running:
    """The processor that runs the kernel, because it holds the lock, and the flags that each system call checks: in one
    place, which is always the same.
    """

    def __init__(self, processor: Processor) -> None:
        self.processor: Processor = processor
        self.current: Thread = processor.current
        self.several: bool = False  # there are others
        self.mask: int = bit_of(0)  # `processor_mask`, for whoever has not the kernel lock
        self.need_resched: bool = False  # another thread should run
        self.has_work: bool = False  # something may be due before the running thread goes on in user mode
        self.watches_calls: bool = False  # the running thread's system calls are traced or filtered
        self.is_observed: bool = False  # switches and faults are observed (observer.py)

    def request_reschedule(self) -> None:
        """Make the running thread yield at the next opportunity."""
        self.need_resched = True
        self.has_work = True


RUNNING: Final = Running(PROCESSORS[0])


def this_processor() -> Processor:
    """The processor that runs this."""
    return RUNNING.processor


@export("krait_take_over")
@on_stack(8192)
def take_over(number: int) -> None:
    """Another processor has the kernel lock now (lock.S). The reclaimer may hold what its thread's stack refers to: the
    thread was in user mode, or waited.
    """
    before = RUNNING.processor
    before.current = RUNNING.current
    before.need_resched = RUNNING.need_resched
    before.has_work = RUNNING.has_work
    before.watches_calls = RUNNING.watches_calls
    processor = PROCESSORS[number]
    PROCESSOR_TIMERS.own = processor.timer
    RUNNING.processor = processor
    RUNNING.current = processor.current
    RUNNING.need_resched = processor.need_resched
    RUNNING.has_work = processor.has_work
    RUNNING.watches_calls = processor.watches_calls
    processor.need_resched = False
    if processor.current.context.links != AWAKE:
        wake_stack(processor.current)


def add_processor() -> Processor:
    """Add a processor, which waits for the kernel lock. Raises MemoryError."""
    processor = Processor(len(PROCESSORS), RunQueue())
    PROCESSOR_TIMERS.all.append(processor.timer)
    processor.idle_thread = processor.boot_thread
    PROCESSORS.append(processor)
    RUNNING.several = True
    RUNNING.mask = processor_mask()
    return processor


def load_averages() -> list[int]:
    """Over 1, 5 and 15 minutes, in units of 1 / LOAD_ONE."""
    return PROCESSORS[0].load


def idle_ns() -> int:
    """How long processors had nothing to do, in total."""
    total = 0
    for processor in PROCESSORS:
        total += processor.idle_ns
    return total


def processor_mask() -> int:
    """A bit for each processor."""
    count = len(PROCESSORS)
    return -1 if count > _HIGHEST else (bit_of(count - 1) - 1) * 2 + 1


def running_on(processor: Processor) -> Thread:
    """What a processor runs."""
    return RUNNING.current if processor is RUNNING.processor else processor.current


def processor_of(thread: Thread) -> Processor | None:
    """The processor that runs a thread; None if it does not run."""
    processor = PROCESSORS[thread.processor]
    return processor if running_on(processor) is thread else None


def interrupt(processor: Processor) -> None:
    """Make another processor check for the thread that it should run."""
    processor.need_resched = True
    processor.has_work = True
    interrupt_processor(processor.number)


def watch_calls_of(thread: Thread, is_wanted: bool) -> None:
    """Set whether a thread's system calls are watched from now on, wherever it runs."""
    processor = processor_of(thread)
    if thread is RUNNING.current:
        RUNNING.watches_calls = is_wanted
    elif processor is not None:
        processor.watches_calls = is_wanted
    if processor is not None and RUNNING.several:
        note_watched(processor.number, is_wanted)


@inline
def announce_work_of(thread: Thread) -> None:
    """Something became due before a thread goes on in user mode. One that does not run finds it when it does:
    `enter_processor` repeats the announcement.
    """
    if not RUNNING.several or thread is RUNNING.current:
        RUNNING.has_work = True
    else:
        _announce_elsewhere(thread)


@noinline
def _announce_elsewhere(thread: Thread) -> None:
    processor = processor_of(thread)
    if processor is not None:
        processor.has_work = True
        interrupt_processor(processor.number)
