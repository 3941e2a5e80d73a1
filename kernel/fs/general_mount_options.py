"""Options that every file system has, in the text that mount(2) is given and as parameters of fsconfig(2). They are
taken out before the type sees the rest (its own `mount_options.py`), and set flags of the file system.

Types that take their text whole (`check_options` is None) find these names in it, as on Linux, where they mean nothing.

Context: pure logic.
"""

from typing import Final

from kernel.fs.constants import MS_DIRSYNC, MS_LAZYTIME, MS_MANDLOCK, MS_RDONLY, MS_SYNCHRONOUS
from kernel.fs.filesystem import FileSystemType, split_option
from kernel.lang import EINVAL, Errno, final

_SET: Final[dict[bytes, int]] = {
    b"ro": MS_RDONLY,
    b"sync": MS_SYNCHRONOUS,
    b"dirsync": MS_DIRSYNC,
    b"lazytime": MS_LAZYTIME,  # times are written as lazily as they may be in any case
    b"mand": MS_MANDLOCK,  # there are no mandatory locks any more
}
_CLEARED: Final[dict[bytes, int]] = {
    b"rw": MS_RDONLY,
    b"async": MS_SYNCHRONOUS,
    b"nolazytime": MS_LAZYTIME,
    b"nomand": MS_MANDLOCK,
}


def is_general(name: bytes) -> bool:
    """Whether an option is one of these, whatever its value is."""
    return name in _SET or name in _CLEARED


def changed_flags(flags: int, name: bytes) -> int:
    """MS_* of a file system after one of these options."""
    return flags | _SET[name] if name in _SET else flags & ~_CLEARED.get(name, 0)


def flag_of(name: bytes) -> int:
    """The flag that one of these options sets or clears."""
    return _SET.get(name, 0) | _CLEARED.get(name, 0)


@final
class Sifted:
    """A text of options: what the type gets of it, the source, and the flags of the file system."""

    def __init__(self, source: bytes, flags: int, text: bytes) -> None:
        self.source: bytes = source
        self.flags: int = flags
        self.rest: bytes = text


def sift(kind: FileSystemType, source: bytes, flags: int, text: bytes) -> Sifted:
    """Take the general options out of a text. Raises EINVAL for a second source, MemoryError."""
    sifted = Sifted(source, flags, text)
    if kind.check_options is None:
        return sifted
    rest: list[bytes] = []
    for option in kind.split_options(text):
        name, value = split_option(option)
        if len(option) == 0 or (len(name) == 0 and not kind.refuses_nameless):
            continue
        if is_general(name):
            sifted.flags = changed_flags(sifted.flags, name)
        elif name == b"source":
            if len(sifted.source) > 0 or len(name) == len(option):
                raise Errno(EINVAL)
            sifted.source = value
        else:
            rest.append(option)
    sifted.rest = b",".join(rest)
    return sifted
