"""Access control lists that a server keeps, and the umask of new files."""

from __future__ import annotations

import errno
import stat
import struct

import pytest

from kernel.fs import attributes, extended_attributes, names
from kernel.fs.constants import MAY_READ, MAY_WRITE
from kernel.fs.descriptors import CALLER_FILES
from kernel.fs.inode import Inode
from kernel.fs.walk import resolve
from kernel.lang import E2BIG, EACCES, EINVAL, ENODATA, ENOSPC, EOPNOTSUPP, EPERM, ERANGE
from kernel.lib.credentials import plain_actor
from tests.unit.fs.fuse.daemon import Asked
from tests.unit.fs.fuse.served import Served, code

GETXATTR, SETXATTR, REMOVEXATTR, MKDIR = 22, 21, 24, 9
POSIX_ACL, DONT_MASK = 1 << 20, 1 << 6
ACCESS, DEFAULT = b"system.posix_acl_access", b"system.posix_acl_default"
NOBODY = 0xFFFF_FFFF


def listed(*entries: tuple[int, int, int], version: int = 2) -> bytes:
    return struct.pack("<I", version) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


# The owner rw, user 1000 r, the group nothing, the mask r, others nothing.
USUAL = listed((1, 6, NOBODY), (2, 4, 1000), (4, 0, NOBODY), (16, 4, NOBODY), (32, 0, NOBODY))


def served_file(served: Served, flags: int = 0, mode: int = 0o640) -> Inode:
    served.daemon.flags |= flags
    served.mount(b",allow_other")
    served.world.write(b"/s/file", b"1234")
    served.daemon.nodes[2].mode = stat.S_IFREG | mode
    return served.inode(b"/s/file")


def test_they_go_both_ways(served: Served) -> None:
    inode = served_file(served)
    root = plain_actor(served.context.credentials)
    assert code(extended_attributes.get, root, inode, ACCESS) == ENODATA
    extended_attributes.put(root, inode, ACCESS, USUAL, 0)
    assert served.daemon.nodes[2].attributes == {ACCESS: USUAL}
    assert extended_attributes.get(root, inode, ACCESS) == USUAL
    assert extended_attributes.names(root, inode) == ACCESS + b"\0"
    before = served.count(SETXATTR)
    assert code(extended_attributes.put, root, inode, ACCESS, USUAL[:-8], 0) == EINVAL
    assert code(extended_attributes.put, root, inode, DEFAULT, USUAL, 0) == EACCES
    assert code(extended_attributes.put, served.world.user.credentials, inode, ACCESS, USUAL, 0) == EPERM
    assert served.count(SETXATTR) == before
    extended_attributes.remove(root, inode, ACCESS)
    assert served.daemon.nodes[2].attributes == {}




def test_the_kernel_checks_them_if_the_server_wants_that(served: Served) -> None:
    inode = served_file(served, POSIX_ACL)
    user = plain_actor(served.world.user.credentials)
    assert code(inode.check_permission, user, MAY_READ) == EACCES
    served.daemon.nodes[2].attributes[ACCESS] = USUAL
    inode.check_permission(user, MAY_READ)
    assert code(inode.check_permission, user, MAY_WRITE) == EACCES
    # chmod(2) and what it means for the list are the server's.
    place = resolve(served.context, None, b"/s/file", 0)
    before = served.count(SETXATTR)
    attributes.change_mode(served.context, place.mount, place.inode(), 0o600)
    assert served.count(SETXATTR) == before


def test_it_believes_them_as_long_as_the_attributes(served: Served) -> None:
    inode = served_file(served, POSIX_ACL)
    user = plain_actor(served.world.user.credentials)
    served.daemon.valid = (3600, 3600)
    served.daemon.nodes[2].attributes[ACCESS] = USUAL
    inode.check_permission(user, MAY_READ)
    inode.check_permission(user, MAY_READ)
    before = served.count(GETXATTR)
    inode.check_permission(user, MAY_READ)
    assert served.count(GETXATTR) == before
    extended_attributes.remove(plain_actor(served.context.credentials), inode, ACCESS)
    assert code(inode.check_permission, user, MAY_READ) == EACCES


def test_otherwise_it_does_not(served: Served) -> None:
    inode = served_file(served, mode=0o600)
    served.daemon.nodes[2].attributes[ACCESS] = listed((1, 0, NOBODY), (4, 0, NOBODY), (32, 0, NOBODY))
    before = served.count(GETXATTR)
    inode.check_permission(plain_actor(served.world.user.credentials), MAY_READ | MAY_WRITE)
    assert served.count(GETXATTR) == before


@pytest.mark.parametrize(("flags", "mode"), [(0, 0o750), (POSIX_ACL, 0o750), (DONT_MASK | POSIX_ACL, 0o777)])
def test_new_files(served: Served, monkeypatch: pytest.MonkeyPatch, flags: int, mode: int) -> None:
    """The server lets them inherit lists, and applies the umask if it wants to."""
    served_file(served, flags)
    served.daemon.nodes[1].attributes[DEFAULT] = USUAL
    monkeypatch.setattr(CALLER_FILES, "find_umask", lambda: 0o027)
    monkeypatch.setattr(served.context, "umask", 0o027)
    names.make_directory(served.context, None, b"/s/d", 0o777)
    (made,) = (asked for asked in served.daemon.seen if asked.kind == MKDIR)
    assert struct.unpack_from("<II", made.body) == (mode, 0o027)
    assert served.count(SETXATTR) == 0


@pytest.mark.parametrize(("answer", "shown"), [
    ((0, b"\2\0\0"), EINVAL), ((0, listed(version=7)), EOPNOTSUPP), ((0, listed()), ENODATA), ((0, USUAL[:-1]), EINVAL),
    ((0, listed((64, 7, NOBODY))), EINVAL), ((0, bytes(4097)), E2BIG), ((errno.ERANGE, b""), E2BIG),
    ((errno.ENOSPC, b""), ENOSPC), ((errno.ENOSYS, b""), ENODATA), ((0, b""), ENODATA),
])  # fmt: skip
def test_servers_that_lie(served: Served, answer: tuple[int, bytes], shown: int) -> None:
    inode = served_file(served, POSIX_ACL)

    def lie(asked: Asked, error: int, body: bytes) -> tuple[int, bytes]:
        return answer if asked.kind == GETXATTR else (error, body)

    served.daemon.spoil = lie
    root = plain_actor(served.context.credentials)
    assert code(extended_attributes.get, root, inode, ACCESS) == (shown if len(answer[1]) <= 4096 else errno.EIO)
    forbidden = code(inode.check_permission, served.world.user.credentials, MAY_READ)
    assert forbidden == (EACCES if shown == ENODATA else shown if len(answer[1]) <= 4096 else errno.EIO)
    assert ERANGE not in (shown, forbidden)
