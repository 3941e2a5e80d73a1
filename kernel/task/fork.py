"""Creating tasks: clone in all its forms (clone(2), fork(2), vfork(2)).

The child starts with a copy of the caller's registers, and its system call returns 0. What is not shared is copied
before the child can be seen, so a failure leaves nothing behind.

Context: sleeps (CLONE_VFORK waits for the child to exec or exit). Raises EAGAIN (limits), EINVAL, MemoryError.
"""

from typing import Final

from arch import copy_user_frame
from arch.programs import end_step
from kernel.cgroup.group import TOP, ControlGroup
from kernel.cgroup.tree import check_target
from kernel.ipc.semaphores import UndoList
from kernel.lang import (
    EAGAIN,
    EEXIST,
    EINVAL,
    ENOMEM,
    EOPNOTSUPP,
    EPERM,
    ERESTARTNOINTR,
    Errno,
    UserAddr,
    final,
    noraise,
)
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_ADMIN, CAP_SYS_RESOURCE
from kernel.lib.ids import ROOT_USER
from kernel.lib.namespace import (
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
)
from kernel.lib.pid import NOBODY, Pid
from kernel.lib.settings import SystemSetting
from kernel.mm.frames import total_frame_count
from kernel.mm.userfault import Births
from kernel.sched.processor import RUNNING
from kernel.sched.scheduler import start_thread
from kernel.sched.stacks import allocate_stack, free_stack
from kernel.sched.thread import SCHED_DEADLINE
from kernel.sched.wait import WaitQueue, prepare_sleep
from kernel.task import restartable
from kernel.task.begin import settle
from kernel.task.control_groups import enter_at_birth, kill_newcomer, leave_at_end, note_rest, place_processors, uncount
from kernel.task.family import enter_child
from kernel.task.groups import ProcessGroup, join
from kernel.task.interval_timers import follow_processor_limit
from kernel.task.limits import RLIMIT_NPROC
from kernel.task.namespaces import (
    give_child_its_own,
    leave_namespaces,
    may_checkpoint,
    pids_of_child,
)
from kernel.task.observer import TASKS
from kernel.task.parts import SS_DISABLE
from kernel.task.pid_namespace import PID_MAX, PidNamespace, forget_bearer, number_bearer
from kernel.task.pidfd import PIDFD_THREAD, PidFile
from kernel.task.pids import (
    allocate_pid,
    count_user,
    is_free,
    register_process,
    register_task,
    task_count,
    tasks_of_user,
    uncount_user,
    unregister_process,
    unregister_task,
)
from kernel.task.process import Process
from kernel.task.seccomp import inherit
from kernel.task.seccomp_listener import leave_filters
from kernel.task.send import rewatch
from kernel.task.signals import SIGCHLD, SIGSTOP, UNBLOCKABLE, bit
from kernel.task.task import Task, TaskStart
from kernel.task.trace_stops import report_event
from kernel.task.tracee import (
    EVENT_CLONE,
    EVENT_FORK,
    EVENT_VFORK,
    EVENT_VFORK_DONE,
    Tracee,
    link,
    shown_to_tracer,
)
from kernel.task.user_namespaces import with_new_user_namespace
from kernel.task.zombies import BIRTHS
from kernel.time.clock import monotonic_ns

CSIGNAL: Final = 0xFF
CLONE_VM: Final = 0x100
CLONE_FS: Final = 0x200
CLONE_FILES: Final = 0x400
CLONE_SIGHAND: Final = 0x800
CLONE_PIDFD: Final = 0x1000
CLONE_PTRACE: Final = 0x2000
CLONE_VFORK: Final = 0x4000
CLONE_PARENT: Final = 0x8000
CLONE_THREAD: Final = 0x1_0000
CLONE_SYSVSEM: Final = 0x4_0000
CLONE_SETTLS: Final = 0x8_0000
CLONE_PARENT_SETTID: Final = 0x10_0000
CLONE_CHILD_CLEARTID: Final = 0x20_0000
CLONE_DETACHED: Final = 0x40_0000
CLONE_UNTRACED: Final = 0x80_0000
CLONE_CHILD_SETTID: Final = 0x100_0000
CLONE_IO: Final = 0x8000_0000
CLONE_CLEAR_SIGHAND: Final = 0x1_0000_0000
CLONE_INTO_CGROUP: Final = 0x2_0000_0000
_OF_WORKER: Final = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_IO | CLONE_UNTRACED

_FRAMES_PER_TASK: Final = 32  # as Linux: kernel stacks may use an eighth of memory


@final
class CloneArguments:
    """The arguments of clone."""

    def __init__(self, flags: int, exit_signal: int) -> None:
        self.flags: int = flags
        self.exit_signal: int = exit_signal
        self.stack: int = 0  # the child's stack pointer, 0: the parent's
        self.parent_tid: int = 0
        self.pidfd: int = 0  # where the descriptor's number goes (CLONE_PIDFD)
        self.child_tid: int = 0
        self.tls: int = 0
        self.group: ControlGroup | None = None  # the child's group (CLONE_INTO_CGROUP)
        self.numbers: list[int] | None = None  # the child's own, in each namespace of processes
        self.is_followed: bool = False  # the caller's tracer traces the child, too


@final
class ForkStart(TaskStart):
    """A child's first steps, in its own address space."""

    def __init__(self, child_tid: UserAddr) -> None:
        super().__init__()
        self.child_tid: UserAddr = child_tid  # where to write the child's number, or 0

    def begin(self, task: Task) -> None:
        if self.child_tid != 0:
            try:
                user.write_u32(self.child_tid, task.own_tid)
            except Errno:
                pass  # as on Linux: the program will notice
        settle(task)


@final
class _TaskLimit(SystemSetting):
    """How many tasks there may be: what memory allows, unless it was set."""

    def prepare(self) -> None:
        if self.values[0] < 0:
            self.values[0] = max(64, total_frame_count() // _FRAMES_PER_TASK)


_TASK_LIMIT: Final = _TaskLimit(b"kernel/threads-max", [-1], 1, 0x3FFF_FFFF)


def task_limit() -> int:
    """How many tasks there may be (threads-max)."""
    _TASK_LIMIT.prepare()
    return _TASK_LIMIT.value


def clone(parent: Task, arguments: CloneArguments) -> int:
    """Create a task; returns its number."""
    _check(parent, arguments)
    flags = arguments.flags
    event = 0 if parent.tracee is None else _event_for_tracer(parent.tracee, arguments)
    arguments.is_followed = event != 0 or flags & CLONE_PTRACE != 0
    child = _make(parent, arguments) if flags & CLONE_PIDFD == 0 else _make_with_descriptor(parent, arguments)
    tid = child.own_tid if child.pids is parent.pids else parent.pids.shown(child.tid)
    if flags & CLONE_PARENT_SETTID != 0:
        try:
            user.write_u32(UserAddr(arguments.parent_tid), tid)
        except Errno:
            pass  # the child exists; Linux does not undo it either
    if RUNNING.is_observed:
        TASKS.observer.forked(parent, child)
    birth = child.birth
    start_thread(child, parent)
    if event != 0:
        report_event(parent, event, shown_to_tracer(parent, child))
    if flags & CLONE_VFORK != 0:
        _wait_for_vfork(parent, child, birth)
        report_event(parent, EVENT_VFORK_DONE, shown_to_tracer(parent, child))
    return tid


def create_worker(parent: Task, birth: TaskStart) -> Task:
    """A thread of the caller's process for work in the kernel: `birth` is its life, and never returns. It blocks all
    signals. `start_worker` follows. Raises as `clone` does.
    """
    arguments = CloneArguments(_OF_WORKER, 0)
    _check(parent, arguments)
    worker = _make(parent, arguments)
    worker.birth = birth
    worker.signals.blocked = ~UNBLOCKABLE
    return worker


def start_worker(parent: Task, worker: Task) -> None:
    """Let it run."""
    if RUNNING.is_observed:
        TASKS.observer.forked(parent, worker)
    start_thread(worker, parent)


def _event_for_tracer(tracee: Tracee, arguments: CloneArguments) -> int:
    """The event to report to the parent's tracer, 0 if it did not ask for it."""
    event = EVENT_FORK
    if arguments.flags & CLONE_VFORK != 0:
        event = EVENT_VFORK
    elif arguments.exit_signal != SIGCHLD:
        event = EVENT_CLONE
    return event if arguments.flags & CLONE_UNTRACED == 0 and tracee.wants(event) else 0


def _make_with_descriptor(parent: Task, arguments: CloneArguments) -> Task:
    """CLONE_PIDFD: the descriptor comes first, because it may fail; it is the parent's alone."""
    file = PidFile(None, 0)
    descriptor = parent.files.install(file, cloexec=True)
    try:
        user.write_u32(UserAddr(arguments.pidfd), descriptor)
        child = _make(parent, arguments)
    except (Errno, MemoryError):
        parent.files.take_back(descriptor, file)
        raise
    is_thread = arguments.flags & CLONE_THREAD != 0
    file.refer_to(child.process, child if is_thread else None)
    if is_thread:
        file.flags |= PIDFD_THREAD
    if arguments.flags & CLONE_FILES == 0:
        child.files.take_back(descriptor, file)
    return child


def _check(parent: Task, arguments: CloneArguments) -> None:
    flags = arguments.flags
    if flags & (CLONE_FS | CLONE_NEWNS) == CLONE_FS | CLONE_NEWNS:
        raise Errno(EINVAL)
    if flags & CLONE_NEWUSER != 0 and flags & (CLONE_FS | CLONE_THREAD) != 0:
        raise Errno(EINVAL)
    if flags & CLONE_THREAD != 0 and flags & CLONE_SIGHAND == 0:
        raise Errno(EINVAL)
    if flags & CLONE_SIGHAND != 0 and flags & CLONE_VM == 0:
        raise Errno(EINVAL)
    if flags & CLONE_SIGHAND != 0 and flags & CLONE_CLEAR_SIGHAND != 0:
        raise Errno(EINVAL)
    if flags & CLONE_PARENT != 0 and parent.process.origin.is_init:
        raise Errno(EINVAL)
    has_other_pids = parent.namespaces.pids_for_children is not parent.pids
    if flags & CLONE_THREAD != 0 and (flags & CLONE_NEWPID != 0 or has_other_pids):
        raise Errno(EINVAL)  # threads of a process live in one namespace
    if flags & CLONE_SETTLS != 0 and (arguments.tls < 0 or arguments.tls >= 1 << 47):
        raise Errno(EINVAL)
    if parent.interrupted:
        raise Errno(ERESTARTNOINTR)  # the signal first: a child of a dying process would only be killed
    if flags & CLONE_FS != 0 and parent.fs.executions > 0:
        raise Errno(EAGAIN)  # a program that may get privileges must not share its directory
    credentials = parent.credentials
    if tasks_of_user(credentials.uid) >= parent.process.limits.soft[RLIMIT_NPROC] and not (
        credentials.uid == ROOT_USER or credentials.capable(CAP_SYS_RESOURCE) or credentials.capable(CAP_SYS_ADMIN)
    ):
        raise Errno(EAGAIN)
    if task_count() >= task_limit():
        raise Errno(EAGAIN)
    if parent.wishes.policy == SCHED_DEADLINE and not parent.wishes.reset_on_fork:
        raise Errno(EAGAIN)  # there may be no time for another one


def _make(parent: Task, arguments: CloneArguments) -> Task:
    flags = arguments.flags
    wanted = arguments.numbers
    credentials = parent.credentials if flags & CLONE_NEWUSER == 0 else with_new_user_namespace(parent)
    pids = pids_of_child(parent, flags, credentials.user_namespace)
    tid = allocate_pid() if wanted is None else _claim(parent, pids, wanted)
    is_thread = flags & CLONE_THREAD != 0
    process = parent.process if is_thread else _new_process(parent, tid, pids, arguments)
    child = Task(tid, process, parent.name, credentials)
    try:
        child.settings.memory_failure_policy = parent.settings.memory_failure_policy
        child.settings.flushes_io = parent.settings.flushes_io
        policy = parent.memory_policy
        if policy is not None:
            child.own().memory_policy = policy
        child.stack = allocate_stack()
        prepare_sleep(child)
        group = parent.process.job
        signals = _group_signals(parent.process)
        chosen = arguments.group
        kills = 0 if chosen is None else chosen.kills
        _copy_heard(parent, child, flags)
        if parent.observation is not None:
            TASKS.observer.inherit(parent, child, is_thread)
        probed = parent.probed
        if probed is not None and not is_thread:
            child.own().probed = probed.copy()
        if parent.must_end() or parent.process.job is not group or _group_signals(parent.process) != signals:
            # Copying slept, and a signal to a group was meant for the child too, which was not yet a member.
            raise Errno(ERESTARTNOINTR)
        if not is_free(tid):
            raise Errno(EAGAIN if wanted is None else EEXIST)  # the numbers have wrapped around
        if pids.level > 0:
            _number(child, pids, [] if wanted is None else wanted)
        _register(child)
        try:
            if chosen is not None:
                check_target(chosen)  # again: it may have got controllers for children
                if is_thread and chosen.domain() is not parent.cgroup.domain():
                    raise Errno(EOPNOTSUPP)
                enter_at_birth(child, chosen, kills)
            elif parent.cgroup is not TOP:
                enter_at_birth(child, parent.cgroup, parent.cgroup.kills)
            _enter(parent, child, arguments, is_thread)
        except (Errno, MemoryError):
            unregister_task(child)
            raise
        if chosen is not None:
            kill_newcomer(child)
    except (Errno, MemoryError):
        _undo(child)
        raise
    return child


def _group_signals(process: Process) -> int:
    """A number that grows with each signal to the group of a process, and once more when a long send reaches it."""
    group = process.job
    return process.stop.group_send + (0 if group is None else group.signals)  # fits: they count what is sent


def _number(child: Task, pids: PidNamespace, wanted: list[int]) -> None:
    """Give the child its numbers below the first namespace. Raises EAGAIN, EEXIST, ENOMEM, MemoryError."""
    numbers = number_bearer(pids, child.tid, wanted)
    child.own_tid = numbers.seen_from(pids)
    process = child.process
    if process.pid == child.tid:
        process.number = child.own_tid
        process.bearer = numbers
        process.origin.is_init = child.own_tid == 1


def _register(child: Task) -> None:
    """Let the child be found. Raises MemoryError."""
    try:
        register_task(child)
    except MemoryError:
        forget_bearer(child.tid)
        raise


def _claim(parent: Task, pids: PidNamespace, wanted: list[int]) -> Pid:
    """Check the numbers that the caller wants for the child, innermost first. Returns that of the first namespace,
    which may be any if none is wanted there. Raises EINVAL, EPERM, EEXIST, ENOMEM.
    """
    if len(wanted) > pids.level + 1:
        raise Errno(EINVAL)
    if pids.is_closed:
        raise Errno(ENOMEM)
    credentials = parent.credentials
    space: PidNamespace | None = pids
    for number in wanted:
        if space is None or not 0 < number < PID_MAX.value or (number != 1 and space.init == NOBODY):
            raise Errno(EINVAL)  # the first process of a namespace is its init
        if not may_checkpoint(credentials, space.owner):
            raise Errno(EPERM)
        if number in space.bearers or (space.level == 0 and not is_free(Pid(number))):
            raise Errno(EEXIST)
        space = space.parent
    return allocate_pid() if space is not None else Pid(wanted[len(wanted) - 1])


def _new_process(parent: Task, pid: Pid, pids: PidNamespace, arguments: CloneArguments) -> Process:
    old = parent.process
    flags = arguments.flags
    actions = old.actions if flags & CLONE_SIGHAND != 0 else old.actions.copy()
    if flags & CLONE_CLEAR_SIGHAND != 0:
        actions.reset_for_exec()
    process = Process(pid, pids, old.limits.copy(), actions)
    is_sibling = flags & CLONE_PARENT != 0
    process.origin.exit_signal = old.origin.exit_signal if is_sibling else arguments.exit_signal
    process.origin.parent_programs = old.origin.parent_programs if is_sibling else old.program.count
    process.program.dumpable = old.program.dumpable
    process.settings.personality = old.settings.personality
    process.shortage.adjustment = old.shortage.adjustment
    process.shortage.lowest_adjustment = old.shortage.lowest_adjustment
    process.settings.timer_slack_ns = old.settings.timer_slack_ns
    process.settings.default_slack_ns = old.settings.timer_slack_ns
    follow_processor_limit(process)
    process.origin.started_ns = monotonic_ns()
    return process


def _copy_heard(parent: Task, child: Task, flags: int) -> None:
    """`_share_or_copy`, of which handlers of the parent's page faults hear (userfaultfd(2))."""
    births = Births() if parent.space.has_handlers else None
    is_copied = False
    try:
        _share_or_copy(parent, child, flags, births)
        is_copied = True
    finally:
        if births is not None:
            births.end(are_real=is_copied)


def _share_or_copy(parent: Task, child: Task, flags: int, births: Births | None) -> None:
    """Fill in memory, files and file context, each with a reference of the child's own."""
    space = parent.space
    if flags & CLONE_VM != 0:
        space.acquire()
        child.memory = space
    else:
        child.memory = space.fork(births)
    child.space_root = child.space.root
    files = parent.files
    if flags & CLONE_FILES != 0:
        files.acquire()
        child.file_table = files
    else:
        child.file_table = files.copy()
    context = parent.fs
    if flags & CLONE_FS != 0:
        if context.executions > 0:
            raise Errno(EAGAIN)  # checked again: the copies above have safe points
        context.acquire()
        child.fs_context = context
    else:
        child.fs_context = context.copy()
    give_child_its_own(parent, child, flags)
    if flags & CLONE_SYSVSEM != 0:
        belongings = child.own()
        belongings.semaphore_undos = _shared_undos(parent)
        child.process.as_bearer()  # it may undo what it has not done
    parent.registers.copy_to(child.registers)
    segments = child.space.segments
    if segments is not None:
        child.registers.use_segments(segments)


def _shared_undos(parent: Task) -> UndoList:
    """The parent's semaphore adjustments, with one more thread."""
    undos = parent.semaphore_undos
    if undos is None:
        belongings = parent.own()
        undos = UndoList()
        belongings.semaphore_undos = undos
    undos.users += 1
    return undos


def _enter(parent: Task, child: Task, arguments: CloneArguments, is_thread: bool) -> None:
    """Registers, numbers, relatives. What may fail comes first: then the child is in no list of processes, and the
    caller undoes the rest. Raises MemoryError.
    """
    tracee = _tracee_of(parent, child) if arguments.is_followed else None
    birth = _birth_of(arguments)
    process = child.process
    process.threads[child.tid] = child
    inherit(parent, child)
    chain = parent.keys
    if chain is not None:
        belongings = child.own()
        belongings.keys = chain.child(parent.credentials, is_thread)
    _copy_scheduling(parent, child)
    is_sibling = arguments.flags & CLONE_PARENT != 0
    relative = parent.process.parent if is_sibling else parent.process
    if relative is None:
        relative = parent.process
    count_user(child.credentials.uid)
    if not is_thread:
        try:
            _enter_process(process, parent.process.job)
        except MemoryError:
            uncount_user(child.credentials.uid)
            raise
        process.stop.group_send = parent.process.stop.group_send  # what that has got was not meant for the child
        process.set_parent(relative)
        enter_child(relative, process, BIRTHS.next())
        process.origin.maker_tid = parent.process.origin.maker_tid if is_sibling else parent.tid
        process.leader = child
        executable = parent.process.executable
        if executable is not None:
            process.executable = executable.acquire()
    child.birth = birth
    _take_over(parent, child, arguments)
    if parent.tracee is not None:
        _begin_tracing(child, tracee)


def _enter_process(process: Process, group: ProcessGroup | None) -> None:
    """Enter a new process among all others and the members of a group, or nowhere. Raises MemoryError."""
    register_process(process)
    try:
        if group is not None:
            join(process, group)
    except MemoryError:
        unregister_process(process)
        raise


@noraise
def _take_over(parent: Task, child: Task, arguments: CloneArguments) -> None:
    """What the child has from its parent, and nothing can keep from it: it is known to all already."""
    flags = arguments.flags
    if flags & CLONE_VM == 0:
        restartable.copy_to_child(parent, child)
    child.library.clear_tid_address = arguments.child_tid if flags & CLONE_CHILD_CLEARTID != 0 else 0
    child.signals.blocked = parent.signals.saved_blocked if parent.signals.restores_blocked else parent.signals.blocked
    if flags & CLONE_VM == 0 or flags & CLONE_VFORK != 0:
        child.signals.stack.address = parent.signals.stack.address
        child.signals.stack.size = parent.signals.stack.size
        child.signals.stack.flags = parent.signals.stack.flags
    else:
        child.signals.stack.flags = SS_DISABLE
    copy_user_frame(parent.stack_top, child.stack_top, arguments.stack)
    if flags & CLONE_SETTLS != 0:
        child.registers.set_thread_area(arguments.tls)
    if child.process.stop.signal != 0 or child.process.ending.is_exiting:
        child.interrupted = True  # while copying slept, the process was stopped or began to end


def _birth_of(arguments: CloneArguments) -> ForkStart:
    """The child's first steps, and for a vfork the waiting parent. Raises MemoryError."""
    flags = arguments.flags
    birth = ForkStart(UserAddr(arguments.child_tid) if flags & CLONE_CHILD_SETTID != 0 else UserAddr(0))
    if flags & CLONE_VFORK != 0:
        birth.vfork_waiters = WaitQueue()
    return birth


def _tracee_of(parent: Task, child: Task) -> Tracee | None:
    """A traced parent's child gets the same tracer. Raises MemoryError."""
    other = parent.tracee
    if other is None:
        return None
    return Tracee(child, other.tracer, other.is_seized, other.options, other.credentials)


def _begin_tracing(child: Task, tracee: Tracee | None) -> None:
    """Hold a traced parent's child: it stops at once if it is traced too."""
    end_step(child.stack_top, child.registers)
    if tracee is not None:
        link(tracee)
        if tracee.is_seized:
            tracee.traps_soon = True
        else:
            child.pending.mask |= bit(SIGSTOP)
            child.process.stop.has_own = True
        child.interrupted = True
    rewatch(child)


def _copy_scheduling(parent: Task, child: Task) -> None:
    """Raises MemoryError."""
    child.allowed = parent.allowed
    child.membership.chosen_processors = parent.membership.chosen_processors
    if child.cgroup is not TOP or parent.cgroup is not TOP:
        place_processors(child)
    child.settings.io_priority = parent.settings.io_priority
    if parent.wishes.reset_on_fork:
        if parent.has_fair_policy():
            child.wishes.policy = parent.wishes.policy
            child.wishes.nice = max(parent.wishes.nice, 0)
        return
    child.wishes = parent.wishes
    child.precedence.wanted_ns = parent.precedence.wanted_ns


def _undo(child: Task) -> None:
    """Undo the setup of a child that will not live."""
    if child.observation is not None:
        TASKS.observer.forget(child)
    process = child.process
    if process.threads.get(child.tid) is child:  # the number may be another thread's by now
        process.threads.pop(child.tid)
    if child.cgroup is not TOP:
        leave_at_end(child)
        uncount(child)
    memory = child.memory
    if memory is not None:
        memory.release()
    files = child.file_table
    if files is not None:
        files.release()
    context = child.fs_context
    if context is not None:
        context.release()
    belongings = child.belongings
    if belongings is not None:
        undos = belongings.semaphore_undos
        belongings.semaphore_undos = None
        if undos is not None:
            undos.users -= 1  # the parent's is another
        belongings.release_keys()
    leave_filters(child)
    leave_namespaces(child)
    child.registers.release()
    child.waiter = None  # it refers back to the child
    stack = child.stack
    if stack is not None:
        child.stack = None
        free_stack(stack)


def _wait_for_vfork(parent: Task, child: Task, birth: TaskStart | None) -> None:
    """Sleep until the child has its own memory. Only the end of the parent ends this earlier."""
    waiters = None if birth is None else birth.vfork_waiters
    parent.signals.kill_wakes = True
    parent.calls.waits_for_vfork = True
    note_rest(parent)
    while waiters is not None and child.birth is birth and not parent.must_end():
        waiters.sleep(interruptible=False)
    parent.calls.waits_for_vfork = False
    parent.signals.kill_wakes = False


def fork_arguments() -> CloneArguments:
    """fork(2)."""
    return CloneArguments(0, SIGCHLD)


def vfork_arguments() -> CloneArguments:
    """vfork(2)."""
    return CloneArguments(CLONE_VFORK | CLONE_VM, SIGCHLD)
