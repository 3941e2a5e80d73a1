"""The files of the controller "cpuset". There are no partitions: every group is a member of the only one."""

from typing import Final

from kernel.cgroup.group import CPUSET, ControlGroup
from kernel.cgroup.processors import ONE_NODE, ProcessorSet
from kernel.fs.cgroup.table import READABLE_MODE, FileRow, Writer, strip
from kernel.fs.procfs.processor_sets import set_list
from kernel.lang import EINVAL, ENODEV, ERANGE, Errno
from kernel.sched.processor import PROCESSORS, bit_of, processor_mask
from kernel.task.control_groups import place_all

_MOST: Final = 64


def set_of(group: ControlGroup) -> ProcessorSet:
    """The controller of a group that has it. Raises ENODEV."""
    processors = group.processors
    if processors is None:
        raise Errno(ENODEV)
    return processors


def parse_list(text: bytes, limit: int) -> int:
    """Ranges of numbers (0,2-3), as bits. Raises EINVAL, ERANGE (a number from the limit on)."""
    text = strip(text)
    chosen = 0
    if len(text) == 0:
        return 0
    for part in text.split(b","):
        if len(part) == 0:
            continue
        dash = part.find(b"-")
        first = _number(part if dash < 0 else part[:dash])
        last = first if dash < 0 else _number(part[dash + 1 :])
        if first > last:
            raise Errno(EINVAL)
        if last >= limit:
            raise Errno(ERANGE)
        for number in range(first, last + 1):
            chosen |= bit_of(number)
    return chosen


def _number(text: bytes) -> int:
    if len(text) == 0:
        raise Errno(EINVAL)
    value = 0
    for byte in text:
        if not ord("0") <= byte <= ord("9"):
            raise Errno(EINVAL)
        value = min(value * 10 + byte - ord("0"), _MOST)
    return value


def wanted(group: ControlGroup) -> bytes:
    """cpuset.cpus."""
    return f"{set_list(set_of(group).wanted, len(PROCESSORS))}\n".encode()


def set_wanted(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """Request processors; none: those of the group above."""
    chosen = parse_list(text, len(PROCESSORS))
    set_of(group).wanted = chosen
    place_all(group)


def effective(group: ControlGroup) -> bytes:
    """cpuset.cpus.effective."""
    processors = group.processors
    present = processor_mask()
    return f"{set_list(present if processors is None else processors.effective(present), len(PROCESSORS))}\n".encode()


def wanted_nodes(group: ControlGroup) -> bytes:
    """cpuset.mems."""
    return b"0\n" if set_of(group).wanted_nodes == ONE_NODE else b"\n"


def set_wanted_nodes(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """Request memory nodes."""
    chosen = parse_list(text, _MOST)
    if chosen & ~ONE_NODE != 0:
        raise Errno(EINVAL)
    set_of(group).wanted_nodes = chosen


def effective_nodes(group: ControlGroup) -> bytes:
    """cpuset.mems.effective."""
    return b"0\n"


def partition(group: ControlGroup) -> bytes:
    """cpuset.cpus.partition."""
    return b"member\n"


def set_partition(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """Accepts the only kind: "member"."""
    if strip(text) != b"member":
        raise Errno(EINVAL)


PROCESSOR_FILES: Final[list[FileRow]] = [
    FileRow(b"cpuset.cpus", CPUSET, wanted, set_wanted),
    FileRow(b"cpuset.cpus.effective", CPUSET, effective, mode=READABLE_MODE, on_top=True),
    FileRow(b"cpuset.cpus.partition", CPUSET, partition, set_partition),
    FileRow(b"cpuset.mems", CPUSET, wanted_nodes, set_wanted_nodes),
    FileRow(b"cpuset.mems.effective", CPUSET, effective_nodes, mode=READABLE_MODE, on_top=True),
]
