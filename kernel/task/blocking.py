"""The signal mask of the running thread (sigprocmask(2)).

Only the thread itself changes its mask, in rt_sigprocmask without the kernel lock. Others read it, with the lock, when
they send: a signal is made pending, then they look whether the thread blocks it. The thread stores its mask,
then looks what is pending. Both pass a fence in between, so one of the two sees what the other did. If the thread finds
pending signals that it blocks from now on, or no longer does, the rest follows with the lock (`note_changed_mask`);
tests/models/signal_masks.py is the model.

A process's signal has been left to one thread, which then may block it, or end: others hear of it (`_hand_over`).

Context: never sleeps.
"""

from typing import Final

from kernel.lib.pace import spend
from kernel.sched import ThreadState
from kernel.sched.scheduler import announce_work
from kernel.task.send import interrupt, update_interrupted
from kernel.task.signals import UNBLOCKABLE
from kernel.task.task import Task

_MARK_COST: Final = 20  # instructions for a thread, for `pace`


def set_blocked(task: Task, mask: int) -> None:
    """Change the running thread's mask. SIGKILL and SIGSTOP cannot be blocked."""
    change_blocked(task, mask)
    update_interrupted(task)


def change_blocked(task: Task, mask: int) -> None:
    """The same; `update_interrupted` follows."""
    mask &= ~UNBLOCKABLE
    found = task.process.pending.mask & mask & ~task.signals.blocked
    task.signals.blocked = mask
    if found != 0:
        _hand_over(task, found)


def block_during(task: Task, mask: int) -> None:
    """Use another mask until the system call is over (sigsuspend, ppoll, pselect): a handler that runs then returns to
    the old one.
    """
    task.signals.saved_blocked = task.signals.blocked
    task.signals.restores_blocked = True
    announce_work()
    set_blocked(task, mask)


def note_changed_mask(task: Task) -> None:
    """The running thread has changed its mask without the lock, and found pending signals that this concerns."""
    update_interrupted(task)
    found = task.process.pending.mask & task.signals.blocked
    if found != 0:
        _hand_over(task, found)


def leave_signals(task: Task) -> None:
    """The running thread ends: let others take the signals of its process that were left to it."""
    found = task.process.pending.mask & ~task.signals.blocked
    if found != 0:
        _hand_over(task, found)


def _hand_over(task: Task, mask: int) -> None:
    """The running thread does not take these signals of its process any more: let others take them that can."""
    if task.process.ending.is_exiting:
        return  # none of them takes any, and the one that dumps core is not to be disturbed
    for other in task.process.threads.values():
        spend(_MARK_COST)
        if other is task or other.is_exiting or other.state == ThreadState.TRACED:
            continue
        taken = mask & ~other.signals.blocked
        if taken != 0:
            interrupt(other)
            mask &= ~taken
            if mask == 0:
                return
