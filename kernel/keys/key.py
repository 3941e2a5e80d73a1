"""A key: a type, a description, a payload, an owner and permissions (keyrings(7)), and what each user's keys may take.

A key lives as long as it is referred to: by a keyring that links to it, by a thread that has it as one of its keyrings,
by the register of users' keyrings. References are counted in `usage`, because a key is charged to its owner until then.
Whoever found a key and sleeps before using it holds a reference, or looks at `usage` again: a key with none has ended
for good.

What a key may hold is charged to the user who owns it: a key, its description with the NUL, its payload, and four bytes
for each link of a keyring. Limits are kernel.keys.* (keys, and bytes), others for root.

A key that a program is asked to make (requesting.py) is under construction until that has given it a payload or refused
to. It can be found meanwhile, and whoever wants to use it waits.

Context: thread context. Nothing sleeps but `wait_until_made`. Times are seconds of the wall clock, as on Linux.
"""

from typing import Final

from kernel.lang import EDQUOT, EINVAL, EKEYEXPIRED, EKEYREVOKED, ENOKEY, Errno, final, noraise, recursion
from kernel.lib.credentials import Credentials
from kernel.lib.ids import NO_GROUP, ROOT_USER, KernelGid, KernelUid
from kernel.lib.order import Order
from kernel.lib.pace import pace
from kernel.lib.random import word
from kernel.lib.settings import SystemSetting
from kernel.mm.keeping import check_room_to_keep
from kernel.sched import WaitQueue
from kernel.time.clock import realtime_seconds

NEVER: Final = (1 << 62) - 1  # the expiry of a key that does not expire

# Permissions, a byte for each kind of user: of those who possess the key, its owner, its group, others.
VIEW: Final = 0x01
READ: Final = 0x02
WRITE: Final = 0x04
SEARCH: Final = 0x08
LINK: Final = 0x10
SET_ATTRIBUTES: Final = 0x20
ALL: Final = 0x3F
POSSESSOR: Final = 24  # where its byte is
OWNER: Final = 16
GROUP: Final = 8

_LONGEST_PAYLOAD: Final = 32767
_INT_MOST: Final = (1 << 31) - 1
_LEAST_SERIAL: Final = 3
_END_COST: Final = 500  # instructions
_SERIAL_MASK: Final = 0x7FFF_FFFF

MOST_KEYS: Final = SystemSetting(b"kernel/keys/maxkeys", [200], 1, _INT_MOST)
MOST_BYTES: Final = SystemSetting(b"kernel/keys/maxbytes", [20000], 1, _INT_MOST)
ROOTS_KEYS: Final = SystemSetting(b"kernel/keys/root_maxkeys", [1_000_000], 1, _INT_MOST)
ROOTS_BYTES: Final = SystemSetting(b"kernel/keys/root_maxbytes", [25_000_000], 1, _INT_MOST)
GC_DELAY: Final = SystemSetting(b"kernel/keys/gc_delay", [300], 0, _INT_MOST)  # seconds that dead links stay
PERSISTENT_EXPIRY: Final = SystemSetting(b"kernel/keys/persistent_keyring_expiry", [259_200], 0, _INT_MOST)


class Details:
    """What keys of some types have besides their payload. Base class."""

    def shown(self, key: "Key") -> bytes:
        """How /proc/keys describes a key that has this."""
        return key.description


@final
class Content:
    """What a key is to hold, once it was checked."""

    def __init__(self, payload: bytes, quota_bytes: int) -> None:
        self.payload: bytes = payload
        self.quota_bytes: int = quota_bytes  # what it is charged as
        self.details: Details | None = None
        self.description: bytes = b""  # of a key for which the caller has none


class Finder:
    """How a key finds another that it needs. Base class: see adding.py."""

    def find(self, kind: "KeyType", description: bytes) -> "Key":
        """A key of the caller's, to which a reference is held. Raises ENOKEY and what searching raises."""
        raise Errno(ENOKEY)


class KeyType:
    """What can be done with the keys of a type. A type overrides what is different about it."""

    def __init__(self, name: bytes, can_read: bool, can_update: bool, has_details: bool = False) -> None:
        self.name: bytes = name
        self.can_read: bool = can_read
        self.can_update: bool = can_update
        self.has_details: bool = has_details
        self.prepares: bool = True  # so a key may get its description from its payload

    def check_description(self, description: bytes) -> None:
        """Raise EINVAL or ENOPKG for one that no key of the type has."""

    def prepare(self, data: bytes, size: int) -> Content:
        """Check what a program gives: a payload of `size` bytes, or none at all. Raises EINVAL, …"""
        if not 0 < size <= _LONGEST_PAYLOAD:
            raise Errno(EINVAL)
        return Content(data, size)

    def complete(self, key: "Key", content: Content, finder: Finder) -> Content:
        """What a new key gets of what was prepared. May sleep."""
        return content

    def update(self, key: "Key", content: Content, finder: Finder) -> None:
        """Give a key other content. May sleep. Raises EDQUOT."""
        key.update(content)

    def length(self, key: "Key") -> int:
        """Of what `read` returns."""
        return len(key.payload)

    def read(self, key: "Key", finder: Finder) -> bytes:
        """What KEYCTL_READ returns. May sleep."""
        return key.payload

    def searches_all(self, text: bytes) -> bool:
        """Whether a search for a text looks at all keys of the type, rather than for one of that description. Raises
        EINVAL for a text that none could match.
        """
        return False

    def matches(self, key: "Key", text: bytes) -> bool:
        """Whether a key is meant by the text of such a search."""
        return key.description == text


@final
class LogonType(KeyType):
    """Keys for the kernel's own use: nobody reads them."""

    def check_description(self, description: bytes) -> None:
        """It says for which service it is."""
        if description.find(b":") <= 0:
            raise Errno(EINVAL)


@final
class KeyringType(KeyType):
    """Keyrings (keyring.py)."""

    def prepare(self, data: bytes, size: int) -> Content:
        if size != 0:
            raise Errno(EINVAL)
        return Content(b"", 0)


USER: Final = KeyType(b"user", can_read=True, can_update=True)
LOGON: Final = LogonType(b"logon", can_read=False, can_update=True)
KEYRING: Final = KeyringType(b"keyring", can_read=True, can_update=False)


def index_of(kind: KeyType, description: bytes) -> bytes:
    """The name that a key has in a keyring."""
    return kind.name + b";" + description


@final
class KeyAccount:
    """What one user's keys take."""

    def __init__(self, uid: KernelUid) -> None:
        self.uid: KernelUid = uid
        self.keys: int = 0
        self.instantiated: int = 0  # of these
        self.charged_keys: int = 0  # of these, those that count against the limits
        self.charged_bytes: int = 0

    def has_room(self, keys: int, size: int) -> bool:
        """Whether that many keys and bytes more are within the limits."""
        most_keys = ROOTS_KEYS.value if self.uid == ROOT_USER else MOST_KEYS.value
        most_bytes = ROOTS_BYTES.value if self.uid == ROOT_USER else MOST_BYTES.value
        return self.charged_keys + keys <= most_keys and self.charged_bytes + size <= most_bytes


@final
class Keys:
    """All keys, by serial number, and the accounts of their owners, by uid."""

    def __init__(self) -> None:
        self.by_serial: dict[int, Key] = {}
        self.in_order: Order[Key] = Order()  # the same, for walks
        self.accounts: dict[KernelUid, KeyAccount] = {}
        self.accounts_in_order: Order[KeyAccount] = Order()
        self.next_dead_s: int = NEVER  # when links of a key that has expired go; not later than the first
        self.links: int = 0  # that were ever created
        self.ring_links: int = 0  # of these, those to keyrings
        self.ending: Key | None = None  # a list, through `next_ending`
        self.is_ending: bool = False
        self.requests: int = 0  # keys under construction that there ever were
        self.made: WaitQueue = WaitQueue()  # for one of them to be constructed


KEYS: Final = Keys()


class Key:
    """A key. Keyrings derive from it."""

    def __init__(
        self,
        kind: KeyType,
        description: bytes,
        uid: KernelUid,
        gid: KernelGid,
        permissions: int,
        in_quota: bool = True,
        may_overrun: bool = False,
    ) -> None:
        """A key with a reference for the caller and no payload. Raises EDQUOT, MemoryError."""
        check_room_to_keep()
        # A subclass allocates what it needs before it calls this: the key is registered and charged at the end.
        self.kind: KeyType = kind
        self.description: bytes = description
        self.index: bytes = index_of(kind, description)
        self.uid: KernelUid = uid
        self.gid: KernelGid = gid
        self.permissions: int = permissions
        self.in_quota: bool = in_quota
        self.quota_bytes: int = len(description) + 1
        self.data_bytes: int = 0  # as charged
        self.payload: bytes = b""
        self.refusal: int = 0  # a negative key: the error for those who find it
        self.is_instantiated: bool = False
        self.is_awaited: bool = False  # it is under construction
        self.is_revoked: bool = False
        self.is_invalidated: bool = False
        self.is_users_keyring: bool = False  # _uid.N or _uid_ses.N
        self.expiry_s: int = NEVER
        self.usage: int = 1
        self.holders: dict[Key, int] = {}  # keyrings that link to it, and the numbers of their links
        self.next_ending: Key | None = None
        self.serial: int = _new_serial()
        account = _account_of(uid)
        self.account: KeyAccount = account
        if in_quota and not may_overrun and not account.has_room(1, self.quota_bytes):
            _drop_if_empty(account)
            raise Errno(EDQUOT)
        try:
            KEYS.by_serial[self.serial] = self
            KEYS.in_order.put(self.serial, self)
        except MemoryError:
            KEYS.by_serial.pop(self.serial, self)
            _drop_if_empty(account)
            raise
        account.keys += 1
        if in_quota:
            account.charged_keys += 1
            account.charged_bytes += self.quota_bytes

    # ---- Lifetime -------------------------------------------------------------------------------------------------

    def acquire(self) -> "Key":
        self.usage += 1
        return self

    @noraise
    @recursion(2)  # whoever ends keys goes on with those that end thereby
    def release(self) -> None:
        """A reference is gone; with the last one goes the key, and what only it linked to. Takes safe points if that is
        much.
        """
        self.usage -= 1
        if self.usage > 0:
            return
        self.next_ending = KEYS.ending
        KEYS.ending = self
        if KEYS.is_ending:
            return  # whoever ends keys already goes on with this one
        KEYS.is_ending = True
        while True:
            dead = KEYS.ending
            if dead is None:
                break
            KEYS.ending = dead.next_ending
            dead.next_ending = None
            dead._end()
            pace(_END_COST)
        KEYS.is_ending = False

    @noraise
    def _end(self) -> None:
        KEYS.by_serial.pop(self.serial, self)
        KEYS.in_order.remove(self.serial)
        account = self.account
        account.keys -= 1
        if self.is_instantiated:
            account.instantiated -= 1
        if self.in_quota:
            account.charged_keys -= 1
            account.charged_bytes -= self.quota_bytes
        _drop_if_empty(account)
        self.drop_payload()

    @noraise
    def drop_payload(self) -> None:
        """What it holds goes."""
        self.payload = b""

    # ---- State ----------------------------------------------------------------------------------------------------

    def validate(self, now_s: int) -> None:
        """Raise ENOKEY, EKEYREVOKED or EKEYEXPIRED unless the key is good."""
        if self.is_invalidated:
            raise Errno(ENOKEY)
        if self.is_revoked:
            raise Errno(EKEYREVOKED)
        if now_s >= self.expiry_s:
            raise Errno(EKEYEXPIRED)

    def check_use(self, now_s: int) -> None:
        """The same, and raise a negative key's own error."""
        if self.refusal != 0:
            raise Errno(self.refusal)
        self.validate(now_s)

    def wait_until_made(self) -> None:
        """Sleep while it is under construction. Raises ERESTARTSYS. Whoever calls this holds a reference."""
        while self.is_awaited:
            KEYS.made.sleep()

    def permits(self, who: Credentials, is_possessed: bool, right: int) -> bool:
        """Whether somebody has a right to it; whoever possesses it may have more than others."""
        if self.uid == who.fsuid:
            granted = self.permissions >> OWNER
        elif self.gid != NO_GROUP and self.permissions >> GROUP & ALL != 0 and who.in_group(self.gid):
            granted = self.permissions >> GROUP
        else:
            granted = self.permissions
        if is_possessed:
            granted |= self.permissions >> POSSESSOR
        return granted & right == right

    def charge(self, data_bytes: int) -> None:
        """Charge the owner for a payload of that many bytes, instead of what it had. Raises EDQUOT."""
        change = data_bytes - self.data_bytes
        if self.in_quota:
            if change > 0 and not self.account.has_room(0, change):
                raise Errno(EDQUOT)
            self.account.charged_bytes += change
            self.quota_bytes += change
        self.data_bytes = data_bytes

    @noraise
    def uncharge(self, data_bytes: int) -> None:
        """The same for fewer bytes than before."""
        if self.in_quota:
            self.account.charged_bytes -= self.data_bytes - data_bytes
            self.quota_bytes -= self.data_bytes - data_bytes
        self.data_bytes = data_bytes

    def instantiate(self) -> None:
        """It has its payload, or has it again."""
        if not self.is_instantiated:
            self.is_instantiated = True
            self.account.instantiated += 1
        self.refusal = 0
        if self.is_awaited:
            self.is_awaited = False
            KEYS.made.wake_all()

    def update(self, content: Content) -> None:
        """Give it other content. It does not expire then. Raises EDQUOT."""
        self.charge(content.quota_bytes)
        self.take(content)
        self.expiry_s = NEVER
        self.instantiate()

    @noraise
    def take(self, content: Content) -> None:
        """Hold what it was charged for."""
        self.payload = content.payload

    def reject(self, error: int, timeout_s: int) -> None:
        """Make it a negative key, for a time."""
        self.refusal = error
        self.expiry_s = realtime_seconds() + timeout_s
        KEYS.next_dead_s = min(KEYS.next_dead_s, self.expiry_s + GC_DELAY.value)
        self.instantiate()
        self.refusal = error

    def set_timeout(self, timeout_s: int) -> None:
        """It expires in that many seconds, or never for 0."""
        self.expiry_s = NEVER
        if timeout_s > 0:
            self.expiry_s = realtime_seconds() + timeout_s
            KEYS.next_dead_s = min(KEYS.next_dead_s, self.expiry_s + GC_DELAY.value)

    @noraise
    def revoke(self) -> None:
        """It is of no use any more. It expires now, so its links stay for a while. As on Linux, a key without details
        loses its payload at once, and is no longer charged for it.
        """
        if self.is_revoked:
            return
        self.is_revoked = True
        self.expiry_s = min(self.expiry_s, realtime_seconds())
        KEYS.next_dead_s = min(KEYS.next_dead_s, self.expiry_s + GC_DELAY.value)
        if not self.kind.has_details:
            self.uncharge(0)
            self.drop_payload()

    def change_owner(self, uid: KernelUid) -> None:
        """Let it belong to, and count for, another user. Raises EDQUOT, MemoryError."""
        old = self.account
        fresh = _account_of(uid)
        if self.in_quota and not fresh.has_room(1, self.quota_bytes):
            _drop_if_empty(fresh)
            raise Errno(EDQUOT)
        self.account = fresh
        self.uid = uid
        fresh.keys += 1
        old.keys -= 1
        if self.is_instantiated:
            fresh.instantiated += 1
            old.instantiated -= 1
        if self.in_quota:
            fresh.charged_keys += 1
            fresh.charged_bytes += self.quota_bytes
            old.charged_keys -= 1
            old.charged_bytes -= self.quota_bytes
        _drop_if_empty(old)

    @property
    def is_positive(self) -> bool:
        """Whether it has a payload, rather than none so far or a refusal."""
        return self.is_instantiated and self.refusal == 0

    def known_details(self) -> Details | None:
        """What it has besides its payload."""
        return None

    def shown(self) -> bytes:
        """How /proc/keys describes it."""
        return self.description + f": {self.data_bytes}".encode() if self.is_positive else self.description


@final
class DetailedKey(Key):
    """A key of a type that has details."""

    def __init__(
        self, kind: KeyType, description: bytes, uid: KernelUid, gid: KernelGid, permissions: int, in_quota: bool = True
    ) -> None:
        super().__init__(kind, description, uid, gid, permissions, in_quota)
        self.details: Details | None = None

    @noraise
    def take(self, content: Content) -> None:
        self.payload = content.payload
        self.details = content.details

    @noraise
    def drop_payload(self) -> None:
        self.payload = b""
        self.details = None

    def known_details(self) -> Details | None:
        return self.details

    def shown(self) -> bytes:
        details = self.details
        return self.description if details is None or not self.is_positive else details.shown(self)


def _account_of(uid: KernelUid) -> KeyAccount:
    account = KEYS.accounts.get(uid)
    if account is None:
        account = KeyAccount(uid)
        KEYS.accounts_in_order.put(int(uid), account)
        try:
            KEYS.accounts[uid] = account
        except MemoryError:
            KEYS.accounts_in_order.remove(int(uid))
            raise
    return account


@noraise
def _drop_if_empty(account: KeyAccount) -> None:
    if account.keys == 0:
        KEYS.accounts.pop(account.uid, account)
        KEYS.accounts_in_order.remove(int(account.uid))


def _new_serial() -> int:
    """A number that no key has, and that nobody can guess."""
    while True:
        serial = word() & _SERIAL_MASK
        if serial >= _LEAST_SERIAL and serial not in KEYS.by_serial:
            return serial
