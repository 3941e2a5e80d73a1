"""execve: another program in the same process (execve(2)).

In two halves. First everything that can fail is done beside the running program: the file is found and checked, a
script's interpreter followed, arguments are copied into the kernel, the new address space is laid out. Then the point
of no return: other threads end, the old memory goes, the old program's state is reset. A failure after it (the
arguments do not fit, no memory) kills the process: `_replace` raises nothing. The memory that it needs for the process
itself is allocated before the old memory goes and before there are new credentials (`Separate`).

Context: sleeps. Raises ENOENT, EACCES, ENOEXEC, E2BIG, ENOMEM, ELOOP, …
"""

from typing import Final

from arch import start_program
from kernel.cgroup.group import TOP
from kernel.fs.constants import MAY_READ, O_RDONLY, S_ISGID, S_ISUID, S_IXGRP
from kernel.fs.descriptors import FileTable
from kernel.fs.file import File
from kernel.fs.landlock import rights_denied
from kernel.fs.leases import break_leases_for_opening
from kernel.fs.marks import MARKS, ask_to_open
from kernel.fs.notification import tell_opened
from kernel.fs.open import check_executable
from kernel.fs.path import Path
from kernel.fs.privileges import capabilities_of
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import ELOOP, ENOENT, ENOEXEC, ERESTARTNOINTR, Errno, final, noinline, noraise, span_of
from kernel.lib.capabilities import CAP_SYS_RAWIO
from kernel.lib.credentials import Credentials
from kernel.lib.file_capabilities import FileCapabilities
from kernel.lib.ids import NO_GROUP, NO_USER, KernelGid, KernelUid
from kernel.lib.namespace import FIRST_USER, UserNamespace
from kernel.lib.pid import Pid
from kernel.mm import merging
from kernel.mm.space import AddressSpace
from kernel.sched.processor import RUNNING
from kernel.task import futex_exit, restartable
from kernel.task.accounting import note_peak
from kernel.task.actions import SignalActions
from kernel.task.arguments import write_stack
from kernel.task.control_groups import uncount
from kernel.task.core_settings import SUID_DUMPABLE
from kernel.task.core_state import DUMPED_FOR_ITSELF
from kernel.task.diversion import forget_dispatch
from kernel.task.elf import Image, looks_like_elf, read_at, read_image, read_loader
from kernel.task.exit import end_process, finish_vfork
from kernel.task.futex_pi import leave_states
from kernel.task.limits import RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK
from kernel.task.load import Layout, lay_out
from kernel.task.namespace_set import NamespaceSet
from kernel.task.observer import TASKS
from kernel.task.parts import SS_DISABLE
from kernel.task.personality import ADDR_COMPAT_LAYOUT, ADDR_NO_RANDOMIZE, MMAP_PAGE_ZERO, READ_IMPLIES_EXEC
from kernel.task.pids import rename_task, uncount_user
from kernel.task.process import Process
from kernel.task.script import parse_script
from kernel.task.send import update_interrupted, wake_to_die
from kernel.task.signals import SIGCHLD, SIGKILL, SIGSEGV
from kernel.task.task import Task, current
from kernel.task.trace_stops import report_exec
from kernel.task.tracee import cut
from kernel.task.vdso import enter_time
from kernel.time.namespace import FIRST_TIME

_HEAD_SIZE: Final = 256  # enough to decide what a file is
_SCRIPT_DEPTH: Final = 5
# Flags of personality(2) that make a program easier to attack
_DANGEROUS_PERSONALITY: Final = ADDR_NO_RANDOMIZE | MMAP_PAGE_ZERO | ADDR_COMPAT_LAYOUT
_SECURE_STACK_LIMIT: Final = 8 << 20  # bytes: programs with privilege do not start with a larger one


@final
class Program:
    """The program to run: changes while scripts are followed. Holds a reference to its file."""

    def __init__(self, file: File, name: bytes, arguments: list[bytes], environment: list[bytes]) -> None:
        self.file: File = file
        self.name: bytes = name  # AT_EXECFN
        self.caller: Pid = current().tid
        self.is_unreachable: bool = False  # by the name that an interpreter would get
        self.interpreted: bytes = name  # the file that the next interpreter is to read
        self.title: bytes = program_name(name)  # `comm`
        self.arguments: list[bytes] = arguments
        self.environment: list[bytes] = environment
        self.is_unreadable: bool = False  # by its caller: no one may read it in memory either
        self.user_namespace: UserNamespace = FIRST_USER  # its administrator may inspect it nevertheless
        self.personality: int = 0


@final
class Privileges:
    """The new program's privileges. While execve sleeps, other tasks may trace the thread, or give it a filter
    and no_new_privs, so the privileges for that case are prepared, too.
    """

    def __init__(
        self,
        old: Credentials,
        ids: tuple[KernelUid, KernelGid],
        capabilities: FileCapabilities | None,
        *,
        is_watched: bool,
        forbids_more: bool,
    ) -> None:
        """`ids` and `capabilities` are those that its file gives. Raises EPERM, MemoryError."""
        self.credentials: Credentials = old.copy()
        if not forbids_more:
            self.credentials.euid, self.credentials.egid = ids
        self.is_secure: bool = False  # AT_SECURE
        self.asks_for_more: bool = False
        self.is_secure, self.asks_for_more = self.credentials.follow_exec(old, capabilities, is_watched, forbids_more)
        self.if_watched: Privileges | None = None  # None: the same ones
        self.if_forbidden: Privileges | None = None

    def now(self, task: Task) -> "Privileges":
        """The privileges for `task` in its present state. Nothing may sleep before it has them."""
        if task.settings.no_new_privileges:
            return self if self.if_forbidden is None else self.if_forbidden
        watched = self.if_watched
        return watched if watched is not None and _is_traced(task) else self


@final
class Separate:
    """The state that the new program shares with no other process: created first, because it needs memory."""

    def __init__(self, task: Task) -> None:
        """Takes safe points. Raises MemoryError, with nothing changed."""
        self.actions: SignalActions = task.process.actions.copy()
        self.actions.reset_for_exec()
        self.namespaces: NamespaceSet = task.namespaces
        time = self.namespaces.time_for_children
        if not self.namespaces.has_time(time):
            self.namespaces = self.namespaces.copy()
            self.namespaces.put(time)
        self.files: FileTable = task.files
        if self.files.users > 1:
            self.files = self.files.copy()  # last: it holds files


def execute(
    task: Task,
    path: Path,
    name: bytes,
    arguments: list[bytes],
    environment: list[bytes],
    by_descriptor: bool = False,
    is_unreachable: bool = False,
) -> None:
    """Replace the program of the running task by the file at `path`, called `name`. Returns in the new program's
    context: its frame is set. `is_unreachable`: `name` leads through a descriptor that will be closed, so it cannot
    run scripts.
    """
    if len(arguments) == 0:
        arguments = [b""]  # as Linux since 5.18: a program may rely on argv[0]
    program = Program(open_executable(task, path), name, arguments, environment)
    program.is_unreachable = is_unreachable
    if by_descriptor:
        program.title = path.dentry.name[:15]
    try:
        _execute(task, program)
    finally:
        program.file.release()


def open_executable(task: Task, path: Path) -> File:
    """Open a file to run it. Raises EACCES, ETXTBSY and what opening raises. Reading permission is not needed."""
    context = task.fs
    inode = path.inode()
    path.pin()  # the following calls may sleep
    inode.acquire()
    try:
        check_executable(context, path)
        if context.credentials.domain is not None:
            rights_denied(context.credentials, path, O_RDONLY, is_program=True)
        if MARKS.guards != 0:
            ask_to_open(path, for_running=True)
        break_leases_for_opening(path, inode, O_RDONLY)
        file = inode.open(path, O_RDONLY)
    finally:
        inode.release()
        path.unpin()
    tell_opened(file, for_running=True)
    try:
        file.deny_writing()
    except Errno:
        file.release()
        raise
    return file


def _execute(task: Task, program: Program) -> None:
    interpreter: File | None = None
    old_tid = task.tid
    context = task.fs
    program.user_namespace = task.credentials.user_namespace
    is_shared = _shares_places(task)
    if not is_shared:
        context.executions += 1
    try:
        head = _follow_scripts(task, program)
        image = read_image(program.file, span_of(head))
        loader: Image | None = None
        if len(image.interpreter) != 0:
            interpreter = _open_by_name(task, image.interpreter)
            loader = read_loader(interpreter)
            if not _may_read(task, interpreter):
                _hide(program, interpreter)
        privileges = _new_privileges(task, program, is_shared)
        space = AddressSpace()
        space.is_being_entered = True
        space.user_namespace = program.user_namespace
        try:
            _set_limits(task, privileges, space)
            may_be_low = privileges.credentials.capable(CAP_SYS_RAWIO)
            layout = _try_lay_out(program, space, image, interpreter, loader, may_be_low)
            _stop_other_threads(task)
        except (Errno, MemoryError):
            space.release()
            raise
    finally:
        if not is_shared:
            context.executions -= 1
        if interpreter is not None:
            interpreter.release()
    if layout is None:
        # Linux notices here, past the point of no return.
        space.release()
        end_process(task.process, SIGSEGV)
        return
    try:
        separate = Separate(task)
    except MemoryError:
        space.release()
        end_process(task.process, SIGKILL)  # its other threads have ended
        return
    if _replace(task, program, space, layout, privileges, separate) and task.tracee is not None:
        report_exec(task, old_tid)


def _shares_places(task: Task) -> bool:
    """Whether another process has the same root, working directory and umask (CLONE_FS)."""
    context = task.fs
    own = 0
    threads = task.process.threads
    for thread in threads.values():
        if thread.fs_context is context:
            own += 1
    return context.users > own


def _may_read(task: Task, file: File) -> bool:
    try:
        file.inode.check_permission(file.path.mount.actor(task.credentials), MAY_READ)
    except Errno:
        return False
    return True


def _hide(program: Program, file: File) -> None:
    """The caller may not read a file of the program: only tasks that could read it may inspect the process."""
    program.is_unreadable = True
    mount = file.path.mount
    uid = mount.seen_uid(file.inode.uid)
    gid = mount.seen_gid(file.inode.gid)
    walker = program.user_namespace
    while uid == NO_USER or gid == NO_GROUP or not walker.has_ids(uid, gid):
        parent = walker.parent
        if parent is None:
            break
        walker = parent
    program.user_namespace = walker


def _try_lay_out(
    program: Program,
    space: AddressSpace,
    image: Image,
    interpreter: File | None,
    loader: Image | None,
    may_be_low: bool,
) -> Layout | None:
    """Lay the program out; None if its headers are malformed or it does not fit. Raises MemoryError."""
    if image.is_broken or (loader is not None and loader.is_broken):
        return None
    wanted = program.personality
    try:
        return lay_out(space, program.file, image, interpreter, loader, space.stack_limit, wanted, may_be_low)
    except Errno:
        return None


def _open_by_name(task: Task, name: bytes) -> File:
    return open_executable(task, resolve(task.fs, None, name, FOLLOW))


def _follow_scripts(task: Task, program: Program) -> bytearray:
    """While the file is a script, go on with its interpreter. Returns the first bytes of the file to load."""
    for _ in range(_SCRIPT_DEPTH + 1):
        head = read_at(program.file, 0, _HEAD_SIZE)
        if len(head) < 2 or head[0] != ord("#") or head[1] != ord("!"):
            if not looks_like_elf(span_of(head)):
                raise Errno(ENOEXEC)
            return head
        if program.is_unreachable:
            raise Errno(ENOENT)
        script = parse_script(bytes(head))
        fresh: list[bytes] = [script.interpreter]
        if len(script.argument) != 0:
            fresh.append(script.argument)
        fresh.append(program.interpreted)
        for i in range(1, len(program.arguments)):
            fresh.append(program.arguments[i])
        file = _open_by_name(task, script.interpreter)
        program.file.release()
        program.file = file
        program.arguments = fresh
        program.interpreted = script.interpreter
    raise Errno(ELOOP)


def _set_limits(task: Task, privileges: Privileges, space: AddressSpace) -> None:
    limits = task.process.limits
    space.address_limit = limits.soft[RLIMIT_AS]
    space.data_limit = limits.soft[RLIMIT_DATA]
    space.stack_limit = limits.soft[RLIMIT_STACK]
    if privileges.is_secure:
        space.stack_limit = min(space.stack_limit, _SECURE_STACK_LIMIT)


def _is_traced(task: Task) -> bool:
    """Whether the task has a tracer that must not control a program with more privilege."""
    tracee = task.tracee
    return tracee is not None and not tracee.is_privileged_in(task.credentials.user_namespace)


def _new_privileges(task: Task, program: Program, is_shared: bool) -> Privileges:
    """The program's identity: its set-user-ID and set-group-ID bits and its capabilities decide. Notes in `program`
    the other consequences. Raises EPERM, EINVAL, ERANGE, EIO (its capabilities cannot be given).
    """
    old = task.credentials
    euid = old.euid
    egid = old.egid
    file = program.file
    inode = file.inode
    dangerous = 0
    capabilities: FileCapabilities | None = None
    if file.grants_privileges(task.fs):
        uid = file.path.mount.seen_uid(inode.uid)
        gid = file.path.mount.seen_gid(inode.gid)
        if uid != NO_USER and gid != NO_GROUP and old.user_namespace.has_ids(uid, gid):
            if inode.mode & S_ISUID != 0:
                euid = uid
                dangerous = _DANGEROUS_PERSONALITY
            if inode.mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP:
                egid = gid
                dangerous = _DANGEROUS_PERSONALITY
        capabilities = capabilities_of(file.path.mount, inode, old.user_namespace)
    forbids_more = task.settings.no_new_privileges
    if forbids_more:
        dangerous = 0
    is_watched = is_shared or _is_traced(task)
    privileges = Privileges(old, (euid, egid), capabilities, is_watched=is_watched, forbids_more=forbids_more)
    if not forbids_more and (privileges.is_secure or privileges.asks_for_more):
        privileges.if_forbidden = Privileges(old, (euid, egid), capabilities, is_watched=is_watched, forbids_more=True)
        if not is_watched:
            privileges.if_watched = Privileges(old, (euid, egid), capabilities, is_watched=True, forbids_more=False)
    if privileges.asks_for_more:
        dangerous = _DANGEROUS_PERSONALITY
    # No program of 64 bits starts with READ_IMPLIES_EXEC.
    program.personality = task.process.settings.personality & ~(dangerous | READ_IMPLIES_EXEC)
    if not _may_read(task, file):
        _hide(program, file)
    return privileges


# The point of no return -----------------------------------------------------------------------------------------------


def _is_dying(process: Process) -> bool:
    """Whether the process is ending: checked again after each sleep."""
    return process.ending.is_exiting


def _stop_other_threads(task: Task) -> None:
    """End all other threads of the process, and be its leader. Raises ERESTARTNOINTR if another thread was faster, and
    MemoryError, when the process ends.
    """
    process = task.process
    if _is_dying(process) or process.exec_task is not None:
        raise Errno(ERESTARTNOINTR)
    if len(process.threads) > 1 or process.unreaped is not None:
        process.exec_task = task
        for other in process.threads.values():
            if other is not task:
                wake_to_die(other)
        task.signals.kill_wakes = True
        while (len(process.threads) > 1 or process.unreaped is not None) and not _is_dying(process):
            if task.has_pending_kill():
                break
            process.exit_waiters.sleep(interruptible=False)
        task.signals.kill_wakes = False
        process.exec_task = None
        if _is_dying(process) or task.has_pending_kill():
            raise Errno(ERESTARTNOINTR)
    leader = process.leader
    if leader is not None and leader is not task:
        try:
            _take_place_of(leader, task)
        except MemoryError:
            end_process(process, SIGKILL)
            raise


def _take_place_of(leader: Task, task: Task) -> None:
    """The leader has ended; this thread takes over its number and place. Raises MemoryError, with nothing changed."""
    process = task.process
    process.threads[process.pid] = task
    tracee = leader.tracee
    if tracee is not None:
        cut(tracee)
        tracee.tracer.process.family.waiters.wake_all()
    uncount_user(leader.credentials.uid)
    if leader.cgroup is not TOP:
        uncount(leader)
    process.threads.pop(task.tid)
    rename_task(task, process.pid)
    process.leader = task


@noraise
def _replace(
    task: Task, program: Program, space: AddressSpace, layout: Layout, ready: Privileges, separate: Separate
) -> bool:
    """Start the new program; returns whether it begins. The old one cannot go on: a failure ends the process."""
    process = task.process
    work = task.async_work
    if work is not None:
        work.end_for_program()
    futex_exit.leave_locks(task)
    leave_states(task)
    old = task.memory
    task.memory = space
    task.space_root = space.root
    privileges = ready.now(task)
    _reset_privileges(task, program, privileges)  # at once: no other thread runs in between
    task.namespaces = separate.namespaces
    process.actions = separate.actions
    files = task.files
    if separate.files is not files:
        task.file_table = separate.files
        files.release()
    try:
        space.activate()
        if old is not None:
            space.inherit_settings(old)
            note_peak(process, old)
            task.registers.forget_segments()
            old.release()
            merging.begin(space)
        finish_vfork(task)
        _reset(task, program)
        sp = write_stack(task, program.arguments, program.environment, program.name, layout, privileges.is_secure)
    except Errno:
        end_process(process, SIGSEGV)
        return False
    except MemoryError:
        end_process(process, SIGKILL)
        return False
    start_program(task.stack_top, layout.entry, sp)
    return True


def _reset(task: Task, program: Program) -> None:
    """Reset the old program's state; what execve(2) preserves stays. Raises MemoryError."""
    process = task.process
    if task.namespaces.time is not FIRST_TIME:
        enter_time(task, task.namespaces.time)
    task.files.close_on_exec()
    task.signals.stack.address = 0
    task.signals.stack.size = 0
    task.signals.stack.flags = SS_DISABLE
    task.restart = None
    restartable.forget(task)
    forget_dispatch(task)
    task.registers.reset()
    chain = task.keys
    if chain is not None:
        chain.leave_program()
    task.name = program.title
    executable = process.executable
    process.executable = program.file.acquire()
    if executable is not None:
        executable.release()
    timers = process.timers
    if timers is not None:
        timers.cancel_posix()
    process.origin.exit_signal = SIGCHLD
    process.program.has_execed = True
    process.program.count += 1
    update_interrupted(task)
    if RUNNING.is_observed:
        _tell_observer(task, program)
    task.space.is_being_entered = False


@noinline
def _tell_observer(task: Task, program: Program) -> None:
    try:
        TASKS.observer.executed(task, int(program.caller), program.name)
    except MemoryError:
        return  # there was no room for the names of its files: they go unreported


def _reset_privileges(task: Task, program: Program, privileges: Privileges) -> None:
    """Install credentials; tasks that could inspect the old program or signal it may not do so with a new one that
    has more privilege.
    """
    process = task.process
    old = task.credentials
    credentials = privileges.credentials
    task.credentials = credentials
    is_dangerous = credentials.is_dangerous_after(old)
    acts_as_itself = old.euid == old.uid and old.egid == old.gid
    is_open = acts_as_itself and not is_dangerous and not program.is_unreadable
    process.program.dumpable = DUMPED_FOR_ITSELF if is_open else SUID_DUMPABLE.value
    if is_dangerous or privileges.is_secure:
        process.settings.death_signal = 0
    process.settings.personality = program.personality
    if privileges.is_secure:
        limits = process.limits
        limits.soft[RLIMIT_STACK] = min(limits.soft[RLIMIT_STACK], _SECURE_STACK_LIMIT)


def program_name(path: bytes) -> bytes:
    """`comm`: the last part of the name, at most 15 bytes."""
    return path[path.rfind(b"/") + 1 :][:15]
