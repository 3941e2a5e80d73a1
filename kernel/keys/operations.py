"""What KEYCTL_PKEY_… mean: which operations a public key is for, and these.

No key has a private part, because certificates have none: nothing is signed or decrypted. Errors about sizes and
encodings come before that one, as on Linux.

Context: takes safe points; raises EINTR once the caller is killed.
Source: keyctl_pkey_query(3), keyctl_pkey_encrypt(3).
"""

from typing import Final

from kernel.crypto.rsa import RsaKey, prefix_of
from kernel.keys.certificate import ELLIPTIC_HASHES, PublicKey
from kernel.lang import EINVAL, ENOSYS, Errno, final

ENCRYPT: Final = 25  # KEYCTL_PKEY_…
DECRYPT: Final = 26
SIGN: Final = 27
VERIFY: Final = 28
_ENCRYPTS: Final = 1  # KEYCTL_SUPPORTS_…
_VERIFIES: Final = 8
_LARGEST_HASH: Final = 64
_LONG: Final = 128  # bytes from which on ASN.1 takes two for a length


@final
class Use:
    """How a key is to be used: "enc=" and "hash=" of a text."""

    def __init__(self, text: bytes) -> None:
        """Raises EINVAL."""
        self.encoding: bytes = b""
        self.hash_name: bytes = b""
        word = bytearray()
        for byte in text + b" ":
            if byte != ord(" ") and byte != ord("\t"):
                word.append(byte)
                continue
            if len(word) > 0:
                self._take(bytes(word))
            word = bytearray()
        if self.encoding == b"":
            self.encoding = b"raw"

    def _take(self, word: bytes) -> None:
        if word.startswith(b"enc=") and len(word) > 4 and self.encoding == b"":
            self.encoding = word[4:]
        elif word.startswith(b"hash=") and len(word) > 5 and self.hash_name == b"":
            self.hash_name = word[5:]
        else:
            raise Errno(EINVAL)

    @property
    def is_padded(self) -> bool:
        return self.encoding == b"pkcs1"


@final
class Abilities:
    """What a key can do, used in some way, with how many bytes."""

    def __init__(self, key: PublicKey, use: Use) -> None:
        """Raises EINVAL, EBADMSG, ENOPKG."""
        if key.is_rsa():
            _check_rsa(use)
            size = key.rsa().size
            self.operations: int = _VERIFIES | _ENCRYPTS if use.is_padded else _ENCRYPTS
            self.most_data: int = size
            self.most_signature: int = size
        else:
            if use.encoding != b"x962" or use.hash_name not in ELLIPTIC_HASHES:
                raise Errno(EINVAL)
            size = key.elliptic().size
            self.operations = _VERIFIES
            self.most_data = _LARGEST_HASH
            part = size if key.algorithm == b"ecdsa-nist-p521" else size + 1
            both = 2 * (part + 2)
            self.most_signature = 1 + int(both >= _LONG) + 1 + both
        self.size: int = size  # of the key; of what is encrypted and decrypted


def _check_rsa(use: Use) -> None:
    if use.is_padded:
        prefix_of(use.hash_name)
    elif use.encoding != b"raw" or use.hash_name != b"":
        raise Errno(EINVAL)


def transform(operation: int, key: PublicKey, use: Use, data: bytes) -> bytes:
    """Encrypt, decrypt or sign. Raises EINVAL, EOVERFLOW, ENOSYS."""
    if not key.is_rsa():
        raise Errno(ENOSYS if operation == SIGN else EINVAL)
    rsa: RsaKey = key.rsa()
    if operation == ENCRYPT:
        return rsa.encrypt_padded(data) if use.is_padded else rsa.encrypt(data)
    if operation == SIGN and use.is_padded:
        rsa.check_signing(use.hash_name, len(data))
    raise Errno(EINVAL)


def verify(key: PublicKey, use: Use, digest: bytes, signature: bytes) -> None:
    """Raises EINVAL, EBADMSG, EKEYREJECTED, ENOSYS."""
    if key.is_rsa() and not use.is_padded:
        raise Errno(ENOSYS)
    key.verify(use.encoding, use.hash_name, digest, signature)
