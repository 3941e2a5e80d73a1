"""SHA3-224, SHA3-256, SHA3-384 and SHA3-512 (FIPS 202).

Context: takes safe points.
"""

from typing import Final

from kernel.crypto.hash import Hash
from kernel.lang import final, span_of, u64
from kernel.lib.pace import pace

_STATE_BYTES: Final = 200
_ROUNDS: Final = 24
_COST: Final = 12_000  # instructions for a block


def _round_constants() -> list[u64]:
    """From the bits of a shift register (section 3.2.5)."""
    constants = []
    register = 1
    for _ in range(_ROUNDS):
        constant = 0
        for power in range(7):
            if register & 1:
                constant |= 1 << (1 << power) - 1
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
        constants.append(u64(constant))
    return constants


def _offsets() -> list[int]:
    """By how much each lane is turned (section 3.2.2)."""
    offsets = [0] * 25
    x, y = 1, 0
    for step in range(24):
        offsets[x + 5 * y] = (step + 1) * (step + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    return offsets


_CONSTANTS: Final[list[u64]] = _round_constants()
_OFFSETS: Final[list[int]] = _offsets()


@final
class Sha3(Hash):
    """The algorithm, for each size of a hash."""

    def __init__(self, name: bytes, size: int) -> None:
        super().__init__(name, size, _STATE_BYTES - 2 * size)

    def compute(self, data: bytes) -> bytes:
        rate = self.block_bytes
        lanes: list[u64] = [u64(0)] * 25
        for offset in range(0, len(data) - rate + 1, rate):
            _absorb(lanes, data[offset : offset + rate])
            pace(_COST)
        rest = len(data) % rate
        last = bytearray(data[len(data) - rest :])
        last.extend(bytes(rate - rest))
        last[rest] ^= 0x06
        last[rate - 1] ^= 0x80
        _absorb(lanes, bytes(last))
        storage = bytearray(8 * 8)
        for index in range(8):
            span_of(storage).store_u32(8 * index, int(lanes[index] & 0xFFFF_FFFF))
            span_of(storage).store_u32(8 * index + 4, int(lanes[index] >> 32))
        return bytes(storage[: self.size])


def _absorb(lanes: list[u64], block: bytes) -> None:
    for index in range(len(block) // 8):
        low = u64(span_of(block).load_u32(8 * index))
        lanes[index] = lanes[index] ^ (u64(span_of(block).load_u32(8 * index + 4)) << 32 | low)
    for step in range(_ROUNDS):
        _permute(lanes)
        lanes[0] = lanes[0] ^ _CONSTANTS[step]


def _permute(lanes: list[u64]) -> None:
    """The steps theta, rho, pi and chi."""
    columns: list[u64] = []
    for x in range(5):
        columns.append(lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20])
    moved: list[u64] = [u64(0)] * 25
    for x in range(5):
        mixed = columns[(x + 4) % 5] ^ _turned(columns[(x + 1) % 5], 1)
        for y in range(5):
            moved[y + 5 * ((2 * x + 3 * y) % 5)] = _turned(lanes[x + 5 * y] ^ mixed, _OFFSETS[x + 5 * y])
    for y in range(0, 25, 5):
        for x in range(5):
            beside = u64(~moved[y + (x + 1) % 5])
            lanes[y + x] = moved[y + x] ^ beside & moved[y + (x + 2) % 5]


def _turned(lane: u64, count: int) -> u64:
    return lane if count == 0 else u64(lane << count) | lane >> 64 - count
