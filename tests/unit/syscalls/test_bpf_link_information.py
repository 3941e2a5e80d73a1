"""What bpf(2) says of links to events, on a booted machine."""

from __future__ import annotations

import errno
import struct

from tests.unit.booted import booted
from tests.unit.perf.test_events import FAULTS, attributes, opened
from tests.unit.perf.test_links import LinkCalls
from tests.unit.perf.test_programs import ENTER_GETPPID, OF_EVENT, OF_POINT, PASS
from tools.simulated.machine import Machine


@booted
def test_what_is_said_of_links(machine: Machine) -> None:
    host = machine.host
    calls = LinkCalls(host)
    point = calls.link(calls.load_kind(OF_POINT, PASS), calls.point(ENTER_GETPPID), cookie=7)
    result, said, name = calls.about(point, 40)
    assert result == 0 and name[:18] == b"sys_enter_getppid\0"
    assert struct.unpack("<I12xI12xI4xQ", said[:48]) == (7, 5, 18, 7)
    assert calls.about(point, 5)[0] == -errno.ENOSPC and calls.about(point, 5)[2][:6] == b"sys_\0."
    event = calls.link(calls.load_kind(OF_EVENT, PASS), opened(host, attributes(FAULTS)), cookie=9)
    result, said, _ = calls.about(event)
    assert result == 0 and struct.unpack("<I12xI4xQI4xQ", said[:48]) == (7, 6, FAULTS, 1, 9)
