"""What a kind of shared things is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.races.worker import Worker

Operation = Callable[[Worker], None]


def nothing(worker: Worker) -> None:
    """For kinds that need no preparation."""


@dataclass(frozen=True)
class Kind:
    """Operations about the same things: each makes a call, or a few that belong together."""

    name: str
    operations: tuple[Operation, ...]
    prepare: Operation = nothing  # once, before the programs of a generation start
