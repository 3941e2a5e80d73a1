"""The files of the controller "memory"."""

from typing import Final

from kernel.cache.group_reclaim import count_cached, drop_clean, shrink_to
from kernel.cgroup.group import MEMORY, ControlGroup, GroupWalk
from kernel.cgroup.memory import (
    EVENT_NAMES,
    MEMORY_CONTROLS,
    NO_MEMORY_LIMIT,
    SWAP_EVENT_NAMES,
    THREAD_PAGES,
    MemoryControl,
)
from kernel.fs.cgroup.table import READABLE_MODE, WRITE_ONLY_MODE, FileRow, Writer, no_text, parse_int32, strip
from kernel.lang import EAGAIN, EINTR, EINVAL, ENODEV, Errno, final
from kernel.lib.numbers import digit_of
from kernel.lib.pace import is_dying, pace
from kernel.mm.frames import PAGE_SHIFT, PAGE_SIZE
from kernel.task.group_shortage import bring_below
from kernel.task.group_walks import ProcessWalk
from kernel.task.task import current

_GROUP_COST: Final = 300  # instructions, for `pace`
_PROCESS_COST: Final = 400
_RECLAIM_ROUNDS: Final = 16
_HALF: Final = (1 << 32) - 1


def control_of(group: ControlGroup) -> MemoryControl:
    """The controller of a group that has it. Raises ENODEV."""
    control = group.memory
    if control is None:
        raise Errno(ENODEV)
    return control


def settle(group: ControlGroup) -> None:
    """Give the stocks back of a group and of those below, so that counts are exact. Sleeps where there are many."""
    walk = GroupWalk(group)
    while True:
        each = walk.next()
        if each is None:
            return
        memory = each.memory
        if memory is not None:
            memory.drain()
        pace(_GROUP_COST)


def parse_bytes(text: bytes) -> int:
    """Pages: a number of bytes as in C, with a suffix k, m, g, t, p or e, or "max". Raises EINVAL."""
    text = strip(text)
    if text == b"max":
        return NO_MEMORY_LIMIT
    high = 0  # and `low`: 32 bits each, so that a larger value wraps around
    low = 0
    base = 10
    if len(text) > 1 and text[0] == ord("0"):
        base = 8
        if text[1] | 0x20 == ord("x"):
            base = 16
            text = text[2:]
    digits = 0
    while digits < len(text) and digit_of(text[digits]) < base:
        low = low * base + digit_of(text[digits])
        high = (high * base + (low >> 32)) & _HALF
        low &= _HALF
        digits += 1
    suffix = text[digits:]
    if digits == 0 or len(suffix) > 1:
        raise Errno(EINVAL)
    if len(suffix) == 1:
        place = b"kmgtpe".find(bytes([suffix[0] | 32]))
        if place < 0:
            raise Errno(EINVAL)
        for _ in range(10 * (place + 1)):
            low <<= 1
            high = (high << 1 | low >> 32) & _HALF
            low &= _HALF
    return min(high << (32 - PAGE_SHIFT) | low >> PAGE_SHIFT, NO_MEMORY_LIMIT)


def bytes_text(pages: int) -> bytes:
    """A limit, or "max"."""
    return b"max\n" if pages >= NO_MEMORY_LIMIT else f"{pages << PAGE_SHIFT}\n".encode()


def usage(group: ControlGroup) -> bytes:
    """memory.current."""
    settle(group)
    return bytes_text(control_of(group).usage)


def peak(group: ControlGroup) -> bytes:
    """memory.peak."""
    return bytes_text(control_of(group).peak)


def minimum(group: ControlGroup) -> bytes:
    """memory.min."""
    return bytes_text(control_of(group).minimum)


def set_minimum(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """Memory that the group keeps while others have something to give back."""
    control_of(group).minimum = parse_bytes(text)
    MEMORY_CONTROLS.has_protection = True


def low(group: ControlGroup) -> bytes:
    """memory.low."""
    return bytes_text(control_of(group).low)


def set_low(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """Memory that the group keeps if others can give back enough."""
    control_of(group).low = parse_bytes(text)
    MEMORY_CONTROLS.has_protection = True


def high(group: ControlGroup) -> bytes:
    """memory.high."""
    return bytes_text(control_of(group).high)


def set_high(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """Beyond it, threads of the group are slowed down and its memory is reclaimed."""
    control = control_of(group)
    control.high = parse_bytes(text)
    settle(group)
    if control.usage > control.high:
        shrink_to(control, control.high, spared=0)


def limit(group: ControlGroup) -> bytes:
    """memory.max."""
    return bytes_text(control_of(group).limit)


def set_limit(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """The group's limit. Above it, everything that can be read again is reclaimed; if that is not enough, processes in
    the group are killed.
    """
    control = control_of(group)
    control.limit = parse_bytes(text)
    settle(group)
    bring_below(current(), control, spared=0)


def _event_lines(counts: list[int]) -> bytes:
    text = b""
    for index in range(len(EVENT_NAMES)):
        text += EVENT_NAMES[index] + f" {counts[index]}\n".encode()
    return text


def events(group: ControlGroup) -> bytes:
    """memory.events."""
    return _event_lines(control_of(group).events)


def own_events(group: ControlGroup) -> bytes:
    """memory.events.local."""
    return _event_lines(control_of(group).own_events)


def kills_all(group: ControlGroup) -> bytes:
    """memory.oom.group."""
    return b"1\n" if control_of(group).kills_all else b"0\n"


def set_kills_all(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """1: if one process is killed for lack of memory, all are."""
    value = parse_int32(strip(text))
    if value != 0 and value != 1:
        raise Errno(EINVAL)
    control_of(group).kills_all = value == 1


def reclaim(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """Reclaim that many bytes from the group. Raises EAGAIN if it got less."""
    wanted = parse_bytes(text.split(b" ")[0])
    control = control_of(group)
    done = 0
    rounds = 0
    while done < wanted and rounds < _RECLAIM_ROUNDS:
        if is_dying():
            raise Errno(EINTR)
        rounds += 1
        dropped = drop_clean(control, wanted - done, wanted - done, spared=0)
        done += dropped
        if dropped > 0:
            continue
        MEMORY_CONTROLS.drain_below(control)
        before = control.usage
        is_done = shrink_to(control, max(0, before - (wanted - done)), spared=0)
        done += max(0, before - control.usage)
        if not is_done:
            break
    if done < wanted:
        raise Errno(EAGAIN)


# memory.stat ----------------------------------------------------------------------------------------------------------


@final
class Kinds:
    """What pages of a group and of those below are."""

    def __init__(self) -> None:
        self.frames: int = 0
        self.shared: int = 0
        self.threads: int = 0
        self.tables: int = 0
        self.kept: int = 0


def _kinds_of(group: ControlGroup) -> Kinds:
    """Sleeps where there are many."""
    kinds = Kinds()
    walk = GroupWalk(group)
    while True:
        each = walk.next()
        if each is None:
            return kinds
        memory = each.memory
        if memory is not None:
            kinds.frames += memory.frames
            kinds.shared += memory.shared
            kinds.threads += memory.threads
            kinds.kept += memory.kept
        processes = None if each.is_threaded else ProcessWalk(each)
        while processes is not None and (process := processes.next()) is not None:
            task = process.any_thread()
            space = None if task is None else task.memory
            if space is not None:
                kinds.tables += space.pages.table_count
            pace(_PROCESS_COST)
        pace(_GROUP_COST)


def figures(group: ControlGroup) -> bytes:
    """memory.stat: the rows that are known, in bytes."""
    kinds = _kinds_of(group)
    control = group.memory
    if control is None:
        raise Errno(ENODEV)
    cached = count_cached(control)
    stack = kinds.threads * THREAD_PAGES
    anonymous = max(0, kinds.frames - kinds.shared - kinds.tables - cached.all)
    rows: list[int] = [
        anonymous, cached.all + kinds.shared, stack + kinds.tables + kinds.kept, stack, kinds.tables, kinds.shared,
        cached.dirty, cached.writing, cached.all - cached.used_again, cached.used_again,
    ]  # fmt: skip
    text = bytearray()
    for index in range(len(rows)):
        text.extend(_ROWS[index] + f" {rows[index] * PAGE_SIZE}\n".encode())
    return bytes(text)


_ROWS: Final[list[bytes]] = [
    b"anon", b"file", b"kernel", b"kernel_stack", b"pagetables", b"shmem", b"file_dirty", b"file_writeback",
    b"inactive_file", b"active_file",
]  # fmt: skip


# Swap ---------------------------------------------------------------------------------------------------------------


def swap_usage(group: ControlGroup) -> bytes:
    """memory.swap.current."""
    return bytes_text(control_of(group).swap_usage)


def swap_peak(group: ControlGroup) -> bytes:
    """memory.swap.peak."""
    return bytes_text(control_of(group).swap_peak)


def swap_limit(group: ControlGroup) -> bytes:
    """memory.swap.max."""
    return bytes_text(control_of(group).swap_limit)


def set_swap_limit(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """As on Linux, nothing is brought back that is there already."""
    control_of(group).swap_limit = parse_bytes(text)


def swap_high(group: ControlGroup) -> bytes:
    """memory.swap.high."""
    return bytes_text(control_of(group).swap_high)


def set_swap_high(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """To go beyond it is an event; nobody is held up."""
    control_of(group).swap_high = parse_bytes(text)


def swap_events(group: ControlGroup) -> bytes:
    """memory.swap.events."""
    events = control_of(group).swap_events
    text = b""
    for index in range(len(SWAP_EVENT_NAMES)):
        text += SWAP_EVENT_NAMES[index] + f" {events[index]}\n".encode()
    return text


MEMORY_FILES: Final[list[FileRow]] = [
    FileRow(b"memory.current", MEMORY, usage, mode=READABLE_MODE),
    FileRow(b"memory.peak", MEMORY, peak, mode=READABLE_MODE),
    FileRow(b"memory.min", MEMORY, minimum, set_minimum),
    FileRow(b"memory.low", MEMORY, low, set_low),
    FileRow(b"memory.high", MEMORY, high, set_high),
    FileRow(b"memory.max", MEMORY, limit, set_limit),
    FileRow(b"memory.events", MEMORY, events, mode=READABLE_MODE),
    FileRow(b"memory.events.local", MEMORY, own_events, mode=READABLE_MODE),
    FileRow(b"memory.stat", MEMORY, figures, mode=READABLE_MODE),
    FileRow(b"memory.oom.group", MEMORY, kills_all, set_kills_all, is_delegated=True),
    FileRow(b"memory.reclaim", MEMORY, no_text, reclaim, mode=WRITE_ONLY_MODE, is_delegated=True),
    FileRow(b"memory.swap.current", MEMORY, swap_usage, mode=READABLE_MODE),
    FileRow(b"memory.swap.high", MEMORY, swap_high, set_swap_high),
    FileRow(b"memory.swap.max", MEMORY, swap_limit, set_swap_limit),
    FileRow(b"memory.swap.peak", MEMORY, swap_peak, mode=READABLE_MODE),
    FileRow(b"memory.swap.events", MEMORY, swap_events, mode=READABLE_MODE),
]
