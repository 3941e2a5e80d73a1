"""/sys/kernel/mm/transparent_hugepage: large pages of anonymous memory (kernel/mm/large_pages.py).

    enabled            when faults bring one: always, only where madvise(2) asked, never
    defrag             when caches are emptied for one
    use_zero_page      kept, without an effect: what is only read has single pages
    hpage_pmd_size     how large one is, in bytes

Linux has further files: for pages of other sizes, for files in memory, and for a thread that joins single pages.
Nothing of that is here, nor are the files.

Context: thread context.
Source: Linux's Documentation/admin-guide/mm/transhuge.rst.
"""

from typing import Final

from kernel.fs.sysfs.kobject import Kobject, line
from kernel.lang import EINVAL, EIO, Errno, final
from kernel.lib.numbers import LARGEST, parse_unsigned
from kernel.mm.huge_pool import HUGE_SIZE
from kernel.mm.large_pages import LARGE_PAGES

_INO: Final = 1 << 54 | 512
_FILES: Final[list[bytes]] = [b"enabled", b"defrag", b"use_zero_page", b"hpage_pmd_size"]
# By number, and in the order in which they are shown
_MODES: Final[list[bytes]] = [b"always", b"madvise", b"never"]
_EFFORTS: Final[list[bytes]] = [b"always", b"madvise", b"never", b"defer", b"defer+madvise"]
_SHOWN_EFFORTS: Final[list[int]] = [0, 3, 4, 1, 2]
_SHOWN_MODES: Final[list[int]] = [0, 1, 2]


def _choice(names: list[bytes], shown: list[int], chosen: int) -> bytes:
    """All names, the chosen one in brackets."""
    words: list[bytes] = []
    for number in shown:
        words.append(b"[" + names[number] + b"]" if number == chosen else names[number])
    return b" ".join(words) + b"\n"


def _chosen(names: list[bytes], text: bytes) -> int:
    """The number of a name, after which there may be one newline. Raises EINVAL."""
    if text.endswith(b"\n"):
        text = text[: len(text) - 1]
    for number, name in enumerate(names):
        if name == text:
            return number
    raise Errno(EINVAL)


@final
class LargePagesKobject(Kobject):
    """The directory."""

    def __init__(self) -> None:
        super().__init__(b"/kernel/mm/transparent_hugepage", _INO)

    def attributes(self) -> list[bytes]:
        return _FILES

    def mode(self, attribute: bytes) -> int:
        return 0o444 if attribute == b"hpage_pmd_size" else 0o644

    def text(self, attribute: bytes) -> bytes:
        match attribute:
            case b"enabled":
                return _choice(_MODES, _SHOWN_MODES, LARGE_PAGES.enabled)
            case b"defrag":
                return _choice(_EFFORTS, _SHOWN_EFFORTS, LARGE_PAGES.effort)
            case b"use_zero_page":
                return line(1 if LARGE_PAGES.uses_zero_page else 0)
        return line(HUGE_SIZE)

    def store(self, attribute: bytes, text: bytes) -> None:
        """Raises EINVAL, ERANGE, EIO (it cannot be set)."""
        match attribute:
            case b"enabled":
                LARGE_PAGES.enabled = _chosen(_MODES, text)
            case b"defrag":
                LARGE_PAGES.effort = _chosen(_EFFORTS, text)
            case b"use_zero_page":
                value = parse_unsigned(text, 10, LARGEST + 1)
                if value > 1:
                    raise Errno(EINVAL)
                LARGE_PAGES.uses_zero_page = value != 0
            case _:
                raise Errno(EIO)
