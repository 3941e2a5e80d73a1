"""The kernel's random numbers: ChaCha20 with fast key erasure (getrandom(2), random(4)).

Each request runs the cipher under the present key; the first 32 bytes of its output become the next key before anything
is handed out, so that what was handed out cannot be computed from the generator's later state. The seed is the
processor's generator, or where there is none, the jitter of the time-stamp counter; `stir` mixes more in at any time.

Context: any; never sleeps. `fill` allocates nothing.
Source: RFC 8439, sections 2.1 to 2.3.
"""

from typing import Final

from arch.x86_64.cpu import random_seed
from kernel.lang import Span, final, u8

_ROUNDS: Final = 10  # double rounds
_CONSTANTS: Final[list[int]] = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574]  # "expand 32-byte k"
_KEY_WORDS: Final = 8
_SEED_WORDS: Final = 64


@final
class Generator:
    """State: the key. `block` is where a block is computed."""

    def __init__(self) -> None:
        self.key: list[int] = [0] * _KEY_WORDS
        self.block: list[int] = [0] * 16
        self.start: list[int] = [0] * 16
        self.is_seeded: bool = False


_generator: Final = Generator()


def _rotate(value: int, count: int) -> int:
    return ((value << count) & 0xFFFF_FFFF) | (value >> (32 - count))


def _quarter_round(x: list[int], a: int, b: int, c: int, d: int) -> None:
    x[a] = (x[a] + x[b]) & 0xFFFF_FFFF
    x[d] = _rotate(x[d] ^ x[a], 16)
    x[c] = (x[c] + x[d]) & 0xFFFF_FFFF
    x[b] = _rotate(x[b] ^ x[c], 12)
    x[a] = (x[a] + x[b]) & 0xFFFF_FFFF
    x[d] = _rotate(x[d] ^ x[a], 8)
    x[c] = (x[c] + x[d]) & 0xFFFF_FFFF
    x[b] = _rotate(x[b] ^ x[c], 7)


def chacha20_block(key: list[int], counter: int, nonce: list[int], start: list[int], out: list[int]) -> None:
    """One block of 16 words into `out`. `start` is room for 16 words."""
    for i in range(4):
        start[i] = _CONSTANTS[i]
    for i in range(_KEY_WORDS):
        start[4 + i] = key[i]
    start[12] = counter & 0xFFFF_FFFF
    for i in range(3):
        start[13 + i] = nonce[i]
    for i in range(16):
        out[i] = start[i]
    for _ in range(_ROUNDS):
        _quarter_round(out, 0, 4, 8, 12)
        _quarter_round(out, 1, 5, 9, 13)
        _quarter_round(out, 2, 6, 10, 14)
        _quarter_round(out, 3, 7, 11, 15)
        _quarter_round(out, 0, 5, 10, 15)
        _quarter_round(out, 1, 6, 11, 12)
        _quarter_round(out, 2, 7, 8, 13)
        _quarter_round(out, 3, 4, 9, 14)
    for i in range(16):
        out[i] = (out[i] + start[i]) & 0xFFFF_FFFF


_NO_NONCE: Final[list[int]] = [0, 0, 0]


def _next_block(counter: int) -> None:
    generator = _generator
    chacha20_block(generator.key, counter, _NO_NONCE, generator.start, generator.block)


def _replace_key() -> None:
    """The present block's first half becomes the key; its second half is free to be handed out."""
    generator = _generator
    for i in range(_KEY_WORDS):
        generator.key[i] = generator.block[i]
        generator.block[i] = 0


def stir(word: int) -> None:
    """Mix 64 bits in."""
    key = _generator.key
    key[0] ^= word & 0xFFFF_FFFF
    key[1] ^= (word >> 32) & 0xFFFF_FFFF
    _next_block(0)
    _replace_key()


def _seed() -> None:
    _generator.is_seeded = True
    for _ in range(_SEED_WORDS):
        stir(random_seed())


def fill(destination: Span[u8]) -> None:
    """Random bytes."""
    generator = _generator
    if not generator.is_seeded:
        _seed()
    _next_block(0)
    _replace_key()
    done = _copy_out(destination, 0, _KEY_WORDS)
    counter = 1
    while done < len(destination):
        _next_block(counter)
        counter += 1
        done = _copy_out(destination, done, 0)
    if counter > 1:
        # The blocks behind the first were made with the new key: replace it too.
        _next_block(counter)
        _replace_key()
    for i in range(16):
        generator.block[i] = 0
        generator.start[i] = 0


def _copy_out(destination: Span[u8], done: int, first_word: int) -> int:
    """Hand out the block's words from `first_word` on; how many bytes are done."""
    block = _generator.block
    word = first_word
    while word < 16 and done < len(destination):
        value = block[word]
        for shift in range(0, 32, 8):
            if done >= len(destination):
                break
            destination[done] = (value >> shift) & 0xFF
            done += 1
        word += 1
    return done


def word() -> int:
    """63 random bits."""
    generator = _generator
    if not generator.is_seeded:
        _seed()
    _next_block(0)
    _replace_key()
    value = generator.block[8] | ((generator.block[9] & 0x7FFF_FFFF) << 32)
    for i in range(16):
        generator.block[i] = 0
    return value
