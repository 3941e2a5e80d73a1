"""procfs: the file system's type, its root directory, and the tree of files about the system.

The root holds the fixed entries, and a directory for each process, which is created when it is looked up.

Context: see entries.py.
"""

from typing import Final

from kernel.fs.constants import S_IFREG
from kernel.fs.devices.kmsg import ProcKmsgFile
from kernel.fs.file import DirectorySink, File
from kernel.fs.filesystem import FileSystem, register_filesystem
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.fs.procfs import kernel_symbols, keys, metrics, sysctl, system
from kernel.fs.procfs.conf_directories import ConfDirectory
from kernel.fs.procfs.entries import (
    FIRST_POSITION,
    ComputedDirectory,
    FixedDirectory,
    FixedLink,
    FixedText,
    MountPlace,
    SettingsDirectory,
    check_new_size,
)
from kernel.fs.procfs.locks import LocksInode
from kernel.fs.procfs.network import PiecesInode, SettingInode
from kernel.fs.procfs.pressure import RESOURCE_NAMES, RESOURCES, MachinePressureInode
from kernel.fs.procfs.process import ProcessDirectory, SelfLink
from kernel.fs.procfs.subject import Subject, parse_number
from kernel.fs.procfs.swaps import SwapsInode
from kernel.fs.procfs.view import View, check_options
from kernel.lang import EINVAL, EPERM, Errno, final
from kernel.lib.capabilities import CAP_SYSLOG
from kernel.lib.pace import pace
from kernel.lib.pid import UNSET
from kernel.lib.proc_files import PROC_FILES
from kernel.lib.settings import SETTINGS
from kernel.task.pid_namespace import FIRST_PID, PidNamespace
from kernel.task.pids import find_process, find_task, next_process, process_count
from kernel.task.task import current, current_or_none

# Importing them declares files.
_ = (kernel_symbols, keys, metrics, sysctl, system)

PROC_MAGIC: Final = 0x9FA0
_ROOT_INO: Final = 1
_FIRST_FIXED_INO: Final = 0xF000_0000
_ENTRY_COST: Final = 500  # instructions
_PID_POSITIONS: Final = 256  # processes come after the fixed entries: position 256 + pid


@final
class ProcFileSystem(FileSystem):
    """One mounted instance. It shows the pid namespace of its mounter."""

    def __init__(self, source: bytes, pids: PidNamespace) -> None:
        super().__init__(b"proc", source, PROC_MAGIC)
        self.stack_depth = 2  # no layer of an overlay: what it shows depends on who looks
        self.belong_to(pids.owner)
        self.opens_devices = False
        self.reveals = True
        self.next_ino: int = _FIRST_FIXED_INO
        self.top: RootDirectory | None = None
        self.view: View = View(pids)

    def root(self) -> Inode:
        top = self.top
        if top is None:
            raise Errno(EINVAL)
        return top

    def shut_down(self) -> None:
        top = self.top
        self.top = None
        if top is not None:
            top.fixed.entries.clear()

    def options(self) -> bytes:
        return self.view.shown()

    def reconfigure(self, options: bytes) -> None:
        self.view.parse(options)

    def new_ino(self) -> int:
        """A number for an inode that stays."""
        self.next_ino += 1
        return self.next_ino


@final
class LogInode(Inode):
    """/proc/kmsg."""

    def __init__(self, file_system: FileSystem, ino: int) -> None:
        super().__init__(file_system, ino, S_IFREG | 0o400)

    def truncate(self, size: int) -> None:
        """No effect."""
        check_new_size(size)

    def open(self, path: Path, flags: int) -> File:
        if not current().credentials.capable(CAP_SYSLOG):
            raise Errno(EPERM)
        return ProcKmsgFile(path, flags)


@final
class RootDirectory(ComputedDirectory):
    """/proc itself."""

    def __init__(self, file_system: ProcFileSystem, fixed: FixedDirectory) -> None:
        super().__init__(file_system, _ROOT_INO, 0o555)
        self.fixed: FixedDirectory = fixed
        self.view: View = file_system.view

    def lookup(self, name: bytes) -> Inode | None:
        number = parse_number(name)
        if number < 0:
            return self.fixed.lookup(name)
        pids = self.view.pids
        pid = pids.resolve(number)
        process = find_process(pid)
        task = find_task(pid) if process is None else None
        if task is not None:
            process = task.process  # a thread can be looked up, and is not listed
        if process is None or not self.view.may_find(process):
            return None
        return ProcessDirectory(self.file_system, Subject(process, UNSET if task is None else pid, pids), self.view)

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        if position < FIRST_POSITION + len(self.fixed.entries):
            self.fixed.read_directory(position, sink)
            if sink.position < FIRST_POSITION + len(self.fixed.entries):
                return
        pids = self.view.pids
        process = next_process(pids, max(0, position - _PID_POSITIONS))
        while process is not None:
            number = pids.shown(process.pid)
            if self.view.may_list(process):
                if not sink.emit(f"{number}".encode(), number << 16, 4, _PID_POSITIONS + number + 1):
                    return
                sink.position = _PID_POSITIONS + number + 1
            pace(_ENTRY_COST)  # processes come and go here
            process = next_process(pids, number + 1)

    def refresh(self) -> None:
        self.nlink = self.fixed.nlink + process_count()


def make_procfs(source: bytes, options: bytes) -> FileSystem:
    """A new instance. Raises EINVAL for wrong options."""
    task = current_or_none()
    fs = ProcFileSystem(source, FIRST_PID if task is None else task.pids)
    fs.view.parse(options)
    top = FixedDirectory(fs, _ROOT_INO)
    top.add(b"self", SelfLink(fs, fs.new_ino(), fs.view, is_thread=False))
    top.add(b"thread-self", SelfLink(fs, fs.new_ino(), fs.view, is_thread=True))
    if not fs.view.has_only_processes:
        _add_system(top, fs)
    fs.top = RootDirectory(fs, top)
    return fs


def _add_system(top: FixedDirectory, fs: ProcFileSystem) -> None:
    """Enter everything that is not about one process."""
    top.add(b"mounts", FixedLink(fs, fs.new_ino(), b"self/mounts"))
    top.add(b"net", FixedLink(fs, fs.new_ino(), b"self/net"))
    top.add(b"kmsg", LogInode(fs, fs.new_ino()))
    top.add(b"swaps", SwapsInode(fs, fs.new_ino()))
    top.add(b"locks", LocksInode(fs, fs.new_ino(), fs.view))
    pressure = _directory_in(top, fs, b"pressure")
    for index in range(len(RESOURCES)):
        pressure.add(RESOURCE_NAMES[index], MachinePressureInode(fs, fs.new_ino(), RESOURCES[index]))
    for file in PROC_FILES:
        make = file.make
        if make is None:
            pieces = PiecesInode(fs, fs.new_ino(), file)
            pieces.reads_alone = file.path.startswith(b"sysvipc/")
            _add(top, fs, file.path, pieces)
            continue
        mode = 0o444 if file.store is None else 0o200 if file.path == b"sys/vm/drop_caches" else 0o644
        is_setting = file.path.startswith(b"sys/")
        text = FixedText(fs, fs.new_ino(), mode, make, file.store, is_setting, is_setting and not file.is_line)
        _add(top, fs, file.path, text)
    sys = _directory_in(top, fs, b"sys")
    _add(sys, fs, b"fs/binfmt_misc", MountPlace(fs, fs.new_ino()))
    net = _directory_in(sys, fs, b"net")
    for family in (b"ipv4", b"ipv6"):
        _directory_in(net, fs, family).add(b"conf", ConfDirectory(fs, fs.new_ino(), family))
    for setting in SETTINGS:
        _add(sys, fs, setting.path, SettingInode(fs, fs.new_ino(), setting))


def _add(top: FixedDirectory, fs: ProcFileSystem, path: bytes, inode: Inode) -> None:
    """Enter a file; the directories that its path names below `top` are created if need be."""
    directory = top
    parts = path.split(b"/")
    for i in range(len(parts) - 1):
        directory = _directory_in(directory, fs, parts[i])
    directory.add(parts[len(parts) - 1], inode)


def _directory_in(parent: FixedDirectory, fs: ProcFileSystem, name: bytes) -> FixedDirectory:
    found = parent.lookup(name)
    if isinstance(found, FixedDirectory):
        return found
    if name == b"sys" or isinstance(parent, SettingsDirectory):
        directory: FixedDirectory = SettingsDirectory(fs, fs.new_ino())
    else:
        directory = FixedDirectory(fs, fs.new_ino())
    parent.add(name, directory)
    return directory


register_filesystem(b"proc", make_procfs, is_for_all=True).check_options = check_options
