"""The pressure files of every group: io.pressure, memory.pressure, cpu.pressure, and cgroup.pressure, which says
whether pressure is recorded. If it is not, the other files are not listed.
"""

from typing import TYPE_CHECKING, Final

from kernel.cgroup.group import ControlGroup
from kernel.cgroup.tree import require_alive
from kernel.fs.cgroup.table import CORE, FileRow, Writer, no_text, parse_int32, strip
from kernel.fs.path import Path
from kernel.fs.procfs.pressure import POLL_BROKEN, RESOURCE_NAMES, RESOURCES, PressureFile
from kernel.lang import E2BIG, EBUSY, EFAULT, ENODEV, EPERM, ERANGE, Errno, final
from kernel.lib.saturation import sum_of
from kernel.lib.user import Buffer
from kernel.sched.wait import WaitQueue
from kernel.time.clock import monotonic_ns

if TYPE_CHECKING:
    from kernel.sched import PollWaiter

_PAGE: Final = 4096


@final
class GroupPressureFile(PressureFile):
    """An open pressure file of a group."""

    def __init__(
        self, path: Path, flags: int, writer: Writer, group: ControlGroup, resource: int, removal: WaitQueue
    ) -> None:
        super().__init__(path, flags, writer.credentials, group.pressure, resource)
        self.writer: Writer = writer
        self.group: ControlGroup = group
        self.removal: WaitQueue = removal  # woken when the group is removed

    def make_text(self) -> bytes:
        if self.group.is_removed:
            raise Errno(ENODEV)
        return super().make_text()

    def take_trigger(self, buffer: Buffer) -> bytes:
        """Raises E2BIG, EFAULT, ENODEV, EPERM (the root of the writer's namespace), EBUSY."""
        count = buffer.remaining
        if count > _PAGE:
            raise Errno(E2BIG)
        text = buffer.take_bytes(count)
        if len(text) < count:
            raise Errno(EFAULT)
        if self.group.is_removed:
            raise Errno(ENODEV)
        if self.writer.is_ruled_from_outside(self.group):
            raise Errno(EPERM)
        if self.trigger is not None:
            raise Errno(EBUSY)
        return text

    def write(self, buffer: Buffer) -> int:
        offset = self.position
        done = self.pwrite(buffer, offset)
        self.position = sum_of(offset, done)
        return done

    def pwrite(self, buffer: Buffer, offset: int) -> int:
        return 0 if buffer.remaining == 0 else super().write(buffer)

    def poll(self, waiter: "PollWaiter | None") -> int:
        if self.group.is_removed:
            return POLL_BROKEN
        if waiter is not None and self.trigger is not None:
            waiter.wait_on(self.removal)
        return super().poll(waiter)


def is_kept(group: ControlGroup) -> bytes:
    """cgroup.pressure."""
    return b"1\n" if group.pressure.is_kept else b"0\n"


def set_kept(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """0 stops recording pressure in the group and hides its files, 1 starts anew."""
    value = parse_int32(strip(text))
    if value != 0 and value != 1:
        raise Errno(ERANGE)
    require_alive(group)
    pressure = group.pressure
    if pressure.is_kept == (value == 1):
        return
    now_ns = monotonic_ns()
    pressure.bring_up(now_ns)
    pressure.is_kept = value == 1
    pressure.forget(now_ns)


PRESSURE_FILES: Final[list[FileRow]] = [
    *[
        FileRow(name + b".pressure", CORE, no_text, on_top=True, resource=resource)
        for name, resource in zip(RESOURCE_NAMES, RESOURCES, strict=True)
    ],
    FileRow(b"cgroup.pressure", CORE, is_kept, set_kept, on_top=True),
]
