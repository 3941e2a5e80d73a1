"""Adding and updating keys: what add_key(2) and KEYCTL_UPDATE mean.

Context: thread context; takes safe points, and waits for keys that are under construction.
"""

from kernel.keys.key import KEYRING, WRITE, Content, DetailedKey, Finder, Key, KeyType, index_of
from kernel.keys.keychain import Keychain, Reference, new_permissions, search_chain
from kernel.keys.keyring import Keyring, Search, as_keyring
from kernel.keys.kinds import find_type
from kernel.lang import EACCES, EAGAIN, EINVAL, ENODEV, ENOKEY, EOPNOTSUPP, Errno, final
from kernel.lib.credentials import Credentials
from kernel.time.clock import realtime_seconds


def known_type(name: bytes) -> KeyType:
    """A type by its name. Raises ENOKEY."""
    kind = find_type(name)
    if kind is None:
        raise Errno(ENOKEY)
    return kind


@final
class OwnFinder(Finder):
    """Finds keys as request_key(2) does that asks no program."""

    def __init__(self, chain: Keychain, who: Credentials) -> None:
        self.chain: Keychain = chain
        self.who: Credentials = who

    def find(self, kind: KeyType, description: bytes) -> Key:
        wanted = Search(kind, description, self.who)
        wanted.skips_expired = True
        wanted.scan_if_asked()
        key = search_chain(self.chain, wanted)
        if key is None:
            raise Errno(ENOKEY if wanted.error == EAGAIN else wanted.error)
        key.acquire()
        try:
            key.wait_until_made()
            key.check_use(realtime_seconds())
        except (Errno, MemoryError):
            key.release()
            raise
        return key


def add(finder: OwnFinder, target: Reference, name: bytes, description: bytes, payload: bytes) -> int:
    """add_key(2): make a key, or update the one of that name. Returns its number. Raises ENODEV, EINVAL, ENOTDIR,
    EACCES, EDQUOT, EPERM, EKEYREVOKED, MemoryError, and what the type says.
    """
    kind = find_type(name)
    if kind is None:
        raise Errno(ENODEV)
    if len(description) == 0 and not kind.prepares:
        raise Errno(EINVAL)
    keyring = as_keyring(target.key)
    keyring.acquire()
    key: Key | None = None
    try:
        content = kind.prepare(payload, len(payload))
        if len(description) == 0:
            description = content.description
        if len(description) == 0:
            raise Errno(EINVAL)
        key = _key_for(finder, Reference(keyring, target.is_possessed), kind, description, content)
        return key.serial
    finally:
        if key is not None:
            key.release()
        keyring.release()


def _key_for(finder: OwnFinder, target: Reference, kind: KeyType, description: bytes, content: Content) -> Key:
    """A key of that name in a keyring, which has the content. With a reference."""
    who = finder.who
    keyring = as_keyring(target.key)
    index = index_of(kind, description)
    keyring.check_room(index)
    keyring.check_restriction(kind, content.details)
    if not keyring.permits(who, target.is_possessed, WRITE):
        raise Errno(EACCES)
    found = keyring.links.get(index) if kind.can_update else None
    if found is not None and not found.is_invalidated and not found.is_revoked:
        found.acquire()
        try:
            found.wait_until_made()
            if not found.permits(who, target.is_possessed, WRITE):
                raise Errno(EACCES)
            kind.update(found, content, finder)
        except (Errno, MemoryError):
            found.release()
            raise
        return found
    key = new_key(kind, description, who)
    try:
        if kind is KEYRING:
            key.instantiate()
        else:
            filled = kind.complete(key, content, finder)
            key.charge(filled.quota_bytes)
            key.take(filled)
            key.instantiate()
        keyring.link(key)
    except (Errno, MemoryError):
        key.release()
        raise
    return key


def new_key(kind: KeyType, description: bytes, who: Credentials) -> Key:
    """With a reference, and nothing in it. Raises EINVAL, EDQUOT, MemoryError, and what the type says."""
    permissions = new_permissions(kind.can_read, kind.can_update or kind is KEYRING)
    if kind is KEYRING:
        return Keyring(description, who.fsuid, who.fsgid, permissions)
    if len(description) == 0:
        raise Errno(EINVAL)
    kind.check_description(description)
    if kind.has_details:
        return DetailedKey(kind, description, who.fsuid, who.fsgid, permissions)
    return Key(kind, description, who.fsuid, who.fsgid, permissions)


def update(finder: OwnFinder, found: Reference, payload: bytes) -> None:
    """KEYCTL_UPDATE, of a key that may be written. Raises EOPNOTSUPP, EINVAL, EDQUOT, MemoryError."""
    key = found.key
    kind = key.kind
    if not kind.can_update:
        raise Errno(EOPNOTSUPP)
    key.acquire()
    try:
        kind.update(key, kind.prepare(payload, len(payload)), finder)
    finally:
        key.release()
