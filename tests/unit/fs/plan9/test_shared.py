"""Directories of the host, by way of a server of 9P that the test plays: both sides see what the other one does, and a
server that lies does no harm.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernel.cache.store import SyncScope
from kernel.fs import attributes, extended_attributes, names
from kernel.fs.constants import (
    O_APPEND,
    O_CREAT,
    O_DIRECTORY,
    O_RDONLY,
    O_RDWR,
    O_TRUNC,
    O_WRONLY,
    S_IFIFO,
    SEEK_END,
)
from kernel.fs.file import DirectorySink, File
from kernel.fs.inode import Inode
from kernel.fs.mounts import mount, unmount
from kernel.fs.open import open_file
from kernel.fs.plan9 import client, filesystem
from kernel.fs.plan9.channel import CHANNELS
from kernel.fs.plan9.file import SharedOpenFile
from kernel.fs.plan9.message import Call
from kernel.fs.remote_file import RemoteContents
from kernel.fs.remote_pages import RemotePages
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import EBUSY, EEXIST, EINVAL, EIO, ENODATA, ENOENT, ENOTDIR, ENOTEMPTY, EXDEV, Errno, Span, u8
from kernel.lib.credentials import plain_actor
from kernel.lib.ids import KernelGid, KernelUid
from kernel.lib.user import KernelBuffer
from kernel.mm.frames import frame_span, put_frame
from kernel.sched import mutex
from kernel.sched.thread import Thread
from tests.unit.fs.conftest import World
from tests.unit.fs.plan9.server import Message, Place, Server


class Shared:
    """A directory of this machine, mounted at /s."""

    def __init__(self, world: World, server: Server) -> None:
        self.world = world
        self.server = server
        self.context = world.root

    def open(self, name: bytes, flags: int = O_RDWR | O_CREAT, mode: int = 0o644) -> File:
        return open_file(self.context, None, name, flags, mode)

    def inode(self, name: bytes, flags: int = FOLLOW) -> Inode:
        inode = resolve(self.context, None, name, flags).inode()
        inode.refresh()
        return inode

    def list(self, name: bytes) -> dict[bytes, int]:
        class Sink(DirectorySink):
            def __init__(self) -> None:
                super().__init__()
                self.found: dict[bytes, int] = {}
                self.room = 7

            def emit(self, name: bytes, ino: int, kind: int, next_position: int) -> bool:
                self.room -= 1
                if self.room >= 0:
                    assert name not in self.found
                    self.found[name] = kind
                return self.room >= 0

        file = self.open(name, O_RDONLY | O_DIRECTORY)
        sink = Sink()
        while True:
            before = len(sink.found)
            sink.room = 7
            file.read_directory(sink)
            if len(sink.found) == before:
                break
        file.release()
        return sink.found

    def settle(self) -> None:
        """Let the thread close what is not needed any more."""
        while client.CLUNKER.clunk_all():
            pass


@pytest.fixture(params=[65536, 4096])
def shared(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Shared]:
    thread = Thread(b"test")
    monkeypatch.setattr(mutex, "current_thread", lambda: thread)
    monkeypatch.setattr(client, "spawn_kernel_thread", lambda name, function, argument: None)
    client.CLUNKER.clients.clear()
    directory = tmp_path / "shared"
    directory.mkdir()
    server = Server(directory, request.param)
    monkeypatch.setitem(CHANNELS, b"tag", server)
    names.make_directory(world.root, None, b"/s", 0o755)
    mount(world.root, b"tag", b"/s", b"9p", 0, b"trans=virtio,version=9p2000.L,msize=262144")
    yield Shared(world, server)
    server.spoil = None
    server.close()


def code(function: Callable[..., object], *arguments: object) -> int:
    with pytest.raises(Errno) as caught:
        function(*arguments)
    return caught.value.code


def test_contents_go_both_ways(shared: Shared) -> None:
    root = shared.server.root
    data = random.Random(1).randbytes(200_001)
    shared.world.write(b"/s/file", data)
    assert (root / "file").read_bytes() == data and shared.inode(b"/s/file").size == len(data)
    (root / "file").write_bytes(data[:70_000])
    assert shared.world.read(b"/s/file") == data[:70_000]
    file = shared.open(b"/s/file", O_RDWR)
    assert file.seek(0, SEEK_END) == 70_000
    (root / "file").write_bytes(b"short")
    assert file.seek(0, SEEK_END) == 5
    assert file.pwrite(KernelBuffer(bytearray(b"XY")), 1) == 2
    file.truncate(4)
    file.fsync()
    file.release()
    assert (root / "file").read_bytes() == b"sXYr"
    appending = shared.open(b"/s/file", O_WRONLY | O_APPEND)
    (root / "file").write_bytes(b"longer than that")
    appending.write(KernelBuffer(bytearray(b"!")))
    appending.release()
    assert (root / "file").read_bytes() == b"longer than that!"
    shared.open(b"/s/file", O_WRONLY | O_TRUNC).release()
    assert (root / "file").stat().st_size == 0


def test_syncing_reports_what_broken_memory_has_lost(shared: Shared) -> None:
    shared.world.write(b"/s/file", b"contents")
    file = shared.open(b"/s/file", O_RDWR)
    pages = file.memory_object()
    assert isinstance(pages, RemotePages)
    for sync in (file.fsync, file.fdatasync, lambda: file.inode.sync(SyncScope.ALL)):
        pages._has_lost = True
        with pytest.raises(Errno) as failure:
            sync()
        assert failure.value.code == EIO
        sync()
    file.release()


def test_an_open_that_lacks_memory_leaves_nothing(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    shared.world.write(b"/s/file", b"contents")
    inode = shared.inode(b"/s/file")
    users = inode.users

    def add(contents: object, handle: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(RemoteContents, "add", add)
        with pytest.raises(MemoryError):
            shared.open(b"/s/file", O_RDWR)
    assert (inode.users, inode.writers) == (users, 0)
    assert shared.world.read(b"/s/file") == b"contents"


def test_a_host_that_takes_less(shared: Shared) -> None:
    """What the host did not take is not counted, and nothing is written after it."""
    handler = shared.server.do_118

    def take_less(fid: int, place: Place, message: Message) -> bytes:
        at = message.at + 8
        count = int.from_bytes(message.data[at : at + 4], "little") // 2
        message.data = message.data[:at] + count.to_bytes(4, "little") + message.data[at + 4 :]
        return handler(fid, place, message)

    shared.server.do_118 = take_less  # type: ignore[method-assign]
    data = random.Random(3).randbytes(200_000)
    file = shared.open(b"/s/file")
    done = file.write(KernelBuffer(bytearray(data)))
    assert 0 < done < len(data) and (shared.server.root / "file").read_bytes() == data[:done]
    file.release()


def test_names_are_looked_up_anew(shared: Shared) -> None:
    root = shared.server.root
    (root / "a").mkdir()
    (root / "a" / "x").write_text("1")
    assert shared.world.read(b"/s/a/x") == b"1"
    before = resolve(shared.context, None, b"/s/a", FOLLOW).dentry
    assert resolve(shared.context, None, b"/s/a", FOLLOW).dentry is before
    (root / "a" / "x").unlink()
    assert code(shared.inode, b"/s/a/x") == ENOENT
    (root / "a").rename(root / "b")
    (root / "a").write_text("a file now")
    assert shared.world.read(b"/s/a") == b"a file now"
    assert shared.list(b"/s/b") == {b".": 4, b"..": 4}
    assert code(shared.inode, b"/s/a/x") == ENOTDIR


def test_changes_of_names(shared: Shared) -> None:
    root, context = shared.server.root, shared.context
    names.make_directory(context, None, b"/s/d", 0o750)
    shared.world.write(b"/s/d/one", b"1")
    names.make_symlink(context, None, b"/s/link", b"d/one")
    names.make_link(context, resolve(context, None, b"/s/d/one", 0), None, b"/s/two")
    names.make_node(context, None, b"/s/fifo", S_IFIFO | 0o640, 0)
    assert os.readlink(root / "link") == "d/one" and shared.world.read(b"/s/link") == b"1"
    assert (root / "two").stat().st_nlink == 2 and shared.inode(b"/s/two").nlink == 2
    assert shared.inode(b"/s/fifo").mode == S_IFIFO | 0o640 and (root / "fifo").is_fifo()
    assert shared.list(b"/s") == {b".": 4, b"..": 4, b"d": 4, b"fifo": 1, b"link": 10, b"two": 8}
    assert code(names.make_directory, context, None, b"/s/d", 0o755) == EEXIST
    assert code(names.remove_directory, context, None, b"/s/d") == ENOTEMPTY
    names.rename(context, None, b"/s/d/one", None, b"/s/three", 0)
    names.rename(context, None, b"/s/three", None, b"/s/link", 0)
    assert (root / "link").read_text() == "1" and not (root / "three").exists()
    names.rename(context, None, b"/s/d", None, b"/s/e", 0)
    names.remove_directory(context, None, b"/s/e")
    names.unlink(context, None, b"/s/link")
    assert sorted(os.listdir(root)) == ["fifo", "two"]
    shared.world.write(b"/outside", b"")
    assert code(names.rename, context, None, b"/s/two", None, b"/two", 0) == EXDEV


def test_a_file_without_a_name_lives_on(shared: Shared) -> None:
    file = shared.open(b"/s/file")
    file.write(KernelBuffer(bytearray(b"still here")))
    names.unlink(shared.context, None, b"/s/file")
    assert os.listdir(shared.server.root) == []
    buffer = KernelBuffer(bytearray(20))
    assert file.pread(buffer, 0) == 10 and buffer.storage[:10] == b"still here"
    shared.world.write(b"/s/file", b"another")
    assert shared.world.read(b"/s/file") == b"another"
    file.release()


def test_a_new_file_is_written_whatever_its_mode(shared: Shared) -> None:
    opened: list[int] = []
    handler = shared.server.do_12
    shared.server.do_12 = lambda *given: opened.append(1) or handler(*given)  # type: ignore[method-assign, func-returns-value]
    file = shared.open(b"/s/locked", O_RDWR | O_CREAT, 0o444)
    assert file.write(KernelBuffer(bytearray(b"x"))) == 1
    file.release()
    assert opened == [] and (shared.server.root / "locked").stat().st_mode & 0o777 == 0o444


def test_attributes(shared: Shared) -> None:
    shared.world.write(b"/s/file", b"x")
    path = shared.server.root / "file"
    inode = shared.inode(b"/s/file")
    inode.set_mode(0o4711)
    inode.set_owner(KernelUid(12), KernelGid(34))
    assert (path.stat().st_uid, path.stat().st_gid) == (12, 34)
    change = attributes.TimeChange()
    change.accessed_ns, change.accessed_special = 1_000_000_007, 0
    change.modified_ns, change.modified_special = -5, 0
    attributes.change_times(shared.context, resolve(shared.context, None, b"/s/file", 0).mount, inode, change)
    assert (path.stat().st_atime_ns, path.stat().st_mtime_ns) == (1_000_000_007, -5)
    assert shared.inode(b"/s/file").mtime_ns == -5
    path.chmod(0o600)
    assert shared.inode(b"/s/file").mode & 0o7777 == 0o600
    sizes = resolve(shared.context, None, b"/s", FOLLOW).mount.file_system.statistics()
    assert (sizes.blocks, sizes.blocks_free, sizes.blocks_reserved, sizes.files) == (100, 50, 10, 30)


def test_extended_attributes(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"user.one": b"1" * 5000, "user.two": b""}
    monkeypatch.setattr(os, "listxattr", lambda path: list(values))
    monkeypatch.setattr(os, "getxattr", lambda path, name: values[name])
    shared.world.write(b"/s/file", b"")
    inode = shared.inode(b"/s/file")
    credentials = plain_actor(shared.context.credentials)
    assert extended_attributes.get(credentials, inode, b"user.one") == b"1" * 5000
    assert code(extended_attributes.get, credentials, inode, b"user.none") == ENODATA


def test_mapped_pages(shared: Shared) -> None:
    """They are the host's when they are touched; what is written goes there before anybody reads by a descriptor."""
    root = shared.server.root
    (root / "file").write_bytes(b"a" * 5000)
    file = shared.open(b"/s/file", O_RDWR)
    pages = file.memory_object()
    pages.acquire()
    for index, wanted in ((0, b"a" * 4096), (1, b"a" * 904 + bytes(3192))):
        frame = pages.page(index, True)
        assert frame_span(frame).to_bytes() == wanted
        frame_span(frame)[0:2].store_u16(0, 0x6262)
        put_frame(frame)
    assert code(pages.page, 2, False) == 14
    buffer = KernelBuffer(bytearray(5000))
    assert file.pread(buffer, 0) == 5000
    assert bytes(buffer.storage) == b"bb" + b"a" * 4094 + b"bb" + b"a" * 902 == (root / "file").read_bytes()
    file.pwrite(KernelBuffer(bytearray(b"new")), 4096)
    frame = pages.page(1, False)
    assert frame_span(frame).to_bytes()[:4] == b"newa"
    put_frame(frame)
    file.release()
    pages.release()
    assert (root / "file").stat().st_size == 5000
    shared.settle()
    assert all(place.descriptor is None for place in shared.server.places.values())


def test_nothing_is_left_open(shared: Shared) -> None:
    for number in range(20):
        shared.world.write(b"/s/%d" % number, b"x")
        shared.world.read(b"/s/%d" % number)
        names.unlink(shared.context, None, b"/s/%d" % number)
    shared.list(b"/s")
    shared.settle()
    assert len(shared.server.places) == 1  # the root
    assert code(mount, shared.context, b"tag", b"/s", b"9p", 0, b"") == EBUSY
    unmount(shared.context, b"/s", 0)
    assert shared.server.places == {} and not shared.server.is_used
    mount(shared.context, b"tag", b"/s", b"9p", 0, b"")


def test_files_are_closed_at_the_host_once(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that are given up while the thread waits for room for a message; none of a session that has ended,
    since the next one has the same numbers.
    """
    take_call = client.Client.take_call
    wait: list[Callable[[], None]] = []

    def take(it: client.Client, is_urgent: bool) -> Call:
        while wait:
            wait.pop()()
        return take_call(it, is_urgent)

    monkeypatch.setattr(client.Client, "take_call", take)
    first, second = (shared.open(name) for name in (b"/s/one", b"/s/two"))
    shared.settle()
    before = len(shared.server.places)
    first.release()
    wait.append(second.release)
    shared.settle()
    assert len(shared.server.places) == before - 2
    third = shared.open(b"/s/three")
    third.release()
    (session,) = client.CLUNKER.clients

    def mount_anew() -> None:
        unmount(shared.context, b"/s", 0)
        mount(shared.context, b"tag", b"/s", b"9p", 0, b"")

    wait.append(mount_anew)
    session.clunk_retired()
    assert client.CLUNKER.clients != [session] and shared.world.read(b"/s/one") == b""


def test_a_message_that_waits_is_about_the_same_file(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it waits for room, others close the file and open another one, whose number must be another."""
    root = shared.server.root
    (root / "one").write_bytes(b"first")
    (root / "two").write_bytes(b"second")
    take_call = client.Client.take_call
    wait: list[Callable[[], None]] = []

    def take(it: client.Client, is_urgent: bool) -> Call:
        while wait:
            wait.pop()()
        return take_call(it, is_urgent)

    monkeypatch.setattr(client.Client, "take_call", take)
    file = shared.open(b"/s/one", O_RDWR)
    inode = shared.inode(b"/s/one")
    others: list[File] = []

    def act() -> None:
        file.release()
        shared.settle()
        others.append(shared.open(b"/s/two", O_RDWR))

    wait.append(act)
    inode.truncate(0)
    assert (root / "one").read_bytes() == b"" and (root / "two").read_bytes() == b"second"
    others.pop().release()
    shared.settle()
    assert all(place.descriptor is None for place in shared.server.places.values())


def test_a_late_answer_brings_no_name_back(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is removed between the host's answer and the moment at which its thread goes on."""
    file = shared.open(b"/s/file")
    inode = shared.inode(b"/s/file")
    attributes = client.Client.attributes

    def act(it: client.Client, fid: client.Fid, is_urgent: bool = False) -> client.Attributes:
        found = attributes(it, fid, is_urgent)
        monkeypatch.undo()
        names.unlink(shared.context, None, b"/s/file")
        return found

    monkeypatch.setattr(client.Client, "attributes", act)
    inode.refresh()
    assert inode.nlink == 0
    file.release()


def test_wrong_mounts(shared: Shared) -> None:
    names.make_directory(shared.context, None, b"/t", 0o755)
    for source, options, wanted in (
        (b"none", b"", ENOENT), (b"tag", b"trans=tcp", EINVAL), (b"tag", b"version=9p2000.u", EINVAL),
        (b"tag", b"nonsense=1", EINVAL),
    ):
        assert code(mount, shared.context, source, b"/t", b"9p", 0, options) == wanted


def test_mounts_inside_stay(shared: Shared) -> None:
    (shared.server.root / "inner").mkdir()
    mount(shared.context, b"tmpfs", b"/s/inner", b"tmpfs", 0, b"")
    shared.world.write(b"/s/inner/file", b"in memory")
    assert shared.world.read(b"/s/inner/file") == b"in memory"
    assert os.listdir(shared.server.root / "inner") == []
    assert filesystem.MAGIC != resolve(shared.context, None, b"/s/inner", FOLLOW).mount.file_system.magic


@pytest.mark.parametrize("seed", range(40))
def test_a_server_that_lies(shared: Shared, seed: int) -> None:
    """Whatever comes back, calls end: with what they want, or with an error."""
    choice = random.Random(seed)
    root = shared.server.root
    for name in ("a", "b"):
        (root / name).mkdir()
        (root / name / "file").write_bytes(bytes(10_000))

    def spoil(kind: int, answer: bytes) -> bytes:
        if choice.random() < 0.7:
            return answer
        data = bytearray(answer)
        what = choice.randrange(4)
        if what == 0:
            del data[choice.randrange(len(data)) :]
        elif what == 1:
            for _ in range(choice.randrange(1, 9)):
                data[choice.randrange(len(data))] = choice.randrange(256)
        elif what == 2:
            at = choice.randrange(len(data))
            data[at : at + 4] = b"\xff\xff\xff\xff"
        else:
            data += bytes(choice.randrange(1, 100))
            data[0:4] = len(data).to_bytes(4, "little")
        return bytes(data)

    shared.server.spoil = spoil
    for _ in range(30):
        for action in (
            lambda: shared.world.read(b"/s/a/file"), lambda: shared.list(b"/s/b"), lambda: shared.inode(b"/s/b/file"),
            lambda: shared.world.write(b"/s/a/new", b"x" * 5000),
            lambda: names.unlink(shared.context, None, b"/s/a/new"),
            lambda: extended_attributes.get(plain_actor(shared.context.credentials), shared.inode(b"/s/a"), b"user.x"),
        ):
            try:
                action()
            except Errno as error:
                assert 0 < error.code < 4096
            shared.server.spoil = None
            shared.settle()
            shared.server.spoil = spoil




class Slow(KernelBuffer):
    """Memory of a program that another program has to provide: no message may wait for it."""

    def __init__(self, served: client.Client, content: bytes) -> None:
        super().__init__(bytearray(content))
        self.served = served

    def see(self) -> None:
        unused, count = self.served._unused, 0
        while unused is not None:
            unused, count = unused.next, count + 1
        assert count == self.served._call_count

    def put(self, source: Span[u8]) -> int:
        self.see()
        return super().put(source)

    def take(self, destination: Span[u8]) -> int:
        self.see()
        return super().take(destination)


def test_no_message_waits_for_the_memory_of_a_program(shared: Shared) -> None:
    content = bytes(range(256)) * 300
    file = shared.open(b"/s/file")
    assert isinstance(file, SharedOpenFile)
    served = file.handle.client
    assert file.write(Slow(served, content)) == len(content)
    buffer = Slow(served, bytes(len(content)))
    assert file.pread(buffer, 0) == len(content) and buffer.storage == content
    file.release()
