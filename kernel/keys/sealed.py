"""Keys of type encrypted: random bytes that leave the kernel only encrypted under another key, their master.

The text of such a key is its format, its master, the number of its bytes, and hexadecimal digits: an initial block, a
zero byte, the encrypted bytes, and a keyed hash of all that. Words between blanks say what is to happen:

    new [format] master size [digits]    random bytes, or given ones
    load [format] master size digits     the bytes of a text
    update master                        the same bytes under another master of the same kind

Masters are keys of type user. Those of type trusted live in a chip, which this machine has no driver for.

Context: sleeps, as the master may be under construction.
Source: security/keys/trusted-encrypted of Linux's documentation.
"""

from typing import Final

from kernel.crypto.aes import BLOCK, Aes
from kernel.crypto.hash import hmac
from kernel.crypto.names import SHA256
from kernel.keys.hexadecimal import bytes_of_digits, digits_of
from kernel.keys.key import USER, Content, Details, Finder, Key, KeyType
from kernel.lang import EINVAL, EKEYREVOKED, ENOKEY, EOPNOTSUPP, Errno, final, span_of
from kernel.lib import random
from kernel.lib.numbers import digit_of

_HASH_BYTES: Final = 32
_LEAST_BYTES: Final = 20
_MOST_BYTES: Final = 4096
_DEFAULT: Final = b"default"
_FOR_FILE_SYSTEM: Final = b"ecryptfs"
_OF_32_BYTES: Final = b"enc32"
_TOKEN_BYTES: Final = 740  # what a key for eCryptfs is charged as: its whole authentication token
_FILE_SYSTEM_BYTES: Final = 64
_SHORT_BYTES: Final = 32  # of a key of the format enc32
_NAME_DIGITS: Final = 16  # of a key for eCryptfs, or of 32 bytes
_MASTERS: Final = (b"trusted:", b"user:")
_LONGEST_TEXT: Final = 32767


@final
class Words:
    """What a text says."""

    def __init__(self, data: bytes) -> None:
        """Raises EINVAL."""
        end = data.find(b"\0")
        self._rest: bytes | None = data if end < 0 else data[:end]
        self.command: bytes = b""
        self.layout: bytes | None = None
        self.master: bytes = b""
        self.size: bytes = b""
        self.digits: bytes | None = None

    def next(self) -> bytes | None:
        """The next word, which is empty between two blanks; None if there is none."""
        rest = self._rest
        if rest is None:
            return None
        for index in range(len(rest)):
            if rest[index] == ord(" ") or rest[index] == ord("\t"):
                self._rest = rest[index + 1 :]
                return rest[:index]
        self._rest = None
        return rest

    def must_have(self) -> bytes:
        """The next word. Raises EINVAL if there is none."""
        word = self.next()
        if word is None:
            raise Errno(EINVAL)
        return word


def _parse(data: bytes, is_update: bool) -> Words:
    """Raises EINVAL."""
    words = Words(data)
    words.command = words.must_have()
    word = words.must_have()
    if word == _DEFAULT or word == _FOR_FILE_SYSTEM or word == _OF_32_BYTES:
        words.layout = word
        word = words.must_have()
    words.master = word
    if _kind_of(word) == b"":
        raise Errno(EINVAL)
    if is_update:
        if words.command != b"update":
            raise Errno(EINVAL)
        return words
    words.size = words.must_have()
    if words.command == b"new":
        words.digits = words.next()
    elif words.command == b"load":
        words.digits = words.must_have()
    else:
        raise Errno(EINVAL)
    return words


def _kind_of(master: bytes) -> bytes:
    """What a master's name begins with; nothing if it is none."""
    for kind in (_MASTERS[0], _MASTERS[1]):
        if master.startswith(kind) and len(master) > len(kind):
            return kind
    return b""


def _size_of(text: bytes) -> int:
    """How many bytes: a decimal number, perhaps with a sign and a newline. Raises EINVAL."""
    start = 1 if text.startswith(b"+") else 0
    end = len(text) - 1 if text.endswith(b"\n") else len(text)
    size = 0
    for index in range(start, end):
        digit = digit_of(text[index])
        if digit > 9:
            raise Errno(EINVAL)
        size = min(size * 10 + digit, _MOST_BYTES + 1)
    if start == end or not _LEAST_BYTES <= size <= _MOST_BYTES:
        raise Errno(EINVAL)
    return size


def _random_bytes(count: int) -> bytes:
    storage = bytearray(count)
    random.fill(span_of(storage))
    return bytes(storage)


@final
class Sealing(Details):
    """How the bytes of a key are encrypted."""

    def __init__(self, layout: bytes, master: bytes, size: bytes, start: bytes) -> None:
        self.layout: bytes = layout
        self.master: bytes = master
        self.size: bytes = size  # as it was written
        self.start: bytes = start  # the initial block

    def shown(self, key: Key) -> bytes:
        return key.description + f": {key.data_bytes}".encode()

    def quota_bytes(self, count: int) -> int:
        """What a key of `count` bytes is charged as."""
        kept = _TOKEN_BYTES if self.layout == _FOR_FILE_SYSTEM else count
        texts = len(self.layout) + 1 + len(self.master) + 1 + len(self.size) + 1
        return kept + texts + BLOCK + 1 + _whole_blocks(count) + _HASH_BYTES + 1

    def authenticated(self, sealed: bytes) -> bytes:
        """What the keyed hash is of."""
        return self.layout + b"\0" + self.master + b"\0" + self.size + b"\0" + self.start + b"\0" + sealed

    def length(self, count: int) -> int:
        """Of the text of a key of `count` bytes."""
        texts = len(self.layout) + 1 + len(self.master) + 1 + len(self.size) + 1
        return texts + 2 * (BLOCK + 1 + _whole_blocks(count) + _HASH_BYTES)


def _whole_blocks(count: int) -> int:
    return (count + BLOCK - 1) // BLOCK * BLOCK


def _master(name: bytes, finder: Finder) -> bytes:
    """The secret of a master. Raises EOPNOTSUPP, ENOKEY, EKEYREVOKED, and what searching raises."""
    if _kind_of(name) == _MASTERS[0]:
        raise Errno(EOPNOTSUPP)
    key = finder.find(USER, name[len(_MASTERS[1]) :])
    try:
        if key.is_revoked:
            raise Errno(EKEYREVOKED)
        return key.payload
    finally:
        key.release()


def _derived(purpose: bytes, secret: bytes) -> bytes:
    """A key for one purpose, from a master's secret."""
    text = purpose + b"\0" + secret
    least = max(len(b"AUTH_KEY") + 1 + len(secret), _HASH_BYTES)
    return SHA256.compute(text + bytes(least - len(text)))


@final
class EncryptedType(KeyType):
    """The type."""

    def __init__(self) -> None:
        super().__init__(b"encrypted", can_read=True, can_update=True, has_details=True)
        self.prepares = False

    def prepare(self, data: bytes, size: int) -> Content:
        return Content(data, size)

    def complete(self, key: Key, content: Content, finder: Finder) -> Content:
        if not 0 < len(content.payload) <= _LONGEST_TEXT:
            raise Errno(EINVAL)
        words = _parse(content.payload, is_update=False)
        count = _size_of(words.size)
        given = words.digits if words.command == b"new" else None
        if given is not None:
            raise Errno(EINVAL)
        layout = _DEFAULT if words.layout is None else words.layout
        if layout != _DEFAULT and count != (_FILE_SYSTEM_BYTES if layout == _FOR_FILE_SYSTEM else _SHORT_BYTES):
            raise Errno(EINVAL)
        sealing = Sealing(layout, words.master, words.size, _random_bytes(BLOCK))
        key.charge(sealing.quota_bytes(count))
        if layout != _DEFAULT:
            _check_name(key.description)
        digits = words.digits
        data = _random_bytes(count) if digits is None else _opened(sealing, count, words, finder)
        made = Content(data, sealing.quota_bytes(count))
        made.details = sealing
        return made

    def update(self, key: Key, content: Content, finder: Finder) -> None:
        """Put the key under another master."""
        if key.refusal != 0:
            raise Errno(ENOKEY)
        if not 0 < len(content.payload) <= _LONGEST_TEXT:
            raise Errno(EINVAL)
        words = _parse(content.payload, is_update=True)
        old = key.known_details()
        if not isinstance(old, Sealing) or _kind_of(words.master) != _kind_of(old.master):
            raise Errno(EINVAL)
        sealing = Sealing(old.layout, words.master, old.size, old.start)
        fresh = Content(key.payload, sealing.quota_bytes(len(key.payload)))
        fresh.details = sealing
        key.charge(fresh.quota_bytes)
        key.take(fresh)
        key.instantiate()

    def length(self, key: Key) -> int:
        sealing = key.known_details()
        return sealing.length(len(key.payload)) if isinstance(sealing, Sealing) else 0

    def read(self, key: Key, finder: Finder) -> bytes:
        """The text of the key."""
        sealing = key.known_details()
        if not isinstance(sealing, Sealing):
            return b""
        data = key.payload
        secret = _master(sealing.master, finder)
        padded = data + bytes(_whole_blocks(len(data)) - len(data))
        sealed = Aes(_derived(b"ENC_KEY", secret)).encrypt(padded, sealing.start)
        proof = hmac(SHA256, _derived(b"AUTH_KEY", secret), sealing.authenticated(sealed))
        texts = sealing.layout + b" " + sealing.master + b" " + sealing.size + b" "
        return texts + digits_of(sealing.start + b"\0" + sealed + proof)


def _check_name(name: bytes) -> None:
    """A key for eCryptfs is named by 16 hexadecimal digits. Raises EINVAL."""
    if len(name) != _NAME_DIGITS:
        raise Errno(EINVAL)
    bytes_of_digits(name)


def _opened(sealing: Sealing, count: int, words: Words, finder: Finder) -> bytes:
    """The bytes of a text, whose initial block is then the key's. Raises EINVAL, and what finding the master raises."""
    digits = b"" if words.digits is None else words.digits
    sealed_bytes = _whole_blocks(count)
    if len(digits) != 2 * (BLOCK + 1 + sealed_bytes + _HASH_BYTES):
        raise Errno(EINVAL)
    sealing.start = bytes_of_digits(digits[: 2 * BLOCK])
    blob = bytes_of_digits(digits[2 * BLOCK + 2 :])  # Linux does not look at the byte in between
    sealed = blob[:sealed_bytes]
    secret = _master(sealing.master, finder)
    covered = sealing.authenticated(sealed)
    if words.layout is None:
        covered = covered[len(sealing.layout) + 1 :]
    if hmac(SHA256, _derived(b"AUTH_KEY", secret), covered) != blob[sealed_bytes:]:
        raise Errno(EINVAL)
    return Aes(_derived(b"ENC_KEY", secret)).decrypt(sealed, sealing.start)[:count]


ENCRYPTED: Final = EncryptedType()
