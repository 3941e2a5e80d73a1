"""Secure computing: a thread limits the system calls that it may make from now on (seccomp(2)).

In strict mode a thread may only read, write, exit and return from signal handlers. With filters, its own programs
judge each call (`seccomp_filter.py`). Neither can be undone. Children inherit it, and execve keeps it.

Invariants: a thread in filter mode has a filter, others have none. `calls_are_watched` is true for a thread in either
mode, and the processor knows it while the thread runs: so calls of other threads pay nothing.

Context: system calls. A forbidden call may end the running thread, so `permits` may not return.
"""

from typing import Final

from arch import AUDIT_ARCHITECTURE, TrapFrame, number_of_call
from kernel.lang import EINVAL, ENOMEM, ENOSYS, EPERM, ESRCH, Errno, final, inline, noinline
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.credentials import caller_credentials
from kernel.lib.linked import Linked, LinkedList
from kernel.lib.log import NOTICE, log, printable
from kernel.lib.pace import is_dying, pace
from kernel.lib.pid import FIRST, Pid
from kernel.lib.proc_files import proc_line
from kernel.sched import WaitQueue
from kernel.task.call_signal import raise_sigsys, sigsys_of
from kernel.task.deliver import end_by_signal
from kernel.task.exit import end_thread
from kernel.task.pids import next_thread
from kernel.task.process import Process
from kernel.task.seccomp_filter import (
    ACTION,
    ALLOW,
    DATA,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    TRACE,
    TRAP,
    USER_NOTIFICATION,
    CallData,
    CallFilter,
    describe,
    judge,
)
from kernel.task.seccomp_listener import Listener, ListenerFile, ask
from kernel.task.send import rewatch
from kernel.task.siginfo import from_kernel
from kernel.task.signals import SIGKILL, SIGSYS, SYS_SECCOMP
from kernel.task.task import Task
from kernel.task.trace_stops import report_event
from kernel.task.tracee import EVENT_SECCOMP, SUSPENDS_SECCOMP
from kernel.task.words import signed_32
from kernel.time.clock import monotonic_ns

DISABLED: Final = 0
STRICT: Final = 1
FILTER: Final = 2

FLAG_SYNCHRONIZE: Final = 0x1  # SECCOMP_FILTER_FLAG_TSYNC
FLAG_LOG: Final = 0x2
FLAG_SPECULATION: Final = 0x4  # SECCOMP_FILTER_FLAG_SPEC_ALLOW
FLAG_LISTENER: Final = 0x8  # SECCOMP_FILTER_FLAG_NEW_LISTENER
FLAG_SYNCHRONIZE_OR_ESRCH: Final = 0x10
FLAG_KILLABLE: Final = 0x20  # SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV

_READ: Final = number_of_call("read")
_WRITE: Final = number_of_call("write")
_RT_SIGRETURN: Final = number_of_call("rt_sigreturn")
_EXIT: Final = number_of_call("exit")
_HIGHEST_ERRNO: Final = 4095
_HIGHEST_NUMBER: Final = 0x7FFF_FFFF  # above, as 32 bits, it is negative: no call
# Instructions, for `pace`
_LOOK_COST: Final = 150
_ENTER_COST: Final = 400

# Changing the mode ----------------------------------------------------------------------------------------------------


@final
class _Change(Linked["_Change"]):
    """What happens to the filters of a process while all its threads get the same."""

    def __init__(self, process: Process, forbids_privileges: bool) -> None:
        super().__init__()
        self.process: Process = process
        self.top: CallFilter | None = None  # what they get, once no thread is in the way
        self.forbids_privileges: bool = forbids_privileges
        self.has_newcomer: bool = False  # a thread was created since they were looked at

    @inline
    def this(self) -> "_Change":
        return self


@final
class _Changes(LinkedList[_Change]):
    """Those that have begun. Entering one needs no memory: between its creator's wait and that, nothing may sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: WaitQueue = WaitQueue()

    def of(self, process: Process) -> _Change | None:
        change = self.first()
        while change is not None and change.process is not process:
            change = change.after()
        return change

    def wait(self, process: Process) -> None:
        """From its return to the caller's next sleep, only the caller changes filters of the process."""
        while self.of(process) is not None:
            self.ends.wait()

    def end(self, change: _Change) -> None:
        self.unlink(change)
        self.ends.wake_all()


_CHANGES: Final = _Changes()


def set_strict(task: Task) -> None:
    """The running thread enters strict mode. EINVAL if it has filters."""
    _CHANGES.wait(task.process)
    if task.calls.seccomp_mode == FILTER:
        raise Errno(EINVAL)
    task.registers.forbid_counter(is_forbidden=True)
    _enter(task, STRICT, None)


def add_filter(task: Task, instructions: bytes, flags: int) -> int:
    """Add a filter to the running thread, with FLAG_SYNCHRONIZE to all threads of its process. The result is 0, or
    the number of a thread that has other filters and so cannot get the same: then nothing has changed. EINVAL for
    an invalid program, ENOMEM if they are too long together, ESRCH; with FLAG_LISTENER the result is the
    listener's descriptor, or EBUSY if a filter already has an open one.
    """
    if flags & FLAG_LISTENER == 0:
        return _add_to_threads(task, CallFilter(instructions, flags & FLAG_LOG != 0), flags)
    listener = Listener(flags & FLAG_KILLABLE != 0)
    top = CallFilter(instructions, flags & FLAG_LOG != 0, listener)
    file = ListenerFile(listener)
    descriptor = task.files.install(file, cloexec=True)
    try:
        _add_to_threads(task, top, flags)
    except (Errno, MemoryError):
        task.files.take_back(descriptor, file)
        raise
    return descriptor


def _add_to_threads(task: Task, top: CallFilter, flags: int) -> int:
    """Add a filter to the running thread, or to all of its process. Returns the number of a thread that cannot
    get it, or 0. Raises EINVAL, EBUSY, ENOMEM, ESRCH.
    """
    if flags & FLAG_SYNCHRONIZE == 0:
        _CHANGES.wait(task.process)
        _put_above(task, top)
        _enter(task, FILTER, top)
        return 0
    change = _Change(task.process, task.settings.no_new_privileges)
    _CHANGES.wait(task.process)
    _CHANGES.link_last(change)
    try:
        _put_above(task, top)
        other = _different_thread(task, change)
        if other is not None and flags & FLAG_SYNCHRONIZE_OR_ESRCH != 0:
            raise Errno(ESRCH)
        if other is not None:
            return task.pids.shown(other.tid)
        _synchronize(task, top, change)
    finally:
        _CHANGES.end(change)
    return 0


def _put_above(task: Task, top: CallFilter) -> None:
    """Raises EINVAL, EBUSY, ENOMEM. Never sleeps."""
    if task.calls.seccomp_mode == STRICT:
        raise Errno(EINVAL)
    top.put_above(task.call_filter)


def _synchronize(task: Task, top: CallFilter, change: _Change) -> None:
    """Give a filter to all threads of a process. There may be very many: others run meanwhile, and threads that they
    create get it at once.
    """
    change.top = top
    follower = next_thread(task.process, FIRST)
    while follower is not None:
        number = Pid(int(follower.tid) + 1)
        if not follower.is_exiting and follower.call_filter is not top:  # such have left their filters, or are about to
            follower.settings.no_new_privileges = follower.settings.no_new_privileges or change.forbids_privileges
            _enter(follower, FILTER, top)
        pace(_ENTER_COST)
        follower = next_thread(task.process, number)


def inherit(parent: Task, child: Task) -> None:
    """A new thread inherits its creator's mode."""
    mode = parent.calls.seccomp_mode
    top = parent.call_filter
    forbids_privileges = parent.settings.no_new_privileges
    change = _CHANGES.of(child.process)
    if change is not None:
        change.has_newcomer = True
        if change.top is not None:
            mode = FILTER
            top = change.top
            forbids_privileges = forbids_privileges or change.forbids_privileges
    child.calls.seccomp_mode = mode
    child.call_filter = top
    heard = None if top is None else top.heard
    if isinstance(heard, Listener):
        heard.join()
    rewatch(child)
    child.settings.no_new_privileges = forbids_privileges


def _enter(task: Task, mode: int, top: CallFilter | None) -> None:
    old = task.call_filter
    heard = None if top is None else top.heard
    before = None if old is None else old.heard
    if heard is not before and isinstance(heard, Listener):
        heard.join()  # a thread that has a listener keeps it
    task.calls.seccomp_mode = mode
    task.call_filter = top
    rewatch(task)


def _different_thread(task: Task, change: _Change) -> Task | None:
    """A thread of the same process whose filters are not part of the running thread's. Others run meanwhile."""
    while True:
        change.has_newcomer = False
        other = next_thread(task.process, FIRST)
        while other is not None:
            if other is not task and not other.is_exiting and _is_different(other, task.call_filter):
                return other
            number = Pid(int(other.tid) + 1)
            pace(_LOOK_COST)
            other = next_thread(task.process, number)
        if not change.has_newcomer or is_dying():
            return None


def _is_different(other: Task, mine: CallFilter | None) -> bool:
    """Whether a thread has filters that are not part of a stack."""
    if other.calls.seccomp_mode == DISABLED:
        return False
    theirs = other.call_filter
    if other.calls.seccomp_mode == STRICT or mine is None:
        return True
    return theirs is not None and not mine.has_below(theirs)


# Judging calls --------------------------------------------------------------------------------------------------------


def permits(task: Task, number: int, frame: TrapFrame) -> bool:
    """Whether the running thread may make a system call. If not, its result is in the frame, or a signal is pending, or
    the process will end; or the thread has ended.
    """
    if task.calls.seccomp_mode == STRICT:
        if number == _READ or number == _WRITE or number == _EXIT or number == _RT_SIGRETURN:
            return True
        _report(task, number, frame, KILL_THREAD, SIGKILL)
        end_thread(task, SIGKILL)
        return False
    top = task.call_filter
    tracee = task.tracee
    if top is None or (tracee is not None and tracee.options & SUSPENDS_SECCOMP != 0):
        return True
    data = CallData()
    describe(number, frame, data)
    answer, judge_ = judge(top, data)
    is_logged = judge_.is_logged
    action = answer & ACTION
    if action == ALLOW:
        return True
    if action == USER_NOTIFICATION:
        return _ask_listener(task, judge_, number, frame, is_logged)
    if action == TRACE and tracee is not None and tracee.wants(EVENT_SECCOMP):
        return _ask_tracer(task, top, frame, answer & DATA)
    if is_logged or action == LOG or _kills(action):
        _report(task, number, frame, action, SIGSYS if _kills(action) else 0)
    if action == LOG:
        return True
    _refuse(task, number, frame, action, answer & DATA)
    return False


@noinline
def _ask_listener(task: Task, judge_: CallFilter, number: int, frame: TrapFrame, is_logged: bool) -> bool:
    """USER_NOTIFICATION: another program decides; ENOSYS if none listens to the filter."""
    if is_logged:
        _report(task, number, frame, USER_NOTIFICATION, 0)
    listener = judge_.listener
    if not isinstance(listener, Listener):
        frame.set_result(-ENOSYS)
        return False
    try:
        return ask(task, listener, number, frame)
    except MemoryError:
        frame.set_result(-ENOMEM)
        return False


def _ask_tracer(task: Task, top: CallFilter, frame: TrapFrame, data: int) -> bool:
    """TRACE: the tracer may change the call. The result is judged once more; a second TRACE then permits it."""
    frame.set_result(-ENOSYS)
    report_event(task, EVENT_SECCOMP, data)
    number = frame.traced_call
    if task.process.ending.is_exiting or task.has_pending_kill() or number > _HIGHEST_NUMBER:
        return False
    changed = CallData()
    describe(number, frame, changed)
    newest = task.call_filter  # another thread may have added a filter meanwhile
    answer, judge_ = judge(top if newest is None else newest, changed)
    is_logged = judge_.is_logged
    action = answer & ACTION
    if action == ALLOW or action == TRACE:
        return True
    if action == USER_NOTIFICATION:
        return _ask_listener(task, judge_, number, frame, is_logged)
    if is_logged or action == LOG or _kills(action):
        _report(task, number, frame, action, SIGSYS if _kills(action) else 0)
    if action == LOG:
        return True
    _refuse(task, number, frame, action, answer & DATA)
    return False


def _kills(action: int) -> bool:
    """KILL_PROCESS, KILL_THREAD, and unknown actions. (USER_NOTIFICATION was handled before.)"""
    return action not in (TRAP, ERRNO, TRACE, LOG)


def _refuse(task: Task, number: int, frame: TrapFrame, action: int, data: int) -> None:
    if action == ERRNO:
        frame.set_result(-min(data, _HIGHEST_ERRNO))
        frame.forget_call()  # the program sees the number, even one that would repeat the call
    elif action == TRAP:
        raise_sigsys(task, number, frame, SYS_SECCOMP, data)
    elif action == TRACE:
        frame.set_result(-ENOSYS)
    elif action == KILL_THREAD and _other_thread_lives(task):
        end_thread(task, SIGSYS)
    else:
        _end_process(task, number, frame, data)


def _end_process(task: Task, number: int, frame: TrapFrame, data: int) -> None:
    """End the process as if SIGSYS had no handler, invisibly to tracers."""
    frame.set_result(frame.original_number)
    try:
        info = sigsys_of(number, frame, SYS_SECCOMP, data)
    except MemoryError:
        info = from_kernel(SIGSYS)
    end_by_signal(task, info)


def _other_thread_lives(task: Task) -> bool:
    for other in task.process.threads.values():
        if other is not task and not other.is_exiting:
            return True
    return False


# The log --------------------------------------------------------------------------------------------------------------

_LOG_INTERVAL_NS: Final = 5_000_000_000
_LOG_BURST: Final = 10  # lines in an interval


@final
class ActionName:
    """The name of an action in /proc/sys/kernel/seccomp."""

    def __init__(self, name: bytes, action: int, is_logged: bool) -> None:
        self.name: bytes = name
        self.action: int = action
        self.is_logged: bool = is_logged


ACTIONS: Final[list[ActionName]] = [
    ActionName(b"kill_process", KILL_PROCESS, is_logged=True),
    ActionName(b"kill_thread", KILL_THREAD, is_logged=True),
    ActionName(b"trap", TRAP, is_logged=True),
    ActionName(b"errno", ERRNO, is_logged=True),
    ActionName(b"user_notif", USER_NOTIFICATION, is_logged=True),
    ActionName(b"trace", TRACE, is_logged=True),
    ActionName(b"log", LOG, is_logged=True),
    ActionName(b"allow", ALLOW, is_logged=False),
]


def find_action(action: int) -> ActionName | None:
    """An action that filters may return."""
    for known in ACTIONS:
        if known.action == action:
            return known
    return None


@proc_line("sys/kernel/seccomp/actions_avail")
def available_actions() -> bytes:
    """The names of all actions."""
    return b" ".join([known.name for known in ACTIONS]) + b"\n"


def set_logged_actions(text: bytes) -> None:
    """Log only the named actions from now on. EINVAL for an unknown name, and for `allow`. Two spaces in a
    row end the names, as on Linux.
    """
    end = text.find(b"\n")
    names: list[bytes] = []
    for name in (text if end < 0 else text[:end]).split(b" "):
        if len(name) == 0:
            break
        if name == b"allow" or not _is_name(name):
            raise Errno(EINVAL)
        names.append(name)
    for known in ACTIONS:
        known.is_logged = known.name in names


def set_logged_calls(text: bytes) -> None:
    """The actions that seccomp(2) logs: writing requires an administrator, not only the owner of the file."""
    who = caller_credentials()
    if who is not None and not who.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    set_logged_actions(text)


@proc_line("sys/kernel/seccomp/actions_logged", set_logged_calls)
def logged_actions() -> bytes:
    """The names of the logged actions."""
    return b" ".join([known.name for known in ACTIONS if known.is_logged]) + b"\n"


def _is_name(name: bytes) -> bool:
    for known in ACTIONS:
        if known.name == name:
            return True
    return False


@final
class LogLimit:
    """A rate limit: programs must not fill the log."""

    def __init__(self) -> None:
        self.begun_ns: int = 0
        self.count: int = 0

    def allows(self, now_ns: int) -> bool:
        """Whether one more line may be written."""
        if now_ns - self.begun_ns > _LOG_INTERVAL_NS:
            self.begun_ns = now_ns
            self.count = 0
        self.count += 1
        return self.count <= _LOG_BURST


_LIMIT: Final = LogLimit()


def _report(task: Task, number: int, frame: TrapFrame, action: int, signo: int) -> None:
    """Write a line to the log, if the administrator wants it. An unknown action is logged as one that kills."""
    known = find_action(action)
    wanted = ACTIONS[0].is_logged if known is None else known.is_logged
    if not wanted or not _LIMIT.allows(monotonic_ns()):
        return
    try:
        who = f"seccomp: uid={int(task.credentials.uid)} pid={int(task.pid)} comm={printable(task.name)}"
        what = f" sig={signo} arch={AUDIT_ARCHITECTURE:x} syscall={signed_32(number)}"
        where = f" ip={frame.instruction_pointer:#x} code={action:#x}"
        log.add(NOTICE, (who + what + where).encode())
    except MemoryError:
        return  # no room for the line
