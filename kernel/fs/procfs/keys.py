"""/proc/keys and /proc/key-users (proc_keys(5))."""

from typing import Final

from kernel.keys.key import (
    KEYS,
    MOST_BYTES,
    MOST_KEYS,
    NEVER,
    POSSESSOR,
    ROOTS_BYTES,
    ROOTS_KEYS,
    VIEW,
    Key,
    KeyAccount,
)
from kernel.keys.keychain import owns
from kernel.lang import final
from kernel.lib.credentials import gid_for_caller, uid_for_caller
from kernel.lib.ids import NO_GROUP, OVERFLOW, ROOT_USER
from kernel.lib.order import Walk
from kernel.lib.pace import pace
from kernel.lib.proc_files import TextPieces, proc_pieces
from kernel.task.task import current
from kernel.time.clock import realtime_seconds

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400
_WEEK: Final = 604800
_COST: Final = 3000  # instructions for a key


@final
class KeyLines(TextPieces):
    """A line for each key that the reader may view."""

    def __init__(self) -> None:
        self._keys: Walk[Key] = Walk(KEYS.in_order)

    def next(self) -> bytes | None:
        while True:
            pace(_COST)
            key = self._keys.next()
            if key is None:
                return None
            if _may_view(key):
                return _line(key)


def _may_view(key: Key) -> bool:
    task = current()
    chain = task.keys
    is_possessed = False
    if chain is not None and key.permissions >> POSSESSOR & VIEW != 0:
        is_possessed = owns(chain, task.credentials, key)
    return key.permits(task.credentials, is_possessed, VIEW)


def _line(key: Key) -> bytes:
    flags = ("I" if key.is_instantiated else "-") + ("R" if key.is_revoked else "-") + "-"
    flags += ("Q" if key.in_quota else "-") + ("U" if key.is_awaited else "-") + ("N" if key.refusal != 0 else "-")
    flags += "i" if key.is_invalidated else "-"
    gid = OVERFLOW.group if key.gid == NO_GROUP else gid_for_caller(key.gid)
    text = f"{key.serial:08x} {flags} {key.usage:5d} ".encode() + _expiry(key.expiry_s)
    text += f" {key.permissions:08x} {uid_for_caller(key.uid):5d} {gid:5d} ".encode()
    return text + (key.kind.name + b"         ")[:9] + b" " + key.shown() + b"\n"


def _expiry(expiry_s: int) -> bytes:
    """How long it is valid, in at least four characters."""
    if expiry_s == NEVER:
        return b"perm"
    left = expiry_s - realtime_seconds()
    if left <= 0:
        return b"expd"
    text = f"{left // _WEEK}w"
    if left < _MINUTE:
        text = f"{left}s"
    elif left < _HOUR:
        text = f"{left // _MINUTE}m"
    elif left < _DAY:
        text = f"{left // _HOUR}h"
    elif left < _WEEK:
        text = f"{left // _DAY}d"
    return b" " * max(4 - len(text), 0) + text.encode()


@proc_pieces("keys")
def keys() -> TextPieces:
    """The keys that the reader may view: number, flags, references, expiry, permissions, owner, type, description."""
    return KeyLines()


@final
class KeyUserLines(TextPieces):
    """A line for each user who owns keys."""

    def __init__(self) -> None:
        self._accounts: Walk[KeyAccount] = Walk(KEYS.accounts_in_order)

    def next(self) -> bytes | None:
        pace(_COST)
        account = self._accounts.next()
        return None if account is None else _account_line(account)


def _account_line(account: KeyAccount) -> bytes:
    most_keys = ROOTS_KEYS.value if account.uid == ROOT_USER else MOST_KEYS.value
    most_bytes = ROOTS_BYTES.value if account.uid == ROOT_USER else MOST_BYTES.value
    usage = account.keys + 1 if account.uid == ROOT_USER else account.keys  # root's account never ends
    text = f"{uid_for_caller(account.uid):5d}: {usage:5d} {account.keys}/{account.instantiated} "
    text += f"{account.charged_keys}/{most_keys} {account.charged_bytes}/{most_bytes}\n"
    return text.encode()


@proc_pieces("key-users")
def key_users() -> TextPieces:
    """The use of keys by user: references, keys and instantiated ones, keys and bytes of their limits."""
    return KeyUserLines()
