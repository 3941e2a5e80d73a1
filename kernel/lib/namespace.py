"""The base class of all kinds of namespaces (namespaces(7)); and user namespaces, which own the others and map the
numbers of users and groups (user_namespaces(7)).

A user namespace has numbers of users and groups of its own, which its maps translate. In the first one a number is the
kernel's own, and no map is asked. `kernel_uid`, `shown_uid` and related methods are the border: they translate the
numbers that programs pass and see.

User namespaces are objects like others: they last as long as credentials, namespaces and open files refer to them.

Context: only `release` of a mount namespace sleeps, because it unmounts.
"""

from collections.abc import Callable
from typing import Final

from kernel.lang import Weak, atomic, final, noraise
from kernel.lib.ids import NO_ID, OVERFLOW, ROOT_GROUP, ROOT_USER, IdMap, KernelGid, KernelUid

CLONE_NEWTIME: Final = 0x80
CLONE_NEWNS: Final = 0x2_0000
CLONE_NEWCGROUP: Final = 0x200_0000
CLONE_NEWUTS: Final = 0x400_0000
CLONE_NEWIPC: Final = 0x800_0000
CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWPID: Final = 0x2000_0000
CLONE_NEWNET: Final = 0x4000_0000

# The numbers of the first ones, as on Linux (include/linux/proc_ns.h); further ones, of any kind, count up.
FIRST_TIME_NUMBER: Final = 0xEFFF_FFFA
FIRST_CGROUP_NUMBER: Final = 0xEFFF_FFFB
FIRST_PID_NUMBER: Final = 0xEFFF_FFFC
FIRST_USER_NUMBER: Final = 0xEFFF_FFFD
FIRST_UTS_NUMBER: Final = 0xEFFF_FFFE
FIRST_IPC_NUMBER: Final = 0xEFFF_FFFF

_next_number: int = 0xF000_0000


def next_number() -> int:
    """A number for a new namespace: the inode's of its file."""
    global _next_number
    number = _next_number
    _next_number += 1
    return number


FIRST_NET_NUMBER: Final = next_number()  # by counting, but the first, as on Linux


class Namespace:
    """One. `kind` is its CLONE_NEW… flag, `name` what /proc/PID/ns calls it."""

    def __init__(self, kind: int, name: bytes, number: int, maker: "UserNamespace | None" = None) -> None:
        self.kind: int = kind
        self.name: bytes = name
        self.number: int = number
        self._maker: UserNamespace | None = maker
        self.maker_uid: KernelUid = ROOT_USER  # the user to whom the creator's namespace counts it

    @property
    def owner(self) -> "UserNamespace":
        """The user namespace whose administrator rules it: its creator's, or the parent of a user namespace."""
        maker = self._maker
        return FIRST_USER if maker is None else maker

    def acquire(self) -> None:
        """It has one more user or open file. For kinds that need to be ended; the others are plain objects."""

    @noraise
    def release(self) -> None:
        """It has one user or open file less."""

    def is_over(self) -> bool:
        """Whether it has been dismantled, or is about to be: it can no longer be entered."""
        return False

    def hold(self) -> None:
        """Its file is mounted somewhere, which keeps it alive as an open one does."""

    @noraise
    def let_go(self) -> None:
        """A mount of its file is gone. May sleep for a mount namespace."""


# ---- User namespaces ------------------------------------------------------------------------------------------------


@final
@atomic("exist")
class UserNamespaces:
    """Whether any exists besides the first. Until then every number is the kernel's own."""

    def __init__(self) -> None:
        self.exist: bool = False


USER_NAMESPACES: Final = UserNamespaces()


@final
class Holdings:
    """The namespaces that one user has created, by kind: live ones, and perhaps some dead ones."""

    def __init__(self) -> None:
        self.by_kind: dict[int, dict[int, Weak[Namespace]]] = {}  # and then by number


@noraise
def count_no_more(namespace: Namespace) -> None:
    """A namespace has ended: stop counting it for its creator's user, and those above."""
    uid = namespace.maker_uid
    walker: UserNamespace | None = namespace.owner
    while walker is not None:
        holdings = walker.holdings.get(uid)
        references = None if holdings is None else holdings.by_kind.get(namespace.kind)
        if references is not None:
            references.pop(namespace.number, None)
        uid = walker.owner_uid
        walker = walker.parent


_NO_MAP: Final = IdMap([])


class ProgramFormats:
    """The formats of programs that were registered in a user namespace. Base class: see kernel/task/formats.py."""


@final
class UserNamespace(Namespace):
    """One. Each of its maps is written once, by those that /proc/PID/uid_map permits."""

    def __init__(self, parent: "UserNamespace | None", number: int, uid: KernelUid, gid: KernelGid) -> None:
        super().__init__(CLONE_NEWUSER, b"user", number, parent)
        self.parent: UserNamespace | None = parent
        self.level: int = 0 if parent is None else parent.level + 1
        self.owner_uid: KernelUid = uid  # its creator, who has all capabilities over it
        self.owner_gid: KernelGid = gid
        self.uids: IdMap = _NO_MAP
        self.gids: IdMap = _NO_MAP
        self.projects: IdMap = _NO_MAP
        self.allows_setgroups: bool = True if parent is None else parent.allows_setgroups
        self.maker_could_set_capabilities: bool = False  # CAP_SETFCAP, so that user 0 of the parent may be mapped
        self.limits: dict[int, int] = {}  # of namespaces by kind, where they were set (user.max_…_namespaces)
        self.holdings: dict[KernelUid, Holdings] = {}
        self.formats: ProgramFormats | None = None  # None: those of its parent

    # From programs ---------------------------------------------------------------------------------------------------

    def kernel_uid(self, number: int) -> KernelUid:
        """The user with a number in here; NO_USER if there is none."""
        return KernelUid(number if self.level == 0 else self.uids.to_kernel(number))

    def kernel_gid(self, number: int) -> KernelGid:
        """The same for a group; NO_GROUP if there is none."""
        return KernelGid(number if self.level == 0 else self.gids.to_kernel(number))

    # To programs -----------------------------------------------------------------------------------------------------

    def uid_or_none(self, uid: KernelUid) -> int:
        """A user's number in here; NO_ID if it has none."""
        return int(uid) if self.level == 0 else self.uids.from_kernel(int(uid))

    def gid_or_none(self, gid: KernelGid) -> int:
        """The same for a group."""
        return int(gid) if self.level == 0 else self.gids.from_kernel(int(gid))

    def shown_uid(self, uid: KernelUid) -> int:
        """A user's number in here; the overflow id if it has none."""
        if self.level == 0:
            return int(uid)
        number = self.uids.from_kernel(int(uid))
        return OVERFLOW.user if number == NO_ID else number

    def shown_gid(self, gid: KernelGid) -> int:
        """The same for a group."""
        if self.level == 0:
            return int(gid)
        number = self.gids.from_kernel(int(gid))
        return OVERFLOW.group if number == NO_ID else number

    # Questions -------------------------------------------------------------------------------------------------------

    def has_user(self, uid: KernelUid) -> bool:
        """Whether a user has a number in here."""
        return self.uid_or_none(uid) != NO_ID

    def has_group(self, gid: KernelGid) -> bool:
        """Whether a group has a number in here."""
        return self.gid_or_none(gid) != NO_ID

    def has_ids(self, uid: KernelUid, gid: KernelGid) -> bool:
        """Whether both the owner and the group of something have numbers in here."""
        return self.level == 0 or (self.has_user(uid) and self.has_group(gid))

    def root_uid(self) -> KernelUid:
        """The user with number 0 in here; NO_USER if there is none."""
        return self.kernel_uid(0)

    def may_set_groups(self) -> bool:
        """Whether setgroups(2) is allowed in here."""
        return self.level == 0 or (self.allows_setgroups and not self.gids.is_empty())

    def contains(self, other: "UserNamespace") -> bool:
        """Whether another namespace is this one or below it."""
        walker: UserNamespace | None = other
        while walker is not None and walker.level > self.level:
            walker = walker.parent
        return walker is self


FIRST_USER: Final = UserNamespace(None, FIRST_USER_NUMBER, ROOT_USER, ROOT_GROUP)


@final
class Networks:
    """Entered by the network, which lies above the code that creates namespaces."""

    def __init__(self) -> None:
        self.first: Namespace = Namespace(CLONE_NEWNET, b"net", 0)
        self.make: Callable[[UserNamespace], Namespace] | None = None  # a new one without users; raises MemoryError
        self.of_caller: Callable[[], Namespace] | None = None  # the running thread's; entered by the package of tasks


NETWORKS: Final = Networks()
