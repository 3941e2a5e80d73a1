"""Identities of processes, as unix sockets report them: struct ucred (unix(7), SCM_CREDENTIALS, SO_PEERCRED)."""

from typing import Final

from kernel.lang import EINVAL, EPERM, ESRCH, Errno, final, span_of
from kernel.lib.capabilities import CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN
from kernel.lib.credentials import gid_for_caller, uid_for_caller
from kernel.lib.ids import NO_GROUP, NO_USER, OVERFLOW, KernelGid, KernelUid
from kernel.net.unix.parcel import Parcel
from kernel.task import Process, current, find_process

CREDENTIALS_SIZE: Final = 12


def identity_bytes(pid: int, uid: KernelUid, gid: KernelGid) -> bytes:
    """A struct ucred, as the running thread sees it."""
    storage = bytearray(CREDENTIALS_SIZE)
    span = span_of(storage)
    span.store_u32(0, pid)
    span.store_u32(4, OVERFLOW.user if uid == NO_USER else uid_for_caller(uid))
    span.store_u32(8, OVERFLOW.group if gid == NO_GROUP else gid_for_caller(gid))
    return bytes(storage)


def number_of(process: Process | None) -> int:
    """The running thread's number for a process, which may have gone; 0 for one that it does not see, or none."""
    return 0 if process is None else process.number_in(current().pids)


@final
class PeerIdentity:
    """The creator of a connection at that time: process, effective user and groups."""

    def __init__(self) -> None:
        self.process: Process | None = None
        self.uid: KernelUid = NO_USER
        self.gid: KernelGid = NO_GROUP
        self.groups: list[KernelGid] = []

    def shown(self) -> bytes:
        """A struct ucred, as the running thread sees it."""
        return identity_bytes(number_of(self.process), self.uid, self.gid)


def own_identity() -> PeerIdentity:
    """The caller's identity, as its peers see it."""
    task = current()
    identity = PeerIdentity()
    identity.process = task.process
    identity.uid = task.credentials.euid
    identity.gid = task.credentials.egid
    identity.groups = [group for group in task.credentials.groups]
    return identity


def sign(parcel: Parcel, claimed: bytes) -> None:
    """Put the sender's identity on a parcel: the claim of SCM_CREDENTIALS, checked before, or the caller's own."""
    if claimed:
        span = span_of(claimed)
        process = find_process(current().pids.resolve(span.load_u32(0) & 0x7FFF_FFFF))
        namespace = current().credentials.user_namespace
        uid = namespace.kernel_uid(span.load_u32(4))
        parcel.set_identity(process, uid, namespace.kernel_gid(span.load_u32(8)))
    else:
        task = current()
        parcel.set_identity(task.process, task.credentials.uid, task.credentials.gid)


def check_claim(claim: bytes) -> None:
    """Check that the caller may send this struct ucred: only its own identities, unless it is root. EINVAL, EPERM,
    ESRCH.
    """
    if len(claim) != CREDENTIALS_SIZE:
        raise Errno(EINVAL)
    span = span_of(claim)
    pid = span.load_u32(0)
    task = current()
    mine = task.credentials
    uid = mine.user_namespace.kernel_uid(span.load_u32(4))
    gid = mine.user_namespace.kernel_gid(span.load_u32(8))
    if uid == NO_USER or gid == NO_GROUP:
        raise Errno(EINVAL)
    own_uid = uid == mine.uid or uid == mine.euid or uid == mine.suid
    own_gid = gid == mine.gid or gid == mine.egid or gid == mine.sgid
    if (
        (pid != task.own_pid and not mine.capable_in(task.pids.owner, CAP_SYS_ADMIN))
        or (not own_uid and not mine.capable_here(CAP_SETUID))
        or (not own_gid and not mine.capable_here(CAP_SETGID))
    ):
        raise Errno(EPERM)
    if pid != task.own_pid and (pid > 0x7FFF_FFFF or find_process(task.pids.resolve(pid)) is None):
        raise Errno(ESRCH)
