"""reboot(2) on a booted machine: what becomes of a kernel that was loaded and is not whole any more."""

import struct

import pytest

from kernel.mm import frames
from kernel.mm.next_kernel import LOADED
from tests.unit.booted import booted
from tests.unit.syscalls.test_programs import PAGE, map_pages
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PLACE = 0x200000
AS_KEXEC = (0xFEE1DEAD, 672274793, 0x45584543, 0)


def load_kernel(host: Program) -> None:
    """Two pages of something."""
    image = map_pages(host, 1)
    host.store(image, b"what starts next")
    host.kexec_load(PLACE, 1, struct.pack("<QQQQ", image, 16, PLACE, 2 * PAGE), 0)


@booted
def test_none_is_loaded(machine: Machine) -> None:
    with pytest.raises(OSError, match="EINVAL"):
        machine.host.reboot(*AS_KEXEC)


@booted
def test_damage_is_found_before_anything_is_stopped(machine: Machine) -> None:
    """Somebody writes into a page of the loaded kernel: the machine runs on, and its files can still be written."""
    host = machine.host
    load_kernel(host)
    kernel = LOADED.kernel
    assert kernel is not None and kernel.is_whole()
    span = frames.frame_span(kernel.segments[0].frames.get(0))
    before, span[5] = span[5], 0
    with pytest.raises(OSError, match="EIO"):
        host.reboot(*AS_KEXEC)
    assert LOADED.kernel is kernel and not LOADED.is_busy
    descriptor = host.open("/file", 0o102, 0o644)  # O_RDWR | O_CREAT
    assert host.write(descriptor, b"written", 7) == 7
    assert "the loaded kernel has been damaged in memory" in machine.output.decode()
    span[5] = before
    assert kernel.is_whole()
