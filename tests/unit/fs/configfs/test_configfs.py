"""configfs on a booted machine: an empty tree that stays empty."""

import errno

import pytest

from tests.unit.booted import booted
from tests.unit.syscalls.test_files import names_in
from tools.simulated.machine import Machine


@booted
def test_nothing_can_be_made(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/config", 0o755)
    host.mount("none", "/config", "configfs", 0, None)
    assert names_in(host, "/config") == [".", ".."]
    with pytest.raises(OSError) as caught:
        host.mkdir("/config/a", 0o755)
    assert caught.value.errno == errno.EPERM
    with pytest.raises(OSError) as caught:
        host.open("/config/a", 0o101, 0o644)
    assert caught.value.errno == errno.EACCES
    host.umount2("/config", 0)
