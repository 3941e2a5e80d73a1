"""Terminals on serial lines, the terminal thread, and the devices that programs open: /dev/ttyS0…, /dev/tty,
/dev/console.

Serial interrupts only fill a ring and wake the terminal thread; the line disciplines run there, where allocating and
sleeping are allowed. /dev/tty is the controlling terminal of the opening process (terminals.py); /dev/console is the
line that `console=` names (the first serial line without it).
"""

from typing import Final

from arch import SerialPort, serial_ports
from kernel.drivers.platform import vectors
from kernel.fs.devices.filesystem import register_char_device
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.lang import ENODEV, ENXIO, Errno, final, span_of
from kernel.lib.bus import ROOT_PLATFORM, BusDevice, bus_device, bus_root
from kernel.sched import WaitQueue, spawn_kernel_thread
from kernel.task import TERMINAL_HOOK
from kernel.tty.terminals import TERMINALS, open_console_file, open_controlling, open_terminal, session_ended
from kernel.tty.tty import Tty, TtyDriver

_MAJOR_SERIAL: Final = 4
_FIRST_SERIAL_MINOR: Final = 64
_MAJOR_TTY: Final = 5
_PART: Final = 64  # bytes that a program sends at a time, waiting for the chip
_BYTE_COST: Final = 2000  # instructions, about, while the chip sends one

_serial_lines: Final[list["SerialTerminal"]] = []
_input_arrived: Final = WaitQueue()
_console_index: int = 0


@final
class SerialDriver(TtyDriver):
    """A 16550 port as a terminal's wire."""

    def __init__(self, port: SerialPort) -> None:
        self.port: SerialPort = port

    def transmit(self, data: bytes) -> None:
        self.port.write(span_of(data))

    def room(self) -> int:
        return _PART

    def byte_cost(self) -> int:
        return _BYTE_COST

    def hangs_up_with_session(self) -> bool:
        return True


@final
class SerialTerminal:
    """A port and its terminal."""

    def __init__(self, port: SerialPort, tty: Tty) -> None:
        self.port: SerialPort = port
        self.tty: Tty = tty


def open_serial(path: Path, flags: int) -> File:
    """open(2) of /dev/ttySN."""
    tty = TERMINALS.get(path.inode().rdev)
    if tty is None:
        raise Errno(ENXIO)
    return open_terminal(tty, path, flags)


def _place() -> BusDevice:
    """The bus device of the serial lines. Raises MemoryError."""
    root = bus_root(ROOT_PLATFORM)
    found = bus_device(root.path + b"/serial8250")
    if found is None:
        found = BusDevice(root, b"serial8250", b"platform")
        found.driver = b"serial8250"
    return found


def console_name() -> bytes:
    """The name of the line that is the console; empty without one."""
    return _serial_lines[_console_index].tty.name if _console_index < len(_serial_lines) else b""


def open_console(path: Path, flags: int) -> File:
    """open(2) of /dev/console. Raises ENODEV without a serial line."""
    if _console_index >= len(_serial_lines):
        raise Errno(ENODEV)
    return open_console_file(_serial_lines[_console_index].tty, path, flags)


@final
class SerialInterrupt(vectors.InterruptHandler):
    """A port's interrupt: take what it received, and wake the terminal thread."""

    def __init__(self, port: SerialPort) -> None:
        super().__init__()
        self.port: SerialPort = port

    def interrupt(self) -> None:
        self.port.receive()
        if self.port.ring_length > 0:
            _input_arrived.wake_all()


def _terminal_thread(argument: int) -> None:
    """Feed what the lines received to their terminals, forever."""
    while True:
        for line in _serial_lines:
            byte = line.port.take_byte()
            while byte >= 0:
                try:
                    line.tty.input_byte(byte)
                except MemoryError:
                    pass  # the byte is lost, as with a full queue, or only its echo; the lines live on
                byte = line.port.take_byte()
        if not _input_waiting():
            _input_arrived.sleep(interruptible=False)


def _input_waiting() -> bool:
    for line in _serial_lines:
        if line.port.ring_length > 0:
            return True
    return False


def start(console_index: int) -> None:
    """Create a terminal for every serial port found, register the devices, start the terminal thread. `console_index`:
    which line is the console.
    """
    global _console_index
    _console_index = console_index
    for port in serial_ports:
        if port.present:
            device = _MAJOR_SERIAL << 8 | (_FIRST_SERIAL_MINOR + port.number)
            name = f"ttyS{port.number}".encode()
            tty = Tty(name, device, SerialDriver(port))
            TERMINALS[device] = tty
            _serial_lines.append(SerialTerminal(port, tty))
            register_char_device(_MAJOR_SERIAL, _FIRST_SERIAL_MINOR + port.number, name, open_serial, _place())
            vectors.add_to_line(port.line, SerialInterrupt(port), level_triggered=False)
            port.enable_receive()
    register_char_device(_MAJOR_TTY, 0, b"tty", open_controlling)
    register_char_device(_MAJOR_TTY, 1, b"console", open_console)
    TERMINAL_HOOK.session_ended = session_ended
    spawn_kernel_thread(b"kterminal", _terminal_thread, 0)
