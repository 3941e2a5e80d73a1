"""Job control of one terminal: which session it belongs to, which process group is in the foreground.

Source: credentials(7), setsid(2), tcsetpgrp(3), ioctl_tty(2), POSIX 2.2.11 (terminal access control).
"""

from kernel.lang import EINVAL, EIO, ENOTTY, EPERM, ERESTARTSYS, ESRCH, Errno, final
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.pid import NOBODY, UNSET, Pid
from kernel.task import (
    SIGCONT,
    SIGHUP,
    SIGTTIN,
    SIGTTOU,
    current,
    find_group,
    find_session,
    hang_up_group,
    is_orphaned_group,
    is_signal_dropped,
    signal_group,
    signal_session_leader,
)


@final
class JobControl:
    """Session and foreground group of a terminal; 0 means none."""

    def __init__(self) -> None:
        self.session: Pid = UNSET
        self.foreground: Pid = UNSET

    def is_controlling(self, device: int) -> bool:
        """Whether the terminal with this device number is the running process's controlling terminal."""
        return current().process.session.terminal == device

    def signal_foreground(self, signal: int) -> None:
        """A key of the terminal sends a signal to the foreground group. Sleeps if that is large."""
        if self.foreground != UNSET:
            signal_group(self.foreground, signal)

    def check_read(self, device: int) -> None:
        """A background process may not read: SIGTTIN, or EIO where a signal would be pointless."""
        process = current().process
        if not self.is_controlling(device) or self.foreground == UNSET or process.group == self.foreground:
            return
        if is_signal_dropped(SIGTTIN) or is_orphaned_group(process.group):
            raise Errno(EIO)
        signal_group(process.group, SIGTTIN)
        raise Errno(ERESTARTSYS)

    def check_change(self, device: int) -> None:
        """A background process that changes the terminal gets SIGTTOU, unless it ignores it."""
        process = current().process
        if not self.is_controlling(device) or self.foreground == UNSET or process.group == self.foreground:
            return
        if is_signal_dropped(SIGTTOU):
            return
        if is_orphaned_group(process.group):
            raise Errno(EIO)
        signal_group(process.group, SIGTTOU)
        raise Errno(ERESTARTSYS)

    def adopt(self, device: int) -> None:
        """Make the terminal the controlling one of the running session leader."""
        process = current().process
        process.session.terminal = device
        self.session = process.session.sid
        self.foreground = process.group

    def opened(self, device: int, may_control: bool) -> None:
        """open(2) by a session leader without a terminal adopts a free terminal. `may_control`: the leader did not say
        O_NOCTTY, and it can read what is typed: a program that may only write must not get more through /dev/tty.
        """
        process = current().process
        if not may_control or not process.is_session_leader() or process.session.terminal != 0 or self.session != UNSET:
            return
        self.adopt(device)

    def set_controlling(self, device: int, readable: bool, steal: int) -> int:
        """TIOCSCTTY, by a descriptor that is `readable` or not. A session that loses its terminal to root (`steal`)
        gets no signal. Raises EPERM.
        """
        process = current().process
        if process.is_session_leader() and process.session.sid == self.session:
            return 0
        if not process.is_session_leader() or process.session.terminal != 0:
            raise Errno(EPERM)
        is_administrator = current().credentials.capable(CAP_SYS_ADMIN)
        if self.session != UNSET:
            if steal != 1 or not is_administrator:
                raise Errno(EPERM)
            self.closed()
        if not readable and not is_administrator:
            raise Errno(EPERM)
        self.adopt(device)
        return 0

    def disown(self) -> None:
        """Detach the terminal from its session; its foreground group gets SIGHUP and SIGCONT. Sleeps if that is large:
        the terminal is free before.
        """
        group = find_group(self.leader_ended())
        if group is not None:
            hang_up_group(group)

    def leader_ended(self) -> Pid:
        """The session's leader has exited: the terminal is free. Returns the foreground group, which is to get SIGHUP,
        or NOBODY.
        """
        foreground = self.foreground
        self.session = UNSET
        self.foreground = UNSET
        return NOBODY if foreground == UNSET else foreground

    def closed(self) -> None:
        """The terminal is no longer the session's: nobody has it open, or another session takes it."""
        session = find_session(self.session)
        if session is not None:
            session.terminal = 0

    def give_up(self, device: int) -> int:
        """TIOCNOTTY. Raises ENOTTY."""
        process = current().process
        if not self.is_controlling(device):
            raise Errno(ENOTTY)
        if process.is_session_leader():
            process.session.terminal = 0
            self.disown()
        return 0

    def hang_up(self) -> None:
        """The line is gone: the session's leader gets SIGHUP and SIGCONT, and when it ends, the foreground group gets
        them.
        """
        session = find_session(self.session)
        if session is not None:
            session.terminal = 0
            session.lost_foreground = self.foreground
            signal_session_leader(self.session, SIGHUP)
            signal_session_leader(self.session, SIGCONT)
        self.session = UNSET
        self.foreground = UNSET

    def get_foreground(self, device: int) -> int:
        """TIOCGPGRP. Raises ENOTTY."""
        if not self.is_controlling(device):
            raise Errno(ENOTTY)
        return current().pids.shown(self.foreground)

    def set_foreground(self, device: int, group: int) -> int:
        """TIOCSPGRP. Raises ENOTTY, EINVAL, ESRCH, EPERM, EIO."""
        self.check_change(device)
        if not self.is_controlling(device) or self.session != current().process.session.sid:
            raise Errno(ENOTTY)
        if group < 0:
            raise Errno(EINVAL)
        found = find_group(current().pids.resolve(group))
        if found is None:
            raise Errno(ESRCH)
        if found.session != self.session:
            raise Errno(EPERM)
        self.foreground = found.pgid
        return 0

    def get_session(self, device: int) -> int:
        """TIOCGSID. Raises ENOTTY."""
        if not self.is_controlling(device):
            raise Errno(ENOTTY)
        return self.session_or_error()

    def session_or_error(self) -> int:
        """The session, for any caller. Raises ENOTTY when there is none."""
        if self.session == UNSET:
            raise Errno(ENOTTY)
        return current().pids.shown(self.session)
