"""Credentials of a thread: user and group ids, supplementary groups, capabilities (credentials(7),
capabilities(7), user_namespaces(7)).

Credentials are copied on change, so a reference keeps the state of its time.

Capabilities are those in the thread's user namespace. Checks about the machine use `capable`, checks about a namespace
use `capable_in` with the user namespace that owns it, and `capable_here` checks the thread's own.

Checks of files take an `Actor`: credentials as the file system of a mount knows them. Only a mount gives one
(`Mount.actor`), so no check can forget that the mount may map owners (owner_map.py). On all other mounts an actor is
the credentials themselves, at no cost.

Invariants: `effective` lies in `permitted`, `ambient` in both `permitted` and `inheritable`.
"""

from collections.abc import Callable
from typing import Final, NewType

from kernel.lang import EPERM, Errno, atomic, final, inline
from kernel.lib.capabilities import (
    ALL_CAPABILITIES,
    CAP_SETUID,
    FILE_SYSTEM_CAPABILITIES,
    SECURE_KEEP_CAPS,
    SECURE_NO_SETUID_FIXUP,
    SECURE_NOROOT,
)
from kernel.lib.domain import Domain, Scope
from kernel.lib.file_capabilities import FileCapabilities
from kernel.lib.ids import (
    NO_GROUP,
    NO_USER,
    ROOT_GROUP,
    ROOT_USER,
    STRANGE_GROUP,
    STRANGER,
    KernelGid,
    KernelUid,
)
from kernel.lib.namespace import FIRST_USER, USER_NAMESPACES, UserNamespace
from kernel.lib.owner_map import OwnerMap
from kernel.lib.pid import UNSET, Pid


@final
@atomic("uid", "euid", "suid", "gid", "egid", "sgid")
class Credentials:
    """Treat as immutable once it is installed: `copy()`, change, install."""

    def __init__(self) -> None:
        self.uid: KernelUid = ROOT_USER
        self.euid: KernelUid = ROOT_USER
        self.suid: KernelUid = ROOT_USER
        self.fsuid: KernelUid = ROOT_USER
        self.gid: KernelGid = ROOT_GROUP
        self.egid: KernelGid = ROOT_GROUP
        self.sgid: KernelGid = ROOT_GROUP
        self.fsgid: KernelGid = ROOT_GROUP
        self.groups: list[KernelGid] = []
        self.user_namespace: UserNamespace = FIRST_USER
        # Sets of capabilities: a bit for each CAP_*. A new object is root's.
        self.effective: int = ALL_CAPABILITIES
        self.permitted: int = ALL_CAPABILITIES
        self.inheritable: int = 0
        self.bounding: int = ALL_CAPABILITIES
        self.ambient: int = 0
        self.secure_bits: int = 0  # SECURE_*
        self.domain: Domain | None = None  # what the thread has forbidden itself (landlock)
        self.scope: Scope | None = None  # of that domain; stays when the thread has ended
        self.owners: OwnerMap | None = None  # of an actor on an id-mapped mount: fsuid and fsgid are kept owners

    def copy(self) -> "Credentials":
        """One to change; the group list is shared, and replaced rather than changed. The copy is no actor."""
        fresh = Credentials()
        fresh.uid = self.uid
        fresh.euid = self.euid
        fresh.suid = self.suid
        fresh.fsuid = self.fsuid
        fresh.gid = self.gid
        fresh.egid = self.egid
        fresh.sgid = self.sgid
        fresh.fsgid = self.fsgid
        fresh.groups = self.groups
        fresh.user_namespace = self.user_namespace
        fresh.effective = self.effective
        fresh.permitted = self.permitted
        fresh.inheritable = self.inheritable
        fresh.bounding = self.bounding
        fresh.ambient = self.ambient
        fresh.secure_bits = self.secure_bits
        fresh.domain = self.domain
        fresh.scope = self.scope
        return fresh

    def confine(self, domain: Domain) -> None:
        """Enter a domain, nested in the present one."""
        self.domain = domain
        self.scope = domain.scope

    def without_rules(self) -> "Credentials":
        """A copy for objects that outlive the thread, without the domain's rules, which may be large. Raises
        MemoryError.
        """
        if self.domain is None:
            return self
        fresh = self.copy()
        fresh.domain = None
        return fresh

    def enter(self, user_namespace: UserNamespace) -> None:
        """Enter another user namespace, with all capabilities over what that one owns."""
        self.user_namespace = user_namespace
        self.effective = ALL_CAPABILITIES
        self.permitted = ALL_CAPABILITIES
        self.inheritable = 0
        self.bounding = ALL_CAPABILITIES
        self.ambient = 0
        self.secure_bits = 0

    def in_group(self, gid: KernelGid) -> bool:
        """Whether file access as `gid` is granted: the file system group or a supplementary one."""
        if gid == self.fsgid:
            return True
        owners = self.owners
        return (gid if owners is None else owners.seen_gid(gid)) in self.groups  # which are the thread's own

    def in_effective_group(self, gid: KernelGid) -> bool:
        """The same for checks that go by the effective group."""
        return gid == self.egid or gid in self.groups

    def capable(self, capability: int) -> bool:
        """Whether the thread has a CAP_* over the machine: nobody has one below the first namespace."""
        return self.effective >> capability & 1 != 0 and self.user_namespace is FIRST_USER

    def capable_here(self, capability: int) -> bool:
        """The same over what its own user namespace owns."""
        return self.effective >> capability & 1 != 0

    def capable_in(self, owner: UserNamespace, capability: int) -> bool:
        """The same over what a user namespace owns: its own, or one below, which it may have created."""
        own = self.user_namespace
        if owner is own:
            return self.effective >> capability & 1 != 0
        walker = owner
        while walker.level > own.level:
            parent = walker.parent
            if parent is own and walker.owner_uid == self.euid:
                return True
            if parent is None:
                return False
            if parent is own:
                return self.effective >> capability & 1 != 0
            walker = parent
        return False

    def has_all_of(self, other: "Credentials") -> bool:
        """Whether these capabilities include all of `other`."""
        own = self.user_namespace
        if own is other.user_namespace:
            return other.permitted & ~self.permitted == 0
        walker: UserNamespace | None = other.user_namespace
        while walker is not None:
            if walker.parent is own and walker.owner_uid == self.euid:
                return True
            walker = walker.parent
        return False

    def owns_all(self, uid: KernelUid, gid: KernelGid) -> bool:
        """Whether all ids of these credentials are those two: a caller with them may inspect the thread."""
        return (
            self.uid == uid
            and self.euid == uid
            and self.suid == uid
            and self.gid == gid
            and self.egid == gid
            and self.sgid == gid
        )

    # What becomes of capabilities when ids change, unless securebits forbid it ---------------------------------

    def follow_user_change(self, old: "Credentials") -> None:
        """User ids were set: a thread that is no longer root in any way loses all capabilities."""
        if self.secure_bits & SECURE_NO_SETUID_FIXUP != 0:
            return
        root = self.user_namespace.root_uid()
        was_root = old.uid == root or old.euid == root or old.suid == root
        if was_root and self.uid != root and self.euid != root and self.suid != root:
            if self.secure_bits & SECURE_KEEP_CAPS == 0:
                self.permitted = 0
                self.effective = 0
            self.ambient = 0
        if old.euid == root and self.euid != root:
            self.effective = 0
        elif old.euid != root and self.euid == root:
            self.effective = self.permitted

    def follow_file_user_change(self, old: "Credentials") -> None:
        """The file system's user id alone was set (setfsuid(2))."""
        if self.secure_bits & SECURE_NO_SETUID_FIXUP != 0:
            return
        root = self.user_namespace.root_uid()
        if old.fsuid == root and self.fsuid != root:
            self.effective &= ~FILE_SYSTEM_CAPABILITIES
        elif old.fsuid != root and self.fsuid == root:
            self.effective |= self.permitted & FILE_SYSTEM_CAPABILITIES

    def follow_exec(
        self, old: "Credentials", of_file: FileCapabilities | None, is_shared: bool, forbids_more: bool
    ) -> tuple[bool, bool]:
        """A program is executed; `euid` and `egid` are those requested by its file. Its capabilities are those of the
        file that the bounding set permits, those that both file and thread make inheritable, and ambient ones. For root
        a file has all of them. Nothing is gained if `forbids_more` (no_new_privs), or if another process could lead the
        program (`is_shared`): it has the same root and working directory, or traces the thread.

        Returns whether the program must distrust its environment (AT_SECURE), and whether it asked for capabilities
        that the thread did not have. Raises EPERM if it would miss some that its file says it needs.
        """
        root = self.user_namespace.root_uid()
        is_set_id = self.euid != old.uid or self.egid != old.gid
        granted = 0
        has_effective = False
        if of_file is not None:
            granted = self.bounding & of_file.permitted | self.inheritable & of_file.inheritable
            has_effective = of_file.is_effective
            if has_effective and of_file.permitted & ~granted != 0:
                raise Errno(EPERM)
        # A set-user-ID root program with capabilities of its own gets only those, unless root runs it.
        only_those_of_file = of_file is not None and self.euid == root and self.uid != root
        if self.secure_bits & SECURE_NOROOT == 0 and not only_those_of_file:
            if self.euid == root or self.uid == root:
                granted = self.bounding | self.inheritable
            if self.euid == root:
                has_effective = True
        asks_for_more = granted & ~old.permitted != 0
        if (is_set_id or asks_for_more) and (is_shared or forbids_more):
            if forbids_more or not old.capable_here(CAP_SETUID):
                self.euid = self.uid
                self.egid = self.gid
            granted &= old.permitted
        self.suid = self.euid
        self.fsuid = self.euid
        self.sgid = self.egid
        self.fsgid = self.egid
        if is_set_id or of_file is not None:
            self.ambient = 0
        self.permitted = granted | self.ambient
        self.effective = self.permitted if has_effective else self.ambient
        self.secure_bits &= ~SECURE_KEEP_CAPS
        is_secure = is_set_id or (self.uid != root and (has_effective or self.permitted & ~self.ambient != 0))
        return is_secure, asks_for_more

    def is_dangerous_after(self, old: "Credentials") -> bool:
        """Whether a process that could inspect this one with its `old` credentials no longer may: it acts as another
        user or group, or has more capabilities.
        """
        return (
            self.euid != old.euid
            or self.egid != old.egid
            or self.fsuid != old.fsuid
            or self.fsgid != old.fsgid
            or not old.has_all_of(self)
        )


Actor = NewType("Actor", Credentials)
"""Credentials for checks of the files of one mount."""


def acting_through(owners: OwnerMap, who: Credentials) -> Actor:
    """The actor on a mount that maps owners. Raises MemoryError."""
    fresh = who.copy()
    fresh.owners = owners
    uid = owners.kept_uid(who.fsuid)
    gid = owners.kept_gid(who.fsgid)
    fresh.fsuid = STRANGER if uid == NO_USER else uid
    fresh.fsgid = STRANGE_GROUP if gid == NO_GROUP else gid
    return Actor(fresh)


def plain_actor(who: Credentials) -> Actor:
    """The actor on files of a kind of file system that is never mounted with a map of owners."""
    return Actor(who)


def sees_user(actor: Actor, uid: KernelUid) -> bool:
    """Whether the user who owns a file is somebody through the actor's mount."""
    owners = actor.owners
    return (uid if owners is None else owners.seen_uid(uid)) != NO_USER


@inline
def sees_owners(actor: Actor, uid: KernelUid, gid: KernelGid) -> bool:
    """The same for both the user and the group."""
    owners = actor.owners
    if owners is not None:
        uid = owners.seen_uid(uid)
        gid = owners.seen_gid(gid)
    return uid != NO_USER and gid != NO_GROUP


def rules_user(actor: Actor, uid: KernelUid) -> bool:
    """Whether capabilities apply to files of a user: below the first namespace only if the user, as seen through the
    mount, has a number there.
    """
    owners = actor.owners
    return actor.user_namespace.has_user(uid if owners is None else owners.seen_uid(uid))


def rules_owners(actor: Actor, uid: KernelUid, gid: KernelGid) -> bool:
    """The same for both the user and the group."""
    owners = actor.owners
    if owners is not None:
        uid = owners.seen_uid(uid)
        gid = owners.seen_gid(gid)
    if uid == NO_USER or gid == NO_GROUP:
        return False
    namespace = actor.user_namespace
    return namespace is FIRST_USER or namespace.has_ids(uid, gid)


class Caller:
    """Looks up the running thread, for code that does not get it as an argument; entered by the package of tasks."""

    def __init__(self) -> None:
        self.find: Callable[[], Credentials | None] | None = None
        self.find_process: Callable[[], Pid] | None = None


CALLER: Final = Caller()


def caller_credentials() -> Credentials | None:
    """The running thread's credentials, or None if it is the kernel's own. Never sleeps."""
    find = CALLER.find
    return find() if find is not None else None


def caller_namespace() -> UserNamespace:
    """The running thread's user namespace; the first in threads of the kernel. Never sleeps."""
    credentials = caller_credentials()
    return FIRST_USER if credentials is None else credentials.user_namespace


@inline
def uid_for_caller(uid: KernelUid) -> int:
    """A user's number in the running thread's namespace; the overflow id if it has no number there."""
    return caller_namespace().shown_uid(uid) if USER_NAMESPACES.exist else int(uid)


@inline
def gid_for_caller(gid: KernelGid) -> int:
    """The same for a group."""
    return caller_namespace().shown_gid(gid) if USER_NAMESPACES.exist else int(gid)


def uid_from_caller(number: int) -> KernelUid:
    """The user that a number means in the running thread's namespace; NO_USER if there is none."""
    return caller_namespace().kernel_uid(number) if USER_NAMESPACES.exist else KernelUid(number)


def gid_from_caller(number: int) -> KernelGid:
    """The same for a group; NO_GROUP if there is none."""
    return caller_namespace().kernel_gid(number) if USER_NAMESPACES.exist else KernelGid(number)


def caller_process_id() -> Pid:
    """The number of the running thread's process, 0 for the kernel. Never sleeps."""
    find = CALLER.find_process
    return find() if find is not None else UNSET
