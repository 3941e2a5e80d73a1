"""Questions about an interface's hardware: SIOCETHTOOL, as libpcap, DHCP clients and ethtool itself use it.

Reported are the link's state, its (unknown) speed, the permanent address, what the device does by itself, its driver,
and the kinds of timestamps it has. Nothing can be changed. All else is EOPNOTSUPP, as it is on Linux where a driver
lacks it.

Context: system calls; reading and writing user memory may sleep, so nothing of the stack is held across it.
Source: <linux/ethtool.h>; the permissions are Linux's choice.
"""

from typing import Final

from kernel.lang import EOPNOTSUPP, EPERM, Errno, UserAddr, span_of
from kernel.lib import user
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.net.link.device import ARPHRD_ETHER, OFFLOAD_CHECKSUM, OFFLOAD_TCP4, OFFLOAD_TCP6, NetworkDevice
from kernel.net.link.network import Network
from kernel.net.link.tun import TunDevice
from kernel.task import current
from kernel.task.host import RELEASE

_GET_SETTINGS: Final = 0x01
_GET_DRIVER: Final = 0x03
_GET_LINK: Final = 0x0A
_GET_RECEIVE_CHECKSUM: Final = 0x14
_GET_SEND_CHECKSUM: Final = 0x16
_GET_SCATTER_GATHER: Final = 0x18
_GET_TCP_SEGMENTATION: Final = 0x1E
_GET_PERMANENT_ADDRESS: Final = 0x20
_GET_GENERIC_SEGMENTATION: Final = 0x23
_GET_FLAGS: Final = 0x25
_GET_GENERIC_RECEIVE: Final = 0x2B
_GET_TIMESTAMPS: Final = 0x41
_GET_LINK_SETTINGS: Final = 0x4C

# Commands that anyone may give, whether a device knows them or not.
_FOR_ALL: Final[list[int]] = [
    0x01, 0x03, 0x07, 0x0A, 0x0E, 0x10, 0x12, 0x14, 0x16, 0x18, 0x1B, 0x1D, 0x1E, 0x20, 0x21, 0x23, 0x25, 0x27, 0x29,
    0x2B, 0x2D, 0x2E, 0x2F, 0x30, 0x37, 0x38, 0x3A, 0x3C, 0x41, 0x44, 0x46, 0x48, 0x4A, 0x4C, 0x4E, 0x50,
]  # fmt: skip

_ETOOSMALL: Final = 525  # Linux does not export this one
_SETTINGS: Final = 44  # struct ethtool_cmd
_LINK_SETTINGS: Final = 48  # struct ethtool_link_settings, without its masks
_MASK_WORDS: Final = 4  # of link modes; there are three masks
_DRIVER: Final = 196  # struct ethtool_drvinfo
_DRIVER_TEXT: Final = 32  # of each of its texts
_TIMESTAMPS: Final = 44  # struct ethtool_ts_info
_TIMES_BY_SOFTWARE: Final = 0x18  # SOF_TIMESTAMPING_RX_SOFTWARE and SOF_TIMESTAMPING_SOFTWARE
_NO_CLOCK: Final = 0xFFFF_FFFF
_UNKNOWN_SPEED: Final = 0xFFFF_FFFF
_UNKNOWN: Final = 0xFF  # duplex mode, kind of port


def ethtool(network: Network, device: NetworkDevice, command: int, argument: int) -> None:
    """Write a command's answer into the structure at `argument`, which starts with it. EPERM, EOPNOTSUPP, EFAULT."""
    if command not in _FOR_ALL and not current().credentials.capable_in(network.owner, CAP_NET_ADMIN):
        raise Errno(EPERM)
    if command == _GET_LINK:
        user.write_u32(user.at(UserAddr(argument), 4), 1 if device.is_up() and device.has_carrier else 0)
    elif command == _GET_DRIVER:
        _write_driver(device, argument)
    elif command == _GET_TIMESTAMPS:
        _write_timestamps(argument)
    elif command == _GET_PERMANENT_ADDRESS:
        _write_address(device, argument)
    elif command == _GET_SETTINGS and device.kind == ARPHRD_ETHER:
        _write_settings(argument)
    elif command == _GET_LINK_SETTINGS and device.kind == ARPHRD_ETHER:
        _write_link_settings(argument)
    else:
        user.write_u32(user.at(UserAddr(argument), 4), 1 if _does_itself(device, command) else 0)


def _does_itself(device: NetworkDevice, command: int) -> bool:
    """Whether the device, or the stack for it, does what a command asks about. EOPNOTSUPP for other commands."""
    if command == _GET_RECEIVE_CHECKSUM or command == _GET_GENERIC_RECEIVE:
        return True
    if command == _GET_SEND_CHECKSUM or command == _GET_SCATTER_GATHER:
        return device.offload & OFFLOAD_CHECKSUM != 0
    if command == _GET_TCP_SEGMENTATION or command == _GET_GENERIC_SEGMENTATION:
        return device.offload & (OFFLOAD_TCP4 | OFFLOAD_TCP6) != 0
    if command == _GET_FLAGS:
        return False
    raise Errno(EOPNOTSUPP)


def _write_driver(device: NetworkDevice, argument: int) -> None:
    """The driver's name, its version, and the device's name on its bus. Raises EOPNOTSUPP for lo, EFAULT."""
    place = device.place
    driver = device.virtual_kind if place is None else place.driver
    if len(driver) == 0:
        raise Errno(EOPNOTSUPP)
    version = b"1.0.0" if place is not None else RELEASE if driver == b"dummy" else _version_of(driver)
    parent = None if place is None else place.parent
    bus = b"" if parent is None else parent.name
    firmware = b""
    if isinstance(device, TunDevice):
        bus = b"tap" if device.is_tap() else b"tun"
    elif driver == b"bridge":
        bus = b"N/A"
        firmware = b"N/A"
    text = driver + bytes(_DRIVER_TEXT - len(driver)) + version  # none is longer than the names of our drivers
    text += bytes(2 * _DRIVER_TEXT - len(text)) + firmware
    text += bytes(3 * _DRIVER_TEXT - len(text)) + bus
    answer = bytearray(_DRIVER)
    span = span_of(answer)
    span.store_u32(0, _GET_DRIVER)
    span[4 : 4 + len(text)].copy_from(span_of(text))
    user.write_from(UserAddr(argument), span)


def _version_of(driver: bytes) -> bytes:
    """For software interfaces, the version that Linux's drivers report."""
    if driver == b"tun":
        return b"1.6"
    if driver == b"bridge":
        return b"2.3"
    return b"0.1" if driver == b"macvlan" else b"1.0"


def _write_timestamps(argument: int) -> None:
    answer = bytearray(_TIMESTAMPS)
    span = span_of(answer)
    span.store_u32(0, _GET_TIMESTAMPS)
    span.store_u32(4, _TIMES_BY_SOFTWARE)
    span.store_u32(8, _NO_CLOCK)
    user.write_from(UserAddr(argument), span)


def _write_address(device: NetworkDevice, argument: int) -> None:
    """struct ethtool_perm_addr: the program says how much room there is."""
    if user.read_u32(user.at(UserAddr(argument), 4)) < len(device.address):
        raise Errno(_ETOOSMALL)
    user.write_u32(user.at(UserAddr(argument), 4), len(device.address))
    user.write_bytes(user.at(UserAddr(argument), 8), device.address)


def _write_settings(argument: int) -> None:
    answer = bytearray(_SETTINGS)
    span = span_of(answer)
    span.store_u32(0, _GET_SETTINGS)
    span.store_u16(12, _UNKNOWN_SPEED & 0xFFFF)
    answer[14] = _UNKNOWN
    answer[15] = _UNKNOWN
    span.store_u16(28, _UNKNOWN_SPEED >> 16)
    user.write_from(UserAddr(argument), span)


def _write_link_settings(argument: int) -> None:
    """The program asks twice: first how long the masks of link modes are, given as a negative number of words."""
    asked = user.read_bytes(UserAddr(argument), _LINK_SETTINGS)
    matches = asked[18] == _MASK_WORDS
    answer = bytearray(_LINK_SETTINGS + (3 * 4 * _MASK_WORDS if matches else 0))
    span = span_of(answer)
    span.store_u32(0, _GET_LINK_SETTINGS)
    answer[18] = _MASK_WORDS if matches else 0x100 - _MASK_WORDS
    if matches:
        span.store_u32(4, _UNKNOWN_SPEED)
        answer[8] = _UNKNOWN
        answer[9] = _UNKNOWN
    user.write_from(UserAddr(argument), span)
