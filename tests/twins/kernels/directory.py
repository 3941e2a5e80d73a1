"""A walk over directory records of varying length, as in ext2."""

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


@noinline
def lookup(block: Span[u8], name: Span[u8]) -> int:
    place = 0
    while place + 8 <= len(block):
        inode = block.load_u32(place)
        record = block.load_u16(place + 4)
        length = block[place + 6]
        if record < 8:
            return -2
        if inode != 0 and length == len(name) and place + 8 + length <= len(block):
            same = 0
            while same < length and block[place + 8 + same] == name[same]:
                same += 1
            if same == length:
                return inode
        place += record
    return -1


@noinline
def run(rounds: int) -> int:
    block = span_of(bytearray(4096))
    for number in range(128):
        place = number * 32
        block.store_u32(place, number + 10)
        block.store_u16(place + 4, 32)
        block[place + 6] = 8
        for letter in range(8):
            block[place + 8 + letter] = 97 + (number >> letter) % 16
    name = span_of(bytearray(8))
    for letter in range(8):
        name[letter] = 97 + (127 >> letter) % 16
    total = 0
    for number in range(rounds):
        block.store_u32(0, number)
        total += lookup(block, name)
    return total


def main() -> None:
    print(run(100))


if __name__ == "__main__":
    main()
