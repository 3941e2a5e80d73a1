"""Servers that can do with mounts that map owners (ALLOW_IDMAP)."""

from __future__ import annotations

import pytest

from kernel.fs import names
from kernel.fs.fuse.protocol import ALLOW_IDMAP, INIT_EXT
from kernel.fs.walk import resolve
from kernel.lang import ENOTCONN
from kernel.lib.credentials import CALLER, Credentials
from kernel.lib.ids import NO_ID, Extent, IdMap, KernelGid, KernelUid
from kernel.lib.namespace import FIRST_USER, UserNamespace
from kernel.lib.owner_map import OwnerMap
from tests.unit.fs.fuse.served import Served, code

LOOKUP, SYMLINK, MKNOD, MKDIR, CREATE = 1, 6, 8, 9, 35
KEPT = 1000


def owners() -> OwnerMap:
    """User and group 1000 of the server seem to be user and group 0."""
    seen = UserNamespace(FIRST_USER, 5, KernelUid(0), KernelGid(0))
    seen.uids = IdMap([Extent(KEPT, 0, 1)])
    seen.gids = IdMap([Extent(KEPT, 0, 1)])
    return OwnerMap(seen, FIRST_USER)


def test_the_server_learns_who_creates_and_nothing_else(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.daemon.flags |= INIT_EXT | ALLOW_IDMAP
    served.mount(b",allow_other,default_permissions")
    root = resolve(served.context, None, b"/s", 0)
    assert root.mount.file_system.maps_owners
    who = Credentials()
    monkeypatch.setattr(CALLER, "find", lambda: who)
    served.daemon.nodes[1].uid = served.daemon.nodes[1].gid = KEPT
    root.mount.owners = owners()
    names.make_directory(served.context, None, b"/s/directory", 0o755)
    names.make_symlink(served.context, None, b"/s/link", b"target")
    served.open(b"/s/file").release()
    names.rename(served.context, None, b"/s/file", None, b"/s/moved", 0)
    makers = {asked.kind: (asked.uid, asked.gid) for asked in served.daemon.seen}
    created = {MKDIR, SYMLINK, CREATE}
    assert {kind: makers[kind] for kind in created} == dict.fromkeys(created, (KEPT, KEPT))
    assert makers[LOOKUP] == (NO_ID, NO_ID)
    assert all(ids == (NO_ID, NO_ID) for kind, ids in makers.items() if kind not in created and kind != 26)


def test_other_servers_learn_who_asks(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.mount(b",allow_other,default_permissions")
    who = Credentials()
    monkeypatch.setattr(CALLER, "find", lambda: who)
    assert not resolve(served.context, None, b"/s", 0).mount.file_system.maps_owners
    names.make_directory(served.context, None, b"/s/directory", 0o755)
    assert {(asked.uid, asked.gid) for asked in served.daemon.seen} == {(0, 0)}


def test_the_kernel_must_check_rights(served: Served) -> None:
    served.daemon.flags |= INIT_EXT | ALLOW_IDMAP
    served.mount(b",allow_other")
    assert code(names.make_directory, served.context, None, b"/s/directory", 0o755) == ENOTCONN
