"""A processor's surroundings under CPython, for tests of drivers: ports that a test can answer.

Never part of the image: only the Python bodies of `@extern` functions come here.
"""

from collections.abc import Callable

PortRead = Callable[[int, int], int]
PortWrite = Callable[[int, int, int], None]


class SimulatedProcessor:
    """Port reads go to `port_read(port, size_bytes)`, writes to `port_write(port, size_bytes, value)`."""

    def __init__(self) -> None:
        self.port_read: PortRead | None = None
        self.port_write: PortWrite | None = None
        self.registers: dict[str, int] = {}
        self.msrs: dict[int, int] = {}
        self.tsc = 0

    def read_port(self, port: int, size_bytes: int) -> int:
        if self.port_read is None:
            return (1 << 8 * size_bytes) - 1  # an empty bus floats high
        return self.port_read(port, size_bytes)

    def write_port(self, port: int, size_bytes: int, value: int) -> None:
        if self.port_write is not None:
            self.port_write(port, size_bytes, value)


processor = SimulatedProcessor()


class NotSimulated(Exception):
    """The instruction has no meaning under CPython."""
