"""Programs of bpf(2) come to events, and go: PERF_EVENT_IOC_SET_BPF, links, PERF_EVENT_IOC_QUERY_BPF.

An event has one program at most. That of a tracepoint's event runs at each hit of the tracepoint, by whatever thread.

Context: system calls. May raise MemoryError.
Source: perf_event_open(2).
"""

from typing import Final

import kernel.perf.world  # noqa: F401  (what helpers tell)
from kernel.bpf.code import PERF_EVENT, TRACEPOINT
from kernel.bpf.program import Program, keep_program, release_program
from kernel.lang import E2BIG, EACCES, EEXIST, EINVAL, ENOSPC, EPERM, Errno, UserAddr
from kernel.lib import user
from kernel.lib.capabilities import CAP_PERFMON, CAP_SYS_ADMIN
from kernel.perf.attributes import TYPE_BREAKPOINT, TYPE_TRACEPOINT
from kernel.perf.event import Event
from kernel.perf.lifecycle import observe, watch_all_calls
from kernel.perf.programs import MOST_PROGRAMS, PROGRAMS, PointProgram
from kernel.perf.tracepoints import find_point
from kernel.task.task import current

_FIXED_BYTES: Final = 8  # of a record, which every tracepoint has


def attach(event: Event, program: Program, cookie: int) -> None:
    """Let a program run for an event. Raises EINVAL for one of another type, EEXIST, EACCES for one that reads beyond a
    tracepoint's record, E2BIG, MemoryError.
    """
    if event.target.point is not None:  # for uprobes there are programs of type KPROBE, which Krait has not
        raise Errno(EINVAL)
    is_of_point = event.attributes.type == TYPE_TRACEPOINT
    if is_of_point:
        if program.kind != TRACEPOINT:
            raise Errno(EINVAL)
        if program.reach > _record_end(event.attributes.config):
            raise Errno(EACCES)
    elif event.attributes.type == TYPE_BREAKPOINT:
        raise Errno(EINVAL)
    if event.choice.program is not None:
        raise Errno(EEXIST)
    if not is_of_point and program.kind != PERF_EVENT:
        raise Errno(EINVAL)
    if is_of_point:
        _check_new(event.attributes.config, program)
    keep_program(program)
    if is_of_point:
        try:
            enter_point(event.attributes.config, PointProgram(program, cookie, event), event.is_of_calls())
        except (Errno, MemoryError):
            release_program(program)
            raise
    event.choice.program = program
    event.choice.cookie = cookie


def _check_new(point: int, program: Program) -> None:
    """Raise E2BIG if a tracepoint has as many programs as it may, EEXIST if it has this one."""
    entries = PROGRAMS.at(point)
    if entries is None:
        return
    if len(entries) >= MOST_PROGRAMS:
        raise Errno(E2BIG)
    for entry in entries:
        if entry.program is program:
            raise Errno(EEXIST)


def enter_point(point: int, entry: PointProgram, is_of_calls: bool) -> None:
    """One more program at a tracepoint, which wants to hear of it even if its event's task has ended. Raises E2BIG,
    MemoryError.
    """
    entries = PROGRAMS.at(point)
    if entries is not None and len(entries) >= MOST_PROGRAMS:
        raise Errno(E2BIG)
    PROGRAMS.add(point, entry)
    observe(1)
    if is_of_calls:
        PROGRAMS.of_calls += 1
        watch_all_calls(1)


def leave_point(point: int, entry: PointProgram, is_of_calls: bool) -> None:
    """One fewer."""
    PROGRAMS.remove(point, entry)
    observe(-1)
    if is_of_calls:
        PROGRAMS.of_calls -= 1
        watch_all_calls(-1)


def detach(event: Event) -> None:
    """An event has no program any more."""
    program = event.choice.program
    if program is None:
        return
    point = event.attributes.config
    entries = PROGRAMS.at(point) if event.attributes.type == TYPE_TRACEPOINT else None
    place = 0
    while entries is not None and place < len(entries):
        if entries[place].event is event:
            leave_point(point, entries[place], event.is_of_calls())
            break
        place += 1
    event.choice.program = None
    release_program(program)


def _record_end(number: int) -> int:
    """Where the last field of a tracepoint's record ends. Raises MemoryError."""
    point = find_point(number)
    if point is None or len(point.fields) == 0:
        return _FIXED_BYTES
    last = point.fields[len(point.fields) - 1]
    return last.offset + last.size


def query(event: Event, address: UserAddr) -> None:
    """PERF_EVENT_IOC_QUERY_BPF: the numbers of the programs at a tracepoint. Raises EPERM, EINVAL, EFAULT, E2BIG,
    ENOSPC.
    """
    who = current().credentials
    if not who.capable(CAP_PERFMON) and not who.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    if event.attributes.type != TYPE_TRACEPOINT:
        raise Errno(EINVAL)
    room = user.read_u32(address)
    user.read_u32(user.at(address, 4))
    if room > MOST_PROGRAMS:
        raise Errno(E2BIG)
    numbers = [0] * room
    entries = PROGRAMS.at(event.attributes.config)
    count = 0 if entries is None else len(entries)
    if entries is not None:
        for index in range(min(room, count)):
            numbers[index] = entries[index].program.identifier
    user.write_u32(user.at(address, 4), count)
    for index in range(room):
        user.write_u32(user.at(address, 8 + 4 * index), numbers[index])
    if 0 < room < count:
        raise Errno(ENOSPC)
