"""The internet checksum over a packet."""

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


@noinline
def checksum(packet: Span[u8]) -> int:
    total = 0
    for place in range(0, len(packet) - 1, 2):
        total += packet[place] << 8 | packet[place + 1]
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@noinline
def run(rounds: int) -> int:
    packet = span_of(bytearray(1500))
    for place in range(1500):
        packet[place] = place * 31 & 0xFF
    result = 0
    for _ in range(rounds):
        result += checksum(packet)
        packet[7] = result & 0xFF
    return result


def main() -> None:
    print(run(100))


if __name__ == "__main__":
    main()
