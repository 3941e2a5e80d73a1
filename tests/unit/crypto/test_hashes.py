"""Hashes, checksums and the cipher, held to Python's own and to published values."""

import hashlib
import hmac as standard_hmac

import pytest

from kernel.crypto.aes import Aes
from kernel.crypto.hash import Hash, hmac
from kernel.crypto.names import SHA256, find_hash, hash_to_derive_by
from kernel.lang import EINVAL, ENOENT, ENOKEY, Errno

NAMES = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3-224", "sha3-256", "sha3-384", "sha3-512")
SIZES = (0, 1, 55, 56, 63, 64, 65, 71, 72, 111, 112, 127, 128, 129, 135, 136, 143, 144, 300)


def found(name: str) -> Hash:
    algorithm = find_hash(name.encode())
    assert algorithm is not None
    return algorithm


@pytest.mark.parametrize("name", NAMES)
def test_a_hash_is_pythons(name: str) -> None:
    for size in SIZES:
        data = bytes(index * 7 & 0xFF for index in range(size))
        assert found(name).compute(data) == hashlib.new(name.replace("3-", "3_"), data).digest()


@pytest.mark.parametrize(
    ("name", "check"), [("crc32c", "839206e3"), ("crct10dif", "dbd0"), ("crc64-rocksoft", "8898790a86148bae")]
)
def test_a_checksum_has_its_published_check_value(name: str, check: str) -> None:
    assert found(name).compute(b"123456789").hex() == check


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 200])
def test_a_keyed_hash_is_pythons(size: int) -> None:
    assert hmac(SHA256, bytes(size), b"data") == standard_hmac.new(bytes(size), b"data", "sha256").digest()


@pytest.mark.parametrize(
    ("name", "error"), [(b"none", ENOENT), (b"hmac(sha1)", ENOKEY), (b"hmac(none)", ENOENT), (b"hmac(crc32c)", EINVAL)]
)
def test_what_derives_no_keys(name: bytes, error: int) -> None:
    with pytest.raises(Errno) as raised:
        hash_to_derive_by(name)
    assert raised.value.code == error


def test_the_cipher_has_the_published_vectors() -> None:
    """SP 800-38A, F.2.5: the first two blocks."""
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    start = bytes(range(16))
    data = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    sealed = Aes(key).encrypt(data, start)
    assert sealed.hex() == "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"
    assert Aes(key).decrypt(sealed, start) == data
