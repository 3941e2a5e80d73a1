"""Pseudo terminals: a terminal whose wire is a file, the master, that another program (a terminal emulator, a login
server) holds.

What programs write to the slave goes through its line discipline into `output`, which the master reads; what the master
writes is input of the slave. The slave is an ordinary `Tty`; `PtyDriver` is its end of the wire.

Invariants: a pair lives from the opening of the master until neither side is open; its number is not reused before
that. `output` holds no more than OUTPUT_LIMIT bytes of programs' output and ECHO_LIMIT bytes in all: programs wait for
room, and further echoes are lost.

Deviation from Linux: the numbers of all instances of devpts are different.
Context: the master's `read` and `write` sleep; everything else does not.
Source: pty(7), ioctl_tty(2), TIOCPKT(2const).
"""

from typing import Final

from kernel.fs.constants import O_NONBLOCK, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDNORM, POLLWRNORM, device_number
from kernel.fs.file import OWNER_PROCESS, File
from kernel.fs.path import Path
from kernel.lang import EAGAIN, EINVAL, EIO, ENOSPC, Errno, UserAddr, Weak, final, weak
from kernel.lib import user
from kernel.lib.pace import is_interrupted, pace
from kernel.lib.settings import SystemSetting
from kernel.lib.user import Buffer
from kernel.sched import PollWaiter, WaitQueue
from kernel.task import SIGINT, SIGQUIT, SIGTSTP, current
from kernel.task.async_io import give_owner
from kernel.tty.control import (
    FIONREAD,
    TCFLSH,
    TCXONC,
    TIOCCONS,
    TIOCGPGRP,
    TIOCGSID,
    TIOCSTI,
    check_simulated_input,
    control,
)
from kernel.tty.terminals import TERMINALS
from kernel.tty.termios import B38400, CREAD, CS8, CSIZE, IXON, PARENB, VSTART, VSTOP, Termios
from kernel.tty.tty import Parts, Tty, TtyDriver

_INT_MAX: Final = 0x7FFF_FFFF

MAJOR_SLAVE: Final = 136
PAIR_LIMIT: Final = 1 << 20  # numbers of pairs are below
_MOST_PAIRS: Final = SystemSetting(b"kernel/pty/max", [4096], 0, _INT_MAX)
# Reserved for the first mount namespace, in which all programs live.
_RESERVED_PAIRS: Final = SystemSetting(b"kernel/pty/reserve", [1024], 0, _INT_MAX)
OUTPUT_LIMIT: Final = 8192
ECHO_LIMIT: Final = 65_536
_INPUT_PART: Final = 4096  # bytes taken at a time in raw mode
_EDITED_PART: Final = 64  # bytes taken at a time where the line is edited: one may show or erase a whole line
_TURN_COST: Final = 400  # instructions
_ECHO_COST: Final = 90  # instructions for a byte that is shown
_BYTE_COST: Final = 400  # instructions for a byte of an edited line
_PAIR_BYTES: Final = 6144  # what a pair costs, about

TIOCPKT: Final = 0x5420
TIOCGPTN: Final = 0x80045430
TIOCSPTLCK: Final = 0x40045431
TIOCSIG: Final = 0x40045436
TIOCGPKT: Final = 0x80045438
TIOCGPTLCK: Final = 0x80045439
TIOCGPTPEER: Final = 0x5441

# What a read in packet mode begins with: a zero before data, or some of these alone.
_FLUSHED_INPUT: Final = 1
_FLUSHED_OUTPUT: Final = 2
_STOPPED: Final = 4
_STARTED: Final = 8
_NO_FLOW_KEYS: Final = 16
_FLOW_KEYS: Final = 32

_CONTROL_S: Final = 19
_CONTROL_Q: Final = 17


def _has_flow_keys(settings: Termios) -> bool:
    """Whether ^S and ^Q stop and resume output, so that a terminal emulator may act on them by itself."""
    return (
        settings.input & IXON != 0
        and settings.character(VSTOP) == _CONTROL_S
        and settings.character(VSTART) == _CONTROL_Q
    )


@final
class PtyDriver(TtyDriver):
    """The slave's end of the wire: what the master will read, and what packet mode reports to it."""

    def __init__(self) -> None:
        self.output: bytearray = bytearray()
        self.in_packets: bool = False
        self.events: int = 0  # what packet mode reports next
        self.had_flow_keys: bool = True
        self.read_queue: WaitQueue = WaitQueue()  # the master's
        self.write_queue: WaitQueue = WaitQueue()
        self.pair: Weak[Pty] | None = None

    def transmit(self, data: bytes) -> None:
        room = ECHO_LIMIT - len(self.output)
        self.output.extend(data if len(data) <= room else data[:room])
        self.read_queue.wake_all()

    def room(self) -> int:
        return OUTPUT_LIMIT - len(self.output)

    def settings_changed(self, settings: Termios) -> None:
        settings.control = settings.control & ~(CSIZE | PARENB) | CS8 | CREAD
        has_flow_keys = _has_flow_keys(settings)
        if has_flow_keys != self.had_flow_keys:
            self.had_flow_keys = has_flow_keys
            self._tell(_FLOW_KEYS if has_flow_keys else _NO_FLOW_KEYS, _FLOW_KEYS | _NO_FLOW_KEYS)
        self.write_queue.wake_all()

    def flow_changed(self, stopped: bool) -> None:
        self._tell(_STOPPED if stopped else _STARTED, _STOPPED | _STARTED)

    def input_taken(self) -> None:
        self.write_queue.wake_all()

    def input_flushed(self) -> None:
        self._tell(_FLUSHED_INPUT, 0)
        self.write_queue.wake_all()

    def flush_output(self) -> None:
        """What programs have written counts as delivered: the master's queue keeps it."""
        self._tell(_FLUSHED_OUTPUT, 0)

    def disconnected(self) -> None:
        self.read_queue.wake_all()
        self.write_queue.wake_all()

    def last_closed(self) -> None:
        pair = self.pair.get() if self.pair is not None else None
        if pair is not None:
            pair.slave_closed()

    def _tell(self, event: int, replaced: int) -> None:
        """Report an event in packet mode, replacing earlier ones that it invalidates."""
        if self.in_packets:
            self.events = self.events & ~replaced | event
            self.read_queue.wake_all()


class PtyHome:
    """The instance of devpts with the name of a pair's slave. Base class."""

    def open_peer(self, number: int, flags: int) -> int:
        """TIOCGPTPEER: a new descriptor of the slave."""
        raise Errno(EIO)

    def forget(self, number: int) -> None:
        """The master is closed: remove the name."""


@final
class Pty:
    """A pair."""

    def __init__(self, number: int, home: PtyHome) -> None:
        self.number: int = number
        self.home: PtyHome | None = home
        self.driver: PtyDriver = PtyDriver()
        device = device_number(MAJOR_SLAVE, number)
        tty = Tty(f"pts/{number}".encode(), device, self.driver)
        tty.settings.control = B38400 | CS8 | CREAD
        tty.settings.input_speed = 38_400
        tty.settings.output_speed = 38_400
        tty.rows = 0
        tty.columns = 0
        self.tty: Tty = tty
        self.is_locked: bool = True
        self.is_open: bool = True  # the master
        self.slave_was_open: bool = False

    def slave_opening(self) -> Tty:
        """The slave's terminal, to be opened. Raises EIO while it is locked, and once the master is closed."""
        if self.is_locked or not self.is_open:
            raise Errno(EIO)
        self.slave_was_open = True
        return self.tty

    def slave_is_gone(self) -> bool:
        """Whether the slave was open and no longer is: then the master sees a hang-up."""
        return self.slave_was_open and self.tty.connected == 0

    def slave_closed(self) -> None:
        """The last description of the slave is gone."""
        self.tty.jobs.closed()
        if not self.is_open:
            self._end()

    def close_master(self) -> None:
        """The master is closed: the slave's programs lose their terminal."""
        self.is_open = False
        self.tty.hang_up()
        home = self.home
        self.home = None
        if home is not None:
            home.forget(self.number)
        if self.tty.users == 0:
            self._end()

    def _end(self) -> None:
        """Neither side is open: the number is free. Does nothing the second time: while `home` forgets the pair, which
        sleeps if that ends a mount, the slave may close as well.
        """
        if _pairs.get(self.number) is self:
            del TERMINALS[self.tty.device]
            del _pairs[self.number]


_pairs: Final[dict[int, Pty]] = {}


def make_pair(home: PtyHome) -> Pty:
    """A pair with the lowest free number; its slave is locked. Raises ENOSPC, MemoryError."""
    if len(_pairs) + 1 >= _MOST_PAIRS.value:  # as Linux counts
        raise Errno(ENOSPC)
    number = 0
    while number in _pairs:
        number += 1
    pair = Pty(number, home)
    pair.driver.pair = weak(pair)
    _pairs[number] = pair
    try:
        TERMINALS[pair.tty.device] = pair.tty
    except MemoryError:
        del _pairs[number]
        raise
    return pair


def pair_count() -> int:
    """How many pairs there are."""
    return len(_pairs)


@final
class PtyMaster(File):
    """The open master."""

    def __init__(self, path: Path, flags: int, pair: Pty) -> None:
        super().__init__(path, flags)
        self.pair: Pty = pair
        self.is_stopped: bool = False  # by TCXONC

    def held_bytes(self) -> int:
        return _PAIR_BYTES + len(self.pair.driver.output)

    def close(self) -> None:
        self.pair.close_master()

    # Data ------------------------------------------------------------------------------------------------------------

    def read(self, buffer: Buffer) -> int:
        if buffer.remaining == 0:
            return 0
        driver = self.pair.driver
        while True:
            if driver.in_packets and driver.events != 0:
                event = bytes([driver.events])
                driver.events = 0  # no earlier: what follows needs no memory
                return buffer.put_bytes(event)
            if len(driver.output) > 0:
                return self._read_output(buffer)
            if self.pair.slave_is_gone():
                raise Errno(EIO)
            if self.flags & O_NONBLOCK != 0:
                raise Errno(EAGAIN)
            driver.read_queue.sleep()

    def _read_output(self, buffer: Buffer) -> int:
        """There is some. All is taken before the first byte is copied, because others may read during that."""
        driver = self.pair.driver
        head = b"\0" if driver.in_packets else b""
        length = min(buffer.remaining - len(head), len(driver.output))
        data = bytes(driver.output[:length])
        if len(head) > 0:
            data = head + data
        del driver.output[:length]
        if length > 0 and driver.room() > 0:
            self.pair.tty.write_queue.wake_all()
        return buffer.put_bytes(data)

    def write(self, buffer: Buffer) -> int:
        tty = self.pair.tty
        done = 0
        parts = Parts(buffer)
        while parts.has_more():
            room = 0 if self.is_stopped else tty.discipline.room()
            if room == 0:
                if self.flags & O_NONBLOCK != 0:
                    if done > 0:
                        return done
                    raise Errno(EAGAIN)
                try:
                    self.pair.driver.write_queue.sleep()
                except Errno:
                    if done > 0:
                        return done
                    raise
                continue
            is_raw = tty.discipline.is_raw()
            data = parts.take(min(room, _INPUT_PART if is_raw else _EDITED_PART))
            echoed = tty.input_bytes(data)
            done += len(data)
            pace(_TURN_COST + (len(data) if is_raw else len(data) * _BYTE_COST) + echoed * _ECHO_COST)
            if parts.has_more() and is_interrupted():
                break
        return done

    def poll(self, waiter: PollWaiter | None) -> int:
        driver = self.pair.driver
        if waiter is not None:
            waiter.wait_on(driver.read_queue)
            waiter.wait_on(driver.write_queue)
        state = 0
        if len(driver.output) > 0:
            state |= POLLIN | POLLRDNORM
        if driver.in_packets and driver.events != 0:
            state |= POLLPRI | POLLIN | POLLRDNORM
        if self.pair.slave_is_gone():
            state |= POLLHUP
        if not self.is_stopped and self.pair.tty.discipline.room() > 0:
            state |= POLLOUT | POLLWRNORM
        return state

    def input_queue(self) -> WaitQueue | None:
        return self.pair.driver.read_queue

    def output_queue(self) -> WaitQueue | None:
        return self.pair.driver.write_queue

    def choose_owner(self) -> None:
        give_owner(self, current().pid, OWNER_PROCESS)

    def has_offsets(self) -> bool:
        return False

    # Control ---------------------------------------------------------------------------------------------------------

    def ioctl(self, command: int, argument: int) -> int:
        """Commands about the master itself; all others go to the slave, whose settings are the pair's."""
        pair = self.pair
        driver = pair.driver
        if command == TIOCGPTN:
            user.write_u32(UserAddr(argument), pair.number)
        elif command == TIOCSPTLCK:
            pair.is_locked = user.read_i32(UserAddr(argument)) != 0
        elif command == TIOCGPTLCK:
            user.write_i32(UserAddr(argument), 1 if pair.is_locked else 0)
        elif command == TIOCPKT:
            self._set_packet_mode(user.read_i32(UserAddr(argument)) != 0)
        elif command == TIOCGPKT:
            user.write_i32(UserAddr(argument), 1 if driver.in_packets else 0)
        elif command == TIOCGPTPEER:
            return self._open_peer(argument)
        elif command == TIOCSIG:
            if argument != SIGINT and argument != SIGQUIT and argument != SIGTSTP:
                raise Errno(EINVAL)
            pair.tty.jobs.signal_foreground(argument)
        elif command == TIOCGPGRP:
            user.write_i32(UserAddr(argument), current().pids.shown(pair.tty.jobs.foreground))
        elif command == TIOCGSID:
            user.write_i32(UserAddr(argument), pair.tty.jobs.session_or_error())
        elif command == FIONREAD:
            user.write_u32(UserAddr(argument), len(driver.output))
        elif command == TCFLSH:
            self._flush(argument)
        elif command == TCXONC:
            self._flow(argument)
        elif command == TIOCSTI:
            check_simulated_input(is_controlling=False)
            driver.transmit(bytes([user.read_u8(UserAddr(argument))]))
        elif command == TIOCCONS:
            raise Errno(EINVAL)
        else:
            return control(pair.tty, self.readable, command, argument)
        return 0

    def _set_packet_mode(self, on: bool) -> None:
        driver = self.pair.driver
        if on and not driver.in_packets:
            driver.events = 0
        driver.had_flow_keys = _has_flow_keys(self.pair.tty.settings)
        driver.in_packets = on

    def _open_peer(self, flags: int) -> int:
        home = self.pair.home
        if home is None:
            raise Errno(EIO)
        return home.open_peer(self.pair.number, flags)

    def _flush(self, which: int) -> None:
        """TCFLSH: the master's input is what the slave's programs wrote. What it has written itself counts as
        delivered.
        """
        if which < 0 or which > 2:
            raise Errno(EINVAL)
        if which != 1:
            self.pair.driver.output.clear()
            self.pair.tty.write_queue.wake_all()

    def _flow(self, action: int) -> None:
        """TCXONC: 0 and 1 hold the master's own output back; 2 and 3 send ^S and ^Q to the slave."""
        if action < 0 or action > 3:
            raise Errno(EINVAL)
        if action < 2:
            self.is_stopped = action == 0
            self.pair.driver.write_queue.wake_all()
        else:
            self.pair.tty.input_byte(_CONTROL_S if action == 2 else _CONTROL_Q)


def open_master(path: Path, flags: int, pair: Pty) -> PtyMaster:
    """A new pair's open master; the pair ends with a failure."""
    try:
        return PtyMaster(path, flags, pair)
    except (Errno, MemoryError):
        pair.close_master()
        raise
