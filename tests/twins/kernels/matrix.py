"""A product of integer matrices: checked multiply and add, the worst case."""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, noinline


class Matrix:
    cells: Array[int, Literal[576]]


@noinline
def multiply(a: Matrix, b: Matrix, c: Matrix) -> None:
    for row in range(24):
        for column in range(24):
            total = 0
            for inner in range(24):
                total += a.cells[row * 24 + inner] * b.cells[inner * 24 + column]
            c.cells[row * 24 + column] = total


@noinline
def run(rounds: int) -> int:
    a = Matrix()
    b = Matrix()
    c = Matrix()
    for place in range(576):
        a.cells[place] = place % 17
        b.cells[place] = place % 13
    for _ in range(rounds):
        multiply(a, b, c)
    return c.cells[0] + c.cells[575]


def main() -> None:
    print(run(10))


if __name__ == "__main__":
    main()
