"""Diffie-Hellman with keys: KEYCTL_DH_COMPUTE of keyctl(2)."""

from typing import Final

from kernel.crypto.hash import Hash
from kernel.crypto.names import hash_to_derive_by
from kernel.keys.exchange import Exchange, derive
from kernel.keys.key import READ, USER
from kernel.lang import EINVAL, EMSGSIZE, ENOKEY, EOPNOTSUPP, Errno, UserAddr, final, span_of
from kernel.lib import user
from kernel.syscalls.key_arguments import found_key, text_at
from kernel.task.words import load_i64

_NUMBERS_BYTES: Final = 12  # struct keyctl_dh_params
_DERIVATION_BYTES: Final = 56  # struct keyctl_kdf_params
_SPARE: Final = 20  # where bytes begin that must be zero
_SPARE_END: Final = 52
_MOST_DERIVED: Final = 1024
_MOST_INFORMATION: Final = 64
_LONGEST_HASH_NAME: Final = 128


@final
class Derivation:
    """struct keyctl_kdf_params."""

    def __init__(self, address: UserAddr) -> None:
        """Raises EFAULT."""
        raw = user.read_bytes(address, _DERIVATION_BYTES)
        view = span_of(raw)
        self.hash_name: UserAddr = UserAddr(load_i64(view, 0))
        self.information: UserAddr = UserAddr(load_i64(view, 8))
        self.information_bytes: int = view.load_u32(16)
        self.has_spare: bool = False
        for index in range(_SPARE, _SPARE_END):
            if raw[index] != 0:
                self.has_spare = True


def compute_power(numbers: UserAddr, buffer: UserAddr, size: int, derivation: UserAddr) -> int:
    """The power of a base that is a key, modulo a prime that is one; or what is derived from it. Returns its length."""
    by = Derivation(derivation) if derivation != 0 else None
    if numbers == 0 or (buffer == 0 and size != 0):
        raise Errno(EINVAL)
    raw = span_of(user.read_bytes(numbers, _NUMBERS_BYTES))
    serials = [raw.load_u32(0), raw.load_u32(4), raw.load_u32(8)]
    algorithm = None if by is None else _algorithm_of(by, size)
    prime = _number_of(serials[1])
    base = _number_of(serials[2])
    exchange = Exchange(_number_of(serials[0]), prime, base)
    if by is None or algorithm is None:
        if size == 0:
            return exchange.size
        exchange.check_room(size)
        result = exchange.compute()
    else:
        secret = exchange.compute()
        secret += user.read_bytes(by.information, by.information_bytes) if by.information_bytes > 0 else b""
        result = derive(algorithm, secret, size)
    if len(result) > 0:
        user.write_bytes(buffer, result)
    return len(result)


def _algorithm_of(by: Derivation, size: int) -> Hash:
    """Raises EINVAL, EMSGSIZE, EFAULT, ENOENT, ENOKEY."""
    if by.has_spare:
        raise Errno(EINVAL)
    if not 0 <= size <= _MOST_DERIVED or by.information_bytes > _MOST_INFORMATION:
        raise Errno(EMSGSIZE)
    return hash_to_derive_by(text_at(by.hash_name, _LONGEST_HASH_NAME))


def _number_of(serial: int) -> bytes:
    """The payload of a key. Raises ENOKEY, EOPNOTSUPP."""
    try:
        key = found_key(serial, READ).key
    except Errno:
        raise Errno(ENOKEY) from None
    if key.kind is not USER:
        raise Errno(EOPNOTSUPP)
    return key.payload
