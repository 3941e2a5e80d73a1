"""All terminals, by device number, and open descriptions of them.

The creator of a terminal (the console for serial lines, `pty.py` for pseudo terminals) enters it in `TERMINALS`;
/dev/tty and the end of a session find it there again.
"""

from typing import Final

from kernel.fs.constants import O_NOCTTY, O_NONBLOCK, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM
from kernel.fs.file import OWNER_GROUP, OWNER_PROCESS, File
from kernel.fs.path import Path
from kernel.lang import EBADF, EBUSY, EIO, ENOTTY, ENXIO, EPERM, Errno, final
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.pid import UNSET
from kernel.lib.user import Buffer
from kernel.sched import PollWaiter, WaitQueue
from kernel.task import current
from kernel.task.async_io import give_owner
from kernel.tty.control import TIOCCONS, TIOCSPGRP, control
from kernel.tty.tty import REDIRECTION, Tty

TERMINALS: Final[dict[int, Tty]] = {}

_AFTER_HANG_UP: Final = POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDNORM | POLLWRNORM


class TtyFile(File):
    """An open terminal. After a hang-up it reads as ended and does nothing else."""

    def __init__(self, path: Path, flags: int, tty: Tty) -> None:
        super().__init__(path, flags)
        self.tty: Tty = tty
        self.opened_after: int = tty.opened()  # how many hang-ups there had been

    def close(self) -> None:
        self.tty.closed(self.opened_after)

    def is_hung_up(self) -> bool:
        """Whether the line was hung up since the file was opened."""
        return self.opened_after != self.tty.hang_ups

    def read(self, buffer: Buffer) -> int:
        if self.is_hung_up():
            return 0
        return self.tty.read(buffer, self.flags & O_NONBLOCK != 0, self.opened_after)

    def write(self, buffer: Buffer) -> int:
        if self.is_hung_up():
            raise Errno(EIO)
        return self.tty.write(buffer, self.flags & O_NONBLOCK != 0, self.opened_after)

    def poll(self, waiter: PollWaiter | None) -> int:
        state = self.tty.poll(waiter)
        return _AFTER_HANG_UP if self.is_hung_up() else state

    def input_queue(self) -> WaitQueue | None:
        return self.tty.read_queue

    def output_queue(self) -> WaitQueue | None:
        return self.tty.write_queue

    def choose_owner(self) -> None:
        """The foreground job, or else the calling process."""
        group = self.tty.jobs.foreground
        if group != UNSET:
            give_owner(self, group, OWNER_GROUP)
        else:
            give_owner(self, current().pid, OWNER_PROCESS)

    def ioctl(self, command: int, argument: int) -> int:
        if self.is_hung_up():
            raise Errno(ENOTTY if command == TIOCSPGRP else EIO)
        if command == TIOCCONS:
            return self.redirect_console()
        return control(self.tty, self.readable, command, argument)

    def redirect_console(self) -> int:
        """TIOCCONS: redirect what programs write to /dev/console to this terminal. Raises EPERM, EBADF, EBUSY."""
        if not current().credentials.capable(CAP_SYS_ADMIN):
            raise Errno(EPERM)
        if not self.writable:
            raise Errno(EBADF)
        if REDIRECTION.tty is not None:
            raise Errno(EBUSY)
        REDIRECTION.start(self.tty)
        return 0

    def has_offsets(self) -> bool:
        return False


@final
class ConsoleFile(TtyFile):
    """An open /dev/console. It outlives hang-ups, so that output of the first process is always shown."""

    def is_hung_up(self) -> bool:
        return False

    def read(self, buffer: Buffer) -> int:
        return self.tty.read(buffer, self.flags & O_NONBLOCK != 0, self.tty.hang_ups)

    def write(self, buffer: Buffer) -> int:
        other = REDIRECTION.tty
        tty = self.tty if other is None else other
        return tty.write(buffer, self.flags & O_NONBLOCK != 0, tty.hang_ups)

    def redirect_console(self) -> int:
        """TIOCCONS on the console itself ends the redirection. Raises EPERM."""
        if not current().credentials.capable(CAP_SYS_ADMIN):
            raise Errno(EPERM)
        REDIRECTION.end()
        return 0


def _check_exclusive(tty: Tty) -> None:
    """Raise EBUSY under TIOCEXCL."""
    if tty.exclusive and not current().credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EBUSY)


def open_terminal(tty: Tty, path: Path, flags: int) -> File:
    """open(2) of a terminal; without O_NOCTTY it may become the controlling one. Raises EBUSY under TIOCEXCL."""
    _check_exclusive(tty)
    file = TtyFile(path, flags, tty)
    tty.jobs.opened(tty.device, flags & O_NOCTTY == 0 and file.readable)
    return file


def open_console_file(tty: Tty, path: Path, flags: int) -> File:
    """open(2) of /dev/console, which is `tty`; opening it never makes it the controlling terminal."""
    _check_exclusive(tty)
    return ConsoleFile(path, flags, tty)


def open_controlling(path: Path, flags: int) -> File:
    """open(2) of /dev/tty. Raises ENXIO without a controlling terminal."""
    tty = TERMINALS.get(current().process.session.terminal)
    if tty is None:
        raise Errno(ENXIO)
    _check_exclusive(tty)
    return TtyFile(path, flags, tty)


def hang_up_controlling() -> None:
    """vhangup(2): hang up the controlling terminal of the running process, if it has one."""
    tty = TERMINALS.get(current().process.session.terminal)
    if tty is not None:
        tty.hang_up()


def session_ended(device: int) -> None:
    """The leader of the session that a terminal controls has ended: free the terminal, and notify its foreground job.
    """
    tty = TERMINALS.get(device)
    if tty is not None:
        tty.session_ended()
