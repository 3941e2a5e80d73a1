"""Structs and Arrays are no elements of lists."""

from kernel.lang import struct


@struct
class Point:
    x: int


def main() -> None:
    points = [Point(x=1)]
    print(len(points))
