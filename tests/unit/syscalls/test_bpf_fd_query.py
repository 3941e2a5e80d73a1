"""BPF_TASK_FD_QUERY, on a booted machine."""

from __future__ import annotations

import errno
import struct

from tests.unit.booted import booted
from tests.unit.perf.test_events import FAULTS, attributes, opened
from tests.unit.perf.test_links import OF_RAW, LinkCalls
from tests.unit.perf.test_programs import ENTER_GETPPID, OF_EVENT, OF_POINT, PASS
from tools.simulated.machine import Machine

QUERY = 20


def asked(calls: LinkCalls, fd: int, room: int = 40, pid: int = 1, flags: int = 0) -> tuple[int, int, bytes, int]:
    """The result, the length of the name, what there is of it, and the kind."""
    where = calls.at(12288, struct.pack("<4IQ6I", pid, fd, flags, room, calls.at(14000, b"." * 40), *[9] * 6))
    result = calls.answers.bpf(QUERY, where, 48)
    _, kind, *rest = struct.unpack("<2I2Q", calls.program.load(where + 24, 24))
    assert (result < 0 and result != -errno.ENOSPC) or rest == [0, 0]
    (length,) = struct.unpack("<I", calls.program.load(where + 12, 4))
    return result, length, calls.program.load(calls.memory + 14000, 20), kind


@booted
def test_what_descriptors_keep(machine: Machine) -> None:
    calls = LinkCalls(machine.host)
    event, software = calls.point(ENTER_GETPPID), opened(machine.host, attributes(FAULTS))
    assert asked(calls, event)[0] == -errno.ENOENT
    assert calls.set(event, calls.load_kind(OF_POINT, PASS)) == 0
    assert asked(calls, event) == (0, 17, b"sys_enter_getppid\0..", 1)
    assert asked(calls, event, 5) == (-errno.ENOSPC, 17, b"sys_\0" + b"." * 15, 1)
    assert asked(calls, event, 0) == (0, 17, b"." * 20, 1)
    assert calls.set(software, calls.load_kind(OF_EVENT, PASS)) == 0
    assert asked(calls, software)[0] == -errno.EOPNOTSUPP
    raw = calls.raw(b"sys_exit", calls.load_kind(OF_RAW, PASS))
    assert asked(calls, raw)[:3] == (0, 8, b"sys_exit\0" + b"." * 11) and asked(calls, raw)[3] == 0
    machine.host.close(raw)


@booted
def test_what_is_nothing(machine: Machine) -> None:
    calls = LinkCalls(machine.host)
    event = calls.point(ENTER_GETPPID)
    assert asked(calls, event, flags=1)[0] == -errno.EINVAL and asked(calls, event, pid=999)[0] == -errno.ENOENT
    assert asked(calls, 999)[0] == -errno.EBADF and asked(calls, calls.load_kind(OF_POINT, PASS))[0] == -524
    machine.host.setresuid(1000, 1000, 1000)
    assert asked(calls, event)[0] == -errno.EPERM
