"""What a parent learns about a child: the fields of SIGCHLD's siginfo_t and of waitid (wait(2), sigaction(2))."""

from kernel.task.accounting import NS_PER_CLOCK_TICK, process_time_ns, process_user_ns
from kernel.task.acting import real_credentials
from kernel.task.process import Process
from kernel.task.siginfo import SignalInfo, from_child
from kernel.task.signals import CLD_DUMPED, CLD_EXITED, CLD_KILLED
from kernel.task.task import uid_shown_to


def child_information(to: Process, process: Process, signo: int, code: int, status: int) -> SignalInfo:
    """siginfo_t that reports one process's change of state to another. The times are sums that no walk makes."""
    user_ns = process_user_ns(process)
    system_ns = max(0, process_time_ns(process) - user_ns)
    leader = process.leader
    uid = 0 if leader is None else uid_shown_to(to, real_credentials(leader).uid)
    return from_child(
        signo,
        code,
        to.pids.shown(process.pid),
        uid,
        status,
        user_ns // NS_PER_CLOCK_TICK,
        system_ns // NS_PER_CLOCK_TICK,
    )


def exit_code(status: int) -> int:
    """si_code for how a process or thread ended, from its status."""
    if status & 0x7F == 0:
        return CLD_EXITED
    return CLD_DUMPED if status & 0x80 != 0 else CLD_KILLED


def exit_value(status: int) -> int:
    """si_status for how it ended: its exit code or its signal."""
    if status & 0x7F == 0:
        return (status >> 8) & 0xFF
    return status & 0x7F
