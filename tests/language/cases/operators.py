"""Operator methods of classes: index, length, containment, arithmetic."""

from __future__ import annotations


class Bits:
    words: list[int]
    size: int

    def __init__(self, size: int) -> None:
        self.size = size
        self.words = [0] * ((size + 31) // 32)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> bool:
        return (self.words[index // 32] >> (index % 32)) & 1 == 1

    def __setitem__(self, index: int, value: bool) -> None:
        if value:
            self.words[index // 32] |= 1 << (index % 32)
        else:
            self.words[index // 32] &= ~(1 << (index % 32))

    def __contains__(self, index: int) -> bool:
        return index < self.size and self[index]


class Vector:
    x: int
    y: int

    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y

    def __add__(self, other: Vector) -> Vector:
        return Vector(self.x + other.x, self.y + other.y)

    def __mul__(self, factor: int) -> Vector:
        return Vector(self.x * factor, self.y * factor)

    def __neg__(self) -> Vector:
        return Vector(-self.x, -self.y)

    def __lt__(self, other: Vector) -> bool:
        return self.x < other.x


def main() -> None:
    bits = Bits(100)
    for index in range(0, 100, 7):
        bits[index] = True
    bits[14] = False
    count = 0
    for index in range(len(bits)):
        if bits[index]:
            count += 1
    print(count, 7 in bits, 14 in bits, 8 in bits, 1000 in bits, bits.words[3])
    vector = Vector(1, 2) + Vector(3, 4) * 10
    print(vector.x, vector.y, (-vector).y, Vector(0, 0) < vector, vector < Vector(0, 0))


if __name__ == "__main__":
    main()
