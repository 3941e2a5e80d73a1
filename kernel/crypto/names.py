"""Hash algorithms by their names."""

from typing import Final

from kernel.crypto.checksums import Crc16, Crc32c, Crc64
from kernel.crypto.hash import Hash
from kernel.crypto.md5 import Md5
from kernel.crypto.sha1 import Sha1
from kernel.crypto.sha2 import LongSha, ShortSha
from kernel.crypto.sha3 import Sha3
from kernel.lang import EEXIST, EINVAL, ENOENT, ENOKEY, Errno

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


# What makes ciphers and the like from other algorithms, which stand in parentheses after it.
_MAKERS_OF_OTHERS: Final = (
    b"cbc", b"ctr", b"ecb", b"rfc3686", b"pkcs1pad",
    b"ffdhe2048", b"ffdhe3072", b"ffdhe4096", b"ffdhe6144", b"ffdhe8192",
)  # fmt: skip
_MOST_PARTS: Final = 32
_WORD: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def find_hash(name: bytes) -> Hash | None:
    """An algorithm by its name; or by that of its implementation, which is Linux's in C."""
    for each in _HASHES:
        if name == each.name or name == each.name + b"-generic":
            return each
    return None


def hash_to_derive_by(name: bytes) -> Hash:
    """An algorithm that takes no key. Raises ENOKEY for one that needs a key, EINVAL for one that is no hash but made
    from other algorithms, EEXIST for another spelling of one that needs a key, ENOENT.
    """
    part = name
    depth = 0
    while _maker_of(part) == b"hmac":
        part = part[5 : _part_end(part, 5)]
        depth += 1
    found = find_hash(part)
    if found is None:
        raise Errno(EINVAL if _maker_of(part) in _MAKERS_OF_OTHERS else ENOENT)
    if depth == 0:
        return found
    if depth > 1 or found.block_bytes < found.size:
        raise Errno(EINVAL)
    raise Errno(ENOKEY if name == b"hmac(" + part + b")" else EEXIST)


def _maker_of(name: bytes) -> bytes:
    """The word in front of parentheses with other names; nothing if a name is not so."""
    start = _word_end(name, 0)
    index = start
    parts = 0
    while start > 0 and parts < _MOST_PARTS:
        if index >= len(name) or name[index] != (ord(",") if parts > 0 else ord("(")):
            return b""
        first = index + 1
        index = _part_end(name, first)
        if index == first:
            return b""
        parts += 1
        if index < len(name) and name[index] == ord(")"):
            return name[:start]
    return b""


def _word_end(name: bytes, index: int) -> int:
    while index < len(name) and name[index] in _WORD:
        index += 1
    return index


def _part_end(name: bytes, index: int) -> int:
    index = _word_end(name, index)
    return _closing(name, index) if index < len(name) and name[index] == ord("(") else index


def _closing(name: bytes, index: int) -> int:
    """What follows the parenthesis that closes the one at an index; or the end."""
    depth = 0
    while index < len(name):
        if name[index] == ord("("):
            depth += 1
        elif name[index] == ord(")"):
            depth -= 1
        index += 1
        if depth == 0:
            break
    return index
