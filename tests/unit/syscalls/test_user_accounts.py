"""What the kernel keeps for a user goes with the last thing that is charged to it, on a booted machine."""

import pytest

from kernel.lib.user_account import account_count
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CREATE, EXCLUSIVE = 0o100, 0o200


def watch(host: Program) -> None:
    descriptor = host.inotify_init1(0)
    host.inotify_add_watch(descriptor, "/tmp", 0xFFF)
    host.close(descriptor)


def queue(host: Program) -> None:
    descriptor = host.mq_open("one", CREATE | 2, 0o600, None)
    with pytest.raises(OSError, match="EEXIST"):
        host.mq_open("one", CREATE | EXCLUSIVE | 2, 0o600, None)
    host.close(descriptor)
    host.mq_unlink("one")


@booted
def test_accounts_go_with_their_last_charge(machine: Machine) -> None:
    host = machine.host
    before = account_count()
    for uid in range(3000, 3004):
        host.setresuid(uid, uid, 0)
        watch(host)
        queue(host)
        host.setresuid(0, 0, 0)
    assert account_count() == before
