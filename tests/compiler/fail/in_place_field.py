"""A struct in a class is copied on assignment only where the class body declares it."""

from kernel.lang import struct


@struct
class Point:
    x: int


class Holder:
    declared: Point

    def __init__(self) -> None:
        self.point = Point(x=1)


def main(holder: Holder, point: Point) -> None:
    holder.declared = point
    holder.point = point
