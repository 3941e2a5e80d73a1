"""/proc/PID/mem: the memory of a process, by address (proc_pid_mem(5)).

A program that could open it reads and writes as a debugger does, whatever the protection of the memory (foreign.py).
The description refers to the memory that the process had when it was opened: once that is gone, there is nothing to
read.

Context: sleeps.
"""


from typing import Final

from arch import USER_END
from kernel.fs.constants import PAGE_SIZE, SEEK_CUR, SEEK_SET
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.fs.procfs.entries import PositionedFile
from kernel.fs.procfs.process_memory import living_memory_of
from kernel.fs.procfs.subject import Subject
from kernel.lang import EFAULT, EINVAL, EIO, Errno, final, span_of
from kernel.lib.pace import is_dying, pace
from kernel.lib.saturation import wrapped_sum
from kernel.lib.user import Buffer
from kernel.mm.foreign import read_foreign, write_foreign
from kernel.mm.frames import PAGE_MASK
from kernel.mm.space import AddressSpace

_PAGE_COST: Final = 3000  # instructions, for `pace`


@final
class MemoryFile(PositionedFile):
    """An open mem. It keeps only the object alive, not the address space."""

    def __init__(self, path: Path, flags: int, space: AddressSpace) -> None:
        super().__init__(path, flags)
        self.space: AddressSpace = space

    def takes_any_offset(self) -> bool:
        return True

    def write(self, buffer: Buffer) -> int:
        offset = self.position
        done = self.pwrite(buffer, offset)
        self.position = wrapped_sum(offset, done)
        return done

    def pread(self, buffer: Buffer, offset: int) -> int:
        return self._transfer(buffer, offset, is_write=False)

    def pwrite(self, buffer: Buffer, offset: int) -> int:
        return self._transfer(buffer, offset, is_write=True)

    def _transfer(self, buffer: Buffer, offset: int, is_write: bool) -> int:
        """Transfer page by page; EIO if there is nothing at the first address."""
        space = self.space
        if space.users == 0:
            return 0
        space.acquire()
        done = 0
        page = bytearray(PAGE_SIZE)
        try:
            while buffer.remaining > 0 and not buffer.faulted and 0 <= offset + done < USER_END:
                address = offset + done
                count = min(buffer.remaining, PAGE_SIZE - (address & PAGE_MASK))
                part = span_of(page)[0:count]
                if is_write:
                    count = buffer.take(part)
                    write_foreign(space, address, part[0:count], by_force=True)
                    done += count
                else:
                    read_foreign(space, address, part, by_force=True)
                    done += buffer.put(part)
                pace(_PAGE_COST)
                if is_dying():
                    break
        except Errno:
            if done == 0:
                raise Errno(EIO) from None
        finally:
            space.release()
        if done == 0 and buffer.remaining > 0:
            raise Errno(EFAULT if buffer.faulted else EIO)
        return done

    def truncate(self, size: int) -> None:
        """Has no effect here."""

    def seek(self, offset: int, whence: int) -> int:
        if whence == SEEK_CUR:
            offset = wrapped_sum(self.position, offset)
        elif whence != SEEK_SET:
            raise Errno(EINVAL)
        self.position = offset
        return offset


def open_memory(path: Path, flags: int, subject: Subject) -> File:
    """open(2) of a process's mem, for callers that may inspect it."""
    return MemoryFile(path, flags, living_memory_of(subject))
