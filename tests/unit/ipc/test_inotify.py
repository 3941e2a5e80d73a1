"""Watches that end while the file that they watch is evicted, which sleeps: others ask for the same watch meanwhile."""

import os
import struct

import pytest

from kernel.fs.notification import Watch
from kernel.fs.notification import remove_watch as remove
from kernel.ipc import inotify
from kernel.lang import EINVAL, Errno
from kernel.task import current
from tests.unit.booted import booted
from tools.simulated.machine import Machine

IN_MODIFY = 2
IN_IGNORED = 0x8000
IN_ONESHOT = 0x8000_0000


@pytest.mark.parametrize("is_oneshot", [False, True])
@booted
def test_a_watch_ends_once(machine: Machine, is_oneshot: bool) -> None:
    host = machine.host
    file = host.open("/tmp/watched", os.O_CREAT | os.O_RDWR, 0o600)
    descriptor = host.inotify_init1(0)
    number = host.inotify_add_watch(descriptor, "/tmp/watched", IN_MODIFY | (IN_ONESHOT if is_oneshot else 0))
    instance = current().files.get(descriptor)
    assert isinstance(instance, inotify.InotifyFile)
    answers: list[int] = []

    def another_first(watch: Watch) -> None:
        if not answers:
            answers.append(0)
            try:
                instance.unwatch(number)
            except Errno as error:
                answers[0] = error.code
        remove(watch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inotify, "remove_watch", another_first)
        if is_oneshot:
            assert host.write(file, b"x", 1) == 1
        else:
            host.inotify_rm_watch(descriptor, number)
    assert answers == [EINVAL] and instance.account.inotify_watches == 0
    events = bytearray(100)
    length = host.read(descriptor, events, 100)
    assert [struct.unpack_from("<iI", events, at) for at in range(0, length, 16)] == [
        (number, mask) for mask in ([IN_MODIFY] if is_oneshot else []) + [IN_IGNORED]
    ]


@booted
def test_watches_that_come_while_all_are_shown_are_shown(machine: Machine) -> None:
    """No list of all is made first, which would take long."""
    host = machine.host
    descriptor = host.inotify_init1(0)

    def watch(name: str) -> int:
        host.close(host.open(name, os.O_CREAT | os.O_RDWR, 0o600))
        return host.inotify_add_watch(descriptor, name, IN_MODIFY)

    numbers = [watch(f"/tmp/shown{place}") for place in range(3)]
    instance = current().files.get(descriptor)
    listing = instance.listing()
    assert listing is not None
    lines = [listing.next_piece()]
    host.inotify_rm_watch(descriptor, numbers.pop(1))
    numbers.append(watch("/tmp/late"))
    lines += iter(listing.next_piece, None)
    assert [int(line.split()[1].removeprefix(b"wd:"), 16) for line in lines if line] == numbers
