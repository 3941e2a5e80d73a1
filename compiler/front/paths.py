"""What all analyses of the paths through a function share: a state is a set of names, of what surely holds there."""

from __future__ import annotations

from collections.abc import Iterable

from compiler.tree import Stmt

State = frozenset[str]


class Paths:
    """Base class. `None` stands for a place that is not reached: there everything holds."""

    def join(self, *states: State | None) -> State | None:
        """What holds whichever path was taken."""
        reached = [s for s in states if s is not None]
        return frozenset.intersection(*reached) if reached else None

    def block(self, body: Iterable[Stmt], state: State | None) -> State | None:
        """The state after some statements."""
        for statement in body:
            if state is None:
                return None
            state = self.statement(statement, state)
        return state

    def statement(self, node: Stmt, state: State) -> State | None:
        """The state after one statement."""
        raise NotImplementedError
