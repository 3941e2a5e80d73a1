"""A function gives a view or a fresh struct, not now this, now that."""

from kernel.lang import struct


@struct
class Point:
    x: int


def pick(point: Point, flag: bool) -> Point:
    if flag:
        return point
    return Point(x=1)
