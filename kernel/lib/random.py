"""The kernel's random numbers: ChaCha20 with fast key erasure (getrandom(2), random(4)).

Each run of the cipher replaces the key with its own first half before anything is handed out, and a word that was
handed out is erased; so what was handed out cannot be computed from the generator's later state. The second half of a
block is a pool for small requests, or the key for the blocks of one large request. The seed comes from the
processor's generator or, without one, from the jitter of the time-stamp counter.

Locking: the generator has a lock of its own, so no caller needs the kernel lock. The blocks of a large request are
computed outside it. Context: any; never sleeps or allocates. Source: RFC 8439, sections 2.1 to 2.3.
"""

from typing import Final, Literal

from arch import random_seed
from kernel.lang import Array, Span, SpinLock, final, guarded_by, holds, inline, ranked, u8, u32, unlocked

_DOUBLE_ROUNDS: Final = 10
# "expand 32-byte k"
_CONSTANT_0: Final = 0x61707865
_CONSTANT_1: Final = 0x3320646E
_CONSTANT_2: Final = 0x79622D32
_CONSTANT_3: Final = 0x6B206574
_KEY_WORDS: Final = 8
_BLOCK_WORDS: Final = 16
_BLOCK_SIZE: Final = 64
_SEED_WORDS: Final = 64


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


def chacha20_block(
    key: Array[u32, Literal[8]], counter: int, nonce: Array[u32, Literal[3]], out: Array[u32, Literal[16]]
) -> None:
    """One block into `out`."""
    start: Array[u32, Literal[16]] = Array()
    x: Array[u32, Literal[16]] = Array()
    start[0] = _CONSTANT_0
    start[1] = _CONSTANT_1
    start[2] = _CONSTANT_2
    start[3] = _CONSTANT_3
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


@ranked(100)
@final
class RandomLock(SpinLock):
    """Guards the generator."""


@final
@guarded_by("lock")
class Generator:
    """State: the key, and the words that the last block left to be handed out, from the end down."""

    key: Array[u32, Literal[8]]
    pool: Array[u32, Literal[8]]

    def __init__(self) -> None:
        self.lock = RandomLock()
        self.available: int = 0

    def stir(self, word: int) -> None:
        """Mix 64 bits in."""
        with self.lock:
            self.key[0] = u32(self.key[0] ^ word)
            self.key[1] = u32(self.key[1] ^ (word >> 32))
            self._refill()

    @holds("self.lock")
    def take(self) -> int:
        """32 random bits."""
        if self.available == 0:
            self._refill()
        self.available -= 1
        value = int(self.pool[self.available])
        self.pool[self.available] = 0
        return value

    @holds("self.lock")
    def _refill(self) -> None:
        """Replace the key by half of a block; the other half is the pool."""
        self.replace_key(self.pool)
        self.available = _KEY_WORDS

    @holds("self.lock")
    def replace_key(self, other: Array[u32, Literal[8]]) -> None:
        """The first half of a block becomes the key, the second half goes to `other`."""
        block: Array[u32, Literal[16]] = Array()
        nonce: Array[u32, Literal[3]] = Array()
        chacha20_block(self.key, 0, nonce, block)
        for i in range(_KEY_WORDS):
            self.key[i] = block[i]
            other[i] = block[_KEY_WORDS + i]


_generator: Final = Generator()


def seed() -> None:
    """Called when the kernel starts, before random numbers are needed."""
    for _ in range(_SEED_WORDS):
        _generator.stir(random_seed())


def stir(bits: int) -> None:
    """Mix in up to 64 bits that come from elsewhere. They can't make the numbers worse, whoever chose them."""
    _generator.stir(bits)


@unlocked
def fill(destination: Span[u8]) -> None:
    """Random bytes."""
    done = 0
    if len(destination) >= _BLOCK_SIZE:
        done = _fill_blocks(destination)
    if done < len(destination):
        _fill_words(destination, done)


def _fill_words(destination: Span[u8], done: int) -> None:
    """Bytes from `done` on, less than a block, from the pool."""
    with _generator.lock:
        while done + 4 <= len(destination):
            destination.store_u32(done, _generator.take())
            done += 4
        if done < len(destination):
            value = _generator.take()
            while done < len(destination):
                destination[done] = value & 0xFF
                value >>= 8
                done += 1


def _fill_blocks(destination: Span[u8]) -> int:
    """Whole blocks of a large request, under a key of its own; returns how many bytes are done."""
    key: Array[u32, Literal[8]] = Array()
    with _generator.lock:
        _generator.replace_key(key)
    block: Array[u32, Literal[16]] = Array()
    nonce: Array[u32, Literal[3]] = Array()
    done = 0
    counter = 0
    while done + _BLOCK_SIZE <= len(destination):
        chacha20_block(key, counter, nonce, block)
        counter += 1
        for i in range(_BLOCK_WORDS):
            destination.store_u32(done, block[i])
            done += 4
    return done


@unlocked
def word() -> int:
    """63 random bits."""
    with _generator.lock:
        return _generator.take() | ((_generator.take() & 0x7FFF_FFFF) << 32)
