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
from kernel.fs.constants import MAY_READ, O_LARGEFILE, O_RDONLY, S_ISGID, S_ISUID, S_IXGRP
from kernel.fs.descriptors import FileTable
from kernel.fs.file import File
from kernel.fs.landlock import rights_denied
from kernel.fs.leases import break_leases_for_opening
from kernel.fs.marks import MARKS, ask_to_open
from kernel.fs.notification import tell_opened
from kernel.fs.open import check_executable
from kernel.fs.path import FsContext, Path
from kernel.fs.privileges import capabilities_of
from kernel.fs.walk import ENTER, FOLLOW, resolve
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
from kernel.task.elf import Image, looks_like_elf, read_image, read_into, read_loader
from kernel.task.exit import end_process, finish_vfork, tell_to_end
from kernel.task.formats import GIVES_CREDENTIALS, HEAD_SIZE, KEEPS_NAME, OPENS_FILE, Format, find_format
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
from kernel.task.send import update_interrupted
from kernel.task.signals import SIGCHLD, SIGKILL, SIGSEGV
from kernel.task.task import Task, current
from kernel.task.trace_stops import report_exec
from kernel.task.tracee import cut
from kernel.task.vdso import enter_time
from kernel.time.namespace import FIRST_TIME

_NOTHING: Final[list[bytes]] = []  # what a program has until its own is read
_OPENED_TO_RUN: Final = 0o40  # F_GETFL shows that the kernel opened a file to run it
_DEPTH: Final = 6  # files that are looked at: the last one is no script, and has no registered format
# Flags of personality(2) that make a program easier to attack
_DANGEROUS_PERSONALITY: Final = ADDR_NO_RANDOMIZE | MMAP_PAGE_ZERO | ADDR_COMPAT_LAYOUT
_SECURE_STACK_LIMIT: Final = 8 << 20  # bytes: programs with privilege do not start with a larger one


@final
class Program:
    """The program to run: changes while interpreters are followed. Holds a reference to its file."""

    def __init__(self, file: File, name: bytes) -> None:
        self.file: File = file
        self.name: bytes = name  # AT_EXECFN
        self.caller: Pid = current().tid
        self.is_unreachable: bool = False  # by the name that an interpreter would get
        self.interpreted: bytes = name  # the file that the next interpreter is to read
        self.title: bytes | None = program_name(name)  # `comm`; None: the name of the file that is loaded at last
        self.arguments: list[bytes] = _NOTHING
        self.environment: list[bytes] = _NOTHING
        self.opens_file: bool = False  # a format's interpreter gets a descriptor of what it runs
        self.opened: File | None = None  # that file, to which a reference is held
        self.gives_credentials: bool = False  # its set-ID bits and capabilities count, not the interpreter's
        self.keeps_name: bool = False  # the interpreter gets the argv[0] of what it runs, too
        self.is_unreadable: bool = False  # by its caller: no one may read it in memory either
        self.user_namespace: UserNamespace = FIRST_USER  # its administrator may inspect it nevertheless
        self.personality: int = 0

    def run_by(self, interpreter: bytes, words: list[bytes], kept_from: int) -> None:
        """An interpreter runs it: its arguments are `words`, the file to read, and the program's own from some on."""
        words.append(self.interpreted)
        for i in range(kept_from, len(self.arguments)):
            words.append(self.arguments[i])
        self.arguments = words
        self.interpreted = interpreter

    def change_file(self, file: File) -> None:
        """Go on with the file of the interpreter, whose reference it takes over. Raises ENOEXEC if the file so far
        should be opened for an interpreter, and one was before.
        """
        old = self.file
        self.file = file
        old.allow_writing()
        if self.opens_file and self.opened is None:
            self.opened = old
            return
        old.release()
        if self.opens_file:
            raise Errno(ENOEXEC)

    @noraise
    def let_go(self) -> None:
        """Close what it holds."""
        self.file.release()
        opened = self.opened
        if opened is not None:
            self.opened = None
            opened.release()


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


def execute(task: Task, path: Path, name: bytes, arguments: list[bytes], environment: list[bytes]) -> None:
    """Replace the program of the running task by the file at `path`, called `name`. Returns in the new program's
    context: its frame is set.
    """
    program = program_of(open_executable(task.fs, path), name)
    try:
        program.arguments = arguments
        program.environment = environment
        run(task, program)
    finally:
        program.let_go()


def program_of(file: File, name: bytes) -> Program:
    """The program of a file, whose reference it takes over. Raises MemoryError, with the file closed."""
    try:
        return Program(file, name)
    except MemoryError:
        file.release()
        raise


def open_executable(context: FsContext, path: Path) -> File:
    """Open a file to run it. Raises EACCES, ETXTBSY and what opening raises. Reading permission is not needed."""
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
    return _kept_from_writing(file)


def _kept_from_writing(file: File) -> File:
    """The file, which nobody writes while it is open. Takes over the reference. Raises ETXTBSY."""
    try:
        file.deny_writing()
    except Errno:
        file.release()
        raise
    return file


def run(task: Task, program: Program) -> None:
    """Replace the program of the running task by one that has all it needs. The caller then releases its file."""
    if len(program.arguments) == 0:
        program.arguments = [b""]  # as Linux since 5.18: a program may rely on argv[0]
    interpreter: File | None = None
    old_tid = task.tid
    context = task.fs
    program.user_namespace = task.credentials.user_namespace
    is_shared = _shares_places(task)
    if not is_shared:
        context.executions += 1
    try:
        head = _follow_interpreters(task, program)
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
    if _enter(task, program, space, layout, privileges) and task.tracee is not None:
        report_exec(task, old_tid)


@noinline  # what `run` reads before goes deep: nothing of this should lie on the stack then
def _enter(task: Task, program: Program, space: AddressSpace, layout: Layout, privileges: Privileges) -> bool:
    """Enter a new address space; False if the process ends instead."""
    try:
        separate = Separate(task)
    except MemoryError:
        space.release()
        end_process(task.process, SIGKILL)  # its other threads have ended
        return False
    return _replace(task, program, space, layout, privileges, separate)


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


@noinline  # for the stack of what `run` calls
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
        return lay_out(space, program.file, image, interpreter, loader, space.limits.stack, wanted, may_be_low)
    except Errno:
        return None


def _open_by_name(task: Task, name: bytes) -> File:
    return open_executable(task.fs, resolve(task.fs, None, name, FOLLOW | ENTER))


@noinline  # for the stack of what `run` calls
def _follow_interpreters(task: Task, program: Program) -> bytearray:
    """While the file is a script, or has a format that was registered, go on with its interpreter. Returns the first
    bytes of the file to load.
    """
    for _ in range(_DEPTH):
        head = bytearray(HEAD_SIZE)
        size = read_into(program.file, 0, head)
        format = find_format(task.credentials.user_namespace, span_of(head), program.interpreted)
        if format is not None:
            _follow_format(task, program, format)
        elif size >= 2 and head[0] == ord("#") and head[1] == ord("!"):
            _follow_script(task, program, bytes(head[:size]))
        elif looks_like_elf(span_of(head)):
            return bytearray(head[:size])
        else:
            raise Errno(ENOEXEC)
    raise Errno(ELOOP)


def _follow_script(task: Task, program: Program, head: bytes) -> None:
    """Go on with a script's interpreter."""
    if program.is_unreachable:
        raise Errno(ENOENT)
    script = parse_script(head)
    fresh: list[bytes] = [script.interpreter]
    if len(script.argument) != 0:
        fresh.append(script.argument)
    program.run_by(script.interpreter, fresh, 1)
    program.change_file(_open_by_name(task, script.interpreter))


def _follow_format(task: Task, program: Program, format: Format) -> None:
    """Go on with the interpreter of a format."""
    held = format.held
    if held is not None:
        held.acquire()  # the format may be removed meanwhile
    try:
        if program.is_unreachable:
            raise Errno(ENOENT)
        program.keeps_name = program.keeps_name or format.flags & KEEPS_NAME != 0
        program.run_by(format.interpreter, [format.interpreter], 0 if format.flags & KEEPS_NAME != 0 else 1)
        file = _open_by_name(task, format.interpreter) if held is None else _open_again(held)
    finally:
        if held is not None:
            held.release()
    program.opens_file = program.opens_file or format.flags & OPENS_FILE != 0
    program.gives_credentials = program.gives_credentials or format.flags & GIVES_CREDENTIALS != 0
    program.change_file(file)


def _open_again(held: File) -> File:
    """Another description of an interpreter that was opened when its format was registered, from wherever that was.
    Raises ENFILE, ETXTBSY, and what opening raises.
    """
    file = held.inode.open(held.path, O_RDONLY)
    tell_opened(file, for_running=True)
    return _kept_from_writing(file)


def _set_limits(task: Task, privileges: Privileges, space: AddressSpace) -> None:
    limits = task.process.limits
    space.limits.address = limits.soft[RLIMIT_AS]
    space.limits.data = limits.soft[RLIMIT_DATA]
    space.limits.stack = limits.soft[RLIMIT_STACK]
    if privileges.is_secure:
        space.limits.stack = min(space.limits.stack, _SECURE_STACK_LIMIT)


def _is_traced(task: Task) -> bool:
    """Whether the task has a tracer that must not control a program with more privilege."""
    tracee = task.tracee
    return tracee is not None and not tracee.is_privileged_in(task.credentials.user_namespace)


@noinline  # for the stack of what `run` calls
def _new_privileges(task: Task, program: Program, is_shared: bool) -> Privileges:
    """The program's identity: its set-user-ID and set-group-ID bits and its capabilities decide. Notes in `program`
    the other consequences. Raises EPERM, EINVAL, ERANGE, EIO (its capabilities cannot be given).
    """
    old = task.credentials
    euid = old.euid
    egid = old.egid
    opened = program.opened
    file = opened if opened is not None and program.gives_credentials else program.file
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
    if not _may_read(task, program.file):
        _hide(program, program.file)
    if opened is not None and not _may_read(task, opened):
        _hide(program, opened)
    return privileges


# The point of no return -----------------------------------------------------------------------------------------------


def _is_dying(process: Process) -> bool:
    """Whether the process is ending: checked again after each sleep."""
    return process.ending.is_exiting


@noinline  # for the stack of what `run` calls
def _stop_other_threads(task: Task) -> None:
    """End all other threads of the process, and be its leader. Raises ERESTARTNOINTR if another thread was faster, and
    MemoryError, when the process ends.
    """
    process = task.process
    if _is_dying(process) or process.exec_task is not None:
        raise Errno(ERESTARTNOINTR)
    if len(process.threads) > 1 or process.unreaped is not None:
        process.exec_task = task
        tell_to_end(process, task)
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
        tracee.tracer.process.family.tell()
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
    belongings = task.belongings
    if belongings is not None:
        belongings.probed = None
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
        _reset(task, program, layout)
        sp = write_stack(task, program.arguments, program.environment, program.name, layout, privileges.is_secure)
    except Errno:
        end_process(process, SIGSEGV)
        return False
    except MemoryError:
        end_process(process, SIGKILL)
        return False
    start_program(task.stack_top, layout.entry, sp)
    return True


def _reset(task: Task, program: Program, layout: Layout) -> None:
    """Reset the old program's state; what execve(2) preserves stays. Raises MemoryError; EMFILE if an interpreter gets
    no descriptor of what it runs.
    """
    process = task.process
    if task.namespaces.time is not FIRST_TIME:
        enter_time(task, task.namespaces.time)
    task.files.close_on_exec()
    opened = program.opened
    if opened is not None:
        program.opened = None
        opened.flags |= O_LARGEFILE | _OPENED_TO_RUN
        layout.opened = task.files.install(opened, cloexec=False)
    layout.keeps_name = program.keeps_name
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
    title = program.title
    task.name = program.file.path.dentry.name[:15] if title is None else title
    executable = process.executable
    process.executable = program.file.acquire()
    if executable is not None:
        executable.release()
    timers = process.timers
    if timers is not None:
        timers.delete_posix()
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
