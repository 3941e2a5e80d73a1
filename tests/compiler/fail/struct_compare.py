"""Structs are not compared."""

from kernel.lang import struct


@struct
class Point:
    x: int


def same(a: Point, b: Point) -> bool:
    return a == b
