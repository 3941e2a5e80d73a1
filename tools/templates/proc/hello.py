"""/proc/hello: a greeting that counts how often it was asked for."""

from typing import Final

from kernel.lang import final
from kernel.lib.proc_files import proc_file


@final
class Counter:
    """How often somebody has read the file since boot."""

    def __init__(self) -> None:
        self.value: int = 0


READERS: Final = Counter()


@proc_file("hello")
def hello() -> bytes:
    """A greeting, and the number of this reader."""
    READERS.value += 1
    return f"Hello, reader {READERS.value}\n".encode()
