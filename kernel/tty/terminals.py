"""The terminals that there are, by device number, and the open description of one.

Whoever makes a terminal (the console for serial lines, `pty.py` for pseudo terminals) enters it in `TERMINALS`;
/dev/tty and the end of a session find it there again.
"""

from typing import Final

from kernel.fs import (
    O_NOCTTY,
    O_NONBLOCK,
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLOUT,
    POLLRDNORM,
    POLLWRNORM,
    File,
    Path,
)
from kernel.fs.file import OWNER_GROUP, OWNER_PROCESS
from kernel.lang import EBUSY, EIO, ENOTTY, ENXIO, Errno, final
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.user import Buffer
from kernel.sched import PollWaiter, WaitQueue
from kernel.task import current
from kernel.tty.control import TIOCSPGRP, control
from kernel.tty.tty import Tty

TERMINALS: Final[dict[int, Tty]] = {}

_AFTER_HANG_UP: Final = POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDNORM | POLLWRNORM


@final
class TtyFile(File):
    """An open terminal. After a hang-up it reads as ended and does nothing else."""

    def __init__(self, path: Path, flags: int, tty: Tty) -> None:
        super().__init__(path, flags)
        self.tty: Tty = tty
        tty.opened()

    def close(self) -> None:
        self.tty.closed()

    def read(self, buffer: Buffer) -> int:
        if self.tty.hung_up:
            return 0
        return self.tty.read(buffer, self.flags & O_NONBLOCK != 0)

    def write(self, buffer: Buffer) -> int:
        if self.tty.hung_up:
            raise Errno(EIO)
        return self.tty.write(buffer, self.flags & O_NONBLOCK != 0)

    def poll(self, waiter: PollWaiter | None) -> int:
        state = self.tty.poll(waiter)
        return _AFTER_HANG_UP if self.tty.hung_up else state

    def input_queue(self) -> WaitQueue | None:
        return self.tty.read_queue

    def output_queue(self) -> WaitQueue | None:
        return self.tty.write_queue

    def choose_owner(self) -> None:
        """The foreground job, else the process that asks."""
        group = self.tty.jobs.foreground
        if group != 0:
            self.set_owner(-group, OWNER_GROUP, current().credentials)
        else:
            self.set_owner(current().process.pid, OWNER_PROCESS, current().credentials)

    def ioctl(self, command: int, argument: int) -> int:
        if self.tty.hung_up:
            raise Errno(ENOTTY if command == TIOCSPGRP else EIO)
        return control(self.tty, command, argument)

    def fsync(self) -> None:
        return


def open_terminal(tty: Tty, path: Path, flags: int) -> File:
    """open(2) of a terminal; without O_NOCTTY it may become the controlling one. Raises EBUSY under TIOCEXCL."""
    if tty.exclusive and not current().credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EBUSY)
    file = TtyFile(path, flags, tty)
    tty.jobs.opened(tty.device, flags & O_NOCTTY != 0)
    return file


def open_controlling(path: Path, flags: int) -> File:
    """open(2) of /dev/tty. Raises ENXIO without a controlling terminal."""
    tty = TERMINALS.get(current().process.session.terminal)
    if tty is None:
        raise Errno(ENXIO)
    return TtyFile(path, flags, tty)


def session_ended(device: int) -> None:
    """The leader of the session that a terminal controls has ended: the terminal is free, and its foreground job hears
    of it.
    """
    tty = TERMINALS.get(device)
    if tty is not None:
        tty.jobs.leader_ended()
