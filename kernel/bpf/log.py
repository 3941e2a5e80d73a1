"""The verifier's messages about a program (log_level, log_buf of bpf(2)).

Context: may raise MemoryError.
"""

from typing import Final

from kernel.lang import final

MOST_BYTES: Final = 1 << 20  # the rest is counted, not kept
STATISTICS: Final = 4
EACH: Final = 2
SUMMARY: Final = 1


@final
class Log:
    """A text in lines."""

    def __init__(self, level: int) -> None:
        self.level: int = level
        pieces: list[bytes] = []
        self.pieces: list[bytes] = pieces
        self.length: int = 0  # of all messages

    def say(self, text: str) -> None:
        """Write a line, at any level except 0."""
        if self.level & (SUMMARY | EACH) != 0:
            self._add(text)

    def say_each(self, text: str) -> None:
        """Write a line about an instruction."""
        if self.level & EACH != 0:
            self._add(text)

    def say_statistics(self, text: str) -> None:
        """Write a line at the end."""
        if self.level != 0:
            self._add(text)

    def wants_each(self) -> bool:
        return self.level & EACH != 0

    def _add(self, text: str) -> None:
        line = text.encode() + b"\n"
        self.length += len(line)
        if self.length <= MOST_BYTES:
            self.pieces.append(line)
