"""A tmpfs that finds no memory for an inode or its name counts no inode."""

from __future__ import annotations

import stat

import pytest

from kernel.fs.inode import Inode
from kernel.fs.tmpfs.filesystem import TmpfsDirectory, new_tmpfs
from kernel.lib.credentials import Credentials, plain_actor
from tests.unit.booted import booted
from tests.unit.scarcity import Scarcity, each_place
from tools.simulated.machine import Machine

KINDS = {"file": stat.S_IFREG, "directory": stat.S_IFDIR, "fifo": stat.S_IFIFO, "symbolic link": stat.S_IFLNK}


@pytest.mark.parametrize("name", KINDS)
@booted
def test_an_entry(_: Machine, name: str) -> None:
    tmpfs = new_tmpfs(b"tmpfs", b"", b"")
    top = tmpfs.top
    assert isinstance(top, TmpfsDirectory)
    kind = KINDS[name]

    def make() -> Inode:
        if kind == stat.S_IFLNK:
            return top.create_symlink(b"new", b"target", plain_actor(Credentials()))
        return top.create(b"new", kind | 0o600, 0, plain_actor(Credentials()))

    def attempt(scarcity: Scarcity) -> None:
        before = tmpfs.inodes_used
        made: Inode | None = None
        try:
            with scarcity:
                made = make()
        except MemoryError:
            assert tmpfs.inodes_used == before, scarcity.where
            assert not top.entries
        if made is not None and kind == stat.S_IFDIR:
            top.remove_directory(b"new", made)
        elif made is not None:
            top.unlink(b"new", made)

    each_place(attempt, fewest=2)
