"""Where a thread is in the kernel, for queries while the machine runs: /proc/PID/stack and /proc/PID/wchan.

Context: any thread. Allocates.
"""

from typing import Final

from kernel.lang import final
from kernel.lib.traceback import LineTable


@final
class StackPlace:
    """A line of a function that has been called and has not returned."""

    def __init__(self, function: bytes, file: bytes, line: int) -> None:
        self.function: bytes = function
        self.file: bytes = file
        self.line: int = line


_TABLE: Final = LineTable()  # not the one for panics, which may interrupt this one


def stack_places(return_address: int, frame_pointer: int, stack_low: int, stack_high: int) -> list[StackPlace]:
    """The functions on a stack that is not running, the most recent call first; none where the image has no line table.
    Raises MemoryError.
    """
    places: list[StackPlace] = []
    table = _TABLE
    if not table.open():
        return places
    table.addresses[0] = return_address - 1
    count = table.follow(1, frame_pointer, stack_low, stack_high)
    for number in range(count):
        depth = table.inlined(table.addresses[number])
        for inner in range(depth):
            scope = table.chain_scope[inner]
            function = table.function_text(scope, 0).to_bytes()
            file = table.function_text(scope, 1).to_bytes()
            places.append(StackPlace(function, file, table.chain_line[inner]))
    return places
