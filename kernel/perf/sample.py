"""What a sample holds, and the words at the end of other records that say where they come from (perf_event_open(2),
"Overflow handling", "MMAP layout").

Records are put together in one place, `RECORD`, and copied from there into rings. Memory of the program is read as far
as it is there: nothing sleeps.

Context: any, between two threads and in interrupts too; interrupts are off, so one record is made at a time.
"""

from typing import TYPE_CHECKING, Final

from arch import USER_END, sampled_register, user_frame_pointer, user_instruction_pointer, user_stack_pointer
from arch.programs import entry_frame
from kernel.fs.bpf.present import copy_present, is_present, present_part, shown_memory
from kernel.lang import Span, final, span_of, u8
from kernel.lib.traceback import LineTable
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE
from kernel.mm.space import AddressSpace
from kernel.perf.attributes import (
    EXCLUDE_CHAIN_KERNEL,
    EXCLUDE_CHAIN_USER,
    FORMAT_ENABLED,
    FORMAT_GROUP,
    FORMAT_ID,
    FORMAT_LOST,
    FORMAT_RUNNING,
    SAMPLE_ADDR,
    SAMPLE_CALLCHAIN,
    SAMPLE_CGROUP,
    SAMPLE_CODE_PAGE_SIZE,
    SAMPLE_CPU,
    SAMPLE_DATA_PAGE_SIZE,
    SAMPLE_DATA_SRC,
    SAMPLE_ID,
    SAMPLE_ID_ALL,
    SAMPLE_IDENTIFIER,
    SAMPLE_IP,
    SAMPLE_PERIOD,
    SAMPLE_PHYS_ADDR,
    SAMPLE_RAW,
    SAMPLE_READ,
    SAMPLE_REGS_INTR,
    SAMPLE_REGS_USER,
    SAMPLE_STACK_USER,
    SAMPLE_STREAM_ID,
    SAMPLE_TID,
    SAMPLE_TIME,
    SAMPLE_TRANSACTION,
    SAMPLE_WEIGHT,
    SAMPLE_WEIGHT_STRUCT,
    USE_CLOCK,
)
from kernel.perf.event import Event
from kernel.perf.words import load_word, store_word
from kernel.sched.processor import RUNNING, this_processor
from kernel.task.task import Task
from kernel.time.clock import monotonic_ns, realtime_ns

if TYPE_CHECKING:
    from kernel.sched.thread import Thread

# Kinds of records
LOST: Final = 2
COMM_RECORD: Final = 3
EXIT: Final = 4
THROTTLE: Final = 5
UNTHROTTLE: Final = 6
FORK: Final = 7
READ: Final = 8
SAMPLE: Final = 9
# Bits of `misc`
IN_KERNEL: Final = 1
IN_USER: Final = 2

HEADER_BYTES: Final = 8
MOST_BYTES: Final = 0xFFF8  # of a record
LOSS_BYTES: Final = 128  # of one about lost ones
_CONTEXT_KERNEL: Final = -128
_CONTEXT_USER: Final = -512
_ABI_64: Final = 2
_NO_ABI: Final = 0
_NO_MEMORY_SOURCE: Final = 1 | 1 << 5 | 1 << 19 | 1 << 24 | 1 << 26 | 0xF << 33  # "not available", in each part
_CLOCK_REALTIME: Final = 0
_CLOCK_TAI: Final = 11
_WORD: Final = 8
_MOST_CALLERS: Final = 1024  # in the kernel and in the program together, whatever kernel.perf_event_max_stack says
_BEHIND_STACK: Final = 8 * _WORD  # what may follow a piece of the stack, with its own two words


@final
class Place:
    """Where whatever happened was: in a program, or in the kernel."""

    def __init__(self) -> None:
        self.is_user: bool = False
        self.address: int = 0  # of the instruction
        self.thread: Thread | None = None  # None: the idle processor
        self.frame_pointer: int = 0  # in the kernel; 0: unknown
        self.is_caller: bool = False  # the first caller along it is the address itself

    def be_user(self, task: Task) -> None:
        """The program of a task that came into the kernel."""
        self.is_user = True
        self.thread = task
        self.address = user_instruction_pointer(task.stack_top)
        self.frame_pointer = 0

    def be_kernel(self, thread: "Thread | None", address: int, frame_pointer: int, is_caller: bool) -> None:
        """The kernel, on behalf of a thread; `is_caller`: where the function returns whose frame pointer it is."""
        self.is_user = False
        self.thread = thread
        self.address = address
        self.frame_pointer = frame_pointer
        self.is_caller = is_caller

    def forget(self) -> None:
        """Keep no thread alive that has ended."""
        self.thread = None

    def task(self) -> Task | None:
        """The task, if it is one's."""
        thread = self.thread
        return thread if isinstance(thread, Task) else None


PLACE: Final = Place()
_CHAIN: Final = LineTable()  # for its walk along frame pointers


def event_time_ns(event: Event) -> int:
    """The time by the event's clock."""
    attributes = event.attributes
    if attributes.has(USE_CLOCK) and attributes.clock in (_CLOCK_REALTIME, _CLOCK_TAI):
        return realtime_ns()
    return monotonic_ns()


@final
class Record:
    """A record that is put together."""

    def __init__(self) -> None:
        self.data: bytearray = bytearray()  # once there are events
        self.limit: int = 0  # bytes of a record
        self.size: int = 0
        self.callers: int = 0  # that were looked up for it

    def prepare(self, limit: int) -> None:
        """Have room for that many bytes. Raises MemoryError."""
        if len(self.data) == 0:
            self.data = bytearray(limit)
            self.limit = limit

    def begin(self, kind: int, misc: int) -> None:
        """A record of a kind; its size comes last."""
        span = span_of(self.data)
        span.store_u32(0, kind)
        span.store_u16(4, misc)
        self.size = HEADER_BYTES
        self.callers = 0

    def put(self, value: int) -> None:
        """A word."""
        if self.size <= self.limit - _WORD:
            store_word(span_of(self.data), self.size, value)
            self.size += _WORD

    def put_pair(self, first: int, second: int) -> None:
        """Two words of 32 bits."""
        if self.size <= self.limit - _WORD:
            span = span_of(self.data)
            span.store_u32(self.size, first & 0xFFFF_FFFF)
            span.store_u32(self.size + 4, second & 0xFFFF_FFFF)
            self.size += _WORD

    def put_text(self, text: bytes) -> None:
        """A text in whole words, with a zero byte after it at least."""
        self.put_bytes(span_of(text), len(text) // _WORD * _WORD + _WORD)

    def put_bytes(self, data: Span[u8], size: int) -> None:
        """Bytes, then zeros up to a size of whole words."""
        if self.size <= self.limit - size:
            room = span_of(self.data)[self.size : self.size + size]
            count = min(len(data), size)
            room[0:count].copy_from(data[0:count])
            room[count:size].fill(0)
            self.size += size

    def end(self) -> Span[u8]:
        """The whole record."""
        span = span_of(self.data)
        span.store_u16(6, self.size)
        return span[0 : self.size]

    # ---- Whose it is -------------------------------------------------------------------------------------------------

    def put_identity(self, event: Event, thread: "Thread | None") -> None:
        """What stands at the end of every record but a sample."""
        if not event.attributes.has(SAMPLE_ID_ALL):
            return
        what = event.attributes.sample_type
        if what & SAMPLE_TID != 0:
            self.put_pair(shown_pid(event, thread), shown_tid(event, thread))
        if what & SAMPLE_TIME != 0:
            self.put(event_time_ns(event))
        if what & SAMPLE_ID != 0:
            self.put(event.primary().number)
        if what & SAMPLE_STREAM_ID != 0:
            self.put(event.number)
        if what & SAMPLE_CPU != 0:
            self.put(this_processor().number)
        if what & SAMPLE_IDENTIFIER != 0:
            self.put(event.primary().number)

    # ---- A sample ----------------------------------------------------------------------------------------------------

    def put_sample(self, event: Event, place: Place, address: int, period: int, raw: Span[u8]) -> None:
        """All that a sample holds."""
        self.begin(SAMPLE, IN_USER if place.is_user else IN_KERNEL)
        what = event.attributes.sample_type
        if what & SAMPLE_IDENTIFIER != 0:
            self.put(event.primary().number)
        if what & SAMPLE_IP != 0:
            self.put(place.address)
        if what & SAMPLE_TID != 0:
            self.put_pair(shown_pid(event, place.thread), shown_tid(event, place.thread))
        if what & SAMPLE_TIME != 0:
            self.put(event_time_ns(event))
        if what & SAMPLE_ADDR != 0:
            self.put(address)
        if what & SAMPLE_ID != 0:
            self.put(event.primary().number)
        if what & SAMPLE_STREAM_ID != 0:
            self.put(event.number)
        if what & SAMPLE_CPU != 0:
            self.put(this_processor().number)
        if what & SAMPLE_PERIOD != 0:
            self.put(period)
        if what & SAMPLE_READ != 0:
            self.put_counts(event)
        if what & SAMPLE_CALLCHAIN != 0:
            self._put_chain(event, place)
        if what & SAMPLE_RAW != 0:
            self._put_raw(raw)
        if what & SAMPLE_REGS_USER != 0:
            self._put_registers(event.attributes.user_registers, place.task())
        if what & SAMPLE_STACK_USER != 0:
            self._put_stack(event.attributes.user_stack, place.task())
        if what & (SAMPLE_WEIGHT | SAMPLE_WEIGHT_STRUCT) != 0:
            self.put(0)
        if what & SAMPLE_DATA_SRC != 0:
            self.put(_NO_MEMORY_SOURCE)
        if what & SAMPLE_TRANSACTION != 0:
            self.put(0)
        if what & SAMPLE_REGS_INTR != 0:
            self._put_registers(event.attributes.interrupted_registers, place.task() if place.is_user else None)
        if what & SAMPLE_PHYS_ADDR != 0:
            self.put(_physical(place.task(), address))
        if what & SAMPLE_CGROUP != 0:
            task = place.task()
            self.put(1 if task is None else task.cgroup.number)
        if what & SAMPLE_DATA_PAGE_SIZE != 0:
            self.put(_page_size(place.task(), address))
        if what & SAMPLE_CODE_PAGE_SIZE != 0:
            self.put(_page_size(place.task(), place.address))

    def put_counts(self, event: Event) -> None:
        """What read(2) would give (its `read_format`)."""
        form = event.attributes.read_format
        now_ns = monotonic_ns()
        head = event.head() if form & FORMAT_GROUP != 0 else event
        head.update(now_ns)
        if form & FORMAT_GROUP != 0:
            self.put(1 + len(head.siblings))
        else:
            self.put(head.total())
        if form & FORMAT_ENABLED != 0:
            self.put(head.total_enabled_ns())
        if form & FORMAT_RUNNING != 0:
            self.put(head.total_running_ns())
        if form & FORMAT_GROUP != 0:
            self.put(head.total())
        self._put_numbers(head, form)
        if form & FORMAT_GROUP != 0:
            for sibling in head.siblings:
                sibling.update(now_ns)
                self.put(sibling.total())
                self._put_numbers(sibling, form)

    def _put_numbers(self, event: Event, form: int) -> None:
        if form & FORMAT_ID != 0:
            self.put(event.primary().number)
        if form & FORMAT_LOST != 0:
            self.put(event.lost)

    def _put_chain(self, event: Event, place: Place) -> None:
        """Return addresses, the most recent call first: in the kernel, then in the program."""
        at = self.size
        most = min(event.attributes.most_callers, _MOST_CALLERS)
        self.put(0)
        if not place.is_user and not event.has(EXCLUDE_CHAIN_KERNEL):
            self.put(_CONTEXT_KERNEL)
            self.put(place.address)
            self._put_kernel_callers(place, most - 1)
        task = place.task()
        memory = None if task is None else shown_memory(task)
        if task is not None and memory is not None and not event.has(EXCLUDE_CHAIN_USER):
            self.put(_CONTEXT_USER)
            self.put(user_instruction_pointer(task.stack_top))
            self._put_callers(memory, user_frame_pointer(task.stack_top), most - 1)
        store_word(span_of(self.data), at, (self.size - at) // _WORD - 1)

    def _put_kernel_callers(self, place: Place, most: int) -> None:
        thread = place.thread
        stack = None if thread is None else thread.stack
        if stack is None or place.frame_pointer == 0:
            return
        count = _CHAIN.follow(0, place.frame_pointer, place.frame_pointer, stack.top)
        first = 1 if place.is_caller else 0
        for i in range(first, min(count, most + first)):
            self.put(_CHAIN.addresses[i] + 1)
        self.callers += count

    def _put_callers(self, space: AddressSpace, frame_pointer: int, most: int) -> None:
        """Along the frame pointers on the program's stack."""
        at = frame_pointer
        for _ in range(most):
            if at & _WORD - 1 != 0 or not 0 < at <= USER_END - 2 * _WORD or not is_present(space, at + _WORD):
                return
            if not is_present(space, at):
                return
            self.callers += 1
            self.put(_present_word(space, at + _WORD))
            at = _present_word(space, at)

    def _put_raw(self, raw: Span[u8]) -> None:
        """The tracepoint's record, with its size in front, in whole words together."""
        size = len(raw)
        if size == 0:
            self.put_pair(4, 0)
            return
        whole = (4 + size + _WORD - 1) // _WORD * _WORD
        at = self.size
        if at <= self.limit - whole:
            span = span_of(self.data)
            span[at : at + whole].fill(0)
            span.store_u32(at, whole - 4)
            span[at + 4 : at + 4 + size].copy_from(raw)
            self.size += whole

    def _put_registers(self, mask: int, task: Task | None) -> None:
        if task is None or task.memory is None:
            self.put(_NO_ABI)
            return
        self.put(_ABI_64)
        for number in range(64):
            if mask >> number & 1 != 0:
                self.put(sampled_register(task.stack_top, number))

    def _put_stack(self, wanted: int, task: Task | None) -> None:
        """A piece of the program's stack, from its stack pointer on."""
        memory = None if task is None else shown_memory(task)
        size = min(wanted, (self.limit - self.size - _BEHIND_STACK) // _WORD * _WORD)
        if task is None or memory is None or size <= 0:
            self.put(0)
            return
        start = user_stack_pointer(task.stack_top)
        self.put(size)
        at = self.size
        room = span_of(self.data)[at : at + size]
        done = copy_present(memory, start, room) if 0 < start <= USER_END - size else 0
        room[done:size].fill(0)
        self.size += size
        self.put(done)


RECORD: Final = Record()
LOSS: Final = Record()
"""A record about lost ones, that is put together while another waits."""


def _present_word(space: AddressSpace, address: int) -> int:
    """A word in a page of a program that is in memory, at a multiple of 8."""
    return load_word(present_part(space, address, _WORD), 0)


def _page_size(task: Task | None, address: int) -> int:
    memory = None if task is None else shown_memory(task)
    return PAGE_SIZE if memory is not None and is_present(memory, address) else 0


def _physical(task: Task | None, address: int) -> int:
    """Where an address of the program is in memory; 0 if it is not there."""
    memory = None if task is None else shown_memory(task)
    if memory is None or not is_present(memory, address):
        return 0
    return int(entry_frame(memory.pages.entry_of(address))) << PAGE_SHIFT | address & PAGE_MASK


def shown_pid(event: Event, thread: "Thread | None") -> int:
    """The number of a thread's process, as whoever opened the event sees it; 0 for the kernel's own."""
    return event.pids.shown(thread.process.pid) if isinstance(thread, Task) else 0


def shown_tid(event: Event, thread: "Thread | None") -> int:
    """… and of the thread."""
    return event.pids.shown(thread.tid) if isinstance(thread, Task) else 0


@final
class Idling:
    """Whether the boot processor stands still, on the stack of whoever it ran last."""

    def __init__(self) -> None:
        self.is_on: bool = False


IDLING: Final = Idling()


def running_thread() -> "Thread | None":
    """Whom the processor runs; None while it idles."""
    processor = this_processor()
    if IDLING.is_on or processor.idle or RUNNING.current is processor.idle_thread:
        return None
    return RUNNING.current
