"""Notifying a parent that its child ended or stopped: SIGCHLD, and waking its waits (wait(2), sigaction(2)).

Context: never sleeps; fit for interrupts.
"""

from kernel.task.child_information import child_information, exit_code, exit_value
from kernel.task.process import Process
from kernel.task.send import report_job_control, send_from_kernel
from kernel.task.siginfo import from_kernel
from kernel.task.signals import CLD_STOPPED, SIGCHLD, SIGNAL_COUNT


def final_signal(process: Process, parent: Process) -> int:
    """The signal for the parent: the exit signal with which the process was created, 0 for none. But a parent that has
    executed another program since then, perhaps one with more privilege, gets SIGCHLD as from any child.
    """
    return process.origin.exit_signal if process.origin.parent_programs == parent.program.count else SIGCHLD


def report_exit(process: Process, parent: Process) -> None:
    """Send the exit signal, and wake the parent's waits."""
    signo = final_signal(process, parent)
    if 0 < signo <= SIGNAL_COUNT:
        try:
            status = process.ending.status
            send_from_kernel(parent, child_information(parent, process, signo, exit_code(status), exit_value(status)))
        except MemoryError:
            send_from_kernel(parent, from_kernel(signo))
    parent.family.tell()


def report_stopped(process: Process) -> None:
    """All threads have stopped: report it."""
    report_job_control(process, CLD_STOPPED, process.stop.last_signal)
