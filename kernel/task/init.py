"""The first process: created by the kernel, from a program in the root file system (init(1)). Another one that is not
forked, to read a core file, is created in the same way (core_handler.py).

Context: `start_first_process` runs in the boot thread, once file systems are mounted; the program is opened in the new
task's own context.
"""

from kernel.fs.descriptors import FileTable
from kernel.fs.path import FIRST_MOUNTS, FsContext, Path
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import EAGAIN, Errno, final, panic
from kernel.lib import log
from kernel.lib.credentials import Credentials
from kernel.lib.namespace import NETWORKS
from kernel.lib.pid import UNSET, Pid
from kernel.mm.space import AddressSpace
from kernel.sched.scheduler import start_thread
from kernel.sched.stacks import allocate_stack, free_stack
from kernel.sched.wait import prepare_sleep
from kernel.task.actions import default_actions
from kernel.task.begin import settle
from kernel.task.exec import execute
from kernel.task.fork import task_limit
from kernel.task.groups import ProcessGroup, find_group, find_session, join, new_group, new_session
from kernel.task.limits import RLIMIT_NOFILE, Limits, initial_limits
from kernel.task.namespace_set import FIRST_SET
from kernel.task.pid_namespace import FIRST_PID
from kernel.task.pids import (
    allocate_pid,
    count_user,
    find_process,
    find_task,
    is_free,
    leave_group,
    register_process,
    register_task,
    unregister_process,
    unregister_task,
)
from kernel.task.process import Process
from kernel.task.task import Task, TaskStart
from kernel.time.clock import monotonic_ns


@final
class FirstStart(TaskStart):
    """Executes the first of several candidates that can be executed."""

    def __init__(self, candidates: list[bytes], arguments: list[bytes], environment: list[bytes]) -> None:
        super().__init__()
        self.candidates: list[bytes] = candidates
        self.arguments: list[bytes] = arguments  # after the program's name
        self.environment: list[bytes] = environment

    def words(self, name: bytes) -> list[bytes]:
        """A program's arguments, beginning with its name."""
        words: list[bytes] = [name]
        words.extend(self.arguments)
        return words

    def begin(self, task: Task) -> None:
        for name in self.candidates:
            try:
                execute(task, resolve(task.fs, None, name, FOLLOW), name, self.words(name), self.environment)
            except Errno as e:
                log.warn(f"{log.printable(name)} cannot be run: error {e.code}")
                continue
            except MemoryError:
                panic("not enough memory for the first program")
            settle(task)
            return
        panic("there is no program to run first: give one with init=")


def first_pid() -> Pid:
    """Number 1."""
    try:
        return allocate_pid()
    except Errno:
        panic("no number for the first process")


def start_first_process(
    root: Path, files: FileTable, candidates: list[bytes], arguments: list[bytes], environment: list[bytes]
) -> Task:
    """Create process 1, which begins once the boot thread gives up the processor. Takes over the reference to `files`.
    Raises MemoryError.
    """
    credentials = Credentials()
    start = FirstStart(candidates, arguments, environment)
    task = make_process(first_pid(), initial_limits(task_limit() // 2), b"init", credentials, start)
    task.process.origin.is_init = True
    FIRST_PID.init = task.pid
    give_places(task, files, FsContext(FIRST_MOUNTS, root, root, 0o022))
    start_thread(task, None)
    return task


# A process that is not forked -----------------------------------------------------------------------------------------


def make_process(pid: Pid, limits: Limits, name: bytes, credentials: Credentials, start: TaskStart) -> Task:
    """A process of one thread, without files and directories, that has not begun. It leads no group until it asks, as
    on Linux: group and session 0. Raises EAGAIN, MemoryError.
    """
    process = Process(pid, FIRST_PID, limits, default_actions())
    FIRST_SET.network = NETWORKS.first
    task = Task(pid, process, name, credentials)
    space = AddressSpace()
    is_whole = False
    try:
        task.stack = allocate_stack()
        prepare_sleep(task)
        task.memory = space
        task.space_root = space.root
        task.birth = start
        process.threads[task.tid] = task
        process.leader = task
        process.origin.started_ns = monotonic_ns()
        if not is_free(pid):
            raise Errno(EAGAIN)  # that slept, and the numbers have wrapped around
        register_task(task)
        join(process, _group())
        register_process(process)
        count_user(credentials.uid)
        is_whole = True
    finally:
        if not is_whole:
            _undo(task, space)
    return task


def give_places(task: Task, files: FileTable, context: FsContext) -> None:
    """Set its files and its directories. Takes over both references."""
    task.file_table = files
    files.limit = task.process.limits.soft[RLIMIT_NOFILE]
    task.fs_context = context


def _group() -> ProcessGroup:
    """Group 0. Raises MemoryError."""
    group = find_group(UNSET)
    if group is not None:
        return group
    session = find_session(UNSET)
    return new_group(UNSET, new_session(UNSET) if session is None else session)


def _undo(task: Task, space: AddressSpace) -> None:
    """Undo the setup of a process that will not live."""
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
