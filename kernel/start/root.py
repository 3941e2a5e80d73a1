"""The root file system and the first process.

Context: the boot thread. Raises MemoryError, which ends the boot.
"""

from arch import boot_info, initrd_span
from kernel.fs.constants import O_RDWR
from kernel.fs.descriptors import FileTable
from kernel.fs.mount_lock import TREE
from kernel.fs.open import open_file
from kernel.fs.path import FsContext
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import Errno
from kernel.lib import log
from kernel.start import command_line, physical_memory
from kernel.start.root_device import mount_disk_root
from kernel.start.rootfs import mount_root
from kernel.task.init import start_first_process


def start_user_space() -> None:
    """Mount the root, unpack the archive, and create process 1, which runs once the boot thread gives up the processor.

    With `root=` the root file system is a disk's, unless an initial RAM disk has a first program (`rdinit=` or /init):
    then that program must mount it, as on Linux.
    """
    line = boot_info.command_line()
    wants_disk = command_line.has_word(line, b"root")
    has_archive = boot_info.initrd_end > boot_info.initrd_start
    if not has_archive and wants_disk:
        context = mount_disk_root(line)
    else:
        if not has_archive:
            log.warn("there is no initial RAM disk")
        context = mount_root(initrd_span())
        physical_memory.release_initrd()
        if wants_disk and not _has_first_program(context, line):
            context = _leave_for_disk(context, line)
    start_first_process(
        context.root,
        _open_console(context),
        command_line.init_candidates(line),
        command_line.arguments_for_init(line),
        command_line.environment_for_init(line),
    )


def _has_first_program(context: FsContext, line: bytes) -> bool:
    """Whether the archive brought the program that runs first."""
    name = command_line.value_of(line, b"rdinit")
    try:
        resolve(context, None, b"/init" if name is None or len(name) == 0 else name, FOLLOW)
    except Errno:
        return False
    return True


def _leave_for_disk(context: FsContext, line: bytes) -> FsContext:
    """Replace the contents of the archive, which are freed, by the disk's file system."""
    archive = context.root.mount
    on_disk = mount_disk_root(line)
    context.release()
    with TREE:
        archive.detach()
    return on_disk


def _open_console(context: FsContext) -> FileTable:
    """Descriptors 0, 1 and 2 of the first program."""
    files = FileTable()
    try:
        file = open_file(context, None, b"/dev/console", O_RDWR, 0)
        files.install(file, cloexec=False)
        files.replace(1, file, cloexec=False)
        files.replace(2, file, cloexec=False)
    except Errno as error:
        log.warn(f"unable to open an initial console: error {error.code}")
    return files
