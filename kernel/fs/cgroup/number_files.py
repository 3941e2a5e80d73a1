"""The files of the controller "pids"."""

from typing import Final

from kernel.cgroup.group import PIDS, ControlGroup
from kernel.cgroup.numbers import NO_NUMBER_LIMIT, NumberControl
from kernel.fs.cgroup.mount_options import OPTIONS
from kernel.fs.cgroup.table import READABLE_MODE, FileRow, Writer, parse_number, strip
from kernel.lang import EINVAL, ENODEV, Errno

_LARGEST: Final = 1 << 22  # whatever kernel.pid_max is


def control_of(group: ControlGroup) -> NumberControl:
    """The controller of a group that has it. Raises ENODEV."""
    control = group.numbers
    if control is None:
        raise Errno(ENODEV)
    return control


def limit(group: ControlGroup) -> bytes:
    """pids.max."""
    most = control_of(group).limit
    return b"max\n" if most == NO_NUMBER_LIMIT else f"{most}\n".encode()


def set_limit(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """The limit on threads. Existing ones stay."""
    text = strip(text)
    control = control_of(group)
    if text == b"max":
        control.limit = NO_NUMBER_LIMIT
        return
    value = parse_number(text)
    if not 0 <= value <= _LARGEST:
        raise Errno(EINVAL)
    control.limit = value


def count(group: ControlGroup) -> bytes:
    """pids.current."""
    return f"{control_of(group).count}\n".encode()


def peak(group: ControlGroup) -> bytes:
    """pids.peak."""
    return f"{control_of(group).peak}\n".encode()


def events(group: ControlGroup) -> bytes:
    """pids.events."""
    control = control_of(group)
    return f"max {control.own_refusals if OPTIONS.number_events_are_local else control.refusals}\n".encode()


def own_events(group: ControlGroup) -> bytes:
    """pids.events.local."""
    return f"max {control_of(group).own_refusals}\n".encode()


NUMBER_FILES: Final[list[FileRow]] = [
    FileRow(b"pids.max", PIDS, limit, set_limit),
    FileRow(b"pids.current", PIDS, count, mode=READABLE_MODE),
    FileRow(b"pids.peak", PIDS, peak, mode=READABLE_MODE),
    FileRow(b"pids.events", PIDS, events, mode=READABLE_MODE),
    FileRow(b"pids.events.local", PIDS, own_events, mode=READABLE_MODE),
]
