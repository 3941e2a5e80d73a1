"""Descriptors that a failing call takes back: another thread may have closed them, and reused their numbers."""

import pytest

from kernel.fs.descriptors import FileTable
from kernel.lang import EFAULT, Errno, UserAddr
from kernel.lib import user
from kernel.task import current
from tests.unit.booted import booted
from tools.simulated.machine import Machine

AF_UNIX, SOCK_STREAM = 1, 1
SIGCHLD, CLONE_PIDFD = 17, 0x1000


@pytest.mark.parametrize("name", ["pipe2", "socketpair"])
@booted
def test_what_another_thread_did_with_the_number_stays(machine: Machine, name: str) -> None:
    host = machine.host
    event = host.eventfd2(0, 0)
    files = current().files
    first = event + 1

    def write(address: UserAddr, value: int) -> None:
        """The other thread closes the first, and has its number for another file; it closes the second."""
        if files.find(first) is not None:
            files.close(first)
            files.close(first + 1)
            assert files.duplicate(event, first, False) == first
            raise Errno(EFAULT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(user, "write_i32", write)
        with pytest.raises(OSError, match="EFAULT"):
            host.call(name, *([AF_UNIX, SOCK_STREAM, 0] if name == "socketpair" else []), bytearray(8), 0)
    assert files.find(first) is files.find(event) and files.find(first + 1) is None


@pytest.mark.parametrize("fails", [False, True])
@booted
def test_a_child_lives_without_the_descriptor_of_itself(machine: Machine, fails: bool) -> None:
    """Its parent's other thread closes that while the table is copied."""
    host = machine.host
    event = host.eventfd2(0, 0)
    copy = FileTable.copy

    def close_first(table: FileTable) -> FileTable:
        table.close(event + 1)
        assert table.duplicate(event, event + 1, False) == event + 1
        if fails:
            raise MemoryError
        return copy(table)

    files = current().files
    host.frame.r15 = host.code.add_main(lambda program: program.fcntl(event + 1, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileTable, "copy", close_first)
        if fails:
            with pytest.raises(OSError, match="ENOMEM"):
                host.clone(CLONE_PIDFD | SIGCHLD, 0, bytearray(4), 0, 0)
        else:
            assert machine.wait(host.clone(CLONE_PIDFD | SIGCHLD, 0, bytearray(4), 0, 0)) == 0
    assert files.find(event + 1) is files.find(event)
