"""Terminal settings: the bits of `struct termios` as Linux numbers them for x86-64, and their layout in user memory.

Source: termios(3), ioctl_tty(2).
"""


from typing import Final, Literal

from kernel.lang import Array, final, struct, u8, u16, u32

# Input modes
IGNBRK: Final = 0o1
BRKINT: Final = 0o2
IGNPAR: Final = 0o4
PARMRK: Final = 0o10
INPCK: Final = 0o20
ISTRIP: Final = 0o40
INLCR: Final = 0o100
IGNCR: Final = 0o200
ICRNL: Final = 0o400
IUCLC: Final = 0o1000
IXON: Final = 0o2000
IXANY: Final = 0o4000
IXOFF: Final = 0o10000
IMAXBEL: Final = 0o20000
IUTF8: Final = 0o40000

# Output modes
OPOST: Final = 0o1
OLCUC: Final = 0o2
ONLCR: Final = 0o4
OCRNL: Final = 0o10
ONOCR: Final = 0o20
ONLRET: Final = 0o40
TABDLY: Final = 0o14000
XTABS: Final = 0o14000

# Control modes
CSIZE: Final = 0o60
CS8: Final = 0o60
CREAD: Final = 0o200
HUPCL: Final = 0o2000
CLOCAL: Final = 0o4000
PARENB: Final = 0o400
CBAUD: Final = 0o10017
B38400: Final = 0o17
BOTHER: Final = 0o10000  # the speed is a number of its own (termios2)
B115200: Final = 0o10002

# Local modes
ISIG: Final = 0o1
ICANON: Final = 0o2
XCASE: Final = 0o4
ECHO: Final = 0o10
ECHOE: Final = 0o20
ECHOK: Final = 0o40
ECHONL: Final = 0o100
NOFLSH: Final = 0o200
TOSTOP: Final = 0o400
ECHOCTL: Final = 0o1000
ECHOPRT: Final = 0o2000
ECHOKE: Final = 0o4000
FLUSHO: Final = 0o10000
PENDIN: Final = 0o40000
IEXTEN: Final = 0o100000

# Indices of control characters
VINTR: Final = 0
VQUIT: Final = 1
VERASE: Final = 2
VKILL: Final = 3
VEOF: Final = 4
VTIME: Final = 5
VMIN: Final = 6
VSWTC: Final = 7
VSTART: Final = 8
VSTOP: Final = 9
VSUSP: Final = 10
VEOL: Final = 11
VREPRINT: Final = 12
VDISCARD: Final = 13
VWERASE: Final = 14
VLNEXT: Final = 15
VEOL2: Final = 16
CONTROL_CHARACTERS: Final = 19

_DEFAULT_CHARACTERS: Final = bytes([3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0])


# Speeds in bits a second by their codes: those below BOTHER, then those above.
_SPEEDS: Final[list[int]] = [0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400]
_HIGH_SPEEDS: Final[list[int]] = [
    0, 57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000,
    3500000, 4000000,
]  # fmt: skip

TERMIOS_SIZE: Final = 36  # struct termios: the common beginning of both layouts, for TCGETS and TCSETS
TERMIOS2_SIZE: Final = 44


@struct
class RawTermios2:
    """`struct termios2`; without the speeds at its end it is the kernel's `struct termios`."""

    input_flags: u32
    output_flags: u32
    control_flags: u32
    local_flags: u32
    line: u8
    characters: Array[u8, Literal[19]]
    input_speed: u32
    output_speed: u32


@struct
class WindowSize:
    """`struct winsize`."""

    rows: u16
    columns: u16
    x_pixels: u16
    y_pixels: u16


@final
class Termios:
    """The settings of one terminal."""

    def __init__(self) -> None:
        self.input: int = ICRNL | IXON
        self.output: int = OPOST | ONLCR
        self.control: int = B115200 | CS8 | CREAD | HUPCL | CLOCAL
        self.local: int = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN
        self.input_speed: int = 115_200  # bits a second, for programs to see
        self.output_speed: int = 115_200
        self.line: int = 0
        self.characters: bytearray = bytearray(_DEFAULT_CHARACTERS)

    def speed_of_code(self) -> int:
        """The speed of the code in the control modes; the present one for BOTHER."""
        code = self.control & CBAUD
        if code & BOTHER == 0:
            return _SPEEDS[code]
        return _HIGH_SPEEDS[code & 0o17] if code != BOTHER else self.output_speed

    @property
    def canonical(self) -> bool:
        """Whether input is gathered into lines."""
        return self.local & ICANON != 0

    def character(self, index: int) -> int:
        """A control character; 0 means that it is switched off."""
        return self.characters[index]
