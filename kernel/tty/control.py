"""The ioctls of terminals.

Source: ioctl_tty(2), ioctl_console(2).
"""

from typing import Final

from kernel.lang import EINVAL, EIO, ENOTTY, EPERM, Errno, UserAddr, bytes_of
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_ADMIN, CAP_SYS_MODULE
from kernel.lib.settings import Switch, SystemSetting
from kernel.task import current
from kernel.tty.termios import (
    BOTHER,
    CBAUD,
    CONTROL_CHARACTERS,
    TERMIOS2_SIZE,
    TERMIOS_SIZE,
    VSTART,
    VSTOP,
    RawTermios2,
    WindowSize,
)
from kernel.tty.tty import Tty

TCGETS: Final = 0x5401
TCSETS: Final = 0x5402
TCSETSW: Final = 0x5403
TCSETSF: Final = 0x5404
TCSBRK: Final = 0x5409
TCXONC: Final = 0x540A
TCFLSH: Final = 0x540B
TIOCEXCL: Final = 0x540C
TIOCNXCL: Final = 0x540D
TIOCSCTTY: Final = 0x540E
TIOCGPGRP: Final = 0x540F
TIOCSPGRP: Final = 0x5410
TIOCOUTQ: Final = 0x5411
TIOCSTI: Final = 0x5412
TIOCGWINSZ: Final = 0x5413
TIOCSWINSZ: Final = 0x5414
FIONREAD: Final = 0x541B
TIOCCONS: Final = 0x541D
TIOCNOTTY: Final = 0x5422
TIOCSETD: Final = 0x5423
TIOCGETD: Final = 0x5424
TCSBRKP: Final = 0x5425
TIOCGSID: Final = 0x5429
TIOCVHANGUP: Final = 0x5437
TCGETS2: Final = 0x802C542A
TCSETS2: Final = 0x402C542B
TCSETSW2: Final = 0x402C542C
TCSETSF2: Final = 0x402C542D
TIOCGEXCL: Final = 0x80045440

_SIGWINCH: Final = 28
_DISCIPLINE_COUNT: Final = 31  # as Linux numbers them; this kernel has only number 0, N_TTY

# Whether a program without CAP_SYS_ADMIN may type into its controlling terminal (TIOCSTI): as Debian has it, no.
LEGACY_TIOCSTI: Final = Switch(b"dev/tty/legacy_tiocsti", is_on=False)
# Whether such a program's TIOCSETD may request a line discipline that is not loaded yet.
LOADS_DISCIPLINES: Final = SystemSetting(b"dev/tty/ldisc_autoload", [1], 0, 1)


def control(tty: Tty, readable: bool, command: int, argument: int) -> int:
    """ioctl(2) on a terminal, by a descriptor that is `readable` or not. Raises ENOTTY for unknown commands."""
    if command == TCGETS:
        _get_settings(tty, argument, TERMIOS_SIZE)
    elif command == TCSETS or command == TCSETSW or command == TCSETSF:
        _set_settings(tty, argument, TERMIOS_SIZE, command == TCSETSF)
    elif command == TCGETS2:
        _get_settings(tty, argument, TERMIOS2_SIZE)
    elif command == TCSETS2 or command == TCSETSW2 or command == TCSETSF2:
        _set_settings(tty, argument, TERMIOS2_SIZE, command == TCSETSF2)
    elif command == TIOCGWINSZ:
        _get_window_size(tty, argument)
    elif command == TIOCSWINSZ:
        _set_window_size(tty, argument)
    elif command == FIONREAD:
        user.write_u32(UserAddr(argument), tty.discipline.available())
    elif command == TIOCOUTQ:
        user.write_u32(UserAddr(argument), 0)
    elif command == TCFLSH:
        _flush(tty, argument)
    elif command == TCXONC:
        _flow(tty, argument)
    elif command == TCSBRK or command == TCSBRKP:
        # output is sent at once: there is nothing to drain, and a break needs no wait
        tty.jobs.check_change(tty.device)
    elif command == TIOCSTI:
        _simulate_input(tty, argument)
    elif command == TIOCEXCL or command == TIOCNXCL:
        tty.exclusive = command == TIOCEXCL
    elif command == TIOCGEXCL:
        user.write_u32(UserAddr(argument), 1 if tty.exclusive else 0)
    elif command == TIOCGETD:
        user.write_u32(UserAddr(argument), 0)
    elif command == TIOCSETD:
        _set_discipline(tty, argument)
    elif command == TIOCVHANGUP:
        if not current().credentials.capable(CAP_SYS_ADMIN):
            raise Errno(EPERM)
        tty.hang_up()
    else:
        return _job_control(tty, readable, command, argument)
    return 0


def _job_control(tty: Tty, readable: bool, command: int, argument: int) -> int:
    jobs = tty.jobs
    if command == TIOCGPGRP:
        user.write_i32(UserAddr(argument), jobs.get_foreground(tty.device))
        return 0
    if command == TIOCSPGRP:
        return jobs.set_foreground(tty.device, user.read_i32(UserAddr(argument)))
    if command == TIOCGSID:
        user.write_i32(UserAddr(argument), jobs.get_session(tty.device))
        return 0
    if command == TIOCSCTTY:
        return jobs.set_controlling(tty.device, readable, argument)
    if command == TIOCNOTTY:
        return jobs.give_up(tty.device)
    raise Errno(ENOTTY)


def _get_settings(tty: Tty, argument: int, size: int) -> None:
    """TCGETS and TCGETS2: `size` bytes of the same layout."""
    settings = tty.settings
    raw = RawTermios2()
    raw.input_flags = settings.input
    raw.output_flags = settings.output
    raw.control_flags = settings.control
    raw.local_flags = settings.local
    raw.line = settings.line
    for i in range(CONTROL_CHARACTERS):
        raw.characters[i] = settings.characters[i]
    raw.input_speed = settings.input_speed  # fits: set from 32 bits
    raw.output_speed = settings.output_speed  # fits: set from 32 bits
    user.write_from(UserAddr(argument), bytes_of(raw)[0:size])


def _set_settings(tty: Tty, argument: int, size: int, flush: bool) -> None:
    """TCSETS… and TCSETS2…. All output is sent at once, so there is nothing to wait for."""
    tty.jobs.check_change(tty.device)
    raw = RawTermios2()
    user.read_into(bytes_of(raw)[0:size], UserAddr(argument))
    if flush:
        tty.flush_input()
    settings = tty.settings
    old_local = settings.local
    settings.input = raw.input_flags
    settings.output = raw.output_flags
    settings.control = raw.control_flags
    settings.local = raw.local_flags
    settings.line = raw.line
    for i in range(CONTROL_CHARACTERS):
        settings.characters[i] = raw.characters[i]
    speed = settings.speed_of_code()
    explicit = size == TERMIOS2_SIZE and settings.control & CBAUD == BOTHER
    settings.input_speed = raw.input_speed if explicit else speed
    settings.output_speed = raw.output_speed if explicit else speed
    tty.change_settings(old_local)


def _get_window_size(tty: Tty, argument: int) -> None:
    size = WindowSize()
    size.rows = tty.rows
    size.columns = tty.columns
    size.x_pixels = tty.x_pixels
    size.y_pixels = tty.y_pixels
    user.write_from(UserAddr(argument), bytes_of(size))


def _set_window_size(tty: Tty, argument: int) -> None:
    size = WindowSize()
    user.read_into(bytes_of(size), UserAddr(argument))
    changed = (
        size.rows != tty.rows
        or size.columns != tty.columns
        or size.x_pixels != tty.x_pixels
        or size.y_pixels != tty.y_pixels
    )
    tty.rows = size.rows
    tty.columns = size.columns
    tty.x_pixels = size.x_pixels
    tty.y_pixels = size.y_pixels
    if changed:
        tty.jobs.signal_foreground(_SIGWINCH)


def _flush(tty: Tty, which: int) -> None:
    """TCFLSH: 0 input, 1 output, 2 both."""
    tty.jobs.check_change(tty.device)
    if which < 0 or which > 2:
        raise Errno(EINVAL)
    if which != 1:
        tty.flush_input()
    if which != 0:
        tty.driver.flush_output()


def _flow(tty: Tty, action: int) -> None:
    """TCXONC: 0 stops output, 1 resumes it; 2 and 3 ask the other side by VSTOP and VSTART."""
    tty.jobs.check_change(tty.device)
    if action < 0 or action > 3:
        raise Errno(EINVAL)
    if action < 2:
        tty.set_stopped(action == 0)
    else:
        tty.driver.transmit(bytes([tty.settings.characters[VSTOP if action == 2 else VSTART]]))


def _set_discipline(tty: Tty, argument: int) -> None:
    """TIOCSETD. Raises EPERM for a discipline that would have to be loaded, EINVAL if there is none."""
    tty.jobs.check_change(tty.device)
    number = user.read_i32(UserAddr(argument))
    if number == 0:
        return
    if 0 < number < _DISCIPLINE_COUNT and LOADS_DISCIPLINES.value == 0:
        if not current().credentials.capable(CAP_SYS_MODULE):
            raise Errno(EPERM)
    raise Errno(EINVAL)


def check_simulated_input(is_controlling: bool) -> None:
    """Whether the running program may type into a terminal, its controlling one or not. Raises EIO, EPERM."""
    if current().credentials.capable(CAP_SYS_ADMIN):
        return
    if LEGACY_TIOCSTI.value == 0:
        raise Errno(EIO)
    if not is_controlling:
        raise Errno(EPERM)


def _simulate_input(tty: Tty, argument: int) -> None:
    check_simulated_input(tty.jobs.is_controlling(tty.device))
    tty.input_byte(user.read_u8(UserAddr(argument)))
