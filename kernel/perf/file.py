"""The descriptor of an event: reading its counts, waiting for samples, mapping its ring, commanding it (ioctl).

Context: system calls. `poll` may raise MemoryError; what concerns an event's children may sleep.
Source: perf_event_open(2).
"""

from typing import Final

from kernel.bpf.program import Program
from kernel.fs.anonymous import anonymous_path
from kernel.fs.bpf.files import ProgramFile
from kernel.fs.constants import O_RDWR, POLLHUP, READABLE
from kernel.fs.file import DESCRIPTION_BYTES, File
from kernel.lang import (
    EBADF,
    EEXIST,
    EINVAL,
    ENOSPC,
    ENOTTY,
    EOPNOTSUPP,
    Errno,
    UserAddr,
    final,
    span_of,
)
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.lib.pid import Pid
from kernel.lib.user import Buffer
from kernel.mm.frames import PAGE_SHIFT
from kernel.mm.objects import MemoryObject
from kernel.perf.attaching import attach, detach, query
from kernel.perf.attributes import (
    FORMAT_ENABLED,
    FORMAT_GROUP,
    FORMAT_ID,
    FORMAT_LOST,
    FORMAT_RUNNING,
    FREQUENCY,
    INHERIT,
    TYPE_TRACEPOINT,
    USE_CLOCK,
    WATERMARK,
    WRITE_BACKWARD,
    read_attributes,
)
from kernel.perf.event import ANY_PROCESSOR, EXITED, Event, SampleWatch
from kernel.perf.filter import parse_filter
from kernel.perf.lifecycle import close, disable_all, enable, reset
from kernel.perf.limits import SAMPLE_RATE
from kernel.perf.mapping import RingMapping, charge, check_lock, end_ring
from kernel.perf.records import context_of
from kernel.perf.ring import Ring
from kernel.perf.tracepoints import find_point
from kernel.perf.words import store_word
from kernel.sched import PollWaiter, WaitQueue
from kernel.sched.processor import PROCESSORS, running_on
from kernel.task.task import Task, current
from kernel.time.clock import monotonic_ns

ENABLE: Final = 0x2400
DISABLE: Final = 0x2401
REFRESH: Final = 0x2402
RESET: Final = 0x2403
PERIOD: Final = 0x4008_2404
SET_OUTPUT: Final = 0x2405
SET_FILTER: Final = 0x4008_2406
ID: Final = 0x8008_2407
SET_BPF: Final = 0x4004_2408
PAUSE_OUTPUT: Final = 0x4004_2409
QUERY_BPF: Final = 0xC008_240A
MODIFY_ATTRIBUTES: Final = 0x4008_240B
_FOR_GROUP: Final = 1
_MOST_FILTER: Final = 4096
_WORD: Final = 8
_INT_SIGN: Final = 1 << 31
_LOOK_COST: Final = 100  # instructions, for `pace`


@final
class EventFile(File):
    """An open event."""

    def __init__(self, event: Event, flags: int) -> None:
        super().__init__(anonymous_path(b"[perf_event]"), O_RDWR | flags)
        self.event: Event = event
        self.opener: Pid = current().tid

    def can_write(self) -> bool:
        return False

    def has_offsets(self) -> bool:
        return False

    def close(self) -> None:
        event = self.event
        ring = event.ring
        if ring is not None and ring.mappings == 0:
            end_ring(ring)  # mmap(2) created it and failed
        detach(event)
        close(event)

    def held_bytes(self) -> int:
        ring = self.event.ring  # while it is mapped, its pages count where it is
        pages = 0 if ring is None or ring.mappings > 0 else len(ring.frames)
        return DESCRIPTION_BYTES + self.event.held_bytes() + (pages << PAGE_SHIFT)

    # ---- Counts ----------------------------------------------------------------------------------------------------

    def read(self, buffer: Buffer) -> int:
        event = self.event
        form = event.attributes.read_format
        if event.attributes.has(INHERIT):
            _update_children()
        head = event.head() if form & FORMAT_GROUP != 0 else event
        words: list[int] = []
        now_ns = monotonic_ns()
        head.update(now_ns)
        words.append(1 + len(head.siblings) if form & FORMAT_GROUP != 0 else head.total())
        if form & FORMAT_ENABLED != 0:
            words.append(head.total_enabled_ns())
        if form & FORMAT_RUNNING != 0:
            words.append(head.total_running_ns())
        if form & FORMAT_GROUP != 0:
            words.append(head.total())
        _add_numbers(words, head, form)
        if form & FORMAT_GROUP != 0:
            for sibling in head.siblings:
                sibling.update(now_ns)
                words.append(sibling.total())
                _add_numbers(words, sibling, form)
        size = len(words) * _WORD
        if buffer.remaining < size:
            raise Errno(ENOSPC)
        data = bytearray(size)
        for i in range(len(words)):
            store_word(span_of(data), i * _WORD, words[i])
        return buffer.put(span_of(data))

    def poll(self, waiter: PollWaiter | None) -> int:
        event = self.event
        if waiter is not None:
            waiter.wait_on(event.waiters)
        if event.state <= EXITED and len(event.children) == 0:
            return POLLHUP
        ring = event.ring
        if ring is None:
            return POLLHUP
        has_news = ring.has_news
        ring.has_news = False
        return READABLE if has_news else 0

    def input_queue(self) -> WaitQueue | None:
        event = self.event
        samples = event.samples
        if samples is None:
            samples = SampleWatch()
            event.samples = samples
        return samples.queue

    # ---- Its ring --------------------------------------------------------------------------------------------------

    def must_be_shared(self) -> bool:
        return True

    def memory_object(self) -> MemoryObject:
        raise Errno(EINVAL)

    def mapped_part(self, offset: int, size_bytes: int) -> MemoryObject:
        event = self.event
        if event.processor == ANY_PROCESSOR and event.attributes.has(INHERIT):
            raise Errno(EINVAL)
        pages = (size_bytes >> PAGE_SHIFT) - 1
        if offset != 0 or pages & pages - 1 != 0 or size_bytes != (pages + 1) << PAGE_SHIFT:
            raise Errno(EINVAL)
        if self.users == 0:
            raise Errno(EBADF)
        self.acquire()  # another thread may close it meanwhile
        try:
            ring = event.ring
            if ring is not None and ring.mappings == 0 and ring.page_count() != pages:
                end_ring(ring)  # it could not be mapped
                ring = event.ring
            if ring is not None and ring.is_ending:
                ring.remove_user(event.place_in_ring)  # the event need not wait for the others that wrote there
                event.ring = None
                ring = None
            if ring is None:
                ring = self._make_ring(pages)
            if ring.page_count() != pages:
                raise Errno(EINVAL)
            check_lock(ring)
            return RingMapping(self, event, ring)
        finally:
            self.release()

    def _make_ring(self, pages: int) -> Ring:
        """The ring, unless another thread was quicker: then that thread's."""
        event = self.event
        attributes = event.attributes
        watermark = attributes.wakeup if attributes.has(WATERMARK) else 0
        ring = Ring(pages, watermark, attributes.has(WRITE_BACKWARD))
        charge(ring)
        try:
            ring.fill()
            found = event.ring
            if found is None:
                ring.add_user(event)
        except MemoryError:
            ring.free()
            raise
        if found is not None:
            ring.free()
            return found
        event.ring = ring
        event.update(monotonic_ns())
        event.show()
        event.waiters.wake_all()
        return ring

    def set_output(self, other: Event | None) -> None:
        """Let samples go where those of another event go, or nowhere. Raises EINVAL, MemoryError."""
        event = self.event
        ring: Ring | None = None
        if other is not None:
            if other is event or other.processor != event.processor or not _same_clock(event, other):
                raise Errno(EINVAL)
            if other.processor == ANY_PROCESSOR and other.context is not event.context:
                raise Errno(EINVAL)
            if other.attributes.has(WRITE_BACKWARD) != event.attributes.has(WRITE_BACKWARD):
                raise Errno(EINVAL)
        if event.mappings > 0:
            raise Errno(EINVAL)
        if other is not None:
            ring = other.ring
            if ring is None or ring.mappings == 0:
                raise Errno(EINVAL)
        before = event.ring
        place = event.place_in_ring
        if ring is not None and ring is not before:
            ring.add_user(event)  # which gives it another place
        event.ring = ring
        if before is not None and before is not ring:
            before.remove_user(place)
            if before.mappings == 0:
                end_ring(before)  # mmap(2) created it and failed
        event.waiters.wake_all()

    # ---- Commands --------------------------------------------------------------------------------------------------

    def ioctl(self, command: int, argument: int) -> int:
        event = self.event
        if command in (ENABLE, DISABLE, RESET):
            if argument & _FOR_GROUP == 0:
                _command(event, command)
            else:
                head = event.head()
                members = [sibling for sibling in head.siblings]  # which may change while one waits
                _command(head, command)
                for sibling in members:
                    _command(sibling, command)
            return 0
        address = UserAddr(argument)
        if command == REFRESH:
            self._refresh(argument)
        elif command == PERIOD:
            self._set_period(user.read_i64(address))
        elif command == ID:
            user.write_i64(address, event.primary().number)
        elif command == SET_FILTER:
            self._set_filter(address)
        elif command == PAUSE_OUTPUT:
            ring = event.ring
            if ring is None or ring.size == 0:
                raise Errno(EINVAL)
            ring.is_paused = argument & 0xFFFF_FFFF != 0
        elif command == MODIFY_ATTRIBUTES:
            wanted = read_attributes(address)
            raise Errno(EINVAL if wanted.type != event.attributes.type else EOPNOTSUPP)
        elif command == SET_OUTPUT:
            self.set_output(_event_at(argument))
        elif command == SET_BPF:
            attach(event, _program_at(argument & 0xFFFF_FFFF), 0)
        elif command == QUERY_BPF:
            query(event, address)
        else:
            raise Errno(ENOTTY)
        return 0

    def _refresh(self, argument: int) -> None:
        """Take that many more samples, then none."""
        event = self.event
        if event.attributes.has(INHERIT) or not event.attributes.is_sampling():
            raise Errno(EINVAL)
        more = argument & 0xFFFF_FFFF
        event.limit += more - (1 << 32) if more & _INT_SIGN != 0 else more
        event.limit = min(max(event.limit, -_INT_SIGN), _INT_SIGN)
        enable(event)

    def _set_period(self, period: int) -> None:
        event = self.event
        attributes = event.attributes
        if not attributes.is_sampling() or period == 0:
            raise Errno(EINVAL)
        if attributes.has(FREQUENCY):
            if not 0 < period <= SAMPLE_RATE.value:
                raise Errno(EINVAL)
            event.set_frequency(period)
        elif period < 0:
            raise Errno(EINVAL)
        else:
            event.set_period(period)

    def _set_filter(self, address: UserAddr) -> None:
        """Look at records of a tracepoint only if they are as a text says."""
        event = self.event
        text = user.read_string_start(address, _MOST_FILTER)
        if len(text) >= _MOST_FILTER:
            raise Errno(EINVAL)
        if event.attributes.type != TYPE_TRACEPOINT:
            raise Errno(EINVAL)
        if event.choice.filter is not None:
            raise Errno(EEXIST)
        point = find_point(event.attributes.config)
        if point is None:
            raise Errno(EINVAL)
        chosen = parse_filter(text, point)
        if event.choice.filter is not None:
            raise Errno(EEXIST)  # another thread was quicker
        event.choice.filter = chosen


def command_own(task: Task, is_on: bool) -> None:
    """Enable or disable all events that a thread has opened (prctl(2))."""
    files = task.files
    for descriptor in range(files.size()):
        file = files.find(descriptor)
        if isinstance(file, EventFile) and file.opener == task.tid:
            _command(file.event, ENABLE if is_on else DISABLE)
        pace(_LOOK_COST)


def _event_at(argument: int) -> Event | None:
    """The event that SET_OUTPUT names; -1 is none. Raises EBADF."""
    if argument == -1:
        return None
    file = current().files.get(argument & 0xFFFF_FFFF)
    if not isinstance(file, EventFile):
        raise Errno(EBADF)
    return file.event


def _program_at(descriptor: int) -> Program:
    """Raises EBADF, EINVAL."""
    file = current().files.get(descriptor)
    if not isinstance(file, ProgramFile):
        raise Errno(EINVAL)
    return file.program


def _command(event: Event, command: int) -> None:
    if command == ENABLE:
        enable(event)
    elif command == DISABLE:
        disable_all(event)
    else:
        reset(event)
    pace(_LOOK_COST)


def _same_clock(event: Event, other: Event) -> bool:
    """Whether times in their records can be compared."""
    uses = event.attributes.has(USE_CLOCK)
    if uses != other.attributes.has(USE_CLOCK):
        return False
    return not uses or event.attributes.clock == other.attributes.clock


def _update_children() -> None:
    """Bring the times of events up to date whose tasks run: children add theirs to what they come from."""
    for processor in PROCESSORS:
        thread = running_on(processor)
        context = context_of(thread if isinstance(thread, Task) else None)
        if context is not None:
            now_ns = monotonic_ns()
            for event in context.events:
                event.update(now_ns)
            pace(len(context.events) * _LOOK_COST)


def _add_numbers(words: list[int], event: Event, form: int) -> None:
    if form & FORMAT_ID != 0:
        words.append(event.primary().number)
    if form & FORMAT_LOST != 0:
        words.append(event.lost)
