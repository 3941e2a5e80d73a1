"""What the front end says when something cannot be done: one sentence, and a status as docker has it."""

from __future__ import annotations

USAGE = 2  # the command line is wrong
CANNOT_RUN = 125  # it is right, but the machine or the image is not


class KraitError(Exception):
    """One sentence for the user, and the exit status."""

    def __init__(self, text: str, status: int = CANNOT_RUN) -> None:
        super().__init__(text)
        self.status = status


class UsageError(KraitError):
    """The command line is wrong."""

    def __init__(self, text: str) -> None:
        super().__init__(text, USAGE)
