"""Which keyrings a thread has, and how keys are found through them: thread-keyring(7), process-keyring(7),
session-keyring(7), user-keyring(7), user-session-keyring(7), persistent-keyring(7).

Whoever has a keyring possesses it, and all keys that are found from there. A thread has its own keyring, that of its
process and that of its session; instead of the last, its user's session keyring. Keyrings of users are created on
demand, and stay.

A program that makes a key for somebody else (requesting.py) has an `Authority`: it finds what the requestor finds.

Context: thread context. Looking keys up takes safe points, and waits for keys that are under construction.
"""

from enum import IntEnum
from typing import Final

from kernel.keys.key import (
    ALL,
    KEYS,
    LINK,
    OWNER,
    PERSISTENT_EXPIRY,
    POSSESSOR,
    READ,
    SEARCH,
    SET_ATTRIBUTES,
    VIEW,
    WRITE,
    Finder,
    Key,
    KeyType,
)
from kernel.keys.keyring import PERSISTENT, Keyring, Search, search, sweep
from kernel.lang import EACCES, EAGAIN, EINVAL, EKEYREVOKED, ENOKEY, Errno, final, noraise
from kernel.lib.credentials import Credentials, uid_for_caller
from kernel.lib.ids import NO_GROUP, NO_USER, KernelUid
from kernel.lib.order import Walk
from kernel.lib.pace import pace
from kernel.time.clock import realtime_seconds

THREAD: Final = -1  # KEY_SPEC_…
PROCESS: Final = -2
SESSION: Final = -3
OF_USER: Final = -4
OF_USERS_SESSION: Final = -5
OF_AUTHORITY: Final = -7
OF_REQUESTOR: Final = -8
_FOR_REQUESTOR: Final = 7  # KEY_REQKEY_DEFL_REQUESTOR_KEYRING

_OWN: Final = ALL << POSSESSOR | VIEW << OWNER
_SHOWN: Final = ALL << POSSESSOR | (VIEW | READ) << OWNER
_OF_USER: Final = (ALL & ~SET_ATTRIBUTES) << POSSESSOR | ALL << OWNER
_PERSISTENT: Final = (ALL & ~SET_ATTRIBUTES) << POSSESSOR | (VIEW | READ) << OWNER
_NAME_COST: Final = 300


class Judging(IntEnum):
    """What is asked of a key that is looked up."""

    USE = 0  # it must be good, and not a negative one
    PARTIAL = 1  # it may be negative, or under construction
    MADE = 2  # it must be constructed, and may be anything
    NOTHING = 3


@final
class UserKeyrings:
    """Those of a user."""

    def __init__(self, of_user: Keyring, session: Keyring) -> None:
        self.of_user: Keyring = of_user
        self.session: Keyring = session


_USERS: Final[dict[KernelUid, UserKeyrings]] = {}


@final
class Reference:
    """A key that was found, and whether the caller possesses it."""

    def __init__(self, key: Key, is_possessed: bool) -> None:
        self.key: Key = key
        self.is_possessed: bool = is_possessed


@final
class Keychain:
    """The keyrings of one thread. Each is a reference."""

    def __init__(self) -> None:
        self.thread: Keyring | None = None
        self.process: Keyring | None = None
        self.session: Keyring | None = None
        self.default: int = 0  # KEYCTL_SET_REQKEY_KEYRING
        self.authority: Authority | None = None  # to make a key for somebody else (KEYCTL_ASSUME_AUTHORITY)

    @noraise
    def release(self) -> None:
        """The thread ends."""
        self.leave_program()
        self.assume(None)
        session = self.session
        self.session = None
        if session is not None:
            session.release()

    @noraise
    def leave_program(self) -> None:
        """execve(2): a new program has no keyring but the session's."""
        thread = self.thread
        process = self.process
        self.thread = None
        self.process = None
        if thread is not None:
            thread.release()
        if process is not None:
            process.release()

    def child(self, who: Credentials, is_thread: bool) -> "Keychain | None":
        """What a child has: a thread also the process's, and a keyring of its own if its maker has one. Raises
        MemoryError.
        """
        session = self.session
        authority = self.authority
        if session is None and self.default == 0 and authority is None and not is_thread:
            return None
        fresh = Keychain()
        fresh.default = self.default
        if is_thread and self.thread is not None:
            fresh.thread = Keyring(b"_tid", who.uid, who.gid, _OWN, may_overrun=True)
        if session is not None:
            session.acquire()
            fresh.session = session
        process = self.process
        if is_thread and process is not None:
            process.acquire()
            fresh.process = process
        fresh.assume(authority)
        return fresh

    def copy(self) -> "Keychain":
        """The same keyrings, as they are now. Raises MemoryError."""
        fresh = Keychain()
        for keyring in (self.thread, self.process, self.session):
            if keyring is not None:
                keyring.acquire()
        fresh.thread = self.thread
        fresh.process = self.process
        fresh.session = self.session
        return fresh

    @noraise
    def assume(self, authority: "Authority | None") -> None:
        """Have the authority to make a key for somebody else, in place of another one; or none."""
        old = self.authority
        if authority is not None:
            authority.usage += 1
        self.authority = authority
        if old is not None:
            old.release()

    def follow_ids(self, who: Credentials) -> None:
        """The thread acts as another user or group: so does its own keyring."""
        thread = self.thread
        if thread is not None:
            thread.uid = who.fsuid
            thread.gid = who.fsgid

    # ---- Making them ----------------------------------------------------------------------------------------------

    def own_thread(self, who: Credentials) -> Keyring:
        """The thread's, created if there is none. Raises MemoryError."""
        if self.thread is None:
            self.thread = Keyring(b"_tid", who.uid, who.gid, _OWN, may_overrun=True)
        return self.thread

    def own_process(self, who: Credentials) -> Keyring:
        """The process's."""
        if self.process is None:
            self.process = Keyring(b"_pid", who.uid, who.gid, _OWN, may_overrun=True)
        return self.process

    def join(self, who: Credentials, name: bytes | None) -> int:
        """KEYCTL_JOIN_SESSION_KEYRING: have another session keyring, a new one if it has no name or none of the name
        is found. Returns its number, or 0 if it is what the thread has. Raises EINVAL, EDQUOT, MemoryError.
        """
        if name is None:
            self._change_session(Keyring(b"_ses", who.uid, who.gid, _SHOWN, may_overrun=self.session is None))
        else:
            if len(name) == 0:
                raise Errno(EINVAL)
            found = find_named(name, who)
            if found is None:
                permissions = _SHOWN | LINK << OWNER
                self._change_session(Keyring(name, who.uid, who.gid, permissions))
            elif found is self.session:
                return 0
            else:
                found.acquire()
                self._change_session(found)
        session = self.session
        return 0 if session is None else session.serial

    def take_session(self, keyring: Keyring) -> None:
        """Have a session keyring."""
        keyring.acquire()
        self._change_session(keyring)

    @noraise
    def _change_session(self, keyring: Keyring) -> None:
        """Have one whose reference is given."""
        old = self.session
        self.session = keyring
        if old is not None:
            old.release()

    def own_session(self, who: Credentials, creates: bool) -> Keyring:
        """The session's; if there is none the user's, or a new one where something will be put in."""
        session = self.session
        if session is None:
            users = keyrings_of(who.uid)
            if creates:
                self.join(who, None)
            else:
                self.take_session(users.session)
        elif session.is_users_keyring and creates:
            self.join(who, None)
        session = self.session
        if session is None:
            raise Errno(ENOKEY)
        return session


# ---- Authority ------------------------------------------------------------------------------------------------------


@final
class AuthorityType(KeyType):
    """Authorities: what is read is the information that the helper is to make a key from."""

    def length(self, key: Key) -> int:
        return len(key.callout) if isinstance(key, Authority) else 0

    def read(self, key: Key, finder: Finder) -> bytes:
        return key.callout if isinstance(key, Authority) else b""


AUTHORITY: Final = AuthorityType(b".request_key_auth", can_read=True, can_update=False)
_ITS_PERMISSIONS: Final = (VIEW | READ | SEARCH | LINK) << POSSESSOR | VIEW << OWNER


@final
class Authority(Key):
    """The authority to make a key for somebody who asked for it: a key itself, which its helper finds and assumes. It
    holds references to the key, to the keyring that the key is for, and to the requestor's keyrings.
    """

    def __init__(
        self, target: Key, destination: Keyring | None, chain: "Keychain", who: Credentials, callout: bytes, number: int
    ) -> None:
        """`number` is that of the thread that asked. Raises EKEYREVOKED, MemoryError."""
        requestor = chain
        kept = who
        asking = chain.authority
        if asking is not None:
            # Whoever asks while it makes a key itself asks on behalf of the first requestor.
            if asking.is_revoked:
                raise Errno(EKEYREVOKED)
            requestor = asking.requestor
            kept = asking.who
            number = asking.number
        kept = kept.without_rules()
        keyrings = requestor.copy()
        name = f"{target.serial:x}".encode()
        try:
            super().__init__(AUTHORITY, name, who.fsuid, who.fsgid, _ITS_PERMISSIONS, in_quota=False)
        except (Errno, MemoryError):
            keyrings.release()
            raise
        self.requestor: Keychain = keyrings
        self.who: Credentials = kept
        self.number: int = number
        self.callout: bytes = callout
        self.target: Key | None = target
        self.destination: Keyring | None = destination
        target.acquire()
        if destination is not None:
            destination.acquire()
        self.instantiate()

    def is_good(self) -> bool:
        """Whether the key is still to be constructed."""
        return not self.is_invalidated and not self.is_revoked and realtime_seconds() < self.expiry_s

    @noraise
    def drop_payload(self) -> None:
        target = self.target
        destination = self.destination
        self.target = None
        self.destination = None
        self.requestor.release()
        if destination is not None:
            destination.release()
        if target is not None:
            target.release()

    def shown(self) -> bytes:
        return b"key:" + self.description + f" pid:{self.number} ci:{len(self.callout)}".encode()


def find_authority(chain: Keychain, who: Credentials, number: int) -> Authority:
    """The authority over a key, in the thread's keyrings. Raises ENOKEY, EKEYREVOKED, EKEYEXPIRED, EACCES."""
    wanted = Search(AUTHORITY, f"{number:x}".encode(), who)
    found = search_chain(chain, wanted)
    if not isinstance(found, Authority):
        raise Errno(ENOKEY if wanted.error == EAGAIN else wanted.error)
    return found


# ---- Users' keyrings ------------------------------------------------------------------------------------------------


def find_named(name: bytes, who: Credentials) -> Keyring | None:
    """A keyring of a name that may be searched, whoever created it."""
    walk = Walk(KEYS.in_order)
    while True:
        pace(_NAME_COST)
        key = walk.next()
        if key is None:
            return None
        if isinstance(key, Keyring) and key.description == name and key.usage > 0:
            if not key.is_revoked and not key.is_users_keyring and key.permits(who, is_possessed=False, right=SEARCH):
                return key


def keyrings_of(uid: KernelUid) -> UserKeyrings:
    """A user's, created if need be. Raises EDQUOT, MemoryError."""
    found = _USERS.get(uid)
    if found is not None:
        return found
    of_user = Keyring(f"_uid.{uid_for_caller(uid)}".encode(), uid, NO_GROUP, _OF_USER)
    try:
        session = Keyring(f"_uid_ses.{uid_for_caller(uid)}".encode(), uid, NO_GROUP, _OF_USER)
        try:
            session.link(of_user)
            found = UserKeyrings(of_user, session)
            _USERS[uid] = found
        except (Errno, MemoryError):
            session.release()
            raise
    except (Errno, MemoryError):
        of_user.release()
        raise
    of_user.is_users_keyring = True
    session.is_users_keyring = True
    return found


def persistent_of(uid: KernelUid, who: Credentials, target: Keyring) -> int:
    """KEYCTL_GET_PERSISTENT: link a user's persistent keyring, created if need be, to another. Raises EACCES, and what
    linking raises.
    """
    found = PERSISTENT.get(uid)
    if found is not None and realtime_seconds() >= found.expiry_s:
        PERSISTENT.pop(uid)
        found.persistent_for = NO_USER
        found.release()
        found = None
    if found is None:
        found = Keyring(f"_persistent.{uid_for_caller(uid)}".encode(), uid, NO_GROUP, _PERSISTENT, in_quota=False)
        try:
            PERSISTENT[uid] = found
        except MemoryError:
            found.release()
            raise
        found.persistent_for = uid
        found.set_timeout(PERSISTENT_EXPIRY.value)  # `sweep` drops it, even if nobody can link to it
    if not found.permits(who, is_possessed=True, right=LINK):
        raise Errno(EACCES)
    target.link_checked(found)
    found.set_timeout(PERSISTENT_EXPIRY.value)
    return found.serial


# ---- Finding keys ---------------------------------------------------------------------------------------------------


def search_chain(chain: Keychain, wanted: Search) -> Key | None:
    """Look in all keyrings of a thread, and in those of whoever it makes a key for. None if nothing is found:
    `wanted.error` is ENOKEY or another error of a key that is no good, EAGAIN if a keyring could be searched, or else
    why none could.
    """
    found = _search_own(chain, wanted)
    authority = chain.authority
    if found is not None or authority is None:
        return found
    own_error = wanted.error
    error = EACCES
    if wanted.kind is not AUTHORITY and authority.is_good():
        who = wanted.who
        wanted.who = authority.who
        authority.acquire()  # others may run meanwhile
        try:
            found = _search_own(authority.requestor, wanted)
        finally:
            wanted.who = who
            authority.release()
        if found is not None:
            return found
        error = wanted.error
    if own_error == ENOKEY or error == ENOKEY:
        wanted.error = ENOKEY
    elif own_error == EACCES:
        wanted.error = error
    else:
        wanted.error = own_error
    return None


def _search_own(chain: Keychain, wanted: Search) -> Key | None:
    best = 0
    other = EAGAIN
    session = chain.session
    if session is None:
        users = _USERS.get(wanted.who.uid)
        session = None if users is None else users.session
    for keyring in (chain.thread, chain.process, session):
        if keyring is None:
            continue
        found = search(keyring, is_possessed=True, wanted=wanted)
        if found is not None:
            return found
        if wanted.error == ENOKEY or (wanted.error == EAGAIN and best == 0):
            best = wanted.error
        elif wanted.error != EAGAIN:
            other = wanted.error
    wanted.error = best if best != 0 else other
    return None


def possesses(chain: Keychain, who: Credentials, key: Key) -> bool:
    """Whether a key is found from a thread's keyrings."""
    wanted = Search(key.kind, key.description, who)
    wanted.wanted = key
    return search_chain(chain, wanted) is key


def owns(chain: Keychain, who: Credentials, key: Key) -> bool:
    """The same, without those of whoever it makes a key for."""
    wanted = Search(key.kind, key.description, who)
    wanted.wanted = key
    return _search_own(chain, wanted) is key


def look_up(
    chain: Keychain, who: Credentials, number: int, right: int, creates: bool = False, judging: Judging = Judging.USE
) -> Reference:
    """A key by its number, or one of the thread's keyrings by KEY_SPEC_…, which it is given if it `creates`. A `right`
    of 0 is none that is asked for. Waits for a key that is under construction, if it has to be complete. Raises ENOKEY,
    EINVAL, EKEYREVOKED, EKEYEXPIRED, a negative key's error, EACCES, ERESTARTSYS.
    """
    sweep()
    found = _find(chain, who, number, creates)
    key = found.key
    if key.is_awaited and (judging == Judging.USE or judging == Judging.MADE):
        _wait_for(key)
    if judging == Judging.USE:
        key.check_use(realtime_seconds())
    elif judging == Judging.PARTIAL:
        key.validate(realtime_seconds())
    if right != 0 and not key.permits(who, found.is_possessed, right):
        raise Errno(EACCES)
    return found


def _wait_for(key: Key) -> None:
    """Sleep until a key is constructed. Raises ERESTARTSYS, ENOKEY if it ended meanwhile."""
    key.acquire()
    try:
        key.wait_until_made()
    finally:
        key.release()
    if key.usage == 0:
        raise Errno(ENOKEY)


def _find(chain: Keychain, who: Credentials, number: int, creates: bool) -> Reference:
    if number == THREAD:
        own = chain.own_thread(who) if creates else chain.thread
    elif number == PROCESS:
        own = chain.own_process(who) if creates else chain.process
    elif number == SESSION:
        own = chain.own_session(who, creates)
    elif number == OF_USER:
        own = keyrings_of(who.uid).of_user
    elif number == OF_USERS_SESSION:
        own = keyrings_of(who.uid).session
    elif number == OF_AUTHORITY:
        authority = chain.authority
        if authority is None:
            raise Errno(ENOKEY)
        return Reference(authority, is_possessed=True)
    elif number == OF_REQUESTOR:
        own = _destination(chain)
    elif number < 1:
        raise Errno(EINVAL)
    else:
        key = KEYS.by_serial.get(number)
        if key is None or key.usage == 0:
            raise Errno(ENOKEY)
        is_possessed = possesses(chain, who, key)
        if key.usage == 0:
            raise Errno(ENOKEY)  # it ended while others ran
        return Reference(key, is_possessed)
    if own is None:
        raise Errno(ENOKEY)
    return Reference(own, is_possessed=True)


def _destination(chain: Keychain) -> Keyring | None:
    """Where the key goes that the thread makes for somebody else."""
    authority = chain.authority
    if authority is None:
        return None
    if authority.is_revoked:
        raise Errno(EKEYREVOKED)
    return authority.destination


# ---- Adding and asking ----------------------------------------------------------------------------------------------


def new_permissions(can_read: bool, can_write: bool) -> int:
    """Of a key that a program adds."""
    own = VIEW | SEARCH | LINK | SET_ATTRIBUTES
    if can_read:
        own |= READ
    if can_write:
        own |= ALL & ~(VIEW | SEARCH | LINK | SET_ATTRIBUTES | READ)
    return own << POSSESSOR | VIEW << OWNER


def target_of_request(chain: Keychain, who: Credentials) -> Keyring:
    """Where a key goes that was asked for, unless the caller said it: what KEYCTL_SET_REQKEY_KEYRING chose, or the
    first that there is from there on. Raises EACCES, and what making a user's keyrings raises.
    """
    chosen = chain.default
    from_first = chosen in (0, _FOR_REQUESTOR)
    authority = chain.authority
    if from_first and authority is not None and not authority.is_revoked and authority.destination is not None:
        return authority.destination  # a helper's right to put keys there is its requestor's
    keyring = _default_target(chain, who)
    if not keyring.permits(who, is_possessed=True, right=WRITE):
        raise Errno(EACCES)
    return keyring


def _default_target(chain: Keychain, who: Credentials) -> Keyring:
    chosen = chain.default
    from_first = chosen in (0, _FOR_REQUESTOR)
    for keyring in (
        chain.thread if from_first or chosen == -THREAD else None,
        chain.process if from_first or chosen in (-THREAD, -PROCESS) else None,
        chain.session if from_first or chosen in (-THREAD, -PROCESS, -SESSION) else None,
    ):
        if keyring is not None:
            return keyring
    users = keyrings_of(who.uid)
    return users.of_user if chosen == -OF_USER else users.session
