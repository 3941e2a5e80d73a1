"""Events of devices (uevents): what programs receive on NETLINK_KOBJECT_UEVENT when a device comes, goes or changes.

A message is `ACTION@PATH`, then NAME=VALUE for what is known of the device, each with a NUL after it; udev(7)
listens. A write to a device's `uevent` sends such an event again, for programs that start late. Events of an interface
are sent in its network, all others in the first one.

Context: thread context; nothing sleeps.
Source: Linux's Documentation/ABI/testing/sysfs-uevent; kernel-doc of kobject_uevent_env for the names.
"""

from typing import Final

from kernel.fs.sysfs.kobject import Kobject
from kernel.lang import EINVAL, Errno, final
from kernel.net.link.network import FIRST_NETWORK, Network
from kernel.net.netlink.socket import NETLINK_KOBJECT_UEVENT, has_listener, multicast, report_overrun

_GROUP: Final = 1
_ACTIONS: Final[list[bytes]] = [
    b"add", b"remove", b"change", b"move", b"online", b"offline", b"bind", b"unbind",
]  # fmt: skip
_UUID_LENGTH: Final = 36
_DASHES: Final = (8, 13, 18, 23)  # in a UUID


@final
class EventNumbers:
    """Numbers events."""

    def __init__(self) -> None:
        self.last: int = 0

    def take(self) -> int:
        """The next event's."""
        self.last += 1
        return self.last


NUMBERS: Final = EventNumbers()


class DeviceKobject(Kobject):
    """A device: it has events. Base class."""

    def hearers(self) -> Network:
        """The network that receives its events."""
        return FIRST_NETWORK

    def request_event(self, text: bytes) -> None:
        """`ACTION [UUID [NAME=VALUE …]]`. Raises EINVAL."""
        words = text.rstrip(b"\n").split(b" ")
        if words[0] not in _ACTIONS:
            raise Errno(EINVAL)
        if len(words) == 1:
            self._announce_again(words[0], [b"SYNTH_UUID=0"])
            return
        if not _is_uuid(words[1]):
            raise Errno(EINVAL)
        more = [b"SYNTH_UUID=" + words[1]]
        for word in words[2:]:
            more.append(b"SYNTH_ARG_" + _checked_argument(word))
        self._announce_again(words[0], more)

    def _announce_again(self, action: bytes, more: list[bytes]) -> None:
        if is_heard(self.hearers()):
            announce(self, action, more)


def _is_uuid(text: bytes) -> bool:
    if len(text) != _UUID_LENGTH:
        return False
    for index in range(_UUID_LENGTH):
        if index in _DASHES:
            if text[index] != ord("-"):
                return False
        elif not _is_hexadecimal(text[index]):
            return False
    return True


def _is_hexadecimal(byte: int) -> bool:
    return ord("0") <= byte <= ord("9") or ord("a") <= byte | 0x20 <= ord("f")


def _is_alphanumeric(byte: int) -> bool:
    return ord("0") <= byte <= ord("9") or ord("a") <= byte | 0x20 <= ord("z")


def _checked_argument(word: bytes) -> bytes:
    """NAME=VALUE of letters and digits. Raises EINVAL."""
    at = word.find(b"=")
    if at <= 0 or at == len(word) - 1:
        raise Errno(EINVAL)
    for index in range(len(word)):
        if index != at and not _is_alphanumeric(word[index]):
            raise Errno(EINVAL)
    return word


def is_heard(network: Network) -> bool:
    """Whether anybody listens to events there. Even if not, the event takes a number."""
    if has_listener(network, NETLINK_KOBJECT_UEVENT, _GROUP):
        return True
    NUMBERS.take()
    return False


def tell_of_shortage(network: Network) -> None:
    """There was no memory for an event."""
    report_overrun(network, NETLINK_KOBJECT_UEVENT, _GROUP)


def announce(kobject: DeviceKobject, action: bytes, more: list[bytes]) -> None:
    """Send an event with more properties than the device's own. Raises MemoryError."""
    path = b"/devices/" + kobject.path
    lines = [action + b"@" + path, b"ACTION=" + action, b"DEVPATH=" + path]
    lines.append(b"SUBSYSTEM=" + kobject.subsystem_name())
    lines.extend(more)
    lines.extend(kobject.properties().rstrip(b"\n").split(b"\n"))
    lines.append(f"SEQNUM={NUMBERS.take()}".encode())
    multicast(kobject.hearers(), NETLINK_KOBJECT_UEVENT, _GROUP, b"\0".join(lines) + b"\0", 0, None)
