"""The root file system and the first process.

Context: the boot thread. Raises MemoryError, which is the end of the start.
"""

from arch.x86_64.boot_memory import initrd_span
from kernel import command_line, physical_memory
from kernel.fs import FileTable, FsContext, open_file
from kernel.fs.constants import O_RDWR
from kernel.fs.rootfs import mount_root
from kernel.lang import Errno
from kernel.lib import log
from kernel.physical_memory import boot_info
from kernel.task.init import start_first_process


def start_user_space() -> None:
    """Mount the root, unpack the archive, and make process 1, which runs once the boot thread gives up the processor.
    """
    line = boot_info.command_line()
    if command_line.has_word(line, b"root"):
        log.error("root=: no root on a device yet: the initial RAM disk is the root file system")
    if boot_info.initrd_end <= boot_info.initrd_start:
        log.warn("there is no initial RAM disk")
    context = mount_root(initrd_span(boot_info))
    physical_memory.release_initrd()
    start_first_process(
        context.root,
        _open_console(context),
        command_line.init_candidates(line),
        command_line.arguments_for_init(line),
        command_line.environment_for_init(line),
    )


def _open_console(context: FsContext) -> FileTable:
    """Descriptors 0, 1 and 2 of the first program."""
    files = FileTable()
    try:
        file = open_file(context, None, b"/dev/console", O_RDWR, 0)
        files.install(file, False)
        files.replace(1, file, False)
        files.replace(2, file, False)
    except Errno as error:
        log.warn(f"unable to open an initial console: error {error.code}")
    return files
