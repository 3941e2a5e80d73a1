"""RSA with a public key (RFC 8017).

Context: takes safe points; raises EINTR once the caller is killed.
"""

from typing import Final

from kernel.crypto.asn1 import INTEGER, SEQUENCE, Reader
from kernel.crypto.number import bit_length, bytes_from, is_less, number_from, power, subtracted
from kernel.lang import EBADMSG, EINVAL, EKEYREJECTED, EOVERFLOW, Errno, final
from kernel.lib.random import word

_SIZES: Final = (512, 1024, 1536, 2048, 3072, 4096)  # bits
_DIGIT_BYTES: Final = 8
_LEAST_PADDING: Final = 8
_OVERHEAD: Final = 11  # bytes of padding, at least
_SIGNED: Final = 1
_ENCRYPTED: Final = 2
# What stands in front of a hash in a signature: the algorithm, as ASN.1 has it.
_PREFIXES: Final[dict[bytes, bytes]] = {
    b"md5": bytes.fromhex("3020300c06082a864886f70d020505000410"),
    b"sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    b"rmd160": bytes.fromhex("3021300906052b2403020105000414"),
    b"sha224": bytes.fromhex("302d300d06096086480165030402040500041c"),
    b"sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    b"sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    b"sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
    b"sha3-256": bytes.fromhex("3031300d060960864801650304020805000420"),
    b"sha3-384": bytes.fromhex("3041300d060960864801650304020905000430"),
    b"sha3-512": bytes.fromhex("3051300d060960864801650304020a05000440"),
}


def prefix_of(hash_name: bytes) -> bytes:
    """What stands in front of a hash in a signature; nothing if it has no name. Raises EINVAL."""
    if hash_name == b"":
        return b""
    prefix = _PREFIXES.get(hash_name)
    if prefix is None:
        raise Errno(EINVAL)
    return prefix


@final
class RsaKey:
    """A public key."""

    def __init__(self, data: bytes) -> None:
        """From ASN.1. Raises EBADMSG, EINVAL for a size that Linux does not work with."""
        outer = Reader(data)
        numbers = Reader(outer.expect(SEQUENCE))
        modulus = numbers.expect(INTEGER)
        exponent = numbers.expect(INTEGER)
        if len(exponent) == 0:
            raise Errno(EINVAL)
        numbers.end()
        self._modulus: list[int] = number_from(modulus)
        self._exponent: list[int] = number_from(exponent)
        bits = 8 * _DIGIT_BYTES
        self.size: int = (bit_length(self._modulus) + bits - 1) // bits * _DIGIT_BYTES  # bytes
        if self.size * 8 not in _SIZES:
            raise Errno(EINVAL)

    def encrypt(self, data: bytes) -> bytes:
        """Without padding. Raises EINVAL for what is too large, or 0 or 1."""
        number = number_from(data)
        if bit_length(number) <= 1 or not is_less(number, subtracted(self._modulus, [1])):
            raise Errno(EINVAL)
        return bytes_from(power(number, self._exponent, self._modulus), self.size)

    def encrypt_padded(self, data: bytes) -> bytes:
        """With random padding (section 7.2.1). Raises EOVERFLOW."""
        if len(data) > self.size - _OVERHEAD:
            raise Errno(EOVERFLOW)
        padded = bytearray()
        padded.append(_ENCRYPTED)
        while len(padded) < self.size - len(data) - 2:
            padded.append(word() % 255 + 1)
        padded.append(0)
        padded.extend(data)
        return self.encrypt(bytes(padded))

    def verify(self, hash_name: bytes, digest: bytes, signature: bytes) -> None:
        """Whether a signature is the key's (section 8.2.2). Raises EINVAL, EBADMSG, EKEYREJECTED."""
        prefix = prefix_of(hash_name)
        if len(digest) == 0 or len(signature) != self.size:
            raise Errno(EINVAL)
        found = self.encrypt(signature)
        if found[0] != 0:
            raise Errno(EINVAL)
        if found[1] != _SIGNED:
            raise Errno(EBADMSG)
        end = 2
        while end < len(found) and found[end] == 0xFF:
            end += 1
        if end < 2 + _LEAST_PADDING or end == len(found) or found[end] != 0:
            raise Errno(EBADMSG)
        rest = found[end + 1 :]
        if not rest.startswith(prefix):
            raise Errno(EBADMSG)
        if rest[len(prefix) :] != digest:
            raise Errno(EKEYREJECTED)

    def check_signing(self, hash_name: bytes, size: int) -> None:
        """What signing with a private key would say about sizes. Raises EOVERFLOW."""
        if size + len(prefix_of(hash_name)) > self.size - _OVERHEAD:
            raise Errno(EOVERFLOW)
