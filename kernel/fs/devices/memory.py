"""The devices without hardware: /dev/null, zero, full, random, urandom (null(4), full(4), random(4)).
"""

from typing import Final

from kernel.fs.devices.filesystem import register_char_device
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.lang import ENOSPC, EOPNOTSUPP, ERESTARTSYS, Errno
from kernel.lib.pace import PACE_BYTES, is_interrupted
from kernel.lib.random_transfer import put_random
from kernel.lib.user import Buffer
from kernel.mm.objects import MemoryObject, SharedMemory

_MEMORY_MAJOR: Final = 1
_LARGEST_MAPPING: Final = 1 << 46
_KMSG_LINE_LIMIT: Final = 1024


class NullFile(File):
    """/dev/null: swallows everything; end of file at once."""

    def can_be_spliced(self) -> bool:
        return False

    def read(self, buffer: Buffer) -> int:
        return 0

    def pread(self, buffer: Buffer, offset: int) -> int:
        return 0

    def write(self, buffer: Buffer) -> int:
        count = buffer.remaining
        buffer.remaining = 0
        return count

    def pwrite(self, buffer: Buffer, offset: int) -> int:
        return self.write(buffer)

    def seek(self, offset: int, whence: int) -> int:
        self.position = 0
        return 0

    def read_at_once(self, buffer: Buffer) -> int:
        return self.read(buffer)

    def write_at_once(self, buffer: Buffer) -> int:
        return self.write(buffer)

    def can_be_watched(self) -> bool:
        return False


class ZeroFile(NullFile):
    """/dev/zero."""

    def can_be_spliced(self) -> bool:
        return True

    def read(self, buffer: Buffer) -> int:
        done = 0
        while buffer.remaining > 0 and not buffer.faulted:
            done += buffer.put_zeros(PACE_BYTES)
            if buffer.remaining > 0 and is_interrupted():
                break
        if done == 0 and buffer.remaining > 0 and not buffer.faulted:
            raise Errno(ERESTARTSYS)
        return done

    def pread(self, buffer: Buffer, offset: int) -> int:
        return self.read(buffer)

    def memory_object(self) -> MemoryObject:
        return SharedMemory(_LARGEST_MAPPING)


class FullFile(ZeroFile):
    """/dev/full: no room, ever."""

    def read_at_once(self, buffer: Buffer) -> int:
        raise Errno(EOPNOTSUPP)  # alone of these devices, on Linux

    def write_at_once(self, buffer: Buffer) -> int:
        raise Errno(EOPNOTSUPP)

    def write(self, buffer: Buffer) -> int:
        raise Errno(ENOSPC)


class RandomFile(File):
    """/dev/random and /dev/urandom; the generator is seeded at boot, so neither blocks. Writes are accepted and add
    nothing.
    """

    def read(self, buffer: Buffer) -> int:
        return put_random(buffer)

    def read_at_once(self, buffer: Buffer) -> int:
        return self.read(buffer)

    def write_at_once(self, buffer: Buffer) -> int:
        return self.write(buffer)

    def pread(self, buffer: Buffer, offset: int) -> int:
        return self.read(buffer)

    def write(self, buffer: Buffer) -> int:
        count = buffer.remaining
        buffer.remaining = 0
        return count

    def pwrite(self, buffer: Buffer, offset: int) -> int:
        return self.write(buffer)

    def seek(self, offset: int, whence: int) -> int:
        self.position = 0
        return 0


def open_null(path: Path, flags: int) -> File:
    return NullFile(path, flags)


def open_zero(path: Path, flags: int) -> File:
    return ZeroFile(path, flags)


def open_full(path: Path, flags: int) -> File:
    return FullFile(path, flags)


def open_random(path: Path, flags: int) -> File:
    return RandomFile(path, flags)


register_char_device(_MEMORY_MAJOR, 3, b"null", open_null)
register_char_device(_MEMORY_MAJOR, 5, b"zero", open_zero)
register_char_device(_MEMORY_MAJOR, 7, b"full", open_full)
register_char_device(_MEMORY_MAJOR, 8, b"random", open_random)
register_char_device(_MEMORY_MAJOR, 9, b"urandom", open_random)
