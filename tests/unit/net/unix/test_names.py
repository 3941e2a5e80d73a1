"""Names of unix sockets in file systems, while looking at them sleeps."""

from types import SimpleNamespace

import pytest

from kernel.fs.constants import S_IFSOCK
from kernel.fs.inode import Inode
from kernel.fs.names import make_node, unlink
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import ECONNREFUSED, Errno
from kernel.lib.credentials import Actor, Credentials
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.unix import base
from kernel.net.unix.datagram import DatagramSocket
from tests.unit.fs.conftest import World, world

_ = world


def test_an_inode_stays_while_its_permission_is_checked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    make_node(world.root, None, b"/s", S_IFSOCK | 0o666, 0)
    inode = resolve(world.root, None, b"/s", FOLLOW).inode()
    ended: list[str] = []
    kind = type(inode)
    evict = kind.evict

    def note_end(self: Inode) -> None:
        ended.append("ended")
        evict(self)

    def check(self: Inode, actor: Actor, mask: int) -> None:
        monkeypatch.undo()
        monkeypatch.setattr(kind, "evict", note_end)
        unlink(world.root, None, b"/s")  # by another thread
        ended.append("checked")

    monkeypatch.setattr(base, "current", lambda: SimpleNamespace(fs=world.root))
    monkeypatch.setattr(kind, "check_permission", check)
    socket = DatagramSocket(0, Credentials(), FIRST_NETWORK)
    with pytest.raises(Errno) as caught:
        socket.find(b"\x01\x00/s")
    assert caught.value.code == ECONNREFUSED and ended == ["checked", "ended"]
    socket.release()
