"""The types of keys that programs can add (keyrings(7)).

Context: nothing sleeps.
"""

from typing import Final

from kernel.keys.key import KEYRING, LOGON, USER, Content, Details, Finder, Key, KeyType
from kernel.keys.public import ASYMMETRIC
from kernel.keys.sealed import ENCRYPTED
from kernel.lang import EINVAL, ENOPKG, EPERM, Errno, final, span_of

_HEAD: Final = 8  # bytes in front of the key that files are to be encrypted with: what it is for, and a reserved word
_LEAST_FILE_KEY: Final = 16
_MOST_FILE_KEY: Final = 64
_MOST_HASH_DIGITS: Final = 128


@final
class SharedSecretType(KeyType):
    """Keys for NVMe over TLS. A search finds one by the beginning of its description."""

    def searches_all(self, text: bytes) -> bool:
        return True

    def matches(self, key: Key, text: bytes) -> bool:
        return key.description.startswith(text)


@final
class Purpose(Details):
    """What a key of a file system is for."""

    def __init__(self, number: int) -> None:
        self.number: int = number

    def shown(self, key: Key) -> bytes:
        return key.description + f": {key.data_bytes} [{self.number}]".encode()


@final
class ProvisioningType(KeyType):
    """Keys for encrypted files: nobody reads them."""

    def prepare(self, data: bytes, size: int) -> Content:
        if not _HEAD + _LEAST_FILE_KEY <= size <= _HEAD + _MOST_FILE_KEY:
            raise Errno(EINVAL)
        purpose = span_of(data).load_u32(0)
        if not 1 <= purpose <= 2 or span_of(data).load_u32(4) != 0:
            raise Errno(EINVAL)
        content = Content(data, size)
        content.details = Purpose(purpose)
        return content


@final
class DenialType(KeyType):
    """Hashes of what is not to be trusted. Only the kernel's own makers add these."""

    def __init__(self, name: bytes, can_read: bool, can_update: bool) -> None:
        super().__init__(name, can_read, can_update)
        self.prepares = False

    def check_description(self, description: bytes) -> None:
        if not description.startswith(b"tbs:") and not description.startswith(b"bin:"):
            raise Errno(EINVAL)
        digits = description[4:]
        for digit in digits[:_MOST_HASH_DIGITS]:
            if digit not in b"0123456789abcdef":
                raise Errno(EINVAL)
        if len(digits) > _MOST_HASH_DIGITS:
            raise Errno(ENOPKG)
        if len(digits) == 0 or len(digits) % 2 != 0:
            raise Errno(EINVAL)

    def prepare(self, data: bytes, size: int) -> Content:
        return Content(b"", 0)

    def complete(self, key: Key, content: Content, finder: Finder) -> Content:
        raise Errno(EPERM)

    def update(self, key: Key, content: Content, finder: Finder) -> None:
        raise Errno(EPERM)


_PSK: Final = SharedSecretType(b"psk", can_read=True, can_update=False)
_PROVISIONING: Final = ProvisioningType(b"fscrypt-provisioning", can_read=False, can_update=False, has_details=True)
_DENIAL: Final = DenialType(b"blacklist", can_read=False, can_update=True)
_TYPES: Final[list[KeyType]] = [USER, LOGON, KEYRING, ENCRYPTED, ASYMMETRIC, _PSK, _PROVISIONING, _DENIAL]


def find_type(name: bytes) -> KeyType | None:
    """A type by its name."""
    for each in _TYPES:
        if each.name == name:
            return each
    return None
