"""Certificates: the public key in one, whose it is, and who signed it (X.509, RFC 5280).

As on Linux, a certificate is not judged here: it may have ended, or may not be meant for what it is used for. Only one
that its own key has signed must have a right signature. A signature with an algorithm that is not known is no error,
but the certificate is then trusted by nobody.

Context: takes safe points; raises EINTR once the caller is killed.
"""

from typing import Final

from kernel.crypto.asn1 import (
    BIT_STRING,
    BOOLEAN,
    GENERALIZED_TIME,
    INTEGER,
    OBJECT,
    OCTET_STRING,
    SEQUENCE,
    SET,
    UTC_TIME,
    Reader,
)
from kernel.crypto.ecdsa import EcdsaKey, find_curve
from kernel.crypto.hash import Hash
from kernel.crypto.names import find_hash
from kernel.crypto.rsa import RsaKey
from kernel.lang import EBADMSG, EINVAL, EKEYREJECTED, EMSGSIZE, ENOPKG, Errno, final
from kernel.lib.numbers import digit_of

_VERSION: Final = 0xA0
_ISSUERS_NUMBER: Final = 0x81
_SUBJECTS_NUMBER: Final = 0x82
_EXTENSIONS: Final = 0xA3
_KEY_IDENTIFIER: Final = 0x80
_AUTHORITYS_NAMES: Final = 0xA1
_AUTHORITYS_NUMBER: Final = 0x82
_DIRECTORY_NAME: Final = 0xA4
_FIRST_NAME: Final = 0x80  # the tags of all kinds of names
_LAST_NAME: Final = 0x88
_HAS_PARTS: Final = 0x20
_TRUE: Final = 0xFF
_LENGTH_MASK: Final = 0xFF  # Linux keeps the length of a part of a name in one byte
_MOST_BYTES: Final = 0xFFFF

_RSA: Final = bytes.fromhex("2a864886f70d010101")
_ELLIPTIC: Final = bytes.fromhex("2a8648ce3d0201")
_COMMON_NAME: Final = bytes.fromhex("550403")
_ORGANIZATION: Final = bytes.fromhex("55040a")
_MAIL: Final = bytes.fromhex("2a864886f70d010901")
_SUBJECT_IDENTIFIER: Final = bytes.fromhex("551d0e")
_KEY_USAGE: Final = bytes.fromhex("551d0f")
_BASIC_CONSTRAINTS: Final = bytes.fromhex("551d13")
_AUTHORITY_IDENTIFIER: Final = bytes.fromhex("551d23")
_CURVES: Final[dict[bytes, bytes]] = {
    bytes.fromhex("2a8648ce3d030101"): b"ecdsa-nist-p192",
    bytes.fromhex("2a8648ce3d030107"): b"ecdsa-nist-p256",
    bytes.fromhex("2b81040022"): b"ecdsa-nist-p384",
    bytes.fromhex("2b81040023"): b"ecdsa-nist-p521",
}
_RSA_HASHES: Final[dict[bytes, bytes]] = {
    bytes.fromhex("2a864886f70d010105"): b"sha1",
    bytes.fromhex("2a864886f70d01010e"): b"sha224",
    bytes.fromhex("2a864886f70d01010b"): b"sha256",
    bytes.fromhex("2a864886f70d01010c"): b"sha384",
    bytes.fromhex("2a864886f70d01010d"): b"sha512",
    bytes.fromhex("60864801650304030e"): b"sha3-256",
    bytes.fromhex("60864801650304030f"): b"sha3-384",
    bytes.fromhex("608648016503040310"): b"sha3-512",
}
_ELLIPTIC_HASHES: Final[dict[bytes, bytes]] = {
    bytes.fromhex("2a8648ce3d0401"): b"sha1",
    bytes.fromhex("2a8648ce3d040301"): b"sha224",
    bytes.fromhex("2a8648ce3d040302"): b"sha256",
    bytes.fromhex("2a8648ce3d040303"): b"sha384",
    bytes.fromhex("2a8648ce3d040304"): b"sha512",
    bytes.fromhex("60864801650304030a"): b"sha3-256",
    bytes.fromhex("60864801650304030b"): b"sha3-384",
    bytes.fromhex("60864801650304030c"): b"sha3-512",
}
_HASHES_WITHOUT_CODE: Final[dict[bytes, bytes]] = {  # certificates are taken, but trusted by nobody
    bytes.fromhex("2a85030701010302"): b"streebog256",
    bytes.fromhex("2a85030701010303"): b"streebog512",
}
ELLIPTIC_HASHES: Final = (
    b"sha1", b"sha224", b"sha256", b"sha384", b"sha512", b"sha3-256", b"sha3-384", b"sha3-512",
)  # fmt: skip
_ALIKE: Final = 7  # that many equal first bytes of an organization and a name that make the first one superfluous


@final
class PublicKey:
    """A public key as it is in a certificate: an algorithm, and bytes that were not looked at yet."""

    def __init__(self, algorithm: bytes, data: bytes) -> None:
        self.algorithm: bytes = algorithm
        self.data: bytes = data

    def is_rsa(self) -> bool:
        """Or one of an elliptic curve."""
        return self.algorithm == b"rsa"

    def rsa(self) -> RsaKey:
        """Raises EBADMSG, EINVAL."""
        return RsaKey(self.data)

    def elliptic(self) -> EcdsaKey:
        """Raises EINVAL, ENOPKG."""
        curve = find_curve(self.algorithm)
        if curve is None:
            raise Errno(ENOPKG)
        return EcdsaKey(curve, self.data)

    def verify(self, encoding: bytes, hash_name: bytes, digest: bytes, signature: bytes) -> None:
        """Whether a signature is the key's. Raises EINVAL, EBADMSG, EKEYREJECTED."""
        if self.is_rsa():
            if encoding != b"pkcs1":
                raise Errno(EINVAL)
            self.rsa().verify(hash_name, digest, signature)
        else:
            if encoding != b"x962" or hash_name not in ELLIPTIC_HASHES:
                raise Errno(EINVAL)
            self.elliptic().verify(digest, signature)


@final
class Signature:
    """The signer of a certificate, by the three names that it may have, and how it signed."""

    def __init__(self) -> None:
        self.is_rsa: bool = False
        self.hash_name: bytes = b""
        self.digest: bytes = b""
        self.data: bytes = b""
        self.issuer: bytes = b""  # his name
        self.key_identifier: bytes = b""  # that of his key, if it is given
        self.number: bytes = b""  # that of the signer's certificate, with the name of its issuer

    def verify(self, key: PublicKey) -> None:
        """Whether the key signed it. Raises EKEYREJECTED, EINVAL, EBADMSG."""
        if key.is_rsa() != self.is_rsa:
            raise Errno(EKEYREJECTED)
        key.verify(b"pkcs1" if self.is_rsa else b"x962", self.hash_name, self.digest, self.data)


@final
class Certificate:
    """What is in a certificate. What names a key are bytes; those that it does not have are empty."""

    def __init__(self, data: bytes) -> None:
        """Raises EMSGSIZE, EBADMSG, ENOPKG, EINVAL, EKEYREJECTED."""
        self.key: PublicKey = PublicKey(b"", b"")
        self.subject: bytes = b""
        self.title: bytes = b""  # the subject in words
        self.key_identifier: bytes = b""
        self.serial: bytes = b""
        self.signature: Signature | None = None
        self._issuer: bytes = b""
        self._authority: bytes | None = None
        self._has_key_identifier: bool = False
        made = Signature()
        if len(data) > _MOST_BYTES:
            raise Errno(EMSGSIZE)
        outer = Reader(data)
        parts = Reader(outer.expect(SEQUENCE))
        content = parts.expect(SEQUENCE)
        signed = parts.whole
        algorithm = self._read_signed(Reader(content), made)
        method = Reader(parts.expect(SEQUENCE))
        stated = method.expect(OBJECT)
        _skip_parameters(method)
        bits = parts.expect(BIT_STRING)
        if stated != algorithm:
            raise Errno(EINVAL)
        if len(bits) < 1 or bits[0] != 0:
            raise Errno(EBADMSG)
        made.data = bits[1:]
        parts.end()
        authority = self._authority
        if authority is not None:
            _read_authority(Reader(authority), made)
        found: Hash | None = find_hash(made.hash_name)
        if found is None:
            return
        made.digest = found.compute(signed)
        if self._is_own(made):
            try:
                made.verify(self.key)
            except Errno as error:
                if error.code != ENOPKG:
                    raise
                return
        self.signature = made

    @property
    def number(self) -> bytes:
        """Its number, with the name of its issuer."""
        return self.serial + self._issuer

    def _is_own(self, made: Signature) -> bool:
        """Whether its own key seems to have signed it. Raises EKEYREJECTED if two names contradict each other."""
        if self.subject != self._issuer:
            return False
        if made.number == b"" and made.key_identifier == b"":
            return True
        same_key = made.key_identifier != b"" and made.key_identifier == self.key_identifier
        same_number = made.number != b"" and made.number == self.number
        if not same_key and not same_number:
            return False
        if same_key != same_number and made.number != b"" and made.key_identifier != b"":
            raise Errno(EKEYREJECTED)
        return True

    def _read_signed(self, reader: Reader, made: Signature) -> bytes:
        """The part that is signed. Returns the algorithm of the signature."""
        if reader.is_next(_VERSION):
            version = Reader(reader.read())
            version.expect(INTEGER)
            version.end()
        self.serial = reader.expect(INTEGER)
        method = Reader(reader.expect(SEQUENCE))
        algorithm = method.expect(OBJECT)
        _skip_parameters(method)
        _set_method(made, algorithm)
        self._issuer = reader.expect(SEQUENCE)
        _title_of(self._issuer)
        made.issuer = self._issuer
        times = Reader(reader.expect(SEQUENCE))
        _check_time(times)
        if times.has_more():  # as on Linux, the end may be missing
            _check_time(times)
        times.end()
        self.subject = reader.expect(SEQUENCE)
        self.title = _title_of(self.subject)
        self._read_key(Reader(reader.expect(SEQUENCE)))
        for tag in (_ISSUERS_NUMBER, _SUBJECTS_NUMBER):
            if reader.is_next(tag):
                reader.read()
        if reader.is_next(_EXTENSIONS):
            wrapped = Reader(reader.read())
            extensions = Reader(wrapped.expect(SEQUENCE))
            wrapped.end()
            self._read_extension(Reader(extensions.expect(SEQUENCE)))
            while extensions.has_more():
                self._read_extension(Reader(extensions.expect(SEQUENCE)))
        reader.end()
        return algorithm

    def _read_key(self, reader: Reader) -> None:
        method = Reader(reader.expect(SEQUENCE))
        algorithm = method.expect(OBJECT)
        parameters = b""
        if method.has_more():
            method.read()
            parameters = method.whole
            method.end()
        bits = reader.expect(BIT_STRING)
        name = b"rsa"
        if algorithm == _ELLIPTIC:
            if len(parameters) < 2 or parameters[0] != OBJECT or parameters[1] != len(parameters) - 2:
                raise Errno(EBADMSG)
            name = _CURVES.get(parameters[2:], b"")
        elif algorithm != _RSA:
            name = b""
        if name == b"":
            raise Errno(ENOPKG)
        if len(bits) < 1 or bits[0] != 0:
            raise Errno(EBADMSG)
        reader.end()
        self.key = PublicKey(name, bits[1:])

    def _read_extension(self, reader: Reader) -> None:
        name = reader.expect(OBJECT)
        if reader.is_next(BOOLEAN):
            reader.read()
        value = reader.expect(OCTET_STRING)
        size = len(value)
        if name == _SUBJECT_IDENTIFIER:
            if self._has_key_identifier or size < 3 or value[0] != OCTET_STRING or value[1] != size - 2:
                raise Errno(EBADMSG)
            self._has_key_identifier = True
            self.key_identifier = value[2:]
        elif name == _KEY_USAGE:
            if size < 4 or value[0] != BIT_STRING or value[2] >= 8:
                raise Errno(EBADMSG)
        elif name == _BASIC_CONSTRAINTS:
            _check_constraints(value)
        elif name == _AUTHORITY_IDENTIFIER:
            self._authority = value
        reader.end()


def _check_constraints(value: bytes) -> None:
    """Raise EBADMSG for basic constraints that neither are empty nor say first that the subject may sign others."""
    size = len(value)
    if size < 2 or value[0] != SEQUENCE or value[1] != size - 2:
        raise Errno(EBADMSG)
    if size > 2 and (size < 5 or value[2] != BOOLEAN or value[3] != 1 or value[4] != _TRUE):
        raise Errno(EBADMSG)


def _set_method(made: Signature, algorithm: bytes) -> None:
    """Raises ENOPKG for an algorithm that is not known."""
    hash_name = _RSA_HASHES.get(algorithm, b"")
    made.is_rsa = hash_name != b""
    made.hash_name = hash_name if hash_name != b"" else _ELLIPTIC_HASHES.get(algorithm, b"")
    if made.hash_name == b"":
        made.hash_name = _HASHES_WITHOUT_CODE.get(algorithm, b"")
    if made.hash_name == b"":
        raise Errno(ENOPKG)


def _skip_parameters(method: Reader) -> None:
    if method.has_more():
        method.read()
    method.end()


def _title_of(name: bytes) -> bytes:
    """A name in words: that of a person or a thing, with the organization's if it does not begin with that."""
    common = b""
    organization = b""
    mail = b""
    parts = Reader(name)
    values = Reader(parts.expect(SET))
    while True:
        pair = Reader(values.expect(SEQUENCE))
        kind = pair.expect(OBJECT)
        value = pair.read()
        pair.end()
        value = value[: len(value) & _LENGTH_MASK]
        if kind == _COMMON_NAME:
            common = value
        elif kind == _ORGANIZATION:
            organization = value
        elif kind == _MAIL:
            mail = value
        if values.has_more():
            continue
        if not parts.has_more():
            break
        values = Reader(parts.expect(SET))
    if common != b"" and organization != b"":
        if common.startswith(organization):
            return common
        if len(common) >= _ALIKE and len(organization) >= _ALIKE and common[:_ALIKE] == organization[:_ALIKE]:
            return common
        return organization + b": " + common
    if common != b"":
        return common
    return organization if organization != b"" else mail


def _check_time(reader: Reader) -> None:
    """Raise EBADMSG for what is no time."""
    text = reader.read()
    size = 13 if reader.tag == UTC_TIME else 15
    if (reader.tag != UTC_TIME and reader.tag != GENERALIZED_TIME) or len(text) != size or text[size - 1] != ord("Z"):
        raise Errno(EBADMSG)
    for index in range(size - 1):
        if digit_of(text[index]) > 9:
            raise Errno(EBADMSG)
    start = size - 11
    year = _pair(text, 0)
    if reader.tag == UTC_TIME:
        year += 1900 if year >= 50 else 2000
    else:
        year = year * 100 + _pair(text, 2)
        if 1950 <= year <= 2049:
            raise Errno(EBADMSG)
    month = _pair(text, start)
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = 31
    if month == 2:
        days = 29 if is_leap else 28
    elif month in (4, 6, 9, 11):
        days = 30
    is_right = year >= 1970 and 1 <= month <= 12 and 1 <= _pair(text, start + 2) <= days
    if not is_right or _pair(text, start + 4) > 24 or _pair(text, start + 6) > 59 or _pair(text, start + 8) > 60:
        raise Errno(EBADMSG)


def _pair(text: bytes, index: int) -> int:
    return digit_of(text[index]) * 10 + digit_of(text[index + 1])


def _read_authority(outer: Reader, made: Signature) -> None:
    """The extension that names the key which signed."""
    reader = Reader(outer.expect(SEQUENCE))
    if reader.is_next(_KEY_IDENTIFIER):
        made.key_identifier = reader.read()
    issuer = b""
    if reader.is_next(_AUTHORITYS_NAMES):
        names = Reader(reader.read())
        while names.has_more():
            content = names.read()
            if not _FIRST_NAME <= names.tag & ~_HAS_PARTS <= _LAST_NAME:
                raise Errno(EBADMSG)
            if names.tag | _HAS_PARTS == _DIRECTORY_NAME:
                wrapped = Reader(content)
                issuer = wrapped.expect(SEQUENCE)
                wrapped.end()
                _title_of(issuer)
    if reader.is_next(_AUTHORITYS_NUMBER):
        number = reader.read()
        if issuer != b"":
            made.number = number + issuer
    reader.end()
