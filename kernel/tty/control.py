"""The ioctls of terminals.

Source: ioctl_tty(2), ioctl_console(2).
"""

from typing import Final

from kernel.lang import EINVAL, ENOTTY, EPERM, Errno, bytes_of
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_ADMIN
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
TIOCNOTTY: Final = 0x5422
TIOCGETD: Final = 0x5424
TCSBRKP: Final = 0x5425
TIOCGSID: Final = 0x5429
TCGETS2: Final = 0x802C542A
TCSETS2: Final = 0x402C542B
TCSETSW2: Final = 0x402C542C
TCSETSF2: Final = 0x402C542D
TIOCGEXCL: Final = 0x80045440

_SIGWINCH: Final = 28


def control(tty: Tty, command: int, argument: int) -> int:
    """ioctl(2) on a terminal. Raises ENOTTY for what it does not know."""
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
        user.write_u32(argument, tty.discipline.available())
    elif command == TIOCOUTQ:
        user.write_u32(argument, 0)
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
        user.write_u32(argument, 1 if tty.exclusive else 0)
    elif command == TIOCGETD:
        user.write_u32(argument, 0)
    else:
        return _job_control(tty, command, argument)
    return 0


def _job_control(tty: Tty, command: int, argument: int) -> int:
    jobs = tty.jobs
    if command == TIOCGPGRP:
        user.write_i32(argument, jobs.get_foreground(tty.device))
        return 0
    if command == TIOCSPGRP:
        return jobs.set_foreground(tty.device, user.read_i32(argument))
    if command == TIOCGSID:
        user.write_i32(argument, jobs.get_session(tty.device))
        return 0
    if command == TIOCSCTTY:
        return jobs.set_controlling(tty.device, argument)
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
    raw.input_speed = settings.input_speed
    raw.output_speed = settings.output_speed
    user.write_from(argument, bytes_of(raw)[0:size])


def _set_settings(tty: Tty, argument: int, size: int, flush: bool) -> None:
    """TCSETS… and TCSETS2…. All output is sent at once, so that there is nothing to wait for."""
    tty.jobs.check_change(tty.device)
    raw = RawTermios2()
    user.read_into(bytes_of(raw)[0:size], argument)
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
    user.write_from(argument, bytes_of(size))


def _set_window_size(tty: Tty, argument: int) -> None:
    size = WindowSize()
    user.read_into(bytes_of(size), argument)
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


def _simulate_input(tty: Tty, argument: int) -> None:
    if not current().credentials.capable(CAP_SYS_ADMIN) and not tty.jobs.is_controlling(tty.device):
        raise Errno(EPERM)
    tty.input_byte(user.read_u8(argument))
