"""The common part of System V semaphores, message queues and shared memory: keys, numbers, owners (sysvipc(7)).

An object has a number for as long as it lives. The number's low bits are its index in the table of its kind; the others
count how often indexes have wrapped around, so an old number is seldom taken for another object's.

Context: thread context; only `IpcTable.all` sleeps.
"""

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from kernel.lang import EACCES, EEXIST, EINVAL, ENOENT, EPERM, Errno, Span, u8
from kernel.lib.capabilities import CAP_IPC_OWNER, CAP_SYS_ADMIN
from kernel.lib.credentials import (
    Credentials,
    gid_for_caller,
    gid_from_caller,
    uid_for_caller,
    uid_from_caller,
)
from kernel.lib.ids import NO_GROUP, NO_ID, NO_USER, KernelGid, KernelUid
from kernel.lib.namespace import UserNamespace
from kernel.lib.pace import pace
from kernel.time import realtime_ns

IPC_PRIVATE: Final = 0
IPC_CREAT: Final = 0o1000
IPC_EXCL: Final = 0o2000
IPC_NOWAIT: Final = 0o4000

# Commands that semctl, msgctl and shmctl share.
IPC_RMID: Final = 0
IPC_SET: Final = 1
IPC_STAT: Final = 2
IPC_INFO: Final = 3

READ: Final = 0o444
WRITE: Final = 0o222

INDEX_BITS: Final = 15
INDEX_MASK: Final = (1 << INDEX_BITS) - 1
_CYCLE: Final = 64  # indexes are used in turn up to at least this one
_BITS: Final = 32  # of a word of `IpcTable.taken`
_FULL: Final = (1 << _BITS) - 1
_NS: Final = 1_000_000_000
LOOK_COST: Final = 150  # instructions to look for an object, for `pace`
_SHOW_COST: Final = 5000  # instructions to show an object, for `pace`


def now_s() -> int:
    """The time for IPC_STAT, in seconds."""
    return realtime_ns() // _NS


class IpcObject:
    """The creator and owner of an object, and the permissions of others (struct ipc_perm)."""

    def __init__(self, key: int, mode: int, creator: Credentials, user_namespace: UserNamespace) -> None:
        self.user_namespace: UserNamespace = user_namespace  # that owns the IPC namespace
        self.identifier: int = -1  # given by the table
        self.key: int = key
        self.mode: int = mode & 0o777
        self.uid: KernelUid = creator.euid
        self.gid: KernelGid = creator.egid
        self.creator_uid: KernelUid = creator.euid
        self.creator_gid: KernelGid = creator.egid
        self.changed_s: int = now_s()
        self.is_removed: bool = False

    def may(self, credentials: Credentials, wanted: int) -> bool:
        """Whether all permissions in `wanted` (a mode: its three digits are one) are given."""
        needed = (wanted >> 6 | wanted >> 3 | wanted) & 7
        granted = self.mode
        if credentials.euid == self.creator_uid or credentials.euid == self.uid:
            granted = self.mode >> 6
        elif credentials.in_group(self.creator_gid) or credentials.in_group(self.gid):
            granted = self.mode >> 3
        return needed & ~granted & 7 == 0 or credentials.capable_in(self.user_namespace, CAP_IPC_OWNER)

    def check_permission(self, credentials: Credentials, wanted: int) -> None:
        """Raise EACCES unless `may`."""
        if not self.may(credentials, wanted):
            raise Errno(EACCES)

    def is_owned_by(self, credentials: Credentials) -> bool:
        """Whether its owner or its creator is acting."""
        return credentials.euid == self.uid or credentials.euid == self.creator_uid

    def check_owner(self, credentials: Credentials) -> None:
        """Raise EPERM for all except the owner, the creator and root."""
        if not self.is_owned_by(credentials) and not credentials.capable_in(self.user_namespace, CAP_SYS_ADMIN):
            raise Errno(EPERM)

    def set_owner(self, uid: int, gid: int, mode: int) -> None:
        """IPC_SET, with numbers of 32 bits that the running thread gives. Raises EINVAL for numbers that are not
        mapped.
        """
        new_uid = uid_from_caller(uid & NO_ID)
        new_gid = gid_from_caller(gid & NO_ID)
        if new_uid == NO_USER or new_gid == NO_GROUP:
            raise Errno(EINVAL)
        self.uid = new_uid
        self.gid = new_gid
        self.mode = mode & 0o777
        self.changed_s = now_s()

    def owner_columns(self) -> str:
        """Owner and creator as /proc/sysvipc shows them to the running thread."""
        owner = f" {uid_for_caller(self.uid):5d} {gid_for_caller(self.gid):5d}"
        return owner + f" {uid_for_caller(self.creator_uid):5d} {gid_for_caller(self.creator_gid):5d}"

    def store(self, out: Span[u8]) -> None:
        """struct ipc64_perm, 48 bytes."""
        out.store_u32(0, self.key & 0xFFFF_FFFF)
        out.store_u32(4, uid_for_caller(self.uid))
        out.store_u32(8, gid_for_caller(self.gid))
        out.store_u32(12, uid_for_caller(self.creator_uid))
        out.store_u32(16, gid_for_caller(self.creator_gid))
        out.store_u32(20, self.mode)
        out.store_u16(24, self.identifier >> INDEX_BITS)


T = TypeVar("T", bound=IpcObject)


class IpcTable(Generic[T]):
    """All objects of one kind, by index."""

    def __init__(self) -> None:
        self.objects: dict[int, T] = {}
        self.taken: list[int] = []  # a bit for each index, so that finding one takes no safe point
        self.by_key: dict[int, T] = {}  # but for IPC_PRIVATE
        self.sequence: int = 0
        self.last_index: int = -1

    def get(self, identifier: int) -> T:
        """The object with this number. Raises EINVAL if there is none."""
        found = self.objects.get(identifier & INDEX_MASK) if identifier >= 0 else None
        if found is None or found.identifier != identifier:
            raise Errno(EINVAL)
        return found

    def at(self, index: int) -> T:
        """The object at an index (SEM_STAT, MSG_STAT). Raises EINVAL."""
        found = self.objects.get(index & INDEX_MASK) if index >= 0 else None
        if found is None:
            raise Errno(EINVAL)
        return found

    def find(self, key: int, flags: int) -> T | None:
        """The object with a key, or None if one must be created. Raises ENOENT, EEXIST."""
        if key == IPC_PRIVATE:
            return None
        found = self.by_key.get(key)
        if found is not None:
            if flags & (IPC_CREAT | IPC_EXCL) == IPC_CREAT | IPC_EXCL:
                raise Errno(EEXIST)
            return found
        if flags & IPC_CREAT == 0:
            raise Errno(ENOENT)
        return None

    def add(self, fresh: T) -> int:
        """Give an object a number, which is returned. Raises MemoryError."""
        cycle = max(len(self.objects) * 3 // 2, _CYCLE)
        index = self.last_index + 1
        if index >= cycle:
            index = 0
        index = self._first_free(index)
        sequence = self.sequence
        if index <= self.last_index:
            sequence = (sequence + 1) & 0xFFFF
        fresh.identifier = sequence << INDEX_BITS | index
        try:
            while len(self.taken) <= index // _BITS:
                self.taken.append(0)
            self.objects[index] = fresh
            if fresh.key != IPC_PRIVATE:
                self.by_key[fresh.key] = fresh
        except MemoryError:
            self.objects.pop(index, fresh)
            self._trim()
            raise
        self.sequence = sequence
        self.last_index = index
        self.taken[index // _BITS] |= 1 << index % _BITS
        return fresh.identifier

    def _first_free(self, index: int) -> int:
        """The first index from there on that no object has."""
        word = index // _BITS
        if word < len(self.taken):
            free = ~self.taken[word] & _FULL & -(1 << index % _BITS)
            while free == 0:
                word += 1
                free = ~self.taken[word] & _FULL if word < len(self.taken) else 1
            index = word * _BITS
            while free & 1 == 0:
                free >>= 1
                index += 1
        return index

    def remove(self, gone: T) -> None:
        """Remove an object: its number becomes invalid."""
        gone.is_removed = True
        self.forget_key(gone)
        index = gone.identifier & INDEX_MASK
        self.objects.pop(index)
        self.taken[index // _BITS] &= ~(1 << index % _BITS)
        self._trim()

    def _trim(self) -> None:
        """The last word has the highest index."""
        while len(self.taken) > 0 and self.taken[-1] == 0:
            self.taken.pop()

    def forget_key(self, entry: T) -> None:
        """Its key no longer finds it."""
        if entry.key != IPC_PRIVATE:
            self.by_key.pop(entry.key)
            entry.key = IPC_PRIVATE

    def all(self, cost: int = _SHOW_COST) -> Iterator[T]:
        """All objects, with safe points in between, at such a cost: objects that come or go meanwhile may be left
        out.
        """
        found = self.from_index(0)
        while found is not None:
            following = (found.identifier & INDEX_MASK) + 1
            yield found
            pace(cost)
            found = self.from_index(following)

    def from_index(self, index: int) -> T | None:
        """The first object from an index on."""
        word = index // _BITS
        bits = self.taken[word] & -(1 << index % _BITS) if word < len(self.taken) else 0
        while bits == 0:
            word += 1
            if word >= len(self.taken):
                return None
            bits = self.taken[word]
        index = word * _BITS
        while bits & 1 == 0:
            bits >>= 1
            index += 1
        return self.objects.get(index)

    def highest_index(self) -> int:
        """The highest index; 0 if there is none."""
        if len(self.taken) == 0:
            return 0
        bits = self.taken[-1]
        highest = (len(self.taken) - 1) * _BITS
        while bits > 1:
            bits >>= 1
            highest += 1
        return highest
