"""Telling a parent that its child ended or stopped: SIGCHLD, and waking its waits (wait(2), sigaction(2)).

Context: never sleeps; fit for interrupts.
"""

from kernel.task.child_information import child_information, exit_code, exit_value
from kernel.task.process import Process
from kernel.task.send import report_job_control, send_from_kernel
from kernel.task.siginfo import from_kernel
from kernel.task.signals import CLD_STOPPED


def report_exit(process: Process, parent: Process) -> None:
    """Send the exit signal that the process was made with, and wake the parent's waits."""
    signo = process.exit_signal
    if signo != 0:
        try:
            send_from_kernel(parent, child_information(process, signo, exit_code(process), exit_value(process)))
        except MemoryError:
            send_from_kernel(parent, from_kernel(signo))
    parent.child_waiters.wake_all()


def report_stopped(process: Process) -> None:
    """All threads have stopped."""
    report_job_control(process, CLD_STOPPED, process.last_stop_signal)
