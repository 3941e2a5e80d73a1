"""Identities of processes, as unix sockets tell them: struct ucred (unix(7), SCM_CREDENTIALS, SO_PEERCRED)."""

from typing import Final

from kernel.lang import EINVAL, EPERM, ESRCH, Errno, final, span_of
from kernel.lib.capabilities import CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN
from kernel.net.sockets.socket import UNKNOWN_CREDENTIALS
from kernel.net.unix.parcel import Parcel
from kernel.task import Process, current, find_process

_NO_ID: Final = 0xFFFF_FFFF  # -1: no user, no group

CREDENTIALS_SIZE: Final = 12


def identity_bytes(pid: int, uid: int, gid: int) -> bytes:
    """A struct ucred."""
    storage = bytearray(CREDENTIALS_SIZE)
    span = span_of(storage)
    span.store_u32(0, pid)
    span.store_u32(4, uid)
    span.store_u32(8, gid)
    return bytes(storage)


@final
class PeerIdentity:
    """Who made a connection, as it was then: process, effective user and groups."""

    def __init__(self) -> None:
        self.process: Process | None = None
        self.credentials: bytes = UNKNOWN_CREDENTIALS  # a struct ucred
        self.groups: list[int] = []


def own_identity() -> PeerIdentity:
    """Who the caller is to its peers."""
    task = current()
    identity = PeerIdentity()
    identity.process = task.process
    identity.credentials = identity_bytes(task.pid, task.credentials.euid, task.credentials.egid)
    identity.groups = [group for group in task.credentials.groups]
    return identity


def sign(parcel: Parcel, claimed: bytes) -> None:
    """Put the sender's identity on a parcel: what SCM_CREDENTIALS claimed, checked before, or the caller's own."""
    if claimed:
        span = span_of(claimed)
        parcel.set_identity(span.load_u32(0), span.load_u32(4), span.load_u32(8))
        parcel.process = find_process(span.load_u32(0) & 0x7FFF_FFFF)
    else:
        task = current()
        parcel.set_identity(task.pid, task.credentials.uid, task.credentials.gid)
        parcel.process = task.process


def check_claim(claim: bytes) -> None:
    """Whether the caller may send this struct ucred: only its own identities, unless it is root. EINVAL, EPERM,
    ESRCH.
    """
    if len(claim) != CREDENTIALS_SIZE:
        raise Errno(EINVAL)
    span = span_of(claim)
    pid = span.load_u32(0)
    uid = span.load_u32(4)
    gid = span.load_u32(8)
    task = current()
    mine = task.credentials
    if uid == _NO_ID or gid == _NO_ID:
        raise Errno(EINVAL)
    own_uid = uid == mine.uid or uid == mine.euid or uid == mine.suid
    own_gid = gid == mine.gid or gid == mine.egid or gid == mine.sgid
    if (
        (pid != task.pid and not mine.capable(CAP_SYS_ADMIN))
        or (not own_uid and not mine.capable(CAP_SETUID))
        or (not own_gid and not mine.capable(CAP_SETGID))
    ):
        raise Errno(EPERM)
    if pid != task.pid and (pid > 0x7FFF_FFFF or find_process(pid) is None):
        raise Errno(ESRCH)
