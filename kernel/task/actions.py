"""What a process does about each signal (sigaction(2)).

Threads share one table, and so may processes (CLONE_SIGHAND). Sets `ignored` and `caught` answer the common questions
without a look at the table.
"""

from typing import Final

from kernel.lang import final
from kernel.task.signals import IGNORED_BY_DEFAULT, SIGNAL_COUNT, UNBLOCKABLE, bit, contains

SIG_DFL: Final = 0
SIG_IGN: Final = 1

SA_NOCLDSTOP: Final = 0x1
SA_NOCLDWAIT: Final = 0x2
SA_SIGINFO: Final = 0x4
SA_RESTORER: Final = 0x0400_0000
SA_ONSTACK: Final = 0x0800_0000
SA_RESTART: Final = 0x1000_0000
SA_NODEFER: Final = 0x4000_0000
SA_RESETHAND: Final = 0x8000_0000
_SA_EXPOSE_TAGBITS: Final = 0x800
KNOWN_FLAGS: Final = (
    SA_NOCLDSTOP
    | SA_NOCLDWAIT
    | SA_SIGINFO
    | SA_RESTORER
    | SA_ONSTACK
    | SA_RESTART
    | SA_NODEFER
    | SA_RESETHAND
    | _SA_EXPOSE_TAGBITS
)


@final
class SignalAction:
    """One signal's handler."""

    def __init__(self) -> None:
        self.handler: int = SIG_DFL
        self.flags: int = 0
        self.restorer: int = 0
        self.mask: int = 0


@final
class SignalActions:
    """Handlers of signals 1…64; index 0 is not used."""

    def __init__(self) -> None:
        self.table: list[SignalAction] = [SignalAction() for _ in range(SIGNAL_COUNT + 1)]
        self.ignored: int = 0  # handler is SIG_IGN
        self.caught: int = 0  # handler is a function

    def copy(self) -> "SignalActions":
        """For fork."""
        fresh = SignalActions()
        for signo in range(1, SIGNAL_COUNT + 1):
            if contains(self.ignored | self.caught, signo) or self.table[signo].flags != 0:
                old = self.table[signo]
                fresh.set(signo, old.handler, old.flags, old.restorer, old.mask)
        return fresh

    def set(self, signo: int, handler: int, flags: int, restorer: int, mask: int) -> None:
        """Change a signal's action; the caller has checked the number."""
        action = self.table[signo]
        action.handler = handler
        action.flags = flags & KNOWN_FLAGS
        action.restorer = restorer
        action.mask = mask & ~UNBLOCKABLE
        self.ignored &= ~bit(signo)
        self.caught &= ~bit(signo)
        if handler == SIG_IGN:
            self.ignored |= bit(signo)
        elif handler != SIG_DFL:
            self.caught |= bit(signo)

    def ignores(self, signo: int) -> bool:
        """Whether the signal does nothing: by choice or by default."""
        if contains(self.ignored, signo):
            return True
        return contains(IGNORED_BY_DEFAULT & ~self.caught, signo)

    def reset_for_exec(self) -> None:
        """Handlers are code that is gone: caught signals get their default back, ignored ones stay ignored."""
        for signo in range(1, SIGNAL_COUNT + 1):
            action = self.table[signo]
            if contains(self.caught, signo):
                action.handler = SIG_DFL
            action.flags = 0
            action.restorer = 0
            action.mask = 0
        self.caught = 0
