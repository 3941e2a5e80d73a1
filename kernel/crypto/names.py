"""Hash algorithms by their names."""

from typing import Final

from kernel.crypto.checksums import Crc16, Crc32c, Crc64
from kernel.crypto.hash import Hash
from kernel.crypto.md5 import Md5
from kernel.crypto.sha1 import Sha1
from kernel.crypto.sha2 import LongSha, ShortSha
from kernel.crypto.sha3 import Sha3
from kernel.lang import EINVAL, ENOENT, ENOKEY, Errno

SHA1: Final = Sha1(b"sha1", 20, 64)
SHA256: Final = ShortSha(b"sha256", 32)
_HASHES: Final[list[Hash]] = [
    Md5(b"md5", 16, 64),
    SHA1,
    ShortSha(b"sha224", 28),
    SHA256,
    LongSha(b"sha384", 48),
    LongSha(b"sha512", 64),
    Sha3(b"sha3-224", 28),
    Sha3(b"sha3-256", 32),
    Sha3(b"sha3-384", 48),
    Sha3(b"sha3-512", 64),
    Crc32c(b"crc32c", 4, 1),
    Crc16(b"crct10dif", 2, 1),
    Crc64(b"crc64-rocksoft", 8, 1),
]


def find_hash(name: bytes) -> Hash | None:
    """An algorithm by its name; or by that of its implementation, which is Linux's in C."""
    for each in _HASHES:
        if name == each.name or name == each.name + b"-generic":
            return each
    return None


def hash_to_derive_by(name: bytes) -> Hash:
    """An algorithm that takes no key. Raises ENOKEY for one that needs a key, EINVAL, ENOENT."""
    found = find_hash(name)
    if found is not None:
        return found
    if name.startswith(b"hmac(") and name.endswith(b")"):
        inner = find_hash(name[5 : len(name) - 1])
        if inner is not None:
            raise Errno(ENOKEY if inner.block_bytes >= inner.size else EINVAL)
    raise Errno(ENOENT)
