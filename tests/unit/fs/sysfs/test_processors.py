"""Which processors /sys lists, and which of them are near a device."""

from kernel.lib.bus import PROCESSORS_HOOK
from kernel.sched.processor import PROCESSORS
from tests.unit.booted import booted
from tests.unit.syscalls.test_files import read_all
from tools.simulated.machine import Machine


@booted
def test_all_processors_are_listed_and_near_each_device(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/sys", 0o755)
    host.mount("none", "/sys", "sysfs", 0, None)
    for name in ("online", "possible", "present"):
        assert read_all(host, f"/sys/devices/system/cpu/{name}") == b"0\n"
    assert PROCESSORS_HOOK.list() == b"0\n"
    PROCESSORS.append(PROCESSORS[0])
    assert PROCESSORS_HOOK.list() == read_all(host, "/sys/devices/system/cpu/online") == b"0-1\n"
