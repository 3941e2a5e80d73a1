"""A program that the kernel itself starts, to read a core file from its standard input (core(5), "Piping core dumps
to a program").

It is a process like the first one: it is not forked, it is root, in the first process's directory, without an
environment; standard input is its only descriptor. It has no parent, so it is reaped when it ends. It dumps no core
itself: its RLIMIT_CORE of 1 marks it.

Context: sleeps.
"""

from typing import Final

from kernel.fs.descriptors import FileTable
from kernel.fs.file import File
from kernel.fs.path import FsContext
from kernel.fs.walk import ENTER, FOLLOW, resolve
from kernel.lang import EIO, ENOENT, ENOMEM, Errno, final, noraise
from kernel.lib.credentials import Credentials
from kernel.lib.pid import FIRST
from kernel.sched import WaitQueue
from kernel.sched.scheduler import start_thread
from kernel.task.begin import settle
from kernel.task.exec import execute
from kernel.task.exit import end_process
from kernel.task.fork import task_limit
from kernel.task.init import give_places, make_process
from kernel.task.limits import RLIMIT_CORE, initial_limits
from kernel.task.pids import allocate_pid, find_process
from kernel.task.task import Task, TaskStart

RECURSION_MARK: Final = 1  # RLIMIT_CORE of a helper


@final
class HelperStart(TaskStart):
    """Executes the program, and reports whether that succeeded."""

    def __init__(self, words: list[bytes]) -> None:
        super().__init__()
        self.words: list[bytes] = words
        self.error: int = 0
        self.is_done: bool = False
        self._waiters: WaitQueue = WaitQueue()

    def begin(self, task: Task) -> None:
        name = self.words[0]
        self.error = EIO  # unless the kernel reaches the end
        try:
            execute(task, resolve(task.fs, None, name, FOLLOW | ENTER), name, self.words, [])
            self.error = 0
        except Errno as e:
            self.error = e.code
        except MemoryError:
            self.error = ENOMEM
        finally:
            self.is_done = True
            self._waiters.wake_all()
        if self.error != 0:
            end_process(task.process, 0)
        settle(task)

    @noraise
    def wait(self) -> None:
        """Wait until the program runs, or cannot."""
        while not self.is_done:
            self._waiters.wait()


def start_helper(words: list[bytes], standard_input: File) -> None:
    """Run a program that reads from a file, whose reference passes to this function in any case. Raises what execve(2)
    raises, EAGAIN, MemoryError.
    """
    files: FileTable | None = None
    try:
        start = HelperStart(words)
        files = FileTable()
    finally:
        if files is None:
            standard_input.release()
    files.install(standard_input, cloexec=False)  # releases it, if there is no room
    context: FsContext | None = None
    task: Task | None = None
    try:
        credentials = Credentials()
        context = _directories()
        limits = initial_limits(task_limit() // 2)
        limits.set(RLIMIT_CORE, RECURSION_MARK, RECURSION_MARK)
        task = make_process(allocate_pid(), limits, words[0][:15], credentials, start)
    finally:
        if task is None:
            files.release()
            if context is not None:
                context.release()
    give_places(task, files, context)
    start_thread(task, None)
    start.wait()
    if start.error != 0:
        raise Errno(start.error)


def _directories() -> FsContext:
    """The first process's directories. Raises ENOENT, MemoryError."""
    process = find_process(FIRST)
    task = None if process is None else process.any_thread()
    context = None if task is None else task.fs_context
    if context is None:
        raise Errno(ENOENT)
    return FsContext(context.namespace, context.root, context.working, 0o022)
