"""A terminal device: a line discipline between a driver and the programs that have it open.

The wire's side calls `input_byte` (from the terminal thread, which may allocate and sleep); the programs' side is
`read`, `write`, `poll` and `ioctl`. Job control: a process of another group than the foreground one gets SIGTTIN when
it reads and SIGTTOU when it changes the terminal (or writes under TOSTOP).

Context: `read` and `write` sleep.
Source: ioctl_tty(2), termios(3), POSIX chapter 11.
"""

from typing import Final

from kernel.fs.constants import POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM
from kernel.lang import EAGAIN, EIO, ERESTARTSYS, Errno, final
from kernel.lib.pace import pace
from kernel.lib.user import Buffer
from kernel.sched import Mutex, PollWaiter, WaitQueue
from kernel.time import monotonic_ns
from kernel.time.timers import FOREVER_NS
from kernel.tty.discipline import LineDiscipline
from kernel.tty.job_control import JobControl
from kernel.tty.termios import TOSTOP, VMIN, VTIME, Termios

_ENDLESS_ROOM: Final = 1 << 30
_BYTE_COST: Final = 60  # instructions to transform a byte of output and hand it on
_PART: Final = 2048  # bytes of a program's memory that are taken at a time
_OUTPUT_PART: Final = 512  # bytes transformed at a time, so that ^S takes effect
_TENTH_NS: Final = 100_000_000


@final
class Parts:
    """What a program writes to a terminal, taken from its memory part by part: as on Linux, nothing of one that ends in
    a fault.
    """

    def __init__(self, buffer: Buffer) -> None:
        self._buffer: Buffer = buffer
        self._part: bytes = b""
        self._place: int = 0  # in the part

    def has_more(self) -> bool:
        """Whether there is more to write. Takes the next part when the last one is used up. May sleep."""
        if self._place < len(self._part):
            return True
        length = min(_PART, self._buffer.remaining)
        part = self._buffer.take_bytes(length)
        self._part = part if len(part) == length else b""
        self._place = 0
        return len(self._part) > 0

    def take(self, limit: int) -> bytes:
        """The next bytes, up to `limit`; there are some."""
        data = self._part[self._place : self._place + limit]
        self._place += len(data)
        return data


class TtyDriver:
    """What a terminal is connected to. Base class."""

    def transmit(self, data: bytes) -> None:
        """Send bytes; waits (without sleeping) for the wire if it must."""

    def room(self) -> int:
        """How many bytes a program may write now. One that finds none waits on the terminal's `write_queue`."""
        return _ENDLESS_ROOM

    def byte_cost(self) -> int:
        """How many instructions sending a byte may take, for `pace`."""
        return _BYTE_COST

    def settings_changed(self, settings: Termios) -> None:
        """The speed or framing may have changed; settings that the wire cannot have may be corrected."""

    def flow_changed(self, stopped: bool) -> None:
        """Output was stopped or resumed, by a key or by a program."""

    def input_taken(self) -> None:
        """Programs have read input: there is room for more."""

    def input_flushed(self) -> None:
        """Input that nobody had read was thrown away."""

    def flush_output(self) -> None:
        """Discard what was not sent yet."""

    def disconnected(self) -> None:
        """Every open description was closed or hung up: there is no input or output until it is opened again."""

    def last_closed(self) -> None:
        """No program has the terminal open any more."""

    def hangs_up_with_session(self) -> bool:
        """Whether the end of the controlling session hangs up the line, so that no remaining process of it can read the
        next session's input.
        """
        return False


@final
class ConsoleRedirection:
    """Where programs' output to /dev/console goes instead (TIOCCONS). It keeps the terminal open until a hang-up."""

    def __init__(self) -> None:
        self.tty: Tty | None = None

    def start(self, tty: "Tty") -> None:
        """Redirect output; there is no redirection yet."""
        tty.opened()
        self.tty = tty

    def end(self) -> None:
        """Output goes to the console again."""
        tty = self.tty
        self.tty = None
        if tty is not None:
            tty.closed(tty.hang_ups)


REDIRECTION: Final = ConsoleRedirection()


class Tty:
    """One terminal."""

    def __init__(self, name: bytes, device: int, driver: TtyDriver) -> None:
        self.name: bytes = name
        self.device: int = device  # major << 8 | minor
        self.driver: TtyDriver = driver
        self.settings: Termios = Termios()
        self.discipline: LineDiscipline = LineDiscipline(self.settings)
        self.jobs: JobControl = JobControl()
        self.rows: int = 24
        self.columns: int = 80
        self.x_pixels: int = 0
        self.y_pixels: int = 0
        self.exclusive: bool = False
        self.users: int = 0  # open descriptions
        self.connected: int = 0  # those that were opened since the last hang-up
        self.hang_ups: int = 0  # counts: a description opened before the last one is dead
        self.writing: Mutex = Mutex()  # held by the program that writes
        self.read_queue: WaitQueue = WaitQueue()
        self.write_queue: WaitQueue = WaitQueue()

    # The wire's side -------------------------------------------------------------------------------------------------

    def input_byte(self, byte: int) -> None:
        """A byte came over the wire."""
        was_stopped = self.discipline.stopped
        self.discipline.receive(byte)
        self._after_input(was_stopped)

    def input_bytes(self, data: bytes) -> int:
        """Bytes came over the wire: at most as many as the discipline has room for, or some are lost. Returns how many
        bytes were echoed: one may show or erase a whole line.
        """
        was_stopped = self.discipline.stopped
        self.discipline.receive_all(data)
        return self._after_input(was_stopped)

    def _after_input(self, was_stopped: bool) -> int:
        discipline = self.discipline
        if was_stopped != discipline.stopped:
            self.driver.flow_changed(discipline.stopped)
            if was_stopped:
                self.write_queue.wake_all()
        if discipline.flushed:
            discipline.flushed = False
            self.driver.flush_output()
            self.driver.input_flushed()
        echoed = 0
        try:
            while len(discipline.signals) > 0:
                self.jobs.signal_foreground(discipline.signals.pop(0))
            echoed = self.flush_output()
        finally:  # without memory for an echo, what was typed can be read nevertheless
            if discipline.readable():
                self.read_queue.wake_all()
        return echoed

    def flush_output(self) -> int:
        """Hand the discipline's output to the driver; returns how many bytes."""
        pending = self.discipline.output
        count = len(pending)
        if count > 0:
            data = bytes(pending)
            pending.clear()
            self.driver.transmit(data)
        return count

    # The programs' side ----------------------------------------------------------------------------------------------

    def opened(self) -> int:
        """One more open description. Returns the number of hang-ups before it."""
        self.users += 1
        self.connected += 1
        return self.hang_ups

    def closed(self, hang_ups: int) -> None:
        """One fewer: the one that `opened` returned `hang_ups` for."""
        self.users -= 1
        if hang_ups == self.hang_ups:
            self.connected -= 1
            if self.connected == 0:
                self.driver.disconnected()
        if self.users == 0:
            self.exclusive = False
            self.driver.last_closed()

    def _take(self, buffer: Buffer) -> int:
        """Copy available input to the reader."""
        done = buffer.put_bytes(self.discipline.take(buffer.remaining))
        self.driver.input_taken()
        return done

    def read(self, buffer: Buffer, non_blocking: bool, hang_ups: int) -> int:
        """read(2), through a description that was opened after `hang_ups`: a line in canonical mode, otherwise by VMIN
        and VTIME. Raises EAGAIN, EIO, EINTR and restarts.
        """
        if buffer.remaining == 0:
            return 0
        if self.settings.canonical:
            return self._read_canonical(buffer, non_blocking, hang_ups)
        return self._read_raw(buffer, non_blocking, hang_ups)

    def _read_canonical(self, buffer: Buffer, non_blocking: bool, hang_ups: int) -> int:
        while True:
            self.jobs.check_read(self.device)
            if self.hang_ups != hang_ups:
                return 0
            if not self.settings.canonical:
                return self._read_raw(buffer, non_blocking, hang_ups)
            if self.discipline.line_count > 0:
                return self._take(buffer)
            if non_blocking:
                raise Errno(EAGAIN)
            self.read_queue.sleep()

    def _read_raw(self, buffer: Buffer, non_blocking: bool, hang_ups: int) -> int:
        """Read VMIN bytes, or what arrives until VTIME tenths of a second after the last byte (or the start, if VMIN is
        0).
        """
        minimum = self.settings.character(VMIN)
        tenths = self.settings.character(VTIME)
        wanted = min(buffer.remaining, minimum) if minimum > 0 else 1
        deadline = FOREVER_NS
        if minimum == 0:
            deadline = monotonic_ns() + tenths * _TENTH_NS
        seen = 0
        while True:
            self.jobs.check_read(self.device)
            if self.hang_ups != hang_ups:
                return 0
            count = len(self.discipline.queue)
            if count >= wanted:
                break
            if non_blocking:
                if count > 0:
                    break
                raise Errno(EAGAIN)
            if minimum > 0 and tenths > 0 and count > seen:
                seen = count
                deadline = monotonic_ns() + tenths * _TENTH_NS
            if minimum == 0 and tenths == 0:
                break
            try:
                if not self.read_queue.sleep_until(deadline):
                    break
            except Errno as e:
                if e.code == ERESTARTSYS and len(self.discipline.queue) > 0 and minimum > 0:
                    break
                raise
        return self._take(buffer)

    def write(self, buffer: Buffer, non_blocking: bool, hang_ups: int) -> int:
        """write(2), through a description that was opened after `hang_ups`. Other writers wait until all is written.
        Raises EAGAIN, EIO, ERESTARTSYS; a signal ends a stopped write with what was written.
        """
        if self.settings.local & TOSTOP != 0:
            self.jobs.check_change(self.device)
        if not non_blocking:
            self.writing.acquire_unless_interrupted()
        elif not self.writing.try_acquire():
            raise Errno(EAGAIN)
        try:
            return self._write_all(buffer, non_blocking, hang_ups)
        finally:
            self.writing.release()

    def _write_all(self, buffer: Buffer, non_blocking: bool, hang_ups: int) -> int:
        """Write, while nobody else does."""
        done = 0
        parts = Parts(buffer)
        while parts.has_more():
            if self.hang_ups != hang_ups:
                raise Errno(EIO)
            room = self.driver.room()
            if self.discipline.stopped or room <= 0:
                if non_blocking:
                    if done > 0:
                        return done
                    raise Errno(EAGAIN)
                try:
                    self.write_queue.sleep()
                except Errno:
                    if done > 0:
                        return done
                    raise
                continue
            data = parts.take(min(_OUTPUT_PART, room))
            self.discipline.transform_output(data)
            self.flush_output()
            done += len(data)
            pace(len(data) * self.driver.byte_cost())
        return done

    def poll(self, waiter: PollWaiter | None) -> int:
        """POLL* bits that hold now."""
        if waiter is not None:
            waiter.wait_on(self.read_queue)
            waiter.wait_on(self.write_queue)
        bits = 0
        if self.discipline.readable():
            bits |= POLLIN | POLLRDNORM
        if not self.discipline.stopped and self.driver.room() > 0:
            bits |= POLLOUT | POLLWRNORM
        return bits

    def flush_input(self) -> None:
        """Throw away what was typed but not read."""
        self.discipline.flush_input()
        self.driver.input_flushed()

    def change_settings(self, old_local: int) -> None:
        """`settings` was changed: the discipline, the driver and sleeping readers follow."""
        self.discipline.settings_changed(old_local)
        self.driver.settings_changed(self.settings)
        self.read_queue.wake_all()
        self.write_queue.wake_all()

    def set_stopped(self, stopped: bool) -> None:
        """TCXONC: suspend or resume output."""
        if self.discipline.stopped == stopped:
            return
        self.discipline.stopped = stopped
        self.driver.flow_changed(stopped)
        if not stopped:
            self.write_queue.wake_all()

    def hang_up(self) -> None:
        """Hang up all open descriptions: readers see end of file, writers EIO, and typed input is lost. The session
        loses its terminal. A later opening starts afresh.
        """
        if REDIRECTION.tty is self:
            REDIRECTION.tty = None
            self.users -= 1
        self.hang_ups += 1
        self.connected = 0
        self.discipline.flush_input()
        self.jobs.hang_up()
        self.driver.disconnected()
        self.read_queue.wake_all()
        self.write_queue.wake_all()

    def session_ended(self) -> None:
        """The leader of the session that the terminal controls has exited."""
        self.jobs.leader_ended()
        if self.driver.hangs_up_with_session():
            self.hang_up()
