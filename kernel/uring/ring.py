"""A ring: what it shares with the program, the completions, and the requests that wait.

The program may write anything into a ring at any time. The kernel goes by a head of submissions and a tail of
completions of its own; of what the program writes it reads each word once, and takes only the difference to its own.

Completions that find no room wait in a list of the kernel's until the program has taken others (IORING_FEAT_NODROP).
That list is bounded by the requests: only the last completion of a request enters it.

Context: `post` and `add_due` never sleep; `add_due` is fit for interrupts.
"""

from typing import Final, Literal

from kernel.fs.file import File
from kernel.ipc.eventfd import EventFile
from kernel.lang import ECANCELED, EIO, ERESTARTSYS, Array, Errno, final, inline, noinline, noraise, u8
from kernel.lib.linked import FIRST, Linkage, Linked, LinkedList, Links
from kernel.lib.pace import pace
from kernel.mm.ring_memory import RingMemory
from kernel.sched import Thread, WaitQueue, current_thread, wake
from kernel.sched.later import Job
from kernel.sched.mutex import Mutex
from kernel.task.belongings import AsyncWork
from kernel.task.send import interrupt
from kernel.task.task import Task
from kernel.task.words import store_i32, store_i64
from kernel.time.heap import DeadlineHeap
from kernel.uring import layout
from kernel.uring.buffers import BufferGroup
from kernel.uring.memory import memory_at, whole_pages
from kernel.uring.parts import Draining, HeldMemory, Progress, RingShape
from kernel.uring.personalities import Personalities
from kernel.uring.request import REQUEST_BYTES, Counted, DueList, Request, Requests
from kernel.uring.resources import GENERATION_BYTES, FixedBuffers, FixedFiles, Generations
from kernel.uring.taker import ServedRing, Taker
from kernel.uring.worker_limits import RingSettings, WorkerLimits

_WORD: Final = 0xFFFF_FFFF
_OVERFLOWED_BYTES: Final = 80
_MOST_COUNTED: Final = 16  # timeouts that one completion ends without a safe point
_DROP_COST: Final = 300  # instructions, for `pace`
RING_BYTES: Final = 1200  # what a ring takes beside its pages, about


@final
class Overflowed(Linked["Overflowed"]):
    """A completion that found no room."""

    def __init__(self, user_data: int, result: int, flags: int) -> None:
        super().__init__()
        self.user_data: int = user_data
        self.result: int = result
        self.flags: int = flags

    def this(self) -> "Overflowed":
        return self


@final
class OverflowList(LinkedList[Overflowed]):
    """Completions that found no room, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.count: int = 0
        self.lost: int = 0  # that found no memory either
        self.has_lost: bool = False  # … and the program has not been notified


@final
class Chain:
    """The chain of requests that is being submitted."""

    def __init__(self) -> None:
        self.first: Request | None = None
        self.last: Request | None = None


@final
class Count:
    """How many of a task's requests wait in a ring."""

    def __init__(self) -> None:
        self.value: int = 0


@final
class SameData:
    """Requests of a ring that wait and have the same user_data."""

    all: Links[Request]  # the latest first


class _Same(Linkage[Request]):
    @inline
    def links(self, entry: Request) -> Links[Request]:
        return entry.same_links


_SAME: Final = _Same()


class TaskRequests(AsyncWork):
    """What a task has to do for its requests. Base class: see perform.py."""

    def __init__(self) -> None:
        self.due: DueList = DueList()
        self.rings: dict[Ring, Count] = {}  # where some of its requests wait
        self.is_at_work: bool = False  # the task looks at what is due by itself
        self.registered: list[File | None] = []  # rings that it names by an index (IORING_REGISTER_RING_FDS)
        self.sleeper: Thread | None = None  # the task, while it waits in io_uring_enter(2)
        self.workers: WorkerLimits = WorkerLimits()
        self.taker: Taker | None = None  # whose thread it is (IORING_SETUP_SQPOLL)

    def enter(self, ring: "Ring") -> None:
        """One more of its requests waits there. Raises MemoryError."""
        count = self.rings.get(ring)
        if count is None:
            count = Count()
            self.rings[ring] = count
        count.value += 1

    @noraise
    def leave(self, ring: "Ring") -> None:
        """One less."""
        count = self.rings.get(ring)
        if count is not None:
            count.value -= 1
            if count.value == 0:
                self.rings.pop(ring)

    def is_due(self) -> bool:
        return self.due.first is not None and not self.is_at_work

    def add(self, request: Request) -> None:
        """Something for the task to look at. Fit for interrupts."""
        self.due.put(request)
        sleeper = self.sleeper
        if sleeper is not None:
            wake(sleeper)
        elif not self.is_at_work:
            interrupt(request.task)


@final
class PollersJob(Job):
    """Wakes those who watch a ring's descriptor when there is work for its task: that may not be done from within a
    wake, because a ring may watch another one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ring: Ring | None = None

    def run(self) -> None:
        ring = self.ring
        if ring is not None:
            ring.listeners.waiters.wake_all()


@final
class RingEnd(Job):
    """Gives back what a ring had. That is left to the thread "async": files are among it, and a file that ends does
    not end others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ring: Ring | None = None

    def run(self) -> None:
        ring = self.ring
        self.ring = None
        if ring is not None:
            ring.give_back()


@final
class Restrictions:
    """What a ring may be used for (IORING_REGISTER_RESTRICTIONS)."""

    def __init__(self) -> None:
        self.register_codes: int = 0  # a bit for each
        self.opcodes: int = 0
        self.flags_allowed: int = 0
        self.flags_required: int = 0

    def allow(self, opcode: int, flags: int) -> bool:
        """Whether a submission is allowed."""
        if self.opcodes >> opcode & 1 == 0 or flags & self.flags_required != self.flags_required:
            return False
        return flags & ~(self.flags_allowed | self.flags_required) == 0


@final
class RingListeners:
    """Who is woken or notified when there are completions, or work for the ring's task."""

    def __init__(self) -> None:
        self.waiters: WaitQueue = WaitQueue()
        self.sleeper: Thread | None = None  # the thread that waits in io_uring_enter(2) for deferred work
        self.bell: EventFile | None = None
        self.bell_is_for_late: bool = False  # it hears only of what did not end in its call (EVENTFD_ASYNC)
        self.job: PollersJob = PollersJob()


@final
class Registered:
    """What was registered for requests to use (io_uring_register(2))."""

    def __init__(self) -> None:
        self.files: FixedFiles = FixedFiles()
        self.buffers: FixedBuffers = FixedBuffers()
        self.generations: Generations = Generations()  # of requests that use them
        self.personalities: Personalities = Personalities()
        self.groups: dict[int, BufferGroup] = {}  # of provided buffers


@final
class Ring:
    """One ring."""

    shape: RingShape
    progress: Progress
    draining: Draining
    held: HeldMemory

    def __init__(self, setup: int, entry_count: int, completion_count: int, rings_at: int, entries_at: int) -> None:
        """Both counts are powers of two within what layout.py allows. The addresses matter with SETUP_NO_MMAP: then
        the memory is the program's. Raises MemoryError, and what `memory_at` raises. Sleeps.
        """
        self.setup: int = setup
        self.shape.entry_count = entry_count
        self.shape.completion_count = completion_count
        self.shape.completion_size = layout.COMPLETION_SIZE * (2 if setup & layout.SETUP_CQE32 != 0 else 1)
        self.shape.entry_size = layout.ENTRY_SIZE * (2 if setup & layout.SETUP_SQE128 != 0 else 1)
        self.shape.array_at = layout.array_offset(completion_count, self.shape.completion_size)
        size = self.shape.array_at + (entry_count * 4 if setup & layout.SETUP_NO_SQARRAY == 0 else 0)
        self.is_disabled: bool = setup & layout.SETUP_R_DISABLED != 0
        self.defers: bool = setup & layout.SETUP_DEFER_TASKRUN != 0
        self.is_ended: bool = False  # nobody has it open, and nobody maps it
        self.overflow: OverflowList = OverflowList()
        self.requests: Requests = Requests()  # that wait
        self.by_data: dict[int, SameData] = {}  # the same, by user_data
        self.numbered: int = 0
        self.deferred: Requests = Requests()  # firsts of chains that begin when others are done
        self.submitting: Mutex = Mutex()  # one thread at a time takes submissions
        self.chain: Chain = Chain()
        self.counted: DeadlineHeap[Counted] = DeadlineHeap()  # timeouts that end with a number of completions
        self.due: DueList = DueList()  # of a ring with DEFER_TASKRUN
        self.end: RingEnd = RingEnd()
        self.listeners: RingListeners = RingListeners()
        self.submitter: Task | None = None  # the only one, with SINGLE_ISSUER
        self.served: ServedRing | None = None  # with SQPOLL, until it is closed
        self.registered: Registered = Registered()
        self.settings: RingSettings = RingSettings()
        self.restrictions: Restrictions | None = None  # that are in force
        self.restrictions_to_be: Restrictions | None = None  # … once the ring is enabled
        is_own = setup & layout.SETUP_NO_MMAP != 0
        self.memory: RingMemory = memory_at(rings_at, size) if is_own else RingMemory(whole_pages(size))
        done = False
        try:
            size = entry_count * self.shape.entry_size
            self.entries: RingMemory = memory_at(entries_at, size) if is_own else RingMemory(whole_pages(size))
            done = True
        finally:
            if not done:
                self.memory.free()
        memory = self.memory
        memory.store(layout.SQ_MASK, entry_count - 1)
        memory.store(layout.CQ_MASK, completion_count - 1)
        memory.store(layout.SQ_ENTRIES, entry_count)
        memory.store(layout.CQ_ENTRIES, completion_count)
        if self.defers:
            self.listeners.job.ring = self

    def has_array(self) -> bool:
        """Whether submissions are named by an array of indices."""
        return self.setup & layout.SETUP_NO_SQARRAY == 0

    def held_bytes(self) -> int:
        """About how much memory it frees when it goes."""
        # Requests: those that wait, and those that follow in their chains
        living = self.draining.begun - self.draining.ended
        waiting = living * REQUEST_BYTES + self.held.kept_bytes + self.overflow.count * _OVERFLOWED_BYTES
        listed = self.registered.files.held_bytes() + self.registered.buffers.held_bytes() + self.held.group_bytes
        listed += self.registered.personalities.held_bytes() + self.registered.generations.past_count * GENERATION_BYTES
        return RING_BYTES + self.memory.size_bytes() + self.entries.size_bytes() + waiting + listed

    def uncounted_bytes(self, count: int) -> int:
        """`held_bytes`, once in a count of memory: several ways may lead to a ring."""
        if self.held.counted_by == count:
            return 0
        self.held.counted_by = count
        return self.held_bytes()

    def lock(self) -> None:
        """Take `submitting`. What holds it may sleep for long, so a signal ends the wait. Raises ERESTARTSYS, EIO (its
        owner was lost).
        """
        while not self.submitting.try_acquire():
            owner = self.submitting.present_owner()
            if owner is not None and owner.is_lost:
                raise Errno(EIO)
            try:
                self.submitting.waiters.sleep()
            except Errno:
                if self.submitting.present_owner() is None:
                    self.submitting.waiters.wake_one()
                raise Errno(ERESTARTSYS) from None

    # ---- Words of the ring -----------------------------------------------------------------------------------------
    # Calls, so that what is written to the ring before one of them is there when the program sees what it stores, and
    # what is read after one of them is read later: the processor keeps the order of stores and that of loads.

    @noinline
    def observe(self, at: int) -> int:
        """A word that the program writes."""
        return self.memory.load(at)

    @noinline
    def publish(self, at: int, word: int) -> None:
        """A word that the program reads."""
        self.memory.store(at, word)

    def set_flag(self, flag: int) -> None:
        """One of SQ_FLAGS."""
        self.publish(layout.SQ_FLAGS, self.observe(layout.SQ_FLAGS) | flag)

    def clear_flag(self, flag: int) -> None:
        self.publish(layout.SQ_FLAGS, self.observe(layout.SQ_FLAGS) & ~flag & _WORD)

    def offered(self) -> int:
        """How many submissions the program says to have filled in, any number."""
        return (self.observe(layout.SQ_TAIL) - self.progress.head) & _WORD

    # ---- Completions -----------------------------------------------------------------------------------------------

    def waiting_completions(self) -> int:
        """How many completions the program has not taken, by what it says."""
        return (self.progress.tail - self.observe(layout.CQ_HEAD)) & _WORD

    def is_full(self) -> bool:
        """Whether the next completion finds no room."""
        return self.waiting_completions() >= self.shape.completion_count

    @noraise
    def post(self, user_data: int, result: int, flags: int) -> None:
        """Enter a completion, now or when there is room."""
        if self.is_ended:
            return
        if self.overflow.is_empty() and not self.is_full():
            self._write(user_data, result, flags)
        else:
            self._put_aside(user_data, result, flags)
        self._tell()

    def latest_of(self, user_data: int) -> Request | None:
        """The request that began to wait last of those with that user_data; the others follow by `same_links`."""
        same = self.by_data.get(user_data)
        return None if same is None else same.all[FIRST]

    def post_more(self, user_data: int, result: int, flags: int) -> bool:
        """Enter one completion of several that a request has; False, and nothing is entered, if there is no room.

        Sleeps.
        """
        if self.is_ended or not self.overflow.is_empty() or self.is_full():
            return False
        self._write(user_data, result, flags)
        self._tell()
        while self.end_counted():
            pace(_DROP_COST)
        return True

    @noraise
    def _put_aside(self, user_data: int, result: int, flags: int) -> None:
        try:
            self.overflow.link_last(Overflowed(user_data, result, flags))
            self.overflow.count += 1
            self.set_flag(layout.SQ_CQ_OVERFLOW)
        except MemoryError:
            self.overflow.lost = (self.overflow.lost + 1) & _WORD
            self.overflow.has_lost = True
            self.publish(layout.CQ_OVERFLOW, self.overflow.lost)

    def flush(self) -> None:
        """Enter what found no room before, as far as it does now."""
        if self.overflow.is_empty():
            return
        before = self.progress.posted
        while not self.is_full():
            entry = self.overflow.first()
            if entry is None:
                break
            self.overflow.unlink(entry)
            self.overflow.count -= 1
            self._write(entry.user_data, entry.result, entry.flags)
        if self.overflow.is_empty():
            self.clear_flag(layout.SQ_CQ_OVERFLOW)
        if self.progress.posted != before:
            self._tell()

    def _write(self, user_data: int, result: int, flags: int) -> None:
        storage: Array[u8, Literal[32]] = Array()
        entry = storage.span()
        store_i64(entry, 0, user_data)
        store_i32(entry, 8, result)
        store_i32(entry, 12, flags)
        at = layout.COMPLETIONS + (self.progress.tail & (self.shape.completion_count - 1)) * self.shape.completion_size
        self.memory.write(at, entry[0 : self.shape.completion_size])
        self.progress.tail = (self.progress.tail + 1) & _WORD
        self.progress.posted += 1
        self.publish(layout.CQ_TAIL, self.progress.tail)

    def _tell(self) -> None:
        bell = self.listeners.bell
        if bell is not None and self.observe(layout.CQ_FLAGS) & layout.CQ_EVENTFD_DISABLED == 0:
            if not self.listeners.bell_is_for_late or self.submitting.owner is not current_thread():
                bell.signal(1)
        self.end_counted()
        self.listeners.waiters.wake_all()

    @noraise
    def end_counted(self) -> bool:
        """End timeouts whose number of completions is there, a few at a time; whether there are more."""
        waiting = self.counted.entries
        for _ in range(_MOST_COUNTED):
            if len(waiting) == 0 or waiting[0].queued_ns > self.progress.posted - self.progress.timed_out:
                return False
            counted = waiting[0]
            self.counted.take_out(counted)
            request = counted.request
            counted.request = None
            if request is not None:
                request.settle(0)
        return True

    # ---- Requests --------------------------------------------------------------------------------------------------

    def keep(self, request: Request) -> None:
        """A request begins to wait. Raises MemoryError, or ECANCELED as the ring has ended, and nothing has changed."""
        if request.number != 0:
            return
        if self.is_ended:
            raise Errno(ECANCELED)
        work = request.task.async_work
        assert isinstance(work, TaskRequests)
        same = self.by_data.get(request.entry.user_data)
        is_fresh = same is None
        if same is None:
            same = SameData()
            self.by_data[request.entry.user_data] = same
        try:
            work.enter(self)
        except MemoryError:
            if is_fresh:
                self.by_data.pop(request.entry.user_data)
            raise
        _SAME.prepend(same.all, request)
        self._link(self.requests, request)

    @noraise
    def drop(self, request: Request) -> None:
        """It waits no longer."""
        if request.number == 0:
            return
        self.requests.unlink(request)
        request.number = 0
        self._leave_same(request)
        self.leave_task(request)

    def rename(self, request: Request, user_data: int) -> None:
        """A request that waits has another user_data from now on. Raises MemoryError, and nothing has changed."""
        if self.by_data.get(user_data) is None:
            self.by_data[user_data] = SameData()
        same = self.by_data[user_data]
        if user_data == request.entry.user_data:
            return
        self._leave_same(request)
        request.entry.user_data = user_data
        _SAME.prepend(same.all, request)

    @noraise
    def _leave_same(self, request: Request) -> None:
        same = self.by_data.get(request.entry.user_data)
        if same is not None:
            _SAME.remove(same.all, request)
            if same.all[FIRST] is None:
                self.by_data.pop(request.entry.user_data)

    @noraise
    def leave_task(self, request: Request) -> None:
        """One of a task's requests waits no longer."""
        work = request.task.async_work
        if isinstance(work, TaskRequests):
            work.leave(self)

    def defer(self, request: Request) -> None:
        """The first of a chain begins when others are done. Raises MemoryError."""
        work = request.task.async_work
        assert isinstance(work, TaskRequests)
        work.enter(self)
        self._link(self.deferred, request)

    @noraise
    def undefer(self, request: Request) -> None:
        """It no longer waits for others; its task still counts it."""
        self.deferred.unlink(request)
        request.number = 0

    def _link(self, requests: Requests, request: Request) -> None:
        """It stands on one of the two lists."""
        self.numbered += 1
        request.number = self.numbered
        requests.link_last(request)

    def add_due(self, request: Request) -> None:
        """Hand it to the request's task: to be looked at now, or when that asks for completions (DEFER_TASKRUN)."""
        if self.defers and not self.is_ended:
            self.due.put(request)
            if self.setup & layout.SETUP_TASKRUN_FLAG != 0:
                self.set_flag(layout.SQ_TASKRUN)
            sleeper = self.listeners.sleeper
            if sleeper is not None:
                wake(sleeper)
            if not self.listeners.waiters.is_empty():
                self.listeners.job.schedule()
            return
        work = request.task.async_work
        if isinstance(work, TaskRequests):
            work.add(request)

    @noraise
    def give_back(self) -> None:
        """Nobody uses it any more. May sleep."""
        self.submitter = None
        self.listeners.job.ring = None
        self.drop_files()
        self.drop_retired()
        self.registered.buffers.drop()
        bell = self.listeners.bell
        self.listeners.bell = None
        if bell is not None:
            bell.release()
        while True:
            entry = self.overflow.first()
            if entry is None:
                break
            self.overflow.unlink(entry)
            pace(_DROP_COST)
        for group in self.registered.groups.values():
            group.give_back()
            pace(_DROP_COST)
        self.registered.groups.clear()
        self.memory.free()
        self.entries.free()

    @noraise
    def drop_files(self) -> None:
        """No file is registered any more. May sleep."""
        files = self.registered.files
        slots = files.spare if files.is_withdrawn else files.slots
        while len(slots) > 0:
            file = slots.pop()
            if file is not None:
                file.release()
            pace(_DROP_COST)
        files.exists = False
        files.is_withdrawn = False
        files.search_in(0, 0)
        files.tags.clear()

    @noraise
    def drop_retired(self) -> None:
        """Nobody hears of what is retired any more. May sleep."""
        past = self.registered.generations.past
        while True:
            generation = past.first()
            if generation is None:
                return
            past.unlink(generation)
            self.registered.generations.past_count -= 1
            file = generation.file
            generation.file = None
            if file is not None:
                file.release()
            pace(_DROP_COST)
