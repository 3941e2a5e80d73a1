"""Creating user namespaces, and limits on a user's namespaces of each kind (user_namespaces(7), namespaces(7)).

A user is counted in the user namespace in which it acts; and the creator of that, in the one above, and so on up to the
first. Each of these has a limit for each kind, /proc/sys/user/max_…_namespaces. Some namespaces are objects that are
freed with their last reference, so the living ones are known by weak references, which are pruned when there are
many. Others have an explicit end, at which they stop counting.

Context: creating one may reclaim memory, which takes long but does not sleep. Raises MemoryError.
"""

from typing import Final

from kernel.fs.mount_namespaces import is_chrooted
from kernel.lang import ENOSPC, EPERM, Errno, Weak, final, weak
from kernel.lib.capabilities import CAP_SETFCAP, CAP_SYS_RESOURCE
from kernel.lib.credentials import Credentials, caller_namespace
from kernel.lib.ids import KernelUid
from kernel.lib.namespace import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    USER_NAMESPACES,
    Holdings,
    Namespace,
    UserNamespace,
    next_number,
)
from kernel.lib.settings import Setting
from kernel.mm.frames import total_frame_count
from kernel.mm.keeping import check_room_to_keep
from kernel.mm.reclaim import reclaim_in_parts
from kernel.task.task import Task

DEEPEST: Final = 33  # levels below the first
_NO_LIMIT: Final = (1 << 31) - 1
_FRAMES_PER_NAMESPACE: Final = 64  # as on Linux: half the limit on threads
_FEWEST: Final = 32
_FIRST_LOOK: Final = 64  # references, before they are pruned


def most_of(namespace: UserNamespace, kind: int) -> int:
    """How many namespaces of a kind one user may create in a user namespace."""
    limit = namespace.limits.get(kind, -1)
    if limit >= 0:
        return limit
    return max(_FEWEST, total_frame_count() // _FRAMES_PER_NAMESPACE) if namespace.level == 0 else _NO_LIMIT


@final
class NamespaceLimit(Setting):
    """/proc/sys/user/max_…_namespaces: that of the opener's user namespace, whichever task holds the descriptor
    later.
    """

    def __init__(self, path: bytes, kind: int, namespace: UserNamespace | None) -> None:
        super().__init__(path, 0, _NO_LIMIT, is_listed=namespace is None)
        self.kind: int = kind
        self.namespace: UserNamespace | None = namespace  # None: not opened

    def for_opener(self) -> Setting:
        return NamespaceLimit(self.path, self.kind, self._namespace())

    def _namespace(self) -> UserNamespace:
        namespace = self.namespace
        return caller_namespace() if namespace is None else namespace

    def numbers(self) -> list[int]:
        return [most_of(self._namespace(), self.kind)]

    def store(self, numbers: list[int]) -> None:
        self._namespace().limits[self.kind] = numbers[0]

    def may_be_changed_by(self, who: Credentials) -> bool:
        return who.capable_in(self._namespace(), CAP_SYS_RESOURCE)

    def is_for_root(self) -> bool:
        return False


_LIMITS: Final[list[NamespaceLimit]] = [
    NamespaceLimit(b"user/max_cgroup_namespaces", CLONE_NEWCGROUP, None),
    NamespaceLimit(b"user/max_ipc_namespaces", CLONE_NEWIPC, None),
    NamespaceLimit(b"user/max_mnt_namespaces", CLONE_NEWNS, None),
    NamespaceLimit(b"user/max_net_namespaces", CLONE_NEWNET, None),
    NamespaceLimit(b"user/max_pid_namespaces", CLONE_NEWPID, None),
    NamespaceLimit(b"user/max_time_namespaces", CLONE_NEWTIME, None),
    NamespaceLimit(b"user/max_user_namespaces", CLONE_NEWUSER, None),
    NamespaceLimit(b"user/max_uts_namespaces", CLONE_NEWUTS, None),
]


# ---- Counting -------------------------------------------------------------------------------------------------------


def _references(owner: UserNamespace, uid: KernelUid, kind: int) -> dict[int, Weak[Namespace]]:
    """References to a user's namespaces of a kind, created in a user namespace, by number. Raises MemoryError."""
    holdings = owner.holdings.get(uid)
    if holdings is None:
        if _is_time_to_look(len(owner.holdings)):
            _forget_idle(owner)
        holdings = Holdings()
        owner.holdings[uid] = holdings
    found = holdings.by_kind.get(kind)
    if found is None:
        found = {}
        holdings.by_kind[kind] = found
    return found


def _forget_dead(references: dict[int, Weak[Namespace]]) -> int:
    """Keep those of living namespaces; returns their number. Raises MemoryError."""
    for number in [number for number, reference in references.items() if reference.get() is None]:
        del references[number]
    return len(references)


def _is_time_to_look(count: int) -> bool:
    """Whether the list has doubled since it was last pruned."""
    return count >= _FIRST_LOOK and count & (count - 1) == 0


def _forget_idle(owner: UserNamespace) -> None:
    """Forget users all of whose namespaces have gone. Raises MemoryError."""
    for uid in list(owner.holdings.keys()):
        living = 0
        for references in owner.holdings[uid].by_kind.values():
            living += _forget_dead(references)
        if living == 0:
            del owner.holdings[uid]


def check_room(owner: UserNamespace, uid: KernelUid, kind: int) -> None:
    """Check that a user may create one more namespace. Raises ENOSPC, MemoryError."""
    walker: UserNamespace | None = owner
    while walker is not None:
        references = _references(walker, uid, kind)
        limit = most_of(walker, kind)
        if len(references) >= limit and _forget_dead(references) >= limit:
            reclaim_in_parts()
            if _forget_dead(references) >= limit:
                raise Errno(ENOSPC)
        uid = walker.owner_uid
        walker = walker.parent


def count(namespace: Namespace, owner: UserNamespace, uid: KernelUid) -> None:
    """Count a namespace that a user has created. Raises MemoryError."""
    reference = weak(namespace)
    namespace.maker_uid = uid
    walker: UserNamespace | None = owner
    while walker is not None:
        references = _references(walker, uid, namespace.kind)
        if _is_time_to_look(len(references)):
            _forget_dead(references)
        references[namespace.number] = reference
        uid = walker.owner_uid
        walker = walker.parent


# ---- Making ---------------------------------------------------------------------------------------------------------


def with_new_user_namespace(task: Task) -> Credentials:
    """The task's credentials in a new user namespace, with all capabilities there. Raises ENOSPC, EPERM,
    MemoryError.
    """
    old = task.credentials
    parent = old.user_namespace
    if parent.level >= DEEPEST:
        raise Errno(ENOSPC)
    check_room_to_keep()
    check_room(parent, old.euid, CLONE_NEWUSER)
    if is_chrooted(task.fs) or not parent.has_ids(old.euid, old.egid):
        raise Errno(EPERM)
    made = UserNamespace(parent, next_number(), old.euid, old.egid)
    made.maker_could_set_capabilities = old.capable_here(CAP_SETFCAP)
    count(made, parent, old.euid)
    fresh = old.copy()
    fresh.enter(made)
    USER_NAMESPACES.exist = True
    return fresh
