"""Which keyrings a thread has, and how keys are found through them: thread-keyring(7), process-keyring(7),
session-keyring(7), user-keyring(7), user-session-keyring(7), persistent-keyring(7).

Whoever has a keyring possesses it, and all keys that are found from there. A thread has its own keyring, that of its
process and that of its session; instead of the last, its user's session keyring. Those of users are made when somebody
asks for them, and stay.

Deviations from Linux: keys that wait for a program to make them (request-key(8)) do not exist, as no such program is
run; so nobody ever has their authority.

Context: thread context. Looking keys up takes safe points.
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
    Key,
)
from kernel.keys.keyring import PERSISTENT, Keyring, Search, search, sweep
from kernel.lang import EACCES, EAGAIN, EINVAL, ENOKEY, Errno, final, noraise
from kernel.lib.credentials import Credentials, uid_for_caller
from kernel.lib.ids import NO_GROUP, NO_USER, KernelUid
from kernel.lib.pace import pace
from kernel.time.clock import realtime_seconds

THREAD: Final = -1  # KEY_SPEC_…
PROCESS: Final = -2
SESSION: Final = -3
OF_USER: Final = -4
OF_USERS_SESSION: Final = -5
_AUTHORITY: Final = -7
_REQUESTOR: Final = -8
_FOR_REQUESTOR: Final = 7  # KEY_REQKEY_DEFL_REQUESTOR_KEYRING

_OWN: Final = ALL << POSSESSOR | VIEW << OWNER
_SHOWN: Final = ALL << POSSESSOR | (VIEW | READ) << OWNER
_OF_USER: Final = (ALL & ~SET_ATTRIBUTES) << POSSESSOR | ALL << OWNER
_PERSISTENT: Final = (ALL & ~SET_ATTRIBUTES) << POSSESSOR | (VIEW | READ) << OWNER
_NAME_COST: Final = 60


class Judging(IntEnum):
    """What is asked of a key that is looked up."""

    USE = 0  # it must be good, and not a negative one
    PARTIAL = 1  # it may be negative
    NOTHING = 2


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

    @noraise
    def release(self) -> None:
        """The thread ends."""
        self.leave_program()
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
        if session is None and self.default == 0 and not is_thread:
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
        return fresh

    def follow_ids(self, who: Credentials) -> None:
        """The thread acts as another user or group: so does its own keyring."""
        thread = self.thread
        if thread is not None:
            thread.uid = who.fsuid
            thread.gid = who.fsgid

    # ---- Making them ----------------------------------------------------------------------------------------------

    def own_thread(self, who: Credentials) -> Keyring:
        """The thread's, made if there is none. Raises MemoryError."""
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


def find_named(name: bytes, who: Credentials) -> Keyring | None:
    """A keyring of a name that may be searched, whoever made it."""
    for key in list(KEYS.by_serial.values()):
        pace(_NAME_COST)
        if isinstance(key, Keyring) and key.description == name and key.usage > 0:
            if not key.is_revoked and not key.is_users_keyring and key.permits(who, is_possessed=False, right=SEARCH):
                return key
    return None


def keyrings_of(uid: KernelUid) -> UserKeyrings:
    """A user's, made if need be. Raises EDQUOT, MemoryError."""
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
    """KEYCTL_GET_PERSISTENT: link a user's persistent keyring, made if need be, to another. Raises EACCES, and what
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
    """Look in all keyrings of a thread. None if nothing is found: `wanted.error` is ENOKEY or another error of a key
    that is no good, EAGAIN if a keyring could be searched, or else why none could.
    """
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


def look_up(
    chain: Keychain, who: Credentials, number: int, right: int, creates: bool = False, judging: Judging = Judging.USE
) -> Reference:
    """A key by its number, or one of the thread's keyrings by KEY_SPEC_…, which it is given if it `creates`. A `right`
    of 0 is none that is asked for. Raises ENOKEY, EINVAL, EKEYREVOKED, EKEYEXPIRED, a negative key's error, EACCES.
    """
    sweep()
    found = _find(chain, who, number, creates)
    key = found.key
    if judging == Judging.USE:
        key.check_use(realtime_seconds())
    elif judging == Judging.PARTIAL:
        key.validate(realtime_seconds())
    if right != 0 and not key.permits(who, found.is_possessed, right):
        raise Errno(EACCES)
    return found


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
    elif number == _AUTHORITY or number == _REQUESTOR:
        own = None  # nobody ever asks a program for a key
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
    first that there is from there on.
    """
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
