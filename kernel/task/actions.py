"""The action of a process for each signal (sigaction(2)).

Threads share one table, and so may processes (CLONE_SIGHAND). The sets `ignored` and `caught` answer the common
questions without a look at the table.
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
    """One signal's handler. Immutable, so that processes can share it."""

    def __init__(self, handler: int, flags: int, restorer: int, mask: int) -> None:
        self.handler: int = handler
        self.flags: int = flags
        self.restorer: int = restorer
        self.mask: int = mask


_DEFAULT: Final = SignalAction(SIG_DFL, 0, 0, 0)
_IGNORE: Final = SignalAction(SIG_IGN, 0, 0, 0)


_DEFAULTS: Final[list[SignalAction]] = [_DEFAULT] * (SIGNAL_COUNT + 1)


@final
class SignalActions:
    """Handlers of signals 1…64. Copies share a table (index 0 is unused) until one of them changes."""

    def __init__(self, table: list[SignalAction], defaulted: int, ignored: int, caught: int) -> None:
        self._table: list[SignalAction] = table
        self._is_shared: bool = True
        self._defaulted: int = defaulted  # the default, whatever the table says
        self.ignored: int = ignored  # handler is SIG_IGN
        self.caught: int = caught  # handler is a function

    def copy(self) -> "SignalActions":
        """A copy for fork."""
        self._is_shared = True
        return SignalActions(self._table, self._defaulted, self.ignored, self.caught)

    def action(self, signo: int) -> SignalAction:
        """The action for a signal; the caller has checked the number."""
        return _DEFAULT if contains(self._defaulted, signo) else self._table[signo]

    def set(self, signo: int, handler: int, flags: int, restorer: int, mask: int) -> None:
        """Change a signal's action; the caller has checked the number. Raises MemoryError with nothing changed."""
        action = SignalAction(handler, flags & KNOWN_FLAGS, restorer, mask & ~UNBLOCKABLE)
        self._own_table()
        self._table[signo] = action
        self.set_default(signo)
        self._defaulted &= ~bit(signo)
        if handler == SIG_IGN:
            self.ignored |= bit(signo)
        elif handler != SIG_DFL:
            self.caught |= bit(signo)

    def set_default(self, signo: int) -> None:
        """SIG_DFL without flags; needs no memory."""
        self._defaulted |= bit(signo)
        self.ignored &= ~bit(signo)
        self.caught &= ~bit(signo)

    def _own_table(self) -> None:
        if self._is_shared:
            self._table = self._table.copy()
            self._is_shared = False

    def ignores(self, signo: int) -> bool:
        """Whether the signal does nothing: by choice or by default."""
        if contains(self.ignored, signo):
            return True
        return contains(IGNORED_BY_DEFAULT & ~self.caught, signo)

    def reset_for_exec(self) -> None:
        """Handlers' code is gone: caught signals get their default back, ignored ones stay ignored, without
        their flags. Raises MemoryError.
        """
        self._table = _DEFAULTS
        self._is_shared = True
        self._defaulted = 0
        self.caught = 0
        if self.ignored != 0:
            self._own_table()
            for signo in range(1, SIGNAL_COUNT + 1):
                if contains(self.ignored, signo):
                    self._table[signo] = _IGNORE


def default_actions() -> SignalActions:
    """The actions of the first process."""
    return SignalActions(_DEFAULTS, 0, 0, 0)
