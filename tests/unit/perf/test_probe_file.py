"""The file and offset that a probe names, on a booted machine."""

import errno

import pytest

from kernel.lang import Errno
from kernel.perf.probe_file import check_place, find_source, read_instruction
from kernel.task.task import current
from tests.unit.booted import booted
from tools.simulated.machine import Machine


def test_places_lie_in_the_file() -> None:
    check_place(100, 0, 0)
    check_place(100, 100, 4)
    check_place(100, -1, 0)
    for offset, counter in ((101, 0), (0, 3)):
        with pytest.raises(Errno) as caught:
            check_place(100, offset, counter)
        assert caught.value.code == errno.EINVAL


@booted
def test_an_instruction_is_read_up_to_the_end(machine: Machine) -> None:
    host = machine.host
    file = host.open("/code", 0o102, 0o755)
    host.write(file, bytes(range(40)), 40)
    found = find_source(current().fs, b"/code")
    source, size = found.source, found.size
    assert size == 40
    assert read_instruction(source, 8, size) == bytes(range(8, 24))
    assert read_instruction(source, 36, size) == bytes(range(36, 40))
    with pytest.raises(Errno) as caught:
        read_instruction(source, 40, size)
    assert caught.value.code == errno.EIO
    found.release()
    with pytest.raises(Errno) as caught:
        find_source(current().fs, b"/")
    assert caught.value.code == errno.EINVAL
