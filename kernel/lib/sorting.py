"""Sorting lists from programs, which may be long: with safe points.

Context: sleeps.
"""

from typing import Final

from kernel.lib.pace import pace

_BLOCK: Final = 1024  # ints sorted in one go: about 150,000 instructions
_BLOCK_COST: Final = 150_000
_STEP_COST: Final = 20


def sort_paced(values: list[int]) -> None:
    """Sort ints upwards, in place: blocks, then merges of blocks. Nobody else may use the list. Raises MemoryError."""
    if len(values) <= _BLOCK:
        values.sort()
        return
    other: list[int] = []
    for start in range(0, len(values), _BLOCK):
        part = values[start : min(start + _BLOCK, len(values))]
        part.sort()
        other.extend(part)
        pace(_BLOCK_COST)
    width = _BLOCK
    is_in_other = True
    while width < len(values):
        source, target = (other, values) if is_in_other else (values, other)
        for start in range(0, len(values), 2 * width):
            _merge(source, target, start, start + width, start + 2 * width)
        is_in_other = not is_in_other
        width *= 2
    if is_in_other:
        for index in range(len(values)):
            values[index] = other[index]
            pace(_STEP_COST)


def _merge(source: list[int], target: list[int], start: int, middle: int, end: int) -> None:
    """Merge the sorted runs `start` … `middle` - 1 and `middle` … `end` - 1 of a list into another. Either may end
    early, where the list does.
    """
    end = min(end, len(source))
    middle = min(middle, end)
    low = start
    high = middle
    for place in range(start, end):
        if high == end or (low < middle and source[low] <= source[high]):
            target[place] = source[low]
            low += 1
        else:
            target[place] = source[high]
            high += 1
        pace(_STEP_COST)
