"""Formats of f-strings: each kind of value with what it allows."""

from __future__ import annotations

from enum import Enum, IntEnum, IntFlag

from kernel.lang import u64


class E(Enum):
    A = 1


class Level(IntEnum):
    RED = 3


class F(IntFlag):
    X = 1
    Y = 2


def main() -> None:
    n = 42
    m = -42
    t = "ab"
    b = True
    by = b"q'"
    e = E.A
    i = Level.RED
    f = F.X | F.Y
    z = u64(7)
    print(f"[{n:5}] [{n:<5}] [{n:>5}] [{n:05}] [{m:05}] [{m:<6}] [{n:#x}] [{n:#06x}] [{m:#x}] [{n:#b}] [{n:08b}] [{m:x}] [{n:X}] [{n:o}] [{n:#o}] [{n:d}]")
    print(f"[{t:5}] [{t:<5}] [{t:>5}] [{t!r}] [{t!s}] [{t:s}] [{t:>1}]")
    print(f"[{b}] [{not b}] [{b:d}] [{b!r}]")
    print(f"[{by!r}]")
    for code in (0x7F, 0x80, 0xA0, 0xA1, 0xAD, 0xFF, 0x378, 0x200B, 0x2028, 0x3000, 0xE000, 0xFEFF, 0xFFFE, 0x1F40D, 0x1FFFF, 0xE0001, 0xE0100, 0x10FFFF):
        character = chr(code)
        print(f"[{character!r}]")
    print(f"[{e}] [{i}] [{f}] [{i:d}] [{i:>4}] [{f:#x}] [{e.name:>4}] [{i.name}]")
    print(f"[{z:5}] [{z:<5}] [{z:#x}] [{z}]")
    print(f"[{b:5}] [{b:<3}] [{b:#x}]")
    print(str(e), str(i), str(b), str(by), str(n) + str(t))


if __name__ == "__main__":
    main()
