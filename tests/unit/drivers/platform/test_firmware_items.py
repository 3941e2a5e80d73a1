"""fw_cfg against a model of the device: items are read whole, by transfers and by bytes, and no device can do harm."""

from __future__ import annotations

import struct

import pytest

from arch.x86_64.chips import fw_cfg
from arch.x86_64.chips.acpi_devices import hardware
from arch.x86_64.simulation import processor
from kernel.drivers.platform import firmware_items
from kernel.drivers.platform.firmware_items import PART_SIZE, FirmwareItem, FirmwareItems
from kernel.lang import EIO, Errno, span_of
from tests.unit.drivers.virtio.model import read, write

pytestmark = pytest.mark.usefixtures("machine")


class Device:
    """Ports 0x510 to 0x51B. `transfers` says whether it copies to memory by itself."""

    def __init__(self, items: dict[bytes, bytes], *, transfers: bool) -> None:
        self.items = {0: b"QEMU", 1: struct.pack("<I", 3 if transfers else 1)}
        directory = struct.pack(">I", len(items))
        for key, (name, content) in enumerate(items.items(), 0x20):
            self.items[key] = content
            directory += struct.pack(">IHH56s", len(content), key, 0, name)
        self.items[0x19] = directory
        self.selected, self.offset, self.high = 0, 0, 0
        self.answer: int | None = None
        self.transfers = 0
        self.reads = 0

    def take(self, count: int) -> bytes:
        found = self.items.get(self.selected, b"")[self.offset : self.offset + count].ljust(count, b"\0")
        self.offset += count
        return found

    def port_read(self, port: int, width: int) -> int:
        self.reads += 1
        assert (port, width) == (fw_cfg.DATA, 1)
        return self.take(1)[0]

    def port_write(self, port: int, width: int, value: int) -> None:
        if port == fw_cfg.SELECTOR:
            assert width == 2
            self.selected, self.offset = value, 0
        elif port == fw_cfg.TRANSFER_HIGH:
            self.high = value
        else:
            assert (port, width) == (fw_cfg.TRANSFER_LOW, 4)
            words = struct.unpack(">II", struct.pack("<II", self.high, value))
            self.transfer(words[0] << 32 | words[1])

    def transfer(self, command: int) -> None:
        self.transfers += 1
        control, length, address = struct.unpack(">IIQ", read(command, 16))
        if self.answer is not None:
            write(command, struct.pack(">I", self.answer))
            return
        if control & 8:
            self.selected, self.offset = control >> 16, 0
        content = self.take(length)
        if control & 2:
            write(address, content)
        write(command, bytes(4))


ITEMS = {b"etc/small": b"hello", b"opt/org.krait/x": bytes(i % 253 for i in range(PART_SIZE * 3)), b"empty": b""}


def started(monkeypatch: pytest.MonkeyPatch, device: Device) -> FirmwareItems:
    monkeypatch.setattr(processor, "port_read", device.port_read)
    monkeypatch.setattr(processor, "port_write", device.port_write)
    monkeypatch.setattr(hardware, "has_firmware_items", True)
    found = FirmwareItems()
    found.find()
    return found


def content(source: FirmwareItems, item: FirmwareItem, offset: int, length: int) -> bytes:
    storage = bytearray(length)
    source.read(item, offset, span_of(storage))
    return bytes(storage)


@pytest.mark.parametrize("transfers", [False, True])
def test_items_are_read_whole_and_in_part(monkeypatch: pytest.MonkeyPatch, transfers: bool) -> None:
    device = Device(ITEMS, transfers=transfers)
    source = started(monkeypatch, device)
    assert source.is_present and source.revision == (3 if transfers else 1)
    assert {item.name: item.size for item in source.items} == {name: len(data) for name, data in ITEMS.items()}
    large = source.items[1]
    for offset, length in ((0, PART_SIZE), (1, 100), (PART_SIZE, PART_SIZE), (PART_SIZE * 3 - 1, 1)):
        assert content(source, large, offset, length) == ITEMS[large.name][offset : offset + length]
    assert content(source, source.items[0], 0, 5) == b"hello"
    assert (device.transfers > 0) == transfers


def test_nothing_is_touched_where_the_firmware_names_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "has_firmware_items", False)
    source = FirmwareItems()
    assert not source.find() and not source.find()


def test_another_signature_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(ITEMS, transfers=True)
    device.items[0] = b"\xff\xff\xff\xff"
    assert not started(monkeypatch, device).is_present


@pytest.mark.parametrize("directory", [
    b"", struct.pack(">I", 0xFFFF_FFFF), struct.pack(">I", 257), struct.pack(">I", 3),
    struct.pack(">I", 1) + struct.pack(">IHH56s", 5, 0x20, 0, b"x" * 56),
])  # fmt: skip
def test_a_directory_that_makes_no_sense_has_no_items(monkeypatch: pytest.MonkeyPatch, directory: bytes) -> None:
    device = Device({}, transfers=True)
    device.items[0x19] = directory
    assert started(monkeypatch, device).items == []


@pytest.mark.parametrize("answer", [1, 0x10000, 0xFFFF_FFFF])
def test_a_transfer_that_fails_or_does_not_end(monkeypatch: pytest.MonkeyPatch, answer: int) -> None:
    device = Device(ITEMS, transfers=True)
    source = started(monkeypatch, device)
    device.answer = answer
    with pytest.raises(Errno) as caught:
        content(source, source.items[0], 0, 5)
    assert caught.value.code == EIO


def test_an_item_without_transfers_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(i % 251 for i in range(PART_SIZE * 16))
    device = Device({b"etc/large": data}, transfers=False)
    source = started(monkeypatch, device)
    before = device.reads
    parts = [content(source, source.items[0], offset, PART_SIZE) for offset in range(0, len(data), PART_SIZE)]
    assert b"".join(parts) == data and device.reads - before == len(data)
    assert content(source, source.items[0], 10, 5) == data[10:15]
    source.items[0].size = (1 << 20) + 1
    with pytest.raises(Errno) as caught:
        content(source, source.items[0], 0, 5)
    assert caught.value.code == EIO


def test_names_that_no_directory_shows_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    items = {name: b"x" for name in (b"..", b".", b"a//b", b"/a", b"a/", b"a/../b", b"good/name")}
    assert [item.name for item in started(monkeypatch, Device(items, transfers=True)).items] == [b"good/name"]


def test_without_memory_the_device_is_sought_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(key: int, name: bytes, size: int) -> FirmwareItem:
        raise MemoryError

    with monkeypatch.context() as shortage:
        shortage.setattr(firmware_items, "FirmwareItem", no_memory)
        with pytest.raises(MemoryError):
            started(monkeypatch, Device(ITEMS, transfers=True))
        source = FirmwareItems()
        with pytest.raises(MemoryError):
            source.find()
    assert source.find() and len(source.items) == 3
