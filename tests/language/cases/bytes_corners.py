"""bytes: empty separators and parts, limits, starts that are negative or beyond the end."""

from __future__ import annotations

from kernel.lang import noinline


@noinline
def n(x: int) -> int:
    return x


def show(parts: list[bytes]) -> None:
    print(len(parts))
    for p in parts:
        print(p)


def a1() -> None:
    d = b"a,b,,c,"
    show(d.split(b",", n(2)))
    show(d.split(b",", n(0)))
    show(b" a  b c ".split(None, n(1)))
    show(b"".split(b","))
    show(b"".split())
    print(d.find(b"", n(3)), d.find(b"", n(7)), d.find(b"", n(8)), d.find(b"", n(-100)))
    print(d.find(b"b", n(-5)), d.find(b"c", n(-3)), d.find(44, n(-3)), d.find(44, n(-100)))
    print(d.rfind(b""), d.rfind(b","), d.rfind(b"zzzzzzzzzzzzzzzz"))
    print(d.count(b""), d.count(b","), b"aaaa".count(b"aa"))
    print(d.startswith(b""), d.endswith(b""), b"".startswith(b"x"))
    print(d.strip(b",a"), d.strip(b""), b"  x ".lstrip(), b" x ".rstrip())
    print(d[n(-3):n(-1)], d[n(5):n(2)], d[n(-100):n(100)])
    print(b"" in d, b"," in d, n(97) in d)
    print(d * n(0), d * n(-1), b"" * n(5))
    print(b"".join([]), b",".join([b""]), b",".join([b"", b""]))
    print(b"".isdigit(), b"12".isdigit(), b"1 ".isdigit())


def main() -> None:
    a1()


if __name__ == "__main__":
    main()
