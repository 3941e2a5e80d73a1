"""keyctl(2): operations on existing keys."""

from typing import Final

from kernel.doors.table import syscall
from kernel.keys.adding import known_type, update
from kernel.keys.key import ALL, LINK, SEARCH, SET_ATTRIBUTES, WRITE
from kernel.keys.keychain import (
    SESSION,
    Judging,
    persistent_of,
)
from kernel.keys.keyring import Keyring, Restriction, as_keyring, invalidate, move
from kernel.keys.public import ASYMMETRIC, is_circle, restriction_by
from kernel.lang import (
    EACCES,
    EDEADLK,
    EEXIST,
    EINVAL,
    ENOENT,
    ENOKEY,
    EOPNOTSUPP,
    EPERM,
    ERESTART_RESTARTBLOCK,
    ERESTARTNOHAND,
    ERESTARTNOINTR,
    ERESTARTSYS,
    Errno,
    UserAddr,
    i32,
    noinline,
)
from kernel.lib.capabilities import CAP_SETUID, CAP_SYS_ADMIN
from kernel.lib.credentials import gid_from_caller, uid_from_caller
from kernel.lib.ids import NO_GROUP, NO_USER
from kernel.syscalls.key_arguments import (
    LONGEST_DESCRIPTION,
    chain_of,
    finder_of,
    found_key,
    key_or_awaited,
    payload_at,
    text_at,
    type_at,
)
from kernel.syscalls.key_exchange import compute_power
from kernel.syscalls.key_instantiation import assume, instantiate_key, reject_key
from kernel.syscalls.key_operations import query, transform, verify
from kernel.syscalls.key_reports import describe, read_key, search_keyring, show_label, tell_capabilities
from kernel.task.acting import real_credentials
from kernel.task.task import Task, current
from kernel.task.words import signed_32

_LONGEST_UPDATE: Final = 4096
_LONGEST_RESTRICTION: Final = 4096
_UNCHANGED: Final = 0xFFFF_FFFF
_PERMISSIONS: Final = ALL << 24 | ALL << 16 | ALL << 8 | ALL
_EXCLUSIVE: Final = 1  # KEYCTL_MOVE_EXCL
_LAST_ERROR: Final = 4095
_RESTARTS: Final = (ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK)  # KEYCTL_REJECT refuses these


@syscall(
    "keyctl", status="Full", args="one:keyctl any any any any -> key_serial",
)  # fmt: skip
def keyctl(operation: i32, second: int, third: int, fourth: int, fifth: int) -> int:
    """keyctl(2)."""
    match operation:
        case 0:  # KEYCTL_GET_KEYRING_ID
            return found_key(second, SEARCH, creates=signed_32(third) != 0).key.serial
        case 1:
            return _join_session(UserAddr(second))
        case 2:
            data = payload_at(UserAddr(third), fourth, _LONGEST_UPDATE)
            update(finder_of(current()), found_key(second, WRITE), data)
        case 3:
            _revoke(second)
        case 4:
            _change_owner(second, third & 0xFFFF_FFFF, fourth & 0xFFFF_FFFF)
        case 5:
            _set_permissions(second, third & 0xFFFF_FFFF)
        case 6:
            return describe(second, UserAddr(third), fourth)
        case 7:  # KEYCTL_CLEAR
            as_keyring(found_key(second, WRITE, creates=True).key).clear()
        case 8:  # KEYCTL_LINK
            keyring = found_key(third, WRITE, creates=True).key
            key = found_key(second, LINK, creates=True).key
            as_keyring(keyring).link_checked(key)
        case 9:  # KEYCTL_UNLINK
            keyring = found_key(third, WRITE).key
            key = found_key(second, 0, judging=Judging.NOTHING).key
            as_keyring(keyring).unlink(key)
        case 10:
            return search_keyring(second, UserAddr(third), UserAddr(fourth), fifth)
        case 11:
            return read_key(second, UserAddr(third), fourth)
        case _:
            return _control_more(operation, second, third, fourth, fifth)
    return 0


@noinline
def _control_more(operation: int, second: int, third: int, fourth: int, fifth: int) -> int:
    """The rest of keyctl(2)."""
    match operation:
        case 12 | 20:  # KEYCTL_INSTANTIATE, KEYCTL_INSTANTIATE_IOV
            instantiate_key(operation, second, UserAddr(third), fourth, fifth)
        case 13:  # KEYCTL_NEGATE
            reject_key(second, third & 0xFFFF_FFFF, ENOKEY, fourth)
        case 14:
            return _choose_default(signed_32(second))
        case 15:  # KEYCTL_SET_TIMEOUT
            key = key_or_awaited(second, SET_ATTRIBUTES, creates=True).key
            key.set_timeout(third & 0xFFFF_FFFF)
        case 16:  # KEYCTL_ASSUME_AUTHORITY
            return assume(signed_32(second))
        case 17:
            return show_label(second, UserAddr(third), fourth)
        case 18:
            _give_session_to_parent(current())
        case 19:  # KEYCTL_REJECT
            error = fourth & 0xFFFF_FFFF
            if error == 0 or error >= _LAST_ERROR or error in _RESTARTS:
                raise Errno(EINVAL)
            reject_key(second, third & 0xFFFF_FFFF, error, fifth)
        case 21:  # KEYCTL_INVALIDATE
            invalidate(found_key(second, SEARCH).key)
        case 22:
            return _get_persistent(second & 0xFFFF_FFFF, third)
        case 23:  # KEYCTL_DH_COMPUTE
            return compute_power(UserAddr(second), UserAddr(third), fourth, UserAddr(fifth))
        case 24:  # KEYCTL_PKEY_QUERY
            if third != 0:
                raise Errno(EINVAL)
            query(second, UserAddr(fourth), UserAddr(fifth))
        case 25 | 26 | 27:
            return transform(operation, UserAddr(second), UserAddr(third), UserAddr(fourth), UserAddr(fifth))
        case 28:
            verify(UserAddr(second), UserAddr(third), UserAddr(fourth), UserAddr(fifth))
        case 29:
            _restrict(second, UserAddr(third), UserAddr(fourth))
        case 30:
            _move(second, third, fourth, fifth & 0xFFFF_FFFF)
        case 31:
            return tell_capabilities(UserAddr(second), third)
        case _:
            raise Errno(EOPNOTSUPP)
    return 0


def _join_session(address: UserAddr) -> int:
    name: bytes | None = None
    if address != 0:
        name = text_at(address, LONGEST_DESCRIPTION)
        if name.startswith(b"."):
            raise Errno(EPERM)
    task = current()
    return chain_of(task).join(task.credentials, name)


def _revoke(number: int) -> None:
    """A key may be revoked by anyone who may write to it or change its attributes."""
    try:
        found = found_key(number, WRITE)
    except Errno as error:
        if error.code != EACCES:
            raise
        found = found_key(number, SET_ATTRIBUTES)
    found.key.revoke()


def _change_owner(number: int, uid: int, gid: int) -> None:
    if uid == _UNCHANGED and gid == _UNCHANGED:
        return
    owner = uid_from_caller(uid)
    group = gid_from_caller(gid)
    if (uid != _UNCHANGED and owner == NO_USER) or (gid != _UNCHANGED and group == NO_GROUP):
        raise Errno(EINVAL)
    key = found_key(number, SET_ATTRIBUTES, creates=True, judging=Judging.PARTIAL).key
    who = current().credentials
    gives_away = uid != _UNCHANGED and owner != key.uid
    is_foreign_group = gid != _UNCHANGED and group != key.gid and not who.in_group(group)
    if (gives_away or is_foreign_group) and not who.capable(CAP_SYS_ADMIN):
        raise Errno(EACCES)
    if gives_away:
        key.change_owner(owner)
    if gid != _UNCHANGED:
        key.gid = group


def _set_permissions(number: int, permissions: int) -> None:
    if permissions & ~_PERMISSIONS != 0:
        raise Errno(EINVAL)
    key = found_key(number, SET_ATTRIBUTES, creates=True, judging=Judging.PARTIAL).key
    who = current().credentials
    if key.uid != who.fsuid and not who.capable(CAP_SYS_ADMIN):
        raise Errno(EACCES)
    key.permissions = permissions


def _choose_default(chosen: int) -> int:
    """KEYCTL_SET_REQKEY_KEYRING: where to put keys that request_key(2) creates. Returns the previous choice."""
    task = current()
    chain = chain_of(task)
    before = chain.default
    if chosen == -1:
        return before
    if not 0 <= chosen <= 7 or chosen == 6:
        raise Errno(EINVAL)
    if chosen == 1:
        chain.own_thread(task.credentials)
    elif chosen == 2:
        chain.own_process(task.credentials)
    chain.default = chosen
    return before


def _give_session_to_parent(task: Task) -> None:
    """KEYCTL_SESSION_TO_PARENT: give the parent this session keyring. Raises EPERM for a parent of another user,
    or with threads.
    """
    mine = as_keyring(found_key(SESSION, LINK).key)
    parent = task.process.parent
    other = None if parent is None else parent.any_thread()
    if parent is None or other is None or other.is_exiting or len(parent.threads) > 1:
        raise Errno(EPERM)
    if int(parent.pid) <= 1:
        raise Errno(EPERM)
    who = task.credentials
    theirs = real_credentials(other)
    chain = other.keys
    if chain is not None and chain.session is mine:
        return
    same_user = theirs.uid == who.euid and theirs.euid == who.euid and theirs.suid == who.euid
    same_group = theirs.gid == who.egid and theirs.egid == who.egid and theirs.sgid == who.egid
    if not same_user or not same_group or mine.uid != who.euid:
        raise Errno(EPERM)
    old = None if chain is None else chain.session
    if old is not None and old.uid != who.euid:
        raise Errno(EPERM)
    chain_of(other).take_session(mine)


def _get_persistent(uid: int, target: int) -> int:
    who = current().credentials
    owner = who.uid if uid == _UNCHANGED else uid_from_caller(uid)
    if owner == NO_USER:
        raise Errno(EINVAL)
    if owner != who.uid and owner != who.euid and not who.capable_here(CAP_SETUID):
        raise Errno(EPERM)
    return persistent_of(owner, who, as_keyring(found_key(target, WRITE, creates=True).key))


def _restrict(number: int, kind: UserAddr, restriction: UserAddr) -> None:
    """KEYCTL_RESTRICT_KEYRING: no more links at all, or only to keys that the type of a text decides about."""
    found = found_key(number, SET_ATTRIBUTES)
    if (kind == 0) != (restriction == 0):
        raise Errno(EINVAL)
    name = b""
    text = b""
    if kind != 0:
        name = type_at(kind)
        text = text_at(restriction, _LONGEST_RESTRICTION)
    keyring = as_keyring(found.key)
    if kind == 0:
        _set_restriction(keyring, Restriction())
    elif known_type(name) is ASYMMETRIC:
        _set_restriction(keyring, restriction_by(text))
    else:
        raise Errno(ENOENT)


def _set_restriction(keyring: Keyring, restriction: Restriction) -> None:
    """Raises EEXIST if there is one, EDEADLK if it would trust itself."""
    error = EEXIST if keyring.restriction is not None else EDEADLK if is_circle(keyring, restriction) else 0
    if error != 0:
        restriction.release()
        raise Errno(error)
    keyring.restriction = restriction


def _move(number: int, source: int, target: int, flags: int) -> None:
    if flags & ~_EXCLUSIVE != 0:
        raise Errno(EINVAL)
    key = found_key(number, LINK, creates=True).key
    old = found_key(source, WRITE).key
    fresh = found_key(target, WRITE, creates=True).key
    move(key, as_keyring(old), as_keyring(fresh), is_exclusive=flags != 0)
