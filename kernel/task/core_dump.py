"""Core files: a process's state when a signal ended it, for a debugger (core(5)).

The thread that took the signal writes the file, while the others of its process wait where they end (core_state.py). In
order: the kernel decides whether to dump; the file is created, or the program that reads it is started; headers and
notes follow, and then the memory, page by page. A dump that is broken off, by SIGKILL or because a disk is full,
leaves what was written so far.

With fs.suid_dumpable 2 the file of a process that its user may not inspect belongs to root, replaces no other, and
its name, which must be absolute, starts from the first process's root.

Context: sleeps. Never raises.
"""

from typing import Final

from kernel.fs.constants import O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY
from kernel.fs.file import File
from kernel.fs.names import unlink
from kernel.fs.open import open_file
from kernel.fs.path import FsContext, path_name
from kernel.ipc.pipe import Pipe, make_pipe
from kernel.lang import ENOENT, ENOMEM, EPERM, Errno, final, noinline, noraise
from kernel.lib import log
from kernel.lib.credentials import Credentials
from kernel.lib.ids import ROOT_USER
from kernel.lib.pid import FIRST
from kernel.mm.space import AddressSpace
from kernel.task.core_handler import RECURSION_MARK, start_helper
from kernel.task.core_image import CoreImage
from kernel.task.core_name import CoreFacts, CoreName, expand
from kernel.task.core_settings import CORE_PATTERN, PIPE_LIMIT, USES_PID
from kernel.task.core_state import CORE_WAS_DUMPED, DUMPED_FOR_ROOT, NOT_DUMPED, CoreDump
from kernel.task.core_writer import CoreWriter
from kernel.task.deliver import CORE_DUMPING, CoreDumper
from kernel.task.exit import end_process
from kernel.task.limits import RLIMIT_CORE, RLIMIT_FSIZE, UNLIMITED
from kernel.task.pids import find_process
from kernel.task.process import Process
from kernel.task.send import interrupt, update_interrupted
from kernel.task.siginfo import SignalInfo
from kernel.task.task import Task
from kernel.time.clock import realtime_seconds

_SMALLEST: Final = 4096  # a lower limit means no file at all
_MODE: Final = 0o600
_MODE_CHECKED: Final = 0o677


@final
class _Dumper(CoreDumper):
    @noraise
    def dump(self, task: Task, info: SignalInfo) -> None:
        _dump(task, info)


CORE_DUMPING.dumper = _Dumper()


@noraise
def _dump(task: Task, info: SignalInfo) -> None:
    process = task.process
    space = task.memory
    if space is None or process.program.dumpable == NOT_DUMPED:
        return
    dump = _begin(task, info.signo)
    if dump is None:
        return
    credentials = task.credentials
    target: Target | None = None
    try:
        dump.gather()
        if process.program.dumpable == DUMPED_FOR_ROOT:
            _act_for_root(task)
        target = _choose(task, info)
        if target is not None and not dump.is_broken_off:
            _write(task, info, space, target, dump)
    except Errno as error:
        _complain(task, error.code)
    except MemoryError:
        _complain(task, ENOMEM)
    finally:
        if target is not None:
            target.close(dump)
        task.credentials = credentials
        if dump.has_dumped and not dump.is_broken_off:
            process.ending.status |= CORE_WAS_DUMPED
        process.dump = None
        dump.finish()
        interrupt(task)  # a call that the program must not return from may have been what dumps


@noinline  # opening a file goes deep: nothing of this should lie on the stack then
def _write(task: Task, info: SignalInfo, space: AddressSpace, target: "Target", dump: CoreDump) -> None:
    """Write the file. Raises Errno, MemoryError."""
    _copy(_image(task, info, space), _writer(target, task.process, dump))


@noinline
def _begin(task: Task, signo: int) -> CoreDump | None:
    """Have all other threads of the process end; None if the process is already ending, or there is no memory."""
    process = task.process
    if process.ending.is_exiting or process.exec_task is not None or task.has_pending_kill():
        return None
    missing = 0
    for other in process.threads.values():
        missing += 0 if other is task or other.signals.is_past_dump else 1
    try:
        dump = CoreDump(task.tid, missing)
    except MemoryError:
        return None
    process.dump = dump
    process.ending.leaves_core = True
    end_process(process, signo)
    update_interrupted(task)  # SIGKILL may have come where that slept
    return dump


@noinline
def _act_for_root(task: Task) -> None:
    """The core file will be root's. Raises MemoryError."""
    private = task.credentials.copy()
    private.fsuid = ROOT_USER
    task.credentials = private


@noinline
def _complain(task: Task, code: int) -> None:
    try:
        log.warn(f"no core file of process {int(task.pid)} ({log.printable(task.name)}): error {code}")
    except MemoryError:
        return  # no room for the message


# Writing: shallow, for file systems need much of the stack ------------------------------------------------------------


@noinline
def _image(task: Task, info: SignalInfo, space: AddressSpace) -> CoreImage:
    return CoreImage(task, info, space)


@noinline
def _writer(target: "Target", process: Process, dump: CoreDump) -> CoreWriter:
    writer = CoreWriter(target.file, target.limit, process.limits.soft[RLIMIT_FSIZE], dump)
    dump.has_dumped = True
    return writer


@noinline
def _copy(image: CoreImage, writer: CoreWriter) -> None:
    """Write as much of the image as there is room for. Raises MemoryError."""
    while not writer.has_ended() and image.put_next(writer):
        while writer.is_flush_due():
            writer.flush()
    writer.end()
    while writer.is_dirty():
        writer.flush()


# The target -----------------------------------------------------------------------------------------------------------


@final
class HelperCount:
    """The number of processes now dumping to a program."""

    def __init__(self) -> None:
        self.now: int = 0


_HELPERS: Final = HelperCount()


@final
class Target:
    """The target of a dump, which holds a reference to the file."""

    def __init__(self, file: File, limit: int, pipe: Pipe | None) -> None:
        self.file: File = file
        self.limit: int = limit
        self.pipe: Pipe | None = pipe  # to a program

    @noraise
    def close(self, dump: CoreDump) -> None:
        """All is written. Wait for the program that reads it, if the number of such programs is bounded: it may
        look into /proc as long as it has not closed its end.
        """
        pipe = self.pipe
        if pipe is None:
            self.file.flush(0)
        self.file.release()
        if pipe is None:
            return
        try:
            while _most_helpers() != 0 and pipe.readers > 0 and not dump.is_broken_off:
                pipe.write_queue.sleep()
        except (Errno, MemoryError):
            pass  # SIGKILL came: no one waits any more. Memory is not needed without a time limit
        _HELPERS.now -= 1


def _most_helpers() -> int:
    return PIPE_LIMIT.value & 0xFFFF_FFFF


@noinline
def _choose(task: Task, info: SignalInfo) -> Target | None:
    """Create the file that the pattern names, or start the program; None if no file is wanted. Raises Errno,
    MemoryError.
    """
    limit = task.process.limits.soft[RLIMIT_CORE]
    name = _name(task, info, limit)
    if name.is_command:
        return _start(name.words, limit)
    if limit < _SMALLEST:
        return None
    if task.process.program.dumpable == DUMPED_FOR_ROOT and not name.name.startswith(b"/"):
        log.warn("a program with privileges leaves no core file but by a path from the root on")
        return None
    return _create(task, name.name, limit)


@noinline
def _name(task: Task, info: SignalInfo, limit: int) -> CoreName:
    process = task.process
    facts = CoreFacts()
    facts.pid = process.number
    facts.first_pid = int(process.pid)
    facts.tid = task.own_tid
    facts.first_tid = int(task.tid)
    facts.uid = int(task.credentials.uid)
    facts.gid = int(task.credentials.gid)
    facts.dumpable = process.program.dumpable
    facts.signo = info.signo
    facts.time_s = realtime_seconds()
    facts.host = task.namespaces.uts.host
    facts.title = task.name
    executable = process.executable
    if executable is not None:
        facts.program = path_name(executable.path, task.fs.root)
    facts.limit = -1 if limit == UNLIMITED else limit
    facts.processor = task.processor
    return expand(CORE_PATTERN.text, facts, USES_PID.value != 0)


@noinline
def _start(words: list[bytes], limit: int) -> Target | None:
    """Start a program that reads the file."""
    if limit == RECURSION_MARK:
        log.warn("a program that reads core files would leave one itself")
        return None
    most = _most_helpers()
    if most != 0 and most <= _HELPERS.now:
        log.warn("more processes dump core than kernel.core_pipe_limit allows: one leaves no core file")
        return None
    ends = make_pipe(Credentials(), 0)
    target: Target | None = None
    _HELPERS.now += 1
    try:
        start_helper(words, ends.reader)
        target = Target(ends.writer, UNLIMITED, ends.writer.pipe)
    finally:
        if target is None:
            ends.writer.release()
            _HELPERS.now -= 1
    return target


@noinline
def _create(task: Task, name: bytes, limit: int) -> Target:
    """Create a file, in place of an existing one. Raises EPERM for one that others may reach, and what opening
    raises.
    """
    is_private = task.process.program.dumpable == DUMPED_FOR_ROOT
    context = _first_context(task) if is_private else task.fs.copy()
    try:
        if not is_private:
            _remove(context, name)
        file = open_file(context, None, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, _MODE)
    finally:
        context.release()
    target: Target | None = None
    try:
        _check(task, file)
        target = Target(file, limit, None)
    finally:
        if target is None:
            file.release()
    return target


def _check(task: Task, file: File) -> None:
    inode = file.inode
    is_ours = inode.uid == file.path.mount.actor(task.credentials).fsuid and inode.mode & _MODE_CHECKED == _MODE
    if not is_ours or not inode.is_regular() or inode.nlink > 1 or file.path.dentry.deleted:
        raise Errno(EPERM)


@noinline
def _remove(context: FsContext, name: bytes) -> None:
    try:
        unlink(context, None, name)
    except Errno:
        return  # whatever the reason is, creating the file will report it


def _first_context(task: Task) -> FsContext:
    """The first process's directories, for a file of root's. Raises ENOENT."""
    process = find_process(FIRST)
    other = None if process is None else process.any_thread()
    context = None if other is None else other.fs_context
    if context is None:
        raise Errno(ENOENT)
    return FsContext(context.namespace, context.root, context.root, task.fs.umask)
