"""/proc/net, whose tables the network's parts declare, and the numbers of /proc/sys.

Context: see entries.py.
"""

from typing import Final

from kernel.fs.constants import MAY_EXEC, O_ACCMODE, O_RDWR, O_WRONLY, S_IFREG
from kernel.fs.file import DirectorySink, File
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.fs.procfs.entries import (
    FIRST_POSITION,
    ComputedDirectory,
    PiecesFile,
    TextFile,
    TextInode,
    check_new_size,
    check_setting_access,
    check_setting_writer,
)
from kernel.lang import EACCES, EIO, ENXIO, Errno, Weak, final, weak
from kernel.lib.credentials import Actor, Credentials, caller_credentials
from kernel.lib.proc_files import NET_FILES, MakeText, ProcFile, TextPieces
from kernel.lib.settings import WRITE_LIMIT, Setting
from kernel.lib.user import Buffer
from kernel.net.link.network import FIRST_NETWORK, SHOWN, Network

_FIRST_INO: Final = 0xE000_0000
# Files about a network that have no rows: root may open these for writing.
_FIGURES: Final = (b"snmp", b"netstat", b"snmp6", b"sockstat", b"sockstat6", b"pnp")


def _check_only_reads(flags: int) -> None:
    """Raise EACCES for the flags of open(2) that ask to write, even to root."""
    if flags & O_ACCMODE in (O_WRONLY, O_RDWR):
        raise Errno(EACCES)


@final
class OpenPieces(PiecesFile):
    """An open table that comes in pieces."""

    def __init__(self, path: Path, flags: int, file: ProcFile, network: Network, opener: Credentials | None) -> None:
        super().__init__(path, flags)
        self.source: ProcFile = file
        self.opener: Credentials | None = opener
        self.network: Network = network
        self.pieces: TextPieces | None = None
        network.acquire()

    def can_be_watched(self) -> bool:
        return True

    def close(self) -> None:
        self.pieces = None
        self.network.release()
        super().close()

    def begin(self) -> None:
        make = self.source.pieces
        if make is None:
            return
        SHOWN.network = self.network
        try:
            pieces = make()
        finally:
            SHOWN.network = FIRST_NETWORK
        pieces.opened_by(self.opener)
        self.pieces = pieces

    def next_piece(self) -> bytes | None:
        pieces = self.pieces
        return None if pieces is None else pieces.next()

    def write(self, buffer: Buffer) -> int:
        raise Errno(EIO)  # root may open it for writing


@final
class PiecesInode(Inode):
    """A table that comes in pieces."""

    def __init__(self, file_system: FileSystem, ino: int, file: ProcFile, network: Network = FIRST_NETWORK) -> None:
        super().__init__(file_system, ino, S_IFREG | (0o440 if file.is_for_root else 0o444))
        self.source: ProcFile = file
        self.reads_alone: bool = False  # is_only_read
        self.refuses_writers: bool = False  # to open it for writing is an error, even for root
        self.network: Weak[Network] = weak(network)  # its network, if it has one

    def open(self, path: Path, flags: int) -> File:
        if self.refuses_writers:
            _check_only_reads(flags)
        return OpenPieces(path, flags, self.source, _living(self.network), caller_credentials())

    def is_only_read(self) -> bool:
        return self.reads_alone

    def truncate(self, size: int) -> None:
        """No effect, as for a text that is written at once."""
        check_new_size(size)


@final
class OpenText(TextFile):
    """An open table that is written at once."""

    def __init__(self, path: Path, flags: int, source: TextInode, network: Network) -> None:
        super().__init__(path, flags, source)
        self.network: Network = network
        network.acquire()

    def close(self) -> None:
        self.network.release()
        super().close()


def _living(network: Weak[Network]) -> Network:
    """A network whose table is read. The name in /proc does not keep it alive; an open file does, as on Linux. Raises
    ENXIO for one that has ended.
    """
    found = network.get()
    if found is None or found.is_over():
        raise Errno(ENXIO)
    return found


@final
class NetText(TextInode):
    """A table that is written at once."""

    def __init__(self, file_system: FileSystem, ino: int, file: ProcFile, make: MakeText, network: Network) -> None:
        super().__init__(file_system, ino, S_IFREG | 0o444)
        self.is_table: bool = file.path not in _FIGURES
        self.make: MakeText = make
        self.network: Weak[Network] = weak(network)
        self.reads_alone = True

    def open(self, path: Path, flags: int) -> File:
        self.check_reader()
        if self.is_table:
            _check_only_reads(flags)
        return OpenText(path, flags, self, _living(self.network))

    def make_text(self) -> bytes:
        make = self.make
        SHOWN.network = _living(self.network)
        try:
            return make()
        finally:
            SHOWN.network = FIRST_NETWORK

    def store_text(self, text: bytes, offset: int) -> int:
        raise Errno(EIO)  # root may open it for writing


class NetDirectory(ComputedDirectory):
    """The tables of a network. Base class of /proc/PID/net."""

    def network(self) -> Network:
        """The network whose tables these are."""
        return FIRST_NETWORK

    def lookup(self, name: bytes) -> Inode | None:
        for index in range(len(NET_FILES)):
            file = NET_FILES[index]
            if file.path == name:
                make = file.make
                if make is not None:
                    return NetText(self.file_system, _FIRST_INO + index, file, make, self.network())
                pieces = PiecesInode(self.file_system, _FIRST_INO + index, file, self.network())
                pieces.reads_alone = True
                pieces.refuses_writers = True
                return pieces
        return None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        index = max(0, position - FIRST_POSITION)
        while index < len(NET_FILES):
            name = NET_FILES[index].path
            index += 1
            if not sink.emit(name, _FIRST_INO + index - 1, S_IFREG >> 12, index + FIRST_POSITION):
                return
            sink.position = index + FIRST_POSITION


@final
class SettingInode(TextInode):
    """A number, or a row of them, in /proc/sys."""

    def __init__(self, file_system: FileSystem, ino: int, setting: Setting) -> None:
        super().__init__(file_system, ino, S_IFREG | setting.mode)
        self.setting: Setting = setting

    def open(self, path: Path, flags: int) -> File:
        setting = self.setting.for_opener()
        source = self if setting is self.setting else SettingInode(self.file_system, self.ino, setting)
        return TextFile(path, flags, source)

    def make_text(self) -> bytes:
        return self.setting.text()

    def holds_numbers(self) -> bool:
        return True

    def held_bytes(self) -> int:
        return self.setting.held_bytes()

    def store_text(self, text: bytes, offset: int) -> int:
        setting = self.setting
        who = caller_credentials()
        check_setting_writer(self.mode_for_root(), who is not None and setting.may_be_changed_by(who))
        setting.check_writer()
        return setting.store_text(text) if offset == 0 else len(text)

    def write_limit(self) -> int:
        return WRITE_LIMIT

    def check_permission(self, actor: Actor, mask: int) -> None:
        if mask & MAY_EXEC != 0 or not self.setting.may_be_changed_by(actor):
            check_setting_access(self.mode_for_root(), actor, mask)

    def keeps_mode(self) -> bool:
        return True

    def keeps_owner(self) -> bool:
        return True

    def mode_for_root(self) -> int:
        """The mode of a setting that only root decides."""
        return self.mode if self.setting.is_for_root() else self.mode & ~0o222
