"""Operations with public keys: KEYCTL_PKEY_QUERY, ENCRYPT, DECRYPT, SIGN and VERIFY of keyctl(2)."""

from typing import Final

from kernel.keys.certificate import PublicKey
from kernel.keys.key import SEARCH
from kernel.keys.operations import SIGN, VERIFY, Abilities, Use
from kernel.keys.operations import transform as transform_bytes
from kernel.keys.operations import verify as verify_bytes
from kernel.keys.public import public_key_of
from kernel.lang import EINVAL, EOPNOTSUPP, Errno, UserAddr, final, span_of
from kernel.lib import user
from kernel.syscalls.key_arguments import found_key, text_at

_QUERY_BYTES: Final = 56  # struct keyctl_pkey_query
_PARAMETERS_BYTES: Final = 40  # struct keyctl_pkey_params
_LONGEST_TEXT: Final = 4096


@final
class Work:
    """A key, its use, and the sizes of two buffers: struct keyctl_pkey_params. As on Linux, the second one always has
    as many bytes as it can have at most: a smaller size is no error, but makes no difference either.
    """

    def __init__(self, operation: int, address: UserAddr, information: UserAddr) -> None:
        raw = user.read_bytes(address, _PARAMETERS_BYTES)
        view = span_of(raw)
        self.size: int = view.load_u32(4)
        room = view.load_u32(8)  # or the size of the second input
        self.use: Use = Use(text_at(information, _LONGEST_TEXT))
        self.key: PublicKey = _public_key(view.load_u32(0))
        can = Abilities(self.key, self.use)
        if operation == VERIFY or operation == SIGN:
            most, most_second = can.most_data, can.most_signature
        else:
            most, most_second = can.size, can.size
        if self.size > most or room > most_second:
            raise Errno(EINVAL)
        self.second_size: int = most_second


def _public_key(serial: int) -> PublicKey:
    """Raises EOPNOTSUPP for another key."""
    public = public_key_of(found_key(serial, SEARCH).key)
    if public is None:
        raise Errno(EOPNOTSUPP)
    return public


def query(serial: int, information: UserAddr, address: UserAddr) -> None:
    """What a key can do."""
    use = Use(text_at(information, _LONGEST_TEXT))
    can = Abilities(_public_key(serial), use)
    storage = bytearray(_QUERY_BYTES)
    view = span_of(storage)
    view.store_u32(0, can.operations)
    view.store_u32(4, can.size * 8)
    view.store_u16(8, can.most_data)
    view.store_u16(10, can.most_signature)
    view.store_u16(12, can.size)
    view.store_u16(14, can.size)
    user.write_bytes(address, bytes(storage))


def transform(operation: int, address: UserAddr, information: UserAddr, source: UserAddr, target: UserAddr) -> int:
    """Encrypt, decrypt or sign some bytes. Returns how many come of it."""
    work = Work(operation, address, information)
    data = user.read_bytes(source, work.size)
    result = transform_bytes(operation, work.key, work.use, data)
    user.write_bytes(target, result)
    return len(result)


def verify(address: UserAddr, information: UserAddr, digest: UserAddr, signature: UserAddr) -> None:
    """Whether a signature of a hash is the key's."""
    work = Work(VERIFY, address, information)
    hashed = user.read_bytes(digest, work.size)
    verify_bytes(work.key, work.use, hashed, user.read_bytes(signature, work.second_size))
