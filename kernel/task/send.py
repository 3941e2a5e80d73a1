"""Sending signals: who gets them, what is dropped, who is woken (kill(2), signal(7)).

A signal for a process goes to a thread that does not block it, and waits in the process's own set until one takes it.
It is dropped at once if it would be ignored; not while it is blocked, because the program may check pending signals.
Stop signals and SIGCONT cancel each other when they are sent.

Context: never raises for lack of memory. What sends to one process or thread never sleeps, and is fit for interrupts
(timers, input and output); what sends to groups says so.
"""

from typing import Final

from kernel.lang import EAGAIN, EPERM, ESRCH, Errno, final, inline, noinline, recursion
from kernel.lib.capabilities import CAP_KILL
from kernel.lib.credentials import Credentials, uid_for_caller
from kernel.lib.domain import SCOPE_SIGNAL, is_out_of_scope
from kernel.lib.fences import fence
from kernel.lib.ids import NO_ID, NO_USER, OVERFLOW, ROOT_USER
from kernel.lib.namespace import USER_NAMESPACES
from kernel.lib.pace import pace, spend
from kernel.lib.pid import FIRST, Pid
from kernel.sched import ThreadState, WaitQueue
from kernel.sched.later import Job
from kernel.sched.processor import announce_work_of, watch_calls_of
from kernel.sched.scheduler import interrupt_sleep, make_ready
from kernel.task.acting import real_credentials
from kernel.task.actions import SA_NOCLDSTOP
from kernel.task.child_information import child_information
from kernel.task.groups import ProcessGroup, find_group, member_after
from kernel.task.limits import RLIMIT_SIGPENDING
from kernel.task.pending import PendingSignals
from kernel.task.pid_namespace import FIRST_PID
from kernel.task.pids import find_process, next_process, next_thread
from kernel.task.process import Process
from kernel.task.siginfo import SignalInfo, from_kernel, from_process
from kernel.task.signals import (
    CLD_CONTINUED,
    FIRST_REALTIME,
    SI_KERNEL,
    SI_USER,
    SIGCHLD,
    SIGCONT,
    SIGHUP,
    SIGKILL,
    STOP_SIGNALS,
    UNBLOCKABLE,
    bit,
    contains,
)
from kernel.task.task import TRACING, Task, current, current_or_none
from kernel.task.tracee import Tracee
from kernel.task.words import signed_32

_ROUNDS: Final = 16  # of looking for processes that came while others got their signal
_SEND_COST: Final = 1500  # instructions for a signal, for `pace`
_MARK_COST: Final = 20  # instructions for a thread, or a process
_LOOK_COST: Final = 150
_FIND_COST: Final = 250  # for the next thread of a walk
_WAKE_COST: Final = 450
_FEW_MEMBERS: Final = 100  # of a group: these get a signal at once
_WOKEN_AT_ONCE: Final = 256  # threads of a process
_TOLD_AT_ONCE: Final = 1024  # … that are looked at when a stop ends
_JOB_CONTROL: Final = STOP_SIGNALS | bit(SIGCONT)

# Ready to be taken ----------------------------------------------------------------------------------------------------


def update_interrupted(task: Task) -> None:
    """Update `interrupted` after masks, pending signals or the state of the process changed."""
    process = task.process
    if process.ending.is_exiting:
        dump = process.dump
        task.interrupted = not task.is_exiting and (dump is None or dump.lets_end(task.tid))
        announce_work_of(task)
        return
    waiting = (task.pending.mask | process.pending.mask) & ~task.signals.blocked
    stops = process.stop.signal != 0 if task.tracee is None else _stops_for_tracer(task)
    work = task.async_work
    is_called = (task.cgroup.freezes and not task.is_exiting) or (work is not None and work.is_due())
    task.interrupted = waiting != 0 or stops or _makes_way(task) or is_called
    if task.interrupted:
        announce_work_of(task)


@inline
def _makes_way(task: Task) -> bool:
    """Whether another thread of the process executes a new program, which ends this one."""
    chosen = task.process.exec_task
    return chosen is not None and chosen is not task and not task.is_exiting


@noinline
def _stops_for_tracer(task: Task) -> bool:
    """Whether a traced task must stop, with its process or because its tracer asked for it."""
    tracee = task.tracee
    if task.process.stop.signal != 0 and not task.signals.is_stopped:
        return True
    return tracee is not None and (tracee.traps_soon or tracee.notifies_soon or tracee.leaves_call)


def rewatch(task: Task) -> None:
    """A tracer came or went, or another reason to watch the task's system calls."""
    task.calls.are_watched = (
        TRACING.enabled
        or TRACING.observes_all
        or task.calls.are_observed
        or task.calls.seccomp_mode != 0
        or task.tracee is not None
        or task.dispatch is not None
    )
    watch_calls_of(task, task.calls.are_watched)


def interrupt(task: Task) -> None:
    """Make a task check its signals: ends its sleep if a signal may end it."""
    task.interrupted = True
    announce_work_of(task)
    interrupt_sleep(task)


# Sending --------------------------------------------------------------------------------------------------------------


def send_to_process(process: Process, info: SignalInfo) -> None:
    """Send to a process as a whole. Raises EAGAIN when there is no room for a queued signal."""
    if not _send(process, info):
        raise Errno(EAGAIN)


def send_from_kernel(process: Process, info: SignalInfo) -> None:
    """The same from the kernel, which does not mind when there is no room for a queued signal."""
    _send(process, info)


def _send(process: Process, info: SignalInfo) -> bool:
    if process.ending.is_exiting:
        if info.signo == SIGKILL:
            break_off_dump(process)
        return True  # no one will take it any more
    _prepare(process, info.signo)
    task = process.any_thread()
    if _is_dropped(process, task, info):
        return True
    if not _queue(process, process.pending, task, info):
        return False
    _wake_for(process, info.signo)
    return True


def send_to_task(task: Task, info: SignalInfo) -> None:
    """Send to one thread. Raises EAGAIN when there is no room for a queued signal."""
    process = task.process
    if task.is_exiting or process.ending.is_exiting:
        if info.signo == SIGKILL:
            break_off_dump(process)
        return
    _prepare(process, info.signo)
    if _is_dropped(process, task, info):
        return
    if contains(_JOB_CONTROL, info.signo):
        process.stop.has_own = True
    if not _queue(process, task.pending, task, info):
        raise Errno(EAGAIN)
    if info.signo == SIGKILL:
        wake_to_die(task)  # it alone can take this one, and might not be among those of very many that wake
        _wake_for(process, SIGKILL)
    elif not contains(task.signals.blocked, info.signo):
        interrupt(task)


def send_to_group(group: ProcessGroup, info: SignalInfo) -> None:
    """Send to every member of a process group, from the kernel: no permission is checked. Sleeps if there are many. A
    process that joins meanwhile gets the signal, too; of those created then, the ones whose parents had not got it.
    """
    group.signals += 1
    if group.count > _FEW_MEMBERS:
        _send_to_many(group, info)
        return
    process = group.members.first()
    while process is not None:
        _send(process, info)
        spend(_SEND_COST)
        process = process.after()


@final
class GroupSends:
    """Signals to large groups. One is sent at a time, so that a number tells who has got it."""

    def __init__(self) -> None:
        self.number: int = 0
        self.is_under_way: bool = False
        self.others: WaitQueue = WaitQueue()

    def begin(self) -> int:
        """Wait for the others. Returns the number of the send that begins."""
        while self.is_under_way:
            self.others.wait()
        self.is_under_way = True
        self.number += 1
        return self.number

    def end(self) -> None:
        self.is_under_way = False
        self.others.wake_all()


GROUP_SENDS: Final = GroupSends()


@noinline
def _send_to_many(group: ProcessGroup, info: SignalInfo) -> None:
    number = GROUP_SENDS.begin()
    departures = -1
    for _ in range(_ROUNDS):
        if group.departures == departures:
            break
        departures = group.departures
        process = group.members.first()
        while process is not None:
            if process.stop.group_send != number:
                process.stop.group_send = number
                _send(process, info)
                spend(_SEND_COST)
            pace(_MARK_COST)
            process = member_after(group, process)
    GROUP_SENDS.end()


def signal_process(process: Process, signo: int) -> None:
    """Send a process a signal from the kernel, without information."""
    _send(process, from_kernel(signo))


def signal_itself(task: Task, signo: int) -> None:
    """Send the running thread a standard signal about its own call (SIGPIPE, SIGXFSZ), as if it had sent it."""
    try:
        info = from_process(signo, SI_USER, task.own_pid, uid_for_caller(task.credentials.uid))
    except MemoryError:
        info = from_kernel(signo)
    try:
        send_to_task(task, info)
    except Errno:
        return  # cannot be: standard signals always find room


def force(task: Task, info: SignalInfo) -> None:
    """A fault of the running task: it cannot ignore or block the signal. If it tries to, the default action follows,
    which kills.
    """
    actions = task.process.actions
    signo = info.signo
    if contains(task.signals.blocked, signo) or contains(actions.ignored, signo):
        actions.set_default(signo)
        task.signals.blocked &= ~bit(signo)
    task.signals.forced = signo
    task.pending.add(info, task.credentials.uid, _limit(task.process))
    interrupt(task)


def _limit(process: Process) -> int:
    return process.limits.soft[RLIMIT_SIGPENDING]


def _prepare(process: Process, signo: int) -> None:
    """Stop signals drop pending SIGCONTs; SIGCONT drops pending stop signals, and continues the process whatever else
    it does.
    """
    if contains(STOP_SIGNALS, signo):
        _discard(process, bit(SIGCONT))
    elif signo == SIGCONT:
        process.stop.cancels += 1
        _discard(process, STOP_SIGNALS)
        continue_process(process)
        _tell_tracees(process)
    elif signo == SIGKILL:
        process.stop.cancels += 1


def _discard(process: Process, mask: int) -> None:
    process.pending.discard(mask)
    if process.stop.has_own:
        _discard_own(process, mask)


@noinline
def _discard_own(process: Process, mask: int) -> None:
    """The same for what was sent to single threads."""
    has_own = False
    for task in process.threads.values():
        task.pending.discard(mask)
        has_own = has_own or task.pending.mask & _JOB_CONTROL != 0
        spend(_MARK_COST)
    process.stop.has_own = has_own


def discard_ignored(process: Process, signo: int) -> None:
    """A signal became ignored: drop pending ones. Sleeps if there are very many threads: the rest keep theirs if it is
    not ignored any more.
    """
    mask = bit(signo)
    shared = process.pending.discard(mask)
    if len(process.threads) > _WOKEN_AT_ONCE:
        _discard_of_many(process, signo, shared)
        return
    for task in process.threads.values():
        if task.pending.discard(mask) or shared:
            update_interrupted(task)


@noinline
def _discard_of_many(process: Process, signo: int, shared: bool) -> None:
    task = next_thread(process, FIRST)
    while task is not None and process.actions.ignores(signo):
        if task.pending.discard(bit(signo)) or shared:
            update_interrupted(task)
        pace(_LOOK_COST)
        task = next_thread(process, Pid(int(task.tid) + 1))


@noinline
def _tell_tracees(process: Process) -> None:
    """SIGCONT was sent: seized tasks report it. Of very many, all do so later. A stop signal being shown to a tracer no
    longer stops the tracee (`cancels`).
    """
    if process.tracing is None:
        return  # none of its threads was ever traced
    if len(process.threads) > _WOKEN_AT_ONCE:
        _go_on_later(process)
        return
    for task in process.threads.values():
        tracee = task.tracee
        if tracee is not None and tracee.is_seized:
            trap_again(tracee)
            spend(_WAKE_COST)


def _is_dropped(process: Process, task: Task | None, info: SignalInfo) -> bool:
    if task is None:
        return True
    signo = info.signo
    if task.tracee is not None and signo != SIGKILL:
        return False  # the tracer may want to see it
    if contains(task.signals.blocked | task.signals.awaited, signo):
        return False
    if is_protected(process, signo) and not _comes_from_above(process, info):
        return True
    return process.actions.ignores(signo)


def is_protected(process: Process, signo: int) -> bool:
    """The first process of a namespace takes only the signals for which it has a handler: nothing inside can kill it by
    accident.
    """
    return process.origin.is_init and not contains(process.actions.caught, signo)


def may_come_from_above(init: Process, signo: int) -> bool:
    """Whether a signal is one that kills or stops the init of a namespace if it was sent from outside it. Nothing is
    outside the first namespace.
    """
    return contains(UNBLOCKABLE, signo) and init.pids.level > 0


def _comes_from_above(init: Process, info: SignalInfo) -> bool:
    """Whether a signal kills or stops the init of a namespace nevertheless, because it was sent from outside it, or
    by the kernel.
    """
    if not may_come_from_above(init, info.signo):
        return False
    sender = current_or_none()
    return info.code == SI_KERNEL or sender is None or init.pids.shown(sender.pid) == 0


def _queue(process: Process, pending: PendingSignals, task: Task | None, info: SignalInfo) -> bool:
    """Make a signal pending; False if there was no room for a real-time signal's information: then it is not sent, and
    its sender gets an error (sigqueue(3)). Other signals go without their information.
    """
    uid = ROOT_USER if task is None else task.credentials.uid
    process.signal_waiters.wake_all()
    is_complete = pending.add(info, uid, _limit(process))
    fence()  # before masks are read: threads change their own without the lock (blocking.py)
    return is_complete or info.signo < FIRST_REALTIME or info.code == SI_USER


def _wake_for(process: Process, signo: int) -> None:
    """Choose the thread that takes a process's signal, and make it check. SIGKILL makes all check, stopped ones too."""
    if signo == SIGKILL:
        process.stop.signal = 0
        _wake_for_kill(process)
        return
    leader = process.leader
    if leader is not None and _takes(leader, signo):
        interrupt(leader)
        return
    for task in process.threads.values():
        spend(_MARK_COST)
        if _takes(task, signo):
            interrupt(task)
            return


@inline
def _takes(task: Task, signo: int) -> bool:
    """Whether a thread can take a signal now. A traced one checks again when it goes on."""
    return not (task.is_exiting or contains(task.signals.blocked, signo) or task.state == ThreadState.TRACED)


def _wake_for_kill(process: Process) -> None:
    """All threads must check. Of very many that sleep, some wake: the first one to take the signal tells the others
    (`tell_to_end`), with safe points, which cannot be taken here.
    """
    woken = 0
    for task in process.threads.values():
        if woken < _WOKEN_AT_ONCE:
            wake_to_die(task)
            if not task.is_exiting and (task.state == ThreadState.READY or task.state == ThreadState.RUNNING):
                woken += 1  # others sleep on, whatever signals come
        else:
            task.interrupted = True
            announce_work_of(task)
            spend(_MARK_COST)


# Stopping and going on ------------------------------------------------------------------------------------------------


def wake_to_die(task: Task) -> None:
    """Let a thread run to its end, whatever holds it."""
    interrupt(task)
    state = task.state
    if state == ThreadState.STOPPED or state == ThreadState.TRACED:
        make_ready(task)
    elif task.signals.kill_wakes and state == ThreadState.WAITING:
        make_ready(task)


def break_off_dump(process: Process) -> None:
    """SIGKILL: a process that dumps core ends with the part already written."""
    dump = process.dump
    if dump is None:
        return
    dump.is_broken_off = True
    process.ending.status = SIGKILL
    for task in process.threads.values():
        if task.tid == dump.dumper or (task.signals.is_past_dump and not task.is_exiting):
            wake_to_die(task)


def join_stop(task: Task) -> bool:
    """Let a thread take part in the stop of its process; returns whether that is complete now."""
    process = task.process
    task.signals.is_stopped = True
    process.stop.stopped_count += 1
    if process.stop.is_complete or process.stop.stopped_count < len(process.threads):
        return False
    process.stop.is_complete = True
    process.stop.is_reported = False
    process.stop.continue_unreported = False
    return True


def trap_again(tracee: Tracee) -> None:
    """The job control state of a seized tracee's process changed: it stops for its tracer, anew if it listens."""
    tracee.notifies_soon = True
    task = tracee.task
    if task.state != ThreadState.TRACED:
        interrupt(task)
    elif tracee.is_listening:
        make_ready(task)


@recursion(2)  # the parent gets SIGCHLD, which continues no one
def continue_process(process: Process) -> None:
    """End a stop, and notify the parent. Of very many threads, some are woken: the first one of them to run wakes the
    others (`wake_continued`). Those that were about to stop find that out on their way to user mode.
    """
    if process.stop.signal == 0:
        return
    process.stop.signal = 0
    process.stop.stopped_count = 0
    process.stop.has_sleepers = False
    woken = 0
    told = 0
    for task in process.threads.values():
        if woken == _WOKEN_AT_ONCE or (told >= _TOLD_AT_ONCE and (woken > 0 or process.tracing is not None)):
            process.stop.has_sleepers = True
            if woken == 0:
                _go_on_later(process)
            break
        if told < _TOLD_AT_ONCE or task.state == ThreadState.STOPPED:
            woken += wake_from_stop(task)
            update_interrupted(task)
            told += 1
        spend(_MARK_COST)
    if process.stop.is_complete:
        process.stop.is_complete = False
        process.stop.is_reported = True
        process.stop.continue_unreported = True
        report_job_control(process, CLD_CONTINUED, SIGCONT)
        leader = process.leader
        tracee = None if leader is None else leader.tracee
        if tracee is not None and not tracee.is_of_parent():
            _report(tracee.tracer.process, process, CLD_CONTINUED, SIGCONT)


def wake_from_stop(task: Task) -> int:
    """Let a thread go on if it sleeps in a stop; returns how many it was."""
    if task.state != ThreadState.STOPPED:
        return 0
    make_ready(task)
    spend(_WAKE_COST)
    return 1


def wake_continued(process: Process) -> None:
    """Wake the rest of very many threads whose stop has ended. Sleeps; another stop may begin meanwhile."""
    process.stop.has_sleepers = False
    task = next_thread(process, FIRST)
    while task is not None and process.stop.signal == 0:
        number = Pid(int(task.tid) + 1)
        wake_from_stop(task)
        pace(_FIND_COST)
        task = next_thread(process, number)


@final
class _Rest(Job):
    """Wakes the rest of very many threads of which some are traced: perhaps none of those that were woken at once can
    do so.
    """

    def run(self) -> None:
        process = next_process(FIRST_PID, 0)
        while process is not None:
            number = int(process.pid) + 1
            if process.stop.has_rest:
                process.stop.has_rest = False
                _go_on(process)
            pace(_LOOK_COST)
            process = next_process(FIRST_PID, number)


_REST: Final = _Rest()


def _go_on_later(process: Process) -> None:
    process.stop.has_rest = True
    _REST.schedule()


def _go_on(process: Process) -> None:
    """A process with very many threads was continued: wake sleepers, and let seized threads report it. Sleeps; another
    stop may begin meanwhile, of which it tells them all itself.
    """
    if process.stop.has_sleepers:
        wake_continued(process)
    task = next_thread(process, FIRST)
    while task is not None and process.stop.signal == 0 and not process.ending.is_exiting:
        number = Pid(int(task.tid) + 1)
        tracee = task.tracee
        if tracee is not None and tracee.is_seized:
            trap_again(tracee)
            spend(_WAKE_COST)
        pace(_FIND_COST)
        task = next_thread(process, number)


def report_job_control(process: Process, code: int, status: int) -> None:
    """Notify the parent that a process stopped or continued, and wake its waits."""
    parent = process.parent
    if parent is not None:
        parent.stop.has_news = True
        _report(parent, process, code, status)


def _report(to: Process, process: Process, code: int, status: int) -> None:
    if hears_of_stops(to):
        try:
            _send(to, child_information(to, process, SIGCHLD, code, status))
        except MemoryError:
            _send(to, from_kernel(SIGCHLD))
    to.family.tell()


def hears_of_stops(process: Process) -> bool:
    """Whether it gets SIGCHLD when a child stops or continues."""
    return process.actions.action(SIGCHLD).flags & SA_NOCLDSTOP == 0


# For system calls -----------------------------------------------------------------------------------------------------


def may_signal(sender: Task, target: Process, signo: int) -> bool:
    """Whether a task's ids and its domain permit it to signal a process (kill(2))."""
    if sender.process is target:
        return True
    mine = sender.credentials
    theirs = credentials_of(target)
    if mine.scope is not None and theirs is not None and is_out_of_scope(mine.scope, theirs.scope, SCOPE_SIGNAL):
        return False
    if theirs is None:
        return True
    if mine.euid == theirs.suid or mine.euid == theirs.uid or mine.uid == theirs.suid or mine.uid == theirs.uid:
        return True
    if mine.capable_in(theirs.user_namespace, CAP_KILL):
        return True
    return signo == SIGCONT and sender.process.session_id == target.session_id


def credentials_of(process: Process) -> Credentials | None:
    """The credentials of a process: those of its leader; None once it is reaped."""
    leader = process.leader
    return None if leader is None else real_credentials(leader)


def kill_process(sender: Task, process: Process, signo: int, info: SignalInfo) -> None:
    """kill(2) with a positive pid. Signal 0 only checks. Raises EPERM, EAGAIN."""
    if not may_signal(sender, process, signo):
        raise Errno(EPERM)
    if signo != 0:
        send_to_process(process, _as_seen_by(process, sender, info))


def kill_thread(sender: Task, target: Task, signo: int, info: SignalInfo) -> None:
    """tkill(2). Signal 0 only checks. Raises EPERM, EAGAIN."""
    if not may_signal(sender, target.process, signo):
        raise Errno(EPERM)
    if sender.process is not target.process and is_out_of_scope(
        sender.credentials.scope, real_credentials(target).scope, SCOPE_SIGNAL
    ):
        raise Errno(EPERM)
    if signo != 0:
        send_to_task(target, _as_seen_by(target.process, sender, info))


@inline
def _as_seen_by(target: Process, sender: Task, info: SignalInfo) -> SignalInfo:
    """A signal's information with the sender's ids as another process sees them. Raises MemoryError."""
    process = sender.process
    if target is process or (target.pids is process.pids and not USER_NAMESPACES.exist):
        return info
    return _seen_across(target, sender, info)


@noinline
def _seen_across(target: Process, sender: Task, info: SignalInfo) -> SignalInfo:
    if not info.has_sender():
        return info
    theirs = credentials_of(target)
    own = sender.credentials.user_namespace
    if theirs is not None and theirs.user_namespace is not own:
        info = info.copy()
        uid = own.kernel_uid(info.second & NO_ID)
        info.second = OVERFLOW.user if uid == NO_USER else signed_32(theirs.user_namespace.shown_uid(uid))
    if target.pids.shown(sender.pid) == 0:
        info = info.copy()
        info.first = 0
    return info


def kill_group(sender: Task, group: ProcessGroup, signo: int, info: SignalInfo) -> None:
    """kill(2) with a process group. It is enough that one member may be signalled; else the last error is raised.
    Sleeps if there are many; then newcomers, such as children of members not reached yet, get the
    signal in another round.
    """
    group.signals += 1
    error = ESRCH
    if group.count > _FEW_MEMBERS:
        number = GROUP_SENDS.begin()
        try:
            error = _kill_many(sender, group, signo, info, number)
        finally:
            GROUP_SENDS.end()
    else:
        process = group.members.first()
        while process is not None:
            error = _kill_member(sender, process, signo, info, error)
            spend(_SEND_COST)
            process = process.after()
    if error != 0:
        raise Errno(error)


def _kill_many(sender: Task, group: ProcessGroup, signo: int, info: SignalInfo, number: int) -> int:
    """The same for very many, as a send with a number of its own. Returns 0, or the error."""
    error = ESRCH
    departures = -1
    for _ in range(_ROUNDS):
        if group.departures == departures:
            break
        departures = group.departures
        process = group.members.first()
        while process is not None:
            if process.stop.group_send != number:
                process.stop.group_send = number
                error = _kill_member(sender, process, signo, info, error)
                spend(_SEND_COST)
            pace(_MARK_COST)
            process = member_after(group, process)
    return error


def _kill_member(sender: Task, process: Process, signo: int, info: SignalInfo, error: int) -> int:
    """Signal one of several. Returns the error of all so far: 0 if it is enough that one got the signal."""
    try:
        kill_process(sender, process, signo, info)
    except Errno as e:
        return e.code if error != 0 else 0
    return 0


def kill_all(sender: Task, signo: int, info: SignalInfo) -> None:
    """kill(2) with -1: every process in the namespace except its first one and the sender. Raises ESRCH only if
    there is no other: those that may not be signalled do not count as errors, as on Linux.
    """
    number = GROUP_SENDS.begin()
    try:
        is_alone = True
        for _ in range(_ROUNDS):
            if not _kill_new_ones(sender, signo, info, number):
                break
            is_alone = False
    finally:
        GROUP_SENDS.end()
    if is_alone:
        raise Errno(ESRCH)


def _kill_new_ones(sender: Task, signo: int, info: SignalInfo, number: int) -> bool:
    """Signal all that have not got the signal, a send with this number. Returns whether there were any."""
    space = sender.pids
    found = False
    process = next_process(space, 1)
    while process is not None:
        shown = space.shown(process.pid)
        if process.stop.group_send != number and process.pid != space.init and process is not sender.process:
            process.stop.group_send = number
            found = True
            _kill_one_of_all(sender, process, signo, info)
            spend(_SEND_COST)
        pace(_LOOK_COST)
        process = next_process(space, shown + 1)
    return found


def _kill_one_of_all(sender: Task, process: Process, signo: int, info: SignalInfo) -> None:
    group = process.job
    if group is not None:
        group.signals += 1
    try:
        kill_process(sender, process, signo, info)
    except Errno:
        return


# For terminals --------------------------------------------------------------------------------------------------------


def signal_group(pgid: Pid, signo: int) -> None:
    """Send a signal from the kernel to a group, by number; does nothing if the group is gone. Sleeps if it is large."""
    group = find_group(pgid)
    if group is not None:
        send_to_group(group, from_kernel(signo))


def hang_up_group(group: ProcessGroup) -> None:
    """Send SIGHUP and SIGCONT to a group. Sleeps if it is large."""
    send_to_group(group, from_kernel(SIGHUP))
    send_to_group(group, from_kernel(SIGCONT))


def signal_session_leader(sid: Pid, signo: int) -> None:
    """Send a signal from the kernel to the leader of a session, if it lives."""
    process = find_process(sid)
    if process is not None and process.session_id == sid:
        _send(process, from_kernel(signo))


def is_signal_dropped(signo: int) -> bool:
    """Whether the running task blocks or ignores a signal."""
    task = current()
    return contains(task.signals.blocked | task.process.actions.ignored, signo)
