"""Signatures by points of NIST's elliptic curves over primes (FIPS 186-5, SP 800-186).

A point is kept as x / z**2 and y / z**3, so that only the last step has to divide; z is 0 at infinity.

Context: takes safe points; raises EINTR once the caller is killed.
"""

from typing import Final

from kernel.crypto.asn1 import INTEGER, SEQUENCE, Reader
from kernel.crypto.number import (
    added,
    bit_length,
    bit_of,
    is_equal,
    is_less,
    multiplied,
    number_from,
    power,
    remainder,
    subtracted,
)
from kernel.lang import EBADMSG, EINVAL, EKEYREJECTED, Errno, final

_UNCOMPRESSED: Final = 4
_DIGIT_BYTES: Final = 8


@final
class Point:
    """A point of a curve."""

    def __init__(self, x: list[int], y: list[int], z: list[int]) -> None:
        self.x: list[int] = x
        self.y: list[int] = y
        self.z: list[int] = z


@final
class Curve:
    """y**2 = x**3 - 3 x + b, modulo a prime."""

    def __init__(self, name: bytes, prime: bytes, order: bytes, b: bytes, x: bytes, y: bytes) -> None:
        self.name: bytes = name
        self.prime: list[int] = number_from(prime)
        self.order: list[int] = number_from(order)
        self.b: list[int] = number_from(b)
        self.base: Point = Point(number_from(x), number_from(y), [1])
        self.size: int = len(prime)  # bytes of a coordinate

    # ---- Numbers modulo the prime ---------------------------------------------------------------------------------

    def times(self, first: list[int], second: list[int]) -> list[int]:
        return remainder(multiplied(first, second), self.prime)

    def plus(self, first: list[int], second: list[int]) -> list[int]:
        total = added(first, second)
        return total if is_less(total, self.prime) else subtracted(total, self.prime)

    def minus(self, first: list[int], second: list[int]) -> list[int]:
        return subtracted(first if not is_less(first, second) else added(first, self.prime), second)

    # ---- Points ---------------------------------------------------------------------------------------------------

    def has(self, x: list[int], y: list[int]) -> bool:
        """Whether the curve has a point."""
        if not is_less(x, self.prime) or not is_less(y, self.prime):
            return False
        cube = self.times(self.times(x, x), x)
        right = self.plus(self.minus(cube, self.plus(self.plus(x, x), x)), self.b)
        return is_equal(self.times(y, y), right)

    def doubled(self, point: Point) -> Point:
        """A point plus itself."""
        if len(point.z) == 0 or len(point.y) == 0:
            return Point([1], [1], [])
        zz = self.times(point.z, point.z)
        slope = self.times(self.minus(point.x, zz), self.plus(point.x, zz))
        slope = self.plus(self.plus(slope, slope), slope)
        yy = self.times(point.y, point.y)
        y2 = self.plus(yy, yy)
        s = self.times(point.x, self.plus(y2, y2))
        x = self.minus(self.times(slope, slope), self.plus(s, s))
        fourth = self.times(y2, y2)
        y = self.minus(self.times(slope, self.minus(s, x)), self.plus(fourth, fourth))
        product = self.times(point.y, point.z)
        return Point(x, y, self.plus(product, product))

    def sum(self, first: Point, second: Point) -> Point:
        """The sum of two points."""
        if len(first.z) == 0:
            return second
        if len(second.z) == 0:
            return first
        z1 = self.times(first.z, first.z)
        z2 = self.times(second.z, second.z)
        x1 = self.times(first.x, z2)
        x2 = self.times(second.x, z1)
        y1 = self.times(first.y, self.times(z2, second.z))
        y2 = self.times(second.y, self.times(z1, first.z))
        if is_equal(x1, x2):
            return self.doubled(first) if is_equal(y1, y2) else Point([1], [1], [])
        h = self.minus(x2, x1)
        r = self.minus(y2, y1)
        hh = self.times(h, h)
        hhh = self.times(hh, h)
        v = self.times(x1, hh)
        x = self.minus(self.minus(self.times(r, r), hhh), self.plus(v, v))
        y = self.minus(self.times(r, self.minus(v, x)), self.times(y1, hhh))
        return Point(x, y, self.times(h, self.times(first.z, second.z)))

    def x_of_sum(self, first: list[int], second: list[int], point: Point) -> list[int]:
        """The x of a multiple of the base plus a multiple of another point; of infinity it is zero."""
        both = self.sum(self.base, point)
        total = Point([1], [1], [])
        for index in range(max(bit_length(first), bit_length(second)) - 1, -1, -1):
            total = self.doubled(total)
            if bit_of(first, index) == 1:
                total = self.sum(total, both if bit_of(second, index) == 1 else self.base)
            elif bit_of(second, index) == 1:
                total = self.sum(total, point)
        if len(total.z) == 0:
            return []
        inverse = power(total.z, subtracted(self.prime, [2]), self.prime)
        return self.times(total.x, self.times(inverse, inverse))


_CURVES: Final[list[Curve]] = [
    Curve(
        b"ecdsa-nist-p192",
        *map(bytes.fromhex, (
            "fffffffffffffffffffffffffffffffeffffffffffffffff",
            "ffffffffffffffffffffffff99def836146bc9b1b4d22831",
            "64210519e59c80e70fa7e9ab72243049feb8deecc146b9b1",
            "188da80eb03090f67cbf20eb43a18800f4ff0afd82ff1012",
            "07192b95ffc8da78631011ed6b24cdd573f977a11e794811",
        )),
    ),
    Curve(
        b"ecdsa-nist-p256",
        *map(bytes.fromhex, (
            "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
            "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
            "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
            "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
        )),
    ),
    Curve(
        b"ecdsa-nist-p384",
        *map(bytes.fromhex, (
            "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
            "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
            "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
            "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7",
            "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
        )),
    ),
    Curve(
        b"ecdsa-nist-p521",
        *map(bytes.fromhex, (
            "01ff" + "ff" * 64,
            "01ff" + "ff" * 31 + "fa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
            "0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e1"
            "56193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00",
            "00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dba"
            "a14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66",
            "011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c"
            "97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650",
        )),
    ),
]


def find_curve(name: bytes) -> Curve | None:
    """A curve by the name that Linux has for it."""
    for each in _CURVES:
        if each.name == name:
            return each
    return None


@final
class EcdsaKey:
    """A public key."""

    def __init__(self, curve: Curve, data: bytes) -> None:
        """From a point of the curve. Raises EINVAL."""
        size = (len(data) - 1) // 2
        digits = (size + _DIGIT_BYTES - 1) // _DIGIT_BYTES
        wanted = (curve.size + _DIGIT_BYTES - 1) // _DIGIT_BYTES
        if len(data) < 1 or len(data) % 2 == 0 or data[0] != _UNCOMPRESSED or digits != wanted:
            raise Errno(EINVAL)
        self._curve: Curve = curve
        self.size: int = curve.size  # bytes
        self._point: Point = Point(number_from(data[1 : 1 + size]), number_from(data[1 + size :]), [1])
        if not curve.has(self._point.x, self._point.y):
            raise Errno(EINVAL)

    def verify(self, digest: bytes, signature: bytes) -> None:
        """Whether a signature is the key's (FIPS 186-5, 6.4.2). Raises EINVAL, EBADMSG, EKEYREJECTED."""
        curve = self._curve
        outer = Reader(signature)
        numbers = Reader(outer.expect(SEQUENCE))
        r = self._part(numbers.expect(INTEGER))
        s = self._part(numbers.expect(INTEGER))
        numbers.end()
        for part in (r, s):
            if len(part) == 0 or not is_less(part, curve.order):
                raise Errno(EBADMSG)
        order = curve.order
        inverse = power(s, subtracted(order, [2]), order)
        first = remainder(multiplied(number_from(digest[: curve.size]), inverse), order)
        second = remainder(multiplied(r, inverse), order)
        if not is_equal(remainder(curve.x_of_sum(first, second, self._point), order), r):
            raise Errno(EKEYREJECTED)

    def _part(self, content: bytes) -> list[int]:
        """Raises EINVAL for a number with more bytes than the curve's numbers have."""
        most = (self._curve.size + _DIGIT_BYTES - 1) // _DIGIT_BYTES * _DIGIT_BYTES
        if len(content) == most + 1 and content[0] == 0:
            content = content[1:]
        if not 0 < len(content) <= most:
            raise Errno(EINVAL)
        return number_from(content)
