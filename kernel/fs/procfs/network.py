"""/proc/net and /proc/sys/net: tables and settings that the network's parts have entered
(kernel/net/internet/sysctl.py).

Context: see entries.py.
"""

from typing import Final

from kernel.fs.constants import MAY_WRITE, S_IFREG
from kernel.fs.file import DirectorySink, File
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.fs.procfs.entries import (
    FIRST_POSITION,
    ComputedDirectory,
    FixedText,
    PiecesFile,
    TextInode,
    check_setting_access,
    check_setting_writer,
)
from kernel.lang import EACCES, EINVAL, Errno, final
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.lib.credentials import Credentials, caller_credentials
from kernel.lib.settings import SystemSetting
from kernel.net.internet.sysctl import TABLES, Setting, Table, TableLines

_FIRST_INO: Final = 0xE000_0000
_MOST: Final = (1 << 63) - 1


@final
class LinesFile(PiecesFile):
    """An open table that comes in pieces."""

    def __init__(self, path: Path, flags: int, table: Table) -> None:
        super().__init__(path, flags)
        self.table: Table = table
        self.lines: TableLines | None = None

    def begin(self) -> None:
        make = self.table.lines
        self.lines = None if make is None else make()

    def next_piece(self) -> bytes | None:
        lines = self.lines
        return None if lines is None else lines.next()


@final
class LinesInode(Inode):
    """A table that comes in pieces."""

    def __init__(self, file_system: FileSystem, ino: int, table: Table) -> None:
        super().__init__(file_system, ino, S_IFREG | 0o444)
        self.table: Table = table

    def open(self, path: Path, flags: int) -> File:
        return LinesFile(path, flags, self.table)

    def check_permission(self, credentials: Credentials, mask: int) -> None:
        if mask & MAY_WRITE != 0:
            raise Errno(EACCES)  # root, too, can't write what nobody may write
        super().check_permission(credentials, mask)


class NetDirectory(ComputedDirectory):
    """The tables of the network. Base class of /proc/PID/net."""

    def lookup(self, name: bytes) -> Inode | None:
        for index in range(len(TABLES)):
            table = TABLES[index]
            if table.name == name:
                make = table.make
                if make is not None:
                    return FixedText(self.file_system, _FIRST_INO + index, 0o444, make, None)
                return LinesInode(self.file_system, _FIRST_INO + index, table)
        return None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        index = max(0, position - FIRST_POSITION)
        while index < len(TABLES):
            name = TABLES[index].name
            index += 1
            if not sink.emit(name, _FIRST_INO + index - 1, S_IFREG >> 12, index + FIRST_POSITION):
                return
            sink.position = index + FIRST_POSITION


@final
class SettingInode(TextInode):
    """A file of /proc/sys/net."""

    def __init__(self, file_system: FileSystem, ino: int, setting: Setting) -> None:
        super().__init__(file_system, ino, S_IFREG | 0o644)
        self.setting: Setting = setting

    def make_text(self) -> bytes:
        setting = self.setting
        if setting.is_pair:
            return f"{setting.value}\t{setting.second}\n".encode()
        return f"{setting.value}\n".encode()

    def store_text(self, text: bytes) -> None:
        """EINVAL for what is no number, or out of bounds."""
        setting = self.setting
        who = caller_credentials()
        check_setting_writer(self.mode, who is not None and who.capable(CAP_NET_ADMIN))
        numbers = numbers_in(text)
        if len(numbers) != (2 if setting.is_pair else 1):
            raise Errno(EINVAL)
        for number in numbers:
            if not setting.least <= number <= setting.most:
                raise Errno(EINVAL)
        if setting.is_pair:
            if numbers[1] < numbers[0] and not setting.may_be_empty:
                raise Errno(EINVAL)
            setting.second = numbers[1]
        setting.value = numbers[0]

    def check_permission(self, credentials: Credentials, mask: int) -> None:
        if not credentials.capable(CAP_NET_ADMIN):
            check_setting_access(self.mode, credentials, mask)


@final
class SystemSettingInode(TextInode):
    """A number, or a row of them, elsewhere in /proc/sys."""

    def __init__(self, file_system: FileSystem, ino: int, setting: SystemSetting) -> None:
        super().__init__(file_system, ino, S_IFREG | 0o644)
        self.setting: SystemSetting = setting

    def make_text(self) -> bytes:
        self.setting.prepare()
        return b"\t".join([f"{value}".encode() for value in self.setting.values]) + b"\n"

    def store_text(self, text: bytes) -> None:
        """The first numbers of a row may come alone. EINVAL for what is no number, or out of bounds."""
        setting = self.setting
        check_setting_writer(self.mode)
        setting.check_writer()
        numbers = numbers_in(text)
        if len(numbers) == 0 or len(numbers) > len(setting.values):
            raise Errno(EINVAL)
        for number in numbers:
            if not setting.least <= number <= setting.most:
                raise Errno(EINVAL)
        setting.store(numbers)

    def check_permission(self, credentials: Credentials, mask: int) -> None:
        check_setting_access(self.mode, credentials, mask)


def numbers_in(text: bytes) -> list[int]:
    """The numbers of a line, between blanks. EINVAL for anything else."""
    found: list[int] = []
    value = -1
    is_negative = False
    for byte in text + b"\n":
        if 48 <= byte <= 57:
            if value > (_MOST - 9) // 10:
                raise Errno(EINVAL)
            value = (value if value >= 0 else 0) * 10 + byte - 48
        elif byte == 45 and value < 0 and not is_negative:
            is_negative = True
        elif byte == 32 or byte == 9 or byte == 10:
            if value >= 0:
                found.append(-value if is_negative else value)
            elif is_negative:
                raise Errno(EINVAL)
            value = -1
            is_negative = False
        else:
            raise Errno(EINVAL)
    return found
