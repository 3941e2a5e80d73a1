"""Keyrings: keys that link to others, by type and description, and are searched with those below them (keyrings(7)).

Invariant: `keyring.links[key.index] is key` exactly when `key.holders` has the keyring; each link is a reference.
Keyrings have no circles: a link that would make one is refused.

Context: thread context. Searches take safe points; a key that they return may have ended meanwhile, and is then
invalidated for the caller.
"""

from typing import Final

from kernel.keys.key import (
    GC_DELAY,
    KEYRING,
    KEYS,
    NEVER,
    SEARCH,
    Key,
    KeyType,
    index_of,
)
from kernel.lang import (
    EACCES,
    EAGAIN,
    EDEADLK,
    EDQUOT,
    EEXIST,
    EKEYEXPIRED,
    EKEYREVOKED,
    ELOOP,
    ENOENT,
    ENOTDIR,
    EPERM,
    Errno,
    final,
    noraise,
)
from kernel.lib.credentials import Credentials
from kernel.lib.ids import KernelGid, KernelUid
from kernel.lib.pace import pace
from kernel.time.clock import realtime_seconds

_DEEPEST: Final = 6  # keyrings below one another that a search goes down
_LINK_BYTES: Final = 4  # what a link is charged as
_COST: Final = 400  # instructions for a keyring that is searched
_SWEEP_COST: Final = 60


@final
class Keyring(Key):
    """A keyring."""

    def __init__(
        self,
        description: bytes,
        uid: KernelUid,
        gid: KernelGid,
        permissions: int,
        in_quota: bool = True,
        may_overrun: bool = False,
    ) -> None:
        super().__init__(KEYRING, description, uid, gid, permissions, in_quota, may_overrun)
        self.links: dict[bytes, Key] = {}
        self.is_closed: bool = False  # no more links (KEYCTL_RESTRICT_KEYRING)
        self.instantiate()

    def check_open(self) -> None:
        """Raise EKEYREVOKED where nothing can be linked any more."""
        if self.is_revoked or self.usage == 0:
            raise Errno(EKEYREVOKED)

    def check_room(self, index: bytes) -> None:
        """Raise EKEYREVOKED, or EDQUOT if there is no room for another link of a name."""
        self.check_open()
        if index not in self.links and self.in_quota and not self.account.has_room(0, _LINK_BYTES):
            raise Errno(EDQUOT)

    def check_restriction(self) -> None:
        """Raise EPERM if the keyring takes no more keys."""
        if self.is_closed:
            raise Errno(EPERM)

    def link(self, key: Key) -> None:
        """Link to a key, instead of another of the same name if there is one. Raises EKEYREVOKED, EDQUOT, MemoryError.
        """
        self.check_open()
        old = self.links.get(key.index)
        if old is key:
            return
        if old is None:
            self.charge(self.data_bytes + _LINK_BYTES)
        try:
            key.holders[self] = True
            self.links[key.index] = key
        except MemoryError:
            key.holders.pop(self, True)
            if old is None:
                self.uncharge(self.data_bytes - _LINK_BYTES)
            raise
        key.acquire()
        if old is not None:
            old.holders.pop(self, True)
            old.release()

    def link_checked(self, key: Key) -> None:
        """KEYCTL_LINK and its kin: if the keyring takes more, and no circle comes of it. Raises also EPERM, EDEADLK,
        ELOOP.
        """
        self.check_room(key.index)
        self.check_restriction()
        if isinstance(key, Keyring):
            _check_no_circle(self, key)
        self.link(key)

    def unlink(self, key: Key) -> None:
        """Take away the link of the key's name, which may be to another one, as on Linux. Raises ENOENT."""
        found = self.links.get(key.index)
        if found is None:
            raise Errno(ENOENT)
        self._drop(found)

    @noraise
    def _drop(self, key: Key) -> None:
        self.links.pop(key.index, key)
        key.holders.pop(self, True)
        self.uncharge(max(self.data_bytes - _LINK_BYTES, 0))
        key.release()

    @noraise
    def clear(self) -> None:
        """Take all links away."""
        self.drop_payload()
        self.uncharge(0)

    @noraise
    def drop_payload(self) -> None:
        links = self.links
        self.links = NO_LINKS
        for key in links.values():
            key.holders.pop(self, True)
            key.release()
        if self.usage > 0:
            links.clear()
            self.links = links

    def shown_size(self) -> bytes:
        return f": {len(self.links)}".encode() if len(self.links) > 0 else b": empty"


NO_LINKS: Final[dict[bytes, Key]] = {}  # of a keyring that is being emptied


def as_keyring(key: Key) -> Keyring:
    """Raises ENOTDIR for what is no keyring."""
    if not isinstance(key, Keyring):
        raise Errno(ENOTDIR)
    return key


def move(key: Key, source: Keyring, target: Keyring, is_exclusive: bool) -> None:
    """KEYCTL_MOVE. Raises ENOENT, EEXIST, and what linking raises."""
    if source is target:
        return
    if key.index not in source.links:
        raise Errno(ENOENT)
    target.check_open()
    if is_exclusive and key.index in target.links:
        raise Errno(EEXIST)
    target.link_checked(key)
    source.unlink(key)


def invalidate(key: Key) -> None:
    """It is gone for everybody: no keyring links to it any more."""
    if key.is_invalidated:
        return
    key.is_invalidated = True
    key.acquire()
    for holder in list(key.holders.keys()):
        if isinstance(holder, Keyring):
            holder.unlink(key)
        pace(_COST)
    key.release()


def sweep() -> None:
    """Unlink the keys that expired more than kernel.keys.gc_delay ago. Costs next to nothing until there is one."""
    now_s = realtime_seconds()
    if now_s < KEYS.next_dead_s:
        return
    KEYS.next_dead_s = NEVER
    next_s = NEVER
    for key in list(KEYS.by_serial.values()):
        pace(_SWEEP_COST)
        if key.expiry_s == NEVER or key.usage == 0:
            continue
        dead_s = key.expiry_s + GC_DELAY.value
        if dead_s > now_s:
            next_s = min(next_s, dead_s)
            continue
        key.acquire()
        for holder in list(key.holders.keys()):
            if isinstance(holder, Keyring):
                holder.unlink(key)
            pace(_COST)
        key.release()
    KEYS.next_dead_s = min(KEYS.next_dead_s, next_s)


# ---- Searching ------------------------------------------------------------------------------------------------------


@final
class Search:
    """What is looked for, who looks, and what became of it."""

    def __init__(self, kind: KeyType, description: bytes, who: Credentials) -> None:
        self.kind: KeyType = kind
        self.description: bytes = description
        self.index: bytes = index_of(kind, description)
        self.who: Credentials = who
        self.wanted: Key | None = None  # this very key, in whatever state
        self.skips_expired: bool = False
        self.error: int = EAGAIN  # why it was not found
        self.is_possessed: bool = False  # what is found is, if the keyring is where the search begins

    def judge(self, key: Key, now_s: int) -> bool:
        """Whether a key of the name is what is looked for."""
        if self.wanted is not None:
            return key is self.wanted and key.permits(self.who, self.is_possessed, SEARCH)
        if key.is_invalidated or key.is_revoked:
            self.error = EKEYREVOKED
            return False
        if now_s >= key.expiry_s:
            if not self.skips_expired:
                self.error = EKEYEXPIRED
            return False
        if not key.permits(self.who, self.is_possessed, SEARCH):
            self.error = EACCES
            return False
        if key.refusal != 0:
            self.error = key.refusal
            return False
        return True

    def may_enter(self, keyring: Keyring) -> bool:
        """Whether a keyring may be searched."""
        return keyring.permits(self.who, self.is_possessed, SEARCH)


@final
class _Level:
    """A keyring that is being searched: those below it, as they were when it was come to."""

    def __init__(self, keyring: Keyring) -> None:
        self.below: list[Keyring] = []
        for key in keyring.links.values():
            if isinstance(key, Keyring):
                self.below.append(key)
        self.index: int = 0


def search(top: Key, is_possessed: bool, wanted: Search) -> Key | None:
    """Look in a keyring and in those below it. None if there is nothing: `wanted.error` says why."""
    wanted.error = EAGAIN
    wanted.is_possessed = is_possessed
    if not isinstance(top, Keyring):
        wanted.error = ENOTDIR
        return None
    if not wanted.may_enter(top):
        wanted.error = EACCES
        return None
    now_s = realtime_seconds()
    if top.kind is wanted.kind and top.description == wanted.description:
        return top if wanted.judge(top, now_s) else None
    levels: list[_Level] = []
    fresh: Keyring | None = top
    while True:
        if fresh is not None and not fresh.is_revoked and not fresh.is_invalidated:
            found = fresh.links.get(wanted.index)
            if found is not None and wanted.judge(found, now_s):
                return found
            levels.append(_Level(fresh))
            pace(_COST)
        fresh = None
        if len(levels) == 0:
            return None
        level = levels[len(levels) - 1]
        if level.index == len(level.below):
            levels.pop()
            continue
        below = level.below[level.index]
        level.index += 1
        if len(levels) <= _DEEPEST and wanted.may_enter(below):
            fresh = below


def _check_no_circle(keyring: Keyring, below: Keyring) -> None:
    """Raise EDEADLK if `keyring` lies in the tree of `below`, ELOOP if that is too deep to say."""
    if keyring is below or below.links.get(keyring.index) is keyring:
        raise Errno(EDEADLK)
    levels: list[_Level] = [_Level(below)]
    while len(levels) > 0:
        level = levels[len(levels) - 1]
        if level.index == len(level.below):
            levels.pop()
            continue
        each = level.below[level.index]
        level.index += 1
        if len(levels) > _DEEPEST:
            raise Errno(ELOOP)
        if each.links.get(keyring.index) is keyring:
            raise Errno(EDEADLK)
        levels.append(_Level(each))
        pace(_COST)
