"""Files of /proc whose text is produced when they are read: declared at the function that produces it.

    @proc_file("uptime")
    def uptime() -> bytes: ...

    @proc_line("sys/kernel/hostname", store=set_hostname)
    def hostname() -> bytes: ...

kernel/fs/procfs shows them, and creates the directories in their paths. The docstring becomes the file's description in
docs/proc-files.md. Numbers under /proc/sys need no function: they are a `Setting` (settings.py).

Context: declared while the kernel is built. Making a text may sleep where it reads user memory.
"""

from collections.abc import Callable
from typing import Final

from kernel.lang import final
from kernel.lib.credentials import Credentials

MakeText = Callable[[], bytes]
StoreText = Callable[[bytes], None]

_OF_NETWORKS: Final = "net/"


class TextPieces:
    """A text that may be long, in pieces: each is produced when a reader reaches it. Base class. State kept between
    pieces must not keep objects alive.
    """

    def opened_by(self, who: Credentials | None) -> None:
        """Set whose rights decide what is shown, where that depends on rights; None: the kernel's own. Called first."""

    def next(self) -> bytes | None:
        """The next piece, which may be empty; None after the last one."""
        return None


MakePieces = Callable[[], TextPieces]


@final
class ProcFile:
    """One file, with a text or a text in pieces. `store` is None for one that cannot be written."""

    def __init__(
        self, path: bytes, make: MakeText | None, pieces: MakePieces | None, store: StoreText | None, is_line: bool
    ) -> None:
        self.path: bytes = path
        self.make: MakeText | None = make
        self.pieces: MakePieces | None = pieces
        self.store: StoreText | None = store
        self.is_line: bool = is_line
        self.is_for_root: bool = False  # nobody else may read it


PROC_FILES: Final[list[ProcFile]] = []
NET_FILES: Final[list[ProcFile]] = []
"""Those of /proc/net, which is a link to /proc/self/net; their paths have no "net/" in front."""


def proc_file(path: str, store: StoreText | None = None) -> Callable[[MakeText], MakeText]:
    """Let the decorated function produce the text of /proc/`path`. `store` handles writes, and raises EINVAL for
    invalid ones; the file can then be written by root, otherwise by nobody.

    Runs at build time only. Raises ValueError for a path that is declared twice.
    """

    def enter(make: MakeText) -> MakeText:
        _enter(path, make, None, store, is_line=False)
        return make

    return enter


def proc_line(path: str, store: StoreText | None = None) -> Callable[[MakeText], MakeText]:
    """The same for a setting, below sys/, that is a line of text: other settings are numbers, which are read and
    written as a whole.
    """

    def enter(make: MakeText) -> MakeText:
        _enter(path, make, None, store, is_line=True)
        return make

    return enter


def proc_pieces(path: str, is_for_root: bool = False) -> Callable[[MakePieces], MakePieces]:
    """Let the decorated function produce the text of /proc/`path` in pieces, for an unbounded table. As
    `proc_file`. `is_for_root`: nobody else may read it.
    """

    def enter(pieces: MakePieces) -> MakePieces:
        file = _enter(path, None, pieces, None, is_line=False)
        file.is_for_root = is_for_root
        return pieces

    return enter


def _enter(
    path: str, make: MakeText | None, pieces: MakePieces | None, store: StoreText | None, is_line: bool
) -> ProcFile:
    files = NET_FILES if path.startswith(_OF_NETWORKS) else PROC_FILES
    name = path.removeprefix(_OF_NETWORKS).encode()
    if any(file.path == name for file in files):
        raise ValueError(f"/proc/{path} is declared twice")
    file = ProcFile(name, make, pieces, store, is_line)
    files.append(file)
    return file
