"""Formats of programs that administrators register (binfmt_misc): which interpreter runs a file, found by the file's
first bytes or by the end of its name.

Each user namespace in which binfmt_misc was ever mounted has a table of its own. A program's formats are those of the
nearest such namespace, from its own upwards. Of several formats that match, the one registered last counts.

Context: `find_format` takes safe points; nothing else sleeps.
Source: Linux's Documentation/admin-guide/binfmt-misc.rst.
"""

from typing import Final

from kernel.fs.file import File
from kernel.fs.filesystem import FileSystem
from kernel.lang import Span, final, noraise, recursion, u8
from kernel.lib.namespace import ProgramFormats, UserNamespace
from kernel.lib.pace import pace

HEAD_SIZE: Final = 256  # bytes of a file that decide what it is; those past its end count as zeros

# Flags of a format, as letters of its registration.
KEEPS_NAME: Final = 1  # P: the interpreter gets the program's own argv[0] as well
OPENS_FILE: Final = 2  # O: it gets an open descriptor of the program
GIVES_CREDENTIALS: Final = 4  # C: the program's set-ID bits and capabilities count, not the interpreter's
HOLDS_INTERPRETER: Final = 8  # F: the interpreter was opened when the format was registered

# Instructions, for `pace`
_FORMAT_COST: Final = 60
_BYTE_COST: Final = 12


@final
class Format:
    """One format. It matches by extension, or else by `magic` at `offset`."""

    def __init__(self, name: bytes, interpreter: bytes, flags: int) -> None:
        self.name: bytes = name
        self.interpreter: bytes = interpreter
        self.flags: int = flags
        self.is_enabled: bool = True
        self.extension: bytes = b""  # without its dot; empty: by magic
        self.offset: int = 0
        self.magic: bytes = b""
        self.mask: bytes = b""  # of the bits that count; as long as the magic, or empty: all count
        self.serial: int = 0  # ascends in its table, which enters it
        self.held: File | None = None  # the interpreter, with HOLDS_INTERPRETER
        self.next_leaving: Format | None = None

    def matches(self, head: Span[u8], extension: bytes | None) -> bool:
        """Whether a file has the format. `head`: its first HEAD_SIZE bytes; `extension`: what follows the last dot of
        its name, None without one.
        """
        if len(self.magic) == 0:
            return extension is not None and extension == self.extension
        mask = self.mask
        for index in range(len(self.magic)):
            unlike = head[self.offset + index] ^ self.magic[index]
            if len(mask) != 0:
                unlike &= mask[index]
            if unlike != 0:
                return False
        return True

    @recursion(2)  # an interpreter that is itself the file of a format ends that one, which waits in the list
    @noraise
    def let_go(self) -> None:
        """Nobody uses it any more: close the interpreter."""
        self.next_leaving = LEAVING.first
        LEAVING.first = self
        if LEAVING.is_under_way:
            return
        LEAVING.is_under_way = True
        while True:
            format = LEAVING.first
            if format is None:
                break
            LEAVING.first = format.next_leaving
            format.next_leaving = None
            held = format.held
            if held is not None:
                format.held = None
                held.release()
        LEAVING.is_under_way = False


@final
class LeavingFormats:
    """Formats whose interpreters are still to be closed, one after the other."""

    def __init__(self) -> None:
        self.first: Format | None = None
        self.is_under_way: bool = False


LEAVING: Final = LeavingFormats()


@final
class FormatTable(ProgramFormats):
    """The formats of a user namespace."""

    def __init__(self) -> None:
        self.is_enabled: bool = True
        self.formats: list[Format] = []  # by serial number
        self.by_name: dict[bytes, Format] = {}
        self.last_serial: int = 0
        self.file_system: FileSystem | None = None  # that shows it, while it is mounted

    def add(self, format: Format) -> None:
        """Enter a format whose name is free. Raises MemoryError, with nothing changed."""
        self.by_name[format.name] = format
        try:
            self.formats.append(format)
        except MemoryError:
            self.by_name.pop(format.name)
            raise
        self.last_serial += 1
        format.serial = self.last_serial

    def remove(self, format: Format) -> bool:
        """Remove a format; whether it was still there."""
        if self.by_name.get(format.name) is not format:
            return False
        self.by_name.pop(format.name)
        self.formats.pop(self.place_of(format.serial))
        return True

    def place_of(self, serial: int) -> int:
        """How many formats have a lower serial number."""
        low = 0
        high = len(self.formats)
        while low < high:
            middle = (low + high) // 2
            if self.formats[middle].serial < serial:
                low = middle + 1
            else:
                high = middle
        return low

    def find(self, head: Span[u8], name: bytes) -> Format | None:
        """The format of a file, if it has one: of its first HEAD_SIZE bytes, called `name`. Formats may come and go at
        the safe points: one that is there all the time is found.
        """
        dot = name.rfind(b".")
        extension = None if dot < 0 else name[dot + 1 :]
        place = len(self.formats)
        while place > 0:
            place = min(place, len(self.formats)) - 1
            if place < 0:
                return None
            format = self.formats[place]
            if format.is_enabled and format.matches(head, extension):
                return format
            pace(_FORMAT_COST + _BYTE_COST * len(format.magic))
        return None


def table_of(namespace: UserNamespace) -> FormatTable:
    """The table of a user namespace, which gets one if it has none. Raises MemoryError."""
    found = namespace.formats
    if not isinstance(found, FormatTable):
        found = FormatTable()
        namespace.formats = found
    return found


def find_format(namespace: UserNamespace, head: Span[u8], name: bytes) -> Format | None:
    """The format of a file that a program of that user namespace runs. `head`: at most HEAD_SIZE bytes. Raises
    MemoryError.
    """
    walker = namespace
    while walker.formats is None:
        parent = walker.parent
        if parent is None:
            return None
        walker = parent
    found = walker.formats
    if not isinstance(found, FormatTable) or not found.is_enabled or len(found.formats) == 0:
        return None
    return found.find(head, name)
