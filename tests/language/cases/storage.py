"""Storage types: fields, parameters, results, locals; widening reads, wrapping casts."""

from __future__ import annotations

from kernel.lang import i8, i16, i32, noinline, u8, u16, u32


class Counters:
    small: u8
    medium: u16
    large: u32
    signed: i8
    wide: i16
    wider: i32

    def __init__(self) -> None:
        self.small = u8(0)
        self.medium = u16(0)
        self.large = u32(0)
        self.signed = i8(0)
        self.wide = i16(0)
        self.wider = i32(0)

    def show(self) -> None:
        print(f"{self.small} {self.medium} {self.large} {self.signed} {self.wide} {self.wider}")


@noinline
def same(value: int) -> int:
    return value


def low_byte(value: int) -> u8:
    return u8(value)


def take(a: u8, b: i32) -> int:
    return a - b


def main() -> None:
    counters = Counters()
    counters.show()
    counters.small = 255
    counters.medium = same(65535)
    counters.large = same(4294967295)
    counters.signed = same(-128)
    counters.wide = -32768
    counters.wider = same(-2147483648)
    counters.show()
    counters.small -= 5
    counters.large -= same(1)
    counters.signed += 127
    counters.show()
    print(u8(same(300)), u8(same(-1)), i8(same(200)), i16(same(40000)), u16(same(-2)), i32(same(1) << 31), u32(same(-1)))
    print(u32(same(0xFFFFFFFF) * same(0xFFFFFFFF) + 7), u8(same(200) + same(100)), u16(same(1) << 15 << 1))
    print(u32(same(9223372036854775807) + same(9223372036854775807)), u32(-same(5)), u32(~same(0)))
    print(low_byte(same(0x1234)), take(same(200), same(-1000)))
    local: u16 = same(77)
    local += 1
    print(local * local * local)
    total = counters.small + counters.medium + counters.large
    print(total, counters.small == 250, counters.signed < 0)
    print(u32(counters.large + 2), i8(counters.small))


if __name__ == "__main__":
    main()
