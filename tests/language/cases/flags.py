"""Sets of flags: their truth, their complements, and bits that have no name."""

from __future__ import annotations

from enum import Flag, IntFlag

from kernel.lang import noinline, u32, u64


class Mode(IntFlag):
    READ = 4
    WRITE = 2
    EXECUTE = 1


class Sparse(IntFlag):
    LOW = 1
    HIGH = 8


class Kind(Flag):
    FILE = 1
    LINK = 4


class Wide(Flag):
    ONE = 1
    PAIR = 6


@noinline
def others(wide: Wide) -> None:
    print(bool(Wide.PAIR & ~wide), bool(Wide.ONE & ~wide))


@noinline
def joined(number: u64) -> u64:
    return u64(number | Mode.READ)


@noinline
def truth(kinds: Kind, mode: Mode) -> None:
    print(bool(kinds & Kind.LINK), bool(mode & Mode.WRITE), not kinds, not mode)
    if kinds & Kind.FILE:
        print("file")


@noinline
def without(mode: Mode, other: Mode) -> Mode:
    return mode & ~other


@noinline
def without_read(mode: Mode) -> Mode:
    return mode & ~Mode.READ


@noinline
def number_without(number: int, mode: Mode) -> int:
    return number & ~mode


@noinline
def kinds_without(kinds: Kind, other: Kind) -> Kind:
    return kinds & ~other


@noinline
def sparse_without(sparse: Sparse, other: Sparse) -> Sparse:
    return sparse & ~other


@noinline
def wrapped(mode: Mode, other: Mode) -> int:
    return u32(mode & ~other)


@noinline
def added(number: int) -> int:
    number |= Mode.READ
    return number


def main() -> None:
    truth(Kind.FILE, Mode.READ)
    truth(Kind.FILE | Kind.LINK, Mode.READ | Mode.WRITE)
    truth(Kind.FILE & Kind.LINK, Mode(0))
    print(without(Mode(7), Mode.READ).value, without(Mode(12), Mode.READ).value, without(Mode(15), Mode(0)).value)
    print(without_read(Mode(12)).value, without_read(Mode(7)).value, number_without(0xFF, Mode.READ))
    print(kinds_without(Kind.FILE | Kind.LINK, Kind.FILE).value, sparse_without(Sparse(15), Sparse.LOW).value)
    print(wrapped(Mode(15), Mode.READ), added(3), added(8), (Mode.READ | 8).value, (Mode(8) ^ Mode(12)).value)
    print(Kind(5) == Kind.FILE | Kind.LINK, Kind.FILE in Kind(5), Mode(8) in Mode(7), Mode.READ | Mode.WRITE)
    others(Wide.ONE)
    others(Wide.PAIR)
    print(joined(u64(1 << 63)) > 1 << 62, joined(u64(3)))


if __name__ == "__main__":
    main()
