"""Signal-driven input and output: SIGIO for files with O_ASYNC (fcntl(2), F_SETOWN, F_SETSIG; socket(7)).

A watch is on the file's two wait queues, as a poller is, and sends the owner a signal with every wake. Sockets
report room only to a writer that found none, as on Linux.

Context: starting a watch may raise MemoryError. Signals are sent wherever the queues are woken, in interrupts too:
nothing there sleeps or needs memory.
"""

from typing import Final

from kernel.fs.file import OWNER_GROUP, OWNER_PROCESS, OWNER_THREAD, File, SignalWatch
from kernel.lang import EINVAL, ESRCH, Errno, final, recursion
from kernel.lib.pid import UNSET, Pid
from kernel.sched.wait import Waiter, WaitQueue
from kernel.task.groups import find_group
from kernel.task.owner_telling import (
    FEW_MEMBERS,
    INPUT,
    MESSAGE,
    OUTPUT,
    SEND_COST,
    URGENT,
    may_tell,
    prepare_for_groups,
    tell_group,
    tell_process,
)
from kernel.task.pids import find_process, find_task
from kernel.task.send import credentials_of, send_from_kernel, send_to_task
from kernel.task.siginfo import SignalInfo, from_kernel
from kernel.task.signals import SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGIO, SIGSEGV, SIGSYS, SIGTRAP, SIGURG
from kernel.task.task import Task, current

# si_code, and poll(2)'s bits for it in si_band.
_POLL_IN: Final = 1
_POLL_OUT: Final = 2
_POLL_MSG: Final = 3
_BAND_IN: Final = 0x41
_BAND_OUT: Final = 0x304
_BAND_MSG: Final = 0x441
_SI_SIGIO: Final = -5  # si_code with signals whose own codes have other meanings
_THREAD_COST: Final = 30  # instructions to check whether a thread can take it
_SPECIFIC: Final = (SIGILL, SIGFPE, SIGSEGV, SIGBUS, SIGTRAP, SIGCHLD, SIGSYS)


@final
class QueueWaiter(Waiter):
    """A watch's place on one queue."""

    def __init__(self, is_output: bool) -> None:
        super().__init__()
        self.watch: AsyncWatch | None = None
        self.is_output: bool = is_output

    def notify(self) -> None:
        watch = self.watch
        if watch is not None:
            watch.happened(self.is_output)

    def cost(self) -> int:
        """About how many instructions a wake takes."""
        watch = self.watch
        file = None if watch is None else watch.file
        return 0 if file is None else _cost_of_telling(file)


@final
class AsyncWatch(SignalWatch):
    """Sends the signals of one file. `close` breaks its reference cycles."""

    def __init__(self, file: File, descriptor: int) -> None:
        self.file: File | None = file
        self.descriptor: int = descriptor  # si_fd: the one through which O_ASYNC was set
        self.input: QueueWaiter = QueueWaiter(is_output=False)
        self.output: QueueWaiter = QueueWaiter(is_output=True)
        self.tells_input: SignalInfo = from_kernel(SIGIO)
        self.tells_output: SignalInfo = from_kernel(SIGIO)
        self.signal_changed()
        self.input.watch = self  # now that nothing can fail any more
        self.output.watch = self
        _stand(self.input, file.input_queue())
        _stand(self.output, file.output_queue())

    def signal_changed(self) -> None:
        """F_SETSIG: if a signal was chosen, it carries information. May raise MemoryError."""
        file = self.file
        if file is None:
            return
        signo = file.owner_signal
        if signo == 0:
            tells_input = from_kernel(SIGIO)
            tells_output = from_kernel(SIGIO)
        else:
            tells_input = _information(signo, _POLL_IN, _BAND_IN, self.descriptor)
            tells_output = _information(signo, _POLL_OUT, _BAND_OUT, self.descriptor)
        self.tells_input = tells_input
        self.tells_output = tells_output

    def close(self) -> None:
        self.input.leave()
        self.output.leave()
        self.input.watch = None
        self.output.watch = None
        self.file = None

    @recursion(1)  # what a signal wakes, including a signalfd, has no queue for watches
    def happened(self, is_output: bool) -> None:
        """A queue was woken."""
        file = self.file
        if file is None or file.owner == UNSET:
            return
        if is_output:
            if not file.lacks_room:
                return
            file.room_told()
        if is_output:
            _tell_owner(file, self.tells_output, OUTPUT)
        else:
            _tell_owner(file, self.tells_input, INPUT)


def tell_message(file: File, descriptor: int) -> None:
    """Signal an event other than input or output on an open file, which its owner asked for through a descriptor."""
    if file.owner == UNSET:
        return
    info = from_kernel(SIGIO)
    if file.owner_signal != 0:
        try:
            info = _information(file.owner_signal, _POLL_MSG, _BAND_MSG, descriptor)
        except MemoryError:
            info = from_kernel(SIGIO)  # as if there were no room to queue it
    _tell_owner(file, info, MESSAGE)


def _tell_owner(file: File, info: SignalInfo, event: int) -> None:
    if file.owner_kind == OWNER_THREAD:
        task = find_task(file.owner)
        if task is not None and may_tell(file, task.credentials):
            _tell_task(task, info)
    elif file.owner_kind == OWNER_GROUP:
        group = find_group(file.owner)
        if group is not None:
            tell_group(group, info, file, event)
    else:
        process = find_process(file.owner)
        if process is not None and may_tell(file, credentials_of(process)):
            tell_process(process, info)


def _cost_of_telling(file: File) -> int:
    if file.owner_kind == OWNER_GROUP:
        group = find_group(file.owner)
        return 0 if group is None else min(group.count, FEW_MEMBERS) * SEND_COST
    process = find_process(file.owner)
    return SEND_COST if process is None else SEND_COST + len(process.threads) * _THREAD_COST


def _stand(waiter: QueueWaiter, queue: WaitQueue | None) -> None:
    if queue is not None:
        queue.add(waiter)


def _information(signo: int, code: int, band: int, descriptor: int) -> SignalInfo:
    info = SignalInfo(signo, _SI_SIGIO if signo in _SPECIFIC else code)
    info.first = band
    info.third = descriptor
    return info


def _tell_task(task: Task, info: SignalInfo) -> None:
    try:
        send_to_task(task, info)
    except Errno:
        send_from_kernel(task.process, from_kernel(SIGIO))


def signal_urgent(file: File) -> None:
    """Urgent data came: SIGURG to the owner, with O_ASYNC or without."""
    if file.owner != UNSET:
        _tell_owner(file, from_kernel(SIGURG), URGENT)


def choose_owner(file: File, who: int) -> None:
    """F_SETOWN: a process, or a group if negative; 0 for none. EINVAL, ESRCH."""
    if who == -1 << 31:
        raise Errno(EINVAL)
    task = current()
    chosen = UNSET if who == 0 else task.pids.resolve(abs(who))
    if (who > 0 and find_process(chosen) is None) or (who < 0 and find_group(chosen) is None):
        raise Errno(ESRCH)
    give_owner(file, chosen, OWNER_GROUP if who < 0 else OWNER_PROCESS)


def give_owner(file: File, chosen: Pid, kind: int) -> None:
    """The running thread chooses an existing owner, or none. Its domain does not matter for signals to its own
    process, whose threads may always signal each other. Raises MemoryError.
    """
    task = current()
    scope = task.credentials.scope
    if scope is not None and kind != OWNER_GROUP:
        owner = find_task(chosen) if kind == OWNER_THREAD else None
        if chosen == UNSET or chosen == task.pid or (owner is not None and owner.process is task.process):
            scope = None
    if kind == OWNER_GROUP:
        prepare_for_groups(file)
    file.set_owner(chosen, kind, task.credentials, scope)


def living_owner(file: File) -> int:
    """F_GETOWN: the chosen owner, negative for a group; 0 if it has gone, or is none that the running thread sees."""
    if file.owner_kind == OWNER_THREAD:
        found = find_task(file.owner) is not None
    elif file.owner_kind == OWNER_GROUP:
        found = find_group(file.owner) is not None
    else:
        found = find_process(file.owner) is not None
    shown = current().pids.shown(file.owner) if found else 0
    return -shown if file.owner_kind == OWNER_GROUP else shown


def own_unless_owned(file: File) -> None:
    """Make the running process the owner, unless another one was chosen."""
    if file.owner == UNSET:
        give_owner(file, current().pid, OWNER_PROCESS)


def watch(file: File, descriptor: int) -> None:
    """O_ASYNC was set through a descriptor: send signals from now on. May raise MemoryError."""
    if file.signals is None:
        signals = AsyncWatch(file, descriptor)
        try:
            if file.owner == UNSET:
                file.choose_owner()
        except (Errno, MemoryError):
            signals.close()
            raise
        file.signals = signals


def unwatch(file: File) -> None:
    """O_ASYNC was cleared."""
    signals = file.signals
    if signals is not None:
        file.signals = None
        signals.close()
