"""Userfaultfd: a file through which one program serves another's page faults, or its own (userfaultfd(2)).

Areas are registered with the file's `FaultContext` (mm/userfault.py). A thread that faults there joins the `pending`
faults and sleeps at its page's `Place`; reading the file takes the oldest fault, and a command (userfault_commands.py)
that fills the page wakes the threads that wait for it, and no others. Then the thread faults again, and finds the page
or joins anew.

A change of registered memory of which the file's program wants to hear (UFFD_FEATURE_EVENT_*) joins the `changes` once
it has happened, and the thread that made it sleeps until somebody has read of it, or the file ends; only a kill ends
its wait earlier. Faults are read before changes. Whoever reads of a fork gets a file that serves the child's faults.

A program's fault ends its wait for a signal, which is handled first. A fault of the kernel on its behalf waits on,
except for a kill; if the file serves only faults of user mode (UFFD_USER_MODE_ONLY), it does not wait at all.

Invariants: a fault is in `pending` or `taken` as long as its thread waits. A change is in `changes` until it is read,
or its thread waits no more. A place is in `places` as long as threads
wait there that were not woken: later threads wait at another. When the file ends no area is registered
with its context, and no thread waits.

Context: asking and reading sleep. Raises MemoryError. Source: userfaultfd(2), ioctl_userfaultfd(2).
"""

from typing import Final

from arch import USER_END
from kernel.fs.anonymous import DescriptorFile, anonymous_path
from kernel.fs.constants import O_CLOEXEC, O_NONBLOCK, O_RDONLY, POLLERR, READABLE
from kernel.fs.file import DESCRIPTION_BYTES
from kernel.lang import EAGAIN, EFAULT, EINVAL, Errno, Span, final, noraise, span_of, u8
from kernel.lib.linked import LinkedList
from kernel.lib.pace import pace
from kernel.lib.user import Buffer
from kernel.mm.fault import FaultOutcome
from kernel.mm.frames import PAGE_SHIFT, PAGE_SIZE
from kernel.mm.space import AddressSpace
from kernel.mm.userfault import (
    EVENT_FORK,
    EVENT_REMAP,
    EVENT_REMOVE,
    EVENTS,
    Change,
    FaultHandler,
    forget_handler,
)
from kernel.sched import PollWaiter, WaitQueue
from kernel.task.task import Task, current, current_or_none
from kernel.task.words import store_i32, store_i64

# UFFD_FEATURE_*
FEATURE_PROTECTED: Final = 1 << 0
FEATURE_HUGE_PAGES: Final = 1 << 4  # UFFD_FEATURE_MISSING_HUGETLBFS
FEATURE_SHARED_MEMORY: Final = 1 << 5
FEATURE_SIGBUS: Final = 1 << 7
FEATURE_THREAD_ID: Final = 1 << 8
FEATURE_MINOR_HUGE: Final = 1 << 9
FEATURE_MINOR: Final = 1 << 10
FEATURE_EXACT_ADDRESS: Final = 1 << 11
FEATURE_PROTECTED_SHARED: Final = 1 << 12  # UFFD_FEATURE_WP_HUGETLBFS_SHMEM
FEATURE_PROTECTED_ABSENT: Final = 1 << 13  # UFFD_FEATURE_WP_UNPOPULATED
FEATURE_POISON: Final = 1 << 14
FEATURE_ASYNCHRONOUS: Final = 1 << 15  # UFFD_FEATURE_WP_ASYNC
FEATURE_MOVE: Final = 1 << 16
FEATURES: Final = (
    FEATURE_PROTECTED
    | EVENTS
    | FEATURE_HUGE_PAGES
    | FEATURE_SHARED_MEMORY
    | FEATURE_SIGBUS
    | FEATURE_THREAD_ID
    | FEATURE_MINOR_HUGE
    | FEATURE_MINOR
    | FEATURE_EXACT_ADDRESS
    | FEATURE_PROTECTED_SHARED
    | FEATURE_PROTECTED_ABSENT
    | FEATURE_POISON
    | FEATURE_ASYNCHRONOUS
    | FEATURE_MOVE
)

MESSAGE_SIZE: Final = 32  # struct uffd_msg
_EVENT_PAGEFAULT: Final = 0x12  # UFFD_EVENT_*
_EVENT_FORK: Final = 0x13
_EVENT_REMAP: Final = 0x14
_EVENT_REMOVE: Final = 0x15
_EVENT_UNMAP: Final = 0x16
# Instructions, for `pace`
_MESSAGE_COST: Final = 1000
_WAKE_COST: Final = 450  # for a thread
_LOOK_COST: Final = 30  # for a place
_DEAD_BYTES: Final = 2048  # the rest of an ended program's memory, about
_READY: Final = 1 << 31  # shown among the features once UFFDIO_API was called
_COMMANDS: Final = "80000000000001ff"  # a bit for each command of the file and of ranges


@final
class Place:
    """A page that threads wait for."""

    def __init__(self, page: int) -> None:
        self.page: int = page  # its address
        self.threads: int = 0
        self.is_woken: bool = False  # the page may be there
        self.waiters: WaitQueue = WaitQueue()
        self.next: Place | None = None  # of those about to be woken


@final
class Fault:
    """A thread that waits for a page."""

    def __init__(self, address: int, flags: int, tid: int) -> None:
        self.address: int = address
        self.flags: int = flags  # FAULT_*
        self.tid: int = tid  # its number in its own namespace; 0 if not requested


@final
class Announcement(Change):
    """A change, with the thread that waits until it is read."""

    def __init__(self, handler: FaultHandler, kind: int, first: int, second: int) -> None:
        super().__init__(handler, kind, first, second)
        self.is_listed: bool = False  # in its context's `changes`
        self.waiters: WaitQueue = WaitQueue()

    def wake(self) -> None:
        self.waiters.wake_all()


@final
class FaultContext(FaultHandler):
    """The state shared by a file and the areas registered with it."""

    def __init__(self, space: AddressSpace, user_mode_only: bool, flags: int = 0) -> None:
        super().__init__()
        self.space: AddressSpace = space
        self.user_mode_only: bool = user_mode_only
        self.is_ready: bool = False  # UFFDIO_API was called
        self.flags: int = flags  # O_*, with which the first file was created
        self.users: int = 1  # its file, or the change that announces it
        self.features: int = 0
        self.pending: dict[int, Fault] = {}  # by number, in the order in which they came
        self.taken: dict[int, Fault] = {}
        self.places: dict[int, Place] = {}  # by the page's address
        self.changes: LinkedList[Change] = LinkedList()  # not read yet, from the oldest
        self.readers: WaitQueue = WaitQueue()
        self._last: int = 0

    def agree(self, features: int) -> None:
        """The program has said what it wants: UFFD_FEATURE_*."""
        if features & FEATURE_ASYNCHRONOUS != 0:
            features |= FEATURE_PROTECTED_ABSENT
        self.is_ready = True
        self.features = features
        self.is_asynchronous = features & FEATURE_ASYNCHRONOUS != 0
        self.protects_absent = features & FEATURE_PROTECTED_ABSENT != 0
        self.wanted = features & EVENTS

    def ask(self, address: int, page: int, flags: int, by_kernel: bool) -> FaultOutcome:
        task = current_or_none()
        if task is None or self.features & FEATURE_SIGBUS != 0 or (by_kernel and self.user_mode_only):
            return FaultOutcome.NO_SUCH_PAGE
        if task.is_exiting or task.process.ending.is_exiting:
            return FaultOutcome.NO_SUCH_PAGE  # the output (a core file) does without the page
        shown = address if self.features & FEATURE_EXACT_ADDRESS != 0 else page
        tid = task.pids.shown(task.tid) if self.features & FEATURE_THREAD_ID != 0 else 0
        fault = Fault(shown, flags, tid)
        place = self.place_of(page)
        self._last += 1
        number = self._last
        try:
            self.pending[number] = fault
            self.readers.wake_all()
            return self._wait(task, place, by_kernel)
        finally:
            self.pending.pop(number, fault)
            self.taken.pop(number, fault)
            place.threads -= 1
            if place.threads == 0 and not place.is_woken:
                self.places.pop(place.page)

    def place_of(self, page: int) -> Place:
        """The place where the running thread, which is counted there, can wait for a page. Raises MemoryError."""
        place = self.places.get(page)
        if place is None:
            place = Place(page)
            self.places[page] = place
        place.threads += 1
        return place

    def _wait(self, task: Task, place: Place, by_kernel: bool) -> FaultOutcome:
        """Wait until the page is reported present, or a signal comes that must be handled first."""
        while not place.is_woken and not self.is_closed:
            if task.must_end():
                return FaultOutcome.NO_SUCH_PAGE if by_kernel else FaultOutcome.DONE
            task.signals.kill_wakes = by_kernel
            try:
                place.waiters.sleep(interruptible=not by_kernel)
            except Errno:
                return FaultOutcome.DONE  # a signal
            finally:
                task.signals.kill_wakes = False
        return FaultOutcome.DONE

    def wake(self, start: int, length: int) -> None:
        if length >> PAGE_SHIFT > len(self.places):
            self._wake(self._places_in(start, length))
            return
        for page in range(start, start + length, PAGE_SIZE):
            place = self.places.get(page)
            if place is not None:
                self._wake(place)
            pace(_LOOK_COST)
            if len(self.places) == 0:
                return

    @noraise
    def _places_in(self, start: int, length: int) -> Place | None:
        """All places in a range, linked together for `_wake`, which the caller calls without a sleep in between."""
        pace(len(self.places) * _LOOK_COST)
        found: Place | None = None
        for place in self.places.values():
            if 0 <= place.page - start < length:
                place.next = found
                found = place
        return found

    @noraise
    def _wake(self, first: Place | None) -> None:
        """Wake all threads at a place and those linked to it, one by one. Sleeps."""
        place = first
        while place is not None:
            place.is_woken = True
            self.places.pop(place.page)
            place = place.next
        while first is not None:
            while not first.waiters.is_empty():
                first.waiters.wake_one()
                pace(_WAKE_COST)
            pace(_LOOK_COST)
            following = first.next
            first.next = None
            first = following

    def take(self) -> Fault | None:
        """The oldest fault that was not read."""
        for number, fault in self.pending.items():
            self.taken[number] = fault
            self.pending.pop(number)
            return fault
        return None

    def announce(self, kind: int, first: int = 0, second: int = 0) -> Change:
        return Announcement(self, kind, first, second)

    def inherit(self, child: AddressSpace) -> FaultHandler:
        heir = FaultContext(child, self.user_mode_only, self.flags)
        heir.agree(self.features)
        return heir

    def report(self, change: Change) -> None:
        task = current_or_none()
        assert isinstance(change, Announcement), "the context has created it"
        if task is not None and not self.is_closed:
            self.enqueue(change)
            task.signals.kill_wakes = True
            while not change.is_over and not self.is_closed and not task.must_end():
                change.waiters.wait()
            task.signals.kill_wakes = False
            self.dequeue(change)
        change.end()

    def enqueue(self, change: Announcement) -> None:
        """Let a change be read. Raises nothing."""
        change.is_listed = True
        self.changes.link_last(change)
        self.readers.wake_all()

    def dequeue(self, change: Announcement) -> None:
        """Let nobody read of a change any more. Raises nothing."""
        if change.is_listed:
            change.is_listed = False
            self.changes.unlink(change)

    def is_alive(self) -> bool:
        """Whether the memory still has a user."""
        return self.space.users > 0

    def gain_user(self) -> None:
        """The context has one more user."""
        self.users += 1

    def release(self) -> None:
        self.users -= 1
        if self.users == 0:
            self.close()

    @noraise
    def close(self) -> None:
        """Serve nobody any more."""
        self.is_closed = True
        change = self.changes.first()
        while change is not None:
            change.wake()
            change = change.after()
        self._wake(self._places_in(0, USER_END))
        if self.is_alive():
            forget_handler(self.space, self)


class UserFaultFile(DescriptorFile):
    """The file, without its commands."""

    def __init__(self, context: FaultContext, flags: int) -> None:
        super().__init__(anonymous_path(b"[userfaultfd]"), O_RDONLY | flags)
        self.context: FaultContext = context

    def held_bytes(self) -> int:
        return DESCRIPTION_BYTES + (0 if self.context.is_alive() else _DEAD_BYTES)

    def close(self) -> None:
        self.context.release()

    def another(self, context: FaultContext) -> "UserFaultFile":
        """A file of the same kind, for a context of which it becomes a user."""
        return UserFaultFile(context, context.flags & O_NONBLOCK)

    def poll(self, waiter: PollWaiter | None) -> int:
        context = self.context
        if waiter is not None:
            waiter.wait_on(context.readers)
        if not context.is_ready or self.flags & O_NONBLOCK == 0:
            return POLLERR  # an announced fault may be gone when it is read
        return READABLE if len(context.pending) > 0 or not context.changes.is_empty() else 0

    def read(self, buffer: Buffer) -> int:
        context = self.context
        if not context.is_ready:
            raise Errno(EINVAL)
        done = 0
        storage = bytearray(MESSAGE_SIZE)
        words = span_of(storage)
        while buffer.remaining >= MESSAGE_SIZE:
            try:
                is_there = self._next_message(words)
            except (Errno, MemoryError):
                if done == 0:
                    raise
                return done
            if not is_there:
                if done > 0:
                    return done
                if self.flags & O_NONBLOCK != 0:
                    raise Errno(EAGAIN)
                context.readers.sleep()
                continue
            if buffer.put(words) < MESSAGE_SIZE:
                if done > 0:
                    return done
                raise Errno(EFAULT)
            done += MESSAGE_SIZE
            pace(_MESSAGE_COST)
        if done == 0:
            raise Errno(EINVAL)
        return done

    def _next_message(self, words: Span[u8]) -> bool:
        """The oldest fault, or else the oldest change: fill in struct uffd_msg. Whether there is any. Sleeps. Raises
        EMFILE, MemoryError.
        """
        words.fill(0)
        context = self.context
        fault = context.take()
        if fault is not None:
            words[0] = _EVENT_PAGEFAULT
            store_i64(words, 8, fault.flags)
            store_i64(words, 16, fault.address)
            store_i32(words, 24, fault.tid)
            return True
        change = context.changes.first()
        if change is None:
            return False
        assert isinstance(change, Announcement), "the context has created it"
        context.dequeue(change)
        if change.kind == EVENT_FORK:
            words[0] = _EVENT_FORK
            store_i32(words, 8, self._adopt(change))
        else:
            words[0] = _EVENT_UNMAP
            store_i64(words, 8, change.first)
            store_i64(words, 16, change.second)
            if change.kind == EVENT_REMAP:
                words[0] = _EVENT_REMAP
                store_i64(words, 24, change.length)
            elif change.kind == EVENT_REMOVE:
                words[0] = _EVENT_REMOVE
        change.end()
        change.wake()
        return True

    def _adopt(self, change: Announcement) -> int:
        """Read of a fork, which nobody else does: the descriptor of a new file, which serves the child's faults.
        Sleeps. Raises EMFILE, MemoryError, with the change to be read once more if its thread still waits.
        """
        context = self.context
        heir = change.heir
        assert isinstance(heir, FaultContext), "the context has created it"
        done = False
        try:
            file = self.another(heir)
            heir.gain_user()
            descriptor = current().files.install(file, heir.flags & O_CLOEXEC != 0)
            done = True
        finally:
            if not done and not change.is_over:
                context.enqueue(change)
        return descriptor

    def describe(self) -> bytes:
        context = self.context
        waiting = len(context.pending)
        total = waiting + len(context.taken)
        features = context.features | (_READY if context.is_ready else 0)
        return f"pending:\t{waiting}\ntotal:\t{total}\nAPI:\taa:{features:x}:{_COMMANDS}\n".encode()
