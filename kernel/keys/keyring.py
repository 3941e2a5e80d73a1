"""Keyrings: keys that link to others, by type and description, and are searched with those below them (keyrings(7)).

Invariant: `keyring.links[key.index] is key` exactly when `key.holders` has the keyring; each link is a reference. Its
number there is its place in the keyring's order, and in that of the keyrings below. Keyrings have no circles: a link
that would make one is refused.

Context: thread context. Searches take safe points, and what was looked up before may have ended then (`usage` is 0). A
key that they return is alive until the caller sleeps.
"""

from typing import Final

from kernel.keys.key import (
    GC_DELAY,
    KEYRING,
    KEYS,
    NEVER,
    SEARCH,
    Details,
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
    EINTR,
    EKEYEXPIRED,
    EKEYREVOKED,
    ELOOP,
    ENOENT,
    ENOKEY,
    ENOTDIR,
    EPERM,
    Errno,
    final,
    noraise,
)
from kernel.lib.credentials import Credentials
from kernel.lib.ids import NO_USER, KernelGid, KernelUid
from kernel.lib.order import Order, Walk
from kernel.lib.pace import is_dying, pace
from kernel.time.clock import realtime_seconds

_DEEPEST: Final = 6  # keyrings below one another that a search goes down
_LINK_BYTES: Final = 4  # what a link is charged as
_COST: Final = 400  # instructions for a keyring that is searched
_SWEEP_COST: Final = 250
_SCAN_COST: Final = 400
_TEXT_COST: Final = 40  # to understand a byte of the text that is looked for
_DROP_COST: Final = 800
_UNLINK_COST: Final = 3600  # in a keyring with many links


class Restriction:
    """Which keys a keyring takes: this one takes no more at all. Others derive from it."""

    def check(self, keyring: "Keyring", kind: KeyType, details: Details | None) -> None:
        """Raise EPERM, or another error that says why it does not take a key."""
        raise Errno(EPERM)

    @noraise
    def release(self) -> None:
        """The keyring ends."""


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
        links: dict[bytes, Key] = {}
        order: Order[Key] = Order()
        below: Order[Keyring] = Order()
        super().__init__(KEYRING, description, uid, gid, permissions, in_quota, may_overrun)
        self.links: dict[bytes, Key] = links
        self.order: Order[Key] = order  # the same, oldest first
        self.below: Order[Keyring] = below  # of these, the keyrings
        self.restriction: Restriction | None = None  # which links it takes (KEYCTL_RESTRICT_KEYRING)
        self.persistent_for: KernelUid = NO_USER  # whose persistent keyring it is: PERSISTENT has it, a reference
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

    def check_restriction(self, kind: KeyType, details: Details | None) -> None:
        """Whether the keyring takes a key of that kind. Raises EPERM if it takes no more keys, and what the restriction
        raises. May take safe points.
        """
        restriction = self.restriction
        if restriction is not None:
            restriction.check(self, kind, details)

    def link(self, key: Key) -> None:
        """Link to a key, instead of another of the same name if there is one. Raises EKEYREVOKED, ENOKEY for a key that
        has ended or was invalidated since it was looked up, EDQUOT, MemoryError. May sleep once it is done.
        """
        self.check_open()
        if key.usage == 0 or key.is_invalidated:
            raise Errno(ENOKEY)
        old = self.links.get(key.index)
        if old is key:
            return
        number = KEYS.links if old is None else old.holders.get(self, 0)
        if old is None:
            self.charge(self.data_bytes + _LINK_BYTES)
        try:
            key.holders[self] = number
            self._enter(key, number)
        except MemoryError:
            key.holders.pop(self, 0)
            if old is None:
                self._leave(key, number)
                self.uncharge(self.data_bytes - _LINK_BYTES)
            raise
        key.acquire()
        KEYS.links += 1
        if key.kind is KEYRING:
            KEYS.ring_links += 1
        if old is not None:
            old.holders.pop(self, 0)
            old.release()

    def _enter(self, key: Key, number: int) -> None:
        """Raises MemoryError, with the link half entered; but in place of another one no memory is needed."""
        self.links[key.index] = key
        self.order.put(number, key)
        if isinstance(key, Keyring):
            self.below.put(number, key)

    @noraise
    def _leave(self, key: Key, number: int) -> None:
        self.links.pop(key.index, key)
        self.order.remove(number)
        if isinstance(key, Keyring):
            self.below.remove(number)

    def link_checked(self, key: Key) -> None:
        """KEYCTL_LINK and its kin: if the keyring takes more, and no circle comes of it. Raises also EPERM, EDEADLK,
        ELOOP, and EINTR if the caller is killed.
        """
        self.check_link(key)
        self.link(key)

    def check_link(self, key: Key) -> None:
        """Whether `link_checked` may link to a key; nothing has slept since the answer. A link that somebody else makes
        during the check may be what closes a circle, so keyrings are checked until nobody does.
        """
        self.check_room(key.index)
        self.check_restriction(key.kind, key.known_details())
        if not isinstance(key, Keyring):
            self.check_room(key.index)
            return
        made = KEYS.ring_links - 1
        while made != KEYS.ring_links:
            made = KEYS.ring_links
            _check_no_circle(self, key)
        self.check_room(key.index)

    def unlink(self, key: Key) -> None:
        """Take away the link of the key's name, which may be to another one, as on Linux. Raises ENOENT."""
        found = self.links.get(key.index)
        if found is None:
            raise Errno(ENOENT)
        self._drop(found)

    @noraise
    def _drop(self, key: Key) -> None:
        self._leave(key, key.holders.pop(self, 0))
        self.uncharge(max(self.data_bytes - _LINK_BYTES, 0))
        key.release()

    def clear(self) -> None:
        """Take all links away. Takes safe points, at which others may make new ones. Raises MemoryError."""
        links = self.links
        order: Order[Key] = Order()
        below: Order[Keyring] = Order()
        self.links = {}
        self.order = order
        self.below = below
        self.uncharge(0)
        self._let_go(links)

    @noraise
    def drop_payload(self) -> None:
        links = self.links
        self.links = NO_LINKS  # nobody makes new ones: it is revoked, or ends
        self.order = NO_ORDER
        self.below = NONE_BELOW
        self._let_go(links)
        restriction = self.restriction
        if self.usage == 0 and restriction is not None:
            self.restriction = None
            restriction.release()

    @noraise
    def _let_go(self, links: dict[bytes, Key]) -> None:
        """Drop the references of links that were taken away. Nobody else has this dictionary."""
        for index, key in links.items():
            if self.links.get(index) is not key:
                key.holders.pop(self, 0)
            key.release()
            pace(_DROP_COST)

    def shown(self) -> bytes:
        return self.description + (f": {len(self.links)}".encode() if len(self.links) > 0 else b": empty")


NO_LINKS: Final[dict[bytes, Key]] = {}  # of a keyring that is being emptied
NO_ORDER: Final[Order[Key]] = Order()
NONE_BELOW: Final[Order[Keyring]] = Order()

PERSISTENT: Final[dict[KernelUid, Keyring]] = {}  # users' persistent keyrings; each is a reference


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
    target.check_link(key)
    # The check may have slept: what was asked before may be otherwise.
    if key.index not in source.links:
        raise Errno(ENOENT)
    if is_exclusive and key.index in target.links:
        raise Errno(EEXIST)
    target.link(key)
    if key.index in source.links:
        source.unlink(key)


@noraise
def invalidate(key: Key) -> None:
    """It is gone for everybody: no keyring links to it any more."""
    if key.is_invalidated:
        return
    key.is_invalidated = True  # from here on nobody makes a link to it
    _drop_links(key)


@noraise
def _drop_links(key: Key) -> None:
    """Take away as many links to a key as there are now, and a user's claim to his persistent keyring. The key is
    alive. Takes safe points.
    """
    key.acquire()
    if isinstance(key, Keyring) and key.persistent_for != NO_USER:
        PERSISTENT.pop(key.persistent_for)
        key.persistent_for = NO_USER
        key.release()
    for _ in range(len(key.holders)):
        holder = _a_holder(key)
        if holder is None:
            break
        if isinstance(holder, Keyring) and holder.links.get(key.index) is key:
            holder._drop(key)
        else:
            key.holders.pop(holder, 0)  # it lets all its links go
        pace(_UNLINK_COST)
    key.release()


@noraise
def _a_holder(key: Key) -> Key | None:
    for holder in key.holders:
        return holder
    return None


def sweep() -> None:
    """Unlink the keys that expired more than kernel.keys.gc_delay ago. Costs next to nothing until there is one."""
    now_s = realtime_seconds()
    if now_s < KEYS.next_dead_s:
        return
    KEYS.next_dead_s = NEVER
    next_s = now_s  # unless all are looked at
    try:
        next_s = _sweep(now_s)
    finally:
        KEYS.next_dead_s = min(KEYS.next_dead_s, next_s)


def _sweep(now_s: int) -> int:
    """Returns when there is something to sweep next."""
    next_s = NEVER
    walk = Walk(KEYS.in_order)
    while True:
        pace(_SWEEP_COST)
        key = walk.next()
        if key is None:
            return next_s
        if key.expiry_s == NEVER or key.usage == 0:
            continue
        dead_s = key.expiry_s + GC_DELAY.value
        if dead_s > now_s:
            next_s = min(next_s, dead_s)
            continue
        _drop_links(key)


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
        self.scans: bool = False  # all keys of the type, for the text that the description is
        self.error: int = EAGAIN  # why it was not found
        self.is_possessed: bool = False  # what is found is, if the keyring is where the search begins

    def scan_if_asked(self) -> None:
        """Look for what the description means to the type, rather than for a key of that description. Raises EINVAL."""
        self.scans = self.kind.searches_all(self.description)

    def judge(self, key: Key, now_s: int) -> bool:
        """Whether a key of the name, or of the type, is what is looked for."""
        if self.wanted is not None:
            return key is self.wanted and key.permits(self.who, self.is_possessed, SEARCH)
        if key.is_invalidated or key.is_revoked:
            self.error = EKEYREVOKED
            return False
        if now_s >= key.expiry_s:
            if not self.skips_expired:
                self.error = EKEYEXPIRED
            return False
        if self.scans and not self.kind.matches(key, self.description):
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


def search(top: Key, is_possessed: bool, wanted: Search) -> Key | None:
    """Look in a keyring and in those below it. None if there is nothing: `wanted.error` says why. Raises EINTR if the
    caller is killed, MemoryError.

    A keyring that several others link to is searched once more only if it lies higher there: so it goes deeper.
    """
    wanted.error = EAGAIN
    wanted.is_possessed = is_possessed
    if not isinstance(top, Keyring):
        wanted.error = ENOTDIR
        return None
    if not wanted.may_enter(top):
        wanted.error = EACCES
        return None
    if top.usage == 0:
        return None
    now_s = realtime_seconds()
    if top.kind is wanted.kind and top.description == wanted.description:
        return top if wanted.judge(top, now_s) else None
    depths: dict[Keyring, int] = {}  # the least that each was met at
    levels: list[Walk[Keyring]] = []  # through those below the one that is being searched, and below that, …
    fresh: Keyring | None = top
    while True:
        if fresh is not None and not fresh.is_revoked and not fresh.is_invalidated:
            found = _found_in(fresh, wanted, now_s)
            if found is not None:
                return found
            depths[fresh] = len(levels)
            levels.append(Walk(fresh.below))
        fresh = None
        if len(levels) == 0:
            return None
        _rest()
        below = levels[len(levels) - 1].next()
        if below is None:
            levels.pop()
            continue
        depth = len(levels)
        if depth <= _DEEPEST and depth < depths.get(below, depth + 1) and wanted.may_enter(below):
            fresh = below


def _found_in(keyring: Keyring, wanted: Search, now_s: int) -> Key | None:
    """What a keyring itself has of what is looked for."""
    if not wanted.scans:
        found = keyring.links.get(wanted.index)
        return found if found is not None and wanted.judge(found, now_s) else None
    walk = Walk(keyring.order)
    while True:
        pace(_SCAN_COST + _TEXT_COST * len(wanted.description))
        key = walk.next()
        if key is None or (key.kind is wanted.kind and key.usage > 0 and wanted.judge(key, now_s)):
            return key


def _check_no_circle(keyring: Keyring, below: Keyring) -> None:
    """Raise EDEADLK if `keyring` lies in the tree of `below`, ELOOP if that is too deep to say, EINTR if the caller is
    killed. A keyring that several others link to is looked at once more only if it lies deeper there.
    """
    if keyring is below or below.links.get(keyring.index) is keyring:
        raise Errno(EDEADLK)
    depths: dict[Keyring, int] = {}  # the greatest that each was met at
    levels: list[Walk[Keyring]] = [Walk(below.below)]
    while len(levels) > 0:
        _rest()
        each = levels[len(levels) - 1].next()
        if each is None:
            levels.pop()
            continue
        depth = len(levels)
        if depth > _DEEPEST:
            raise Errno(ELOOP)
        if each.links.get(keyring.index) is keyring:
            raise Errno(EDEADLK)
        if depth > depths.get(each, 0):
            depths[each] = depth
            levels.append(Walk(each.below))


def _rest() -> None:
    """Before the next keyring is looked at. Raises EINTR if the caller is killed."""
    pace(_COST)
    if is_dying():
        raise Errno(EINTR)
