"""Array: in-place elements as fields and locals; span, fill, iteration."""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, noinline, u8, u16, u32


class Table:
    bytes_: Array[u8, Literal[16]]
    words: Array[u32, Literal[4]]
    numbers: Array[int, Literal[3]]

    def __init__(self) -> None:
        self.numbers[0] = 5


@noinline
def total(table: Table) -> int:
    result = 0
    for value in table.words:
        result += value
    for index in range(len(table.bytes_)):
        result += table.bytes_[index] * index
    return result


def main() -> None:
    table = Table()
    print(len(table.bytes_), len(table.words), table.numbers[0], table.numbers[2], total(table))
    table.bytes_.fill(3)
    table.words[1] = 4000000000
    table.words[2] = 5
    table.words[2] += 10
    print(total(table))
    table.bytes_[15] = 255
    span = table.bytes_.span()
    span[0] = 9
    print(table.bytes_[0], table.bytes_[15], len(span))
    local: Array[u16, Literal[8]] = Array()
    for index in range(8):
        local[index] = index * index
    print(local[7], local[-1], sum([value for value in local]))


if __name__ == "__main__":
    main()
