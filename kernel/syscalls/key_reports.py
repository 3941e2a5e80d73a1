"""Reports of keyctl(2) about keys: descriptions, payloads, results of searches, capabilities."""

from typing import Final, Literal

from kernel.keys.adding import known_type
from kernel.keys.key import LINK, READ, SEARCH, VIEW, WRITE, Key
from kernel.keys.keychain import Judging, Reference
from kernel.keys.keyring import Keyring, Search, as_keyring, search
from kernel.lang import EACCES, EAGAIN, EFAULT, EINVAL, ENOKEY, EOPNOTSUPP, Array, Errno, UserAddr, u8
from kernel.lib import user
from kernel.lib.credentials import gid_for_caller, uid_for_caller
from kernel.lib.ids import NO_GROUP, OVERFLOW
from kernel.lib.order import Walk
from kernel.lib.pace import pace
from kernel.syscalls.key_arguments import (
    LONGEST_DESCRIPTION,
    finder_of,
    found_key,
    key_or_awaited,
    text_at,
    type_at,
)
from kernel.task.task import current
from kernel.task.words import signed_32
from kernel.time.clock import realtime_seconds

_PAGE: Final = 4096
_SERIAL_COST: Final = 200
# KEYCTL_CAPABILITIES: capabilities, persistent keyrings, Diffie-Hellman, public keys, invalidation, restriction, moves,
# but no big keys; the second byte: keyrings' names and keys belong to namespaces, but nobody is notified.
_CAPABILITIES: Final = b"\xef\x03"


def describe(number: int, address: UserAddr, size: int) -> int:
    """KEYCTL_DESCRIBE: a text, with its NUL, if it fits; the result is its length."""
    key = key_or_awaited(number, VIEW).key
    gid = OVERFLOW.group if key.gid == NO_GROUP else gid_for_caller(key.gid)
    text = key.kind.name + f";{uid_for_caller(key.uid)};{gid};{key.permissions:08x};".encode()
    text += key.description + b"\0"
    if address != 0 and (size < 0 or size >= len(text)):
        user.write_bytes(address, text)
    return len(text)


def search_keyring(number: int, kind: UserAddr, description: UserAddr, target: int) -> int:
    """KEYCTL_SEARCH: in a keyring and those below it; the key found may be linked to another keyring."""
    name = type_at(kind)
    text = text_at(description, LONGEST_DESCRIPTION)
    top = found_key(number, SEARCH)
    into: Reference | None = None
    if signed_32(target) != 0:
        into = found_key(target, WRITE, creates=True)
    wanted = Search(known_type(name), text, current().credentials)
    wanted.scan_if_asked()
    key = search(top.key, top.is_possessed, wanted)
    if key is None:
        raise Errno(ENOKEY if wanted.error == EAGAIN else wanted.error)
    if into is not None:
        if not key.permits(current().credentials, top.is_possessed, LINK):
            raise Errno(EACCES)
        as_keyring(into.key).link_checked(key)
    return key.serial


def read_key(number: int, address: UserAddr, size: int) -> int:
    """KEYCTL_READ: the payload, if it fits; the result is its length."""
    try:
        found = found_key(number, 0, judging=Judging.MADE)
    except Errno:
        raise Errno(ENOKEY) from None
    key = found.key
    if key.refusal != 0:
        raise Errno(key.refusal)
    if not key.permits(current().credentials, found.is_possessed, READ) and not found.is_possessed:
        raise Errno(EACCES)
    if not key.kind.can_read:
        raise Errno(EOPNOTSUPP)
    key.validate(realtime_seconds())
    has_room = address != 0 and size != 0
    if isinstance(key, Keyring):
        if has_room and 0 < size <= _PAGE and size % 4 != 0:
            raise Errno(EINVAL)
        length = 4 * len(key.links)
    else:
        length = key.kind.length(key)
    if not has_room or 0 <= size < length:
        return length
    if isinstance(key, Keyring):
        return _write_serials(key, address, length)
    data = _payload_of(key)
    if size < 0 or size >= len(data):
        user.write_bytes(address, data)
    return len(data)


def _payload_of(key: Key) -> bytes:
    key.acquire()
    try:
        return key.kind.read(key, finder_of(current()))
    finally:
        key.release()


def _write_serials(keyring: Keyring, address: UserAddr, length: int) -> int:
    """The numbers of the keys that a keyring links to, 32 bits each, up to a length in all, which is returned; fewer if
    links go meanwhile.
    """
    piece: Array[u8, Literal[512]] = Array()
    walk = Walk(keyring.order)
    done = 0
    while True:
        filled = 0
        while filled < len(piece) and done + filled < length:
            key = walk.next()
            if key is None:
                break
            piece.span().store_u32(filled, key.serial)
            filled += 4
            pace(_SERIAL_COST)
        if filled == 0:
            return done
        user.write_from(user.at(address, done), piece.span()[0:filled])
        done += filled


def show_label(number: int, address: UserAddr, size: int) -> int:
    """KEYCTL_GET_SECURITY: keys have no label, which is returned as an empty string."""
    try:
        key_or_awaited(number, VIEW)
    except Errno as error:
        raise Errno(ENOKEY if error.code == EACCES else error.code) from None  # for want of authority, as on Linux
    if address != 0 and size != 0:
        user.write_u8(address, 0)
    return 1


def tell_capabilities(address: UserAddr, size: int) -> int:
    """KEYCTL_CAPABILITIES."""
    if size != 0:
        count = len(_CAPABILITIES) if size < 0 else min(size, len(_CAPABILITIES))
        user.write_bytes(address, _CAPABILITIES[:count])
        if size < 0:
            raise Errno(EFAULT)
        user.clear(user.at(address, count), size - count)
    return len(_CAPABILITIES)
