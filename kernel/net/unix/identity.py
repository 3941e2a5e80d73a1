"""Identities of processes, as unix sockets tell them: struct ucred (unix(7), SCM_CREDENTIALS, SO_PEERCRED)."""

from typing import Final

from kernel.lang import EINVAL, EPERM, ESRCH, Errno, span_of
from kernel.net.unix.parcel import Parcel
from kernel.task import current, find_process

CREDENTIALS_SIZE: Final = 12


def identity_bytes(pid: int, uid: int, gid: int) -> bytes:
    """A struct ucred."""
    storage = bytearray(CREDENTIALS_SIZE)
    span = span_of(storage)
    span.store_u32(0, pid)
    span.store_u32(4, uid)
    span.store_u32(8, gid)
    return bytes(storage)


def own_identity() -> bytes:
    """Who the caller is to its peers: process, effective user and group."""
    task = current()
    return identity_bytes(task.pid, task.credentials.euid, task.credentials.egid)


def sign(parcel: Parcel, claimed: bytes) -> None:
    """Put the sender's identity on a parcel: what SCM_CREDENTIALS claimed, checked before, or the caller's own."""
    if claimed:
        span = span_of(claimed)
        parcel.set_identity(span.load_u32(0), span.load_u32(4), span.load_u32(8))
    else:
        task = current()
        parcel.set_identity(task.pid, task.credentials.uid, task.credentials.gid)


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
    if not mine.capable():
        own_uid = uid == mine.uid or uid == mine.euid or uid == mine.suid
        own_gid = gid == mine.gid or gid == mine.egid or gid == mine.sgid
        if pid != task.pid or not own_uid or not own_gid:
            raise Errno(EPERM)
    if pid != task.pid and (pid > 0x7FFF_FFFF or find_process(pid) is None):
        raise Errno(ESRCH)
