"""What KEYCTL_DH_COMPUTE means: a power of numbers that are keys, and keys that are derived from it.

Context: takes safe points; raises EINTR once the caller is killed.
Source: keyctl_dh_compute(3), SP 800-56A, SP 800-108.
"""

from typing import Final

from kernel.crypto.hash import Hash
from kernel.crypto.number import bit_length, bytes_from, number_from, power
from kernel.lang import EINVAL, EOVERFLOW, Errno, final, span_of

_LEAST_PRIME_BYTES: Final = 192
_MOST_BITS: Final = 16384
_DIGIT_BYTES: Final = 8  # results have a whole number of Linux's digits


@final
class Exchange:
    """Somebody's private number, another one's public number (or a generator), and the prime."""

    def __init__(self, private: bytes, prime: bytes, base: bytes) -> None:
        """Raises EINVAL for a prime that is too short, other numbers that are longer, and any that is too large."""
        if len(private) > len(prime) or len(base) > len(prime) or len(prime) < _LEAST_PRIME_BYTES:
            raise Errno(EINVAL)
        self._prime: list[int] = number_from(prime)
        self._base: list[int] = number_from(base)
        self._private: list[int] = number_from(private)
        for number in (self._prime, self._base, self._private):
            if bit_length(number) > _MOST_BITS:
                raise Errno(EINVAL)
        bits = 8 * _DIGIT_BYTES
        self.size: int = (bit_length(self._prime) + bits - 1) // bits * _DIGIT_BYTES  # of the result

    def check_room(self, size: int) -> None:
        """Raise EOVERFLOW if a result does not fit; a size below zero is a very large one."""
        if 0 <= size < self.size:
            raise Errno(EOVERFLOW)

    def compute(self) -> bytes:
        """The shared secret, or a public number. Raises EINVAL, EINTR."""
        if len(self._prime) == 0:
            raise Errno(EINVAL)
        return bytes_from(power(self._base, self._private, self._prime), self.size)


def derive(algorithm: Hash, secret: bytes, size: int) -> bytes:
    """As many bytes as wanted: hashes of a counter and the secret, one after the other."""
    found = bytearray()
    counter = bytearray(4)
    count = 0
    while len(found) < size:
        count += 1
        span_of(counter).store_be32(0, count)
        found.extend(algorithm.compute(bytes(counter) + secret))
    return bytes(found[:size])
