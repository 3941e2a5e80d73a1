"""The kernel's random numbers: ChaCha20 with fast key erasure (getrandom(2), random(4)).

Each run of the cipher replaces the key with its own first half before anything is handed out, and a word that was
handed out is erased; so what was handed out cannot be computed from the generator's later state. The second half of a
block is a pool for small requests. The seed is the processor's generator, or where there is none, the jitter of the
time-stamp counter; `stir` mixes more in at any time.

Context: any; never sleeps or allocates.
Source: RFC 8439, sections 2.1 to 2.3.
"""

from typing import Final, Literal

from arch import random_seed
from kernel.lang import Array, Span, final, inline, u8, u32

_DOUBLE_ROUNDS: Final = 10
_CONSTANTS: Final[list[int]] = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574]  # "expand 32-byte k"
_KEY_WORDS: Final = 8
_BLOCK_WORDS: Final = 16
_BLOCK_SIZE: Final = 64
_SEED_WORDS: Final = 64


@final
class Generator:
    """State: the key, and the words that the last block left to be handed out, from the end down."""

    key: Array[u32, Literal[8]]
    pool: Array[u32, Literal[8]]

    def __init__(self) -> None:
        self.available: int = 0
        self.is_seeded: bool = False


_generator: Final = Generator()


@inline
def _quarter_round(x: Array[u32, Literal[16]], a: int, b: int, c: int, d: int) -> None:
    x[a] = u32(x[a] + x[b])
    mixed = x[d] ^ x[a]
    x[d] = u32((mixed << 16) | (mixed >> 16))
    x[c] = u32(x[c] + x[d])
    mixed = x[b] ^ x[c]
    x[b] = u32((mixed << 12) | (mixed >> 20))
    x[a] = u32(x[a] + x[b])
    mixed = x[d] ^ x[a]
    x[d] = u32((mixed << 8) | (mixed >> 24))
    x[c] = u32(x[c] + x[d])
    mixed = x[b] ^ x[c]
    x[b] = u32((mixed << 7) | (mixed >> 25))


def chacha20_block(key: Array[u32, Literal[8]], counter: int, nonce: list[int], out: Array[u32, Literal[16]]) -> None:
    """One block into `out`. `nonce`: three words."""
    start: Array[u32, Literal[16]] = Array()
    x: Array[u32, Literal[16]] = Array()
    for i in range(4):
        start[i] = _CONSTANTS[i]
    for i in range(_KEY_WORDS):
        start[4 + i] = key[i]
    start[12] = u32(counter)
    for i in range(3):
        start[13 + i] = nonce[i]
    for i in range(_BLOCK_WORDS):
        x[i] = start[i]
    for _ in range(_DOUBLE_ROUNDS):
        _quarter_round(x, 0, 4, 8, 12)
        _quarter_round(x, 1, 5, 9, 13)
        _quarter_round(x, 2, 6, 10, 14)
        _quarter_round(x, 3, 7, 11, 15)
        _quarter_round(x, 0, 5, 10, 15)
        _quarter_round(x, 1, 6, 11, 12)
        _quarter_round(x, 2, 7, 8, 13)
        _quarter_round(x, 3, 4, 9, 14)
    for i in range(_BLOCK_WORDS):
        out[i] = u32(x[i] + start[i])


_NO_NONCE: Final[list[int]] = [0, 0, 0]


def _refill() -> None:
    """Replace the key by half of a block; the other half is the pool."""
    generator = _generator
    block: Array[u32, Literal[16]] = Array()
    chacha20_block(generator.key, 0, _NO_NONCE, block)
    for i in range(_KEY_WORDS):
        generator.key[i] = block[i]
        generator.pool[i] = block[_KEY_WORDS + i]
    generator.available = _KEY_WORDS


def stir(word: int) -> None:
    """Mix 64 bits in."""
    generator = _generator
    generator.key[0] = u32(generator.key[0] ^ word)
    generator.key[1] = u32(generator.key[1] ^ (word >> 32))
    _refill()


def _seed() -> None:
    _generator.is_seeded = True
    for _ in range(_SEED_WORDS):
        stir(random_seed())


def _next_word() -> int:
    """32 random bits."""
    generator = _generator
    if generator.available == 0:
        if not generator.is_seeded:
            _seed()
        _refill()
    generator.available -= 1
    value = int(generator.pool[generator.available])
    generator.pool[generator.available] = 0
    return value


def fill(destination: Span[u8]) -> None:
    """Random bytes."""
    done = 0
    if len(destination) >= _BLOCK_SIZE:
        done = _fill_blocks(destination)
    while done + 4 <= len(destination):
        destination.store_u32(done, _next_word())
        done += 4
    if done < len(destination):
        value = _next_word()
        while done < len(destination):
            destination[done] = value & 0xFF
            value >>= 8
            done += 1


def _fill_blocks(destination: Span[u8]) -> int:
    """Whole blocks of a large request, all under one key, which is replaced behind them; how many bytes are done."""
    if not _generator.is_seeded:
        _seed()
    block: Array[u32, Literal[16]] = Array()
    done = 0
    counter = 1
    while done + _BLOCK_SIZE <= len(destination):
        chacha20_block(_generator.key, counter, _NO_NONCE, block)
        counter += 1
        for i in range(_BLOCK_WORDS):
            destination.store_u32(done, block[i])
            done += 4
    _refill()
    return done


def word() -> int:
    """63 random bits."""
    return _next_word() | ((_next_word() & 0x7FFF_FFFF) << 32)
