"""bool, int, chr, ord, divmod, hash, int.from_bytes and to_bytes, len of everything."""

from __future__ import annotations

from kernel.lang import noinline


@noinline
def same(value: int) -> int:
    return value


def main() -> None:
    print(bool(same(5)), bool(""), bool("x"), bool(b""), bool([0]), int(True))
    quotient, rest = divmod(same(-17), 5)
    print(quotient, rest)
    print(int.from_bytes(b"\x01\x02", "little"), int.from_bytes(b"\x01\x02\x03\x04", "big"))
    print(same(258).to_bytes(2, "big")[0], same(258).to_bytes(4, "little")[1])
    print(hash(b"ab") == hash(b"a" + b"b"))
    print(len("abc"), len(b"abc"), len([1]), len({1: 2, 3: 4}), len((1, 2, 3)))
    print(ord("a"), chr(same(98)), str(same(-5)), int("77"))
    total = 0
    for flag in (True, False, True):
        total += 1 if flag else 10
    print(total)


if __name__ == "__main__":
    main()
