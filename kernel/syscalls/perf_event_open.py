"""Performance events: perf_event_open(2)."""

from typing import Final

from arch.programs import Watch
from kernel.doors.table import syscall
from kernel.fs.cgroup.directory import GroupDirectory
from kernel.fs.tracefs.filesystem import is_tracepoint
from kernel.lang import (
    E2BIG,
    EACCES,
    EBADF,
    EINVAL,
    ENAMETOOLONG,
    ENODEV,
    ENOENT,
    EOPNOTSUPP,
    ESRCH,
    Errno,
    UserAddr,
    i32,
)
from kernel.lib.capabilities import CAP_KILL
from kernel.perf.attributes import (
    AUX_OUTPUT,
    DISABLED,
    ENABLE_ON_EXEC,
    EXCLUDE_KERNEL,
    EXCLUSIVE,
    FORMAT_ENABLED,
    FORMAT_GROUP,
    FORMAT_ID,
    FORMAT_LOST,
    FORMAT_RUNNING,
    FREQUENCY,
    INHERIT,
    PINNED,
    SAMPLE_BRANCH_STACK,
    SAMPLE_PHYS_ADDR,
    SAMPLE_RAW,
    SAMPLE_READ,
    SIGNAL_TRAP,
    TYPE_BREAKPOINT,
    TYPE_SOFTWARE,
    TYPE_TRACEPOINT,
    TYPE_UPROBE,
    USE_CLOCK,
    Attributes,
    read_attributes,
)
from kernel.perf.event import ANY_PROCESSOR, FIRST_CALL, ON, RAW_ENTER, RAW_EXIT, SOFTWARE_KINDS, Event
from kernel.perf.file import EventFile
from kernel.perf.lifecycle import context_for, enter, prepare
from kernel.perf.limits import (
    SAMPLE_RATE,
    check_any,
    check_kernel,
    check_processor,
    check_tracepoint,
    is_privileged,
)
from kernel.perf.probe_events import NAMED
from kernel.perf.probe_file import check_place, find_source
from kernel.perf.probes import PROBES, ProbeUse
from kernel.sched.processor import PROCESSORS
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.path_arguments import path_at
from kernel.syscalls.pid_arguments import task_at
from kernel.task.inspection import may_ask_about, may_attach_to
from kernel.task.task import Task, current

_NO_GROUP: Final = 1
_OUTPUT: Final = 2
_CGROUP: Final = 4
_CLOSE_ON_EXEC: Final = 8
_FLAGS: Final = 15
_NOBODY: Final = -1
_NO_EVENT: Final = -1
_ON_ANY: Final = (1, 4)  # CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW
_ON_SOFTWARE: Final = (0, 7, 11)  # CLOCK_REALTIME, CLOCK_BOOTTIME, CLOCK_TAI: not in all contexts on Linux
_LARGEST_READ: Final = 16 * 1024
_COUNTER_SHIFT: Final = 32  # of a probe's configuration: where a word counts its users
_COUNTER_MASK: Final = 0xFFFF_FFFF


@syscall(
    "perf_event_open", status="Partial", args="<perf_event_attr pid int fd:perf flags:perf_open -> fd:perf",
    notes="Software events, tracepoints, breakpoints of tasks, and uprobes, with programs (BPF) but on uprobes; no "
    "hardware counters, no kprobes",
)  # fmt: skip
def perf_event_open(attributes: UserAddr, pid: i32, processor: i32, group: i32, flags: int) -> int:
    """perf_event_open(2)."""
    if flags & ~_FLAGS != 0:
        raise Errno(EINVAL)
    caller = current()
    wanted = read_attributes(attributes)
    check_any(caller.credentials)
    _check_rights(wanted, caller)
    if flags & _CGROUP != 0 and (pid == _NOBODY or processor == ANY_PROCESSOR):
        raise Errno(EINVAL)
    leader: Event | None = None
    output: EventFile | None = None
    if group != _NO_EVENT:
        file = file_at(group)
        if not isinstance(file, EventFile):
            raise Errno(EBADF)
        leader = None if flags & _NO_GROUP != 0 else file.event
        output = file if flags & _OUTPUT != 0 else None
    if flags & _CGROUP != 0:
        _check_place(wanted, None, processor)
        _check_kind(wanted, is_of_task=False, caller=caller)
        if not isinstance(file_at(pid).inode, GroupDirectory):
            raise Errno(EBADF)
        raise Errno(EINVAL)  # events of control groups: there are none
    task: Task | None = None
    if pid != _NOBODY:
        task = caller if pid == 0 else task_at(pid)
    if task is not None and leader is not None and leader.has(INHERIT) != wanted.has(INHERIT):
        raise Errno(EINVAL)
    _check_place(wanted, task, processor)
    _check_kind(wanted, task is not None, caller)
    if task is not None and not is_privileged(caller.credentials):
        if not may_ask_about(caller, task.process, task):
            raise Errno(EACCES)
    if task is not None and wanted.has(SIGNAL_TRAP) and task.process is not caller.process:
        if not caller.credentials.capable(CAP_KILL) and not may_attach_to(caller, task.process, task):
            raise Errno(EACCES)
    if task is not None and task.is_exiting:
        raise Errno(ESRCH)
    if task is None:
        check_processor(caller.credentials)
        if processor >= len(PROCESSORS):
            raise Errno(ENODEV)
    return _open(wanted, task, processor, leader, output, flags & _CLOSE_ON_EXEC != 0)


def _check_rights(wanted: Attributes, caller: Task) -> None:
    """Checks that need neither a task nor a processor. Raises EACCES, EINVAL."""
    if not wanted.has(EXCLUDE_KERNEL):
        check_kernel(caller.credentials)
    if wanted.has(FREQUENCY):
        if not 0 <= wanted.sample_period <= SAMPLE_RATE.value:
            raise Errno(EINVAL)
    elif wanted.sample_period < 0:
        raise Errno(EINVAL)


def _check_place(wanted: Attributes, task: Task | None, processor: int) -> None:
    if not 0 <= processor < len(PROCESSORS) and (task is None or processor != ANY_PROCESSOR):
        raise Errno(EINVAL)
    if wanted.has(INHERIT) and wanted.samples(SAMPLE_READ):
        raise Errno(EINVAL)


def _check_kind(wanted: Attributes, is_of_task: bool, caller: Task) -> None:
    """Check that such an event exists. Raises ENOENT, EINVAL, EOPNOTSUPP, EPERM, EOVERFLOW."""
    if wanted.type == TYPE_SOFTWARE:
        if wanted.samples(SAMPLE_BRANCH_STACK):
            raise Errno(EOPNOTSUPP)
        if not 0 <= wanted.config < SOFTWARE_KINDS:
            raise Errno(ENOENT)
    elif wanted.type == TYPE_TRACEPOINT:
        if wanted.samples(SAMPLE_BRANCH_STACK):
            raise Errno(EOPNOTSUPP)
        if not is_tracepoint(wanted.config):
            raise Errno(EINVAL)
        is_open_to_all = is_of_task and (wanted.config >= FIRST_CALL or wanted.config in (RAW_ENTER, RAW_EXIT))
        if wanted.samples(SAMPLE_RAW) and not is_open_to_all:
            check_tracepoint(caller.credentials)
    elif wanted.type == TYPE_BREAKPOINT:
        if wanted.samples(SAMPLE_BRANCH_STACK):
            raise Errno(EOPNOTSUPP)
        Watch(wanted.place, wanted.place_kind, wanted.place_length)  # whether it can be watched
        if not is_of_task:
            raise Errno(EINVAL if wanted.has(SIGNAL_TRAP) else EOPNOTSUPP)
    elif wanted.type == TYPE_UPROBE:
        if not is_privileged(caller.credentials):
            raise Errno(EACCES)
        if wanted.samples(SAMPLE_BRANCH_STACK):
            raise Errno(EOPNOTSUPP)
    else:
        raise Errno(ENOENT)
    if wanted.has(SIGNAL_TRAP) and not is_of_task:
        raise Errno(EINVAL)
    if wanted.has(AUX_OUTPUT) or wanted.wants_vector_registers():
        raise Errno(EOPNOTSUPP)
    if wanted.samples(SAMPLE_PHYS_ADDR):
        check_kernel(caller.credentials)
    wanted.check_callers()
    if wanted.has(USE_CLOCK) and wanted.clock not in _ON_ANY:
        if wanted.clock not in _ON_SOFTWARE or wanted.type != TYPE_SOFTWARE:
            raise Errno(EINVAL)


def _check_group(leader: Event, wanted: Attributes, task: Task | None, processor: int) -> None:
    """Check that an event can join a group. Raises EINVAL."""
    context = leader.context
    if leader.leader is not None or context is None or context.task is not task or leader.processor != processor:
        raise Errno(EINVAL)
    if leader.attributes.has(USE_CLOCK) != wanted.has(USE_CLOCK):
        raise Errno(EINVAL)
    if wanted.has(USE_CLOCK) and leader.attributes.clock != wanted.clock:
        raise Errno(EINVAL)
    if wanted.has(EXCLUSIVE | PINNED):
        raise Errno(EINVAL)
    members = 2 + len(leader.siblings)
    if max(_read_size(wanted, members), _read_size(leader.attributes, members)) > _LARGEST_READ:
        raise Errno(E2BIG)


def _read_size(wanted: Attributes, members: int) -> int:
    """The size of a read(2) of it, in bytes."""
    form = wanted.read_format
    entry = 8
    entry += 8 if form & FORMAT_ID != 0 else 0
    entry += 8 if form & FORMAT_LOST != 0 else 0
    size = entry * members + 8 if form & FORMAT_GROUP != 0 else entry
    size += 8 if form & FORMAT_ENABLED != 0 else 0
    return size + (8 if form & FORMAT_RUNNING != 0 else 0)


def _open(
    wanted: Attributes, task: Task | None, processor: int, leader: Event | None, output: EventFile | None,
    is_closed_on_exec: bool,
) -> int:  # fmt: skip
    caller = current()
    if leader is not None:
        _check_group(leader, wanted, task, processor)
    prepare()
    event = Event(wanted, wanted.flags, processor, caller.pids, None)
    named = NAMED.numbered(wanted.config) if wanted.type == TYPE_TRACEPOINT else None
    if named is not None:
        named.check()
        event.target.use = ProbeUse(named.point, task, is_own=False)
        event.target.point = named.point
    elif wanted.type == TYPE_UPROBE:
        use = _new_probe(wanted, task)
        event.target.use = use
        event.target.point = use.point
    if not wanted.has(DISABLED):
        event.state = ON
        event.flags &= ~ENABLE_ON_EXEC
    try:
        if task is not None and task.is_exiting:
            raise Errno(ESRCH)  # making a probe has slept
        if leader is not None:
            _check_group(leader, wanted, task, processor)
        file = EventFile(event, 0)
    except (Errno, MemoryError):
        _give_up(event)
        raise
    try:
        if leader is not None:
            leader.siblings.append(event)
            event.leader = leader
        enter(event, context_for(task, processor))
        if event.target.use is not None:
            event.target.use.begin()
        if output is not None:
            file.set_output(output.event)
    except (Errno, MemoryError):
        file.release()
        raise
    return caller.files.install(file, is_closed_on_exec)


def _new_probe(wanted: Attributes, task: Task | None) -> ProbeUse:
    """A probe of a program that ends with its event. Raises EINVAL, E2BIG, EFAULT, EIO, ENOTSUPP, what leads to no
    file, MemoryError.
    """
    if wanted.place == 0:
        raise Errno(EINVAL)
    try:
        name = path_at(UserAddr(wanted.place))
    except Errno as error:
        raise Errno(E2BIG if error.code == ENAMETOOLONG else error.code) from None
    if len(name) == 0:
        raise Errno(EINVAL)
    counter = wanted.config >> _COUNTER_SHIFT & _COUNTER_MASK
    file = find_source(current().fs, name)
    try:
        check_place(file.size, wanted.place_length, counter)
    except Errno:
        file.release()
        raise
    point = PROBES.point_at(file, wanted.place_length, counter, wanted.config & 1 != 0)
    try:
        return ProbeUse(point, task, is_own=True)
    except MemoryError:
        PROBES.drop(point)
        raise


def _give_up(event: Event) -> None:
    """One that nobody has seen."""
    use = event.target.use
    event.target.use = None
    if use is not None:
        use.release()
    event.part()
