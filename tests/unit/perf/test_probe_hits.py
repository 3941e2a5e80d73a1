"""What a program does at breakpoints of the kernel's when memory is short, on a booted machine."""

import pytest

from arch import TrapFrame
from kernel.lang import ENOMEM, Errno
from kernel.mm.space import AddressSpace
from kernel.perf import probe_hits
from kernel.perf.probe_commands import parse
from kernel.perf.probe_page import ProbePage, make_probe_page
from kernel.perf.probe_record import arguments_of
from kernel.perf.probed_task import ProbedTask, WatchedReturn
from kernel.perf.probes import PROBES
from kernel.perf.tracepoints import MOST_BYTES
from kernel.task.task import current
from tests.unit.booted import booted
from tests.unit.perf.test_events import opened
from tests.unit.perf.test_probes import attributes, code_file
from tools.simulated.machine import Machine

FUNCTION = 0x50_0000


@booted
def test_a_return_is_met_again_once_there_is_memory(machine: Machine) -> None:
    host = machine.host
    code_file(host)
    event = opened(host, attributes(host, b"/code", 8, config=1))
    probe = PROBES.by_place[next(iter(PROBES.by_place))][0]
    task = current()
    make_probe_page(task.space)
    state = ProbedTask()
    task.own().probed = state
    state.returns = [WatchedReturn(probe, FUNCTION, 0x7000, FUNCTION + 5, is_chained=False)]
    frame = TrapFrame()
    trampoline = task.space.layout.probe_page
    frame.rsp, frame.rip = 0x7008, trampoline + 1

    def fail(*arguments: object, is_return: bool) -> None:
        raise MemoryError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe_hits, "_report", fail)
        with pytest.raises(MemoryError):
            probe_hits._returned(task, frame, trampoline)
    assert frame.rip == trampoline and len(state.returns) == 1
    probe_hits._returned(task, frame, trampoline)
    assert frame.rip == FUNCTION + 5 and state.returns == []
    host.close(event)


@booted
def test_a_function_goes_on_whose_return_cannot_be_watched(machine: Machine) -> None:
    host = machine.host
    code_file(host)
    event = opened(host, attributes(host, b"/code", 8, config=1))
    probe = PROBES.by_place[next(iter(PROBES.by_place))][0]

    def fail(space: AddressSpace) -> ProbePage:
        raise Errno(ENOMEM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe_hits, "make_probe_page", fail)
        assert probe_hits._page_for_returns(current().space, probe) is None
    host.close(event)


@booted
def test_texts_that_find_no_room_are_empty(machine: Machine) -> None:
    command = parse(b"p:a /code:0 " + b" ".join(b"a%d=$comm" % number for number in range(128)))
    task = current()
    task.name = b"x" * 1000
    data = arguments_of(task, TrapFrame(), command)
    sizes = [int.from_bytes(data[at + 2 : at + 4], "little") for at in range(0, 512, 4)]
    assert sizes == [1001] * 3 + [0] * 125 and len(data) + 16 <= MOST_BYTES


@booted
def test_the_mount_of_a_probe_is_busy(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/place", 0o755)
    host.mount("tmpfs", "/place", "tmpfs")
    file = host.open("/place/code", 0o102, 0o755)
    host.write(file, bytes([0x55]) * 4096, 4096)
    host.close(file)
    event = opened(host, attributes(host, b"/place/code", 8))
    with pytest.raises(OSError):
        host.umount2("/place", 0)
    host.close(event)
    host.umount2("/place", 0)
    assert PROBES.count == 0
