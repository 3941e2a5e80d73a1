"""The driver of the i6300ESB against a model of the device, which heeds the widths and the order of stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from arch.x86_64.chips import pci_configuration
from arch.x86_64.simulation import processor
from kernel.drivers.platform import pci, window
from kernel.drivers.platform.pci import PciDevice
from kernel.drivers.watchdog import i6300esb
from kernel.drivers.watchdog.i6300esb import I6300esb
from kernel.lang import ENODEV, Errno
from kernel.lang.simulation import memory

BASE = 0xFEB0_1000
COUNTS_A_SECOND = 1024


class Device:
    """One device on bus 0, in slot 4."""

    def __init__(self) -> None:
        self.words = {0: 0x25AB_8086, 0x10: BASE}
        self.address = 0
        self.unlocking = 0  # how many words of the sequence were seen
        self.counts = [0xF_FFFF, 0xF_FFFF]
        self.left = 0  # counts until the machine is reset
        self.timed_out = False
        self.config = 0
        self.lock = 0

    # Configuration space

    def port_read(self, port: int, size_bytes: int) -> int:
        if port != pci_configuration.DATA_PORT or self.address >> 11 & 0x1FFF != 4:
            return 0xFFFF_FFFF
        register = self.address & 0xFC
        if register == i6300esb.LOCK:
            return self.lock
        return self.words.get(register, 0)

    def port_write(self, port: int, size_bytes: int, value: int) -> None:
        if port == pci_configuration.ADDRESS_PORT:
            self.address = value
            return
        register = (self.address & 0xFC) + (port & 3)
        if register == i6300esb.CONFIG:
            assert size_bytes == 2
            self.config = value
        elif register == i6300esb.LOCK:
            assert size_bytes == 1
            if self.lock & i6300esb.LOCK_LOCKED == 0:
                if value & ~self.lock & i6300esb.LOCK_ENABLED:
                    self.reload()
                self.lock = value
        elif register == 0x10 and value == 0xFFFF_FFFF:
            self.words[register] = value & -16
        else:
            assert size_bytes == 4
            self.words[register] = value

    # Registers

    def read(self, offset: int, size_bytes: int) -> int:
        assert offset == i6300esb.RELOAD and size_bytes == 2
        return i6300esb.TIMED_OUT if self.timed_out else 0

    def write(self, offset: int, size_bytes: int, value: int) -> None:
        if offset == i6300esb.RELOAD and size_bytes == 2 and self.unlocking < 2:
            wanted = (i6300esb.UNLOCK_1, i6300esb.UNLOCK_2)[self.unlocking]
            self.unlocking = self.unlocking + 1 if value == wanted else 0
            return
        was_unlocked, self.unlocking = self.unlocking == 2, 0
        assert was_unlocked, "the driver forgot the sequence"
        if offset == i6300esb.RELOAD:
            assert size_bytes == 2
            if value & i6300esb.RELOAD_TIMERS:
                self.reload()
            if value & i6300esb.TIMED_OUT:
                self.timed_out = False
        else:
            assert size_bytes == 4
            self.counts[offset // 4] = value & 0xF_FFFF

    def reload(self) -> None:
        self.left = sum(self.counts)

    def seconds(self) -> float:
        return self.left / COUNTS_A_SECOND


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    memory.reset()
    model = Device()
    memory.map_device(BASE, i6300esb.SIZE, model)
    monkeypatch.setattr(window, "map_device", lambda physical, size: physical)
    monkeypatch.setattr(processor, "port_read", model.port_read)
    monkeypatch.setattr(processor, "port_write", model.port_write)
    yield model
    memory.reset()


def function() -> PciDevice:
    return PciDevice(0, 4, 0)


def test_it_is_told_by_its_numbers(device: Device) -> None:
    assert i6300esb.is_watchdog(function())
    device.words[0] = 0x25A1_8086
    assert not i6300esb.is_watchdog(function())


def test_it_is_stopped_at_first(device: Device) -> None:
    device.lock = i6300esb.LOCK_ENABLED
    timer = I6300esb(function())
    assert device.lock == 0 and device.config == i6300esb.CONFIG_NO_INTERRUPT
    assert (timer.seconds, device.seconds()) == (30, 30)
    assert not timer.caused_reset


def test_that_it_caused_the_reset_is_told_once(device: Device) -> None:
    device.timed_out = True
    assert I6300esb(function()).caused_reset
    assert not I6300esb(function()).caused_reset


@pytest.mark.parametrize("seconds", [1, 2, 999, 2046])
def test_the_time_is_what_was_asked_for(device: Device, seconds: int) -> None:
    I6300esb(function()).set_seconds(seconds)
    assert device.seconds() == seconds and device.counts[0] == device.counts[1]


def test_it_starts_and_stops(device: Device) -> None:
    timer = I6300esb(function())
    device.left = 1
    timer.start(for_good=False)
    assert device.lock == i6300esb.LOCK_ENABLED and device.seconds() == 30
    device.left = 1
    timer.restart()
    assert device.seconds() == 30
    device.left = 1
    assert timer.stop()
    assert device.lock == 0


def test_it_starts_for_good(device: Device) -> None:
    timer = I6300esb(function())
    timer.start(for_good=True)
    device.left = 1
    assert not timer.stop()
    assert device.lock & i6300esb.LOCK_ENABLED and device.seconds() == 30


def test_a_device_without_registers(device: Device) -> None:
    device.words[0x10] = pci.BAR_IO
    with pytest.raises(Errno) as caught:
        I6300esb(function())
    assert caught.value.code == ENODEV
