"""File systems that programs serve, with a program that the test plays: it may be honest, lie, sleep or die."""

from __future__ import annotations

import random
import stat
import struct
import threading
from collections.abc import Callable

import pytest

from kernel.fs import attributes, extended_attributes, names
from kernel.fs.constants import (
    MNT_FORCE,
    O_APPEND,
    O_CREAT,
    O_DIRECTORY,
    O_NONBLOCK,
    O_RDONLY,
    O_RDWR,
    O_TRUNC,
    RENAME_EXCHANGE,
    S_IFIFO,
    SEEK_DATA,
    SEEK_END,
    SEEK_HOLE,
)
from kernel.fs.dentry import CACHE
from kernel.fs.file import File
from kernel.fs.fuse import connection as connections
from kernel.fs.fuse import filesystem
from kernel.fs.fuse.client import Client
from kernel.fs.fuse.inode import FuseInode
from kernel.fs.fuse.protocol import Message
from kernel.fs.fuse.request import Request
from kernel.fs.mounts import mount, unmount
from kernel.fs.open import open_file
from kernel.fs.path import FsContext
from kernel.fs.remote_pages import RemotePages
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import (
    EACCES,
    EAGAIN,
    EBUSY,
    ECONNABORTED,
    EFAULT,
    EINTR,
    EINVAL,
    EIO,
    ENAMETOOLONG,
    ENODATA,
    ENODEV,
    ENOENT,
    ENOSYS,
    ENOTCONN,
    ENOTEMPTY,
    EOPNOTSUPP,
    EPERM,
    ERESTARTSYS,
    ESTALE,
    Errno,
    Span,
    span_of,
    u8,
)
from kernel.lib.credentials import CALLER, plain_actor
from kernel.lib.ids import KernelGid, KernelUid
from kernel.lib.user import KernelBuffer
from kernel.mm.frames import frame_span, free_frame_count, put_frame
from kernel.sched import mutex
from kernel.sched.wait import WaitQueue
from kernel.task.exec import open_executable
from tests.unit.fs.fuse.daemon import Asked, Daemon, Node
from tests.unit.fs.fuse.served import Served, Sink, TestThread, code

LOOKUP, GETATTR, OPEN, READ, WRITE, RELEASE, FLUSH, CREATE, READDIR = 1, 3, 14, 15, 16, 18, 25, 35, 28
FORGET, SYMLINK, MKNOD, MKDIR, LINK = 2, 6, 8, 9, 13


def test_contents_go_both_ways(served: Served) -> None:
    served.mount()
    daemon = served.daemon
    data = random.Random(1).randbytes(300_001)
    served.world.write(b"/s/file", data)
    node = daemon.nodes[daemon.nodes[1].names[b"file"]]
    assert node.data == data and served.inode(b"/s/file").size == len(data)
    assert max(len(asked.body) for asked in daemon.seen if asked.kind == WRITE) == 40 + 131072
    node.data = data[:70_000]
    assert served.world.read(b"/s/file") == data[:70_000]
    file = served.open(b"/s/file", O_RDWR)
    assert file.seek(0, SEEK_END) == 70_000
    assert file.seek(5, SEEK_DATA) == 5 and file.seek(5, SEEK_HOLE) == 70_000
    assert file.pwrite(KernelBuffer(bytearray(b"XY")), 1) == 2
    file.truncate(4)
    file.allocate(0, 0, 6)
    file.fsync()
    file.flush(0)
    file.release()
    assert node.data == data[:1] + b"XY" + data[3:4] + bytes(2)
    appending = served.open(b"/s/file", O_RDWR | O_APPEND)
    node.data = b"longer than that"
    appending.write(KernelBuffer(bytearray(b"!")))
    appending.release()
    assert node.data == b"longer than that!"
    served.open(b"/s/file", O_RDWR | O_TRUNC).release()
    assert node.data == b"" and daemon.opened == {}


def test_names(served: Served) -> None:
    served.mount()
    context = served.context
    names.make_directory(context, None, b"/s/d", 0o750)
    served.world.write(b"/s/d/a", b"a")
    names.make_symlink(context, None, b"/s/l", b"d/a")
    names.make_node(context, None, b"/s/fifo", S_IFIFO | 0o600, 0)
    assert served.world.read(b"/s/l") == b"a"
    names.make_link(context, resolve(context, None, b"/s/d/a", 0), None, b"/s/b")
    assert served.inode(b"/s/b").nlink == 2 and served.inode(b"/s/b") is served.inode(b"/s/d/a")
    names.rename(context, None, b"/s/b", None, b"/s/d/c", 0)
    served.world.write(b"/s/x", b"x")
    names.rename(context, None, b"/s/x", None, b"/s/d/a", RENAME_EXCHANGE)
    assert served.world.read(b"/s/x") == b"a" and served.world.read(b"/s/d/a") == b"x"
    assert code(names.remove_directory, context, None, b"/s/d") == ENOTEMPTY
    for name in (b"/s/d/a", b"/s/d/c"):
        names.unlink(context, None, name)
    names.remove_directory(context, None, b"/s/d")
    assert code(served.inode, b"/s/d") == ENOENT
    file = served.open(b"/s", O_RDONLY | O_DIRECTORY)
    sink = Sink()
    file.read_directory(sink)
    assert sink.found == {b".": 4, b"..": 4, b"l": 10, b"fifo": 1, b"x": 8}
    file.release()
    assert served.inode(b"/s/l", 0).read_link() == b"d/a"


def test_long_directories_come_in_pieces(served: Served) -> None:
    served.mount()
    wanted = {f"a file of number {i:04}".encode(): 8 for i in range(1500)}
    for name in wanted:
        served.daemon.add(served.daemon.nodes[1], name, stat.S_IFREG | 0o644)
    file = served.open(b"/s", O_RDONLY | O_DIRECTORY)
    found: dict[bytes, int] = {}
    while True:
        sink = Sink(37)
        file.read_directory(sink)
        if not sink.found:
            break
        assert not set(found) & set(sink.found)
        found.update(sink.found)
    assert found == {**wanted, b".": 4, b"..": 4}
    file.seek(0, 0)
    sink = Sink(2)
    file.read_directory(sink)
    assert set(sink.found) == {b".", b".."}
    file.release()


def test_attributes(served: Served) -> None:
    served.mount()
    served.world.write(b"/s/file", b"1234")
    place = resolve(served.context, None, b"/s/file", 0)
    inode = place.inode()
    attributes.change_mode(served.context, place.mount, inode, 0o4711)
    attributes.change_owner(served.context, place.mount, inode, KernelUid(5), KernelGid(6))
    change = attributes.TimeChange()
    change.accessed_special = change.modified_special = 0
    change.accessed_ns, change.modified_ns = 7_000_000_000, 8_000_000_000
    attributes.change_times(served.context, place.mount, inode, change)
    inode = served.inode(b"/s/file")
    assert inode.mode == stat.S_IFREG | 0o711 and (int(inode.uid), int(inode.gid)) == (5, 6)
    assert inode.atime_ns == 7_000_000_000 and inode.mtime_ns == 8_000_000_005
    assert inode.size == 4 and inode.ino == 1002
    statistics = inode.file_system.statistics()
    assert (statistics.blocks, statistics.blocks_free, statistics.blocks_reserved) == (1000, 500, 100)
    credentials = plain_actor(served.context.credentials)
    extended_attributes.put(credentials, inode, b"user.x", b"value", 0)
    extended_attributes.put(credentials, inode, b"user.x", b"other", 0)
    assert extended_attributes.get(credentials, inode, b"user.x") == b"other"
    assert extended_attributes.names(credentials, inode) == b"user.x\0"
    extended_attributes.remove(credentials, inode, b"user.x")
    assert code(extended_attributes.get, credentials, inode, b"user.x") == ENODATA
    served.daemon.lacks = {21, 22, 23}
    assert code(extended_attributes.put, credentials, inode, b"user.x", b"value", 0) == EOPNOTSUPP
    assert code(extended_attributes.get, credentials, inode, b"user.x") == EOPNOTSUPP
    assert code(extended_attributes.get, credentials, inode, b"security.capability") == ENODATA
    assert extended_attributes.names(credentials, inode) == b"" and not inode.may_have_attributes()


def test_what_the_server_vouches_for_is_not_asked_again(served: Served) -> None:
    served.mount()
    served.daemon.valid = (3600, 3600)
    served.world.write(b"/s/file", b"1234")
    served.inode(b"/s/file")
    before = len(served.daemon.seen)
    for _ in range(3):
        assert served.inode(b"/s/file").size == 4
    assert len(served.daemon.seen) == before
    served.daemon.notify(3, struct.pack("<QII", 1, 4, 0) + b"file\0")  # the name
    served.inode(b"/s/file")
    assert served.count(LOOKUP) >= 1 and len(served.daemon.seen) == before + 1
    node = served.daemon.nodes[1].names[b"file"]
    served.daemon.notify(2, struct.pack("<Qqq", node, 0, 0))  # the file
    served.inode(b"/s/file")
    assert served.daemon.seen[-1].kind == GETATTR
    assert code(served.daemon.notify, 2, struct.pack("<Qqq", 999, 0, 0)) == ENOENT
    assert code(served.daemon.notify, 3, struct.pack("<QII", 1, 4, 0) + b"fi/e\0") == EINVAL
    assert code(served.daemon.notify, 99, b"") == EINVAL


def test_a_late_answer_is_out_of_date(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread has written to the file since the server sent its attributes."""
    served.mount()
    file = served.open(b"/s/file")
    inode = served.inode(b"/s/file")
    assert isinstance(inode, FuseInode)
    ways: dict[str, Callable[[], object]] = {
        "attributes": inode.refresh,
        "set_attributes": lambda: inode.set_mode(0o600),
        "look_up": lambda: resolve(served.context, None, b"/s/file", FOLLOW),
    }
    for name, ask in ways.items():
        before = inode.size
        answer: Callable[..., object] = getattr(Client, name)

        def act(*arguments: object, answer: Callable[..., object] = answer) -> object:
            found = answer(*arguments)
            file.pwrite(KernelBuffer(bytearray(b"more")), inode.size)
            return found

        inode.valid_until_ns = inode.found_until_ns = 0
        with monkeypatch.context() as patch:
            patch.setattr(Client, name, act)
            ask()
        assert inode.size == before + 4
    file.release()


def test_everything_is_forgotten_in_the_end(served: Served) -> None:
    device = served.mount()
    for i in range(20):
        served.world.write(f"/s/{i}".encode(), b"")
    names.unlink(served.context, None, b"/s/3")
    CACHE.shrink(100)
    served.daemon.pump()
    assert set(served.daemon.lookups.values()) == {0} and served.daemon.opened == {}
    unmount(served.context, b"/s", 0)
    assert code(device.read, KernelBuffer(bytearray(200_000))) == ENODEV
    device.release()


def test_fsync_reports_what_broken_memory_has_lost(served: Served) -> None:
    served.mount()
    served.world.write(b"/s/file", b"contents")
    file = served.open(b"/s/file", O_RDWR)
    pages = file.memory_object()
    assert isinstance(pages, RemotePages)
    pages._has_lost = True
    with pytest.raises(Errno) as failure:
        file.fsync()
    assert failure.value.code == EIO
    file.fsync()
    file.release()


def test_mapping(served: Served) -> None:
    served.mount()
    data = random.Random(2).randbytes(10_000)
    served.world.write(b"/s/file", data)
    file = served.open(b"/s/file", O_RDWR)
    pages = file.memory_object()
    pages.acquire()
    frame = pages.page(1, for_write=True)
    assert frame_span(frame).to_bytes() == data[4096:8192]
    frame_span(frame)[0:3].copy_from(span_of(b"new"))
    put_frame(frame)
    last = pages.page(2, for_write=False)
    assert frame_span(last).to_bytes() == data[8192:].ljust(4096, b"\0")
    put_frame(last)
    assert served.world.read(b"/s/file")[4096:4099] == b"new"
    file.release()
    pages.release()
    assert served.daemon.nodes[2].data == data[:4096] + b"new" + data[4099:] and served.daemon.opened == {}


# ---- Who may ---------------------------------------------------------------------------------------------------------


def act_as(monkeypatch: pytest.MonkeyPatch, context: FsContext) -> FsContext:
    monkeypatch.setattr(CALLER, "find", lambda: context.credentials)
    return context


def test_others_are_kept_out(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.mount()
    served.world.write(b"/s/file", b"x")
    user = act_as(monkeypatch, served.world.user)
    assert code(open_file, user, None, b"/s/file", O_RDONLY, 0) == EACCES
    assert code(resolve(user, None, b"/s", FOLLOW).inode().refresh) == EACCES
    assert code(resolve, user, None, b"/s/file", FOLLOW) == EACCES
    asked = len(served.daemon.seen)
    top = resolve(user, None, b"/s", FOLLOW)
    change = attributes.TimeChange()
    credentials = user.credentials
    assert code(attributes.change_mode, user, top.mount, top.inode(), 0o777) == EACCES
    assert code(attributes.change_owner, user, top.mount, top.inode(), KernelUid(1000), KernelGid(1000)) == EACCES
    assert code(attributes.change_times, user, top.mount, top.inode(), change) == EACCES
    assert code(extended_attributes.names, credentials, top.inode()) == EACCES
    store = top.inode().attribute_store()
    assert store is not None
    assert code(store.put, b"user.x", b"", None) == EACCES and code(store.drop, b"user.x") == EACCES
    numbers = top.inode().file_system.statistics()
    assert (numbers.blocks, numbers.files, numbers.name_length) == (0, 0, 0)
    assert len(served.daemon.seen) == asked


def test_others_are_let_in_and_the_server_decides(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.mount(b",allow_other")
    served.world.write(b"/s/file", b"x")
    served.daemon.nodes[2].mode = stat.S_IFREG | 0o600
    user = act_as(monkeypatch, served.world.user)
    assert served.world.read(b"/s/file", user) == b"x"
    assert served.daemon.seen[-2].uid == 1000
    with pytest.raises(Errno) as caught:
        resolve(user, None, b"/s/file", 0).inode().check_permission(plain_actor(user.credentials), 1)
    assert caught.value.code == EACCES  # nobody may run it


def test_modes_are_checked_if_asked_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.mount(b",allow_other,default_permissions")
    served.world.write(b"/s/file", b"x")
    served.daemon.nodes[2].mode = stat.S_IFREG | 0o600
    user = act_as(monkeypatch, served.world.user)
    assert code(open_file, user, None, b"/s/file", O_RDONLY, 0) == EACCES
    assert code(attributes.change_mode, user, resolve(user, None, b"/s/file", 0).mount,
                resolve(user, None, b"/s/file", 0).inode(), 0o777) == EPERM


@pytest.mark.parametrize("options", [
    b"fd=3", b"fd=3,rootmode=40000,user_id=0", b"fd=3,rootmode=40000,user_id=0,group_id=0,what",
    b"fd=x,rootmode=40000,user_id=0,group_id=0", b"fd=3,rootmode=0,user_id=0,group_id=0",
    b"fd=3,rootmode=40000,user_id=-1,group_id=0",
])  # fmt: skip
def test_wrong_options(served: Served, options: bytes) -> None:
    served.device()
    assert code(mount, served.context, b"x", b"/s", b"fuse", 0, options) == EINVAL


def test_a_device_serves_once(served: Served) -> None:
    device = served.mount()
    assert code(mount, served.context, b"x", b"/s", b"fuse", 0, b"fd=3,rootmode=40000,user_id=0,group_id=0") == EBUSY
    other = served.device()
    assert code(other.read, KernelBuffer(bytearray(200_000))) == EPERM
    assert code(other.write, KernelBuffer(bytearray(16))) == EPERM
    assert code(device.read, KernelBuffer(bytearray(8000))) == EINVAL
    assert code(device.read, KernelBuffer(bytearray(200_000))) == EAGAIN


# ---- Names that go, and inodes that nothing leads to ----------------------------------------------------------------


@pytest.mark.parametrize("kind", [OPEN, GETATTR])
def test_a_name_may_go_while_the_file_is_opened(served: Served, kind: int) -> None:
    """The file stays until it is closed, and is forgotten once."""
    served.mount(b",default_permissions")
    served.world.write(b"/s/file", b"x")
    dentry = resolve(served.context, None, b"/s/file", 0).dentry

    def unlink(asked: Asked, error: int, body: bytes) -> tuple[int, bytes]:
        if asked.kind == kind and asked.node == 2:
            CACHE.detach(dentry)
        return error, body

    served.daemon.spoil = unlink
    file = served.open(b"/s/file", O_RDWR)
    served.daemon.spoil = None
    assert not dentry.cached
    served.daemon.pump()
    assert served.daemon.lookups[2] > 0 and served.count(FORGET) == 0
    assert file.pread(KernelBuffer(bytearray(10)), 0) == 1
    file.release()
    served.daemon.pump()
    assert served.daemon.lookups[2] == 0 and served.count(FORGET) == 1 and served.daemon.opened == {}


def test_a_file_that_was_forgotten_is_not_opened(served: Served) -> None:
    served.mount()
    served.world.write(b"/s/file", b"x")
    place = resolve(served.context, None, b"/s/file", 0)
    inode = place.inode()
    CACHE.detach(place.dentry)
    served.daemon.pump()
    assert code(inode.open, place, O_RDONLY) == ESTALE
    inode.acquire()
    inode.release()
    served.daemon.pump()
    assert served.count(FORGET) == 1 and served.count(OPEN) == 0


def forgets_all(served: Served) -> bool:
    served.daemon.spoil = None
    served.daemon.pump()
    return set(served.daemon.lookups.values()) == {0}


@pytest.mark.parametrize("kind", [CREATE, MKDIR, SYMLINK, MKNOD])
def test_what_is_created_as_something_else_is_forgotten(served: Served, kind: int) -> None:
    device = served.mount()

    def lie(asked: Asked, error: int, body: bytes) -> tuple[int, bytes]:
        if asked.kind != kind:
            return error, body
        return error, body[:100] + struct.pack("<I", stat.S_IFBLK | 0o600) + body[104:]

    served.daemon.spoil = lie
    if kind == CREATE:
        assert code(served.open, b"/s/file") == EIO
    elif kind == MKDIR:
        assert code(names.make_directory, served.context, None, b"/s/d", 0o755) == EIO
    elif kind == SYMLINK:
        assert code(names.make_symlink, served.context, None, b"/s/l", b"x") == EIO
    else:
        assert code(names.make_node, served.context, None, b"/s/f", S_IFIFO | 0o600, 0) == EIO
    assert forgets_all(served) and served.daemon.opened == {} and device.connection is not None


def test_a_link_to_something_else_is_forgotten(served: Served) -> None:
    served.mount()
    served.world.write(b"/s/a", b"a")
    target = resolve(served.context, None, b"/s/a", 0)

    def lie(asked: Asked, error: int, body: bytes) -> tuple[int, bytes]:
        if asked.kind == LINK:
            served.daemon.lookups[99] = 1
            served.daemon.lookups[2] -= 1
            return error, struct.pack("<Q", 99) + body[8:]
        return error, body

    served.daemon.spoil = lie
    assert code(names.make_link, served.context, target, None, b"/s/b") == EIO
    served.daemon.spoil = None
    served.daemon.pump()
    assert served.daemon.lookups[99] == 0


@pytest.mark.parametrize("creates", [False, True])
def test_without_memory_for_a_name_the_file_is_forgotten(
    served: Served, monkeypatch: pytest.MonkeyPatch, creates: bool
) -> None:
    served.mount()
    if not creates:
        served.daemon.add(served.daemon.nodes[1], b"file", stat.S_IFREG | 0o644)

    def refuse(*arguments: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(CACHE, "insert", refuse)
        with pytest.raises(MemoryError):
            served.open(b"/s/file", O_RDWR | O_CREAT)
    assert served.daemon.opened == {}
    if creates:
        assert served.daemon.lookups == {}  # the name has a place before the file is created
    else:
        assert forgets_all(served)


def test_a_node_is_made_without_opening_it(served: Served) -> None:
    served.mount()
    names.make_node(served.context, None, b"/s/file", stat.S_IFREG | 0o600, 0)
    assert served.daemon.opened == {} and served.count(CREATE) == 0 and served.count(MKNOD) == 1


# ---- Who waits -------------------------------------------------------------------------------------------------------


class Clock:
    """Time that passes while threads sleep."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 10**9
        monkeypatch.setattr(mutex, "monotonic_ns", lambda: self.now)
        monkeypatch.setattr(WaitQueue, "sleep_until", self.sleep)

    def sleep(self, deadline_ns: int, interruptible: bool = True) -> bool:
        self.now = max(self.now, deadline_ns)
        return False


def map_dirty(served: Served, name: bytes) -> tuple[File, RemotePages]:
    served.world.write(name, b"x")
    file = served.open(name, O_RDWR)
    pages = file.memory_object()
    assert isinstance(pages, RemotePages)
    pages.acquire()
    put_frame(pages.page(0, for_write=True))
    return file, pages


def test_a_task_that_ends_does_not_wait_for_pages_for_ever(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder of their lock drops them."""
    served.mount()
    free = free_frame_count()
    file, pages = map_dirty(served, b"/s/file")
    clock = Clock(monkeypatch)
    begin = clock.now
    pages._lock.owner = TestThread(b"other")
    file.release()
    served.thread.parting = True
    pages.release()
    assert clock.now - begin <= 3_000_000_000 and free_frame_count() == free - 1 and len(served.daemon.opened) == 1
    pages._give_lock()
    assert free_frame_count() == free and served.daemon.opened == {}
    served.thread.parting = False
    CACHE.shrink(100)
    assert forgets_all(served)


def test_a_task_that_ends_waits_once_for_all_its_files(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.mount()
    free = free_frame_count()
    mapped = [map_dirty(served, b"/s/%d" % i) for i in range(20)]
    for file, _ in mapped:
        file.release()
    clock = Clock(monkeypatch)
    begin = clock.now
    served.daemon.sleeps_on = {GETATTR, WRITE}
    served.thread.parting = True
    for _, pages in mapped:
        pages.release()
    assert 2_000_000_000 <= clock.now - begin <= 3_000_000_000 and free_frame_count() == free


def test_a_file_that_is_mapped_while_the_last_mapping_ends(served: Served) -> None:
    served.mount()
    file, pages = map_dirty(served, b"/s/file")

    def map_again(asked: Asked, error: int, body: bytes) -> tuple[int, bytes]:
        if asked.kind == WRITE and pages._areas == 0:
            pages.acquire()
        return error, body

    users = file.inode.users
    served.daemon.spoil = map_again
    pages.release()
    assert file.inode.users == users and pages._areas == 1
    served.daemon.spoil = None
    pages.release()
    assert file.inode.users == users - 1
    file.release()
    CACHE.shrink(100)
    assert forgets_all(served) and served.daemon.opened == {}


@pytest.mark.parametrize("work", [WRITE, READ, RELEASE])
def test_what_is_written_until_the_last_mapping_ends_is_sent(
    served: Served, monkeypatch: pytest.MonkeyPatch, work: int
) -> None:
    """Though somebody has the lock who gives it back before the last one gets it: by sending pages, by fetching one, or
    as the last one of an earlier time.
    """
    served.mount()
    free = free_frame_count()
    file, pages = map_dirty(served, b"/s/file")
    other = TestThread(b"other")
    arrived = threading.Event()
    may_go = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            if work == WRITE:
                pages.write_back()
            elif work == READ:
                assert code(pages.page, 100, False) == EFAULT
            else:
                pages.release()
        except BaseException as failure:
            failures.append(failure)

    runner = threading.Thread(target=run)

    def stop(asked: Asked, error: int, body: bytes) -> tuple[int, bytes]:
        if threading.current_thread() is runner and asked.kind in (READ, WRITE) and not arrived.is_set():
            arrived.set()
            assert may_go.wait(10)
        return error, body

    def let_go(queue: WaitQueue, deadline_ns: int, interruptible: bool = True) -> bool:
        assert queue is pages._lock.waiters and runner.is_alive()
        may_go.set()
        runner.join(10)
        return True

    monkeypatch.setattr(
        mutex, "current_thread", lambda: other if threading.current_thread() is runner else served.thread
    )
    monkeypatch.setattr(WaitQueue, "sleep_until", let_go)
    served.daemon.spoil = stop
    runner.start()
    assert arrived.wait(10)
    if work == RELEASE:
        pages.acquire()
    frame_span(pages.resident(0))[0:1].fill(ord("y"))
    pages.release()
    assert not runner.is_alive() and failures == []
    file.release()
    assert served.daemon.child(served.daemon.nodes[1], b"file").data == b"y"
    assert free_frame_count() == free and served.daemon.opened == {}
    CACHE.shrink(100)
    assert forgets_all(served)


def test_prompt_servers_do_not_keep_a_task_that_ends_for_ever(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    begin = clock.now
    served.thread.parting = True
    queue = WaitQueue()

    def wait_for_frame() -> None:
        for _ in range(1000):
            patience = mutex.Patience()
            try:
                patience.sleep(queue)
            finally:
                patience.end()

    assert code(wait_for_frame) == EINTR
    assert 9_900_000_000 <= clock.now - begin <= 10_100_000_000


def test_no_place_is_kept_while_a_program_s_memory_is_copied(served: Served) -> None:
    """A fault there may wait for another server, and that one for this."""
    device = served.mount()
    connection = device.connection
    assert connection is not None
    reading = connection.reading
    writing = connection.writing
    copied: list[int] = []

    class Watching(KernelBuffer):
        def put(self, data: Span[u8]) -> int:
            copied.append(reading.taken)
            return super().put(data)

        def take(self, data: Span[u8]) -> int:
            copied.append(writing.taken)
            return super().take(data)

    file = served.open(b"/s/file")
    assert file.write(Watching(bytearray(b"abc"))) == 3
    assert file.pread(Watching(bytearray(3)), 0) == 3
    assert copied == [0, 0]
    file.release()


def test_a_program_stays_while_its_server_is_asked_whether_it_may_run(served: Served) -> None:
    served.mount()
    served.world.write(b"/s/file", b"x")
    path = resolve(served.context, None, b"/s/file", FOLLOW)
    before = (path.dentry.pins, path.mount.users)
    held: list[tuple[int, int]] = []

    def note(asked: Asked, error: int, body: bytes) -> tuple[int, bytes]:
        held.append((path.dentry.pins, path.mount.users))
        return error, body

    served.daemon.spoil = note
    assert code(open_executable, served.context, path) == EACCES
    pins, users = before
    assert set(held) == {(pins + 1, users + 1)} and (path.dentry.pins, path.mount.users) == before


def test_a_file_system_that_is_not_mounted_yet_is_for_nobody_else(served: Served) -> None:
    device = served.device()
    text = b"fd=3,rootmode=40000,user_id=0,group_id=0"
    made = filesystem.make_fuse(served.context, b"test", text)
    assert code(filesystem.make_fuse, served.context, b"test", text) == EINVAL
    made.mounts = 1
    assert filesystem.make_fuse(served.context, b"test", text) is made and device.served() is made
    made.mounts = 0
    assert device.served() is None
    made.shut_down()


def test_a_file_that_was_not_mapped_after_all(served: Served) -> None:
    served.mount()
    served.world.write(b"/s/file", b"x")
    file = served.open(b"/s/file", O_RDWR)
    file.memory_object()
    file.release()
    CACHE.shrink(100)
    assert forgets_all(served) and served.daemon.opened == {}


def test_reads_do_not_stop_writes_or_mappings(served: Served) -> None:
    device = served.mount()
    file, pages = map_dirty(served, b"/s/file")
    connection = device.connection
    assert connection is not None
    connection.reading.taken = connections.DATA_REQUESTS
    assert file.write(KernelBuffer(bytearray(5))) == 5
    put_frame(pages.page(0, for_write=False))
    with pytest.raises(AssertionError):
        file.pread(KernelBuffer(bytearray(5)), 0)
    connection.reading.taken = 0
    assert file.pread(KernelBuffer(bytearray(5)), 0) == 5
    assert (connection.reading.taken, connection.writing.taken, connection.paging.taken) == (0, 0, 0)
    pages.release()
    file.release()


def test_what_a_server_does_not_know(served: Served) -> None:
    """Of what every server knows, ENOSYS is an error like others."""
    served.mount()
    served.world.write(b"/s/file", b"x")
    served.daemon.lacks = {LOOKUP, FLUSH}
    assert code(served.inode, b"/s/file") == ENOSYS
    served.daemon.lacks = set()
    file = served.open(b"/s/file", O_RDWR)
    served.daemon.lacks = {FLUSH}
    for _ in range(3):
        file.flush(0)
        assert file.take_flush_error() == 0
    assert served.count(FLUSH) == 1
    file.release()


def test_an_error_of_flushing_is_of_one_time(served: Served) -> None:
    served.mount()
    file = served.open(b"/s/file")
    served.daemon.spoil = lambda asked, error, body: (EIO, b"") if asked.kind == FLUSH else (error, body)
    file.flush(0)
    served.daemon.spoil = None
    file.flush(0)
    assert file.take_flush_error() == 0
    file.release()


def test_a_greeting_that_is_lost_ends_the_connection(served: Served) -> None:
    served.daemon.sleeps_on = {26}
    device = served.mount()
    connection = device.connection
    assert connection is not None and connection.is_connected
    connection.leave_unanswered(device.reader)
    assert not connection.is_connected


# ---- Servers that are no good ----------------------------------------------------------------------------------------


def test_a_server_that_dies(served: Served) -> None:
    device = served.mount()
    served.world.write(b"/s/file", b"x")
    file = served.open(b"/s/file", O_RDWR)

    def die(asked: Asked, error: int, body: bytes) -> tuple[int, bytes]:
        device.close()
        return error, body

    served.daemon.spoil = die
    with pytest.raises((Errno, AssertionError)):
        file.pread(KernelBuffer(bytearray(10)), 0)
    assert code(file.pread, KernelBuffer(bytearray(10)), 0) == ENOTCONN
    assert code(served.inode, b"/s/file") == ENOTCONN
    file.flush(0)
    assert file.take_flush_error() == ENOTCONN
    file.release()
    unmount(served.context, b"/s", 0)


def test_requests_under_way_end_with_the_server(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    device = served.mount()
    served.world.write(b"/s/file", b"x")
    file = served.open(b"/s/file", O_RDWR)
    served.daemon.sleeps_on = {READ}
    monkeypatch.setattr(WaitQueue, "sleep", lambda queue, interruptible=True: device.close())
    assert code(file.pread, KernelBuffer(bytearray(10)), 0) == ECONNABORTED


def test_a_forced_unmount_ends_what_waits(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.mount()
    served.world.write(b"/s/file", b"x")
    served.daemon.sleeps_on = {LOOKUP}

    def force(queue: WaitQueue, interruptible: bool = True) -> None:
        monkeypatch.setattr(WaitQueue, "sleep", lambda queue, interruptible=True: None)
        assert code(unmount, served.context, b"/s", MNT_FORCE) == 16  # EBUSY: somebody is there

    monkeypatch.setattr(WaitQueue, "sleep", force)
    assert code(served.inode, b"/s/file") == ECONNABORTED


def kill(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next sleep ends because the thread is killed."""

    def sleep(queue: WaitQueue, interruptible: bool = True) -> None:
        served.thread.interrupted = served.thread.dying = True
        raise Errno(ERESTARTSYS)

    monkeypatch.setattr(WaitQueue, "sleep", sleep)


@pytest.mark.parametrize("kind", [LOOKUP, OPEN, READ, GETATTR, CREATE, READDIR])
def test_who_waits_can_be_killed(served: Served, monkeypatch: pytest.MonkeyPatch, kind: int) -> None:
    """And what the answer brings later, nobody keeps."""
    device = served.mount()
    served.world.write(b"/s/file", b"x")
    CACHE.shrink(100)
    served.daemon.sleeps_on = {kind}
    kill(served, monkeypatch)

    def use() -> None:
        name = b"/s/new" if kind == CREATE else b"/s" if kind == READDIR else b"/s/file"
        file = served.open(name, O_RDONLY | O_DIRECTORY if kind == READDIR else O_RDWR | O_CREAT)
        file.inode.refresh()
        if kind == READDIR:
            file.read_directory(Sink())
        file.pread(KernelBuffer(bytearray(10)), 0)

    assert code(use) == EINTR
    served.thread.dying = served.thread.interrupted = False
    served.daemon.sleeps_on = set()
    (asked,) = [each for each in served.daemon.unanswered if each.kind == kind]
    assert [each.kind for each in served.daemon.seen[-1:]] == [36]  # it was notified
    assert struct.unpack("<Q", served.daemon.seen[-1].body) == (asked.unique,)
    opened = len(served.daemon.opened)
    served.daemon.serve(asked)
    served.daemon.pump()
    assert device.connection is not None and len(device.connection._taken) == 0
    if kind in (OPEN, CREATE):
        assert len(served.daemon.opened) == opened and served.count(RELEASE) >= 2
    CACHE.shrink(100)
    served.daemon.pump()


def test_a_request_that_was_not_taken_is_taken_back(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.mount()
    served.world.write(b"/s/file", b"x")
    served.daemon.stops = True
    kill(served, monkeypatch)
    assert code(served.inode, b"/s/file") == EINTR
    served.daemon.stops = False
    before = len(served.daemon.seen)
    served.daemon.pump()
    assert not [asked for asked in served.daemon.seen[before:] if asked.kind == LOOKUP]


def test_a_signal_interrupts_at_the_server(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.mount()
    served.world.write(b"/s/file", b"x")
    file = served.open(b"/s/file", O_RDWR)
    served.daemon.sleeps_on = {READ}

    def signal(queue: WaitQueue, interruptible: bool = True) -> None:
        served.thread.interrupted = True
        raise Errno(ERESTARTSYS)

    def later(queue: WaitQueue, deadline_ns: int, interruptible: bool = True) -> bool:
        (asked,) = served.daemon.unanswered
        assert served.daemon.seen[-1].kind == 36
        served.daemon.unanswered.clear()
        served.daemon.reply(asked, EINTR)
        return True

    monkeypatch.setattr(WaitQueue, "sleep", signal)
    monkeypatch.setattr(WaitQueue, "sleep_until", later)
    assert code(file.pread, KernelBuffer(bytearray(10)), 0) == EINTR


def test_a_task_that_ends_waits_for_no_answer(served: Served) -> None:
    served.mount()
    file = served.open(b"/s/file", O_RDWR | O_CREAT)
    served.thread.parting = True
    served.daemon.sleeps_on = {FLUSH, RELEASE}
    file.flush(0)
    file.release()
    assert [asked.kind for asked in served.daemon.unanswered] == [FLUSH, RELEASE]


def test_what_nobody_answers_is_bounded(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    device = served.mount()
    monkeypatch.setattr(connections, "UNATTENDED_LIMIT", 50)
    served.world.write(b"/s/file", b"x")
    served.daemon.sleeps_on = {RELEASE}
    file = None
    with pytest.raises(Errno) as caught:
        for _ in range(60):
            file = served.open(b"/s/file", O_RDWR)
            file.release()
    assert caught.value.code == ENOTCONN and device.connection is not None
    assert not device.connection.is_connected and len(served.daemon.unanswered) == 51


LIES: list[Callable[[random.Random, bytes], bytes]] = [
    lambda choice, body: body[:-1],
    lambda choice, body: body + b"\0",
    lambda choice, body: b"",
    lambda choice, body: body + bytes(200_000),
    lambda choice, body: choice.randbytes(len(body)),
    lambda choice, body: bytes([255]) * len(body),
    lambda choice, body: bytes(len(body)),
    lambda choice, body: body[:16] + choice.randbytes(max(0, len(body) - 16)),
    lambda choice, body: b"".join(bytes([byte ^ (1 << choice.randrange(8)) if choice.random() < 0.03 else byte])
                                  for byte in body),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_servers_that_lie(served: Served, seed: int) -> None:
    """Whatever is answered, nothing but an error comes of it."""
    choice = random.Random(seed)
    served.mount(b",default_permissions" if seed % 2 else b"")
    lie = LIES[seed % len(LIES)]
    served.daemon.lookups = _Any()

    def spoil(asked: Asked, error: int, body: bytes) -> tuple[int, bytes]:
        if asked.kind == 26 or choice.random() < 0.5:
            return error, body
        if choice.random() < 0.1:
            return choice.choice([1, 2, 511, 512, -1, 90_000]), body if choice.random() < 0.3 else b""
        return error, lie(choice, body)

    served.daemon.spoil = spoil
    for _ in range(60):
        name = b"/s/" + choice.choice([b"a", b"b", b"d", b"d/a"])
        other = b"/s/" + choice.choice([b"a", b"b", b"d/a"])
        action = choice.randrange(9)
        try:
            if action < 2:
                flags = O_RDWR | O_CREAT if action == 0 else O_RDONLY
                file = served.open(name, flags | O_NONBLOCK)  # it may say that it is a FIFO
                try:
                    file.write(KernelBuffer(bytearray(choice.randbytes(5000))))
                    file.pread(KernelBuffer(bytearray(5000)), 0)
                finally:
                    file.release()
            elif action == 2:
                names.make_directory(served.context, None, name, 0o755)
            elif action == 3:
                names.rename(served.context, None, name, None, other, 0)
            elif action == 4:
                names.unlink(served.context, None, name)
            elif action == 5:
                file = served.open(b"/s", O_RDONLY | O_DIRECTORY)
                try:
                    file.read_directory(_Any())  # type: ignore[arg-type]  # takes everything
                finally:
                    file.release()
            elif action == 6:
                extended_attributes.put(
                    plain_actor(served.context.credentials), served.inode(name), b"user.a", b"1", 0
                )
            elif action == 7:
                file = served.open(name, O_RDWR)
                try:
                    pages = file.memory_object()
                    pages.acquire()
                    try:
                        put_frame(pages.page(choice.randrange(3), for_write=True))
                    finally:
                        pages.release()
                finally:
                    file.release()
            else:
                served.inode(name).file_system.statistics()
        except Errno as error:
            assert 0 < error.code < 512
    served.daemon.spoil = None
    unmount(served.context, b"/s", 0)


class _Any(dict[int, int]):
    """Takes any message, because a server that lies does not track what it has handed out."""

    position = 0

    def __missing__(self, key: int) -> int:
        return 1 << 70

    def emit(self, name: bytes, ino: int, kind: int, next_position: int) -> bool:
        return True


# ---- Notices and copies ----------------------------------------------------------------------------------------------

NOTIFY_STORE, NOTIFY_RETRIEVE, NOTIFY_REPLY, COPY_FILE_RANGE = 4, 5, 41, 47


def test_stored_contents_make_a_file_longer(served: Served) -> None:
    served.mount()
    served.daemon.valid = (3600, 3600)
    served.world.write(b"/s/file", b"1234")
    inode = served.inode(b"/s/file")
    served.daemon.notify(NOTIFY_STORE, struct.pack("<QQII", 2, 3, 5, 0) + b"fresh")
    assert inode.size == 8
    for start in (-1, -(1 << 63), (1 << 63) - 5, (1 << 63) - 1):
        assert code(served.daemon.notify, NOTIFY_STORE, struct.pack("<QqII", 2, start, 5, 0) + b"fresh") == EINVAL
    assert code(served.daemon.notify, NOTIFY_STORE, struct.pack("<QQII", 99, 0, 1, 0) + b"x") == ENOENT
    assert code(served.daemon.notify, NOTIFY_STORE, struct.pack("<QQII", 2, 0, 2, 0) + b"x") == EINVAL
    assert code(served.daemon.notify, NOTIFY_STORE, struct.pack("<QQII", 1, 0, 1, 0) + b"x") == EINVAL


def test_a_server_that_wants_contents_back_gets_none(served: Served) -> None:
    """Its number may be that of a request, which is not affected."""
    served.mount()
    served.world.write(b"/s/file", b"1234")
    file = served.open(b"/s/file", O_RDWR)
    served.daemon.stops = True
    served.daemon.notify(NOTIFY_RETRIEVE, struct.pack("<QQQII", 78, 2, 4096, 100, 0))
    asked = served.daemon.take()
    assert asked is not None and (asked.kind, asked.unique, asked.node) == (NOTIFY_REPLY, 78, 2)
    assert struct.unpack("<QQIIQQ", asked.body) == (0, 4096, 0, 0, 0, 0)
    assert code(served.daemon.reply, asked, 0) == ENOENT
    assert code(served.daemon.notify, NOTIFY_RETRIEVE, struct.pack("<QQQII", 77, 99, 0, 100, 0)) == ENOENT
    assert code(served.daemon.notify, NOTIFY_RETRIEVE, bytes(31)) == EINVAL
    served.daemon.stops = False
    assert file.pread(KernelBuffer(bytearray(10)), 0) == 4
    file.release()


@pytest.mark.parametrize("length", [0, 3, 5, 1025, 0xFFFF_FFFF])
def test_names_in_notices_are_as_long_as_they_say(served: Served, length: int) -> None:
    served.mount()
    served.world.write(b"/s/file", b"1234")
    expected = EINVAL if length <= 1024 else ENAMETOOLONG
    assert code(served.daemon.notify, 3, struct.pack("<QII", 1, length, 0) + b"file\0") == expected
    assert code(served.daemon.notify, 6, struct.pack("<QQII", 1, 2, length, 0) + b"file\0") == expected


def test_the_server_copies(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.mount()
    served.world.write(b"/s/file", b"contents")
    source, target = served.open(b"/s/file", O_RDWR), served.open(b"/s/other", O_RDWR | O_CREAT)
    asked: list[bytes] = []

    def copy(daemon: Daemon, request: Asked, node: Node) -> bytes:
        asked.append(request.body)
        return struct.pack("<II", 3, 0)

    monkeypatch.setattr(Daemon, "do_47", copy, raising=False)
    assert target.can_copy_from(source) and not target.can_copy_from(served.open(b"/fuse", O_RDWR))
    assert target.copy_from(source, 2, 10, 4) == 3 and target.inode.size == 13
    _, offset, node, _, to_offset, count, flags = struct.unpack("<QQQQQQQ", asked[0])
    assert (offset, node, to_offset, count, flags) == (2, 3, 10, 4, 0)
    assert code(target.copy_from, source, 0, 0, 2) == EIO, "it claims to have copied more"
    served.daemon.lacks = {COPY_FILE_RANGE}
    assert code(target.copy_from, source, 0, 0, 4) == EOPNOTSUPP and not target.can_copy_from(source)
    source.release()
    target.release()


def test_a_request_that_is_left_while_it_is_handed_over(served: Served) -> None:
    """The server gets all of it: it is no fault of its memory."""
    device = served.mount()
    served.world.write(b"/s/file", b"x")
    CACHE.shrink(100)
    contents = bytearray(b"contents")
    message = Message(40)
    request = Request(WRITE, 2, message, 8, is_exact=True)
    request.payload = contents
    connection = device.connection
    assert connection is not None
    leave = connection._leave

    class Leaving(KernelBuffer):
        def put(self, source: Span[u8]) -> int:
            if not request.is_left:
                leave(request, keep=False)
            return super().put(source)

    served.daemon.stops = True
    connection._send(request)
    buffer = Leaving(bytearray(140_000))
    assert device.read(buffer) == 40 + 40 + len(contents)
    assert buffer.storage[80 : 80 + len(contents)] == contents
    assert request.length() == 0
    assert connection.find(request.unique) is request
