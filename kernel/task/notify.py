"""Telling a parent that its child ended or stopped: SIGCHLD with its information, and waking its waits (wait(2), sigaction(2)).

Context: never sleeps; fit for interrupts.
"""

from kernel.lang import Errno
from kernel.task.child_information import child_information, exit_code, exit_value
from kernel.task.process import Process
from kernel.task.send import report_job_control, send_to_process
from kernel.task.signals import CLD_STOPPED


def report_exit(process: Process, parent: Process) -> None:
    """Send the exit signal that the process was made with, and wake the parent's waits."""
    signo = process.exit_signal
    if signo != 0:
        try:
            send_to_process(parent, child_information(process, signo, exit_code(process), exit_value(process)))
        except Errno:
            pass  # a real-time exit signal found the queue full: the wait still finds the zombie
    parent.child_waiters.wake_all()


def report_stopped(process: Process) -> None:
    """All threads have stopped."""
    report_job_control(process, CLD_STOPPED, process.last_stop_signal)
