"""Formats of numbers and texts, escapes, conversions, order of texts."""

from __future__ import annotations

from kernel.lang import noinline, u64


@noinline
def n(x: int) -> int:
    return x


@noinline
def un(x: int) -> u64:
    return u64(x)


def formats() -> None:
    print(f"{un(-1)} {un(-1):x} {un(255):#06x} {un(3):>5}| {un(7):05}")
    print(f"{n(-1):x} {n(-255):#x} {n(-255):#010x} {n(8):#o} {n(-8):o} {n(10):X} {n(0):x} {n(0):05}")
    print(f"{'abc':5}|{'abc':<5}|{'abc':>5}|{'abc':2}|{'':3}|{'é':3}|")
    print(f"{n(1) < n(2)} {not n(0)} {n(1) == 1 and n(2) == 2}")
    print(f"{n(3)}{n(4)}" f"{n(5)}" "x" f"{{{n(6)}}}")
    print(f"{b'a'!r} {b'a' + b'b'!r} {'q'!r} {'q'!s}")
    print(f"{n(2)!s}")
    print("a" * n(3) + "b", "a" + "b" * n(0), len("a" * n(4)))
    print("\x41\u00e9\N{BULLET}\t|\0|".encode(), "\\n", r"\n", "ab")
    print(b"\x00\xff\n\t\\'\"", b'"', b"'")
    print(str(n(5)) + str(b"x") + str(True) + str(un(6)))
    print(chr(n(65)), ord("é"), ord(b"a"), "é".encode(), b"\xc3\xa9".decode(), "é" == b"\xc3\xa9".decode())
    print("a" < "b", "a" < "B", "é" > "z", "" < "a", "ab" < "abc", "a" == "a" + "")
    print(int("0"), int("-0"), int("007"), int("  -12  "), int(b"7f", 16), int("111", 2))
    print("b" in "abc", "abc" in "ab", "é" in "café", "x" not in "abc")
    print("abc".startswith("ab"), "abc".endswith(""), "é".startswith("é"), "-".join(["é", "", "x"]))


def main() -> None:
    formats()


if __name__ == "__main__":
    main()
