"""/dev/watchdog0, and /dev/watchdog, which is the same: opening it starts the watchdog, any write pings it, and an
ioctl(2) asks and tells it more.

The device is opened by one program at a time. Closing it leaves the watchdog running, so that the machine is reset when
the program dies; it stops if the last write before had a `V` somewhere (magic close).

Context: thread context; nothing sleeps. Source: Linux's Documentation/watchdog/watchdog-api.rst.
"""

from typing import Final

from kernel.drivers.watchdog.attributes import WatchdogAttributes
from kernel.drivers.watchdog.watchdog import WATCHDOGS, Watchdog, WatchdogTimer
from kernel.fs.constants import device_minor, device_number
from kernel.fs.devices.filesystem import register_char_device
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.lang import EBUSY, EFAULT, ENOTTY, EOPNOTSUPP, Errno, UserAddr, final, span_of
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.lib.user import Buffer
from kernel.sched import spawn_kernel_thread

MAJOR: Final = 243  # Linux takes any that is free
_MISC_MAJOR: Final = 10
_MISC_MINOR: Final = 130
_PORTION: Final = 256  # bytes of a write that are looked at at once
_BYTE_COST: Final = 4  # instructions

WDIOC_GETSUPPORT: Final = 0x8028_5700
WDIOC_GETSTATUS: Final = 0x8004_5701
WDIOC_GETBOOTSTATUS: Final = 0x8004_5702
WDIOC_SETOPTIONS: Final = 0x8004_5704
WDIOC_KEEPALIVE: Final = 0x8004_5705
WDIOC_SETTIMEOUT: Final = 0xC004_5706
WDIOC_GETTIMEOUT: Final = 0x8004_5707
WDIOC_SETPRETIMEOUT: Final = 0xC004_5708
WDIOC_GETPRETIMEOUT: Final = 0x8004_5709
WDIOC_GETTIMELEFT: Final = 0x8004_570A
_DISABLE: Final = 1  # WDIOS_DISABLECARD
_ENABLE: Final = 2

_INFO_SIZE: Final = 40  # struct watchdog_info: options, version, identity
_IDENTITY_AT: Final = 8


@final
class WatchdogFile(File):
    """An open watchdog."""

    def __init__(self, path: Path, flags: int, watchdog: Watchdog) -> None:
        super().__init__(path, flags)
        self.watchdog: Watchdog = watchdog
        self.is_owner: bool = False  # it has opened the watchdog, and closes it

    def write(self, buffer: Buffer) -> int:
        """Ping. Raises EFAULT."""
        watchdog = self.watchdog
        count = buffer.remaining
        if count == 0:
            return 0
        watchdog.may_stop = False
        portion = bytearray(_PORTION)
        while buffer.remaining > 0:
            wanted = min(buffer.remaining, _PORTION)
            taken = buffer.take(span_of(portion)[:wanted])
            for index in range(taken):
                if portion[index] == ord("V"):
                    watchdog.may_stop = True
            if taken < wanted:
                raise Errno(EFAULT)
            pace(_PORTION * _BYTE_COST)
        watchdog.ping()
        return count

    def ioctl(self, command: int, argument: int) -> int:
        """Raises EFAULT, EINVAL, EBUSY, EOPNOTSUPP, ENOTTY."""
        watchdog = self.watchdog
        address = UserAddr(argument)
        if command == WDIOC_GETSUPPORT:
            user.write_bytes(address, information(watchdog))
        elif command == WDIOC_GETSTATUS:
            user.write_u32(address, watchdog.take_status())
        elif command == WDIOC_GETBOOTSTATUS:
            user.write_u32(address, watchdog.boot_status())
        elif command == WDIOC_SETOPTIONS:
            _set_options(watchdog, user.read_u32(address))
        elif command == WDIOC_KEEPALIVE:
            watchdog.ping()
        elif command == WDIOC_SETTIMEOUT:
            watchdog.set_timeout(user.read_u32(address))
            user.write_u32(address, watchdog.timer.seconds)
        elif command == WDIOC_GETTIMEOUT:
            user.write_u32(address, watchdog.timer.seconds)
        elif command == WDIOC_SETPRETIMEOUT:
            watchdog.set_pretimeout(user.read_u32(address))
        elif command == WDIOC_GETPRETIMEOUT:
            user.write_u32(address, watchdog.pretimeout)
        elif command == WDIOC_GETTIMELEFT:
            raise Errno(EOPNOTSUPP)  # the timers of our drivers do not tell
        else:
            raise Errno(ENOTTY)
        return 0

    def close(self) -> None:
        if self.is_owner:
            self.watchdog.close()


def information(watchdog: Watchdog) -> bytes:
    """`struct watchdog_info`: options, version of the firmware, name."""
    text = bytearray(_INFO_SIZE)
    span_of(text).store_u32(0, watchdog.options())
    for index in range(len(watchdog.timer.identity)):
        text[_IDENTITY_AT + index] = watchdog.timer.identity[index]
    return bytes(text)


def _set_options(watchdog: Watchdog, options: int) -> None:
    """Raises EBUSY: it can't be stopped; ENOTTY: nothing is asked for."""
    if options & (_DISABLE | _ENABLE) == 0:
        raise Errno(ENOTTY)
    if options & _DISABLE != 0 and not watchdog.stop():
        raise Errno(EBUSY)
    if options & _ENABLE != 0:
        watchdog.start()


def open_watchdog(path: Path, flags: int) -> File:
    """open(2). Raises EBUSY while another description has it."""
    number = path.inode().rdev
    watchdog = WATCHDOGS[0 if number == device_number(_MISC_MAJOR, _MISC_MINOR) else device_minor(number)]
    file = WatchdogFile(path, flags, watchdog)
    if watchdog.is_open:
        file.release()
        raise Errno(EBUSY)
    watchdog.open()
    file.is_owner = True
    return file


def _serve(number: int) -> None:
    """The thread, which reports warnings."""
    while True:
        WATCHDOGS[number].warning.report_expiry()


def enter_watchdog(timer: WatchdogTimer) -> Watchdog:
    """Let programs use a timer, which does not run. As on Linux, /sys does not say which device it is. Raises
    MemoryError.
    """
    number = len(WATCHDOGS)
    watchdog = Watchdog(timer)
    WATCHDOGS.append(watchdog)
    if number == 0:
        register_char_device(_MISC_MAJOR, _MISC_MINOR, b"watchdog", open_watchdog)
    device = register_char_device(MAJOR, number, f"watchdog{number}".encode(), open_watchdog)
    device.class_name = b"watchdog"
    device.attributes = WatchdogAttributes(watchdog)
    spawn_kernel_thread(b"watchdogd", _serve, number)
    return watchdog
