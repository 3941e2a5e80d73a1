"""The first process: made by the kernel, out of a program in the root file system (init(1)).

Context: `start_first_process` runs in the boot thread, once file systems are mounted; the program is opened in the new
task's own context.
"""

from kernel.fs.descriptors import FileTable
from kernel.fs.path import FIRST_MOUNTS, FsContext, Path
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import Errno, final, panic
from kernel.lib import log
from kernel.lib.credentials import Credentials
from kernel.lib.pid import UNSET, Pid
from kernel.mm.space import AddressSpace
from kernel.sched.scheduler import start_thread
from kernel.sched.stacks import allocate_stack
from kernel.sched.wait import prepare_sleep
from kernel.task.actions import default_actions
from kernel.task.begin import settle
from kernel.task.exec import execute
from kernel.task.fork import task_limit
from kernel.task.groups import join, new_group, new_session
from kernel.task.limits import RLIMIT_NOFILE, initial_limits
from kernel.task.pid_namespace import FIRST_PID
from kernel.task.pids import allocate_pid, count_user, register_process, register_task
from kernel.task.process import Process
from kernel.task.task import Task, TaskStart
from kernel.time.clock import monotonic_ns


@final
class FirstStart(TaskStart):
    """Executes the first of several programs that can be executed."""

    def __init__(self, candidates: list[bytes], arguments: list[bytes], environment: list[bytes]) -> None:
        self.candidates: list[bytes] = candidates
        self.arguments: list[bytes] = arguments  # behind the program's name
        self.environment: list[bytes] = environment

    def words(self, name: bytes) -> list[bytes]:
        """A program's arguments, with its name in front."""
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
    """Make process 1, which begins once the boot thread gives up the processor. Takes over the reference to `files`.
    Raises MemoryError.
    """
    limits = initial_limits(task_limit() // 2)
    process = Process(first_pid(), FIRST_PID, limits, default_actions())
    process.is_init = True
    FIRST_PID.init = process.pid
    credentials = Credentials()
    task = Task(process.pid, process, b"init", credentials)
    task.stack = allocate_stack()
    prepare_sleep(task)
    task.memory = AddressSpace()
    task.space_root = task.space.root
    task.file_table = files
    files.limit = limits.soft[RLIMIT_NOFILE]
    task.fs_context = FsContext(FIRST_MOUNTS, root, root, 0o022, credentials)
    process.threads[task.tid] = task
    process.leader = task
    process.started_ns = monotonic_ns()
    # As on Linux, it leads nothing until it asks: group and session 0.
    join(process, new_group(UNSET, new_session(UNSET)))
    register_process(process)
    register_task(task)
    count_user(credentials.uid)
    task.start = FirstStart(candidates, arguments, environment)
    start_thread(task, None)
    return task
