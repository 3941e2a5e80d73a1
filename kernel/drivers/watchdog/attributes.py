"""/sys/class/watchdog/watchdogN: a watchdog's properties. A program may change whether it stays active once it is, and
what the warning does.

Context: thread context. Source: Linux's Documentation/ABI/testing/sysfs-class-watchdog.
"""

from typing import Final

from kernel.drivers.watchdog.watchdog import GOVERNOR_NAMES, Governor, Watchdog
from kernel.fs.character_devices import DeviceAttributes
from kernel.lang import EINVAL, EPERM, Errno, final
from kernel.lib.numbers import parse_unsigned

_FILES: Final[list[bytes]] = [
    b"bootstatus", b"fw_version", b"identity", b"max_timeout", b"min_timeout", b"nowayout", b"options", b"pretimeout",
    b"pretimeout_available_governors", b"pretimeout_governor", b"state", b"status", b"timeout",
]  # fmt: skip
_CHANGEABLE: Final[list[bytes]] = [b"nowayout", b"pretimeout_governor"]
_UNSIGNED_LIMIT: Final = 1 << 32


@final
class WatchdogAttributes(DeviceAttributes):
    """The files of one."""

    def __init__(self, watchdog: Watchdog) -> None:
        self.watchdog: Watchdog = watchdog

    def names(self) -> list[bytes]:
        return _FILES

    def mode(self, name: bytes) -> int:
        return 0o644 if name in _CHANGEABLE else 0o444

    def text(self, name: bytes) -> bytes:
        watchdog = self.watchdog
        match name:
            case b"bootstatus":
                return f"{watchdog.boot_status()}\n".encode()
            case b"fw_version":
                return b"0\n"
            case b"identity":
                return watchdog.timer.identity + b"\n"
            case b"max_timeout":
                return f"{watchdog.timer.longest}\n".encode()
            case b"min_timeout":
                return f"{watchdog.timer.shortest}\n".encode()
            case b"nowayout":
                return b"1\n" if watchdog.stays_active else b"0\n"
            case b"options":
                return f"{watchdog.options():#x}\n".encode()
            case b"pretimeout":
                return f"{watchdog.pretimeout}\n".encode()
            case b"pretimeout_available_governors":
                return b"panic\nnoop\n"
            case b"pretimeout_governor":
                return GOVERNOR_NAMES[watchdog.governor] + b"\n"
            case b"state":
                return b"active\n" if watchdog.is_active else b"inactive\n"
            case b"status":
                return f"{watchdog.take_status():#x}\n".encode()
            case _:  # timeout
                return f"{watchdog.timer.seconds}\n".encode()

    def store(self, name: bytes, text: bytes) -> None:
        """Raises EINVAL, ERANGE; EPERM: it stays active for good."""
        watchdog = self.watchdog
        if name == b"nowayout":
            value = parse_unsigned(text, 0, _UNSIGNED_LIMIT)
            if value > 1:
                raise Errno(EINVAL)
            if watchdog.stays_active and value == 0:
                raise Errno(EPERM)
            watchdog.stays_active = value == 1
        elif name == b"pretimeout_governor":
            wanted = text[:-1] if text.endswith(b"\n") else text
            if wanted not in GOVERNOR_NAMES:
                raise Errno(EINVAL)
            watchdog.governor = Governor(GOVERNOR_NAMES.index(wanted))
