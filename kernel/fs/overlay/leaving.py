"""Releases what an overlay drops where it may not sleep, or where memory for room on the stack is short, on a thread of
its own.

Context: adding never sleeps, and needs no memory.
"""

from typing import Final

from kernel.fs.file import InodeFile
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.lang import final, noraise
from kernel.lib.pace import pace
from kernel.sched import WaitQueue, spawn_kernel_thread

_LEAVING_COST: Final = 2000  # instructions
_PATIENCE_NS: Final = 100_000_000


class LeavingInode(Inode):
    """An inode that releases something once it is not needed."""

    def __init__(self, file_system: FileSystem, ino: int, mode: int) -> None:
        super().__init__(file_system, ino, mode)
        self.next_leaving: LeavingInode | None = None
        self.is_leaving: bool = False

    @noraise
    def leave(self) -> bool:
        """Release it, if it is still unneeded. False if there is no memory for that. May sleep."""
        return True


class LeavingFile(InodeFile):
    """An open file that releases others when it is closed."""

    def __init__(self, path: Path, flags: int) -> None:
        super().__init__(path, flags)
        self.next_leaving: LeavingFile | None = None

    @noraise
    def leave(self) -> bool:
        """The same."""
        return True


class LeavingSystem(FileSystem):
    """A file system that releases its layers with its last mount."""

    def __init__(self, type_name: bytes, source: bytes, magic: int) -> None:
        super().__init__(type_name, source, magic)
        self.next_leaving: LeavingSystem | None = None

    @noraise
    def leave(self) -> bool:
        """The same."""
        return True


@final
class Leaving:
    """Everything that waits for release, the newest first."""

    def __init__(self) -> None:
        self.queue: WaitQueue = WaitQueue()
        self._inodes: LeavingInode | None = None
        self._files: LeavingFile | None = None
        self._systems: LeavingSystem | None = None
        self._runs: bool = False

    def start(self) -> None:
        """Called before anything can be added. Raises MemoryError."""
        if not self._runs:
            spawn_kernel_thread(b"overlay", _let_all_go, 0)
            self._runs = True

    @noraise
    def add_inode(self, inode: LeavingInode) -> None:
        if not inode.is_leaving:
            inode.is_leaving = True
            inode.next_leaving = self._inodes
            self._inodes = inode
            self.queue.wake_all()

    @noraise
    def add_file(self, file: LeavingFile) -> None:
        file.next_leaving = self._files
        self._files = file
        self.queue.wake_all()

    @noraise
    def add_system(self, system: LeavingSystem) -> None:
        system.next_leaving = self._systems
        self._systems = system
        self.queue.wake_all()

    def is_empty(self) -> bool:
        """Whether nothing waits: checked again after a sleep."""
        return self._files is None and self._inodes is None and self._systems is None

    @noraise
    def let_all_go(self) -> bool:
        """Release everything, including what arrives meanwhile. False if there was not enough memory. May sleep, but
        not between the last check and the return.
        """
        while not self.is_empty():
            if not self._let_each_go():
                return False
        return True

    @noraise
    def _let_each_go(self) -> bool:
        while (file := self._files) is not None:
            self._files = file.next_leaving
            file.next_leaving = None
            if not file.leave():
                self.add_file(file)
                return False
            pace(_LEAVING_COST)
        while (inode := self._inodes) is not None:
            self._inodes = inode.next_leaving
            inode.next_leaving = None
            inode.is_leaving = False
            if not inode.leave():
                self.add_inode(inode)
                return False
            pace(_LEAVING_COST)
        while (system := self._systems) is not None:
            self._systems = system.next_leaving
            system.next_leaving = None
            if not system.leave():
                self.add_system(system)
                return False
        return True


LEAVING: Final = Leaving()


def _let_all_go(_: int) -> None:
    while True:
        if LEAVING.let_all_go():
            LEAVING.queue.sleep(interruptible=False)
        else:
            LEAVING.queue.pause(_PATIENCE_NS)
