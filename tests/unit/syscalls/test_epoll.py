"""Waiting for files (kernel/syscalls/epoll.py, select.py, poll.py), on a booted machine."""

import os
import struct

import pytest

from kernel.ipc.epoll import EpollFile
from kernel.ipc.eventfd import EventFile
from kernel.sched import PollWaiter
from kernel.task import current
from tests.unit.booted import booted
from tools.simulated.machine import Machine

FAULTY = 16  # an address without memory
ADD, REMOVE, CHANGE = 1, 2, 3
IN = 1
EDGE, ONCE = 1 << 31, 1 << 30
RECORD = 12  # bytes of an event
PAGE = 4096
WRONG_TIME = struct.pack("<qq", 0, -1)


@booted
def test_members_of_a_set_report_once_they_are_ready(machine: Machine) -> None:
    host = machine.host
    watched = host.epoll_create1(0)
    event = host.eventfd2(0, 0)
    host.epoll_ctl(watched, ADD, event, struct.pack("<Iq", IN, 77))
    found = bytearray(24)
    assert host.epoll_wait(watched, found, 2, 0) == 0
    host.write(event, struct.pack("<Q", 1), 8)
    assert host.epoll_wait(watched, found, 2, 0) == 1
    assert struct.unpack_from("<Iq", found) == (IN, 77)
    host.epoll_ctl(watched, CHANGE, event, struct.pack("<Iq", IN, 78))
    assert host.epoll_wait(watched, found, 2, 0) == 1
    assert struct.unpack_from("<Iq", found) == (IN, 78)
    host.epoll_ctl(watched, REMOVE, event, None)
    assert host.epoll_wait(watched, found, 2, 0) == 0


@booted
def test_errors_of_a_set_come_in_the_order_of_linux(machine: Machine) -> None:
    host = machine.host
    watched = host.epoll_create1(0)
    event = host.eventfd2(0, 0)
    directory = host.open("/tmp", os.O_RDONLY)
    host.mknod("/tmp/null", 0o020666, 1 << 8 | 3)
    null = host.open("/tmp/null", os.O_RDWR)
    right = struct.pack("<Iq", IN, 0)
    for arguments, error in (
        ((999, ADD, 999, FAULTY), "EFAULT"),
        ((999, REMOVE, 999, FAULTY), "EBADF"),
        ((event, ADD, 999, right), "EBADF"),
        ((event, ADD, directory, right), "EPERM"),  # always ready: nobody can watch it
        ((event, REMOVE, directory, None), "EPERM"),
        ((watched, ADD, directory, right), "EPERM"),
        ((event, ADD, event, right), "EINVAL"),
        ((event, REMOVE, null, None), "EPERM"),
        ((watched, ADD, null, right), "EPERM"),
        ((watched, ADD, watched, right), "EINVAL"),
        ((watched, REMOVE, watched, None), "EINVAL"),  # not ENOENT: no set can be in itself
        ((watched, CHANGE, watched, right), "EINVAL"),
        ((watched, 99, event, right), "EINVAL"),
        ((watched, CHANGE, event, right), "ENOENT"),
        ((watched, REMOVE, event, None), "ENOENT"),
    ):
        with pytest.raises(OSError, match=error):
            host.epoll_ctl(*arguments)


@booted
def test_a_set_refuses_commands_with_an_error_of_its_own(machine: Machine) -> None:
    watched = machine.host.epoll_create1(0)
    with pytest.raises(OSError, match="EINVAL"):
        machine.host.ioctl(watched, 0x5401, FAULTY)


@booted
def test_the_mask_of_pselect_is_read_before_its_time(machine: Machine) -> None:
    host = machine.host
    for arguments, error in (
        ((-1, None, None, None, WRONG_TIME, FAULTY), "EFAULT"),
        ((-1, None, None, None, FAULTY, struct.pack("<QQ", FAULTY, 4)), "EFAULT"),
        ((-1, None, None, None, WRONG_TIME, struct.pack("<QQ", FAULTY, 4)), "EINVAL"),
        ((-1, None, None, None, bytes(16), struct.pack("<QQ", FAULTY, 4)), "EINVAL"),
        ((-1, None, None, None, bytes(16), struct.pack("<QQ", FAULTY, 8)), "EFAULT"),
        ((-1, None, None, None, bytes(16), struct.pack("<QQ", 0, 99)), "EINVAL"),
    ):
        with pytest.raises(OSError, match=error):
            host.pselect6(*arguments)
    event = host.eventfd2(1, 0)
    bits = bytearray(struct.pack("<Q", 1 << event))
    assert host.pselect6(event + 1, bits, None, None, bytes(16), None) == 1
    assert struct.unpack("<Q", bits)[0] == 1 << event


@pytest.mark.parametrize("is_upwards", [False, True])
@booted
def test_sets_are_nested_five_deep(machine: Machine, is_upwards: bool) -> None:
    """Sets above count as much as those below: a wake goes through all of them."""
    host = machine.host
    right = struct.pack("<Iq", IN, 0)
    sets = [host.epoll_create1(0) for _ in range(8)]
    refused = []
    for index in range(7):
        pair = sets[index : index + 2]
        upper, lower = reversed(pair) if is_upwards else pair
        try:
            host.epoll_ctl(upper, ADD, lower, right)
        except OSError as error:
            assert "ELOOP" in str(error)
            refused.append(index)
    assert refused == [4]


@booted
def test_a_member_that_is_woken_while_it_is_asked_stays_ready(machine: Machine) -> None:
    """A file of FUSE sleeps when it is asked."""
    host = machine.host
    watched = host.epoll_create1(0)
    event = host.eventfd2(0, 0)
    host.epoll_ctl(watched, ADD, event, struct.pack("<Iq", IN, 77))
    host.write(event, struct.pack("<Q", 1), 8)
    host.read(event, bytearray(8), 8)
    poll = EventFile.poll

    def late(asked: EventFile, waiter: PollWaiter | None) -> int:
        ready = poll(asked, waiter)
        asked.signal(1)
        return ready

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EventFile, "poll", late)
        host.poll(struct.pack("<ihh", watched, IN, 0), 1, 0)
    found = bytearray(12)
    assert host.epoll_wait(watched, found, 1, 0) == 1


@booted
def test_a_member_that_is_removed_while_it_is_asked_is_not_charged_less_than_nothing(machine: Machine) -> None:
    host = machine.host
    watched = host.epoll_create1(0)
    event = host.eventfd2(0, 0)
    owner, file = current().files.get(watched), current().files.get(event)
    assert isinstance(owner, EpollFile)

    def removed(asked: EventFile, waiter: PollWaiter | None) -> int:
        owner.remove(event, file)
        raise MemoryError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EventFile, "poll", removed)
        with pytest.raises(OSError, match="ENOMEM"):
            host.epoll_ctl(watched, ADD, event, struct.pack("<Iq", IN, 77))
    assert owner.account is not None and owner.account.epoll_watches == 0


@pytest.mark.parametrize("flags", [0, EDGE, ONCE])
@booted
def test_an_event_that_nobody_got_is_there_again(machine: Machine, flags: int) -> None:
    host = machine.host
    watched = host.epoll_create1(0)
    for data in (1, 2):
        event = host.eventfd2(1, 0)
        host.epoll_ctl(watched, ADD, event, struct.pack("<Iq", IN | flags, data))
    with pytest.raises(OSError, match="EFAULT"):
        host.epoll_wait(watched, FAULTY, 2, 0)
    page = host.mmap(0, PAGE, 3, 0x22, -1, 0)
    assert host.epoll_wait(watched, page + PAGE - RECORD, 2, 0) == 1
    assert struct.unpack("<Iq", host.load(page + PAGE - RECORD, RECORD)) == (IN, 1)
    found = bytearray(2 * RECORD)
    assert host.epoll_wait(watched, found, 2, 0) == (1 if flags else 2)
    assert struct.unpack_from("<Iq", found) == (IN, 2)
    assert host.epoll_wait(watched, found, 2, 0) == (0 if flags else 2)
