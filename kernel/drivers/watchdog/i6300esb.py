"""The watchdog of Intel's 6300ESB controller hub, which QEMU has as `i6300esb`.

Two timers run one after the other: when the first expires, the device could interrupt, which is switched off here; when
the second does, it resets the machine. Both get half of the time. A register is changed only right after the two words
of the unlocking sequence were written to the reload register, and that holds for one write. In configuration space, the
registers are of the widths that their stores here have: a store of another width is another command.

Context: thread context; nothing sleeps. Source: Intel 6300ESB I/O Controller Hub datasheet (300641), chapter 16.
"""

from typing import Final

from kernel.drivers.platform.pci import PciDevice
from kernel.drivers.platform.window import Window
from kernel.drivers.watchdog.device_file import enter_watchdog
from kernel.drivers.watchdog.watchdog import WatchdogTimer
from kernel.lang import final, noraise
from kernel.lib import log

VENDOR: Final = 0x8086
DEVICE: Final = 0x25AB
DRIVER: Final = b"i6300esb"
IDENTITY: Final = b"i6300ESB timer"

# Registers in memory, at base address register 0.
TIMER_1: Final = 0x00
TIMER_2: Final = 0x04
RELOAD: Final = 0x0C
SIZE: Final = 0x10

UNLOCK_1: Final = 0x80
UNLOCK_2: Final = 0x86
RELOAD_TIMERS: Final = 1 << 8
TIMED_OUT: Final = 1 << 9  # the last reset was the watchdog's; a one clears it

# Registers in configuration space.
CONFIG: Final = 0x60  # two bytes
LOCK: Final = 0x68  # one byte

CONFIG_NO_INTERRUPT: Final = 3  # of the first timer; the other bits: count about milliseconds, and reset the machine
LOCK_LOCKED: Final = 1 << 0  # until the machine is reset, nothing changes this register
LOCK_ENABLED: Final = 1 << 1

_SHORTEST: Final = 1  # seconds
_LONGEST: Final = 2046
_DEFAULT: Final = 30
_HALF_SECOND_SHIFT: Final = 9  # of a number of seconds: each timer has half of them, at 1,024 counts a second


@final
class I6300esb(WatchdogTimer):
    """One device, which is stopped at first. Raises ENODEV, MemoryError."""

    def __init__(self, device: PciDevice) -> None:
        super().__init__(IDENTITY, _SHORTEST, _LONGEST, _DEFAULT)
        device.enable()
        self._device: PciDevice = device
        self._registers: Window = device.window(0, 0, SIZE)
        device.write_u16(CONFIG, CONFIG_NO_INTERRUPT)
        if device.read_u8(LOCK) & LOCK_LOCKED != 0:
            log.warn("i6300esb: it runs, and cannot be stopped")
        device.write_u8(LOCK, 0)
        self.caused_reset = self._registers.load_u16(RELOAD) & TIMED_OUT != 0
        self._unlock()
        self._registers.store_u16(RELOAD, TIMED_OUT | RELOAD_TIMERS)
        self.set_seconds(_DEFAULT)

    @noraise
    def start(self, *, for_good: bool) -> None:
        self.restart()
        self._device.write_u8(LOCK, LOCK_ENABLED | LOCK_LOCKED if for_good else LOCK_ENABLED)

    @noraise
    def stop(self) -> bool:
        self.restart()  # so that it does not expire meanwhile
        self._device.write_u8(LOCK, 0)
        return self._device.read_u8(LOCK) & LOCK_ENABLED == 0

    @noraise
    def restart(self) -> None:
        self._unlock()
        self._registers.store_u16(RELOAD, RELOAD_TIMERS)

    @noraise
    def set_seconds(self, seconds: int) -> None:
        for register in (TIMER_1, TIMER_2):
            self._unlock()
            self._registers.store_u32(register, seconds << _HALF_SECOND_SHIFT)
        self.restart()

    @noraise
    def _unlock(self) -> None:
        """Permit one write to a register."""
        self._registers.store_u16(RELOAD, UNLOCK_1)
        self._registers.store_u16(RELOAD, UNLOCK_2)


def is_watchdog(device: PciDevice) -> bool:
    """Whether it is one."""
    return device.vendor == VENDOR and device.device == DEVICE


def start(device: PciDevice) -> None:
    """Bring a device up. Raises ENODEV, MemoryError."""
    timer = I6300esb(device)
    enter_watchdog(timer)
    log.info(f"i6300esb {device.name()}: a watchdog of {timer.seconds} s")
