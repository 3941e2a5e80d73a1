"""A struct has one name."""

from typing import Literal

from kernel.lang import Array, struct, u8


@struct
class Point:
    x: int


class Holder:
    point: Point
    table: Array[u8, Literal[4]]
    points: Array[Point, Literal[4]]


def main(holder: Holder, point: Point) -> None:
    holder.point = point
    holder.points[1] = point
    fresh = point.copy()
    again = fresh
    inner = holder.point
    table = holder.table
    element = holder.points[0]
    pair = (fresh, 1)
    print(again.x, inner.x, table[0], element.x, pair[1])
