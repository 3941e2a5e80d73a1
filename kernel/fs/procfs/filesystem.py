"""procfs: the file system's type, its root directory, and the tree of what is about the system.

The root holds the fixed entries, and a directory for each process, which is made when it is looked up.

Context: see entries.py.
"""

from typing import Final

from kernel.fs.constants import S_IFREG
from kernel.fs.devices.kmsg import ProcKmsgFile
from kernel.fs.file import DirectorySink, File
from kernel.fs.filesystem import FileSystem, register_filesystem
from kernel.fs.inode import Inode
from kernel.fs.lock_listing import list_locks
from kernel.fs.path import Path
from kernel.fs.procfs import metrics, settings, system
from kernel.fs.procfs.entries import (
    FIRST_POSITION,
    ComputedDirectory,
    FixedDirectory,
    FixedLink,
    FixedText,
    MakeText,
    StoreText,
)
from kernel.fs.procfs.network import SettingInode, SystemSettingInode
from kernel.fs.procfs.process import ProcessDirectory, SelfLink
from kernel.fs.procfs.subject import parse_number
from kernel.fs.procfs.view import View
from kernel.ipc.message_queues import list_queues
from kernel.ipc.semaphores import list_sets
from kernel.ipc.shared_memory import list_segments
from kernel.lang import EINVAL, EPERM, Errno, final
from kernel.lib.capabilities import CAP_SYSLOG
from kernel.lib.settings import SYSTEM_SETTINGS
from kernel.net.internet.sysctl import SETTINGS
from kernel.task import seccomp
from kernel.task.pids import find_process, next_process, process_count
from kernel.task.task import current

PROC_MAGIC: Final = 0x9FA0
_ROOT_INO: Final = 1
_FIRST_FIXED_INO: Final = 0xF000_0000
_PID_POSITIONS: Final = 256  # processes come behind the fixed entries: position 256 + pid


@final
class ProcFileSystem(FileSystem):
    """One mounted instance; all show the same."""

    def __init__(self, source: bytes) -> None:
        super().__init__(b"proc", source, PROC_MAGIC)
        self.next_ino: int = _FIRST_FIXED_INO
        self.top: RootDirectory | None = None
        self.view: View = View()

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
        pid = parse_number(name)
        if pid < 0:
            return self.fixed.lookup(name)
        process = find_process(pid)
        if process is None or not self.view.may_find(process):
            return None
        return ProcessDirectory(self.file_system, process, self.view)

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        if position < FIRST_POSITION + len(self.fixed.entries):
            self.fixed.read_directory(position, sink)
            if sink.position < FIRST_POSITION + len(self.fixed.entries):
                return
        process = next_process(max(0, position - _PID_POSITIONS))
        while process is not None:
            pid = process.pid
            if self.view.may_list(process):
                if not sink.emit(f"{pid}".encode(), pid << 16, 4, _PID_POSITIONS + pid + 1):
                    return
                sink.position = _PID_POSITIONS + pid + 1
            process = next_process(pid + 1)

    def refresh(self) -> None:
        self.nlink = self.fixed.nlink + process_count()


def _add_text(directory: FixedDirectory, fs: ProcFileSystem, name: bytes, make: MakeText) -> None:
    directory.add(name, FixedText(fs, fs.new_ino(), 0o444, make, None))


def _add_setting(directory: FixedDirectory, fs: ProcFileSystem, name: bytes, make: MakeText, store: StoreText) -> None:
    directory.add(name, FixedText(fs, fs.new_ino(), 0o644, make, store))


def _add_directory(parent: FixedDirectory, fs: ProcFileSystem, name: bytes) -> FixedDirectory:
    directory = FixedDirectory(fs, fs.new_ino())
    parent.add(name, directory)
    return directory


def make_procfs(source: bytes, options: bytes) -> FileSystem:
    """A new instance. Raises EINVAL for wrong options."""
    fs = ProcFileSystem(source)
    fs.view.parse(options)
    top = FixedDirectory(fs, _ROOT_INO)
    top.add(b"self", SelfLink(fs, fs.new_ino(), False))
    top.add(b"thread-self", SelfLink(fs, fs.new_ino(), True))
    if not fs.view.has_only_processes:
        _add_system(top, fs)
    fs.top = RootDirectory(fs, top)
    return fs


def _add_system(top: FixedDirectory, fs: ProcFileSystem) -> None:
    """All that is not about one process."""
    top.add(b"mounts", FixedLink(fs, fs.new_ino(), b"self/mounts"))
    top.add(b"net", FixedLink(fs, fs.new_ino(), b"self/net"))
    _add_text(top, fs, b"cmdline", system.command_line_text)
    _add_text(top, fs, b"cpuinfo", system.cpuinfo)
    _add_text(top, fs, b"devices", system.devices)
    _add_text(top, fs, b"filesystems", system.filesystems)
    _add_text(top, fs, b"interrupts", system.interrupts)
    _add_text(top, fs, b"loadavg", system.loadavg)
    _add_text(top, fs, b"iomem", system.physical_regions)
    top.add(b"kmsg", LogInode(fs, fs.new_ino()))
    _add_text(top, fs, b"locks", list_locks)
    _add_text(top, fs, b"meminfo", system.meminfo)
    _add_text(top, fs, b"metrics", metrics.metrics)
    _add_text(top, fs, b"diskstats", system.diskstats)
    _add_text(top, fs, b"misc", system.miscellaneous_devices)
    _add_text(top, fs, b"modules", system.modules)
    _add_text(top, fs, b"partitions", system.partitions)
    _add_text(top, fs, b"stat", system.stat)
    _add_text(top, fs, b"swaps", system.swaps)
    _add_text(top, fs, b"uptime", system.uptime)
    _add_text(top, fs, b"version", system.version)
    _add_text(top, fs, b"vmstat", system.vmstat)
    sysvipc = _add_directory(top, fs, b"sysvipc")
    _add_text(sysvipc, fs, b"msg", list_queues)
    _add_text(sysvipc, fs, b"sem", list_sets)
    _add_text(sysvipc, fs, b"shm", list_segments)
    _add_settings(top, fs)


def _add_settings(top: FixedDirectory, fs: ProcFileSystem) -> None:
    """/proc/sys."""
    sys = _add_directory(top, fs, b"sys")
    kernel = _add_directory(sys, fs, b"kernel")
    _add_setting(kernel, fs, b"hostname", settings.hostname, settings.set_hostname)
    _add_setting(kernel, fs, b"domainname", settings.domainname, settings.set_domainname)
    _add_text(kernel, fs, b"osrelease", settings.osrelease)
    _add_text(kernel, fs, b"ostype", settings.ostype)
    _add_text(kernel, fs, b"version", settings.version)
    _add_text(kernel, fs, b"pid_max", settings.pid_max)
    _add_text(kernel, fs, b"threads-max", settings.threads_max)
    _add_text(kernel, fs, b"cap_last_cap", settings.cap_last_cap)
    _add_text(kernel, fs, b"ngroups_max", settings.ngroups_max)
    _add_setting(kernel, fs, b"printk", settings.printk, settings.set_printk)
    _add_text(kernel, fs, b"shmmax", settings.shmmax)
    _add_text(kernel, fs, b"shmall", settings.shmall)
    _add_text(kernel, fs, b"shmmni", settings.shmmni)
    _add_text(kernel, fs, b"overflowuid", settings.overflow_id)
    _add_text(kernel, fs, b"overflowgid", settings.overflow_id)
    _add_text(kernel, fs, b"randomize_va_space", settings.randomize_va_space)
    _add_setting(kernel, fs, b"panic", settings.panic_timeout, settings.set_panic_timeout)
    calls = _add_directory(kernel, fs, b"seccomp")
    _add_text(calls, fs, b"actions_avail", seccomp.available_actions)
    _add_setting(calls, fs, b"actions_logged", seccomp.logged_actions, settings.set_logged_calls)
    random = _add_directory(kernel, fs, b"random")
    _add_text(random, fs, b"boot_id", settings.boot_id)
    _add_text(random, fs, b"uuid", settings.uuid)
    _add_text(random, fs, b"entropy_avail", settings.entropy_available)
    _add_text(random, fs, b"poolsize", settings.entropy_available)
    vm = _add_directory(sys, fs, b"vm")
    _add_setting(vm, fs, b"drop_caches", settings.drop_caches, settings.set_drop_caches)
    _add_text(vm, fs, b"overcommit_memory", settings.overcommit_memory)
    _add_text(vm, fs, b"dirty_ratio", settings.dirty_ratio)
    _add_text(vm, fs, b"dirty_background_ratio", settings.dirty_background_ratio)
    _add_text(vm, fs, b"dirty_expire_centisecs", settings.dirty_expire)
    _add_text(vm, fs, b"dirty_writeback_centisecs", settings.dirty_writeback)
    files = _add_directory(sys, fs, b"fs")
    _add_text(files, fs, b"file-nr", settings.file_nr)
    _add_text(_add_directory(kernel, fs, b"pty"), fs, b"nr", settings.pty_nr)
    net = _add_directory(sys, fs, b"net")
    for setting in SETTINGS:
        directory = _directory_of(net, fs, setting.path)
        directory.add(_last_of(setting.path), SettingInode(fs, fs.new_ino(), setting))
    for system_setting in SYSTEM_SETTINGS:
        directory = _directory_of(sys, fs, system_setting.path)
        directory.add(_last_of(system_setting.path), SystemSettingInode(fs, fs.new_ino(), system_setting))


def _directory_of(top: FixedDirectory, fs: ProcFileSystem, path: bytes) -> FixedDirectory:
    """The directory of a setting: those that its path names below `top` are made if need be."""
    directory = top
    parts = path.split(b"/")
    for i in range(len(parts) - 1):
        directory = _directory_in(directory, fs, parts[i])
    return directory


def _last_of(path: bytes) -> bytes:
    parts = path.split(b"/")
    return parts[len(parts) - 1]


def _directory_in(parent: FixedDirectory, fs: ProcFileSystem, name: bytes) -> FixedDirectory:
    found = parent.lookup(name)
    if isinstance(found, FixedDirectory):
        return found
    return _add_directory(parent, fs, name)


register_filesystem(b"proc", make_procfs)
