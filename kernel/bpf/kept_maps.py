"""The maps that are in use, by number.

Context: `keep_map` may raise MemoryError.
Source: bpf(2).
"""

from typing import Final

from kernel.bpf.held import Held
from kernel.bpf.maps import Map
from kernel.bpf.numbers import Numbers
from kernel.lang import final


@final
class _Maps:
    """The numbered maps."""

    def __init__(self) -> None:
        by_number: dict[int, Map] = {}
        self.by_number: dict[int, Map] = by_number
        self.numbers: Numbers = Numbers()


MAPS: Final = _Maps()


def keep_map(map_: Map) -> None:
    """Count a reference to a map; the first one gives it a number. Raises MemoryError."""
    if map_.users == 0:
        number = MAPS.numbers.take()
        try:
            MAPS.by_number[number] = map_
        except MemoryError:
            MAPS.numbers.give_back(number)
            raise
        map_.identifier = number
    map_.users += 1


def release_map(map_: Map) -> None:
    """Drop a reference. The last one lets go of what the map leads to."""
    map_.users -= 1
    if map_.users == 0:
        MAPS.by_number.pop(map_.identifier, map_)
        MAPS.numbers.give_back(map_.identifier)
        map_.end()


def open_map(map_: Map) -> None:
    """The same for a reference by a descriptor or a name. Raises MemoryError."""
    keep_map(map_)
    map_.openers += 1


def close_map(map_: Map) -> None:
    """Drop such a reference."""
    map_.openers -= 1
    if map_.openers == 0:
        map_.abandon()
    release_map(map_)


@final
class HeldMap(Held):
    """A map that a map of maps leads to."""

    def __init__(self, map_: Map) -> None:
        self.map: Map = map_

    def keep(self) -> None:
        keep_map(self.map)

    def release(self) -> None:
        release_map(self.map)

    def number(self) -> int:
        return self.map.identifier
