"""str: joins of nothing, representations of odd characters, numbers in texts."""

from __future__ import annotations

from kernel.lang import noinline


@noinline
def n(x: int) -> int:
    return x


@noinline
def s(x: str) -> str:
    return x


def a2() -> None:
    e: list[str] = []
    print("[" + s("").join(e) + "]", "[" + s(",").join(e) + "]", "[" + s(",").join([""]) + "]", ",".join(["a", "b"]))
    print(s("").join(["a", "b"]))
    t = s("äbc")
    print("" in t, "bc" in t, t.startswith(""), t.startswith("ä"), t.endswith("c"))
    print(t * n(2), t * n(0), t * n(-1), len(t))
    print(t < "b", t > "a", t <= t, t != t)
    print(int("12"), int(" 12\n"), int("-7"), int("+7"), int("ff", 16), int("0xff", 16), int("-0b11", 2), int("0o17", 8), int(b"12"), int("z", 36))
    print(f"{t!r} {'a'!r} {s(chr(39))!r} {s(chr(34))!r} {s(chr(39)+chr(34))!r}")
    print(f"{s(chr(127))!r} {s(chr(0))!r} {s(chr(160))!r} {s(chr(173))!r} {s(chr(0x378))!r} {s(chr(0x1f600))!r} {s(chr(0xe0001))!r} {s(chr(0x2028))!r}")
    print(f"{t=} {t = } {n(5) > 4=}")
    print(f"{n(-5):#x} {n(-5):08b} {n(255):#06X} {n(0):#b} {n(-1):#o}")
    print(f"{True} {n(1) == 1!r} {True:d} {True:5}")


def main() -> None:
    a2()


if __name__ == "__main__":
    main()
