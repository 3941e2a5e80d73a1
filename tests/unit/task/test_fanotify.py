"""fanotify on a booted machine: events with files and with names, questions that a child waits for, and the end."""

import struct

import pytest

from kernel.fs.file import DESCRIPTION_BYTES
from kernel.fs.inode import Inode
from kernel.fs.marks import MARKS
from kernel.lib.credentials import Actor
from kernel.lib.ids import KernelUid
from kernel.lib.pace import PACE
from kernel.lib.pid import Bearer, Pid
from kernel.task import fanotify
from kernel.task.fanotify_event import Event, handle_of
from kernel.task.fanotify_limits import EVENT_LIMIT
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

NONBLOCK, CONTENT, REPORT_DIR_FID, REPORT_NAME = 2, 4, 0x400, 0x800
ADD, MOUNT, FLUSH, FILESYSTEM = 1, 0x10, 0x80, 0x100
MODIFY, OPEN, CLOSE_WRITE, CLOSE_NOWRITE, CREATE, DELETE = 2, 0x20, 8, 0x10, 0x100, 0x200
OPEN_PERM, ON_CHILD = 0x10000, 0x8000000
REPORT_FID, OVERFLOW = 0x200, 0x4000
O_TRUNC, SET_FLAGS, IMMUTABLE = 0o1000, 0x40086602, 0x10
AT_FDCWD = -100
O_RDWR_CREAT = 0o102
ALLOW, DENY = 1, 2


def events(program: Program, group: int) -> list[tuple[int, int, bytes]]:
    """Masks, descriptors and records of all that wait."""
    buffer = bytearray(4096)
    try:
        size = program.read(group, buffer, len(buffer))
    except OSError:
        return []
    found = []
    at = 0
    while at < size:
        length, _version, _reserved, header, mask, fd, _pid = struct.unpack_from("<IBBHQii", buffer, at)
        found.append((mask, fd, bytes(buffer[at + header : at + length])))
        at += length
    return found


@booted
def test_events_of_a_file_are_one_and_open_it(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/watched", 0o755)
    group = host.fanotify_init(NONBLOCK, 0)
    host.fanotify_mark(group, ADD, OPEN | MODIFY | CLOSE_WRITE | ON_CHILD, AT_FDCWD, "/watched")
    file = host.open("/watched/file", O_RDWR_CREAT, 0o644)
    host.write(file, b"text", 4)
    host.close(file)
    ((mask, fd, records),) = events(host, group)
    assert mask == OPEN | MODIFY | CLOSE_WRITE and records == b""
    storage = bytearray(4)
    assert host.pread64(fd, storage, 4, 0) == 4 and storage == b"text"
    host.close(fd)
    assert events(host, group) == []  # the reader's own file is silent
    host.close(group)


@booted
def test_names_are_told_with_their_directories(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/watched", 0o755)
    group = host.fanotify_init(NONBLOCK | REPORT_DIR_FID | REPORT_NAME, 0)
    host.fanotify_mark(group, ADD | FILESYSTEM, CREATE | DELETE, AT_FDCWD, "/watched")
    host.close(host.open("/watched/one", O_RDWR_CREAT, 0o644))
    host.close(host.open("/watched/two", O_RDWR_CREAT, 0o644))
    host.unlink("/watched/one")
    found = events(host, group)
    assert [mask for mask, _fd, _records in found] == [CREATE | DELETE, CREATE]
    assert [fd for _mask, fd, _records in found] == [-1, -1]
    assert b"one\0" in found[0][2] and b"two\0" in found[1][2]
    host.close(group)


@booted
def test_a_question_is_answered(machine: Machine) -> None:
    host = machine.host
    host.close(host.open("/guarded", O_RDWR_CREAT, 0o644))
    group = host.fanotify_init(CONTENT, 0)
    host.fanotify_mark(group, ADD, OPEN_PERM, AT_FDCWD, "/guarded")

    def child(program: Program) -> int:
        program.close(group)
        with pytest.raises(OSError, match="EPERM"):
            program.open("/guarded", 0, 0)
        program.close(program.open("/guarded", 0, 0))
        return 7

    pid = host.fork(child)
    for answer in (DENY, ALLOW):
        ((mask, fd, _records),) = events(host, group)
        assert mask == OPEN_PERM
        assert host.write(group, struct.pack("<iI", fd, answer), 8) == 8
        with pytest.raises(OSError, match="ENOENT"):
            host.write(group, struct.pack("<iI", fd, answer), 8)
        host.close(fd)
    status = bytearray(4)
    host.wait4(pid, status, 0, None)
    assert status[1] == 7
    host.close(group)


@booted
def test_the_end_of_a_group_allows_everything(machine: Machine) -> None:
    host = machine.host
    host.close(host.open("/guarded", O_RDWR_CREAT, 0o644))
    group = host.fanotify_init(CONTENT | NONBLOCK, 0)
    host.fanotify_mark(group, ADD | MOUNT, OPEN_PERM, AT_FDCWD, "/guarded")

    def child(program: Program) -> int:
        program.close(group)
        program.close(program.open("/guarded", 0, 0))
        return 5

    pid = host.fork(child)
    waiting = bytearray(struct.pack("<ihh", group, 1, 0))
    assert host.poll(waiting, 1, -1) == 1
    host.close(group)
    status = bytearray(4)
    host.wait4(pid, status, 0, None)
    assert status[1] == 5
    host.close(host.open("/guarded", 0, 0))


@booted
def test_events_of_one_file_by_several_programs_are_taken_one_by_one(machine: Machine) -> None:
    host = machine.host
    host.close(host.open("/watched", O_RDWR_CREAT, 0o644))
    group = host.fanotify_init(NONBLOCK, 0)
    host.fanotify_mark(group, ADD, OPEN | CLOSE_NOWRITE, AT_FDCWD, "/watched")

    def child(program: Program) -> int:
        program.close(program.open("/watched", 0, 0))
        return 0

    def run() -> int:
        pid = host.fork(child)
        host.wait4(pid, bytearray(4), 0, None)
        return pid

    def oldest() -> tuple[int, int]:
        buffer = bytearray(24)
        assert host.read(group, buffer, 24) == 24
        mask, fd, pid = struct.unpack_from("<Qii", buffer, 8)
        host.close(fd)
        return mask, pid

    both = OPEN | CLOSE_NOWRITE
    first, second = run(), run()
    assert oldest() == (both, first)
    third = run()
    child(host)
    child(host)
    assert oldest() == (both, second)
    fourth = run()
    assert oldest() == (both, third)
    assert oldest() == (both, host.getpid())
    assert oldest() == (both, fourth)
    child(host)
    assert oldest() == (both, host.getpid())
    with pytest.raises(OSError, match="EAGAIN"):
        oldest()
    host.close(group)


@booted
def test_questions_are_answered_in_any_order_and_marks_shown_newest_first(machine: Machine) -> None:
    host = machine.host
    group = host.fanotify_init(CONTENT, 0)
    for name in ("/one", "/two"):
        host.close(host.open(name, O_RDWR_CREAT, 0o644))
        host.fanotify_mark(group, ADD, OPEN_PERM, AT_FDCWD, name)
    host.fanotify_mark(group, ADD | MOUNT, CLOSE_WRITE, AT_FDCWD, "/one")

    def masks() -> list[str]:
        listing = host.task.files.get(group).listing()
        assert listing is not None
        text = b"".join(iter(listing.next_piece, None)).decode()
        return [line.split(" mask:")[1].split()[0] for line in text.splitlines() if " mask:" in line]

    assert masks() == ["8", "10000", "10000"]

    def child(program: Program) -> int:
        program.close(group)
        try:
            program.close(program.open("/one", 0, 0))
        except OSError:
            return 1
        return 0

    pids = [host.fork(child) for _ in range(3)]
    asked = [events(host, group)[0][1] for _ in pids]
    for fd, answer in zip(reversed(asked), (DENY, ALLOW, DENY), strict=True):
        host.write(group, struct.pack("<iI", fd, answer), 8)
        host.close(fd)
    ends = []
    for pid in pids:
        status = bytearray(4)
        host.wait4(pid, status, 0, None)
        ends.append(status[1])
    assert ends == [1, 0, 1]
    host.fanotify_mark(group, FLUSH, 0, AT_FDCWD, None)
    assert masks() == ["8"]
    host.close(group)


@booted
def test_an_event_is_described_once_for_all_groups_and_not_at_all_where_none_has_room(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = machine.host
    described: list[int] = []

    def counted(inode: Inode) -> bytes:
        described.append(inode.ino)
        return handle_of(inode)

    monkeypatch.setattr(fanotify, "handle_of", counted)
    monkeypatch.setattr(EVENT_LIMIT, "values", [2])
    host.mkdir("/watched", 0o755)
    groups = [host.fanotify_init(NONBLOCK | REPORT_DIR_FID | REPORT_NAME, 0) for _ in range(20)]
    for group in groups:
        host.fanotify_mark(group, ADD, CREATE | ON_CHILD, AT_FDCWD, "/watched")
    left = PACE.left
    host.mknod("/watched/one", 0o100644, 0)
    assert len(described) == 1
    assert left - PACE.left > 20 * 1000  # every group counts
    host.mknod("/watched/two", 0o100644, 0)
    assert len(described) == 2
    host.mknod("/watched/three", 0o100644, 0)
    assert len(described) == 2
    for group in groups:
        (one, two, lost) = events(host, group)
        assert b"one\0" in one[2] and b"two\0" in two[2] and lost == (OVERFLOW, -1, b"")
        host.close(group)


@booted
def test_a_process_that_gets_the_number_of_another_does_not_join_its_events(machine: Machine) -> None:
    group = fanotify.Group(KernelUid(0), REPORT_FID, is_privileged=True)
    one, other = (Event(OPEN, Bearer(Pid(70)), 0) for _ in range(2))
    for event in (one, other, one, other):
        event.object = b"handle"
        event.make_key(0)
        group.add_with_handles(event, OPEN)
    taken = [event.process for event in iter(group.take, None)]
    assert taken[:2] == [one.process, other.process]
    assert set(group.newest) == {None}
    group.close()


@booted
def test_what_is_marked_is_held_while_permission_is_checked(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine.host
    host.close(host.open("/watched", O_RDWR_CREAT, 0o644))
    group = host.fanotify_init(NONBLOCK, 0)
    check = Inode.check_permission
    users: list[int] = []

    def remove(inode: Inode, actor: Actor, mask: int) -> None:
        check(inode, actor, mask)
        if inode.is_regular() and not users:
            users.append(inode.users)
            host.unlink("/watched")  # as another thread may, if the check sleeps

    monkeypatch.setattr(Inode, "check_permission", remove)
    host.fanotify_mark(group, ADD, OPEN, AT_FDCWD, "/watched")
    assert users == [1]
    assert MARKS.count == 0  # the file has gone, and its mark
    host.close(group)


@booted
def test_a_file_that_became_immutable_while_the_question_waited_is_not_truncated(machine: Machine) -> None:
    host = machine.host
    file = host.open("/guarded", O_RDWR_CREAT, 0o644)
    host.write(file, b"text", 4)
    group = host.fanotify_init(CONTENT, 0)
    host.fanotify_mark(group, ADD, OPEN_PERM, AT_FDCWD, "/guarded")

    def child(program: Program) -> int:
        program.close(group)
        with pytest.raises(OSError, match="EPERM"):
            program.open("/guarded", O_TRUNC, 0)
        return 7

    pid = host.fork(child)
    ((_mask, fd, _records),) = events(host, group)
    host.ioctl(file, SET_FLAGS, bytearray(struct.pack("<Q", IMMUTABLE)))
    host.write(group, struct.pack("<iI", fd, ALLOW), 8)
    status = bytearray(4)
    host.wait4(pid, status, 0, None)
    assert status[1] == 7
    text = bytearray(4)
    assert host.pread64(file, text, 4, 0) == 4 and text == b"text"
    host.close(group)


@booted
def test_marks_are_shown_as_far_as_they_are_read_and_texts_of_proc_count(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/shown", 0o755)
    host.mount("none", "/shown", "proc", 0, 0)
    group = host.fanotify_init(NONBLOCK, 0)
    for number in range(20):
        host.close(host.open(f"/{number}", O_RDWR_CREAT, 0o644))
        host.fanotify_mark(group, ADD, OPEN, AT_FDCWD, f"/{number}")
    shown = host.open(f"/shown/self/fdinfo/{group}", 0, 0)
    text = bytearray(8192)
    size = host.pread64(shown, text, len(text), 0)
    assert text[:size].count(b"fanotify ino:") == 20 and text.startswith(b"pos:\t0\n")
    assert host.pread64(shown, text, 150, 0) == 150
    held = host.task.files.get(shown).held_bytes()
    assert DESCRIPTION_BYTES < held < DESCRIPTION_BYTES + 200
    host.fanotify_mark(group, FLUSH, 0, AT_FDCWD, None)
    rest = host.pread64(shown, text, len(text), 150)
    assert text[:rest].count(b"fanotify ino:") <= 1
    status = host.open("/shown/self/status", 0, 0)
    host.read(status, text, 1)
    assert host.task.files.get(status).held_bytes() > DESCRIPTION_BYTES + 500
    host.close(group)
