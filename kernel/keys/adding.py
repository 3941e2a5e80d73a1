"""Adding, updating and asking for keys: what add_key(2), request_key(2) and KEYCTL_UPDATE mean.

Linux would run /sbin/request-key to create a missing key. No program is run here: it is as if there were none, so the
key is a negative one for a minute.

Context: thread context; takes safe points.
"""

from typing import Final

from kernel.keys.key import KEYRING, LINK, LOGON, WRITE, Key, KeyType, find_type, index_of
from kernel.keys.keychain import Keychain, Reference, new_permissions, search_chain, target_of_request
from kernel.keys.keyring import Keyring, Search, as_keyring
from kernel.lang import EACCES, EAGAIN, EINVAL, ENODEV, ENOENT, ENOKEY, EOPNOTSUPP, EPERM, Errno
from kernel.lib.credentials import Credentials

_LONGEST_PAYLOAD: Final = 32767
_NEGATIVE_S: Final = 60  # how long a key that nobody made is known to be missing


def known_type(name: bytes) -> KeyType:
    """A type by its name. Raises ENOKEY."""
    kind = find_type(name)
    if kind is None:
        raise Errno(ENOKEY)
    return kind


def add(who: Credentials, target: Reference, name: bytes, description: bytes, payload: bytes) -> int:
    """add_key(2): make a key, or update the one of that name. Returns its number. Raises ENODEV, EINVAL, ENOTDIR,
    EACCES, EDQUOT, EPERM, EKEYREVOKED, MemoryError.
    """
    kind = find_type(name)
    if kind is None:
        raise Errno(ENODEV)
    if len(description) == 0:
        raise Errno(EINVAL)
    keyring = as_keyring(target.key)
    _check_payload(kind, payload)
    index = index_of(kind, description)
    keyring.check_room(index)
    keyring.check_restriction()
    if not keyring.permits(who, target.is_possessed, WRITE):
        raise Errno(EACCES)
    found = keyring.links.get(index) if kind.can_update else None
    if found is not None and not found.is_invalidated and not found.is_revoked:
        _update(who, Reference(found, target.is_possessed), payload)
        return found.serial
    key = _new_key(kind, description, who)
    try:
        if kind is not KEYRING:
            key.set_payload(payload)
        keyring.link(key)
        return key.serial
    finally:
        key.release()


def _new_key(kind: KeyType, description: bytes, who: Credentials) -> Key:
    """With a reference, and nothing in it. Raises EINVAL, EDQUOT, MemoryError."""
    permissions = new_permissions(kind.can_read, kind.can_update or kind is KEYRING)
    if kind is KEYRING:
        return Keyring(description, who.fsuid, who.fsgid, permissions)
    if kind is LOGON and description.find(b":") <= 0:
        raise Errno(EINVAL)  # it must say for which service it is
    return Key(kind, description, who.fsuid, who.fsgid, permissions)


def _check_payload(kind: KeyType, payload: bytes) -> None:
    if kind is KEYRING:
        if len(payload) != 0:
            raise Errno(EINVAL)
    elif not 0 < len(payload) <= _LONGEST_PAYLOAD:
        raise Errno(EINVAL)


def _update(who: Credentials, found: Reference, payload: bytes) -> None:
    if not found.key.permits(who, found.is_possessed, WRITE):
        raise Errno(EACCES)
    found.key.set_payload(payload)


def update(found: Reference, payload: bytes) -> None:
    """KEYCTL_UPDATE, of a key that may be written. Raises EOPNOTSUPP, EINVAL, EDQUOT, MemoryError."""
    if not found.key.kind.can_update:
        raise Errno(EOPNOTSUPP)
    _check_payload(found.key.kind, payload)
    found.key.set_payload(payload)


def request(
    chain: Keychain, who: Credentials, name: bytes, description: bytes, asks_program: bool, target: Reference | None
) -> int:
    """request_key(2): a key from the thread's keyrings, and a link to it in another one. Returns its number. Raises
    ENOKEY, EKEYREVOKED, EKEYEXPIRED, EACCES, ENOENT (no program makes keys), and what linking raises.
    """
    kind = known_type(name)
    wanted = Search(kind, description, who)
    wanted.skips_expired = True
    key = search_chain(chain, wanted)
    if key is not None:
        if target is not None:
            if not key.permits(who, is_possessed=True, right=LINK):
                raise Errno(EACCES)
            as_keyring(target.key).link_checked(key)
        return key.serial
    if wanted.error != EAGAIN:
        raise Errno(wanted.error)
    if not asks_program:
        raise Errno(ENOKEY)
    if kind is KEYRING:
        raise Errno(EPERM)
    if target is None:
        keyring = target_of_request(chain, who)
        if not keyring.permits(who, is_possessed=True, right=WRITE):
            raise Errno(EACCES)
    else:
        keyring = as_keyring(target.key)
    missing = _new_key(kind, description, who)
    try:
        keyring.link_checked(missing)
        missing.reject(ENOKEY, _NEGATIVE_S)
    finally:
        missing.release()
    raise Errno(ENOENT)
