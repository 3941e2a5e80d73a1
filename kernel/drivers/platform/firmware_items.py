"""QEMU's items for its guest by fw_cfg: named items, which programs read below /sys/firmware/qemu_fw_cfg.

The directory of the items is read once, when /sys is mounted first; an invalid one has no items. An item is
copied by the device itself where it can (a transfer), or read byte by byte. Nothing is written to the device.

What the device says is checked: counts and sizes are bounded, names must be paths, and a transfer that does not end is
abandoned.

Context: thread context. `read` has safe points, so its callers have a lock; it reads at most PART_SIZE bytes.
Source: QEMU's docs/specs/fw_cfg.rst.
"""

from typing import Final

from arch import hardware, read_firmware_item, select_firmware_item, start_firmware_transfer
from kernel.drivers.platform.window import Window, frame_window
from kernel.lang import EIO, Errno, Span, final, span_of, u8
from kernel.lib import log
from kernel.lib.pace import pace
from kernel.mm.frames import allocate_zeroed_frame

PART_SIZE: Final = 2048  # bytes of an item that are read at once

_KEY_SIGNATURE: Final = 0
_KEY_REVISION: Final = 1
_KEY_DIRECTORY: Final = 0x19
_SIGNATURE: Final = 0x554D_4551  # "QEMU", little-endian
_HAS_TRANSFERS: Final = 2  # of the revision

_ENTRY_SIZE: Final = 64
_ENTRY_KEY: Final = 4
_ENTRY_NAME: Final = 8
_MOST_ITEMS: Final = 256
_MOST_WITHOUT_TRANSFERS: Final = 1 << 20  # bytes of an item
_SKIPPED: Final = 256  # bytes that are passed over at once
_SKIP_COST: Final = 10_000  # instructions for them
_NOTHING: Final = -1  # no item is selected

# A command of a transfer; all of it is big-endian.
_CONTROL: Final = 0
_LENGTH: Final = 4
_ADDRESS: Final = 8
_PLACE: Final = 2048  # where the bytes go, in the frame of the command
_ERROR: Final = 1
_READ: Final = 2
_SKIP: Final = 4
_SELECT: Final = 8
_PATIENCE: Final = 2000  # polls of a command before it is abandoned


@final
class FirmwareItem:
    """One item. `size` in bytes, as the device says."""

    def __init__(self, key: int, name: bytes, size: int) -> None:
        self.key: int = key
        self.name: bytes = name
        self.size: int = size


@final
class FirmwareItems:
    """The device and its items."""

    def __init__(self) -> None:
        self.revision: int = 0
        self.items: list[FirmwareItem] = []
        self.is_present: bool = False
        self._is_sought: bool = False
        # The device's state: the selected item, and how far it was read byte by byte.
        self._selected: int = _NOTHING
        self._position: int = 0
        self._command: Window | None = None  # where the device supports transfers

    def find(self) -> bool:
        """Look for the device on the first call, if the firmware reported one; returns whether it exists. Raises
        MemoryError.
        """
        if hardware.has_firmware_items and not self._is_sought:
            self._start()
            self._is_sought = True
        return self.is_present

    def _start(self) -> None:
        """Raises MemoryError; then it may be called again."""
        self.items = []
        word = bytearray(4)
        select_firmware_item(_KEY_SIGNATURE)
        read_firmware_item(span_of(word))
        if span_of(word).load_u32(0) != _SIGNATURE:
            return
        select_firmware_item(_KEY_REVISION)
        read_firmware_item(span_of(word))
        self.revision = span_of(word).load_u32(0)
        self._read_directory()
        if self.revision & _HAS_TRANSFERS != 0:
            self._command = frame_window(allocate_zeroed_frame())
        self.is_present = True
        log.info(f"fw_cfg: {len(self.items)} items of QEMU")

    def _read_directory(self) -> None:
        word = bytearray(4)
        select_firmware_item(_KEY_DIRECTORY)
        read_firmware_item(span_of(word))
        count = span_of(word).load_be32(0)
        if count > _MOST_ITEMS:
            log.error(f"fw_cfg: {count} items cannot be")
            return
        entry = bytearray(_ENTRY_SIZE)
        for _ in range(count):
            read_firmware_item(span_of(entry))
            name = bytes(entry[_ENTRY_NAME:])
            end = name.find(b"\0")
            if end > 0:
                key = entry[_ENTRY_KEY] << 8 | entry[_ENTRY_KEY + 1]
                name = name[:end]
                if _is_path(name):
                    self.items.append(FirmwareItem(key, name, span_of(entry).load_be32(0)))

    def read(self, item: FirmwareItem, offset: int, destination: Span[u8]) -> None:
        """Fill at most PART_SIZE bytes with those of an item from an offset on, which lie inside. Raises EIO, also for
        a large item that can only be read byte by byte; MemoryError. One call at a time.
        """
        command = self._command
        if command is not None:
            self._transfer(command, item.key, offset, destination)
        elif item.size > _MOST_WITHOUT_TRANSFERS:
            raise Errno(EIO)
        else:
            self._read_bytes(item.key, offset, destination)

    def _read_bytes(self, key: int, offset: int, destination: Span[u8]) -> None:
        """Continue where the last reader ended, or start over and skip what comes before."""
        if self._selected != key or self._position > offset:
            select_firmware_item(key)
            self._selected = key
            self._position = 0
        skipped = bytearray(_SKIPPED)
        while self._position < offset:
            part = min(_SKIPPED, offset - self._position)
            read_firmware_item(span_of(skipped)[0:part])
            self._position += part
            pace(_SKIP_COST)
        read_firmware_item(destination)
        self._position += len(destination)

    def _transfer(self, command: Window, key: int, offset: int, destination: Span[u8]) -> None:
        """Two commands: one skips what comes before, one copies."""
        if offset > 0:
            _run(command, key << 16 | _SELECT | _SKIP, offset, 0)
        control = _READ if offset > 0 else key << 16 | _SELECT | _READ
        _run(command, control, len(destination), command.physical + _PLACE)
        for i in range(len(destination)):
            destination[i] = command.load_u8(_PLACE + i)


def _is_path(name: bytes) -> bool:
    """Whether it is a valid path."""
    for part in name.split(b"/"):
        if len(part) == 0 or part == b"." or part == b"..":
            return False
    return True


def _run(command: Window, control: int, length: int, address: int) -> None:
    """Have the device carry out one command. Raises EIO."""
    _store(command, _LENGTH, length)
    _store(command, _ADDRESS, address >> 32)
    _store(command, _ADDRESS + 4, address & 0xFFFF_FFFF)
    _store(command, _CONTROL, control)
    start_firmware_transfer(command.physical)
    for _ in range(_PATIENCE):
        left = command.load_u32(_CONTROL)
        if left == 0:
            return
        if left >> 24 & _ERROR != 0:
            break
    raise Errno(EIO)


def _store(command: Window, offset: int, word: int) -> None:
    """Store a word with its most significant byte first."""
    for i in range(4):
        command.store_u8(offset + i, word >> (24 - 8 * i) & 0xFF)


FIRMWARE: Final = FirmwareItems()
