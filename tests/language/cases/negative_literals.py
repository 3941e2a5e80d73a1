"""Negative literals as indices: del, insert, store, pop."""

from __future__ import annotations

from kernel.lang import noinline


@noinline
def n(x: int) -> int:
    return x


def l5() -> None:
    items = [1, 2, 3]
    del items[-1]
    print(len(items))
    items.insert(-1, 9)
    print(items[0], items[1], items[2])
    items[-1] = 4
    items[-1] += 1
    print(items[2], items.pop(-1), len(items))
    b = bytearray(b"abc")
    b[-1] = 65
    del b[-1]
    print(bytes(b))


def main() -> None:
    l5()


if __name__ == "__main__":
    main()
