"""The kernel lock: a queue lock in which each processor waits on a word of its own, and may halt while it waits.

Who wants the lock exchanges the tail of the queue for its own node: the order of these exchanges is the order of
service. It then links itself to its predecessor, which hands the lock over by clearing the node's `waits`. A processor
that has spun for long says so in its node (`halts`) and halts until an interrupt comes; the one that hands over sends
it. An interrupt that comes before the processor halts stays pending, because interrupts are off until it halts.

While it waits, a processor answers requests of others (a shoot-down, say): the holder may wait for the answer.
"""

from __future__ import annotations

from tests.models.explorer import STEP, Model, Steps


class Node:
    """A processor's place in the queue."""

    def __init__(self) -> None:
        self.next: Node | None = None
        self.waits = False
        self.halts = False
        self.interrupted = False  # an interrupt is pending


class QueueLock:
    """The lock as the kernel is to have it."""

    def __init__(self) -> None:
        self.tail: Node | None = None

    def acquire(self, node: Node, may_halt: bool) -> Steps:
        """Enter the queue, and wait until the lock is handed over."""
        node.next = None
        node.waits = True
        node.halts = False
        yield STEP
        previous = self.tail  # an exchange: one step
        self.tail = node
        if previous is None:
            return
        yield STEP
        previous.next = node
        if may_halt:
            yield from self.halt(node)
        else:
            yield lambda: not node.waits

    def halt(self, node: Node) -> Steps:
        """Wait without using the host's processor."""
        yield STEP
        node.halts = True
        while True:
            yield STEP
            if not node.waits:
                return
            yield lambda: node.interrupted
            node.interrupted = False

    def release(self, node: Node) -> Steps:
        """Hand the lock over, or leave it free."""
        yield STEP
        if node.next is None:
            yield STEP
            if self.tail is node:  # compare and swap: one step
                self.tail = None
                return
            yield lambda: node.next is not None  # somebody has exchanged the tail, and links itself now
        following = node.next
        assert following is not None
        yield STEP
        following.waits = False
        yield from self.notify(following)

    def notify(self, node: Node) -> Steps:
        """Interrupt a processor that halts."""
        yield STEP
        if node.halts:
            yield STEP
            node.interrupted = True


class LockModel(Model):
    """Processors that take the lock a few times each."""

    def __init__(self, lock: QueueLock, processors: int, turns: int, may_halt: bool) -> None:
        self.lock = lock
        self.nodes = [Node() for _ in range(processors)]
        self.turns = turns
        self.may_halt = may_halt
        self.inside: list[int] = []

    def threads(self) -> dict[str, Steps]:
        return {f"processor {index}": self.processor(index) for index in range(len(self.nodes))}

    def processor(self, index: int) -> Steps:
        node = self.nodes[index]
        for _ in range(self.turns):
            yield from self.lock.acquire(node, self.may_halt)
            self.inside.append(index)
            yield STEP
            self.inside.remove(index)
            yield from self.lock.release(node)

    def check(self) -> None:
        assert len(self.inside) <= 1, f"processors {self.inside} hold the lock"

    def finish(self) -> None:
        assert self.lock.tail is None, "the lock is free, and has a tail"
