"""The cipher against RFC 8439, and requests of all sizes."""

from typing import Literal

from kernel.lang import Array, span_of, u32
from kernel.lib import random


def test_block_of_rfc_8439() -> None:
    key: Array[u32, Literal[8]] = Array()
    for i in range(8):
        key[i] = int.from_bytes(bytes(range(4 * i, 4 * i + 4)), "little")
    nonce: Array[u32, Literal[3]] = Array()
    nonce[0], nonce[1] = 0x09000000, 0x4A000000
    out: Array[u32, Literal[16]] = Array()
    random.chacha20_block(key, 1, nonce, out)
    assert b"".join(int(word).to_bytes(4, "little") for word in out).hex() == (
        "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
        "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
    )


def test_fill_writes_every_byte_and_never_repeats() -> None:
    seen = set()
    for size in (1, 31, 32, 33, 64, 95, 96, 97, 300):
        data = bytearray(size)
        random.fill(span_of(data))
        if size > 16:
            assert bytes(data) not in seen and any(data[-16:])
            seen.add(bytes(data))
    assert len({random.word() for _ in range(100)}) == 100


def test_what_was_handed_out_is_gone_from_the_state() -> None:
    data = bytearray(200)
    random.fill(span_of(data))
    words = {int.from_bytes(data[i : i + 4], "little") for i in range(0, 200, 4)}
    state = [*random._generator.key, *random._generator.pool]
    assert not words & set(state) - {0}
