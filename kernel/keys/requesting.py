"""Asking for keys, and making those that were asked for: request_key(2), KEYCTL_INSTANTIATE and KEYCTL_REJECT.

A key that is not found, and for which there is information for a program, is put under construction, into a keyring.
/sbin/request-key gets its number, and a session keyring with the authority to make it (request-key(8)). When it has
ended, the key has been constructed or refused, or it becomes a negative one for a minute. Everybody who finds the key
meanwhile waits.

Two threads that ask for the same key do not put it under construction twice: nothing sleeps between a search that finds
none and the link, unless another key was put under construction during the search.

Context: thread context. Sleeps until the program has ended, whatever signals come.
Source: request_key(2), keyctl_instantiate(3), security/keys/request-key of Linux's documentation.
"""

from typing import Final

from kernel.keys.adding import OwnFinder, new_key
from kernel.keys.key import ALL, KEYRING, KEYS, LINK, OWNER, POSSESSOR, READ, VIEW, Key, KeyType
from kernel.keys.keychain import Authority, Keychain, Reference, keyrings_of, search_chain, target_of_request
from kernel.keys.keyring import Keyring, Search, as_keyring, invalidate
from kernel.lang import EACCES, EAGAIN, EBUSY, ENOENT, ENOKEY, EPERM, Errno, final, noraise
from kernel.lib.credentials import Credentials
from kernel.time.clock import realtime_seconds

_NEGATIVE_S: Final = 60  # how long a key that nobody constructed is known to be missing
_HELPERS: Final = ALL << POSSESSOR | (VIEW | READ) << OWNER
_PROGRAM: Final = b"/sbin/request-key"


class Upcall:
    """Runs the program that makes keys. Base class: see kernel/task/key_helper.py."""

    def run(self, words: list[bytes], session: Keyring) -> None:
        """Run it to its end. Raises what execve(2) raises, EAGAIN, MemoryError."""
        raise Errno(ENOENT)


@final
class Request:
    """A request for a key: the requester, and the key."""

    def __init__(self, chain: Keychain, who: Credentials, number: int, kind: KeyType, description: bytes) -> None:
        """`number` is the thread's. Raises EINVAL for what no key of the type is found by."""
        self.chain: Keychain = chain
        self.who: Credentials = who
        self.number: int = number
        self.wanted: Search = Search(kind, description, who)
        self.wanted.skips_expired = True
        self.wanted.scan_if_asked()


def request(asked: Request, callout: bytes | None, target: Reference | None, upcall: Upcall) -> int:
    """request_key(2): a key from the thread's keyrings, and a link to it in another one; or one that a program makes.
    Returns its number. Raises ENOKEY, EKEYREVOKED, EKEYEXPIRED, EACCES, ERESTARTSYS, the error with which the program
    refused the key, what running it raises, and what linking raises.
    """
    keyring: Key | None = None if target is None else target.key
    if keyring is not None:
        keyring.acquire()
    key: Key | None = None
    try:
        key = _obtain(asked, callout, keyring, upcall)
        key.wait_until_made()
        key.check_use(realtime_seconds())
        return key.serial
    finally:
        if key is not None:
            key.release()
        if keyring is not None:
            keyring.release()


def _obtain(asked: Request, callout: bytes | None, target: Key | None, upcall: Upcall) -> Key:
    """The key, with a reference; perhaps it is still under construction."""
    wanted = asked.wanted
    while True:
        count = KEYS.requests
        key = search_chain(asked.chain, wanted)
        if key is not None:
            key.acquire()
            try:
                if target is not None:
                    if not key.permits(asked.who, is_possessed=True, right=LINK):
                        raise Errno(EACCES)
                    as_keyring(target).link_checked(key)
            except (Errno, MemoryError):
                key.release()
                raise
            return key
        if wanted.error != EAGAIN:
            raise Errno(wanted.error)
        if callout is None:
            raise Errno(ENOKEY)
        if wanted.kind is KEYRING:
            raise Errno(EPERM)
        destination: Key = target_of_request(asked.chain, asked.who) if target is None else target
        if count == KEYS.requests:
            return _make(asked, callout, destination, upcall)


def _make(asked: Request, callout: bytes, target: Key, upcall: Upcall) -> Key:
    """A key that a program makes, with a reference. It is under construction from here on, until the end."""
    key = new_key(asked.wanted.kind, asked.wanted.description, asked.who)
    destination: Keyring | None = None
    try:
        key.is_awaited = True
        destination = as_keyring(target)
        destination.link(key)
        destination.acquire()
    except (Errno, MemoryError):
        key.release()
        raise
    KEYS.requests += 1
    authority: Authority | None = None
    session: Keyring | None = None
    is_made = False
    try:
        authority = Authority(key, destination, asked.chain, asked.who, callout, asked.number)
        of_user = keyrings_of(asked.who.uid)
        name = f"_req.{key.serial}".encode()
        session = Keyring(name, asked.who.fsuid, asked.who.fsgid, _HELPERS, may_overrun=True)
        session.link(authority)
        upcall.run(_words(asked, key, of_user.session), session)
        if key.is_awaited or key.is_invalidated or key.is_revoked or realtime_seconds() >= key.expiry_s:
            raise Errno(ENOKEY)
        is_made = True
    finally:
        if key.is_awaited:
            key.reject(ENOKEY, _NEGATIVE_S)
        if authority is not None:
            _retire(authority)
            authority.release()
        if session is not None:
            session.release()
        destination.release()
        if not is_made:
            key.release()
    return key


def _words(asked: Request, key: Key, of_users_session: Keyring) -> list[bytes]:
    """The program's arguments: what to do, for whom, and what keyrings he has."""
    chain = asked.chain
    session = chain.session
    words = [_PROGRAM, b"create"]
    words.append(f"{key.serial}".encode())
    words.append(f"{int(asked.who.fsuid)}".encode())
    words.append(f"{int(asked.who.fsgid)}".encode())
    words.append(_number_of(chain.thread))
    words.append(_number_of(chain.process))
    words.append(_number_of(of_users_session if session is None else session))
    return words


def _number_of(keyring: Keyring | None) -> bytes:
    return b"0" if keyring is None else f"{keyring.serial}".encode()


@noraise
def _retire(authority: Authority) -> None:
    """The key is constructed or refused: nobody has authority over it any more."""
    invalidate(authority)


# ---- Making it ------------------------------------------------------------------------------------------------------


def instantiate(authority: Authority, payload: bytes, target: Key | None, finder: OwnFinder) -> None:
    """KEYCTL_INSTANTIATE: give the key its payload, and link it to another keyring. Raises ENOTDIR, EBUSY if it has
    been constructed or refused, EDQUOT, and what its type and linking raise.
    """
    key = authority.target
    if key is None:
        raise Errno(EPERM)
    key.acquire()
    if target is not None:
        target.acquire()
    try:
        content = key.kind.prepare(payload, len(payload))
        keyring = None if target is None else as_keyring(target)
        if keyring is not None:
            keyring.check_room(key.index)
            keyring.check_restriction(key.kind, content.details)
        if not key.is_awaited:
            raise Errno(EBUSY)
        filled = key.kind.complete(key, content, finder)
        if not key.is_awaited:
            raise Errno(EBUSY)  # somebody else was quicker
        key.charge(filled.quota_bytes)
        try:
            if keyring is not None:
                keyring.link(key)
        except (Errno, MemoryError):
            key.uncharge(0)
            raise
        key.take(filled)
        key.instantiate()
        _retire(authority)
    finally:
        key.release()
        if target is not None:
            target.release()


def reject(authority: Authority, timeout_s: int, error: int, target: Key | None) -> None:
    """KEYCTL_REJECT: refuse the key with an error for a time, and link it to another keyring. Raises EBUSY, EPERM for a
    keyring with a restriction, and what linking raises: then it is refused nevertheless.
    """
    key = authority.target
    if key is None or (isinstance(target, Keyring) and target.restriction is not None):
        raise Errno(EPERM)
    if not key.is_awaited:
        raise Errno(EBUSY)
    key.acquire()
    if target is not None:
        target.acquire()
    try:
        key.reject(error, timeout_s)
        _retire(authority)
        if target is not None:
            as_keyring(target).link(key)
    finally:
        key.release()
        if target is not None:
            target.release()
