"""u64: wrapping casts, checked conversion back, mixed with literals."""

from __future__ import annotations

from kernel.lang import noinline, u64


@noinline
def same(value: int) -> int:
    return value


@noinline
def mix(a: u64, b: u64) -> u64:
    return u64((a ^ (b >> 7)) * 0x9E3779B97F4A7C15)


def main() -> None:
    big = u64(same(-1))
    print(big)
    print(big // 10, big % 10, big >> 1, big & 0xFF)
    print(u64(big + 1), u64(big * big), u64(big << 4))
    print(big > 5, big == u64(0xFFFFFFFFFFFFFFFF), u64(same(3)) < u64(same(-3)))
    value = u64(12345)
    for step in range(5):
        value = mix(value, u64(step))
        print(f"{value} {value:x} {value:016x}")
    small = u64(same(40)) + 2
    print(int(small) - 50, small - 2, small * 2)


if __name__ == "__main__":
    main()
