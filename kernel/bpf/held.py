"""What an element of a map can lead to in place of a value: a program, another map, a control group.

Context: any; `keep` may raise MemoryError.
"""


class Held:
    """An object that is counted. Base class."""

    def keep(self) -> None:
        """One user more. Raises MemoryError."""

    def release(self) -> None:
        """One user fewer."""

    def number(self) -> int:
        """What system calls see of it."""
        return 0
