"""Files of /proc/PID about its state (proc_pid_stat(5), proc_pid_status(5), proc_pid_statm(5), proc_pid_limits(5)).

For a process (as opposed to one of its threads) the times and faults cover all its threads, ended ones included.
"""

from typing import Final

from kernel.fs.procfs.process_memory import Resident, memory_of
from kernel.fs.procfs.processor_sets import set_list, set_text
from kernel.fs.procfs.subject import Subject, may_inspect, may_reach
from kernel.lang import EACCES, EPERM, Errno, final, noinline, u64
from kernel.lib.capabilities import CAP_SYS_NICE
from kernel.lib.credentials import caller_namespace
from kernel.lib.pace import pace
from kernel.lib.pid import UNSET, Pid
from kernel.lib.saturation import sum_of
from kernel.mm.area import MAP_GROWSDOWN, MAP_LOCKED, PROT_EXEC, PROT_WRITE
from kernel.mm.huge_pool import HUGE_KIB
from kernel.mm.space import AddressSpace, each_area
from kernel.sched.processor import PROCESSORS
from kernel.sched.scheduler import charge_running
from kernel.sched.thread import ThreadState
from kernel.task.accounting import NS_PER_CLOCK_TICK, thread_usage, usage_by_and_by
from kernel.task.acting import real_credentials
from kernel.task.family import child_after
from kernel.task.limits import LIMIT_COUNT, RLIMIT_RSS, RLIMIT_SIGPENDING, UNLIMITED
from kernel.task.pending import queued_count
from kernel.task.pid_namespace import PidNamespace
from kernel.task.process import Process
from kernel.task.speculation import speculation_lines
from kernel.task.task import Task, current
from kernel.task.tracee import tracer_of
from kernel.task.usage import Usage
from kernel.tty.terminals import TERMINALS

_KIB_PER_PAGE: Final = 4
_PAGE_SHIFT: Final = 12
_FLAG_FORKED: Final = 0x40  # PF_FORKNOEXEC
_FLAG_SUPERUSER: Final = 0x100  # PF_SUPERPRIV
_ALL_CAPABILITIES: Final = (1 << 41) - 1
_CHILD_COST: Final = 300  # instructions, for `pace`
_GROUP_COST: Final = 300
_REALTIME_BASE: Final = -1  # priority -2 … -100 for the real-time classes
_NICE_BASE: Final = 20
# There is one node; Linux shows the 1024 that there could be.
_NODES_ALLOWED: Final = b"Mems_allowed:\t" + b"00000000," * 31 + b"00000001\nMems_allowed_list:\t0\n"


def state_letter(process: Process, task: Task) -> str:
    """R, S, D, T, t, Z or X."""
    if task.tid not in process.threads:
        return "Z" if process.leader is task or task.tracee is not None else "X"
    if task.state == ThreadState.STOPPED:
        return "T"
    if task.state == ThreadState.TRACED:
        return "t"
    if task.state == ThreadState.READY or task.state == ThreadState.RUNNING:
        return "R"
    if task.state == ThreadState.SLEEPING:
        return "S"
    return "D" if task.state == ThreadState.WAITING else "X"


def state_words(letter: str) -> str:
    """As `status` explains the letter."""
    if letter == "R":
        return "R (running)"
    if letter == "S":
        return "S (sleeping)"
    if letter == "D":
        return "D (disk sleep)"
    if letter == "T":
        return "T (stopped)"
    if letter == "t":
        return "t (tracing stop)"
    return "Z (zombie)" if letter == "Z" else "X (dead)"


def usage_of(subject: Subject, task: Task) -> Usage:
    """Times and faults. Sleeps if a process has very many threads: it may be gone afterwards."""
    charge_running()
    return usage_by_and_by(subject.process) if subject.tid == UNSET else thread_usage(task)


def _thread_count(process: Process) -> int:
    """Live threads, and ended ones that still have their number: the first, and those whose tracers have not waited for
    them.
    """
    count = process.thread_count()
    leader = process.leader
    if leader is not None and leader.tid not in process.threads:
        count += 1
    tracee = process.unreaped
    while tracee is not None:
        count += 1
        tracee = tracee.next_unreaped
    return count


def comm(subject: Subject) -> bytes:
    """The thread's name."""
    return subject.task().name + b"\n"


def _foreground_group(subject: Subject, terminal: int) -> int:
    """The terminal's foreground group, -1 without a terminal."""
    tty = TERMINALS.get(terminal) if terminal != 0 else None
    return -1 if tty is None else subject.pids.shown(tty.jobs.foreground)


def _clock_ticks(ns: int) -> int:
    return ns // NS_PER_CLOCK_TICK


def _start_ticks(started_ns: int) -> int:
    """By the reader's clock since boot. A start before that clock's 0 shows as a large number, as on Linux."""
    return int(u64(sum_of(started_ns, current().namespaces.time.boottime_shift_ns)) // NS_PER_CLOCK_TICK)


def _priority(task: Task) -> int:
    return _REALTIME_BASE - task.urgency if task.is_realtime() else _NICE_BASE + task.wishes.nice


def stat(subject: Subject) -> bytes:
    """52 numbers in a line, for ps and top."""
    task = subject.task()
    process = subject.process
    usage = usage_of(subject, task)  # first: others run meanwhile
    terminal = 0 if process.job is None else process.session.terminal
    flags = _FLAG_SUPERUSER if real_credentials(task).effective != 0 else 0
    flags |= 0 if process.program.has_execed else _FLAG_FORKED
    pids = subject.pids
    text = f") {state_letter(process, task)} {pids.shown(process.parent_id)} {pids.shown(process.group)}"
    text += f" {pids.shown(process.session_id)} {terminal}"
    text += f" {_foreground_group(subject, terminal)} {flags} {usage.minor_faults} {process.family.waited.minor_faults}"
    text += f" {usage.major_faults} {process.family.waited.major_faults}"
    text += f" {_clock_ticks(usage.user_ns)} {_clock_ticks(usage.system_ns)}"
    text += f" {_clock_ticks(process.family.waited.user_ns)} {_clock_ticks(process.family.waited.system_ns)}"
    text += f" {_priority(task)} {task.wishes.nice}"
    started_ns = process.origin.started_ns if subject.tid == UNSET else task.accounts.started_ns
    text += f" {_thread_count(process)} 0 {_start_ticks(started_ns)}"
    text += _stat_memory(subject)
    text += f" {task.pending.mask & 0x7FFF_FFFF} {task.signals.blocked & 0x7FFF_FFFF}"
    text += f" {process.actions.ignored & 0x7FFF_FFFF} {process.actions.caught & 0x7FFF_FFFF} 0 0 0"
    text += f" {process.origin.exit_signal if subject.tid == UNSET else -1} {task.processor}"
    text += f" {task.wishes.realtime_priority} {task.wishes.policy} 0 0 0"
    text += _stat_addresses(subject)
    shown_status = process.ending.status if may_inspect(subject) else 0
    return f"{subject.number()} (".encode() + task.name + (text + f" {shown_status}\n").encode()


def _stat_memory(subject: Subject) -> str:
    """Fields 23 to 30: sizes, and addresses for readers that may see them."""
    limit = subject.process.limits.soft[RLIMIT_RSS]
    limit_text = "18446744073709551615" if limit == UNLIMITED else f"{limit}"
    space = memory_of(subject)
    if space is None:
        return f" 0 0 {limit_text} 0 0 0 0 0"
    sizes = f" {space.mapped_bytes} {space.resident} {limit_text}"
    if not may_inspect(subject):
        return sizes + " 1 1 0 0 0"
    return sizes + f" {space.layout.code_start} {space.layout.code_end} {space.layout.stack_top} 0 0"


def _stat_addresses(subject: Subject) -> str:
    """Fields 45 to 51."""
    space = memory_of(subject)
    if space is None or not may_inspect(subject):
        return " 0 0 0 0 0 0 0"
    text = f" {space.layout.data_start} {space.layout.data_end} {space.layout.brk_start}"
    text += f" {space.layout.argument_start} {space.layout.argument_end}"
    return text + f" {space.layout.environment_start} {space.layout.environment_end}"


@final
class MemorySizes:
    """Sizes of the areas of an address space by use, in bytes."""

    def __init__(self, space: AddressSpace) -> None:
        self.code: int = 0
        self.libraries: int = 0
        self.data: int = 0
        self.stack: int = 0
        self.shared: int = 0
        for area in each_area(space):
            size = area.end - area.start
            if area.flags & MAP_GROWSDOWN != 0:
                self.stack += size
            elif area.prot & PROT_EXEC != 0:
                if area.start < space.layout.code_end and area.end > space.layout.code_start:
                    self.code += size
                else:
                    self.libraries += size
            elif area.prot & PROT_WRITE != 0 and not area.shared:
                self.data += size
            if area.shared:
                self.shared += size


def statm(subject: Subject) -> bytes:
    """Seven sizes in pages."""
    subject.task()
    space = memory_of(subject)
    if space is None:
        return b"0 0 0 0 0 0 0\n"
    space.acquire()
    try:
        sizes = MemorySizes(space)
    finally:
        space.release()
    data = (sizes.data + sizes.stack) >> _PAGE_SHIFT
    text = f"{space.mapped_bytes >> _PAGE_SHIFT} {space.resident} {min(space.resident, sizes.shared >> _PAGE_SHIFT)}"
    return (text + f" {sizes.code >> _PAGE_SHIFT} 0 {data} 0\n").encode()


# status ---------------------------------------------------------------------------------------------------------------


def mask_text(mask: int) -> str:
    """64 bits in hexadecimal."""
    return f"{mask >> 32 & 0xFFFF_FFFF:08x}{mask & 0xFFFF_FFFF:08x}"


def status(subject: Subject) -> bytes:
    """The same for people. In pieces, so that what gives memory back, by the deepest path, has stack left."""
    task = subject.task()
    text = bytearray(_first_lines(subject, task))
    text.extend(_identity_lines(subject, task))
    text.extend(_memory_lines(subject))
    text.extend(_state_lines(subject))
    text.extend(_signal_lines(subject.process, task))
    text.extend(_capability_lines(task))
    text.extend(_scheduling_lines(task))
    return bytes(text)


@noinline
def _first_lines(subject: Subject, task: Task) -> bytes:
    process = subject.process
    pids = subject.pids
    context = task.fs_context
    text = "" if context is None else f"Umask:\t0{context.umask:03o}\n"
    text += f"State:\t{state_words(state_letter(process, task))}\n"
    text += f"Tgid:\t{pids.shown(process.pid)}\nNgid:\t0\n"
    text += f"Pid:\t{subject.number()}\nPPid:\t{pids.shown(process.parent_id)}\n"
    text += f"TracerPid:\t{pids.shown(tracer_of(task))}\n"
    return b"Name:\t" + _escape(task.name) + b"\n" + text.encode()


@noinline
def _state_lines(subject: Subject) -> bytes:
    process = subject.process
    space = memory_of(subject)
    has_large_pages = space is None or not space.settings.refuses_huge_pages
    text = f"CoreDumping:\t{0 if process.dump is None else 1}\nTHP_enabled:\t{1 if has_large_pages else 0}\n"
    return (text + f"Threads:\t{_thread_count(process)}\n").encode()


@noinline
def _scheduling_lines(task: Task) -> bytes:
    count = len(PROCESSORS)
    allowed = f"Cpus_allowed:\t{set_text(task.allowed, count)}\nCpus_allowed_list:\t{set_list(task.allowed, count)}\n"
    switches = f"voluntary_ctxt_switches:\t{task.accounts.voluntary_switches}\n"
    switches += f"nonvoluntary_ctxt_switches:\t{task.accounts.involuntary_switches}\n"
    return allowed.encode() + _NODES_ALLOWED + switches.encode()


def _escape(name: bytes) -> bytes:
    """Backslashes and newlines as two characters."""
    text = bytearray()
    for byte in name:
        if byte == ord("\\"):
            text.extend(b"\\\\")
        elif byte == ord("\n"):
            text.extend(b"\\n")
        else:
            text.append(byte)
    return bytes(text)


def _identity_lines(subject: Subject, task: Task) -> bytes:
    process = subject.process
    who = real_credentials(task)
    reader = caller_namespace()
    text = "Uid:"
    for uid in (who.uid, who.euid, who.suid, who.fsuid):
        text += f"\t{reader.shown_uid(uid)}"
    text += "\nGid:"
    for gid in (who.gid, who.egid, who.sgid, who.fsgid):
        text += f"\t{reader.shown_gid(gid)}"
    table = task.file_table
    size = 0 if table is None else max(64, (table.size() + 63) // 64 * 64)
    text += f"\nFDSize:\t{size}\nGroups:\t"
    numbers = "\n" + _number_line("NStgid", subject, process.pid) + _number_line("NSpid", subject, task.tid)
    numbers += _number_line("NSpgid", subject, process.group) + _number_line("NSsid", subject, process.session_id)
    groups = bytearray()
    for gid in who.groups:
        groups.extend(f"{reader.shown_gid(gid)} ".encode())
        pace(_GROUP_COST)
    if len(groups) == 0:
        groups.append(ord(" "))
    return text.encode() + bytes(groups) + (numbers + "Kthread:\t0\n").encode()


def _number_line(name: str, subject: Subject, pid: Pid) -> str:
    """The number in each namespace from the mount's down to the process's own."""
    text = ""
    walker: PidNamespace | None = subject.process.pids
    while walker is not None and walker.level >= subject.pids.level:
        text = f"\t{walker.shown(pid)}" + text
        walker = walker.parent
    return name + ":" + text + "\n"


def _size_line(name: str, kib: int) -> str:
    return f"{name}:\t{kib:8d} kB\n"


def _memory_lines(subject: Subject) -> bytes:
    space = memory_of(subject)
    if space is None:
        return b""
    space.acquire()
    try:
        return _lines_of(space)
    finally:
        space.release()


@noinline  # the end of an address space goes deep: nothing of this should lie on the stack then
def _lines_of(space: AddressSpace) -> bytes:
    resident = Resident()
    locked = 0
    sizes = MemorySizes(space)
    for area in each_area(space):
        resident.count(space, area)
        if area.flags & MAP_LOCKED != 0:
            locked += area.end - area.start
    return _size_lines(space, resident, sizes, locked)


@noinline
def _size_lines(space: AddressSpace, resident: Resident, sizes: MemorySizes, locked: int) -> bytes:
    total = space.mapped_bytes // 1024
    text = _size_line("VmPeak", total) + _size_line("VmSize", total)
    text += _size_line("VmLck", locked // 1024) + _size_line("VmPin", space.pinned_pages * _KIB_PER_PAGE)
    text += _size_line("VmHWM", space.peak_resident * _KIB_PER_PAGE)
    text += _size_line("VmRSS", space.resident * _KIB_PER_PAGE) + _size_line("RssAnon", resident.anonymous)
    text += _size_line("RssFile", resident.file) + _size_line("RssShmem", resident.shmem)
    text += _size_line("VmData", sizes.data // 1024) + _size_line("VmStk", sizes.stack // 1024)
    text += _size_line("VmExe", sizes.code // 1024) + _size_line("VmLib", sizes.libraries // 1024)
    text += _size_line("VmSwap", space.pages.swapped * _KIB_PER_PAGE)
    text += _size_line("HugetlbPages", space.pages.huge_count * HUGE_KIB)
    return text.encode()


def _signal_lines(process: Process, task: Task) -> bytes:
    limit = process.limits.soft[RLIMIT_SIGPENDING]
    text = f"SigQ:\t{queued_count(real_credentials(task).uid)}/{limit}\n"
    text += f"SigPnd:\t{mask_text(task.pending.mask)}\nShdPnd:\t{mask_text(process.pending.mask)}\n"
    text += f"SigBlk:\t{mask_text(task.signals.blocked)}\nSigIgn:\t{mask_text(process.actions.ignored)}\n"
    return (text + f"SigCgt:\t{mask_text(process.actions.caught)}\n").encode()


def _capability_lines(task: Task) -> bytes:
    who = real_credentials(task)
    text = f"CapInh:\t{mask_text(who.inheritable)}\nCapPrm:\t{mask_text(who.permitted)}\n"
    text += f"CapEff:\t{mask_text(who.effective)}\nCapBnd:\t{mask_text(who.bounding)}\n"
    text += f"CapAmb:\t{mask_text(who.ambient)}\n"
    text += f"NoNewPrivs:\t{1 if task.settings.no_new_privileges else 0}\nSeccomp:\t{task.calls.seccomp_mode}\n"
    top = task.call_filter
    text += f"Seccomp_filters:\t{0 if top is None else top.count}\n"
    return (text + speculation_lines()).encode()


# The rest -------------------------------------------------------------------------------------------------------------

_LIMIT_NAMES: Final[list[str]] = [
    "Max cpu time",
    "Max file size",
    "Max data size",
    "Max stack size",
    "Max core file size",
    "Max resident set",
    "Max processes",
    "Max open files",
    "Max locked memory",
    "Max address space",
    "Max file locks",
    "Max pending signals",
    "Max msgqueue size",
    "Max nice priority",
    "Max realtime priority",
    "Max realtime timeout",
]
_LIMIT_UNITS: Final[list[str]] = [
    "seconds",
    "bytes",
    "bytes",
    "bytes",
    "bytes",
    "bytes",
    "processes",
    "files",
    "bytes",
    "bytes",
    "locks",
    "signals",
    "bytes",
    "",
    "",
    "us",
]


def _padded(text: str, width: int) -> str:
    while len(text) < width:
        text += " "
    return text


def _limit_text(value: int) -> str:
    return "unlimited" if value == UNLIMITED else f"{value}"


def limits(subject: Subject) -> bytes:
    """The resource limits."""
    subject.task()
    limits_ = subject.process.limits
    text = _padded("Limit", 26) + _padded("Soft Limit", 21) + _padded("Hard Limit", 21) + "Units     \n"
    for i in range(LIMIT_COUNT):
        text += _padded(_LIMIT_NAMES[i], 26) + _padded(_limit_text(limits_.soft[i]), 21)
        units = _LIMIT_UNITS[i]
        text += _padded(_limit_text(limits_.hard[i]), 21) + (_padded(units, 10) if len(units) > 0 else "") + "\n"
    return text.encode()


def personality(subject: Subject) -> bytes:
    """personality(2), in hexadecimal. Raises EPERM."""
    subject.task()
    if not may_reach(subject):
        raise Errno(EPERM)
    return f"{subject.process.settings.personality:08x}\n".encode()


def check_timer_slack(subject: Subject) -> None:
    """Check that the running thread may see and set it: its own, or with CAP_SYS_NICE any. Raises EPERM, ESRCH."""
    task = subject.task()
    who = current()
    if task is not who and not who.credentials.capable_in(real_credentials(task).user_namespace, CAP_SYS_NICE):
        raise Errno(EPERM)


def timer_slack(subject: Subject) -> bytes:
    """PR_GET_TIMERSLACK, in nanoseconds. Raises EPERM."""
    check_timer_slack(subject)
    return f"{subject.process.settings.timer_slack_ns}\n".encode()


def io_figures(subject: Subject) -> bytes:
    """What was read and written: bytes and calls, and how much of it went from and to disks. Raises EACCES."""
    task = subject.task()
    if not may_inspect(subject):
        raise Errno(EACCES)
    usage = usage_of(subject, task)
    text = f"rchar: {usage.read_bytes}\nwchar: {usage.written_bytes}\n"
    text += f"syscr: {usage.read_calls}\nsyscw: {usage.write_calls}\n"
    text += f"read_bytes: {usage.disk_read_bytes}\nwrite_bytes: {usage.disk_written_bytes}\n"
    return (text + f"cancelled_write_bytes: {usage.cancelled_bytes}\n").encode()


def children(subject: Subject) -> bytes:
    """The children of a thread, the oldest first; those that the reader's namespace has no number for are left out."""
    task = subject.task()
    text = bytearray()
    process = subject.process
    child = process.family.first_child
    while child is not None:
        order = child.origin.order
        number = subject.pids.shown(child.pid)
        if number != 0 and child.parent_thread() is task:
            text.extend(f"{number} ".encode())
        pace(_CHILD_COST)
        child = child_after(process, child, order)
    return bytes(text)
