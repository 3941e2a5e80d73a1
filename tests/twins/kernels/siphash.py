"""SipHash-2-4 of a message: 64-bit ring arithmetic."""

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8, u64


def rotated(value: u64, count: int) -> u64:
    return u64((value << count) | (value >> (64 - count)))


@noinline
def siphash(data: Span[u8], key0: u64, key1: u64) -> u64:
    v0 = u64(key0 ^ 0x736F6D6570736575)
    v1 = u64(key1 ^ 0x646F72616E646F6D)
    v2 = u64(key0 ^ 0x6C7967656E657261)
    v3 = u64(key1 ^ 0x7465646279746573)
    words = len(data) // 8
    for number in range(words + 2):
        rounds = 2
        message = u64(0)
        if number < words:
            message = data.load_u64(number * 8)
        elif number == words:
            message = u64(u64(len(data)) << 56)
            for place in range(words * 8, len(data)):
                message = u64(message | (u64(data[place]) << ((place & 7) * 8)))
        else:
            v2 = u64(v2 ^ 0xFF)
            rounds = 4
        v3 = u64(v3 ^ message)
        for _ in range(rounds):
            v0 = u64(v0 + v1)
            v2 = u64(v2 + v3)
            v1 = u64(rotated(v1, 13) ^ v0)
            v3 = u64(rotated(v3, 16) ^ v2)
            v0 = rotated(v0, 32)
            v2 = u64(v2 + v1)
            v0 = u64(v0 + v3)
            v1 = u64(rotated(v1, 17) ^ v2)
            v3 = u64(rotated(v3, 21) ^ v0)
            v2 = rotated(v2, 32)
        v0 = u64(v0 ^ message)
    return u64(v0 ^ v1 ^ v2 ^ v3)


@noinline
def run(rounds: int) -> int:
    data = span_of(bytearray(61))
    for place in range(61):
        data[place] = place
    total = u64(0)
    for number in range(rounds):
        total = u64(total + siphash(data, u64(number), u64(0x0706050403020100)))
    return int(total >> 1)


def main() -> None:
    print(run(200))


if __name__ == "__main__":
    main()
