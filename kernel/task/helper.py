"""A program that the kernel itself starts: one that reads core files (core_handler.py), or makes keys (key_helper.py).

It is a process like the first one: it is not forked, it is root, and it is in the first process's directory. It has no
parent, so it is reaped when it ends.

Context: sleeps.
"""

from kernel.fs.descriptors import FileTable
from kernel.fs.path import FsContext
from kernel.fs.walk import ENTER, FOLLOW, resolve
from kernel.keys.keychain import Keychain
from kernel.lang import EIO, ENOENT, ENOMEM, Errno, final, noraise
from kernel.lib.credentials import Credentials
from kernel.lib.pid import FIRST
from kernel.sched import WaitQueue
from kernel.sched.scheduler import start_thread
from kernel.task.begin import settle
from kernel.task.exec import execute
from kernel.task.exit import end_process
from kernel.task.init import give_places, make_process
from kernel.task.limits import Limits
from kernel.task.pids import allocate_pid, find_process
from kernel.task.process import Process
from kernel.task.task import Task, TaskStart


@final
class HelperStart(TaskStart):
    """Executes the program, and reports whether that succeeded."""

    def __init__(self, words: list[bytes], environment: list[bytes], keys: Keychain | None = None) -> None:
        """The process will have the keyrings, which pass to this object."""
        super().__init__()
        self.words: list[bytes] = words
        self.environment: list[bytes] = environment
        self.keys: Keychain | None = keys
        self.error: int = 0
        self.is_done: bool = False
        self._waiters: WaitQueue = WaitQueue()

    def begin(self, task: Task) -> None:
        name = self.words[0]
        self.error = EIO  # unless the kernel reaches the end
        try:
            if self.keys is not None:
                task.own().keys = self.keys
                self.keys = None
            execute(task, resolve(task.fs, None, name, FOLLOW | ENTER), name, self.words, self.environment)
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
    def release_keys(self) -> None:
        """Nobody has taken the keyrings over."""
        keys = self.keys
        self.keys = None
        if keys is not None:
            keys.release()

    @noraise
    def wait(self) -> None:
        """Wait until the program runs, or cannot."""
        while not self.is_done:
            self._waiters.wait()


def start_process(start: HelperStart, files: FileTable, limits: Limits) -> Process:
    """Run a program with these descriptors, whose reference passes to this function in any case, as the keyrings of
    `start` do. Returns once it runs. Raises what execve(2) raises, EAGAIN, MemoryError.
    """
    context: FsContext | None = None
    task: Task | None = None
    try:
        credentials = Credentials()
        context = _directories()
        task = make_process(allocate_pid(), limits, start.words[0][:15], credentials, start)
    finally:
        if task is None:
            files.release()
            start.release_keys()
            if context is not None:
                context.release()
    process = task.process
    give_places(task, files, context)
    start_thread(task, None)
    start.wait()
    start.release_keys()
    if start.error != 0:
        raise Errno(start.error)
    return process


def _directories() -> FsContext:
    """The first process's directories. Raises ENOENT, MemoryError."""
    process = find_process(FIRST)
    task = None if process is None else process.any_thread()
    context = None if task is None else task.fs_context
    if context is None:
        raise Errno(ENOENT)
    return FsContext(context.namespace, context.root, context.working, 0o022)
