"""A program that the kernel starts by itself, to read a core file from its standard input (core(5), "Piping core dumps
to a program").

It is a process like the first one: put together by hand, root, in the directory where the first process is, without an
environment; standard input is its only descriptor. Nobody is its parent, so it is reaped when it ends. It dumps no core
itself: its RLIMIT_CORE is 1, by which that is known.

Context: sleeps.
"""

from typing import Final

from kernel.fs.descriptors import FileTable
from kernel.fs.file import File
from kernel.fs.path import FsContext
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import ENOENT, ENOMEM, Errno, final, noraise
from kernel.lib.credentials import Credentials
from kernel.lib.pid import FIRST, UNSET
from kernel.mm.space import AddressSpace
from kernel.sched import WaitQueue
from kernel.sched.scheduler import start_thread
from kernel.sched.stacks import allocate_stack, free_stack
from kernel.sched.wait import prepare_sleep
from kernel.task.actions import default_actions
from kernel.task.begin import settle
from kernel.task.exec import execute
from kernel.task.exit import end_process
from kernel.task.fork import task_limit
from kernel.task.groups import ProcessGroup, find_group, find_session, join, new_group, new_session
from kernel.task.limits import RLIMIT_CORE, RLIMIT_NOFILE, initial_limits
from kernel.task.pid_namespace import FIRST_PID
from kernel.task.pids import (
    allocate_pid,
    count_user,
    find_process,
    find_task,
    leave_group,
    register_process,
    register_task,
    unregister_process,
    unregister_task,
)
from kernel.task.process import Process
from kernel.task.task import Task, TaskStart
from kernel.time.clock import monotonic_ns

RECURSION_MARK: Final = 1  # RLIMIT_CORE of a helper


@final
class HelperStart(TaskStart):
    """Executes the program, and says whether that went well."""

    def __init__(self, words: list[bytes]) -> None:
        self.words: list[bytes] = words
        self.error: int = 0
        self.is_done: bool = False
        self._waiters: WaitQueue = WaitQueue()

    def begin(self, task: Task) -> None:
        name = self.words[0]
        try:
            execute(task, resolve(task.fs, None, name, FOLLOW), name, self.words, [])
        except Errno as e:
            self.error = e.code
        except MemoryError:
            self.error = ENOMEM
        if self.error != 0:
            end_process(task.process, 0)
        self.is_done = True
        self._waiters.wake_all()
        settle(task)

    @noraise
    def wait(self) -> None:
        """Until the program runs, or cannot."""
        while not self.is_done:
            self._waiters.wait()


def start_helper(words: list[bytes], standard_input: File) -> None:
    """Run a program that reads from a file, whose reference is the callee's whatever happens. Raises what execve(2)
    raises, EAGAIN, MemoryError.
    """
    files = FileTable()
    files.install(standard_input, cloexec=False)
    start = HelperStart(words)
    context: FsContext | None = None
    task: Task | None = None
    try:
        credentials = Credentials()
        context = _directories(credentials)
        task = _make(credentials, words[0], start)
    finally:
        if task is None:
            files.release()
            if context is not None:
                context.release()
    task.file_table = files
    task.fs_context = context
    files.limit = task.process.limits.soft[RLIMIT_NOFILE]
    start_thread(task, None)
    start.wait()
    if start.error != 0:
        raise Errno(start.error)


def _directories(credentials: Credentials) -> FsContext:
    """Those of the first process. Raises ENOENT, MemoryError."""
    process = find_process(FIRST)
    task = None if process is None else process.any_thread()
    context = None if task is None else task.fs_context
    if context is None:
        raise Errno(ENOENT)
    return FsContext(context.namespace, context.root, context.working, 0o022, credentials)


def _make(credentials: Credentials, name: bytes, start: HelperStart) -> Task:
    """A process with one thread that can be started, in group and session 0. Raises EAGAIN, MemoryError."""
    limits = initial_limits(task_limit() // 2)
    limits.set(RLIMIT_CORE, RECURSION_MARK, RECURSION_MARK)
    process = Process(allocate_pid(), FIRST_PID, limits, default_actions())
    task = Task(process.pid, process, name[:15], credentials)
    space = AddressSpace()
    is_whole = False
    try:
        task.stack = allocate_stack()
        prepare_sleep(task)
        task.memory = space
        task.space_root = space.root
        task.start = start
        process.threads[task.tid] = task
        process.leader = task
        process.started_ns = monotonic_ns()
        register_task(task)
        join(process, _group())
        register_process(process)
        count_user(credentials.uid)
        is_whole = True
    finally:
        if not is_whole:
            _undo(task, space)
    return task


def _group() -> ProcessGroup:
    """Group 0, which whoever the kernel makes is in. Raises MemoryError."""
    group = find_group(UNSET)
    if group is not None:
        return group
    session = find_session(UNSET)
    return new_group(UNSET, new_session(UNSET) if session is None else session)


def _undo(task: Task, space: AddressSpace) -> None:
    """Give back what a process got that will not live."""
    process = task.process
    process.threads.pop(task.tid, task)
    process.leader = None
    if find_process(process.pid) is process:
        unregister_process(process)
    leave_group(process)
    if find_task(task.tid) is task:
        unregister_task(task)
    space.release()
    task.memory = None
    task.waiter = None  # it refers back to the task
    stack = task.stack
    if stack is not None:
        task.stack = None
        free_stack(stack)
