"""A thread changes its signal mask without the kernel lock, while others send it signals (kernel/task/blocking.py).

The thread stores its mask, passes a fence, and looks whether signals are pending that it blocks from now on, or no
longer does; if so, it takes the lock and settles what follows. Whoever sends a signal has the lock: it makes the signal
pending, passes a fence, and looks whether the thread blocks it; if not, it tells the thread. A second thread of the
process blocks nothing, so a signal that the first one blocks is left to it.

A processor's stores wait in its store buffer, which a fence, and a locked instruction, empties; otherwise each leaves
it whenever it likes.
"""

from __future__ import annotations

from tests.models.explorer import STEP, Answer, Model, Steps


class SignalMasks(Model):
    """One signal, which is sent once to the process; a thread that blocks or unblocks it; one that never blocks it."""

    def __init__(self, changes: list[bool], other_blocks: bool = False) -> None:
        self.changes = changes
        self.other_blocks = other_blocks
        self.blocked = not changes[0]  # as others see it
        self.own_mask = self.blocked  # with what is still in the store buffer
        self.pending = False  # as others see it
        self.is_sent = False
        self.told = False  # the first thread: it looks before it goes on in its program
        self.told_other = False
        self.lock_is_held = False

    def threads(self) -> dict[str, Steps]:
        return {
            "thread": self.thread(),
            "its buffer": self.buffer(),
            "sender": self.sender(),
            "sender's buffer": self.send_buffer(),
        }

    # The thread -------------------------------------------------------------------------------------------------------

    def thread(self) -> Steps:
        for _number, mask in enumerate(self.changes):
            yield STEP
            before = self.own_mask
            self.own_mask = mask
            yield from self.fence()
            if (yield from self.finds(before, mask)):
                yield lambda: not self.lock_is_held
                self.lock_is_held = True
                yield STEP
                self.blocked = self.own_mask  # taking the lock is a fence, too
                self.settle()
                yield STEP
                self.lock_is_held = False

    def fence(self) -> Steps:
        yield STEP
        self.blocked = self.own_mask

    def finds(self, before: bool, mask: bool) -> Answer:
        yield STEP
        return self.pending and before != mask

    def settle(self) -> None:
        self.told = self.pending and not self.own_mask
        if self.pending and self.own_mask:
            self.told_other = not self.other_blocks

    def buffer(self) -> Steps:
        """A store may leave the buffer by itself."""
        for _number, _change in enumerate(self.changes):
            yield STEP
            self.blocked = self.own_mask

    # The sender -------------------------------------------------------------------------------------------------------

    def sender(self) -> Steps:
        yield lambda: not self.lock_is_held
        self.lock_is_held = True
        yield STEP
        self.is_sent = True
        yield from self.send_fence()
        yield STEP
        if not self.blocked:
            self.told = True
        elif not self.other_blocks:
            self.told_other = True
        yield STEP
        self.pending = self.is_sent  # giving the lock back: stores come in order
        self.lock_is_held = False

    def send_fence(self) -> Steps:
        yield STEP
        self.pending = self.is_sent

    def send_buffer(self) -> Steps:
        yield STEP
        self.pending = self.is_sent

    def finish(self) -> None:
        """Whoever may take the signal knows of it. One that hears of a signal that it blocks finds that out."""
        if not self.own_mask:
            assert self.told or self.told_other, "the signal is lost"
        elif not self.other_blocks:
            assert self.told_other, "the signal is left to a thread that blocks it"
