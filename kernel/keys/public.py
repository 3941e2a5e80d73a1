"""Keys of type asymmetric: public keys from certificates, how they are found, and keyrings that take only trusted ones.

A search for "id:" and hexadecimal digits finds a key whose identifier ends so, "ex:" one with just that identifier, and
"dn:" one whose subject has that encoding. A key has two identifiers: the number of its certificate with the name of
its issuer, and the one in the certificate's extension.

The keyring of keys that the kernel was built with is empty, so a keyring that trusts those takes none.

Context: takes safe points; raises EINTR once the caller is killed.
Source: crypto/asymmetric-keys of Linux's documentation, keyctl(2).
"""

from typing import Final

from kernel.keys.certificate import Certificate, PublicKey
from kernel.keys.hexadecimal import bytes_of_digits, digits_of
from kernel.keys.key import KEYS, Content, Details, Key, KeyType
from kernel.keys.keyring import Keyring, Restriction, Search, search
from kernel.lang import EINVAL, ENOKEY, ENOPKG, EOPNOTSUPP, Errno, final, noraise
from kernel.lib.credentials import Credentials, caller_credentials
from kernel.lib.numbers import parse_unsigned
from kernel.time.clock import realtime_seconds

_QUOTA_BYTES: Final = 100  # whatever the size of the certificate
_SHOWN_BYTES: Final = 4
_PREFIX: Final = 3
_BY_END: Final = b"id:"
_EXACTLY: Final = b"ex:"
_BY_NAME: Final = b"dn:"


@final
class Public(Details):
    """The certificate of a key."""

    def __init__(self, certificate: Certificate) -> None:
        self.certificate: Certificate = certificate

    def shown(self, key: Key) -> bytes:
        identifier = self.certificate.key_identifier
        text = key.description + b": X509." + self.certificate.key.algorithm
        if identifier != b"":
            text += b" " + digits_of(identifier[max(len(identifier) - _SHOWN_BYTES, 0) :])
        return text + b" []"


def public_key_of(key: Key) -> PublicKey | None:
    """The public key that a key holds, if it is one."""
    details = key.known_details()
    return details.certificate.key if isinstance(details, Public) else None


@final
class AsymmetricType(KeyType):
    """The type."""

    def prepare(self, data: bytes, size: int) -> Content:
        if size == 0:
            raise Errno(EINVAL)
        certificate = Certificate(data)
        content = Content(b"", _QUOTA_BYTES)
        content.details = Public(certificate)
        end = certificate.title.find(b"\0")
        title = certificate.title if end < 0 else certificate.title[:end]
        identifier = certificate.key_identifier
        content.description = title + b": " + digits_of(identifier if identifier != b"" else certificate.serial)
        return content

    def searches_all(self, text: bytes) -> bool:
        if len(text) == 0:
            raise Errno(EINVAL)
        kind = text[:_PREFIX]
        if kind != _BY_END and kind != _EXACTLY and kind != _BY_NAME:
            return False
        if len(bytes_of_digits(text[_PREFIX:])) == 0:
            raise Errno(EINVAL)
        return True

    def matches(self, key: Key, text: bytes) -> bool:
        details = key.known_details()
        if not isinstance(details, Public):
            return False
        certificate = details.certificate
        wanted = bytes_of_digits(text[_PREFIX:])
        kind = text[:_PREFIX]
        if kind == _BY_NAME:
            return certificate.subject == wanted
        if kind == _EXACTLY:
            return certificate.number == wanted or certificate.key_identifier == wanted
        return certificate.number.endswith(wanted) or certificate.key_identifier.endswith(wanted)


ASYMMETRIC: Final = AsymmetricType(b"asymmetric", can_read=False, can_update=False, has_details=True)


# ---- Trust ----------------------------------------------------------------------------------------------------------


@final
class Trusting(Restriction):
    """A keyring that takes public keys which a trusted key has signed."""

    def __init__(self, trusted: Key | None, trusts_members: bool, has_signers: bool = True) -> None:
        """`trusted` is a key, a keyring of such, or None; it may be that members of the keyring are trusted as well. Of
        a keyring that only trusts the kernel's own keys nothing can be a signer.
        """
        self.trusted: Key | None = trusted
        self.trusts_members: bool = trusts_members
        self.has_signers: bool = has_signers
        if trusted is not None:
            trusted.acquire()

    @noraise
    def release(self) -> None:
        trusted = self.trusted
        self.trusted = None
        if trusted is not None:
            trusted.release()

    def check(self, keyring: Keyring, kind: KeyType, details: Details | None) -> None:
        """Raises EOPNOTSUPP for what is no public key, ENOPKG for an unknown signature, ENOKEY if nobody trusted has
        signed it, EKEYREJECTED.
        """
        trusted = self.trusted
        if self.has_signers and trusted is None and not self.trusts_members:
            raise Errno(ENOKEY)
        if kind is not ASYMMETRIC or not isinstance(details, Public):
            raise Errno(EOPNOTSUPP)
        certificate = details.certificate
        signature = certificate.signature
        if signature is None:
            raise Errno(ENOPKG)
        signer: Key | None = None
        if isinstance(trusted, Keyring):
            signer = _signer_in(trusted, certificate)
        elif trusted is not None:
            signer = trusted if _may_be_signer(trusted, certificate) else None
        if signer is None and self.trusts_members:
            signer = _signer_in(keyring, certificate)
        if signer is None:
            raise Errno(ENOKEY)
        signer.acquire()
        try:
            signer.validate(realtime_seconds())
            public = public_key_of(signer)
            if public is None:
                raise Errno(ENOKEY)
            signature.verify(public)
        finally:
            signer.release()


def _may_be_signer(key: Key, certificate: Certificate) -> bool:
    """Whether a key has the names that the signature gives. Raises EOPNOTSUPP if it is no public key."""
    details = key.known_details()
    signature = certificate.signature
    if key.kind is not ASYMMETRIC or signature is None:
        raise Errno(EOPNOTSUPP)
    if not isinstance(details, Public):
        return False
    signer = details.certificate
    if signature.number != b"" and signature.key_identifier != b"":
        return signer.number == signature.number and signer.key_identifier == signature.key_identifier
    if signature.number == b"" and signature.key_identifier == b"":
        return signer.subject == signature.issuer
    name = signature.number if signature.number != b"" else signature.key_identifier
    return signer.number == name or signer.key_identifier == name


def _signer_in(keyring: Keyring, certificate: Certificate) -> Key | None:
    """The key in a keyring, or below it, that the signature names."""
    signature = certificate.signature
    if signature is None:
        return None
    text = _BY_NAME + digits_of(signature.issuer)
    if signature.number != b"":
        text = _EXACTLY + digits_of(signature.number)
    elif signature.key_identifier != b"":
        text = _EXACTLY + digits_of(signature.key_identifier)
    who = caller_credentials()
    wanted = Search(ASYMMETRIC, text, Credentials() if who is None else who)
    wanted.scan_if_asked()
    found = search(keyring, is_possessed=True, wanted=wanted)
    if found is None:
        return None
    details = found.known_details()
    if signature.number != b"" and signature.key_identifier != b"" and isinstance(details, Public):
        if details.certificate.key_identifier != signature.key_identifier:
            return None
    return found


def restriction_by(text: bytes) -> Restriction:
    """What a text asks of the keys in a keyring: "builtin_trusted", "builtin_and_secondary_trusted",
    "key_or_keyring:" with a number, and ":chain" if members of the keyring are trusted. Raises EINVAL, ENOKEY.
    """
    if text == b"builtin_trusted" or text == b"builtin_and_secondary_trusted":
        return Trusting(None, trusts_members=False, has_signers=False)
    words = text.split(b":")
    if words[0] != b"key_or_keyring" or len(words) < 2:
        raise Errno(EINVAL)
    trusts_members = len(words) > 2
    if trusts_members and (len(words) > 3 or words[2] != b"chain"):
        raise Errno(EINVAL)
    serial = _number_in(words[1])
    if serial == 0 and trusts_members:
        return Trusting(None, trusts_members=True)
    key = KEYS.by_serial.get(serial)
    if key is None or key.usage == 0:
        raise Errno(ENOKEY)
    return Trusting(key, trusts_members)


def _number_in(text: bytes) -> int:
    """A number of 32 bits with a sign. Raises EINVAL."""
    is_negative = text.startswith(b"-")
    try:
        value = parse_unsigned(text[1:] if is_negative else text, 0, (1 << 31) + int(is_negative))
    except Errno:
        raise Errno(EINVAL) from None
    return -value if is_negative else value


def is_circle(keyring: Keyring, restriction: Restriction) -> bool:
    """Whether a keyring would in the end be restricted by itself."""
    each: Restriction | None = restriction
    while isinstance(each, Trusting):
        trusted = each.trusted
        if not isinstance(trusted, Keyring):
            return False
        if trusted is keyring:
            return True
        each = trusted.restriction
    return False
