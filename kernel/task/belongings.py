"""State that few threads have: it is created when the first of it is set; a thread without any has one word for all.

Each field is None until the thread has such a thing, and again once that has ended. `Task` reads them by properties of
the same names, and `Task.own` returns the part for code that sets one.

Guarded by the kernel lock: the thread itself sets these, or another for it (perf_event_open(2), ptrace(2)).
"""

from typing import TYPE_CHECKING

from arch import TrapFrame
from kernel.lang import final, noraise

if TYPE_CHECKING:
    from kernel.fs.file import File
    from kernel.ipc.semaphores import UndoList
    from kernel.keys.keychain import Keychain
    from kernel.lib.credentials import Credentials
    from kernel.mm.policy import MemoryPolicy
    from kernel.task.observer import Observation
    from kernel.task.user_dispatch import UserDispatch


class LendingLocks:
    """The locks with priority inheritance that concern a task. Base class: futex_pi.py has the rest."""


class ProbedState:
    """What a thread does because of probes of its program. Base class: kernel/perf/probed_task.py."""

    def copy(self) -> "ProbedState":
        """What a child has of it that got a copy of the memory. Raises MemoryError."""
        return self

    @noraise
    def undo_step(self, frame: TrapFrame) -> None:
        """The thread may not finish a displaced instruction now: something else comes first."""


class AsyncWork:
    """Work for a task's requests, done on its way to user mode. Base class: see kernel/uring."""

    def held_bytes(self, count: int) -> int:
        """The bytes that it keeps, except those already met in the count of that number (memory_shortage.py)."""
        return 0

    def is_due(self) -> bool:
        """Whether there is any work. Never sleeps."""
        return False

    @noraise
    def run(self) -> None:
        """Do the work. May sleep."""

    @noraise
    def end_for_program(self) -> None:
        """The task executes a new program: cancel everything. May sleep."""

    @noraise
    def end(self) -> None:
        """The task ends: cancel everything, and begin nothing new. May sleep."""


@final
class Belongings:
    """The state, as described above."""

    def __init__(self) -> None:
        self.memory_policy: MemoryPolicy | None = None  # the source of its memory (set_mempolicy(2))
        self.lending: LendingLocks | None = None
        self.semaphore_undos: UndoList | None = None
        self.async_work: AsyncWork | None = None  # once it submitted requests (io_uring_enter(2))
        self.keys: Keychain | None = None  # its keyrings, once it has one
        self.dispatch: UserDispatch | None = None  # the calls that it handles itself (diversion.py)
        self.observation: Observation | None = None  # its events (perf_event_open(2))
        self.real_credentials: Credentials | None = None  # while it acts with others (acting.py)
        self.probed: ProbedState | None = None  # once it has met a probe (kernel/perf)
        self.kept_files: list[File] | None = None  # until the running system call ends: see `Task.keep_file`

    def release_keys(self) -> None:
        """The thread ends, or will not live."""
        chain = self.keys
        self.keys = None
        if chain is not None:
            chain.release()
