"""The files of the controller "io": io.stat and io.max (Documentation/admin-guide/cgroup-v2.rst in Linux's sources)."""

from typing import Final

from kernel.block.device import BLOCK_DEVICES, SECTOR_SHIFT, BlockDevice
from kernel.block.registry import each_device
from kernel.cgroup.disks import DISCARDING, NO_RATE, READING, WRITING, DiskControl, DiskShare
from kernel.cgroup.group import DISKS, ControlGroup, GroupWalk
from kernel.fs.cgroup.table import READABLE_MODE, FileRow, Writer, words_of
from kernel.fs.constants import device_major, device_minor, device_number
from kernel.lang import EINVAL, ENODEV, ERANGE, Errno
from kernel.lib.pace import pace
from kernel.lib.scan import LONGEST_NUMBER, Scan

_NO_REQUEST_RATE: Final = 0xFFFF_FFFF  # this many requests a second, or more, mean no limit
_WORD_LIMIT: Final = 26
_COST: Final = 500  # instructions, for `pace`
_SHOW_COST: Final = 5000
_NAMES: Final[list[bytes]] = [b"rbps", b"wbps", b"riops", b"wiops"]


def _control_of(group: ControlGroup) -> DiskControl:
    """Raises ENODEV."""
    control = group.disks
    if control is None:
        raise Errno(ENODEV)
    return control


def _figures(number: int, moved: list[int], requests: list[int]) -> str:
    text = f"{device_major(number)}:{device_minor(number)}"
    text += f" rbytes={moved[READING]} wbytes={moved[WRITING]} rios={requests[READING]} wios={requests[WRITING]}"
    return text + f" dbytes={moved[DISCARDING]} dios={requests[DISCARDING]}\n"


def statistics(group: ControlGroup) -> bytes:
    """io.stat: what the group and those below have transferred, by disk. The top group shows the total."""
    text = bytearray()
    if group.parent is None:
        for device in each_device(_SHOW_COST):
            figures = device.statistics
            if device.whole is None and figures.reads + figures.writes > 0:
                text.extend(
                    _figures(
                        device.number,
                        [figure << SECTOR_SHIFT for figure in _sectors(device)],
                        [figures.reads, figures.writes, figures.discards],
                    ).encode()
                )
        return bytes(text)
    for share in list(_control_of(group).shares.values()):
        if share.requests[READING] + share.requests[WRITING] > 0:
            text.extend(_figures(share.number, share.bytes, share.requests).encode())
        pace(_SHOW_COST)
    return bytes(text)


def _sectors(device: BlockDevice) -> list[int]:
    figures = device.statistics
    return [figures.read_sectors, figures.written_sectors, figures.discarded_sectors]


def _rates_of(share: DiskShare) -> list[int]:
    """The rates of a share, in the order of _NAMES."""
    return share.byte_rates + share.request_rates


def limits(group: ControlGroup) -> bytes:
    """io.max: the disks that have limits."""
    text = bytearray()
    for share in list(_control_of(group).shares.values()):
        if share.is_limited():
            line = f"{device_major(share.number)}:{device_minor(share.number)}"
            rates = _rates_of(share)
            for index in range(len(_NAMES)):
                line += f" {_NAMES[index].decode()}="
                line += "max" if rates[index] == NO_RATE else f"{rates[index]}"
            text.extend(line.encode() + b"\n")
        pace(_SHOW_COST)
    return bytes(text)


def set_limits(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """Parse MAJOR:MINOR and the changes, each a name, "=" and a number a second or "max"."""
    control = _control_of(group)
    scan = Scan(text)
    scan.skip_blanks()
    major = scan.number(signed=False)
    if not scan.takes(b":"):
        raise Errno(EINVAL)
    minor = scan.number(signed=False)
    rest = scan.text[scan.at :]
    if not scan.is_at_blank():
        raise Errno(EINVAL)
    number = _disk(major, minor)
    share = control.shares.get(number)
    rates: list[int] = [NO_RATE] * 4 if share is None else _rates_of(share)
    for word in words_of(rest):
        if len(word) > _WORD_LIMIT:
            raise Errno(EINVAL)
        _change(rates, word)
    control.set_rates(number, rates[0:2], rates[2:4])
    control.held.let_go()
    walk = GroupWalk(group)
    while True:
        below = walk.next()
        if below is None:
            return
        if below.disks is not None:
            below.disks.held.let_go()
        pace(_COST)


def _disk(major: int, minor: int) -> int:
    """A whole disk's number. Raises ENODEV."""
    number = device_number(major & 0xFFF, minor & 0xF_FFFF)
    device = BLOCK_DEVICES.get(number)
    if device is None or device.whole is not None:
        raise Errno(ENODEV)
    return number


def _change(rates: list[int], word: bytes) -> None:
    """Raises EINVAL, ERANGE (0)."""
    middle = word.find(b"=")
    if middle < 0:
        raise Errno(EINVAL)
    value = NO_RATE
    if word[middle + 1 :] != b"max":
        value = Scan(word[middle + 1 :]).number(signed=False)
        if value == LONGEST_NUMBER:
            value = NO_RATE
        if value == 0:
            raise Errno(ERANGE)
    name = word[:middle]
    for index in range(len(_NAMES)):
        if _NAMES[index] == name and value > 1:
            rates[index] = NO_RATE if index >= 2 and value >= _NO_REQUEST_RATE else value
            return
    raise Errno(EINVAL)


DISK_FILES: Final[list[FileRow]] = [
    FileRow(b"io.stat", DISKS, statistics, mode=READABLE_MODE, on_top=True),
    FileRow(b"io.max", DISKS, limits, set_limits),
]
