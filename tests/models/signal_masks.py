"""A thread changes its signal mask without the kernel lock, while others send it signals (kernel/task/blocking.py).

The thread stores its mask, passes a fence, and looks whether signals are pending that it blocks from now on, or no
longer does; if so, it takes the lock and settles what follows. Whoever sends a signal has the lock: it makes the signal
pending, passes a fence, and looks whether the thread blocks it; if not, it tells the thread. A second thread of the
process blocks nothing, so a signal that the first one blocks is left to it.

In `TwoMasks` both threads change their masks, and each may end after that: it then leaves to the other what it was to
take.

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


class TwoMasks(Model):
    """One signal, which is sent once to the process; two threads that change their masks, and then may end."""

    def __init__(self, changes: tuple[list[bool], list[bool]], ends: tuple[bool, bool]) -> None:
        self.changes = changes
        self.ends = ends
        self.blocked = [not each[0] for each in changes]  # as others see them
        self.own_masks = self.blocked.copy()  # with what is still in the store buffers
        self.pending = False
        self.told = [False, False]
        self.is_exiting = [False, False]
        self.lock_is_held = False

    def threads(self) -> dict[str, Steps]:
        return {
            "first": self.thread(0),
            "its buffer": self.buffer(0),
            "second": self.thread(1),
            "its buffer, too": self.buffer(1),
            "sender": self.sender(),
        }

    def thread(self, own: int) -> Steps:
        for _number, mask in enumerate(self.changes[own]):
            yield STEP
            before = self.own_masks[own]
            self.own_masks[own] = mask
            yield STEP
            self.blocked[own] = mask  # a fence
            yield STEP
            if self.pending and before != mask:
                yield from self.take_lock(own)
                self.told[own] = self.pending and not mask
                if self.pending and mask:
                    self.hand_over(own)
                yield STEP
                self.lock_is_held = False
        if self.ends[own]:
            yield from self.take_lock(own)
            self.is_exiting[own] = True
            self.leave(own)
            yield STEP
            self.lock_is_held = False

    def take_lock(self, own: int) -> Steps:
        yield lambda: not self.lock_is_held
        self.lock_is_held = True
        self.blocked[own] = self.own_masks[own]

    def leave(self, own: int) -> None:
        if self.pending and not self.own_masks[own]:
            self.hand_over(own)

    def hand_over(self, own: int) -> None:
        other = 1 - own
        if not self.is_exiting[other] and not self.blocked[other]:
            self.told[other] = True

    def buffer(self, own: int) -> Steps:
        for _number, _change in enumerate(self.changes[own]):
            yield STEP
            self.blocked[own] = self.own_masks[own]

    def sender(self) -> Steps:
        """As above; what its own buffer does is in `SignalMasks`."""
        yield lambda: not self.lock_is_held
        self.lock_is_held = True
        yield STEP
        self.pending = True
        yield STEP
        for own in (0, 1):
            if not self.is_exiting[own] and not self.blocked[own]:
                self.told[own] = True
                break
        yield STEP
        self.lock_is_held = False

    def finish(self) -> None:
        """Of those that may take the signal, one knows of it."""
        takers = [own for own in (0, 1) if not self.is_exiting[own] and not self.own_masks[own]]
        assert not takers or any(self.told[own] for own in takers), "it is left to a thread that does not take it"
