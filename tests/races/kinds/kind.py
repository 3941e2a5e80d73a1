"""What a kind of shared things is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.races.actor import Actor

Act = Callable[[Actor], None]


def nothing(actor: Actor) -> None:
    """For kinds that need no preparation."""


@dataclass(frozen=True)
class Kind:
    """Acts about the same things: each makes a call, or a few that belong together."""

    name: str
    acts: tuple[Act, ...]
    prepare: Act = nothing  # once, before the programs of a round start
