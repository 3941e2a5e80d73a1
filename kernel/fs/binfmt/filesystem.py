"""binfmt_misc: the file system by which an administrator registers formats of programs, and sees, switches and removes
them. What a format does is in kernel/task/formats.py.

    register    write a format's text to add it
    status      whether any format counts; write 1, 0, or -1 to remove all
    NAME        a format; write 1, 0, or -1 to remove it

Each user namespace has one instance, however often it is mounted. Its formats end with its last mount.

Context: only opening an interpreter (flag F) sleeps. Source: Linux's Documentation/admin-guide/binfmt-misc.rst.
"""

from typing import Final

from kernel.fs.constants import S_IFDIR, S_IFMT, S_IFREG
from kernel.fs.dentry import Dentry
from kernel.fs.file import DirectorySink, File, InodeFile
from kernel.fs.filesystem import FileSystem, refuse_options, register_filesystem
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.fs.procfs.entries import FIRST_POSITION, OpenedText
from kernel.fs.walk import ENTER, FOLLOW, resolve
from kernel.lang import EACCES, EEXIST, EFAULT, EINVAL, ENAMETOOLONG, EPERM, Errno, final
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.credentials import Credentials, caller_credentials, caller_namespace
from kernel.lib.namespace import UserNamespace
from kernel.lib.pace import PACE, pace
from kernel.lib.user import Buffer
from kernel.mm.keeping import check_room_to_keep
from kernel.task.exec import open_executable
from kernel.task.format_text import LONGEST, SHORTEST, parse_format, show_format
from kernel.task.formats import HOLDS_INTERPRETER, Format, FormatTable, table_of
from kernel.task.task import current

MAGIC: Final = 0x4249_4E4D
_NAME_MAX: Final = 255
_ROOT_INO: Final = 1
_STATUS_INO: Final = 2
_REGISTER_INO: Final = 3
_LAST_INO: Final = _REGISTER_INO  # of the fixed files; those of formats follow
_KIND_FILE: Final = S_IFREG >> 12
_COMMAND_LIMIT: Final = 3  # bytes
_ENTRY_COST: Final = 800  # instructions

_NOTHING: Final = 0
_DISABLE: Final = 1
_ENABLE: Final = 2
_REMOVE: Final = 3


@final
class BinfmtFileSystem(FileSystem):
    """The instance of a user namespace."""

    def __init__(self, source: bytes, namespace: UserNamespace, table: FormatTable) -> None:
        super().__init__(b"binfmt_misc", source, MAGIC)
        self.belong_to(namespace)
        self.table: FormatTable = table
        self.top: BinfmtDirectory | None = None
        self.is_ending: bool = False

    def root(self) -> Inode:
        return self.directory()

    def directory(self) -> "BinfmtDirectory":
        """The root directory."""
        top = self.top
        if top is None:
            raise Errno(EINVAL)
        return top

    def reconfigure(self, options: bytes) -> None:
        if len(options) > 0:
            raise Errno(EINVAL)

    def withdraw(self) -> None:
        self.is_ending = True

    def shut_down(self) -> None:
        self.is_ending = True
        top = self.top
        self.top = None
        self.kept_root = None
        if top is not None:
            top.remove_all()
        self.table.file_system = None
        PACE.rest.report_change()


class BinfmtInode(Inode):
    """A file of an instance, which the root user of its user namespace owns. Base class."""

    def __init__(self, owner: BinfmtFileSystem, ino: int, mode: int) -> None:
        super().__init__(owner, ino, mode)
        self.owner: BinfmtFileSystem = owner
        self.uid = owner.user_namespace.kernel_uid(0)
        self.gid = owner.user_namespace.kernel_gid(0)

    def is_only_read(self) -> bool:
        return True

    def truncate(self, size: int) -> None:
        """O_TRUNC, as from the shell's redirection, has no effect here."""


class CommandInode(BinfmtInode):
    """`status`, or the file of a format. Base class."""

    def make_text(self) -> bytes:
        """What a read finds."""
        return b""

    def obey(self, command: int) -> None:
        """What was written: _DISABLE, _ENABLE or _REMOVE."""

    def open(self, path: Path, flags: int) -> File:
        return CommandFile(path, flags, self)


@final
class StatusInode(CommandInode):
    """`status`."""

    def __init__(self, owner: BinfmtFileSystem) -> None:
        super().__init__(owner, _STATUS_INO, S_IFREG | 0o644)

    def make_text(self) -> bytes:
        return b"enabled\n" if self.owner.table.is_enabled else b"disabled\n"

    def obey(self, command: int) -> None:
        if command == _REMOVE:
            self.owner.directory().remove_all()
        else:
            self.owner.table.is_enabled = command == _ENABLE


@final
class FormatInode(CommandInode):
    """The file of a format. Once it has no name, the format goes when nobody has it open."""

    def __init__(self, owner: BinfmtFileSystem, ino: int, format: Format) -> None:
        super().__init__(owner, ino, S_IFREG | 0o644)
        self.format: Format = format

    def make_text(self) -> bytes:
        return show_format(self.format)

    def obey(self, command: int) -> None:
        if command == _REMOVE:
            self.owner.directory().remove(self)
        else:
            self.format.is_enabled = command == _ENABLE

    def evict(self) -> None:
        self.format.let_go()


@final
class RegisterInode(BinfmtInode):
    """`register`."""

    def __init__(self, owner: BinfmtFileSystem) -> None:
        super().__init__(owner, _REGISTER_INO, S_IFREG | 0o200)

    def open(self, path: Path, flags: int) -> File:
        return RegisterFile(path, flags, self, current().credentials)


@final
class CommandFile(InodeFile):
    """An open `status`, or format. A write does what it says, wherever in the file it is."""

    def __init__(self, path: Path, flags: int, source: CommandInode) -> None:
        super().__init__(path, flags)
        self.source: CommandInode = source

    def read(self, buffer: Buffer) -> int:
        done = self.pread(buffer, self.position)
        self.position += done
        return done

    def pread(self, buffer: Buffer, offset: int) -> int:
        text = self.source.make_text()
        return 0 if offset >= len(text) else buffer.put_bytes(text[offset:])

    def write(self, buffer: Buffer) -> int:
        return self.pwrite(buffer, 0)

    def pwrite(self, buffer: Buffer, offset: int) -> int:
        count = buffer.remaining
        command = _parse_command(_take(buffer, 0, _COMMAND_LIMIT))
        if command != _NOTHING:
            self.source.obey(command)
        return count

    def fsync(self) -> None:
        raise Errno(EINVAL)


@final
class RegisterFile(OpenedText):
    """An open `register`."""

    def __init__(self, path: Path, flags: int, source: RegisterInode, opener: Credentials) -> None:
        super().__init__(path, flags, opener)
        self.source: RegisterInode = source

    def pread(self, buffer: Buffer, offset: int) -> int:
        raise Errno(EINVAL)

    def seek(self, offset: int, whence: int) -> int:
        return self.position

    def write(self, buffer: Buffer) -> int:
        return self.pwrite(buffer, 0)

    def pwrite(self, buffer: Buffer, offset: int) -> int:
        """Register a format, whose interpreter is opened with the rights of whoever opened the file. Sleeps. Raises
        EINVAL, EEXIST, EFAULT, ENAMETOOLONG, what opening the interpreter raises, and MemoryError.
        """
        count = buffer.remaining
        format = parse_format(_take(buffer, SHORTEST, LONGEST))
        check_room_to_keep()
        if format.flags & HOLDS_INTERPRETER != 0:
            format.held = self._open_interpreter(format.interpreter)
        done = False
        try:
            self.source.owner.directory().add(format)
            done = True
        finally:
            if not done:
                format.let_go()
        return count

    def _open_interpreter(self, name: bytes) -> File:
        context = current().fs.acting_for(self.opener)
        try:
            return open_executable(context, resolve(context, None, name, FOLLOW | ENTER))
        finally:
            context.release()


def _take(buffer: Buffer, least: int, most: int) -> bytes:
    """What was written, if its length is right. Raises EINVAL, EFAULT."""
    count = buffer.remaining
    if not least <= count <= most:
        raise Errno(EINVAL)
    text = buffer.take_bytes(count)
    if len(text) != count:
        raise Errno(EFAULT)
    return text


def _parse_command(text: bytes) -> int:
    """What was written to `status`, or to a format. Raises EINVAL."""
    if len(text) == 0:
        return _NOTHING
    line = text[:-1] if text[len(text) - 1] == ord("\n") else text
    if line == b"0":
        return _DISABLE
    if line == b"1":
        return _ENABLE
    if line == b"-1":
        return _REMOVE
    raise Errno(EINVAL)


@final
class BinfmtDirectory(BinfmtInode):
    """The root, the only directory."""

    def __init__(self, owner: BinfmtFileSystem) -> None:
        super().__init__(owner, _ROOT_INO, S_IFDIR | 0o755)
        self.nlink = 2
        self.caches_children = False
        self.table: FormatTable = owner.table
        self.status: StatusInode = StatusInode(owner)
        self.register: RegisterInode = RegisterInode(owner)
        self.files: dict[bytes, FormatInode] = {}

    def lookup(self, name: bytes) -> Inode | None:
        if name == b"status":
            return self.status
        return self.register if name == b"register" else self.files.get(name)

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        """The serial numbers of formats are their positions."""
        if position <= FIRST_POSITION:
            if not sink.emit(b"status", _STATUS_INO, _KIND_FILE, FIRST_POSITION + 1):
                return
            sink.position = FIRST_POSITION + 1
        first = FIRST_POSITION + 1
        if position <= first:
            if not sink.emit(b"register", _REGISTER_INO, _KIND_FILE, first + 1):
                return
            sink.position = first + 1
        formats = self.table.formats
        place = self.table.place_of(max(0, position - first))
        while place < len(formats):
            format = formats[place]
            place += 1
            here = first + format.serial
            if not sink.emit(format.name, _LAST_INO + format.serial, _KIND_FILE, here + 1):
                return
            sink.position = here + 1

    def add(self, format: Format) -> None:
        """Enter a format. Raises EEXIST, ENAMETOOLONG, MemoryError, with nothing changed."""
        if len(format.name) > _NAME_MAX:
            raise Errno(ENAMETOOLONG)
        if self.lookup(format.name) is not None:
            raise Errno(EEXIST)
        file = FormatInode(self.owner, _LAST_INO + self.table.last_serial + 1, format)
        self.files[format.name] = file
        try:
            self.table.add(format)
        except MemoryError:
            self.files.pop(format.name)
            raise
        self.touch_modified()

    def remove(self, file: FormatInode) -> None:
        """Remove a format, if that has not been done."""
        if self.table.remove(file.format):
            self.files.pop(file.format.name)
            self.touch_modified()
            file.drop_link()

    def remove_all(self) -> None:
        """Remove all formats. Takes safe points: those that are added meanwhile go as well."""
        formats = self.table.formats
        while len(formats) > 0:
            file = self.files.get(formats[len(formats) - 1].name)
            if file is None:
                return
            self.remove(file)
            pace(_ENTRY_COST)

    def create(self, name: bytes, mode: int, rdev: int, credentials: Credentials) -> Inode:
        raise Errno(EACCES if mode & S_IFMT == S_IFREG else EPERM)

    def open(self, path: Path, flags: int) -> File:
        return InodeFile(path, flags)


def make_binfmt_misc(source: bytes, options: bytes) -> FileSystem:
    """The instance of the caller's user namespace, whatever the source is called. Sleeps while one ends, whose formats
    go with it. Raises EINVAL, EPERM, MemoryError.
    """
    if len(options) > 0:
        raise Errno(EINVAL)
    namespace = caller_namespace()
    who = caller_credentials()
    if who is not None and not who.capable_in(namespace, CAP_SYS_ADMIN):
        raise Errno(EPERM)  # before it has a table
    table = table_of(namespace)
    shown = table.file_system
    while isinstance(shown, BinfmtFileSystem) and shown.is_ending:
        PACE.rest.wait_for_change()
        shown = table.file_system
    if shown is not None:
        shown.source = source
        return shown
    made = BinfmtFileSystem(source, namespace, table)
    top = BinfmtDirectory(made)
    made.kept_root = Dentry(None, b"/", top)
    made.top = top
    table.file_system = made
    table.is_enabled = True
    return made


register_filesystem(b"binfmt_misc", make_binfmt_misc, is_for_all=True).check_options = refuse_options
